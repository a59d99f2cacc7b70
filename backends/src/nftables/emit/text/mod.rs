//! The plan as text for `nft -f`.
//!
//! In: the plan. Out: one file, one transaction. Two facts about the kernel shape it. A new set with intervals is
//! empty to packets until some time after the switch, so there is none: tables are trees of plain rules. And a map
//! that is deleted is empty at once for packets which still walk the old rules, so whoever is in no map of pods asks
//! the map `live_generation`, which is replaced with them: a packet that finds nothing there either has been
//! overtaken, and is judged once more by the second base chain of its hook.

mod lookups;
mod outcomes;
mod skeleton;

use super::plan::Plan;
use super::words::{push, push_v4, push_v6};
use crate::nftables::decode::TABLE;
use crate::nftables::model::Hook;
use crate::nftables::options::Options;
use egress_ir::Program;

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
    for (number, spreads) in plan.spreads.iter().enumerate() {
        writer.spreads(number, spreads);
    }
    for (number, table) in plan.exact.values().iter().enumerate() {
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

    fn map(&mut self, name: &'static str, typed: &'static str, elements: &[(String, String)]) {
        let shown: Vec<String> = elements.iter().map(|(key, verdict)| format!("{key} : {verdict}")).collect();
        let (size, shown) = (elements.len(), shown.join(", "));
        self.line(format_args!("\tmap {name} {{ typeof {typed} : verdict; size {size}; elements = {{ {shown} }}; }}"));
        self.maps.push((name, typed));
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

fn push_match(rules: &mut String, field: &str, start: u128, end: u128, lines: Lines) {
    if start == 0 && end == lines.last() {
        push(rules, format_args!("meta nfproto ipv{}", lines.number));
    } else {
        push(rules, format_args!("{} {field} ", lines.protocol));
        (lines.push)(rules, start, end);
    }
}

fn hook_name(hook: Hook) -> &'static str {
    match hook {
        Hook::Prerouting => "prerouting",
        Hook::Output => "output",
    }
}
