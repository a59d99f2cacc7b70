//! Destination ranges that nest, touch, overlap and end at the ends of the line.

use super::Builder;
use super::shape::Shape;
use crate::seed::Rng;
use crate::vocabulary::DOMAINS;
use egress_ir::{AddressSet, Cluster, DestinationSet, Family, HostPattern, Prefix};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Ranges that were drawn already; new ones are made from these, so that they meet.
pub(super) struct AddressPool {
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
}

/// Well-known ranges as text would give them, IPv4 then IPv6; both ends of both lines are there.
const ANCHORS: [(&str, u8); 14] = [
    ("10.20.0.0", 16),
    ("203.0.113.0", 24),
    ("169.254.169.254", 32),
    ("255.255.255.0", 24),
    ("0.0.0.0", 8),
    ("127.0.0.0", 31),
    ("10.0.0.0", 8),
    ("2001:db8::", 32),
    ("fd00:ec2::254", 128),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00", 120),
    ("::", 64),
    ("64:ff9b::", 96),
    ("::ffff:10.20.0.0", 112),
    ("fd00::", 8),
];

impl AddressPool {
    /// A few anchors and, if there is a cluster, its ranges.
    pub(super) fn new(rng: &mut Rng, shape: &Shape, cluster: &Cluster) -> Self {
        let mut pool = Self { v4: Vec::new(), v6: Vec::new() };
        for (address, length) in ANCHORS {
            if let Ok(address) = address.parse::<IpAddr>()
                && rng.chance(40)
            {
                let prefix = Prefix::containing(address, length);
                pool.push(prefix.address(), prefix.last());
            }
        }
        for (first, last) in cluster.inside.ranges() {
            pool.push(first, last);
        }
        pool.push(Ipv4Addr::new(198, 51, 100, 0).into(), Ipv4Addr::new(198, 51, 100, 255).into());
        if shape.v6 {
            pool.push(
                Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0).into(),
                Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0xffff).into(),
            );
        } else {
            pool.v6.clear();
        }
        pool
    }

    fn push(&mut self, first: IpAddr, last: IpAddr) {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => self.v4.push((first.to_bits().into(), last.to_bits().into())),
            (IpAddr::V6(first), IpAddr::V6(last)) => self.v6.push((first.to_bits(), last.to_bits())),
            _ => {}
        }
    }

    /// A range made from an earlier one: the same, a part, its parent, its neighbour, or a shifted one.
    fn draw(&mut self, rng: &mut Rng) -> (IpAddr, IpAddr) {
        let family = if !self.v6.is_empty() && rng.chance(35) { Family::V6 } else { Family::V4 };
        let (pool, width) = match family {
            Family::V4 => (&mut self.v4, 32),
            Family::V6 => (&mut self.v6, 128),
        };
        let base = rng.choose(pool).copied().unwrap_or((0, 0));
        let drawn = derive(rng, base, width);
        pool.push(drawn);
        (address(drawn.0, family), address(drawn.1, family))
    }
}

/// The address of a family at a place of its line.
fn address(bits: u128, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)).into(),
        Family::V6 => Ipv6Addr::from_bits(bits).into(),
    }
}

/// A range near `base` on a line of `width` bits.
fn derive(rng: &mut Rng, base: (u128, u128), width: u32) -> (u128, u128) {
    let line_end = u128::MAX >> (128 - width);
    let (first, last) = base;
    let size_less_one = last - first;
    match rng.between(0, 99) {
        0..15 => base,
        15..45 => part(rng, base),
        45..55 => {
            let host = (size_less_one.checked_mul(4).unwrap_or(line_end) | 3).min(line_end);
            let mask = host.checked_next_power_of_two().map_or(line_end, |power| power - 1) & line_end;
            (first & !mask, first | mask)
        }
        55..70 => {
            let next = last.saturating_add(1).min(line_end);
            (next, next.saturating_add(size_less_one).min(line_end))
        }
        70..85 => {
            let middle = first + size_less_one / 2;
            (middle, last.saturating_add(rng.between_wide(0, size_less_one.min(1 << 20))).min(line_end))
        }
        85..95 => {
            let single = if rng.chance(50) { first } else { last };
            (single, single)
        }
        95..97 => (0, line_end),
        _ => (rng.between_wide(first, last), last),
    }
}

/// An aligned prefix within a range, at one of its ends or anywhere.
fn part(rng: &mut Rng, (first, last): (u128, u128)) -> (u128, u128) {
    let host_bits =
        rng.between(0, u64::from(127 - (last - first + u128::from(last - first < u128::MAX)).max(1).leading_zeros()));
    let mask = (1u128 << host_bits) - 1;
    let inside = match rng.below(3) {
        0 => first,
        1 => last,
        _ => rng.between_wide(first, last),
    };
    ((inside & !mask).max(first), (inside | mask).min(last))
}

impl Builder<'_> {
    /// A random set of destinations, for a deny or not.
    pub(super) fn destination_set(&mut self, deny: bool) -> DestinationSet {
        if self.shape.empty_sets && self.rng.chance(2) {
            return DestinationSet::default();
        }
        let hosts = self.shape.hosts && self.rng.chance(30) && (self.shape.host_denies || !deny);
        let mut set = DestinationSet::default();
        if hosts {
            set.hosts = (0..self.rng.between(1, 2)).map(|_| host(self.rng)).collect();
        }
        if !hosts || self.rng.chance(30) {
            set.addresses = self.address_set();
        }
        set
    }

    fn address_set(&mut self) -> AddressSet {
        if self.rng.chance(8) {
            let world = AddressSet::full().difference(&self.program.cluster.inside);
            return if self.shape.v6 { world } else { AddressSet { v6: Default::default(), ..world } };
        }
        let count = self.rng.between(1, 4);
        let ranges: Vec<_> = (0..count).map(|_| self.pool.draw(self.rng)).collect();
        let set = AddressSet::from_ranges(ranges);
        let out = AddressSet::from_ranges([self.pool.draw(self.rng)]);
        let rest = set.difference(&out);
        if rest.is_empty() || self.rng.chance(80) { set } else { rest }
    }
}

fn host(rng: &mut Rng) -> HostPattern {
    let domain = rng.pick(&DOMAINS);
    match rng.below(5) {
        0 => HostPattern::Exact(domain.to_owned()),
        1 => HostPattern::Exact(format!("api.{domain}")),
        2 => HostPattern::Exact(format!("a.b.{domain}")),
        3 => HostPattern::OneLabel(domain.to_owned()),
        _ => HostPattern::AnyLabels(domain.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn derived_ranges_stay_on_their_line() {
        let mut rng = Rng::new(crate::seed::seed(), 0);
        for width in [32, 128] {
            let end = u128::MAX >> (128 - width);
            let mut seen = BTreeSet::from([(0, end)]);
            for _ in 0..3000 {
                let all: Vec<_> = seen.iter().copied().collect();
                let base = *rng.choose(&all).unwrap();
                let (first, last) = derive(&mut rng, base, width);
                assert!(first <= last && last <= end, "{base:x?} gave {first:x}-{last:x}");
                seen.insert((first, last));
            }
            assert!(seen.len() > 500);
        }
    }
}
