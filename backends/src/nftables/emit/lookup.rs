//! Where the rules of a table hold, so that a packet finds them by a few hash look-ups.
//!
//! In: ranges of addresses with the rule and its kind. Out: a [`Lookup`]: levels of buckets, each the prefixes of one
//! length, from long to short. A bucket holds the rules that say something about a part of it, in the order in which
//! they are asked; equal buckets are one chain. A packet that a bucket does not decide asks the next level. Ranges
//! that would fill too many buckets stay outside, as search trees: denies before all levels, allows after them.

use super::groups::Kind;
use super::intern::Interner;
use super::levels;
use super::spread::Spread;
use egress_ir::{Point, RangeSet};

/// A range of addresses of which a rule says something; both ends are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    pub(super) start: u128,
    pub(super) end: u128,
    pub(super) kind: Kind,
    /// The number of what the rule does.
    pub(super) said: usize,
}

/// The ranges of one family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lookup {
    /// Wide denies, those with `log` first: one tree for each kind.
    pub(super) before: Vec<Vec<Spread<usize>>>,
    /// Long prefixes first.
    pub(super) levels: Vec<Level>,
    /// Wide allows, those with `log` first.
    pub(super) after: Vec<Vec<Spread<usize>>>,
}

/// The buckets of one length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// How many bits of an address tell buckets apart.
    pub(super) length: u8,
    /// The first address of each bucket, in order, with the number of its chain.
    pub(super) buckets: Vec<(u128, usize)>,
}

/// A rule in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Entry {
    /// The addresses for which it holds; nothing: for all of the bucket's.
    pub(super) within: Option<(Family, u128, u128)>,
    pub(super) said: usize,
}

/// An address family; chains without addresses serve both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// The length of its addresses.
    pub(super) fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl Lookup {
    /// Builds the levels. `ends` says of a rule whether it decides every packet, so that none gets past it.
    pub(super) fn new(
        mut ranges: Vec<Held>,
        family: Family,
        chains: &mut Interner<Vec<Entry>>,
        ends: impl Fn(usize) -> bool,
    ) -> Self {
        ranges.sort_unstable();
        let lengths = levels::choose(&ranges, family);
        let mut shelves = Shelves::new(&ranges, family, lengths);
        shelves.ask_logged_denies_early();
        shelves.hand_down();
        let Shelves { levels, wide, .. } = shelves;
        let tree = |kind: Kind| {
            let of_kind = wide.iter().filter(|held| held.kind == kind);
            of_kind.map(|held| Spread { start: held.start, end: held.end, said: held.said }).collect::<Vec<_>>()
        };
        let trees = |kinds: [Kind; 2]| kinds.map(tree).into_iter().filter(|tree| !tree.is_empty()).collect();
        Self {
            before: trees([Kind::LoggedDeny, Kind::Deny]),
            levels: levels.into_iter().filter_map(|shelf| shelf.level(family, chains, &ends)).collect(),
            after: trees([Kind::LoggedAllow, Kind::Allow]),
        }
    }
}

/// The ranges of a set, joined where only inside addresses lie between them: those have passed before.
pub(super) fn bridged<A: Point>(set: &RangeSet<A>, inside: &RangeSet<A>) -> Vec<(A, A)> {
    let mut joined: Vec<(A, A)> = Vec::with_capacity(set.ranges().len());
    for &(start, end) in set.ranges() {
        let meets = |left: A, right: A| left.next() == Some(right);
        let between = |(_, last): &&mut (A, A)| {
            inside.ranges().iter().any(|&(first, past)| meets(*last, first) && meets(past, start))
        };
        match joined.last_mut().filter(between) {
            Some((_, last)) => *last = end,
            None => joined.push((start, end)),
        }
    }
    joined
}

/// Ranges sorted into levels.
struct Shelves {
    levels: Vec<Shelf>,
    /// Ranges that no level takes.
    wide: Vec<Held>,
}

/// One level while it is filled.
struct Shelf {
    length: u8,
    /// How many of an address's bits do not count.
    shift: u32,
    /// Ranges by bucket; one that spans several is in each.
    pieces: Vec<(u128, Held)>,
    /// The ranges as they came.
    whole: Vec<Held>,
}

impl Shelves {
    fn new(ranges: &[Held], family: Family, lengths: &[u8]) -> Self {
        let shelf = |&length: &u8| {
            let shift = u32::from(family.bits() - length);
            Shelf { length, shift, pieces: Vec::new(), whole: Vec::new() }
        };
        let mut shelves = Self { levels: lengths.iter().map(shelf).collect(), wide: Vec::new() };
        for &held in ranges {
            match shelves.levels.iter_mut().find(|shelf| levels::fits(&held, shelf.shift)) {
                Some(shelf) => shelf.take(held),
                None => shelves.wide.push(held),
            }
        }
        shelves
    }

    /// Wide denies are asked before all levels: so are the logged denies that they overlap, or a log would be skipped.
    fn ask_logged_denies_early(&mut self) {
        let denies: Vec<Held> = self.wide.iter().copied().filter(|held| held.kind == Kind::Deny).collect();
        if denies.is_empty() {
            return;
        }
        let logged = self.levels.iter().flat_map(|shelf| &shelf.whole).filter(|held| held.kind == Kind::LoggedDeny);
        let overlapped = |held: &&Held| denies.iter().any(|deny| deny.start <= held.end && held.start <= deny.end);
        let early: Vec<Held> = logged.filter(overlapped).copied().collect();
        self.wide.extend(early);
        self.wide.sort_unstable();
    }

    /// Puts into each bucket what has to be asked before its allows although it stands at a later level.
    fn hand_down(&mut self) {
        let logged_allows = self.wide.iter().copied().filter(|held| held.kind == Kind::LoggedAllow);
        let mut later: Vec<Held> = logged_allows.collect();
        for shelf in self.levels.iter_mut().rev() {
            shelf.pieces.sort_unstable_by_key(|(bucket, _)| *bucket);
            let mut buckets: Vec<u128> = shelf.pieces.iter().map(|(bucket, _)| *bucket).collect();
            buckets.dedup();
            for held in &later {
                let from = buckets.partition_point(|bucket| *bucket < held.start >> shelf.shift);
                let to = buckets.partition_point(|bucket| *bucket <= held.end >> shelf.shift);
                let inside = buckets.get(from..to).unwrap_or_default();
                shelf.pieces.extend(inside.iter().map(|bucket| (*bucket, *held)));
            }
            later.extend(shelf.whole.iter().copied().filter(|held| held.kind != Kind::Allow));
        }
    }
}

impl Shelf {
    fn take(&mut self, held: Held) {
        let buckets = held.start >> self.shift..=held.end >> self.shift;
        self.pieces.extend(buckets.map(|bucket| (bucket, held)));
        self.whole.push(held);
    }

    /// The level with its chains; nothing for an empty one.
    fn level(
        mut self,
        family: Family,
        chains: &mut Interner<Vec<Entry>>,
        ends: &impl Fn(usize) -> bool,
    ) -> Option<Level> {
        self.pieces.sort_unstable_by_key(|&(bucket, held)| (bucket, held.kind, held.said, held.start));
        let mut buckets = Vec::new();
        for pieces in self.pieces.chunk_by(|left, right| left.0 == right.0) {
            let Some(&(bucket, _)) = pieces.first() else { continue };
            let first = bucket << self.shift;
            let last = first | ((1_u128 << self.shift) - 1);
            let mut entries = Vec::with_capacity(pieces.len());
            for &(_, held) in pieces {
                let (start, end) = (held.start.max(first), held.end.min(last));
                let within = ((start, end) != (first, last)).then_some((family, start, end));
                entries.push(Entry { within, said: held.said });
                if within.is_none() && ends(held.said) {
                    break;
                }
            }
            buckets.push((first, chains.number(entries)));
        }
        (!buckets.is_empty()).then_some(Level { length: self.length, buckets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [Kind; 4] = [Kind::LoggedDeny, Kind::Deny, Kind::LoggedAllow, Kind::Allow];

    /// What is asked about an address, in order, as the rules would lead a packet that nothing decides.
    fn asked(lookup: &Lookup, chains: &Interner<Vec<Entry>>, address: u128) -> Vec<usize> {
        let trees = |trees: &[Vec<Spread<usize>>]| -> Vec<usize> {
            let holds = |range: &&Spread<usize>| range.start <= address && address <= range.end;
            trees.iter().flatten().filter(holds).map(|range| range.said).collect()
        };
        let mut all = trees(&lookup.before);
        for level in &lookup.levels {
            let first = address >> (32 - level.length) << (32 - level.length);
            let Ok(place) = level.buckets.binary_search_by_key(&first, |bucket| bucket.0) else { continue };
            let holds = |entry: &&Entry| entry.within.is_none_or(|(_, start, end)| start <= address && address <= end);
            all.extend(chains.get(level.buckets[place].1).unwrap().iter().filter(holds).map(|entry| entry.said));
        }
        all.extend(trees(&lookup.after));
        all
    }

    fn kind_of(said: usize) -> Kind {
        KINDS[said % 4]
    }

    proptest! {
        #[test]
        fn whatever_holds_is_asked_in_the_order_of_kinds(
            ranges in prop::collection::vec((0u32..40, 0u32..3000, 0u32..22), 1..150),
            strangers in prop::collection::vec(any::<u32>(), 20),
        ) {
            let held = |(said, &(far, near, size)): (usize, &(u32, u32, u32))| {
                let start = u128::from((far << 20) + near);
                Held { start, end: start + (1 << size) - 1, kind: kind_of(said), said }
            };
            let held: Vec<Held> = ranges.iter().enumerate().map(held).collect();
            let mut chains = Interner::default();
            let lookup = Lookup::new(held.clone(), Family::V4, &mut chains, |_| false);
            let borders = held.iter().flat_map(|h| [h.start, h.end, h.end + 1, h.start.saturating_sub(1)]);
            for address in strangers.iter().map(|address| u128::from(*address)).chain(borders) {
                let asked = asked(&lookup, &chains, address);
                let holding: Vec<&Held> = held.iter().filter(|h| h.start <= address && address <= h.end).collect();
                // Whichever rules a packet's port leaves, the first that is asked is of the first kind among them.
                for (index, one) in holding.iter().enumerate() {
                    for other in &holding[index..] {
                        let first = asked.iter().find(|said| **said == one.said || **said == other.said);
                        prop_assert_eq!(first.map(|said| kind_of(*said)), Some(one.kind.min(other.kind)));
                    }
                }
                prop_assert!(asked.iter().all(|said| holding.iter().any(|h| h.said == *said)));
            }
        }
    }

    #[test]
    fn equal_prefixes_share_a_chain_and_wide_ranges_stay_outside() {
        let host = |n: u128| Held { start: n << 12, end: n << 12, kind: Kind::Deny, said: 0 };
        let mut ranges: Vec<Held> = (0..1000).map(host).collect();
        ranges.push(Held { start: 0, end: u32::MAX.into(), kind: Kind::Allow, said: 1 });
        let mut chains = Interner::default();
        let lookup = Lookup::new(ranges, Family::V4, &mut chains, |_| false);
        assert_eq!(chains.values(), [vec![Entry { within: None, said: 0 }]]);
        assert_eq!(
            lookup.levels.iter().map(|level| (level.length, level.buckets.len())).collect::<Vec<_>>(),
            [(32, 1000)]
        );
        assert_eq!(lookup.after, [vec![Spread { start: 0, end: u32::MAX.into(), said: 1 }]]);
    }
}
