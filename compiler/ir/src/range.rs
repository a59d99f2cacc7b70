//! Sets of integers as sorted, disjoint, non-adjacent inclusive ranges.
//!
//! In: ranges in any order. Out: one canonical form, so that equal sets are equal values.
//! Addresses (`u32`, `u128`) and ports ([`crate::PortSet`]) are such sets. Never allocates per element.

use std::fmt::Debug;

/// An integer that ranges can be made of.
pub trait Point: Copy + Ord + Debug + std::hash::Hash {
    /// The smallest value.
    const MIN: Self;
    /// The largest value.
    const MAX: Self;
    /// The next value, or nothing after [`Point::MAX`].
    fn next(self) -> Option<Self>;
    /// The previous value, or nothing before [`Point::MIN`].
    fn previous(self) -> Option<Self>;
}

macro_rules! point {
    ($($t:ty),*) => {$(
        impl Point for $t {
            const MIN: Self = <$t>::MIN;
            const MAX: Self = <$t>::MAX;
            fn next(self) -> Option<Self> { self.checked_add(1) }
            fn previous(self) -> Option<Self> { self.checked_sub(1) }
        }
    )*};
}
point!(u16, u32, u128);

/// A set of integers; canonical, so `==` is set equality.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RangeSet<A> {
    // INVARIANT: sorted by start, and between two neighbours lies at least one value outside the set.
    ranges: Vec<(A, A)>,
}

impl<A> Default for RangeSet<A> {
    fn default() -> Self {
        Self { ranges: Vec::new() }
    }
}

impl<A: Point> RangeSet<A> {
    /// The set with no value.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The set of every value.
    #[must_use]
    pub fn full() -> Self {
        Self::range(A::MIN, A::MAX)
    }

    /// All values from `start` to `end`, both included; empty when `end < start`.
    #[must_use]
    pub fn range(start: A, end: A) -> Self {
        Self::from_ranges([(start, end)])
    }

    /// The union of inclusive ranges, given in any order; reversed ones count as empty.
    #[must_use]
    pub fn from_ranges(ranges: impl IntoIterator<Item = (A, A)>) -> Self {
        let mut sorted: Vec<(A, A)> = ranges.into_iter().filter(|(s, e)| s <= e).collect();
        sorted.sort_unstable();
        let mut merged: Vec<(A, A)> = Vec::with_capacity(sorted.len());
        for (start, end) in sorted {
            match merged.last_mut() {
                Some(last) if last.1.next().is_none_or(|after| start <= after) => {
                    last.1 = last.1.max(end);
                }
                _ => merged.push((start, end)),
            }
        }
        Self { ranges: merged }
    }

    /// The ranges, sorted and disjoint, both ends included.
    #[must_use]
    pub fn ranges(&self) -> &[(A, A)] {
        &self.ranges
    }

    /// Whether no value is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether every value is in the set.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.ranges.first() == Some(&(A::MIN, A::MAX))
    }

    /// Whether `value` is in the set.
    #[must_use]
    pub fn contains(&self, value: A) -> bool {
        let after = self.ranges.partition_point(|range| range.0 <= value);
        after.checked_sub(1).and_then(|index| self.ranges.get(index)).is_some_and(|range| value <= range.1)
    }

    /// The smallest value, if there is one.
    #[must_use]
    pub fn first(&self) -> Option<A> {
        self.ranges.first().map(|range| range.0)
    }

    /// The same values as wider integers.
    #[must_use]
    pub fn widened<B: Point + From<A>>(&self) -> RangeSet<B> {
        RangeSet { ranges: self.ranges.iter().map(|&(start, end)| (start.into(), end.into())).collect() }
    }

    /// Whether some value from `start` to `end`, both included, is in the set.
    #[must_use]
    pub fn meets(&self, start: A, end: A) -> bool {
        let next = self.ranges.partition_point(|range| range.1 < start);
        self.ranges.get(next).is_some_and(|range| range.0 <= end)
    }

    /// Values in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::from_ranges(self.ranges.iter().chain(&other.ranges).copied())
    }

    /// Values in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        let mut both = Vec::new();
        while let (Some(&&a), Some(&&b)) = (left.peek(), right.peek()) {
            let (start, end) = (a.0.max(b.0), a.1.min(b.1));
            if start <= end {
                both.push((start, end));
            }
            if a.1 < b.1 {
                left.next();
            } else {
                right.next();
            }
        }
        Self { ranges: both }
    }

    /// Values not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut outside = Vec::with_capacity(self.ranges.len() + 1);
        let mut from = Some(A::MIN);
        for &(start, end) in &self.ranges {
            if let (Some(from), Some(before)) = (from, start.previous())
                && from <= before
            {
                outside.push((from, before));
            }
            from = end.next();
        }
        if let Some(from) = from {
            outside.push((from, A::MAX));
        }
        Self { ranges: outside }
    }

    /// Values in this set and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        self.intersection(&other.complement())
    }

    /// Whether every value of this set is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.ranges.iter().all(|&(start, end)| {
            let after = other.ranges.partition_point(|range| range.0 <= start);
            after.checked_sub(1).and_then(|index| other.ranges.get(index)).is_some_and(|range| end <= range.1)
        })
    }

    /// Whether some value is in both sets.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (few, many) = if self.ranges.len() <= other.ranges.len() { (self, other) } else { (other, self) };
        few.ranges.iter().any(|&(start, end)| many.meets(start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set() -> impl Strategy<Value = RangeSet<u16>> {
        prop::collection::vec((any::<u16>(), 0u16..3000), 0..8)
            .prop_map(|v| RangeSet::from_ranges(v.into_iter().map(|(s, n)| (s, s.saturating_add(n)))))
    }

    proptest! {
        #[test]
        fn set_algebra_holds_pointwise(a in set(), b in set(), extra in any::<u16>()) {
            let mut points: Vec<u16> = a.ranges().iter().chain(b.ranges())
                .flat_map(|&(s, e)| [s.wrapping_sub(1), s, e, e.wrapping_add(1)]).collect();
            points.push(extra);
            for x in points {
                let (in_a, in_b) = (a.contains(x), b.contains(x));
                prop_assert_eq!(a.union(&b).contains(x), in_a || in_b);
                prop_assert_eq!(a.intersection(&b).contains(x), in_a && in_b);
                prop_assert_eq!(a.difference(&b).contains(x), in_a && !in_b);
                prop_assert_eq!(a.complement().contains(x), !in_a);
            }
        }

        #[test]
        fn results_are_canonical(a in set(), b in set()) {
            for r in [a.union(&b), a.intersection(&b), a.difference(&b), a.complement()] {
                prop_assert_eq!(RangeSet::from_ranges(r.ranges().iter().copied()), r);
            }
            prop_assert_eq!(a.complement().complement(), a.clone());
            prop_assert_eq!(a.is_subset(&b), a.difference(&b).is_empty());
            prop_assert_eq!(a.overlaps(&b), !a.intersection(&b).is_empty());
            let wide: RangeSet<u128> = a.widened();
            prop_assert_eq!(RangeSet::from_ranges(wide.ranges().iter().copied()), wide);
        }
    }

    #[test]
    fn the_ends_of_the_line_are_kept() {
        assert!(RangeSet::<u32>::full().is_full());
        assert!(RangeSet::<u32>::full().complement().is_empty());
        assert_eq!(RangeSet::<u16>::range(0, 9).complement().ranges(), [(10, u16::MAX)]);
    }
}
