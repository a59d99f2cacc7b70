//! Search trees over ranges that may overlap, where every range that holds an address has a say.
//!
//! In: ranges of rules of one verdict, so that it does not matter who speaks first. Out: nodes, the root first. A
//! range that holds all of a node's addresses is said at the node, without asking for the address again; the others are
//! handed down. So nested ranges are written about once each, not once for each piece that others cut them into.

use std::ops::Range;

/// A range of addresses with what is said of it; both ends are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Spread<T> {
    pub(super) start: u128,
    pub(super) end: u128,
    pub(super) said: T,
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node<T> {
    /// The root's number is 0.
    pub(super) number: usize,
    /// What is said of all addresses that come here.
    pub(super) covers: Vec<T>,
    /// What is said of some of them; only in leaves.
    pub(super) some: Vec<Spread<T>>,
    /// In order, each with the address below which all of its addresses lie; the last one without.
    pub(super) children: Vec<(Option<u128>, usize)>,
}

/// As many ranges as a leaf holds: a packet that none of them holds meets them all.
const LEAF: usize = 5;

/// The nodes over the addresses from 0 to `last`; none for no range.
pub(super) fn nodes<T: Copy + Ord>(spreads: &[Spread<T>], last: u128) -> Vec<Node<T>> {
    let mut builder = Builder { nodes: Vec::new(), fan: if spreads.len() > 1024 { 8 } else { 4 } };
    if !spreads.is_empty() {
        builder.build(spreads, 0, last);
    }
    builder.nodes
}

struct Builder<T> {
    nodes: Vec<Node<T>>,
    /// Wide trees are flat: the kernel lets a packet be 16 chains deep, and half of them are taken already.
    fan: usize,
}

impl<T: Copy + Ord> Builder<T> {
    fn build(&mut self, spreads: &[Spread<T>], start: u128, end: u128) -> usize {
        let number = self.nodes.len();
        let (covers, some): (Vec<Spread<T>>, Vec<Spread<T>>) =
            spreads.iter().partition(|spread| spread.start <= start && spread.end >= end);
        let covers = covers.into_iter().map(|spread| spread.said).collect();
        self.nodes.push(Node { number, covers, some: Vec::new(), children: Vec::new() });
        let children = if some.len() > LEAF { self.children(&some, start, end) } else { Vec::new() };
        if let Some(node) = self.nodes.get_mut(number) {
            node.some = if children.is_empty() { some } else { Vec::new() };
            node.children = children;
        }
        number
    }

    fn children(&mut self, spreads: &[Spread<T>], start: u128, end: u128) -> Vec<(Option<u128>, usize)> {
        let mut children = Vec::with_capacity(self.fan);
        let mut from = start;
        let bounds = cuts(spreads, start, end, self.fan).into_iter().map(Some).chain([None]);
        for below in bounds {
            let to = below.map_or(end, |below| below - 1);
            let own: Vec<Spread<T>> = spreads.iter().copied().filter(|s| s.start <= to && s.end >= from).collect();
            children.push((below, self.build(&own, from, to)));
            from = to.saturating_add(1);
        }
        children
    }
}

/// Where to cut: at borders of ranges, about evenly, and where few ranges are cut in two.
fn cuts<T>(spreads: &[Spread<T>], start: u128, end: u128, fan: usize) -> Vec<u128> {
    let mut starts: Vec<u128> = spreads.iter().map(|spread| spread.start).collect();
    let mut ends: Vec<u128> = spreads.iter().map(|spread| spread.end).collect();
    starts.sort_unstable();
    ends.sort_unstable();
    let after = |end: &u128| end.checked_add(1);
    let mut borders: Vec<u128> = starts.iter().copied().chain(ends.iter().filter_map(after)).collect();
    borders.retain(|border| start < *border && *border <= end);
    borders.sort_unstable();
    borders.dedup();
    let crossing = |border: u128| starts.partition_point(|s| *s < border) - ends.partition_point(|e| *e < border);
    let around = borders.len() / (4 * fan);
    let mut cuts: Vec<u128> = (1..fan)
        .filter_map(|part| {
            let middle = borders.len() * part / fan;
            let window: Range<usize> = middle.saturating_sub(around)..(middle + around + 1).min(borders.len());
            borders.get(window)?.iter().copied().min_by_key(|border| crossing(*border))
        })
        .collect();
    cuts.dedup();
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything that is said of an address, as the rules would come by it.
    fn said(nodes: &[Node<usize>], address: u128) -> Vec<usize> {
        let mut all = Vec::new();
        let mut node = &nodes[0];
        loop {
            all.extend(&node.covers);
            all.extend(node.some.iter().filter(|s| s.start <= address && address <= s.end).map(|s| s.said));
            let Some(last) = node.children.last() else { break };
            let child = node.children.iter().find(|(below, _)| below.is_some_and(|below| address < below));
            node = &nodes[child.unwrap_or(last).1];
        }
        all.sort_unstable();
        all
    }

    proptest! {
        #[test]
        fn everybody_has_a_say(ranges in prop::collection::vec((0u32..4000, 0u32..600), 1..120), asked in prop::collection::vec(0u32..5000, 40)) {
            let spread = |(said, &(start, size)): (usize, &(u32, u32))| Spread { start: start.into(), end: (start + size).into(), said };
            let spreads: Vec<Spread<usize>> = ranges.iter().enumerate().map(spread).collect();
            let nodes = nodes(&spreads, u32::MAX.into());
            let borders = ranges.iter().flat_map(|&(start, size)| [start, start + size, start + size + 1, start.saturating_sub(1)]);
            for address in asked.iter().copied().chain(borders).map(u128::from) {
                let expected: Vec<usize> = spreads.iter().filter(|s| s.start <= address && address <= s.end).map(|s| s.said).collect();
                prop_assert_eq!(said(&nodes, address), expected);
            }
        }
    }

    #[test]
    fn nested_ranges_are_written_about_once_and_trees_stay_flat() {
        let wide = (0..100u128).map(|n| Spread { start: n << 16, end: (n << 16) + 0xffff, said: 0usize });
        let narrow = (0..20_000u128).map(|n| Spread { start: n * 317, end: n * 317 + 15, said: 1 });
        let mut spreads: Vec<Spread<usize>> = wide.chain(narrow).collect();
        spreads.sort_unstable();
        let nodes = nodes(&spreads, u32::MAX.into());
        let written: usize = nodes.iter().map(|node| node.covers.len() + node.some.len()).sum();
        assert!(written < spreads.len() * 5 / 4, "{written}");
        let mut deepest = vec![1; nodes.len()];
        for node in nodes.iter().rev() {
            deepest[node.number] += node.children.iter().map(|child| deepest[child.1]).max().unwrap_or(0);
        }
        assert!(deepest[0] <= 6, "{}", deepest[0]);
    }
}
