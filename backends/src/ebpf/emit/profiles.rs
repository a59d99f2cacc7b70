//! Profiles: what happens on each port, where a list of rules covers a destination.
//!
//! In: lists of rules with the governance of who sends. Out: rows of port classes to outcomes, equal ones once. Looks
//! only at the places where the ports of some rule of the list begin or end; a rule for every port changes the base.

use super::check::TooLarge;
use super::intern::Interner;
use super::matrix::{Matrix, Row, Span};
use super::names::{Heard, Names};
use super::outcomes::{Governance, Outcome, Outcomes};
use super::ports::Ports;
use crate::gateways::Gateways;
use egress_ir::Program;
use rustc_hash::FxHashMap;

/// Profiles by number, and the outcomes that they lead to.
pub(super) struct Profiles<'p> {
    program: &'p Program,
    pub(super) gateways: &'p Gateways,
    ports: &'p Ports,
    /// The place of each rule's port set among those that `ports` was made of.
    set_of: &'p [Option<u32>],
    pub(super) outcomes: Outcomes,
    pub(super) names: Names,
    pub(super) rows: Interner<Row>,
    known: FxHashMap<(Governance, Vec<Heard>), u32>,
    /// How many runs of classes may still be looked at.
    left: usize,
}

impl<'p> Profiles<'p> {
    pub(super) fn new(
        (program, gateways): (&'p Program, &'p Gateways),
        ports: &'p Ports,
        set_of: &'p [Option<u32>],
        left: usize,
    ) -> Self {
        Self {
            program,
            gateways,
            ports,
            set_of,
            outcomes: Outcomes::default(),
            names: Names::new(program),
            rows: Interner::default(),
            known: FxHashMap::default(),
            left,
        }
    }

    /// The profile with one outcome for every port.
    pub(super) fn constant(&mut self, outcome: Outcome) -> u32 {
        let base = self.outcomes.number(outcome);
        self.rows.number(Row { base, own: Vec::new() })
    }

    /// The profile of destinations that exactly these rules cover, or may by a name, sorted.
    pub(super) fn of(&mut self, governance: Governance, rules: &[Heard]) -> Result<u32, TooLarge> {
        let question = (governance, rules.to_vec());
        if let Some(&known) = self.known.get(&question) {
            return Ok(known);
        }
        let row = self.row(governance, rules)?;
        let number = self.rows.number(row);
        self.known.insert(question, number);
        Ok(number)
    }

    fn row(&mut self, governance: Governance, rules: &[Heard]) -> Result<Row, TooLarge> {
        let mut always: Vec<Heard> = Vec::new();
        // Where the classes of a rule begin, and where they have ended.
        let mut edges: Vec<(u32, bool, Heard)> = Vec::new();
        for &rule in rules {
            let set = self.set_of.get(egress_ir::Id::index(rule.rule)).copied().flatten();
            let Some(runs) = set.and_then(|set| self.ports.of_set.get(set as usize)) else { continue };
            if *runs == [(0, self.ports.plain - 1)] {
                always.push(rule);
                continue;
            }
            self.left = self.left.checked_sub(runs.len()).ok_or(TooLarge::Profiles)?;
            edges.extend(runs.iter().flat_map(|&(first, last)| [(first, true, rule), (last + 1, false, rule)]));
        }
        edges.sort_unstable();
        let mut row = Row { base: self.outcome(governance, &always)?, own: Vec::new() };
        let mut active = always;
        let mut edges = edges.into_iter().peekable();
        while let Some((first, begins, rule)) = edges.next() {
            match (active.binary_search(&rule), begins) {
                (Err(place), true) => active.insert(place, rule),
                (Ok(place), false) => drop(active.remove(place)),
                // INVARIANT: the runs of one rule are disjoint and never adjacent.
                (Ok(_), true) | (Err(_), false) => {}
            }
            let Some(last) = edges.peek().map(|next| next.0).filter(|next| *next > first) else { continue };
            let value = self.outcome(governance, &active)?;
            if value != row.base {
                row.push(Span { first, last: last - 1, value });
            }
        }
        self.add_fragments(&mut row);
        Ok(row)
    }

    fn outcome(&mut self, governance: Governance, heard: &[Heard]) -> Result<u32, TooLarge> {
        self.names.outcome((self.program, self.gateways), governance, heard, &mut self.outcomes)
    }

    /// Says what happens to fragments, where that is not the base.
    fn add_fragments(&mut self, row: &mut Row) {
        for (number, classes) in (self.ports.plain..).zip(self.ports.fragments.values()) {
            let (mut count, mut outcomes) = (0, Vec::new());
            for &(first, last) in classes {
                let from = row.own.partition_point(|span| span.last < first);
                for span in row.own.iter().skip(from).take_while(|span| span.first <= last) {
                    count += span.last.min(last) - span.first.max(first) + 1;
                    if !outcomes.contains(&span.value) {
                        outcomes.push(span.value);
                    }
                }
            }
            if count < classes.iter().map(|(first, last)| last - first + 1).sum() {
                outcomes.push(row.base);
            }
            let parts = outcomes.iter().filter_map(|outcome| self.outcomes.at(*outcome));
            let Some(outcome) = Outcome::of_fragment(parts) else { continue };
            let value = self.outcomes.number(outcome);
            if value != row.base {
                row.push(Span { first: number, last: number, value });
            }
        }
    }

    /// The matrix from profile and port class to outcome.
    pub(super) fn matrix(&self) -> Matrix {
        let columns = self.ports.count() as usize;
        let mut bases: Interner<u32> = Interner::default();
        let rows = self.rows.values().map(|row| Row { base: bases.number(row.base), own: row.own.clone() }).collect();
        Matrix { columns, rows, bases: bases.values().map(|outcome| vec![*outcome; columns]).collect() }
    }
}
