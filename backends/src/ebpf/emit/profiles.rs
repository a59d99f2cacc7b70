//! Profiles: what happens on each port, where a list of rules covers a destination.
//!
//! In: lists of rules with the governance of who sends. Out: rows of port classes to outcomes, equal ones once. Looks
//! only at the port classes that rules of the list name; a rule for every port changes the base of the row.

use super::check::TooLarge;
use super::intern::{Interner, place};
use super::matrix::{Matrix, Row};
use super::outcomes::{Governance, Outcome, Outcomes};
use super::ports::Ports;
use egress_ir::{Program, RuleId};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// Profiles by number, and the outcomes that they lead to.
pub(super) struct Profiles<'p> {
    program: &'p Program,
    ports: &'p Ports,
    /// The place of each rule's port set among those that `ports` was made of.
    set_of: &'p [Option<u32>],
    pub(super) outcomes: Outcomes,
    pub(super) rows: Interner<Row>,
    known: FxHashMap<(Governance, Vec<RuleId>), u32>,
    /// Which rules named each class so far, while a row is made.
    state: Vec<u32>,
    /// How many cells may still be looked at.
    left: usize,
}

impl<'p> Profiles<'p> {
    pub(super) fn new(program: &'p Program, ports: &'p Ports, set_of: &'p [Option<u32>], left: usize) -> Self {
        Self {
            program,
            ports,
            set_of,
            outcomes: Outcomes::default(),
            rows: Interner::default(),
            known: FxHashMap::default(),
            state: vec![0; ports.plain as usize],
            left,
        }
    }

    /// The profile with one outcome for every port.
    pub(super) fn constant(&mut self, outcome: Outcome) -> u32 {
        let base = self.outcomes.number(outcome);
        self.rows.number(Row { base, own: Vec::new() })
    }

    /// The profile of destinations that exactly these rules cover, sorted.
    pub(super) fn of(&mut self, governance: Governance, rules: &[RuleId]) -> Result<u32, TooLarge> {
        let question = (governance, rules.to_vec());
        if let Some(&known) = self.known.get(&question) {
            return Ok(known);
        }
        let row = self.row(governance, rules)?;
        let number = self.rows.number(row);
        self.known.insert(question, number);
        Ok(number)
    }

    fn row(&mut self, governance: Governance, rules: &[RuleId]) -> Result<Row, TooLarge> {
        let mut always: Vec<RuleId> = Vec::new();
        // Lists of rules that name a class; list 0 is empty.
        let mut lists: Vec<Vec<RuleId>> = vec![Vec::new()];
        let mut longer: FxHashMap<(u32, RuleId), u32> = FxHashMap::default();
        let mut touched: Vec<u32> = Vec::new();
        for &rule in rules {
            let set = self.set_of.get(egress_ir::Id::index(rule)).copied().flatten();
            let Some(classes) = set.and_then(|set| self.ports.of_set.get(set as usize)) else { continue };
            if classes.len() == self.ports.plain as usize {
                always.push(rule);
                continue;
            }
            self.left = self.left.checked_sub(classes.len()).ok_or(TooLarge::Profiles)?;
            for &class in classes {
                let Some(state) = self.state.get_mut(class as usize) else { continue };
                if *state == 0 {
                    touched.push(class);
                }
                *state = *longer.entry((*state, rule)).or_insert_with_key(|(list, rule)| {
                    let mut list = lists.get(*list as usize).cloned().unwrap_or_default();
                    list.push(*rule);
                    lists.push(list);
                    place(lists.len() - 1)
                });
            }
        }
        let outcomes: Vec<u32> = lists
            .iter()
            .map(|list| {
                let mut matching = [always.as_slice(), list].concat();
                matching.sort_unstable();
                self.outcomes.number(governance.outcome(self.program, &matching))
            })
            .collect();
        let base = outcomes.first().copied().unwrap_or_default();
        touched.sort_unstable();
        let mut own: Vec<(u32, u32)> = Vec::new();
        for class in touched {
            let state = self.state.get_mut(class as usize).map(std::mem::take).unwrap_or_default();
            let outcome = outcomes.get(state as usize).copied().unwrap_or(base);
            own.extend((outcome != base).then_some((class, outcome)));
        }
        let fragments = self.fragments(base, &own);
        own.extend(fragments);
        Ok(Row { base, own })
    }

    /// What happens to fragments, where that is not the base.
    fn fragments(&mut self, base: u32, own: &[(u32, u32)]) -> Vec<(u32, u32)> {
        let mut parts: BTreeMap<u32, (usize, Vec<u32>)> = BTreeMap::new();
        for (class, outcome) in own {
            for &fragment in self.ports.fragments_of.get(*class as usize).into_iter().flatten() {
                let (count, outcomes) = parts.entry(fragment).or_default();
                *count += 1;
                if !outcomes.contains(outcome) {
                    outcomes.push(*outcome);
                }
            }
        }
        let mut of_fragments = Vec::new();
        for (fragment, (count, mut outcomes)) in parts {
            if self.ports.fragments.at(fragment).is_some_and(|classes| count < classes.len()) {
                outcomes.push(base);
            }
            let parts = outcomes.iter().filter_map(|outcome| self.outcomes.at(*outcome));
            let Some(outcome) = Outcome::of_fragment(parts) else { continue };
            let outcome = self.outcomes.number(outcome);
            of_fragments.extend((outcome != base).then_some((self.ports.plain + fragment, outcome)));
        }
        of_fragments
    }

    /// The matrix from profile and port class to outcome.
    pub(super) fn matrix(&self) -> Matrix {
        let columns = self.ports.count() as usize;
        let mut bases: Interner<u32> = Interner::default();
        let rows = self.rows.values().map(|row| Row { base: bases.number(row.base), own: row.own.clone() }).collect();
        Matrix { columns, rows, bases: bases.values().map(|outcome| vec![*outcome; columns]).collect() }
    }
}
