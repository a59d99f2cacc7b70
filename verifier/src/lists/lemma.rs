//! Lemmas: what must hold for all ports or names, so that the rest follows without a solver.
//!
//! In: a list with its table, or combinations of guards. Out: the formula that no assignment may satisfy, and a key
//! that is equal for equal lemmas only.

use super::table::Table;
use crate::solver::{Formula, Ranges, Variable};
use egress_ir::{Id, Outcome, PortSet, RangeSet};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The content of a lemma as a SHA-256 digest (FIPS 180-4).
pub type Key = [u8; 32];

/// The destination port, or ICMP type and code.
const NUMBER: Variable = Variable { number: 0, bits: 16 };
/// The IP protocol.
const PROTOCOL: Variable = Variable { number: 1, bits: 8 };

/// A statement that holds if its negation is never satisfied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lemma {
    key: Key,
    content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    /// The first entry that contains a port decides as the runs do.
    List { entries: Vec<(Ranges, Outcome)>, default: Outcome, runs: Vec<(Ranges, Outcome)> },
    /// Any other, by its negation.
    Other(Formula),
}

impl Lemma {
    /// The list, read from top to bottom, says of every port what the table says.
    #[must_use]
    pub fn list(entries: Vec<(Ranges, Outcome)>, default: Outcome, table: &Table) -> Self {
        let mut runs: Vec<(Outcome, Vec<(u128, u128)>)> = Vec::new();
        for (first, last, outcome) in table.runs() {
            let range = (first.into(), last.into());
            match runs.iter_mut().find(|(known, _)| *known == outcome) {
                Some((_, ranges)) => ranges.push(range),
                None => runs.push((outcome, vec![range])),
            }
        }
        let whole = table.runs().last().is_some_and(|(_, last, _)| last == PortSet::LAST);
        if !whole {
            return Self::never(Formula::Constant(true));
        }
        let runs: Vec<(Ranges, Outcome)> = runs.into_iter().map(|(outcome, ranges)| (ranges.into(), outcome)).collect();
        let mut hasher = Hasher::new(0);
        hasher.entries(&entries);
        hasher.outcome(default);
        hasher.entries(&runs);
        Self { key: hasher.finish(), content: Content::List { entries, default, runs } }
    }

    /// A formula never holds.
    #[must_use]
    pub fn never(formula: Formula) -> Self {
        let mut hasher = Hasher::new(1);
        hasher.formula(&formula);
        Self { key: hasher.finish(), content: Content::Other(formula) }
    }

    /// The digest of the content.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// What must be unsatisfiable: some entry matches, none before it does, and the table says otherwise.
    #[must_use]
    pub fn negation(&self) -> Formula {
        match &self.content {
            Content::Other(formula) => formula.clone(),
            Content::List { entries, default, runs } => list_negation(entries, *default, runs),
        }
    }
}

/// Asked run by run, and only where ranges meet: leaving an earlier entry out makes a case easier to satisfy, never
/// harder, and an entry decides nothing where it has no port. Whole lists at once took z3 a hundred times as long.
fn list_negation(entries: &[(Ranges, Outcome)], default: Outcome, runs: &[(Ranges, Outcome)]) -> Formula {
    let everywhere: Ranges = Arc::from([(0, PortSet::LAST.into())]);
    let last = (everywhere, default);
    let mut cases = Vec::new();
    for (place, (ranges, said)) in entries.iter().chain([&last]).enumerate() {
        let otherwise = runs.iter().filter(|(_, outcome)| outcome != said).flat_map(|(runs, _)| runs.iter());
        for &run in otherwise {
            let meets = |ranges: &Ranges| ranges.iter().any(|&(first, last)| first <= run.1 && run.0 <= last);
            if meets(ranges) {
                let earlier = entries.iter().take(place).map(|(ranges, _)| ranges).filter(|ranges| meets(ranges));
                let earlier = earlier.map(|ranges| on_line(ranges).negated());
                cases.push(Formula::All([on_line(&[run]), on_line(ranges)].into_iter().chain(earlier).collect()));
            }
        }
    }
    Formula::Any(cases)
}

/// Ranges of the port line as ranges of protocols and of numbers, cut where only a part of a protocol is meant.
pub(crate) fn on_line(ranges: &[(u128, u128)]) -> Formula {
    const NUMBERS: u128 = 0xffff;
    let mut protocols: BTreeMap<(u128, u128), Vec<(u128, u128)>> = BTreeMap::new();
    let mut note = |numbers, first: u128, last: u128| protocols.entry(numbers).or_default().push((first, last));
    for &(first, last) in ranges {
        let ((begins, from), (ends, to)) = ((first >> 16, first & NUMBERS), (last >> 16, last & NUMBERS));
        if begins == ends {
            note((from, to), begins, begins);
            continue;
        }
        // INVARIANT: from here on `begins < ends`, so that neither side is empty.
        note((from, NUMBERS), begins, begins);
        note((0, to), ends, ends);
        if begins + 1 < ends {
            note((0, NUMBERS), begins + 1, ends - 1);
        }
    }
    let part = |(numbers, protocols): ((u128, u128), Vec<(u128, u128)>)| {
        let protocols = RangeSet::from_ranges(protocols);
        let protocols = Formula::Within(PROTOCOL, Arc::from(protocols.ranges()));
        if numbers == (0, NUMBERS) {
            return protocols;
        }
        Formula::All(vec![protocols, Formula::Within(NUMBER, Arc::from([numbers]))])
    };
    Formula::Any(protocols.into_iter().map(part).collect())
}

/// Writes content so that different content is written differently: kinds by a number, everything else with its length.
struct Hasher(Sha256);

impl Hasher {
    fn new(kind: u64) -> Self {
        let mut hasher = Self(Sha256::new());
        hasher.word(kind);
        hasher
    }

    fn word(&mut self, word: u64) {
        self.0.update(word.to_le_bytes());
    }

    fn length(&mut self, length: usize) {
        self.word(u64::try_from(length).unwrap_or(u64::MAX));
    }

    fn outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Dropped => self.word(0),
            Outcome::Passes(None) => self.word(1),
            Outcome::Passes(Some(gateway)) => {
                self.word(2);
                self.length(gateway.index());
            }
            Outcome::Misrouted => self.word(3),
        }
    }

    fn ranges(&mut self, ranges: &Ranges) {
        self.length(ranges.len());
        for (first, last) in ranges.iter() {
            self.0.update(first.to_le_bytes());
            self.0.update(last.to_le_bytes());
        }
    }

    fn entries(&mut self, entries: &[(Ranges, Outcome)]) {
        self.length(entries.len());
        for (ranges, outcome) in entries {
            self.ranges(ranges);
            self.outcome(*outcome);
        }
    }

    fn formula(&mut self, formula: &Formula) {
        match formula {
            Formula::Constant(value) => [0, u64::from(*value)].into_iter().for_each(|word| self.word(word)),
            Formula::Flag(flag) => [1, u64::from(*flag)].into_iter().for_each(|word| self.word(word)),
            Formula::Within(variable, ranges) => {
                [2, u64::from(variable.number), u64::from(variable.bits)].into_iter().for_each(|word| self.word(word));
                self.ranges(ranges);
            }
            Formula::Not(inner) => {
                self.word(3);
                self.formula(inner);
            }
            Formula::All(parts) => self.parts(4, parts),
            Formula::Any(parts) => self.parts(5, parts),
        }
    }

    fn parts(&mut self, kind: u64, parts: &[Formula]) {
        self.word(kind);
        self.length(parts.len());
        parts.iter().for_each(|part| self.formula(part));
    }

    fn finish(self) -> Key {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Limits;
    use crate::solver::exhaustive::Exhaustive;
    use crate::solver::z3::Z3;
    use crate::solver::{Solution, Solver, widened};
    use proptest::prelude::*;

    fn ranges() -> impl Strategy<Value = Ranges> {
        let range = (0..0x30_u32, 0..0x20_u32, prop::sample::select(vec![0_u32, 0x06_0000, 0xff_ffc0]));
        prop::collection::vec(range, 0..4).prop_map(|ranges| {
            let set = PortSet::from_line_ranges(
                ranges.into_iter().map(|(first, more, base)| (base + first, base + first + more)),
            );
            widened(set.line_ranges())
        })
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop::sample::select(vec![Outcome::Dropped, Outcome::Passes(None)])
    }

    fn entries() -> impl Strategy<Value = Vec<(Ranges, Outcome)>> {
        prop::collection::vec((ranges(), outcome()), 0..5)
    }

    proptest! {
        #[test]
        fn z3_and_every_assignment_agree_on_lemmas(one in entries(), two in entries(), default in outcome()) {
            let mut z3 = Z3::new(&Limits::default());
            for table in [Table::of(&one, default), Table::of(&two, default)] {
                let negation = Lemma::list(one.clone(), default, &table).negation();
                let expected = Exhaustive { limit: 1 << 20 }.solve(&negation);
                let found = z3.solve(&negation);
                prop_assert_eq!(matches!(expected, Solution::Unsatisfiable), table == Table::of(&one, default));
                prop_assert_eq!(matches!(expected, Solution::Unsatisfiable), matches!(found, Solution::Unsatisfiable));
                if let Solution::Satisfiable(assignment) = found {
                    prop_assert!(negation.holds(&assignment));
                }
            }
        }

        #[test]
        fn keys_are_equal_for_equal_lemmas_only(one in entries(), two in entries(), default in outcome()) {
            let lemma = |entries: &Vec<(Ranges, Outcome)>| Lemma::list(entries.clone(), default, &Table::of(entries, default));
            prop_assert_eq!(lemma(&one).key() == lemma(&two).key(), one == two);
        }
    }
}
