//! Which names packets on their way were found to have, and whose say comes first.
//!
//! In: every question for a name that parts packets in two. Out: a [`Way`] for those that have it. Whoever does not have
//! it goes on as before; so what is decided on a way holds only for packets that no earlier way has decided, and a list
//! of all decisions in the order of their ways says what the rules do with every packet.

use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Names a way: the questions that were answered by yes. They are numbered in the order in which they were asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Way(u32);

/// The way of packets that were found to have no name.
pub(super) const UNNAMED: Way = Way(0);

/// The ways through one walk.
#[derive(Debug, Default)]
pub(super) struct Branches {
    /// Where each way left another one, and for which pattern. The first is way 1.
    left: Vec<(Way, usize)>,
}

impl Branches {
    /// The way of packets that have a name of the pattern, from here on.
    pub(super) fn leave(&mut self, from: Way, host: usize) -> Way {
        self.left.push((from, host));
        Way(u32::try_from(self.left.len()).unwrap_or(u32::MAX))
    }

    /// The patterns of which packets on a way have names.
    pub(super) fn hosts(&self, way: Way) -> BTreeSet<usize> {
        self.steps(way).into_iter().filter_map(|step| self.at(step)).map(|(_, host)| host).collect()
    }

    /// Whose decisions come first: those of whoever answered an earlier question by yes, and those of whoever answered one
    /// question more.
    pub(super) fn order(&self, one: Way, other: Way) -> Ordering {
        let (one, other) = (self.steps(one), self.steps(other));
        let differing = one.iter().zip(&other).find(|(one, other)| one != other);
        differing.map_or_else(|| other.len().cmp(&one.len()), |(one, other)| one.cmp(other))
    }

    fn at(&self, way: Way) -> Option<(Way, usize)> {
        self.left.get(usize::try_from(way.0.checked_sub(1)?).ok()?).copied()
    }

    /// The ways that lead to this one, the first one first.
    fn steps(&self, way: Way) -> Vec<Way> {
        let mut steps = Vec::new();
        let mut at = way;
        while let Some((from, _)) = self.at(at) {
            steps.push(at);
            at = from;
        }
        steps.reverse();
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_comes_before_those_it_left_and_those_that_leave_later() {
        let mut branches = Branches::default();
        let first = branches.leave(UNNAMED, 7);
        let deeper = branches.leave(first, 8);
        let second = branches.leave(UNNAMED, 8);
        let mut all = [UNNAMED, second, first, deeper];
        all.sort_by(|one, other| branches.order(*one, *other));
        assert_eq!(all, [deeper, first, second, UNNAMED]);
        assert_eq!(branches.hosts(deeper), BTreeSet::from([7, 8]));
        assert_eq!(branches.hosts(UNNAMED), BTreeSet::new());
    }
}
