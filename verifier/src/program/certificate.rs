//! Checks a cut of the addresses, without knowing how it was made.
//!
//! In: segments with the sets that are said to cover them. Out: nothing, if they are right. Read this instead of the
//! sweep: what passes here is a cut on which every set is constant.

use egress_ir::classes::{Keys, Segment};
use egress_ir::{Point, RangeSet, Unclear};

/// Holds a cut against the sets it was made of.
///
/// # Errors
/// The segments overlap, do not fill the line outside `inside`, or do not add up to some set.
pub(super) fn check<A: Point>(
    segments: &[Segment<A>],
    keys: &Keys,
    sets: &[&RangeSet<A>],
    inside: &RangeSet<A>,
) -> Result<(), Unclear> {
    let in_order = segments.windows(2).all(|pair| matches!(pair, [one, two] if one.end < two.start));
    let not_empty = segments.iter().all(|segment| segment.start <= segment.end);
    let all = RangeSet::from_ranges(segments.iter().map(|segment| (segment.start, segment.end)));
    if !in_order || !not_empty || all != inside.complement() {
        return Err(wrong("the segments of the addresses are not a partition"));
    }
    let mut claimed: Vec<Vec<(A, A)>> = vec![Vec::new(); sets.len()];
    for segment in segments {
        for &set in keys.list(segment.key) {
            match claimed.get_mut(set as usize) {
                Some(ranges) => ranges.push((segment.start, segment.end)),
                None => return Err(wrong("a segment of the addresses names a set that does not exist")),
            }
        }
    }
    let outside = |set: &RangeSet<A>| if inside.is_empty() { set.clone() } else { set.difference(inside) };
    let adds_up = |(set, ranges): (&&RangeSet<A>, Vec<(A, A)>)| RangeSet::from_ranges(ranges) == outside(set);
    match sets.iter().zip(claimed).all(adds_up) {
        true => Ok(()),
        false => Err(wrong("the segments of the addresses do not add up to the sets that cover them")),
    }
}

fn wrong(what: &str) -> Unclear {
    Unclear { reason: format!("{what}: this is a defect of egressc") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_ir::classes::sweep;
    use proptest::prelude::*;

    fn set() -> impl Strategy<Value = RangeSet<u32>> {
        prop::collection::vec((0..100_u32, 0..20_u32), 0..5)
            .prop_map(|ranges| RangeSet::from_ranges(ranges.into_iter().map(|(start, more)| (start, start + more))))
    }

    proptest! {
        #[test]
        fn a_sweep_passes_and_a_damaged_one_does_not(sets in prop::collection::vec(set(), 1..5), inside in set(), at in 0..40_usize, how in 0..5) {
            let sets: Vec<&RangeSet<u32>> = sets.iter().collect();
            let mut keys = Keys::default();
            let segments = sweep(&sets, &inside, &mut keys);
            prop_assert_eq!(check(&segments, &keys, &sets, &inside), Ok(()));
            let mut damaged = segments.clone();
            let place = at % damaged.len();
            let other = damaged[(place + 1) % damaged.len()].key;
            match how {
                0 => drop(damaged.remove(place)),
                1 => damaged[place].end = damaged[place].end.wrapping_sub(1),
                2 => damaged[place].start = damaged[place].start.wrapping_add(1),
                3 => damaged[place].key = other,
                _ => damaged.swap(place, 0),
            }
            prop_assert_eq!(check(&damaged, &keys, &sets, &inside).is_ok(), damaged == segments);
        }
    }
}
