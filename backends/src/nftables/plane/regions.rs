//! Packets on their way through a ruleset: which ports they have, and what rules have set in them.

use super::ports::{Algebra, NONE};
use super::values::Register;

/// Packets for which rules have set the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    pub(super) ports: u32,
    pub(super) mark: u32,
    pub(super) priority: u32,
}

/// Regions that differ in what is set. Nearly always there is one at most, which takes no allocation.
#[derive(Debug, Default)]
pub(super) struct Regions {
    first: Option<Region>,
    // INVARIANT: empty where there is no first one.
    others: Vec<Region>,
}

impl From<Region> for Regions {
    fn from(region: Region) -> Self {
        Self { first: Some(region), others: Vec::new() }
    }
}

impl Regions {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Region> {
        self.first.iter().chain(&self.others)
    }

    /// Adds others; those with the same values become one.
    pub(super) fn add(&mut self, others: Self, algebra: &mut Algebra<'_>) {
        if self.is_empty() {
            *self = others;
            return;
        }
        for region in others.iter() {
            self.add_one(*region, algebra);
        }
    }

    /// Adds one, unless it has no ports.
    pub(super) fn add_one(&mut self, region: Region, algebra: &mut Algebra<'_>) {
        if region.ports == NONE {
            return;
        }
        if self.is_empty() {
            self.first = Some(region);
            return;
        }
        let same = |other: &&mut Region| (other.mark, other.priority) == (region.mark, region.priority);
        match self.first.iter_mut().chain(&mut self.others).find(same) {
            Some(other) => other.ports = algebra.join(other.ports, region.ports),
            None => self.others.push(region),
        }
    }
}

impl Region {
    /// What a register holds.
    pub(super) fn value(self, register: Register) -> u128 {
        match register {
            Register::Mark(mask) => (self.mark & mask).into(),
            Register::Priority => self.priority.into(),
        }
    }
}
