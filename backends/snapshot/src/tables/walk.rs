//! Walks in checked trees: the value of one key, and the partition that a tree describes.
//!
//! In: trees that [`super::tree`] has checked. On others the walks end too, with [`NOTHING`] or with gaps.

use super::raw::{Raw, line, offset};
use super::{NOTHING, Tree};
use crate::layout::{Entry, Kind};

pub(super) fn find_v4(raw: Raw<'_>, tree: Tree, address: u32) -> u32 {
    find(raw, tree.start, u64::from(address) << 32).unwrap_or(NOTHING)
}

pub(super) fn find_v6(raw: Raw<'_>, tree: Tree, address: u128) -> u32 {
    let (upper, lower) = ((address >> 64) as u64, address as u64);
    let value = find(raw, tree.start, upper).unwrap_or(NOTHING);
    match tree.low(raw, value) {
        Some(low) => find(raw, low, lower).unwrap_or(NOTHING),
        None => value,
    }
}

pub(super) fn ranges_v4(raw: Raw<'_>, tree: Tree) -> Vec<(u32, u32, u32)> {
    let mut joined = Vec::new();
    each(raw, tree.start, 0, 0, &mut |first, last, value| {
        join(&mut joined, (first >> 32) as u32, (last >> 32) as u32, value)
    });
    joined
}

pub(super) fn ranges_v6(raw: Raw<'_>, tree: Tree) -> Vec<(u128, u128, u32)> {
    let mut joined = Vec::new();
    each(raw, tree.start, 0, 0, &mut |first, last, value| match tree.low(raw, value) {
        None => join(&mut joined, v6(first, 0), v6(last, u64::MAX), value),
        Some(low) => {
            for upper in first..=last {
                each(raw, low, 0, 0, &mut |first, last, value| {
                    join(&mut joined, v6(upper, first), v6(upper, last), value);
                });
            }
        }
    });
    joined
}

impl Tree {
    /// The low tree that a value names.
    pub(super) fn low(self, raw: Raw<'_>, value: u32) -> Option<Entry> {
        let low = value.checked_sub(self.count).filter(|low| *low < self.low_count)?;
        raw.entry(line(self.lows_line), low as usize)
    }
}

/// The address of an upper and a lower key.
fn v6(upper: u64, lower: u64) -> u128 {
    u128::from(upper) << 64 | u128::from(lower)
}

/// Adds a range, or makes the last one longer.
fn join<A>(ranges: &mut Vec<(A, A, u32)>, first: A, last: A, value: u32) {
    match ranges.last_mut() {
        Some((_, end, known)) if *known == value => *end = last,
        _ => ranges.push((first, last, value)),
    }
}

/// The value of a key.
fn find(raw: Raw<'_>, start: Entry, key: u64) -> Option<u32> {
    let (mut entry, mut used) = (start, 0);
    loop {
        let kind = entry.kind()?;
        (entry, used) = match kind {
            Kind::Leaf(value) => return Some(value),
            Kind::Root(at) => (raw.entry(offset(at), (key >> 48) as usize)?, 16),
            Kind::Block(at) => {
                let left = 56u32.checked_sub(used)?;
                (raw.entry(offset(at), (key >> left & 0xff) as usize)?, used + 8)
            }
            Kind::Chunk4(_) | Kind::Chunk8(_) | Kind::Chunk16(_) | Kind::Line(_) => {
                let ranges = raw.ranges(kind)?;
                let below = (0..ranges.places).map_while(|place| raw.range(ranges, place, key));
                return below.take_while(|(start, _)| *start <= key).last().map(|(_, value)| value);
            }
        };
    }
}

/// Every range below an entry: first key, last key, value. `used` bits of the keys are those of `prefix`.
fn each(raw: Raw<'_>, entry: Entry, used: u32, prefix: u64, found: &mut dyn FnMut(u64, u64, u32)) {
    let last = last_key(used, prefix);
    let Some(kind) = entry.kind() else { return };
    match kind {
        Kind::Leaf(value) => found(prefix, last, value),
        Kind::Root(at) => below(raw, at, (used, 16), prefix, found),
        Kind::Block(at) => below(raw, at, (used, 8), prefix, found),
        Kind::Chunk4(_) | Kind::Chunk8(_) | Kind::Chunk16(_) | Kind::Line(_) => {
            let Some(ranges) = raw.ranges(kind) else { return };
            let mut open: Option<(u64, u32)> = None;
            for (start, value) in (0..ranges.places).filter_map(|place| raw.range(ranges, place, prefix)) {
                if let Some((first, value)) = open
                    && first < start
                {
                    found(first, start - 1, value);
                }
                open = Some((start, value));
            }
            if let Some((first, value)) = open {
                found(first, last, value);
            }
        }
    }
}

fn below(raw: Raw<'_>, at: u32, (used, bits): (u32, u32), prefix: u64, found: &mut dyn FnMut(u64, u64, u32)) {
    let Some(shift) = 64u32.checked_sub(used + bits) else { return };
    for place in 0..1u64 << bits {
        if let Some(entry) = raw.entry(offset(at), place as usize) {
            each(raw, entry, used + bits, prefix | place << shift, found);
        }
    }
}

/// The last key that has these first bits.
pub(super) fn last_key(used: u32, prefix: u64) -> u64 {
    prefix | u64::MAX.checked_shr(used).unwrap_or(0)
}
