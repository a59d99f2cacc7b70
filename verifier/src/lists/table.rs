//! Tables: the port line cut into runs of one outcome.
//!
//! In: port ranges with outcomes, where the first that contains a port decides it. Out: the same, run by run. Equal
//! tables mean equal behaviour, because neighbouring runs always differ.

use crate::solver::Ranges;
use egress_ir::{Outcome, PortSet};

/// Ports next to each other with one outcome; a run begins where the one before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The last port on the line.
    pub last: u32,
    /// What happens.
    pub outcome: Outcome,
}

/// What happens on every port; runs from port 0 to the end of the line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Table {
    runs: Vec<Run>,
}

impl Table {
    /// Decides each elementary run by the first entry that contains it.
    #[must_use]
    pub fn of(entries: &[(Ranges, Outcome)], default: Outcome) -> Self {
        let starts = entries.iter().flat_map(|(ranges, _)| ranges.iter());
        let mut starts: Vec<u128> = starts.flat_map(|&(first, last)| [first, last + 1]).chain([0]).collect();
        starts.sort_unstable();
        starts.dedup();
        starts.retain(|start| *start <= PortSet::LAST.into());
        let decide = |port: u128| {
            let contains = |ranges: &Ranges| {
                let after = ranges.partition_point(|&(first, _)| first <= port);
                after.checked_sub(1).and_then(|place| ranges.get(place)).is_some_and(|&(_, last)| port <= last)
            };
            entries.iter().find(|(ranges, _)| contains(ranges)).map_or(default, |(_, outcome)| *outcome)
        };
        let mut runs: Vec<Run> = Vec::new();
        let ends = starts.iter().skip(1).map(|next| next - 1).chain([PortSet::LAST.into()]);
        for (start, end) in starts.iter().zip(ends) {
            let (last, outcome) = (u32::try_from(end).unwrap_or(PortSet::LAST), decide(*start));
            match runs.last_mut() {
                Some(run) if run.outcome == outcome => run.last = last,
                _ => runs.push(Run { last, outcome }),
            }
        }
        Self { runs }
    }

    /// First port, last port and outcome of each run.
    pub fn runs(&self) -> impl Iterator<Item = (u32, u32, Outcome)> + '_ {
        let firsts = std::iter::once(0).chain(self.runs.iter().map(|run| run.last + 1));
        firsts.zip(&self.runs).map(|(first, run)| (first, run.last, run.outcome))
    }

    /// The ports with an outcome that `wanted` accepts.
    #[must_use]
    pub fn ports(&self, wanted: impl Fn(Outcome) -> bool) -> PortSet {
        PortSet::from_line_ranges(self.runs().filter(|run| wanted(run.2)).map(|(first, last, _)| (first, last)))
    }

    /// Where two tables differ: first port, last port, and what each says there.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<(u32, u32, Outcome, Outcome)> {
        let mut found: Vec<(u32, u32, Outcome, Outcome)> = Vec::new();
        let (mut left, mut right) = (self.runs.iter().peekable(), other.runs.iter().peekable());
        let mut first = 0;
        while let (Some(&&one), Some(&&two)) = (left.peek(), right.peek()) {
            let last = one.last.min(two.last);
            if one.outcome != two.outcome {
                found.push((first, last, one.outcome, two.outcome));
            }
            left.next_if(|run| run.last == last);
            right.next_if(|run| run.last == last);
            first = last.saturating_add(1);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::widened;
    use proptest::prelude::*;

    fn entries() -> impl Strategy<Value = Vec<(Ranges, Outcome)>> {
        let ranges = prop::collection::vec((0..40_u32, 0..6_u32), 0..4).prop_map(|ranges| {
            PortSet::from_line_ranges(ranges.into_iter().map(|(first, more)| (first, first + more)))
        });
        let ranges = ranges.prop_map(|set| widened(set.line_ranges()));
        let outcome = prop::sample::select(vec![Outcome::Dropped, Outcome::Passes(None)]);
        prop::collection::vec((ranges, outcome), 0..5)
    }

    proptest! {
        #[test]
        fn a_table_says_what_the_first_entry_says(entries in entries(), port in 0..60_u32) {
            let table = Table::of(&entries, Outcome::Dropped);
            let inside = |ranges: &Ranges| ranges.iter().any(|r| r.0 <= port.into() && u128::from(port) <= r.1);
            let expected = entries.iter().find(|(ranges, _)| inside(ranges)).map_or(Outcome::Dropped, |entry| entry.1);
            let found = table.runs().find(|&(first, last, _)| first <= port && port <= last);
            prop_assert_eq!(found.map(|run| run.2), Some(expected));
            prop_assert_eq!(table.runs().last().map(|run| run.1), Some(PortSet::LAST));
        }

        #[test]
        fn differences_are_where_two_tables_differ(one in entries(), two in entries(), port in 0..60_u32) {
            let (one, two) = (Table::of(&one, Outcome::Dropped), Table::of(&two, Outcome::Dropped));
            let at = |table: &Table| table.runs().find(|&(first, last, _)| first <= port && port <= last).map(|run| run.2);
            let listed = one.differences(&two).into_iter().find(|&(first, last, ..)| first <= port && port <= last);
            prop_assert_eq!(listed.is_some(), at(&one) != at(&two));
            prop_assert_eq!(one == two, one.differences(&two).is_empty());
        }
    }
}
