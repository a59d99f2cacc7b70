//! Port classes: elementary cells of the port line, and which sets contain each.
//!
//! In: port sets. Out: a partition of the whole 24-bit line. Works in the caller's buffers, because it runs once for
//! each key of the destination sweep.

use super::members::apply;
use crate::port::PortSet;

/// Buffers that [`port_cells`] reuses from call to call.
#[derive(Clone, Debug, Default)]
pub struct PortCells {
    edges: Vec<(u32, bool, u32)>,
    members: Vec<u32>,
}

impl PortCells {
    /// Calls `visit(first, last, members)` for each cell in order; `members` are the sorted indices of the sets that
    /// contain the whole cell, and every other set misses it. The cells together are the line from 0 to `0xff_ffff`.
    pub fn visit<'s>(&mut self, sets: impl IntoIterator<Item = &'s PortSet>, mut visit: impl FnMut(u32, u32, &[u32])) {
        self.edges.clear();
        self.members.clear();
        for (member, set) in (0u32..).zip(sets) {
            for &(first, last) in set.line_ranges() {
                self.edges.push((first, true, member));
                if last < PortSet::LAST {
                    self.edges.push((last + 1, false, member));
                }
            }
        }
        self.edges.sort_unstable();
        let mut first = 0;
        let mut edges = self.edges.iter().peekable();
        loop {
            while let Some(&(_, begins, member)) = edges.next_if(|edge| edge.0 <= first) {
                apply(&mut self.members, member, begins);
            }
            let next = edges.peek().map(|edge| edge.0);
            visit(first, next.map_or(PortSet::LAST, |next| next - 1), &self.members);
            match next {
                Some(next) => first = next,
                None => return,
            }
        }
    }
}

/// One call of [`PortCells::visit`] with buffers of its own.
pub fn port_cells<'s>(sets: impl IntoIterator<Item = &'s PortSet>, visit: impl FnMut(u32, u32, &[u32])) {
    PortCells::default().visit(sets, visit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_partition_the_line() {
        let sets =
            [PortSet::numbers(6, 80, 443), PortSet::protocol(6), PortSet::numbers(6, 443, 500), PortSet::empty()];
        let mut next = 0;
        let mut seen = Vec::new();
        port_cells(&sets, |first, last, members| {
            assert_eq!(first, next);
            next = last + 1;
            for (index, set) in (0u32..).zip(&sets) {
                let cell = PortSet::from_line_ranges([(first, last)]);
                assert_eq!(cell.is_subset(set), members.contains(&index));
                assert_eq!(cell.intersection(set).is_empty(), !members.contains(&index));
            }
            seen.push(members.to_vec());
        });
        assert_eq!(next, PortSet::LAST + 1);
        assert_eq!(seen, [vec![], vec![1], vec![0, 1], vec![0, 1, 2], vec![1, 2], vec![1], vec![]]);
    }

    #[test]
    fn a_range_over_many_protocols_is_one_cell() {
        let mut count = 0;
        port_cells(&[PortSet::any()], |_, _, members| {
            assert_eq!(members, [0]);
            count += 1;
        });
        assert_eq!(count, 1);
    }
}
