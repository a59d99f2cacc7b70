//! The plan as text for `nft -f`.
//!
//! In: the plan. Out: one file, one transaction. Two facts about the kernel shape it. A new set with intervals is
//! empty to packets until some time after the switch, so there is none: addresses are found by their first bits in hash
//! maps, and in trees of plain rules. And a map of verdicts that is deleted is empty at once for packets which still
//! walk the old rules. So whatever is decided because a map had nothing asks the map `live_generation` first, which is
//! replaced with the others: a packet that finds nothing there either has been overtaken, and is judged once more by
//! the second base chain of its hook.

mod lookups;
mod names;
mod outcomes;
mod skeleton;

use super::plan::Plan;
use super::ports::NamedSets;
use super::routes::Routes;
use super::words::{push, push_v4, push_v6};
use crate::nftables::decode::TABLE;
use crate::nftables::model::Hook;
use crate::nftables::options::Options;
use egress_ir::Program;
use egress_snapshot::gateway;
use egress_snapshot::names::Names;
use std::collections::{BTreeSet, HashMap};

/// A priority that no packet bears by chance: the mark of one that was overtaken. Nothing else runs between the two
/// base chains that set and clear it.
const OVERTAKEN: &str = "e9e5:5c01";

/// Maps of buckets are removed in steps of so many.
const MAPS: usize = 8;

/// Writes the file.
pub(super) fn text(
    program: &Program,
    plan: &Plan,
    options: &Options,
    hooks: &[Hook],
    routes: &Routes,
    names: &Names,
) -> String {
    let port_rules = plan.port_chains.values().iter().map(|_| Vec::new()).collect();
    let port_sets = NamedSets::new(plan.rules.iter().map(|(ports, _)| ports));
    let mut writer = Writer {
        program,
        plan,
        options,
        hooks,
        routes,
        names,
        hit_chains: BTreeSet::new(),
        maps: Vec::new(),
        maps_of_buckets: Vec::new(),
        map_names: HashMap::new(),
        port_rules,
        port_sets,
        said: Vec::new(),
        alone: Vec::new(),
        body: String::new(),
    };
    writer.judge();
    writer.bucket_maps();
    writer.port_sets();
    writer.name_sets();
    writer.base_chains();
    writer.counters();
    for (number, outcome) in plan.outcomes.values().iter().enumerate() {
        writer.outcome_chain(number, outcome);
    }
    writer.port_chains();
    writer.rules();
    writer.buckets();
    for (number, directory) in plan.directories.iter().enumerate() {
        writer.trees(number, directory);
    }
    for (number, table) in plan.exact.values().iter().enumerate() {
        writer.table(number, table);
    }
    for (number, policy) in plan.policies.values().iter().enumerate() {
        writer.policy(number, policy);
    }
    writer.hit_chains();
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
    routes: &'p Routes,
    names: &'p Names,
    /// The chains of hits that something jumps to, with their families.
    hit_chains: BTreeSet<(usize, u8)>,
    /// The maps with what they are typed for.
    maps: Vec<(&'static str, &'static str)>,
    /// How many maps of buckets each family has.
    maps_of_buckets: Vec<(Lines, usize)>,
    /// Their names by directory, family and level.
    map_names: HashMap<(usize, u8, usize), String>,
    /// The rules that stand in for each port chain.
    port_rules: Vec<Vec<String>>,
    port_sets: NamedSets,
    /// The lines of each rule where it stands among others, and where it has a chain to itself.
    said: Vec<Vec<String>>,
    alone: Vec<Vec<String>>,
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
        let ends = format!("Touches table inet {TABLE} only; `nft delete table inet {TABLE}` ends it.");
        let ends = if self.routes.table.is_empty() {
            format!("# packet falls between. {ends}\n")
        } else {
            let and = format!("# packet falls between. Touches table inet {TABLE} and table inet {}", gateway::TABLE);
            format!("{and} only;\n# `nft delete table inet NAME` ends them.\n")
        };
        push(
            &mut text,
            format_args!(
                "#!/usr/sbin/nft -f\n\
                 # Egress policy, made by egressc. Do not edit: change the policy and compile again.\n\
                 # source {digest}\n# generation {}\n# hooks {}\n\
                 # Load with `nft -f FILE`, the first time and over any earlier generation: one transaction that no\n\
                 {ends}{}{}\nadd table inet {TABLE}\nflush table inet {TABLE}\n",
                self.options.generation,
                hooks.join(", "),
                self.routes.header,
                names::header(self.names),
            ),
        );
        for (map, typed) in &self.maps {
            push_removal(&mut text, map, typed);
        }
        for (lines, count) in &self.maps_of_buckets {
            // Beyond our own, so that those of a larger earlier generation go too.
            for number in 0..count.next_multiple_of(MAPS) {
                push_removal(&mut text, &format!("d{}_{number}", lines.number), &format!("{} daddr", lines.protocol));
            }
        }
        names::push_removals(&mut text, self.names);
        push(&mut text, format_args!("\ntable inet {TABLE} {{\n{}}}\n", self.body));
        if !self.routes.table.is_empty() {
            push(&mut text, format_args!("\n{}", self.routes.table));
        }
        text
    }
}

/// Removes a map whether it is there or not.
fn push_removal(text: &mut String, map: &str, typed: &str) {
    push(
        text,
        format_args!("add map inet {TABLE} {map} {{ typeof {typed} : verdict; }}\ndelete map inet {TABLE} {map}\n"),
    );
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

/// A rule that looks the first bits of the destination up.
fn push_look_up(rules: &mut String, length: u8, map: &str, lines: Lines) {
    push(rules, format_args!("{} daddr ", lines.protocol));
    let rest = lines.last().checked_shr(length.into()).unwrap_or(0);
    if rest != 0 {
        rules.push_str("& ");
        (lines.push)(rules, lines.last() ^ rest, lines.last() ^ rest);
        rules.push(' ');
    }
    push(rules, format_args!("vmap @{map}\n"));
}

fn hook_name(hook: Hook) -> &'static str {
    match hook {
        Hook::Prerouting => "prerouting",
        Hook::Output => "output",
        Hook::Postrouting => "postrouting",
    }
}
