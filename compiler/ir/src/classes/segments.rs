//! Address classes: elementary segments between the ends of ranges, and which sets cover each.
//!
//! In: address sets of one family. Out: sorted, disjoint segments that cover everything outside `excluded`, each with
//! the key of its list of covering sets. However many segments share a list, it is one key.

use super::members::apply;
use crate::range::{Point, RangeSet};
use std::collections::HashMap;

/// Names a list of covering sets within [`Keys`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u32);

impl Key {
    /// The key's place among [`Keys::lists`], counted from 0.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The distinct lists of covering sets, in the order in which they were first met.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    lists: Vec<Box<[u32]>>,
    known: HashMap<Box<[u32]>, Key>,
}

impl Keys {
    /// The sets of a key: sorted indices into the slice that [`sweep`] was given.
    #[must_use]
    pub fn list(&self, key: Key) -> &[u32] {
        self.lists.get(key.index()).map_or(&[], |list| list)
    }

    /// Every list with its key.
    pub fn lists(&self) -> impl ExactSizeIterator<Item = (Key, &[u32])> {
        self.lists.iter().enumerate().map(|(index, list)| (Key(u32::try_from(index).unwrap_or(u32::MAX)), &**list))
    }

    /// The number of distinct lists.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether no list is known yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    fn intern(&mut self, list: &[u32]) -> Key {
        if let Some(&key) = self.known.get(list) {
            return key;
        }
        let key = Key(u32::try_from(self.lists.len()).unwrap_or(u32::MAX));
        self.lists.push(list.into());
        self.known.insert(list.into(), key);
        key
    }
}

/// An elementary segment: no set begins or ends inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<A> {
    /// The first address.
    pub start: A,
    /// The last address.
    pub end: A,
    /// Which sets cover it.
    pub key: Key,
}

/// Cuts the line outside `excluded` into segments; neighbours of one key are joined.
///
/// Takes time `O(n log n + s·d)` for `n` ranges, `s` segments and `d` covering sets a segment.
#[must_use]
pub fn sweep<A: Point>(sets: &[&RangeSet<A>], excluded: &RangeSet<A>, keys: &mut Keys) -> Vec<Segment<A>> {
    let edges = edges(sets, excluded);
    let mut covering = Covering::default();
    let mut segments: Vec<Segment<A>> = Vec::with_capacity(edges.len() + 1);
    let mut rest = edges.as_slice();
    let mut start = A::MIN;
    loop {
        let here = rest.iter().take_while(|edge| edge.at <= start).count();
        let (now, later) = rest.split_at(here);
        now.iter().for_each(|edge| covering.apply(edge.member, edge.begins));
        rest = later;
        let next = rest.first().map(|edge| edge.at);
        let end = next.and_then(Point::previous).unwrap_or(A::MAX);
        if !covering.excluded {
            push(&mut segments, Segment { start, end, key: keys.intern(&covering.members) });
        }
        match next {
            Some(next) => start = next,
            None => return segments,
        }
    }
}

/// Stands for `excluded` among the members of edges.
const EXCLUDED: u32 = u32::MAX;

/// A place where a range begins, or the first place after its end.
struct Edge<A> {
    at: A,
    begins: bool,
    member: u32,
}

/// The sets that cover the current place.
#[derive(Default)]
struct Covering {
    members: Vec<u32>,
    excluded: bool,
}

impl Covering {
    fn apply(&mut self, member: u32, begins: bool) {
        if member == EXCLUDED {
            self.excluded = begins;
            return;
        }
        apply(&mut self.members, member, begins);
    }
}

fn edges<A: Point>(sets: &[&RangeSet<A>], excluded: &RangeSet<A>) -> Vec<Edge<A>> {
    let numbered = sets.iter().enumerate().map(|(index, set)| (u32::try_from(index).unwrap_or(EXCLUDED), *set));
    let mut edges = Vec::new();
    for (member, set) in numbered.chain([(EXCLUDED, excluded)]) {
        for &(start, end) in set.ranges() {
            edges.push(Edge { at: start, begins: true, member });
            if let Some(at) = end.next() {
                edges.push(Edge { at, begins: false, member });
            }
        }
    }
    edges.sort_unstable_by_key(|edge| edge.at);
    edges
}

fn push<A: Point>(segments: &mut Vec<Segment<A>>, segment: Segment<A>) {
    match segments.last_mut() {
        Some(last) if last.key == segment.key && last.end.next() == Some(segment.start) => last.end = segment.end,
        _ => segments.push(segment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set() -> impl Strategy<Value = RangeSet<u16>> {
        prop::collection::vec((any::<u16>(), 0u16..9000), 0..5)
            .prop_map(|v| RangeSet::from_ranges(v.into_iter().map(|(s, n)| (s, s.saturating_add(n)))))
    }

    proptest! {
        #[test]
        fn segments_partition_what_is_not_excluded(sets in prop::collection::vec(set(), 0..6), excluded in set()) {
            let mut keys = Keys::default();
            let refs: Vec<&RangeSet<u16>> = sets.iter().collect();
            let segments = sweep(&refs, &excluded, &mut keys);
            let covered = RangeSet::from_ranges(segments.iter().map(|s| (s.start, s.end)));
            prop_assert_eq!(covered, excluded.complement());
            for pair in segments.windows(2) {
                prop_assert!(pair[0].end < pair[1].start);
            }
            for segment in &segments {
                let list = keys.list(segment.key);
                for (index, set) in (0u32..).zip(&sets) {
                    let listed = list.contains(&index);
                    let whole = RangeSet::range(segment.start, segment.end);
                    let agrees = if listed { whole.is_subset(set) } else { !whole.overlaps(set) };
                    prop_assert!(agrees);
                }
            }
        }
    }
}
