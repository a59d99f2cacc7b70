//! Port sets by number, and what is computed of them, each question once.
//!
//! In: port sets. Out: numbers, which are equal exactly if the sets are.

use egress_ir::PortSet;
use rustc_hash::FxHashMap;

/// The number of the set without ports.
pub(super) const NONE: u32 = 0;
/// The number of the set of all ports.
pub(super) const ANY: u32 = 1;

/// Port sets in the order in which they were met.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ports {
    sets: Vec<PortSet>,
    known: FxHashMap<PortSet, u32>,
}

impl Ports {
    /// The empty set and the full one.
    pub(super) fn new() -> Self {
        let mut ports = Self { sets: Vec::new(), known: FxHashMap::default() };
        ports.number(PortSet::empty());
        ports.number(PortSet::any());
        ports
    }

    /// The number of a set.
    pub(super) fn number(&mut self, set: PortSet) -> u32 {
        let next = length(&self.sets);
        *self.known.entry(set).or_insert_with_key(|set| {
            self.sets.push(set.clone());
            next
        })
    }
}

/// Computes with the sets of a [`Ports`], which stays as it is, and keeps what it computes.
pub(super) struct Algebra<'p> {
    base: &'p Ports,
    own: Vec<PortSet>,
    known: FxHashMap<PortSet, u32>,
    parted: FxHashMap<(u32, u32), (u32, u32)>,
    joined: FxHashMap<(u32, u32), u32>,
    nothing: PortSet,
}

impl<'p> Algebra<'p> {
    pub(super) fn over(base: &'p Ports) -> Self {
        let (parted, joined) = (FxHashMap::default(), FxHashMap::default());
        Self { base, own: Vec::new(), known: FxHashMap::default(), parted, joined, nothing: PortSet::empty() }
    }

    /// The set of a number of the base or of this value.
    pub(super) fn at(&self, number: u32) -> &PortSet {
        let index = number as usize;
        let own = || self.own.get(index.checked_sub(self.base.sets.len())?);
        // INVARIANT: numbers are made by `number` of both only, so there always is a set.
        self.base.sets.get(index).or_else(own).unwrap_or(&self.nothing)
    }

    /// The number of a set.
    pub(super) fn number(&mut self, set: PortSet) -> u32 {
        if let Some(&known) = self.base.known.get(&set).or_else(|| self.known.get(&set)) {
            return known;
        }
        let number = length(&self.base.sets).saturating_add(length(&self.own));
        self.own.push(set.clone());
        self.known.insert(set, number);
        number
    }

    /// The ports of `one` that are in `other`, and those that are not.
    pub(super) fn part(&mut self, one: u32, other: u32) -> (u32, u32) {
        if one == NONE || other == ANY || one == other {
            return (one, NONE);
        }
        if other == NONE {
            return (NONE, one);
        }
        if let Some(&known) = self.parted.get(&(one, other)) {
            return known;
        }
        let (left, right) = (self.at(one), self.at(other));
        let (inside, outside) = (left.intersection(right), left.difference(right));
        let parts = (self.number(inside), self.number(outside));
        self.parted.insert((one, other), parts);
        parts
    }

    /// The ports in either set.
    pub(super) fn join(&mut self, one: u32, other: u32) -> u32 {
        let question = (one.min(other), one.max(other));
        if one == other || question.0 == NONE {
            return question.1;
        }
        if question.0 == ANY {
            return ANY;
        }
        if let Some(&known) = self.joined.get(&question) {
            return known;
        }
        let joined = self.at(one).union(self.at(other));
        let number = self.number(joined);
        self.joined.insert(question, number);
        number
    }
}

fn length<T>(of: &[T]) -> u32 {
    u32::try_from(of.len()).unwrap_or(u32::MAX)
}
