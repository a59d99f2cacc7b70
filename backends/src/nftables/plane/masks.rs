//! Masks in front of look-ups: which values an element stands for once some of their bits are dropped.
//!
//! In: a mask and an element. Out: the values. A mask that keeps the first bits makes prefixes; one with holes makes
//! so many ranges as its holes have values, which is done within bounds.

use super::super::model::Field;
use egress_ir::RangeSet;

/// The most ranges that the elements of a map may come to.
const MOST: usize = 1 << 18;

/// The bits of a field that a mask drops.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    /// As many of the last bits as are dropped together.
    low: u128,
    /// The others, one by one.
    holes: Vec<u128>,
}

impl Dropped {
    /// What a mask drops; nothing where that would make too many ranges, or for a field without masks.
    pub(super) fn by(field: Field, mask: u128, elements: usize) -> Option<Self> {
        let all = match field {
            Field::SourceV4 | Field::DestinationV4 => u32::MAX.into(),
            Field::SourceV6 | Field::DestinationV6 => u128::MAX,
            _ => return (mask == u128::MAX).then(Self::default),
        };
        let dropped = all & !mask;
        let low = 1_u128.checked_shl(dropped.trailing_ones()).map_or(u128::MAX, |next| next - 1);
        let holes = (0..u128::BITS).map(|bit| 1 << bit).filter(|bit| dropped & !low & bit != 0);
        let holes: Vec<u128> = holes.collect();
        let ways = 1_usize.checked_shl(u32::try_from(holes.len()).ok()?)?;
        (ways.checked_mul(elements.max(1))? <= MOST).then_some(Self { low, holes })
    }

    /// The values that lie between two others once the bits are dropped; nothing where that is not worked out, for
    /// ranges behind a mask with holes.
    pub(super) fn before(&self, start: u128, end: u128) -> Option<RangeSet<u128>> {
        let low = self.low;
        if self.holes.is_empty() {
            let first = start.checked_add(low).map(|above| above & !low).filter(|first| *first <= end & !low);
            return Some(first.map_or_else(RangeSet::empty, |first| RangeSet::range(first, end | low)));
        }
        if start != end {
            return None;
        }
        if self.holes.iter().any(|hole| start & hole != 0) || start & low != 0 {
            return Some(RangeSet::empty());
        }
        let mut starts = vec![start];
        for hole in &self.holes {
            starts.extend(starts.clone().into_iter().map(|start| start | hole));
        }
        Some(RangeSet::from_ranges(starts.into_iter().map(|start| (start, start | low))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_are_those_that_the_mask_leaves_between(
            mask in any::<u8>(), start in any::<u8>(), length in prop_oneof![Just(0_u8), any::<u8>()],
        ) {
            let mask = 0xffff_ff00 | u128::from(mask);
            let (start, end) = (u128::from(start), u128::from(start.saturating_add(length)));
            let dropped = Dropped::by(Field::SourceV4, mask, 1).unwrap();
            match dropped.before(start, end) {
                Some(values) => {
                    for value in 0..=0x1ff {
                        let masked = value & mask;
                        prop_assert_eq!(values.contains(value), start <= masked && masked <= end, "{:x}", value);
                    }
                }
                None => prop_assert!(start != end && (!mask & 0xff).count_ones() > 0),
            }
        }
    }

    #[test]
    fn masks_with_too_many_holes_are_not_worked_out() {
        assert!(Dropped::by(Field::SourceV6, 0x5555 << 112, 1).is_some());
        assert!(Dropped::by(Field::SourceV6, 0x5555_5555_5555_5555 << 64, 1).is_none());
        assert!(Dropped::by(Field::SourceV4, 0xff00_ff00, 1 << 10).is_some());
        assert!(Dropped::by(Field::SourceV4, 0xff00_ff00, 1 << 11).is_none());
        assert!(Dropped::by(Field::Protocol, 0xff, 1).is_none());
        assert_eq!(Dropped::by(Field::SourceV6, 0, 1).unwrap().before(0, 7), Some(RangeSet::full()));
    }
}
