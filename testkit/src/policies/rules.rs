//! Policies and guardrails as text, rule by rule.

use super::Company;
use super::addresses::{addresses_of, halves};
use crate::seed::Rng;
use egress_ir::Prefix;

/// Named port sets.
pub(super) const PORTS: [(&str, &str); 14] = [
    ("web", "80/tcp, 443/tcp"),
    ("mail", "25/tcp, 465/tcp, 587/tcp"),
    ("ssh", "22/tcp"),
    ("quic", "443/udp"),
    ("ldap", "389/tcp, 636/tcp, 389/udp"),
    ("media", "10000-20000/udp, 3478/udp"),
    ("diameter", "3868/tcp, 3868/sctp"),
    ("amqp", "5671-5672/tcp"),
    ("name-service", "53/udp, 53/tcp, 853/tcp"),
    ("postgres", "5432/tcp, 6432-6440/tcp"),
    ("kafka", "9092-9094/tcp"),
    ("mongo", "27017-27019/tcp"),
    ("redis", "6379-6380/tcp, 16379-16380/tcp"),
    ("mysql", "3306/tcp, 33060/tcp"),
];

/// On what whole providers are opened; disjoint, so that no such rule makes another one redundant.
const WHOLE_PORTS: [&str; 10] =
    ["web", "web", "mail", "ssh", "quic", "ldap", "media", "diameter", "amqp", "name-service"];

/// On what single services are opened.
const SERVICE_PORTS: [&str; 5] = ["postgres", "kafka", "mongo", "redis", "mysql"];

/// What most rules are about, as often as they are.
const COMMON_PORTS: [&str; 9] =
    ["443/tcp", "443/tcp", "443/tcp", "443/tcp", "443/tcp, 443/udp", "22/tcp", "8443/tcp", "5671-5672/tcp", "53/udp"];

/// One block to be written.
pub(super) struct Section {
    name: String,
    /// `all` or the name of a workload set.
    workloads: String,
    size: usize,
    kind: SectionKind,
}

/// What a block is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SectionKind {
    /// One application's policy.
    Own,
    /// A policy for pods that have policies of their own as well.
    Shared,
    /// A guardrail.
    Guardrail,
}

impl Section {
    pub(super) fn own(name: String, workloads: String, size: usize) -> Self {
        Self { name, workloads, size, kind: SectionKind::Own }
    }

    pub(super) fn shared(name: String, workloads: String, size: usize) -> Self {
        Self { name, workloads, size, kind: SectionKind::Shared }
    }

    pub(super) fn guardrail(name: String, workloads: String, size: usize) -> Self {
        Self { name, workloads, size, kind: SectionKind::Guardrail }
    }

    /// Whether these workloads use the provider as a whole, rather than some of its services. It is the same in all
    /// policies of an application, so that what one opens as a whole is not opened in part by another.
    fn whole(&self, partner: usize) -> bool {
        let salt: usize = self.workloads.bytes().map(usize::from).sum();
        self.kind == SectionKind::Own && (salt + partner).is_multiple_of(2)
    }
}

impl Company<'_> {
    /// What every company has: nobody reaches the metadata service, everybody is governed, clocks are set.
    pub(super) fn common_sections(&mut self) {
        let (metadata, blocklist) = (self.mention("metadata"), self.mention("blocklist"));
        self.put(format_args!(
            "\nguardrail never {{\n  for all\n  owner \"team-security\"\n\n  deny {metadata} log because \"node credentials\"\n  deny {blocklist}\n}}\n"
        ));
        self.put(format_args!(
            "\npolicy everybody {{\n  for all\n  owner \"team-platform\"\n\n  allow world on 123/udp\n}}\n"
        ));
        self.rules += 3;
    }

    /// One policy or guardrail.
    pub(super) fn section(&mut self, section: &Section) {
        let workloads = if section.workloads == "all" { "all".to_owned() } else { self.mention(&section.workloads) };
        let guardrail = section.kind == SectionKind::Guardrail;
        let keyword = if guardrail { "guardrail" } else { "policy" };
        self.put(format_args!("\n{keyword} {} {{\n  for {workloads}\n", section.name));
        if self.rng.chance(70) {
            self.put(format_args!("  owner \"team-{workloads}\"\n"));
        }
        self.put(format_args!("\n"));
        let until = self.rules + section.size;
        let partners = self.partners(section.size);
        while self.rules < until {
            let before = self.rules;
            let partner = self.rng.choose(&partners).copied().unwrap_or(0);
            if guardrail {
                self.deny(section, partner);
            } else {
                self.policy_rules(section, partner, until - before);
            }
        }
        self.put(format_args!("}}\n"));
    }

    /// The providers that a block is about; the first ones are everybody's.
    fn partners(&mut self, size: usize) -> Vec<usize> {
        let all = self.providers.len();
        let one = |rng: &mut Rng| if rng.chance(30) { rng.below(all.min(20)) } else { rng.below(all) };
        (0..size / 6 + 1).map(|_| one(&mut self.rng)).collect()
    }

    /// One rule of a policy, or the few that make a fault.
    fn policy_rules(&mut self, section: &Section, partner: usize, room: usize) {
        let fault = !self.shape.clean && self.rng.chance(2);
        match self.rng.below(100) {
            0..12 if fault && room >= 2 => self.dead(section, partner),
            12..30 if fault && room >= 3 => self.redundant_by_union(partner),
            _ if fault && room >= 2 => self.redundant(partner),
            0..6 => self.deny(section, partner),
            6..8 if self.shape.hosts => self.allow_host(partner),
            _ => self.allow(section, partner),
        }
    }

    fn allow(&mut self, section: &Section, partner: usize) {
        if section.whole(partner) && self.rng.chance(55) && self.allow_whole(section, partner) {
            return;
        }
        let destinations = self.destinations(partner);
        let ports = if section.whole(partner) || section.kind == SectionKind::Shared {
            self.special_ports()
        } else {
            self.any_ports()
        };
        self.rule(&format!("allow {destinations}{ports}"), Some(partner));
    }

    /// Opens a whole provider on ports that these workloads have not got yet; false if none was found.
    fn allow_whole(&mut self, section: &Section, partner: usize) -> bool {
        let ports = self.rng.choose(&WHOLE_PORTS).copied().unwrap_or("443/tcp");
        let Some(name) = self.providers.get(partner).map(|provider| provider.name.clone()) else { return false };
        if !self.opened.insert((section.workloads.clone(), partner, ports)) {
            return false;
        }
        let (name, ports) = (self.mention(&name), self.mention(ports));
        self.rule(&format!("allow {name} on {ports}"), Some(partner));
        true
    }

    /// Some of a provider's addresses.
    fn destinations(&mut self, partner: usize) -> String {
        let choice = self.rng.below(100);
        let Some(provider) = self.providers.get(partner) else { return "world".to_owned() };
        match choice {
            0..10 => provider.range(&mut self.rng),
            10..16 => {
                let (prefix, out) = nested(&mut self.rng, |rng| provider.prefix(rng));
                out.map_or_else(|| prefix.to_string(), |out| format!("{prefix} except {out}"))
            }
            _ => {
                let count = if choice < 65 { 1 } else { self.rng.between(2, 4) };
                let prefixes: Vec<String> = (0..count).map(|_| provider.prefix(&mut self.rng).to_string()).collect();
                prefixes.join(", ")
            }
        }
    }

    /// `on …` as most rules have it.
    fn any_ports(&mut self) -> String {
        match self.rng.below(10) {
            0..5 => format!(" on {}", self.common_ports()),
            5..7 => {
                let name = self.rng.choose(&WHOLE_PORTS).copied().unwrap_or("443/tcp");
                format!(" on {}", self.mention(name))
            }
            _ => self.special_ports(),
        }
    }

    /// `on …` for single services, or nothing for every port.
    fn special_ports(&mut self) -> String {
        let number = self.rng.between(1024, 49151);
        match self.rng.below(100) {
            0..45 => {
                let name = self.rng.choose(&SERVICE_PORTS).copied().unwrap_or("postgres");
                format!(" on {}", self.mention(name))
            }
            45..65 => format!(" on {number}/tcp"),
            65..85 => format!(" on {number}-{}/tcp", number + self.rng.between(1, 200)),
            85..91 => format!(" on {number}-{}/udp, {number}/tcp", number + 20),
            91..95 => " on icmp/8, icmpv6/128".to_owned(),
            _ => String::new(),
        }
    }

    fn common_ports(&mut self) -> &'static str {
        self.rng.choose(&COMMON_PORTS).copied().unwrap_or("443/tcp")
    }

    fn allow_host(&mut self, partner: usize) {
        let host = match self.rng.below(4) {
            0 => format!("host *.partner-{partner}.example"),
            1 => format!("host **.cdn-{partner}.example"),
            _ => format!("host api.partner-{partner}.example"),
        };
        self.rule(&format!("allow {host} on 443/tcp"), None);
    }

    /// Forbids a part of a provider that nobody else forbids.
    fn deny(&mut self, section: &Section, partner: usize) {
        let Some(slot) = self.providers.get_mut(partner).and_then(super::Provider::deny_slot) else {
            return self.allow(section, partner);
        };
        let destinations = if self.rng.chance(40) {
            let addresses: Vec<String> = addresses_of(&mut self.rng, slot).iter().map(Prefix::to_string).collect();
            addresses.join(", ")
        } else {
            slot.to_string()
        };
        let ports = if self.rng.chance(25) { " on tcp, udp" } else { "" };
        self.rule(&format!("deny {destinations}{ports}"), None);
    }

    /// An allow of exactly what the policy denies.
    fn dead(&mut self, section: &Section, partner: usize) {
        let Some(slot) = self.providers.get_mut(partner).and_then(super::Provider::deny_slot) else {
            return self.allow(section, partner);
        };
        self.rule(&format!("deny {slot}"), None);
        self.rule(&format!("allow {slot} on 443/tcp"), Some(partner));
    }

    /// A rule and a part of it.
    fn redundant(&mut self, partner: usize) {
        let Some(provider) = self.providers.get(partner) else { return };
        let prefix = provider.prefix(&mut self.rng);
        let (half, _) = halves(prefix);
        let ports = self.common_ports();
        self.rule(&format!("allow {prefix} on {ports}"), Some(partner));
        self.rule(&format!("allow {half} on {ports}"), Some(partner));
    }

    /// Two halves and the whole.
    fn redundant_by_union(&mut self, partner: usize) {
        let Some(provider) = self.providers.get(partner) else { return };
        let prefix = provider.prefix(&mut self.rng);
        let (lower, upper) = halves(prefix);
        let ports = self.common_ports();
        for part in [lower, upper, prefix] {
            self.rule(&format!("allow {part} on {ports}"), Some(partner));
        }
    }

    /// Writes one rule with what people add; `partner` is the provider through whose gateway it leaves.
    fn rule(&mut self, rule: &str, partner: Option<usize>) {
        self.rules += 1;
        self.put(format_args!("  {rule}"));
        // The gateway is the provider's, so that no two rules can disagree.
        if let Some(partner) = partner.filter(|partner| partner % 4 == 0)
            && let Some(number) = (partner / 4).checked_rem(self.shape.gateways)
        {
            let name = self.mention(&format!("exit-{}", number + 1));
            self.put(format_args!(" via {name}"));
        }
        if self.rng.chance(4) {
            self.put(format_args!(" log"));
        }
        if self.rng.chance(35) {
            let reason = *self.rng.choose(&REASONS).unwrap_or(&"");
            self.put(format_args!(" because \"{reason}\""));
        }
        if self.rng.chance(20) {
            let ticket = self.rng.between(1000, 9999);
            self.put(format_args!(" ticket \"NET-{ticket}\""));
        }
        if self.rng.chance(5) {
            let (year, month, day) = (self.rng.between(2090, 2099), self.rng.between(1, 12), self.rng.between(1, 28));
            self.put(format_args!(" until {year}-{month:02}-{day:02}"));
        }
        self.put(format_args!("\n"));
    }
}

/// A prefix and a quarter of it, where it has one.
fn nested(rng: &mut Rng, mut draw: impl FnMut(&mut Rng) -> Prefix) -> (Prefix, Option<Prefix>) {
    let prefix = draw(rng);
    let widest = if prefix.address().is_ipv4() { 32 } else { 128 };
    let quarter = Prefix::containing(prefix.last(), prefix.length() + 2);
    (prefix, Some(quarter).filter(|quarter| quarter.length() <= widest && prefix.length() + 2 <= widest))
}

/// Why people open things.
const REASONS: [&str; 8] = [
    "order export to the warehouse",
    "nightly settlement files",
    "fraud scoring",
    "partner API, see the contract",
    "monitoring of the partner's endpoint",
    "legacy ERP until it is replaced",
    "software updates",
    "address validation at checkout",
];
