//! Prefixes and sets of IPv4 and IPv6 addresses.
//!
//! IPv4 and IPv6 are two separate lines; an IPv4-mapped IPv6 address stays an IPv6 address.

use crate::range::RangeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both families, IPv4 first.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// The IPv4 or IPv6 address of this number in host order; a number above the last address of the family counts as it.
#[must_use]
pub fn from_bits(v6: bool, bits: u128) -> IpAddr {
    if v6 {
        Ipv6Addr::from_bits(bits).into()
    } else {
        Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)).into()
    }
}

/// An address as a number in host order.
#[must_use]
pub fn to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The last IPv4 or IPv6 address as a number.
#[must_use]
pub fn last_bits(v6: bool) -> u128 {
    if v6 { u128::MAX } else { u32::MAX.into() }
}

/// A prefix without host bits (RFC 4632, RFC 4291).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    // INVARIANT: no bit after `length` is set, and `length` fits the family.
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits that contains `address`; host bits are cleared, too long lengths are cut.
    #[must_use]
    pub fn containing(address: IpAddr, length: u8) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let length = length.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Self { address: Ipv4Addr::from_bits(v4.to_bits() & mask).into(), length }
            }
            IpAddr::V6(v6) => {
                let length = length.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Self { address: Ipv6Addr::from_bits(v6.to_bits() & mask).into(), length }
            }
        }
    }

    /// The prefix that holds one address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self::containing(address, 128)
    }

    /// The first address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// The number of fixed bits.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// The last address.
    #[must_use]
    pub fn last(self) -> IpAddr {
        match self.address {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(u32::from(self.length)).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() | host).into()
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(u32::from(self.length)).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() | host).into()
            }
        }
    }

    /// Whether the prefix contains `address`.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.address <= address && address <= self.last() && self.address.is_ipv4() == address.is_ipv4()
    }
}

impl fmt::Display for Prefix {
    /// As RFC 5952 writes it, always with the length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// A set of IPv4 and IPv6 addresses; canonical, so `==` is set equality.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressSet {
    /// The IPv4 part, as numbers in host order.
    pub v4: RangeSet<u32>,
    /// The IPv6 part, as numbers in host order.
    pub v6: RangeSet<u128>,
}

impl AddressSet {
    /// The set with no address.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Every address of both families.
    #[must_use]
    pub fn full() -> Self {
        Self { v4: RangeSet::full(), v6: RangeSet::full() }
    }

    /// What the language calls `private`: RFC 1918, RFC 6598 and RFC 4193, and link-local addresses (RFC 3927, RFC 4291).
    #[must_use]
    pub fn private() -> Self {
        let v4 = |a, b, c, d, length| Prefix::containing(Ipv4Addr::new(a, b, c, d).into(), length);
        let v6 = |first, length| Prefix::containing(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0).into(), length);
        Self::from_prefixes([
            v4(10, 0, 0, 0, 8),
            v4(172, 16, 0, 0, 12),
            v4(192, 168, 0, 0, 16),
            v4(100, 64, 0, 0, 10),
            v4(169, 254, 0, 0, 16),
            v6(0xfc00, 7),
            v6(0xfe80, 10),
        ])
    }

    /// The union of prefixes, given in any order.
    #[must_use]
    pub fn from_prefixes(prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        Self::from_ranges(prefixes.into_iter().map(|p| (p.address(), p.last())))
    }

    /// The union of inclusive ranges; a range whose ends are of two families counts as empty.
    #[must_use]
    pub fn from_ranges(ranges: impl IntoIterator<Item = (IpAddr, IpAddr)>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for range in ranges {
            match range {
                (IpAddr::V4(start), IpAddr::V4(end)) => v4.push((start.to_bits(), end.to_bits())),
                (IpAddr::V6(start), IpAddr::V6(end)) => v6.push((start.to_bits(), end.to_bits())),
                _ => {}
            }
        }
        Self { v4: RangeSet::from_ranges(v4), v6: RangeSet::from_ranges(v6) }
    }

    /// Whether the set contains `address`.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.v4.contains(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.contains(v6.to_bits()),
        }
    }

    /// Whether no address is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Addresses in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self { v4: self.v4.union(&other.v4), v6: self.v6.union(&other.v6) }
    }

    /// Addresses in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { v4: self.v4.intersection(&other.v4), v6: self.v6.intersection(&other.v6) }
    }

    /// Addresses in this set and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self { v4: self.v4.difference(&other.v4), v6: self.v6.difference(&other.v6) }
    }

    /// Addresses not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self { v4: self.v4.complement(), v6: self.v6.complement() }
    }

    /// Whether every address of this set is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.v4.is_subset(&other.v4) && self.v6.is_subset(&other.v6)
    }

    /// Whether some address is in both sets.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.v4.overlaps(&other.v4) || self.v6.overlaps(&other.v6)
    }

    /// The smallest address, IPv4 before IPv6.
    #[must_use]
    pub fn first(&self) -> Option<IpAddr> {
        let v4 = self.v4.first().map(|a| Ipv4Addr::from_bits(a).into());
        v4.or_else(|| self.v6.first().map(|a| Ipv6Addr::from_bits(a).into()))
    }

    /// The ranges, IPv4 before IPv6, sorted, both ends included.
    pub fn ranges(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> + '_ {
        let v4 = self.v4.ranges().iter();
        let v4 = v4.map(|&(s, e)| (Ipv4Addr::from_bits(s).into(), Ipv4Addr::from_bits(e).into()));
        let v6 = self.v6.ranges().iter();
        v4.chain(v6.map(|&(s, e)| (Ipv6Addr::from_bits(s).into(), Ipv6Addr::from_bits(e).into())))
    }

    /// The addresses of one family as numbers of one type.
    #[must_use]
    pub fn of_family(&self, v6: bool) -> RangeSet<u128> {
        if v6 { self.v6.clone() } else { self.v4.widened() }
    }

    /// The fewest prefixes whose union is the set, sorted, IPv4 before IPv6.
    #[must_use]
    pub fn prefixes(&self) -> Vec<Prefix> {
        let mut prefixes = Vec::new();
        for &(start, end) in self.v4.ranges() {
            let push = |bits, length| prefixes.push(Prefix { address: from_bits(false, bits), length });
            split(start.into(), end.into(), 32, push);
        }
        for &(start, end) in self.v6.ranges() {
            split(start, end, 128, |bits, length| prefixes.push(Prefix { address: from_bits(true, bits), length }));
        }
        prefixes
    }
}

/// Calls `emit` with the first address and length of each prefix of the shortest cover of `start..=end`.
fn split(mut start: u128, end: u128, width: u8, mut emit: impl FnMut(u128, u8)) {
    loop {
        let aligned = start.trailing_zeros().min(u32::from(width));
        let remaining = (end - start).checked_add(1);
        let fitting = remaining.map_or(128, |n| 127 - n.leading_zeros());
        let host_bits = aligned.min(fitting);
        emit(start, width - u8::try_from(host_bits).unwrap_or(width));
        let size_less_one = u128::MAX.checked_shr(128 - host_bits).unwrap_or(0);
        match start.checked_add(size_less_one).and_then(|last| last.checked_add(1)) {
            Some(next) if next <= end => start = next,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prefixes_cover_exactly(ranges in prop::collection::vec((any::<u32>(), any::<u32>()), 0..6),
                                  wide in prop::collection::vec((any::<u128>(), any::<u128>()), 0..3)) {
            let v4 = ranges.iter().map(|&(a, b)| (Ipv4Addr::from_bits(a).into(), Ipv4Addr::from_bits(b).into()));
            let v6 = wide.iter().map(|&(a, b)| (Ipv6Addr::from_bits(a).into(), Ipv6Addr::from_bits(b).into()));
            let set = AddressSet::from_ranges(v4.chain(v6).collect::<Vec<_>>());
            let prefixes = set.prefixes();
            prop_assert_eq!(AddressSet::from_prefixes(prefixes.iter().copied()), set);
            for p in prefixes {
                prop_assert_eq!(Prefix::containing(p.address(), p.length()), p);
            }
        }
    }

    #[test]
    fn numbers_and_addresses_are_each_other() {
        for v6 in [false, true] {
            for bits in [0, 1, 0xc000_0201, last_bits(v6)] {
                let address = from_bits(v6, bits);
                assert_eq!((address.is_ipv6(), to_bits(address)), (v6, bits));
            }
        }
        assert_eq!(from_bits(false, 1 << 32), Ipv4Addr::BROADCAST);
        let set = AddressSet::from_prefixes([Prefix::host(from_bits(false, 7)), Prefix::host(from_bits(true, 9))]);
        assert_eq!((set.of_family(false).ranges(), set.of_family(true).ranges()), (&[(7, 7)][..], &[(9, 9)][..]));
    }

    #[test]
    fn the_whole_line_is_one_prefix() {
        let shown: Vec<String> = AddressSet::full().prefixes().iter().map(Prefix::to_string).collect();
        assert_eq!(shown, ["0.0.0.0/0", "::/0"]);
    }
}
