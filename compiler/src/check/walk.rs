//! The walk over every cell of one group.
//!
//! In: the rules that apply to the group. Out: facts, cell by cell. A key of the address sweep is visited once however
//! many segments share it. Names vary independently of addresses: for rules on hosts, each satisfiable combination of
//! one or two names is tried at each key; two suffice, because at most two rules make any finding and further names
//! only add rules that hide it.

use super::facts::{Cell, Facts, Number, Word};
use super::groups::Group;
use crate::lower::private;
use egress_ir::classes::{Keys, PortCells, Segment, name_classes, sweep};
use egress_ir::{
    Action, BlockKind, Cancelled, DestinationSet, DestinationSetId, HostPattern, Point, PortSet, PortSetId, Program,
    RangeSet, RuleId, Stop,
};
use std::collections::BTreeSet;

/// Facts about every cell of the group. They are the same for any group whose rules say the same in the same order.
///
/// # Errors
/// [`Cancelled`].
pub(super) fn walk(program: &Program, group: &Group, stop: &Stop) -> Result<Facts<Number>, Cancelled> {
    let plan = Plan::of(program, group, stop);
    let mut facts = Facts::none(group.rules.len());
    let addresses = || plan.sets.iter().map(|&set| &program.destination_sets.at(set).addresses);
    // Addresses to which no name of the outside should resolve.
    let special = private();
    let [v4, v6] = &group.members;
    if v4.is_some() {
        let sets: Vec<&RangeSet<u32>> = addresses().map(|set| &set.v4).chain([&special.v4]).collect();
        plan.visit(false, &sets, &program.cluster.inside.v4, &mut facts)?;
    }
    if v6.is_some() {
        let sets: Vec<&RangeSet<u128>> = addresses().map(|set| &set.v6).chain([&special.v6]).collect();
        plan.visit(true, &sets, &program.cluster.inside.v6, &mut facts)?;
    }
    Ok(facts)
}

/// What is the same for all cells of a group.
struct Plan<'p> {
    stop: &'p Stop,
    governed: bool,
    /// What the rules say beside their sets, by their places in the group.
    words: Vec<Word>,
    /// The port sets of the rules.
    ports: Vec<(PortSetId, &'p PortSet)>,
    /// The destination sets in use, sorted; the place in this list is the place in the sweep.
    sets: Vec<DestinationSetId>,
    /// All rules, those of one destination set next to each other, in the order of `sets`.
    rules: Vec<Number>,
    /// For each destination set the place after its last rule.
    ends: Vec<usize>,
    /// Rules that match by name, sorted.
    by_name: Vec<Number>,
    /// The satisfiable combinations of names, each with the rules that it matches, sorted.
    names: Vec<(Vec<String>, Vec<Number>)>,
}

impl<'p> Plan<'p> {
    fn of(program: &'p Program, group: &Group, stop: &'p Stop) -> Self {
        let words: Vec<Word> = group.rules.iter().map(|&rule| word(program, rule)).collect();
        let ports = group.rules.iter().map(|&rule| program.rules.at(rule).ports);
        let ports = ports.map(|id| (id, program.port_sets.at(id))).collect();
        let destinations: Vec<DestinationSetId> =
            group.rules.iter().map(|&rule| program.rules.at(rule).destinations).collect();
        let set_of = |rule: &Number| destinations.get(*rule as usize).copied();
        let mut rules: Vec<Number> = (0..).zip(&group.rules).map(|(number, _)| number).collect();
        rules.sort_by_key(set_of);
        let (sets, ends): (Vec<_>, Vec<_>) = rules
            .chunk_by(|a, b| set_of(a) == set_of(b))
            .scan(0, |end, chunk| {
                *end += chunk.len();
                chunk.first().and_then(set_of).map(|set| (set, *end))
            })
            .unzip();
        let none = BTreeSet::new();
        let hosts = |set: DestinationSetId| -> &'p DestinationSet { program.destination_sets.at(set) };
        let hosts_of = |rule: Number| set_of(&rule).map_or(&none, |set| &hosts(set).hosts);
        let mut by_name: Vec<Number> = rules.iter().copied().filter(|&rule| !hosts_of(rule).is_empty()).collect();
        by_name.sort_unstable();
        let patterns: BTreeSet<&HostPattern> = by_name.iter().flat_map(|&rule| hosts_of(rule)).collect();
        let single = name_classes(&patterns.into_iter().collect::<Vec<_>>()).into_values().map(|name| {
            let matched = |&rule: &Number| hosts_of(rule).iter().any(|host| host.matches(&name));
            let rules: Vec<Number> = by_name.iter().copied().filter(matched).collect();
            (vec![name], rules)
        });
        let names = with_pairs(&words, single.collect());
        Self { stop, governed: group.governed, words, ports, sets, rules, ends, by_name, names }
    }

    /// Visits each key of the sweep; the last of `sets` marks special addresses and belongs to no rule.
    fn visit<A: Point + Into<u128>>(
        &self,
        v6: bool,
        sets: &[&RangeSet<A>],
        inside: &RangeSet<A>,
        facts: &mut Facts<Number>,
    ) -> Result<(), Cancelled> {
        let mut keys = Keys::default();
        // Special addresses part segments only where that can show a rebinding.
        let sets = if self.by_name.is_empty() { sets.get(..self.sets.len()).unwrap_or(sets) } else { sets };
        let segments = sweep(sets, inside, &mut keys);
        let mut visited = vec![false; keys.len()];
        let mut cells = PortCells::default();
        let mut by_address: Vec<Number> = Vec::new();
        for Segment { start, end, key } in segments {
            if visited.get_mut(key.index()).is_none_or(|seen| std::mem::replace(seen, true)) {
                continue;
            }
            self.stop.check()?;
            let list = keys.list(key);
            by_address.clear();
            by_address.extend(list.iter().flat_map(|&set| self.rules_of(set as usize)));
            by_address.sort_unstable();
            let special = list.last().is_some_and(|&set| set as usize == self.sets.len());
            let place = Place { v6, start: start.into(), end: end.into(), special };
            self.visit_key(&place, &by_address, &mut cells, facts);
        }
        Ok(())
    }

    /// The rules of a destination set; none for the mark of special addresses.
    fn rules_of(&self, set: usize) -> &[Number] {
        let start = set.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(set).and_then(|&end| self.rules.get(start..end)).unwrap_or(&[])
    }

    /// The ports of a rule of the group.
    fn ports_of(&self, rule: Number) -> Option<(PortSetId, &'p PortSet)> {
        self.ports.get(rule as usize).copied()
    }

    fn visit_key(&self, place: &Place, by_address: &[Number], cells: &mut PortCells, facts: &mut Facts<Number>) {
        if !self.by_name.is_empty() {
            return self.visit_key_with_names(place, by_address, cells, facts);
        }
        let Some((id, ports)) = by_address.first().and_then(|&rule| self.ports_of(rule)) else { return };
        let note = |facts: &mut Facts<Number>, matching: &[Number], first: u32, last: u32| {
            let cell = || place.cell((first, last), &[]);
            let possible = !matching.is_empty() && PortSet::possible(place.v6).meets(first, last);
            if possible {
                facts.note(&self.words, self.governed, matching, matching, cell);
            }
            possible
        };
        // Rules that share their ports, as most keys have them, match together on all of them or on none.
        let same = |&rule: &Number| self.ports_of(rule).is_some_and(|(other, set)| other == id || set == ports);
        if by_address.iter().all(same) {
            let _first_possible =
                ports.line_ranges().iter().find(|(first, last)| note(facts, by_address, *first, *last));
            return;
        }
        let mut matching: Vec<Number> = Vec::with_capacity(by_address.len());
        let ports = by_address.iter().filter_map(|&rule| self.ports_of(rule)).map(|(_, ports)| ports);
        cells.visit(ports, |first, last, members| {
            matching.clear();
            matching.extend(members.iter().filter_map(|&member| by_address.get(member as usize)));
            note(facts, &matching, first, last);
        });
    }

    fn visit_key_with_names(
        &self,
        place: &Place,
        by_address: &[Number],
        cells: &mut PortCells,
        facts: &mut Facts<Number>,
    ) {
        let candidates = merge(by_address, &self.by_name);
        let ports = candidates.iter().filter_map(|&rule| self.ports_of(rule)).map(|(_, ports)| ports);
        let mut matching: Vec<Number> = Vec::new();
        cells.visit(ports, |first, last, members| {
            if members.is_empty() || !PortSet::possible(place.v6).meets(first, last) {
                return;
            }
            let cell = |names: &[String]| place.cell((first, last), names);
            let here: Vec<Number> = members.iter().filter_map(|&m| candidates.get(m as usize).copied()).collect();
            matching.clear();
            matching.extend(here.iter().filter(|rule| by_address.binary_search(rule).is_ok()));
            if !matching.is_empty() {
                facts.note(&self.words, self.governed, &matching, &matching, || cell(&[]));
            }
            if matching.len() < here.len() {
                self.visit_names(place, &matching, &here, cell, facts);
            }
        });
    }

    /// Notes the cell for each combination of names that matches some rule which the address does not.
    fn visit_names(
        &self,
        place: &Place,
        by_address: &[Number],
        here: &[Number],
        cell: impl Fn(&[String]) -> Cell,
        facts: &mut Facts<Number>,
    ) {
        for (names, rules) in &self.names {
            let named: Vec<Number> = rules.iter().copied().filter(|rule| here.binary_search(rule).is_ok()).collect();
            let matching = merge(by_address, &named);
            if matching.len() == by_address.len() {
                continue;
            }
            facts.note(&self.words, self.governed, &matching, by_address, || cell(names));
            let allows = |rule: &Number| self.words.get(*rule as usize).is_some_and(|it| it.action == Action::Allow);
            if place.special && matching.iter().all(allows) {
                for &rule in named.iter().filter(|rule| by_address.binary_search(rule).is_err()) {
                    facts.rebindings.entry(rule).or_insert_with(|| cell(names));
                }
            }
        }
    }
}

fn word(program: &Program, rule: RuleId) -> Word {
    let rule = program.rules.at(rule);
    let guards = program.blocks.at(rule.block).kind == BlockKind::Guardrail;
    Word { action: rule.action, gateway: rule.gateway, log: rule.log, guards }
}

/// The addresses of one key.
struct Place {
    v6: bool,
    start: u128,
    end: u128,
    special: bool,
}

impl Place {
    /// A cell of the group that is walked, whatever its number turns out to be.
    fn cell(&self, ports: (u32, u32), names: &[String]) -> Cell {
        Cell { group: 0, v6: self.v6, start: self.start, end: self.end, ports, names: names.to_vec() }
    }
}

/// Adds the pairs of names in which two rules can meet: a deny with anything, and two gateways.
fn with_pairs(words: &[Word], mut names: Vec<(Vec<String>, Vec<Number>)>) -> Vec<(Vec<String>, Vec<Number>)> {
    let some =
        |rules: &[Number], is: fn(&Word) -> bool| rules.iter().any(|&rule| words.get(rule as usize).is_some_and(is));
    let denies = |rules: &[Number]| some(rules, |word| word.action == Action::Deny);
    let routes = |rules: &[Number]| some(rules, |word| word.gateway.is_some());
    let mut pairs = Vec::new();
    for (place, (first, first_rules)) in names.iter().enumerate() {
        for (second, second_rules) in names.iter().skip(place + 1) {
            let meet = denies(first_rules) || denies(second_rules) || (routes(first_rules) && routes(second_rules));
            if meet {
                pairs.push(([&first[..], &second[..]].concat(), merge(first_rules, second_rules)));
            }
        }
    }
    names.extend(pairs);
    names
}

/// The union of two sorted lists, sorted.
fn merge(first: &[Number], second: &[Number]) -> Vec<Number> {
    if second.is_empty() {
        return first.to_vec();
    }
    let mut all = [first, second].concat();
    all.sort_unstable();
    all.dedup();
    all
}
