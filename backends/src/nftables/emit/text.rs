//! The plan as text for `nft -f`.
//!
//! In: the plan. Out: one file, one transaction. Two facts about the kernel shape it. A new set with intervals is
//! empty to packets until some time after the switch, so there is none: tables are trees of plain rules. And a map
//! that is deleted is empty at once for packets which still walk the old rules, so whoever is in no map of pods asks
//! the map `live_generation`, which is replaced with them: a packet that finds nothing there either has been
//! overtaken, and is judged once more by the second base chain of its hook.

use super::outcome::{Decider, Outcome};
use super::plan::{Plan, Policy, Table, Valued};
use super::ports;
use super::tree;
use super::words::{comment, identifier, log_prefix, push, push_v4, push_v6, quotable};
use crate::nftables::decode::TABLE;
use crate::nftables::model::Hook;
use crate::nftables::options::{LogTarget, Options};
use egress_ir::{AddressSet, BlockKind, PortSet, Program};

/// A priority that no packet bears by chance: the mark of one that was overtaken. Nothing else runs between the two
/// base chains that set and clear it.
const OVERTAKEN: &str = "e9e5:5c01";

/// Writes the file.
pub(super) fn text(program: &Program, plan: &Plan, options: &Options, hooks: &[Hook]) -> String {
    let port_rules = plan.port_chains.values().iter().map(|_| Vec::new()).collect();
    let mut writer = Writer { program, plan, options, hooks, maps: Vec::new(), port_rules, body: String::new() };
    writer.judge();
    writer.base_chains();
    writer.counters();
    for (number, outcome) in plan.outcomes.values().iter().enumerate() {
        writer.outcome_chain(number, outcome);
    }
    writer.port_chains();
    for (number, table) in plan.tables.values().iter().enumerate() {
        writer.table(number, table);
    }
    for (number, policy) in plan.policies.values().iter().enumerate() {
        writer.policy(number, policy);
    }
    writer.finish()
}

/// A family: how its packets are matched.
#[derive(Clone, Copy)]
struct Lines {
    protocol: &'static str,
    number: u8,
    push: fn(&mut String, u128, u128),
}

const V4: Lines = Lines {
    protocol: "ip",
    number: 4,
    push: |text, start, end| push_v4(text, u32::try_from(start).unwrap_or(0), u32::try_from(end).unwrap_or(u32::MAX)),
};
const V6: Lines = Lines { protocol: "ip6", number: 6, push: push_v6 };

impl Lines {
    /// The last address.
    fn last(self) -> u128 {
        if self.number == 4 { u32::MAX.into() } else { u128::MAX }
    }
}

struct Writer<'p> {
    program: &'p Program,
    plan: &'p Plan,
    options: &'p Options,
    hooks: &'p [Hook],
    /// The maps with what they are typed for.
    maps: Vec<(&'static str, &'static str)>,
    /// The rules that stand in for each port chain.
    port_rules: Vec<Vec<String>>,
    body: String,
}

impl Writer<'_> {
    fn line(&mut self, arguments: std::fmt::Arguments<'_>) {
        push(&mut self.body, arguments);
        self.body.push('\n');
    }

    /// One counter for each rule and each policy's default; the kernel keeps those that are there.
    fn counters(&mut self) {
        for (id, rule) in self.program.rules.iter() {
            let name = self.counter(Decider::Rule(id), self.program.blocks.at(rule.block).audit);
            let origins = &self.program.origins.entries;
            let block = self.program.blocks.at(rule.block);
            match comment(origins.at(rule.origin), origins.at(block.origin)) {
                Some(comment) => self.line(format_args!("\tcounter {name} {{ comment \"{comment}\"; }}")),
                None => self.line(format_args!("\tcounter {name} {{ }}")),
            }
        }
        for (id, block) in self.program.blocks.iter().filter(|(_, block)| block.kind == BlockKind::Policy) {
            let name = self.counter(Decider::Default(id), block.audit);
            self.line(format_args!("\tcounter {name} {{ }}"));
        }
    }

    fn counter(&self, decider: Decider, audit: bool) -> String {
        match decider {
            Decider::Rule(rule) => {
                format!("{}_{}", if audit { "audit" } else { "rule" }, identifier(self.program.rule_name(rule)))
            }
            Decider::Default(block) => {
                format!(
                    "{}_{}",
                    if audit { "audit" } else { "default" },
                    identifier(&self.program.blocks.at(block).name)
                )
            }
        }
    }

    /// How log lines name those who decide: the one that asked for the log, or all policies by default.
    fn shown(&self, decider: Decider, all: &[Decider]) -> String {
        match decider {
            Decider::Rule(rule) => self.program.rule_name(rule).to_owned(),
            Decider::Default(_) => {
                let name = |decider: &Decider| match decider {
                    Decider::Default(block) => Some(self.program.blocks.at(*block).name.as_str()),
                    Decider::Rule(_) => None,
                };
                format!("{} default", all.iter().filter_map(name).collect::<Vec<_>>().join(","))
            }
        }
    }

    /// Outcomes with logs are chains, because a log that is over its rate ends its rule.
    fn outcome_chain(&mut self, number: usize, outcome: &Outcome) {
        if outcome.log.is_none() && outcome.audit.is_none() {
            return;
        }
        self.line(format_args!("\tchain o{number} {{"));
        if let Some(audit) = &outcome.audit {
            let counters = self.audit_counters(&audit.decided_by);
            if !counters.is_empty() {
                self.line(format_args!("\t\t{}", counters.join(" ")));
            }
            let verb = if audit.passes { "audit allow" } else { "audit deny" };
            let name = audit.decided_by.first().map_or(String::new(), |first| self.shown(*first, &audit.decided_by));
            self.log(outcome.passes, verb, &name);
        }
        if let Some(named) = outcome.log {
            let name = self.shown(named, &outcome.decided_by);
            self.log(outcome.passes, if outcome.passes { "allow" } else { "deny" }, &name);
        }
        let action = self.action(outcome);
        self.line(format_args!("\t\t{action}\n\t}}"));
    }

    /// Counters of what audit-mode blocks would have decided.
    fn audit_counters(&self, deciders: &[Decider]) -> Vec<String> {
        let audited = |decider: &Decider| {
            let block = match *decider {
                Decider::Rule(rule) => self.program.rules.at(rule).block,
                Decider::Default(block) => block,
            };
            self.program.blocks.at(block).audit.then(|| format!("counter name {}", self.counter(*decider, true)))
        };
        deciders.iter().filter_map(audited).collect()
    }

    /// Flows that pass are logged when they begin, flows that are denied at every packet.
    fn log(&mut self, passes: bool, verb: &str, name: &str) {
        let begins = if passes { "ct state new,untracked " } else { "" };
        let rate = self.options.log_rate;
        let burst = rate.saturating_mul(2);
        let prefix = log_prefix(&format!("egressc {verb} {name}"));
        let target = match self.options.log {
            LogTarget::Group(group) => format!(" group {group} snaplen 96"),
            LogTarget::Kernel => " level info".to_owned(),
        };
        self.line(format_args!(
            "\t\t{begins}limit rate {rate}/second burst {burst} packets log prefix \"{prefix}\"{target}"
        ));
    }

    /// Count and decide.
    fn action(&self, outcome: &Outcome) -> String {
        let mut action = String::new();
        for decider in &outcome.decided_by {
            push(&mut action, format_args!("counter name {} ", self.counter(*decider, false)));
        }
        let allowed = outcome.passes && !outcome.decided_by.is_empty();
        action.push_str(match (outcome.passes, allowed && self.options.epoch.is_some()) {
            (true, true) => "goto allow",
            (true, false) => "accept",
            (false, _) => "drop",
        });
        action
    }

    /// What a rule does to packets of an outcome.
    fn reach(&self, number: usize) -> String {
        match self.plan.outcomes.get(number) {
            Some(outcome) if outcome.log.is_none() && outcome.audit.is_none() => self.action(outcome),
            _ => format!("goto o{number}"),
        }
    }

    /// Writes the port chains. A short one stands in the place of each jump to it instead.
    fn port_chains(&mut self) {
        let mut uses = vec![0_usize; self.port_rules.len()];
        for segment in self.plan.tables.values().iter().flat_map(|table| table.v4.iter().chain(&table.v6)) {
            if let Some(count) = index(segment.value).and_then(|chain| uses.get_mut(chain)) {
                *count += 1;
            }
        }
        for (number, (chain, uses)) in self.plan.port_chains.values().iter().zip(uses).enumerate() {
            let rules = self.port_rules_of(chain);
            let short = rules.len() == 1 || (rules.len() == 2 && uses == 1);
            if !short {
                self.line(format_args!("\tchain p{number} {{\n\t\t{}\n\t}}", rules.join("\n\t\t")));
            }
            if let Some(place) = self.port_rules.get_mut(number) {
                *place = if short { rules } else { vec![format!("goto p{number}")] };
            }
        }
    }

    fn port_rules_of(&self, chain: &[(PortSet, usize)]) -> Vec<String> {
        let mut ended = PortSet::empty();
        let mut rules = Vec::new();
        for (ports, outcome) in chain {
            let action = self.reach(*outcome);
            for found in ports::matches(ports, &ended) {
                let gap = if found.is_empty() { "" } else { " " };
                rules.push(format!("{found}{gap}{action}"));
            }
            ended = ended.union(ports);
        }
        rules
    }

    /// A tree for each family. Falling off anywhere leads back to the policy, because every step is a `goto`.
    fn table(&mut self, number: usize, table: &Table) {
        let port_rules = std::mem::take(&mut self.port_rules);
        let none: &[String] = &[];
        let rules = |value: u32| index(value).and_then(|chain| port_rules.get(chain)).map_or(none, Vec::as_slice);
        for (segments, lines) in [(&table.v4, V4), (&table.v6, V6)] {
            self.tree(&format!("t{number}_{}", lines.number), "daddr", segments, lines, |value| rules(value).to_vec());
        }
        self.port_rules = port_rules;
    }

    /// The chains that find the segment of an address; the first has the name itself.
    fn tree(&mut self, name: &str, field: &str, segments: &[Valued], lines: Lines, rules: impl Fn(u32) -> Vec<String>) {
        let starts: Vec<u128> = segments.iter().map(|segment| segment.start).collect();
        for node in tree::nodes(&starts) {
            let chain = |number: usize| if number == 0 { name.to_owned() } else { format!("{name}_{number}") };
            push(&mut self.body, format_args!("\tchain {} {{\n", chain(node.number)));
            for (below, child) in node.children {
                self.body.push_str("\t\t");
                if let Some(below) = below {
                    push(&mut self.body, format_args!("{} {field} < ", lines.protocol));
                    (lines.push)(&mut self.body, below, below);
                    self.body.push(' ');
                }
                push(&mut self.body, format_args!("goto {}\n", chain(child)));
            }
            for segment in segments.get(node.leaves).unwrap_or_default() {
                for rule in rules(segment.value) {
                    self.body.push_str("\t\t");
                    push_match(&mut self.body, field, segment, lines);
                    push(&mut self.body, format_args!(" {rule}\n"));
                }
            }
            self.body.push_str("\t}\n");
        }
    }

    fn map(&mut self, name: &'static str, typed: &'static str, elements: &[(String, String)]) {
        let shown: Vec<String> = elements.iter().map(|(key, verdict)| format!("{key} : {verdict}")).collect();
        let (size, shown) = (elements.len(), shown.join(", "));
        self.line(format_args!("\tmap {name} {{ typeof {typed} : verdict; size {size}; elements = {{ {shown} }}; }}"));
        self.maps.push((name, typed));
    }

    /// The layers of a policy, and what becomes of a packet that none decides.
    fn policy(&mut self, number: usize, policy: &Policy) {
        self.line(format_args!("\tchain w{number} {{"));
        for &layer in &policy.layers {
            let Some(table) = self.plan.tables.get(layer) else { continue };
            for (segments, family) in [(&table.v4, 4), (&table.v6, 6)] {
                if !segments.is_empty() {
                    self.line(format_args!("\t\tmeta nfproto ipv{family} jump t{layer}_{family}"));
                }
            }
        }
        let action = self.reach(policy.default);
        self.line(format_args!("\t\t{action}\n\t}}"));
    }

    /// What all hooks share: who is governed by what.
    fn judge(&mut self) {
        let mut rules = String::new();
        self.accepted_at_once(&mut rules);
        let verdict = |value: u32| index(value).map_or("accept".to_owned(), |policy| format!("jump w{policy}"));
        for (lines, name, typed) in [(V4, "pods4", "ip saddr"), (V6, "pods6", "ip6 saddr")] {
            let pods = self.plan.pods.iter().filter(|(address, _)| address.is_ipv4() == (lines.number == 4));
            let shown = |(address, value): (&std::net::IpAddr, &u32)| {
                let (bits, mut key) = (bits(*address), String::new());
                (lines.push)(&mut key, bits, bits);
                (key, verdict(*value))
            };
            let elements: Vec<(String, String)> = pods.map(shown).collect();
            if !elements.is_empty() {
                push(&mut rules, format_args!("\t\t{typed} vmap @{name}\n"));
                self.map(name, typed, &elements);
            }
        }
        if !self.maps.is_empty() {
            self.live();
            rules.push_str("\t\tjump live\n");
        }
        rules.push_str("\t\tfib daddr type local accept\n");
        for (segments, lines) in [(&self.plan.addresses.v4, V4), (&self.plan.addresses.v6, V6)] {
            if !segments.is_empty() {
                let name = format!("s{}", lines.number);
                push(&mut rules, format_args!("\t\tmeta nfproto ipv{} jump {name}\n", lines.number));
                self.tree(&name, "saddr", segments, lines, |value| vec![verdict(value).replace("jump", "goto")]);
            }
        }
        self.line(format_args!("\tchain judge {{\n{rules}\t}}"));
        self.allow();
    }

    /// Comes back while this generation is the current one; else has the packet judged once more.
    fn live(&mut self) {
        let elements = ["ipv4", "ipv6"].map(|family| (family.to_owned(), "return".to_owned()));
        self.map("live_generation", "meta nfproto", &elements);
        self.line(format_args!(
            "\tcounter judged_again {{ }}\n\tchain live {{\n\t\tmeta nfproto vmap @live_generation\n\
             \t\tcounter name judged_again meta priority set {OVERTAKEN} accept\n\t}}"
        ));
    }

    /// Where allowed flows end when they bear an epoch.
    fn allow(&mut self) {
        if let Some(epoch) = self.options.epoch {
            let mask = self.options.ct_mark_mask;
            let value = epoch << mask.trailing_zeros();
            // Without a connection the first rule ends early; the packet is accepted all the same.
            self.line(format_args!(
                "\tchain allow {{\n\t\tct mark set ct mark & {:#010x} | {value:#010x}\n\t\taccept\n\t}}",
                !mask
            ));
        }
    }

    /// Replies, destinations inside the cluster, and flows of the current epoch.
    fn accepted_at_once(&self, rules: &mut String) {
        rules.push_str("\t\tct direction reply ct state established,related accept\n");
        let inside: &AddressSet = &self.program.cluster.inside;
        for &(start, end) in inside.v4.ranges() {
            push_inside(rules, V4, start.into(), end.into());
        }
        for &(start, end) in inside.v6.ranges() {
            push_inside(rules, V6, start, end);
        }
        if let Some(epoch) = self.options.epoch {
            let mask = self.options.ct_mark_mask;
            let value = epoch << mask.trailing_zeros();
            push(rules, format_args!("\t\tct mark & {mask:#010x} == {value:#010x} accept\n"));
        }
    }

    fn base_chains(&mut self) {
        let mut note = format!("egressc generation {}", self.options.generation);
        if let Some(digest) = &self.options.source_digest {
            push(&mut note, format_args!(" source {digest}"));
        }
        let note = quotable(&note, 127);
        for &hook in self.hooks {
            let name = hook_name(hook);
            self.line(format_args!("\tchain {name} {{\n\t\ttype filter hook {name} priority -90; policy accept;"));
            match hook {
                Hook::Prerouting => self.line(format_args!(
                    "\t\ticmpv6 type {{ 133, 134, 135, 136 }} ip6 daddr fe80::/10 accept\n\
                     \t\ticmpv6 type {{ 133, 134, 135, 136 }} ip6 daddr ff02::/16 accept"
                )),
                Hook::Output => self.line(format_args!(
                    "\t\toifname \"lo\" accept\n\
                     \t\ticmpv6 type {{ 133, 134, 135, 136 }} ip6 hoplimit 255 accept"
                )),
            }
            match (hook, self.options.interfaces.as_slice()) {
                (Hook::Output, _) | (_, []) => self.line(format_args!("\t\tjump judge comment \"{note}\"")),
                (Hook::Prerouting, interfaces) => {
                    for interface in interfaces {
                        self.line(format_args!("\t\tiifname \"{interface}\" jump judge comment \"{note}\""));
                    }
                }
            }
            self.line(format_args!(
                "\t}}\n\tchain {name}_again {{\n\t\ttype filter hook {name} priority -89; policy accept;\n\
                 \t\tmeta priority {OVERTAKEN} goto again\n\t}}"
            ));
        }
        self.line(format_args!("\tchain again {{\n\t\tmeta priority set 0:0\n\t\tjump judge\n\t}}"));
    }

    /// The header, the removal of what earlier files left under our names, and the table.
    fn finish(self) -> String {
        let mut text = String::with_capacity(self.body.len() + self.maps.len() * 120 + 2048);
        let hooks: Vec<&str> = self.hooks.iter().map(|hook| hook_name(*hook)).collect();
        let digest = self.options.source_digest.as_deref().unwrap_or("not given");
        push(
            &mut text,
            format_args!(
                "#!/usr/sbin/nft -f\n\
                 # Egress policy, made by egressc. Do not edit: change the policy and compile again.\n\
                 # source {digest}\n# generation {}\n# hooks {}\n\
                 # Load with `nft -f FILE`, the first time and over any earlier generation: one transaction that no\n\
                 # packet falls between. Touches table inet {TABLE} only; `nft delete table inet {TABLE}` ends it.\n\n\
                 add table inet {TABLE}\nflush table inet {TABLE}\n",
                self.options.generation,
                hooks.join(", "),
            ),
        );
        for (map, typed) in &self.maps {
            push(
                &mut text,
                format_args!(
                    "add map inet {TABLE} {map} {{ typeof {typed} : verdict; }}\ndelete map inet {TABLE} {map}\n"
                ),
            );
        }
        push(&mut text, format_args!("\ntable inet {TABLE} {{\n{}}}\n", self.body));
        text
    }
}

/// A value's number, counted from 0.
fn index(value: u32) -> Option<usize> {
    value.checked_sub(1).and_then(|number| usize::try_from(number).ok())
}

fn push_match(rules: &mut String, field: &str, segment: &Valued, lines: Lines) {
    if segment.start == 0 && segment.end == lines.last() {
        push(rules, format_args!("meta nfproto ipv{}", lines.number));
    } else {
        push(rules, format_args!("{} {field} ", lines.protocol));
        (lines.push)(rules, segment.start, segment.end);
    }
}

fn push_inside(rules: &mut String, lines: Lines, start: u128, end: u128) {
    rules.push_str("\t\t");
    push_match(rules, "daddr", &Valued { start, end, value: 0 }, lines);
    rules.push_str(" accept\n");
}

fn hook_name(hook: Hook) -> &'static str {
    match hook {
        Hook::Prerouting => "prerouting",
        Hook::Output => "output",
    }
}

fn bits(address: std::net::IpAddr) -> u128 {
    match address {
        std::net::IpAddr::V4(v4) => v4.to_bits().into(),
        std::net::IpAddr::V6(v6) => v6.to_bits(),
    }
}
