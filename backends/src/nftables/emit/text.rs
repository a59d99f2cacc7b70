//! The plan as text for `nft -f`.
//!
//! In: the plan. Out: one file, one transaction. Two facts about the kernel shape it. A new set with intervals is
//! empty to packets until some time after the switch, so there is none: tables are hash maps, one for each prefix
//! length, and ranges stand in rules. And a map that is deleted is empty at once for packets which still walk the old
//! rules, so whoever found nothing asks the map `live` of the same generation: a packet that finds nothing there
//! either has been overtaken, and is judged once more by the second base chain of its hook.

use super::outcome::{Decider, Outcome};
use super::plan::{Plan, Policy, Table};
use super::ports;
use super::prefixes::Entry;
use super::words::{comment, identifier, log_prefix, push, push_v4, push_v6, quotable};
use crate::nftables::decode::TABLE;
use crate::nftables::model::Hook;
use crate::nftables::options::{LogTarget, Options};
use egress_ir::{AddressSet, BlockKind, PortSet, Program};

/// A priority that no packet bears by chance: the mark of one that was overtaken. Nothing else runs between the two
/// base chains that set and clear it.
const OVERTAKEN: &str = "e9e5:5c01";

/// Up to so many prefixes of one length are rules rather than a map.
const FEW: usize = 3;

/// Writes the file.
pub(super) fn text(program: &Program, plan: &Plan, options: &Options, hooks: &[Hook]) -> String {
    let mut writer = Writer { program, plan, options, hooks, maps: Vec::new(), body: String::new() };
    writer.counters();
    for (number, (_, outcome)) in (0..).zip(plan.outcomes.values().iter().map(|outcome| ((), outcome))) {
        writer.outcome_chain(number, outcome);
    }
    for (number, chain) in plan.port_chains.values().iter().enumerate() {
        writer.port_chain(number, chain);
    }
    let shapes: Vec<Shape> =
        plan.tables.values().iter().enumerate().map(|(number, table)| writer.table(number, table)).collect();
    for (number, policy) in plan.policies.values().iter().enumerate() {
        writer.policy(number, policy, &shapes);
    }
    writer.live();
    writer.judge();
    writer.base_chains();
    writer.finish()
}

/// What must be asked around a table's chain.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    v4: Side,
    v6: Side,
}

/// The same for one family.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    exists: bool,
    /// Its first rules trust that no map before was empty by mistake.
    trusts: bool,
    /// A packet that falls off its end may have missed a map that was deleted.
    doubts: bool,
}

/// A family: how its packets are matched.
#[derive(Clone, Copy)]
struct Lines {
    protocol: &'static str,
    number: u8,
    width: u8,
    push: fn(&mut String, u128, u128),
}

const V4: Lines = Lines {
    protocol: "ip",
    number: 4,
    width: 32,
    push: |text, start, end| push_v4(text, u32::try_from(start).unwrap_or(0), u32::try_from(end).unwrap_or(u32::MAX)),
};
const V6: Lines = Lines { protocol: "ip6", number: 6, width: 128, push: push_v6 };

struct Writer<'p> {
    program: &'p Program,
    plan: &'p Plan,
    options: &'p Options,
    hooks: &'p [Hook],
    /// The maps with what they are typed for.
    maps: Vec<(String, &'static str)>,
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

    fn port_chain(&mut self, number: usize, chain: &[(PortSet, usize)]) {
        self.line(format_args!("\tchain p{number} {{"));
        let mut ended = PortSet::empty();
        for (ports, outcome) in chain {
            let action = self.reach(*outcome);
            for found in ports::matches(ports, &ended) {
                let gap = if found.is_empty() { "" } else { " " };
                self.line(format_args!("\t\t{found}{gap}{action}"));
            }
            ended = ended.union(ports);
        }
        self.line(format_args!("\t}}"));
    }

    fn table(&mut self, number: usize, table: &Table) -> Shape {
        Shape { v4: self.table_chain(number, &table.v4, V4), v6: self.table_chain(number, &table.v6, V6) }
    }

    /// A chain that goes to the port chain of the longest prefix; falling off anywhere leads back to the policy.
    fn table_chain(&mut self, number: usize, entries: &[Entry], lines: Lines) -> Side {
        if entries.is_empty() {
            return Side::default();
        }
        let verdict = |value: u32| match value.checked_sub(1) {
            Some(chain) => format!("goto p{chain}"),
            None => "return".to_owned(),
        };
        let name = format!("t{number}_{}", lines.number);
        let (rules, doubts, trusts) = self.longest_match(&name, "daddr", entries, lines, verdict);
        self.line(format_args!("\tchain {name} {{\n{rules}\t}}"));
        Side { exists: true, trusts, doubts }
    }

    /// Rules that look the longest prefix up; also whether falling off them is in doubt, and whether they begin with
    /// a rule rather than a map.
    fn longest_match(
        &mut self,
        name: &str,
        field: &str,
        entries: &[Entry],
        lines: Lines,
        verdict: impl Fn(u32) -> String,
    ) -> (String, bool, bool) {
        let mut rules = String::new();
        let (mut doubts, mut trusts) = (false, false);
        for (index, group) in entries.chunk_by(|a, b| a.length == b.length).enumerate() {
            let length = group.first().map_or(0, |entry| entry.length);
            // After a map only length 0, which no mask can express, goes back to rules: each return costs a question.
            if length == 0 || (!doubts && group.len() <= FEW) {
                if doubts {
                    rules.push_str("\t\tjump live\n");
                }
                doubts = false;
                trusts |= index == 0;
                for entry in group {
                    rules.push_str("\t\t");
                    self.push_match(&mut rules, field, entry, lines);
                    push(&mut rules, format_args!("{}\n", verdict(entry.value)));
                }
                continue;
            }
            let map = format!("{name}_{length}");
            push(&mut rules, format_args!("\t\t{} {field} ", lines.protocol));
            if length < lines.width {
                rules.push_str("& ");
                let mask = mask(length, lines.width);
                (lines.push)(&mut rules, mask, mask);
                rules.push(' ');
            }
            push(&mut rules, format_args!("vmap @{map}\n"));
            self.map(map, group, lines, &verdict);
            doubts = true;
        }
        (rules, doubts, trusts)
    }

    fn push_match(&self, rules: &mut String, field: &str, entry: &Entry, lines: Lines) {
        if entry.length == 0 {
            push(rules, format_args!("meta nfproto ipv{} ", lines.number));
            return;
        }
        push(rules, format_args!("{} {field} ", lines.protocol));
        let host_bits = !mask(entry.length, lines.width) & mask(lines.width, lines.width);
        (lines.push)(rules, entry.address, entry.address | host_bits);
        rules.push(' ');
    }

    fn map(&mut self, name: String, group: &[Entry], lines: Lines, verdict: impl Fn(u32) -> String) {
        let count = group.len();
        let typed = if lines.width == 32 { "ip daddr" } else { "ip6 daddr" };
        push(&mut self.body, format_args!("\tmap {name} {{ typeof {typed} : verdict; size {count}; elements = {{ "));
        for (index, entry) in group.iter().enumerate() {
            self.body.push_str(if index == 0 { "" } else { ", " });
            (lines.push)(&mut self.body, entry.address, entry.address);
            push(&mut self.body, format_args!(" : {}", verdict(entry.value)));
        }
        self.body.push_str(" }; }\n");
        self.maps.push((name, typed));
    }

    /// The layers of a policy, and what becomes of a packet that none decides.
    fn policy(&mut self, number: usize, policy: &Policy, shapes: &[Shape]) {
        self.line(format_args!("\tchain w{number} {{"));
        let mut doubts = false;
        for &layer in &policy.layers {
            let shape = shapes.get(layer).copied().unwrap_or_default();
            if doubts && (shape.v4.trusts || shape.v6.trusts) {
                self.line(format_args!("\t\tjump live"));
                doubts = false;
            }
            for (side, family) in [(shape.v4, 4), (shape.v6, 6)] {
                if side.exists {
                    self.line(format_args!("\t\tmeta nfproto ipv{family} jump t{layer}_{family}"));
                }
                doubts |= side.doubts;
            }
        }
        if doubts {
            self.line(format_args!("\t\tjump live"));
        }
        let action = self.reach(policy.default);
        self.line(format_args!("\t\t{action}\n\t}}"));
    }

    /// Comes back while this generation is the current one; else has the packet judged once more.
    fn live(&mut self) {
        self.maps.push(("live_generation".to_owned(), "meta nfproto"));
        self.line(format_args!(
            "\tmap live_generation {{ typeof meta nfproto : verdict; elements = {{ ipv4 : return, ipv6 : return }}; }}\n\
             \tcounter judged_again {{ }}\n\
             \tchain live {{\n\t\tmeta nfproto vmap @live_generation\n\
             \t\tcounter name judged_again meta priority set {OVERTAKEN} accept\n\t}}"
        ));
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

    /// What all hooks share: who is governed by what.
    fn judge(&mut self) {
        let mut rules = String::new();
        self.accepted_at_once(&mut rules);
        let verdict = |value: u32| match value.checked_sub(1) {
            Some(policy) => format!("jump w{policy}"),
            None => "accept".to_owned(),
        };
        let mut has_pods = false;
        for (lines, v4) in [(V4, true), (V6, false)] {
            let pods = self.plan.pods.iter().filter(|(address, _)| address.is_ipv4() == v4);
            let entry = |(address, value): (&std::net::IpAddr, &u32)| Entry {
                length: lines.width,
                address: bits(*address),
                value: *value,
            };
            let entries: Vec<Entry> = pods.map(entry).collect();
            if !entries.is_empty() {
                has_pods = true;
                let name = format!("pods{}", lines.number);
                push(&mut rules, format_args!("\t\t{} saddr vmap @{name}\n", lines.protocol));
                self.map(name, &entries, lines, verdict);
            }
        }
        if has_pods {
            rules.push_str("\t\tjump live\n");
        }
        rules.push_str("\t\tfib daddr type local accept\n");
        let mut doubts = false;
        for (lines, entries) in [(V4, &self.plan.addresses.v4), (V6, &self.plan.addresses.v6)] {
            let name = format!("addresses{}", lines.number);
            let (more, in_doubt, _) = self.longest_match(&name, "saddr", entries, lines, verdict);
            rules.push_str(&more);
            doubts |= in_doubt;
        }
        if doubts {
            rules.push_str("\t\tjump live\n");
        }
        self.line(format_args!("\tchain judge {{\n{rules}\t}}"));
    }

    /// Replies, destinations inside the cluster, and flows of the current epoch.
    fn accepted_at_once(&self, rules: &mut String) {
        rules.push_str("\t\tct direction reply ct state established,related accept\n");
        let inside: &AddressSet = &self.program.cluster.inside;
        for &(start, end) in inside.v4.ranges() {
            rules.push_str("\t\t");
            push_range(rules, V4, start.into(), end.into());
        }
        for &(start, end) in inside.v6.ranges() {
            rules.push_str("\t\t");
            push_range(rules, V6, start, end);
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

fn push_range(rules: &mut String, lines: Lines, start: u128, end: u128) {
    if start == 0 && end == mask(lines.width, lines.width) {
        push(rules, format_args!("meta nfproto ipv{} accept\n", lines.number));
        return;
    }
    push(rules, format_args!("{} daddr ", lines.protocol));
    (lines.push)(rules, start, end);
    rules.push_str(" accept\n");
}

fn hook_name(hook: Hook) -> &'static str {
    match hook {
        Hook::Prerouting => "prerouting",
        Hook::Output => "output",
    }
}

/// The netmask of a length.
fn mask(length: u8, width: u8) -> u128 {
    let ones = u128::MAX.checked_shr(128 - u32::from(length)).unwrap_or(0);
    ones.checked_shl(u32::from(width - length)).unwrap_or(0)
}

fn bits(address: std::net::IpAddr) -> u128 {
    match address {
        std::net::IpAddr::V4(v4) => v4.to_bits().into(),
        std::net::IpAddr::V6(v6) => v6.to_bits(),
    }
}
