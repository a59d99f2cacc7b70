//! The sets that hold the current place of a sweep.
//!
//! In: where each range of a set begins and ends, in order. Out: the sorted indices of the sets in between. Never
//! counts: the ranges of one set are disjoint and not adjacent, so none begins before the last one has ended.

/// Adds the set whose range begins here to the sorted `members`, or takes away the one whose range has ended.
pub(super) fn apply(members: &mut Vec<u32>, member: u32, begins: bool) {
    match (members.binary_search(&member), begins) {
        (Err(place), true) => members.insert(place, member),
        (Ok(place), false) => {
            members.remove(place);
        }
        // INVARIANT: the ranges of one set are disjoint and never adjacent, so they neither nest nor touch.
        (Ok(_), true) | (Err(_), false) => {}
    }
}
