//! The walk over every cell of one group.
//!
//! In: the rules that apply to the group. Out: facts, cell by cell. A key of the address sweep is visited once however
//! many segments share it. Names vary independently of addresses: for rules on hosts, each satisfiable combination of
//! one or two names is tried at each key; two suffice, because at most two rules make any finding and further names
//! only add rules that hide it.

use super::facts::{Cell, Facts};
use super::groups::Group;
use crate::lower::private;
use egress_ir::classes::{Keys, PortCells, Segment, name_classes, sweep};
use egress_ir::{Action, DestinationSetId, HostPattern, Point, PortSet, Program, RangeSet, RuleId};
use std::collections::BTreeSet;

/// Notes facts about every cell of the group.
pub(super) fn walk(program: &Program, number: u32, group: &Group, facts: &mut Facts<'_>) {
    let plan = Plan::of(program, number, group);
    let addresses = || plan.sets.iter().map(|&set| &program.destination_sets.at(set).addresses);
    // Addresses to which no name of the outside should resolve.
    let special = private();
    let [v4, v6] = &group.members;
    if v4.is_some() {
        let sets: Vec<&RangeSet<u32>> = addresses().map(|set| &set.v4).chain([&special.v4]).collect();
        plan.visit(false, &sets, &program.cluster.inside.v4, facts);
    }
    if v6.is_some() {
        let sets: Vec<&RangeSet<u128>> = addresses().map(|set| &set.v6).chain([&special.v6]).collect();
        plan.visit(true, &sets, &program.cluster.inside.v6, facts);
    }
}

/// What is the same for all cells of a group.
struct Plan<'p> {
    program: &'p Program,
    number: u32,
    governed: bool,
    /// The destination sets in use, sorted; the place in this list is the place in the sweep.
    sets: Vec<DestinationSetId>,
    /// All rules, those of one destination set next to each other, in the order of `sets`.
    rules: Vec<RuleId>,
    /// For each destination set the place after its last rule.
    ends: Vec<usize>,
    /// Rules that match by name, sorted.
    by_name: Vec<RuleId>,
    /// The satisfiable combinations of names, each with the rules that it matches, sorted.
    names: Vec<(Vec<String>, Vec<RuleId>)>,
}

impl<'p> Plan<'p> {
    fn of(program: &'p Program, number: u32, group: &Group) -> Self {
        let set_of = |rule: &RuleId| program.rules.at(*rule).destinations;
        let mut rules = group.rules.clone();
        rules.sort_by_key(set_of);
        let (sets, ends): (Vec<_>, Vec<_>) = rules
            .chunk_by(|a, b| set_of(a) == set_of(b))
            .scan(0, |end, chunk| {
                *end += chunk.len();
                chunk.first().map(|rule| (set_of(rule), *end))
            })
            .unzip();
        let hosts_of = |rule: RuleId| &program.destination_sets.at(program.rules.at(rule).destinations).hosts;
        let by_name: Vec<RuleId> = group.rules.iter().copied().filter(|&rule| !hosts_of(rule).is_empty()).collect();
        let patterns: BTreeSet<&HostPattern> = by_name.iter().flat_map(|&rule| hosts_of(rule)).collect();
        let single = name_classes(&patterns.into_iter().collect::<Vec<_>>()).into_values().map(|name| {
            let matched = |&rule: &RuleId| hosts_of(rule).iter().any(|host| host.matches(&name));
            let rules: Vec<RuleId> = by_name.iter().copied().filter(matched).collect();
            (vec![name], rules)
        });
        let names = with_pairs(program, single.collect());
        Self { program, number, governed: group.governed, sets, rules, ends, by_name, names }
    }

    /// Visits each key of the sweep; the last of `sets` marks special addresses and belongs to no rule.
    fn visit<A: Point + Into<u128>>(
        &self,
        v6: bool,
        sets: &[&RangeSet<A>],
        inside: &RangeSet<A>,
        facts: &mut Facts<'_>,
    ) {
        let mut keys = Keys::default();
        // Special addresses part segments only where that can show a rebinding.
        let sets = if self.by_name.is_empty() { sets.get(..self.sets.len()).unwrap_or(sets) } else { sets };
        let segments = sweep(sets, inside, &mut keys);
        let mut visited = vec![false; keys.len()];
        let mut cells = PortCells::default();
        let mut by_address: Vec<RuleId> = Vec::new();
        for Segment { start, end, key } in segments {
            if visited.get_mut(key.index()).is_none_or(|seen| std::mem::replace(seen, true)) {
                continue;
            }
            let list = keys.list(key);
            by_address.clear();
            by_address.extend(list.iter().flat_map(|&set| self.rules_of(set as usize)));
            by_address.sort_unstable();
            let special = list.last().is_some_and(|&set| set as usize == self.sets.len());
            let place = Place { v6, start: start.into(), end: end.into(), special };
            self.visit_key(&place, &by_address, &mut cells, facts);
        }
    }

    /// The rules of a destination set; none for the mark of special addresses.
    fn rules_of(&self, set: usize) -> &[RuleId] {
        let start = set.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(set).and_then(|&end| self.rules.get(start..end)).unwrap_or(&[])
    }

    fn visit_key(&self, place: &Place, by_address: &[RuleId], cells: &mut PortCells, facts: &mut Facts<'_>) {
        if !self.by_name.is_empty() {
            return self.visit_key_with_names(place, by_address, cells, facts);
        }
        let ports_of = |rule: &RuleId| self.program.rules.at(*rule).ports;
        let Some(ports) = by_address.first().map(ports_of) else { return };
        let note = |facts: &mut Facts<'_>, matching: &[RuleId], first: u32, last: u32| {
            let cell = || place.cell(self.number, (first, last), &[]);
            let possible = !matching.is_empty() && PortSet::possible(place.v6).meets(first, last);
            if possible {
                facts.note(self.governed, matching, matching, cell);
            }
            possible
        };
        // Rules that share their ports, as most keys have them, match together on all of them or on none.
        if by_address.iter().all(|rule| ports_of(rule) == ports) {
            let ranges = self.program.port_sets.at(ports).line_ranges();
            let _first_possible = ranges.iter().find(|(first, last)| note(facts, by_address, *first, *last));
            return;
        }
        let mut matching: Vec<RuleId> = Vec::with_capacity(by_address.len());
        let ports = by_address.iter().map(|rule| self.program.port_sets.at(ports_of(rule)));
        cells.visit(ports, |first, last, members| {
            matching.clear();
            matching.extend(members.iter().filter_map(|&member| by_address.get(member as usize)));
            note(facts, &matching, first, last);
        });
    }

    fn visit_key_with_names(&self, place: &Place, by_address: &[RuleId], cells: &mut PortCells, facts: &mut Facts<'_>) {
        let candidates = merge(by_address, &self.by_name);
        let ports = candidates.iter().map(|&rule| self.program.port_sets.at(self.program.rules.at(rule).ports));
        let mut matching: Vec<RuleId> = Vec::new();
        cells.visit(ports, |first, last, members| {
            if members.is_empty() || !PortSet::possible(place.v6).meets(first, last) {
                return;
            }
            let cell = |names: &[String]| place.cell(self.number, (first, last), names);
            let here: Vec<RuleId> = members.iter().filter_map(|&m| candidates.get(m as usize).copied()).collect();
            matching.clear();
            matching.extend(here.iter().filter(|rule| by_address.binary_search(rule).is_ok()));
            if !matching.is_empty() {
                facts.note(self.governed, &matching, &matching, || cell(&[]));
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
        by_address: &[RuleId],
        here: &[RuleId],
        cell: impl Fn(&[String]) -> Cell,
        facts: &mut Facts<'_>,
    ) {
        for (names, rules) in &self.names {
            let named: Vec<RuleId> = rules.iter().copied().filter(|rule| here.binary_search(rule).is_ok()).collect();
            let matching = merge(by_address, &named);
            if matching.len() == by_address.len() {
                continue;
            }
            facts.note(self.governed, &matching, by_address, || cell(names));
            let action = |rule: &RuleId| self.program.rules.at(*rule).action;
            if place.special && matching.iter().all(|rule| action(rule) == Action::Allow) {
                for &rule in named.iter().filter(|rule| by_address.binary_search(rule).is_err()) {
                    facts.rebindings.entry(rule).or_insert_with(|| cell(names));
                }
            }
        }
    }
}

/// The addresses of one key.
struct Place {
    v6: bool,
    start: u128,
    end: u128,
    special: bool,
}

impl Place {
    fn cell(&self, group: u32, ports: (u32, u32), names: &[String]) -> Cell {
        Cell { group, v6: self.v6, start: self.start, end: self.end, ports, names: names.to_vec() }
    }
}

/// Adds the pairs of names in which two rules can meet: a deny with anything, and two gateways.
fn with_pairs(program: &Program, mut names: Vec<(Vec<String>, Vec<RuleId>)>) -> Vec<(Vec<String>, Vec<RuleId>)> {
    let denies = |rules: &[RuleId]| rules.iter().any(|&rule| program.rules.at(rule).action == Action::Deny);
    let routes = |rules: &[RuleId]| rules.iter().any(|&rule| program.rules.at(rule).gateway.is_some());
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
fn merge(first: &[RuleId], second: &[RuleId]) -> Vec<RuleId> {
    if second.is_empty() {
        return first.to_vec();
    }
    let mut all = [first, second].concat();
    all.sort_unstable();
    all.dedup();
    all
}
