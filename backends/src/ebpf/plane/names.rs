//! What a snapshot does by names, as a list that is gone through from the top.
//!
//! In: tables over sets of names. Out: conditions in an order in which the first that holds decides, and guards of a
//! [`Vocabulary`] for them. Where a table says more than such a list can, it is [`Unclear`].

use super::super::decode::Decoded;
use super::unclear;
use egress_ir::plane::Guard;
use egress_ir::{HostPattern, Outcome, Unclear, Vocabulary};
use egress_snapshot::tables::ByName;
use std::collections::{BTreeMap, BTreeSet};

/// What decides, from the top; and what happens where no condition holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Deciding {
    /// One set of names, or two that must both hold.
    pub(super) first: Vec<(u64, Option<u64>, Outcome)>,
    pub(super) last: Outcome,
}

impl Deciding {
    /// Whatever the names are.
    pub(super) fn always(outcome: Outcome) -> Self {
        Self { first: Vec::new(), last: outcome }
    }

    /// What happens whatever the names are; nothing where it depends on them.
    pub(super) fn whatever_names(&self) -> Option<Outcome> {
        self.first.is_empty().then_some(self.last)
    }
}

/// Sets of names by the ids that the tables have for them.
#[derive(Debug, Default)]
pub(super) struct Sets(BTreeMap<u64, Vec<HostPattern>>);

impl Sets {
    /// Those of a snapshot.
    pub(super) fn of(decoded: &Decoded) -> Result<Self, Unclear> {
        let mut sets = Self::default();
        for set in (0..).take(decoded.meta.name_sets.len()) {
            let texts = decoded.meta.hosts_of(set).unwrap_or_default();
            let hosts: Option<Vec<HostPattern>> = texts.iter().map(|host| host.parse().ok()).collect();
            let (Some(id), Some(hosts)) = (decoded.meta.id_of(set), hosts) else {
                return Err(unclear(format!("set {set} of names has something that is no host pattern")));
            };
            sets.0.insert(id, hosts);
        }
        Ok(sets)
    }

    pub(super) fn hosts(&self) -> BTreeSet<HostPattern> {
        self.0.values().flatten().cloned().collect()
    }

    /// Whether some name is of a set.
    pub(super) fn holds(&self, set: u64, names: &BTreeSet<String>) -> bool {
        let hosts = self.0.get(&set).map_or(&[][..], Vec::as_slice);
        hosts.iter().any(|host| names.iter().any(|name| host.matches(name)))
    }

    /// A table as a list: again and again a condition that settles what happens whatever the sets that are left say, and
    /// then the table of where it does not hold.
    pub(super) fn deciding(&self, by_name: &ByName, way: impl Fn(u32) -> Outcome) -> Result<Deciding, Unclear> {
        if by_name.sets.iter().any(|set| !self.0.contains_key(set)) {
            return Err(unclear("the tables ask for a set of names that nobody explains"));
        }
        let mut cells: Vec<(usize, Outcome)> =
            by_name.outcomes.iter().enumerate().map(|(sum, outcome)| (sum, way(*outcome))).collect();
        let sets: Vec<(usize, u64)> = by_name.sets.iter().enumerate().map(|(at, set)| (1 << at, *set)).collect();
        let singles = sets.iter().map(|(bit, set)| (*bit, *set, None));
        let pairs = sets.iter().flat_map(|(bit, set)| {
            sets.iter().filter(move |(other, _)| other > bit).map(move |(other, two)| (bit | other, *set, Some(*two)))
        });
        let conditions: Vec<(usize, u64, Option<u64>)> = singles.chain(pairs).collect();
        let mut first = Vec::new();
        loop {
            if let Some(last) = common(cells.iter().map(|cell| cell.1)) {
                return Ok(Deciding { first, last });
            }
            let settles = conditions.iter().find_map(|&(bits, one, two)| {
                let met = cells.iter().filter(|(sum, _)| sum & bits == bits).map(|cell| cell.1);
                common(met).map(|outcome| (bits, one, two, outcome))
            });
            let Some((bits, one, two, outcome)) = settles else {
                return Err(unclear("what depends on names takes more than two of them at once"));
            };
            first.push((one, two, outcome));
            cells.retain(|(sum, _)| sum & bits != bits);
        }
    }

    /// The conditions as guards; those that no name meets are left out.
    pub(super) fn guards(&self, deciding: &Deciding, vocabulary: &mut Vocabulary) -> Vec<(Guard, Outcome)> {
        let mut guards = Vec::new();
        for (one, two, outcome) in &deciding.first {
            let mut guard = |set: u64| {
                let hosts = self.0.get(&set).map_or(&[][..], Vec::as_slice);
                vocabulary.guard(|name| hosts.iter().any(|host| host.matches(name)))
            };
            let one = guard(*one);
            let both = match two {
                None => one,
                Some(two) => one.zip(guard(*two)).and_then(|(one, two)| one.and(two)),
            };
            guards.extend(both.map(|guard| (guard, *outcome)));
        }
        guards
    }
}

/// What all are; nothing where they differ, or where there is none.
fn common(mut all: impl Iterator<Item = Outcome>) -> Option<Outcome> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}
