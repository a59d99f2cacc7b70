//! How much of the outside something is about, in numbers that people can compare.
//!
//! In: ranges of addresses and of ports. Out: how many pairs of them there are. IPv6 is counted in networks of 64 bits,
//! as people are given them: a network that is cut counts for each of its parts, so that nothing is nothing.

use egress_ir::PortSet;
use std::ops::AddAssign;

/// Pairs of an address and a port that a packet can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    /// Of IPv4 addresses.
    pub v4: u128,
    /// Of IPv6 networks of 64 bits.
    pub v6: u128,
}

impl AddAssign for Share {
    fn add_assign(&mut self, other: Self) {
        self.v4 = self.v4.saturating_add(other.v4);
        self.v6 = self.v6.saturating_add(other.v6);
    }
}

impl Share {
    /// Nothing of either family.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Counts ports that a packet of one family can have.
pub(super) struct Counter {
    v6: bool,
    ranges: Vec<(u32, u32)>,
    /// How many ports lie before each range.
    before: Vec<u64>,
}

impl Counter {
    /// Of a family.
    pub(super) fn new(v6: bool) -> Self {
        let ranges = PortSet::possible(v6).line_ranges().to_vec();
        let sums = ranges.iter().scan(0, |sum, &(first, last)| {
            let before = *sum;
            *sum += u64::from(last - first) + 1;
            Some(before)
        });
        Self { v6, before: sums.collect(), ranges }
    }

    /// How much these addresses are on the ports from `first` to `last`.
    pub(super) fn share(&self, addresses: u128, first: u32, last: u32) -> Share {
        let before_first = first.checked_sub(1).map_or(0, |before| self.up_to(before));
        let pairs = addresses.saturating_mul(u128::from(self.up_to(last.min(PortSet::LAST)) - before_first));
        if self.v6 { Share { v6: pairs, ..Share::default() } } else { Share { v4: pairs, ..Share::default() } }
    }

    /// How many addresses or networks some ranges are.
    pub(super) fn addresses(&self, ranges: &[(u128, u128)]) -> u128 {
        let bits = if self.v6 { 64 } else { 0 };
        ranges.iter().map(|&(first, last)| (last >> bits) - (first >> bits) + 1).sum()
    }

    /// How many ports there are from the first to this one.
    fn up_to(&self, port: u32) -> u64 {
        let after = self.ranges.partition_point(|range| range.0 <= port);
        let place = after.checked_sub(1);
        let range = place.and_then(|place| Some((self.ranges.get(place)?, self.before.get(place)?)));
        range.map_or(0, |(&(first, last), before)| before + u64::from(port.min(last) - first) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_ir::{Port, protocol};

    #[test]
    fn ports_are_counted_as_packets_have_them() {
        let v4 = Counter::new(false);
        let whole = 4 * 65536 + 251;
        assert_eq!(v4.share(1, 0, PortSet::LAST).v4, whole);
        assert_eq!(v4.share(2, Port::tcp(80).line(), Port::tcp(443).line()), Share { v4: 2 * 364, v6: 0 });
        let icmpv6 = Port::new(protocol::ICMPV6, 0).line();
        assert_eq!(v4.share(1, icmpv6, icmpv6 | 0xffff).v4, 0);
        assert_eq!(Counter::new(true).share(1, icmpv6, icmpv6 | 0xffff).v6, 65536);
        assert_eq!(v4.addresses(&[(0, u128::from(u32::MAX))]), 1 << 32);
        assert_eq!(Counter::new(true).addresses(&[(0, u128::MAX)]), 1 << 64);
        assert_eq!(Counter::new(true).addresses(&[(5, 5)]), 1);
    }
}
