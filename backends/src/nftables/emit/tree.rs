//! Search trees over sorted segments, to be written as chains of plain rules.
//!
//! In: where the segments begin. Out: the nodes, the root first. Leaves hold a few segments each; an inner node asks
//! for the first address of each child but its first.

use std::ops::Range;

/// A node: inner ones have children, leaves have segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// The root's number is 0.
    pub(super) number: usize,
    /// In order, each with the address below which all of its segments lie; the last one without.
    pub(super) children: Vec<(Option<u128>, usize)>,
    /// The indices of a leaf's segments.
    pub(super) leaves: Range<usize>,
}

/// As many segments as a leaf holds: so many rules cost about as much as one step down.
const LEAF: usize = 8;

/// The nodes of the tree over segments that begin at `starts`; none for no segment. Linear in the segments.
pub(super) fn nodes(starts: &[u128]) -> Vec<Node> {
    let mut nodes = Vec::new();
    if starts.is_empty() {
        return nodes;
    }
    // Wide trees are flat: the kernel lets a packet be 16 chains deep, and about half of them are taken already.
    let fan = if starts.len() > LEAF * 4_usize.pow(4) { 8 } else { 4 };
    build(starts, 0..starts.len(), fan, &mut nodes);
    nodes
}

/// Adds the subtree over a range of segments and returns its number.
fn build(starts: &[u128], range: Range<usize>, fan: usize, nodes: &mut Vec<Node>) -> usize {
    let number = nodes.len();
    if range.len() <= LEAF {
        nodes.push(Node { number, children: Vec::new(), leaves: range });
        return number;
    }
    nodes.push(Node { number, children: Vec::new(), leaves: 0..0 });
    let mut share = LEAF;
    while share * fan < range.len() {
        share *= fan;
    }
    let mut children: Vec<(Option<u128>, usize)> = Vec::with_capacity(fan);
    let mut from = range.start;
    while from < range.end {
        let to = range.end.min(from + share);
        let below = starts.get(to).copied().filter(|_| to < range.end);
        children.push((below, build(starts, from..to, fan, nodes)));
        from = to;
    }
    if let Some(node) = nodes.get_mut(number) {
        node.children = children;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The index of the segment whose leaf an address comes to, as the rules would lead it.
    fn leaf(nodes: &[Node], address: u128) -> Range<usize> {
        let mut node = &nodes[0];
        while let Some(last) = node.children.last() {
            let child = node.children.iter().find(|(below, _)| below.is_some_and(|below| address < below));
            node = &nodes[child.unwrap_or(last).1];
        }
        node.leaves.clone()
    }

    #[test]
    fn every_segment_is_found_within_the_kernels_depth() {
        for count in [1, 8, 9, 32, 33, 1000, 3000, 200_000] {
            let starts: Vec<u128> = (0..count).map(|index| index * 10 + 5).collect();
            let nodes = nodes(&starts);
            for (index, start) in starts.iter().enumerate() {
                assert!(leaf(&nodes, *start).contains(&index), "{index} of {count}");
                assert!(leaf(&nodes, start + 9).contains(&index), "{index} of {count}");
            }
            assert!(nodes.iter().all(|node| node.leaves.len() <= LEAF && node.children.len() <= 8));
        }
        assert_eq!(nodes(&[]), []);
    }
}
