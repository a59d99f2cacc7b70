//! Packets on their way through a ruleset: which ports they have, and what rules have set in them.

use super::branches::Way;
use super::ports::{Algebra, NONE};
use super::values::Register;

/// Packets for which rules have set the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    pub(super) ports: u32,
    pub(super) mark: u32,
    pub(super) priority: u32,
    pub(super) packet_mark: PacketMark,
    /// Which names they were found to have.
    pub(super) way: Way,
}

/// What is known of the packet's own mark: anybody may have set any bits before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct PacketMark {
    // INVARIANT: 0 where nothing is known.
    value: u32,
    known: u32,
}

impl PacketMark {
    /// After some bits were kept and others set.
    pub(super) fn set(self, and: u32, or: u32) -> Self {
        Self { value: self.value & and | or, known: self.known & and | !and | or }
    }

    /// After these bits were perhaps set.
    pub(super) fn forget(self, bits: u32) -> Self {
        Self { value: self.value & !bits, known: self.known & !bits }
    }

    /// The bits of a mask, if all of them are known.
    pub(super) fn bits(self, mask: u32) -> Option<u32> {
        (mask & !self.known == 0).then_some(self.value & mask)
    }
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
        let same = |other: &&mut Region| other.way == region.way && other.is_set_like(region);
        match self.first.iter_mut().chain(&mut self.others).find(same) {
            Some(other) => other.ports = algebra.join(other.ports, region.ports),
            None => self.others.push(region),
        }
    }
}

impl Region {
    /// Whether rules have set the same in both.
    pub(super) fn is_set_like(self, other: Self) -> bool {
        (self.mark, self.priority, self.packet_mark) == (other.mark, other.priority, other.packet_mark)
    }

    /// What a register holds; nothing where nobody knows.
    pub(super) fn value(self, register: Register) -> Option<u128> {
        match register {
            Register::Mark(mask) => Some((self.mark & mask).into()),
            Register::Priority => Some(self.priority.into()),
            Register::PacketMark(mask) => self.packet_mark.bits(mask).map(u128::from),
        }
    }
}
