//! The shortest list of prefixes with exceptions that holds exactly the addresses of a set.
//!
//! A set is cut along the tree of prefixes. In each node there are two ways: what its halves need, or the whole node with
//! everything that is not in the set as exceptions. The cheaper one is taken; without a gain there are no exceptions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use egress_ir::{AddressSet, Point, Prefix, RangeSet};

/// A prefix and the exceptions inside it.
pub(super) type Cover = (Prefix, Vec<Prefix>);

/// Covers of a set, sorted, IPv4 before IPv6.
pub(super) fn cover(set: &AddressSet) -> Vec<Cover> {
    let v4 =
        Line { set: &set.v4, wide: u128::from, address: |bits| Ipv4Addr::from_bits(narrow(bits)).into(), width: 32 };
    let v6 = Line { set: &set.v6, wide: |bits| bits, address: |bits| Ipv6Addr::from_bits(bits).into(), width: 128 };
    let mut all = v4.node(0, 0).members;
    all.extend(v6.node(0, 0).members);
    all
}

fn narrow(bits: u128) -> u32 {
    u32::try_from(bits).unwrap_or(u32::MAX)
}

/// Whether a prefix lies within the IPv4-mapped addresses (`::ffff:0:0/96`), which Cilium need not keep apart from IPv4.
pub(super) fn has_mapped<'p>(prefixes: impl IntoIterator<Item = &'p Prefix>) -> bool {
    let mapped =
        |prefix: &Prefix| matches!(prefix.address(), IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    prefixes.into_iter().any(mapped)
}

/// One family's addresses as numbers.
struct Line<'s, A: Point> {
    set: &'s RangeSet<A>,
    wide: fn(A) -> u128,
    address: fn(u128) -> IpAddr,
    width: u8,
}

/// What a node of the tree needs.
struct Node {
    /// Its members, with exceptions where they save something.
    members: Vec<Cover>,
    /// Entries and exceptions of `members`.
    cost: usize,
    /// Everything else in it, without exceptions.
    others: Vec<Prefix>,
}

impl<A: Point> Line<'_, A> {
    /// The node of `length` bits that starts at `start`. Recursion is as deep as addresses have bits.
    fn node(&self, start: u128, length: u8) -> Node {
        let size_less_one = u128::MAX.checked_shr(u32::from(128 - self.width) + u32::from(length)).unwrap_or(0);
        let last = start | size_less_one;
        let prefix = Prefix::containing((self.address)(start), length);
        let ranges = self.set.ranges();
        // The first range that ends in or after the node.
        let at = ranges.partition_point(|(_, end)| (self.wide)(*end) < start);
        match ranges.get(at).map(|(first, end)| ((self.wide)(*first), (self.wide)(*end))) {
            Some((first, end)) if first <= start && last <= end => {
                Node { members: vec![(prefix, Vec::new())], cost: 1, others: Vec::new() }
            }
            Some((first, _)) if first <= last => {
                let half = size_less_one / 2 + 1;
                let (low, high) = (self.node(start, length + 1), self.node(start | half, length + 1));
                join(prefix, low, high)
            }
            _ => Node { members: Vec::new(), cost: 0, others: vec![prefix] },
        }
    }
}

fn join(prefix: Prefix, mut low: Node, high: Node) -> Node {
    low.others.extend(high.others);
    let others = low.others;
    // IPv4-mapped prefixes are refused, so a cover without them is better than a shorter one with them.
    if 1 + others.len() < low.cost + high.cost && !has_mapped(&others) {
        return Node { cost: 1 + others.len(), members: vec![(prefix, others.clone())], others };
    }
    low.members.extend(high.members);
    Node { cost: low.cost + high.cost, members: low.members, others }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_testkit::seed::{Rng, cases, seed};

    #[test]
    fn covers_hold_exactly_the_set_and_are_never_longer_than_prefixes() {
        let (seed, cases) = (seed(), cases(2000));
        let mut saved = 0;
        for case in 0..cases {
            let mut rng = Rng::new(seed, case);
            let bits = rng.between(4, 32);
            let mut ends = || {
                let at = u32::try_from(rng.between(0, (1 << bits) - 1)).unwrap_or(0);
                (IpAddr::from(Ipv4Addr::from_bits(at)), IpAddr::from(Ipv6Addr::from_bits(u128::from(at) << 90)))
            };
            let pairs: Vec<_> = (0..6).map(|_| (ends(), ends())).collect();
            let of_v4 = pairs.iter().map(|(a, b)| (a.0.min(b.0), a.0.max(b.0)));
            let of_v6 = pairs.iter().take(2).map(|(a, b)| (a.1.min(b.1), a.1.max(b.1)));
            let set = AddressSet::from_ranges(of_v4.chain(of_v6).collect::<Vec<_>>());
            let covers = cover(&set);
            let back = covers.iter().fold(AddressSet::empty(), |sum, (prefix, except)| {
                assert!(except.iter().all(|out| prefix.contains(out.address()) && out.length() >= prefix.length()));
                let out = AddressSet::from_prefixes(except.iter().copied());
                sum.union(&AddressSet::from_prefixes([*prefix]).difference(&out))
            });
            assert_eq!(back, set, "seed {seed}, case {case}");
            let cost: usize = covers.iter().map(|(_, except)| 1 + except.len()).sum();
            let plain = set.prefixes().len();
            assert!(cost <= plain, "seed {seed}, case {case}: {cost} and {plain}");
            saved += plain - cost;
        }
        assert!(saved > 0, "nothing was saved");
    }

    #[test]
    fn the_borders_of_both_families() {
        assert_eq!(cover(&AddressSet::empty()), []);
        let shown: Vec<String> = cover(&AddressSet::full()).iter().map(|(prefix, _)| prefix.to_string()).collect();
        assert_eq!(shown, ["0.0.0.0/0", "::/0"]);
    }
}
