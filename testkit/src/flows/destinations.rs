//! Addresses and names at the borders of a destination set.

use crate::seed::Rng;
use crate::vocabulary::DOMAINS;
use egress_ir::{AddressSet, DestinationSet, HostPattern, Program};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that are special to kernels and agents.
const SPECIAL: [&str; 12] = [
    "0.0.0.0",
    "0.0.0.1",
    "255.255.255.255",
    "127.0.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "203.0.113.7",
    "::",
    "::1",
    "fe80::1",
    "ff02::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];

/// An address in, at the border of, or just outside the set; sometimes inside the cluster or anywhere.
pub(super) fn address(rng: &mut Rng, program: &Program, set: Option<&DestinationSet>) -> IpAddr {
    let inside = &program.cluster.inside;
    let near = match rng.between(0, 99) {
        0..5 if !inside.is_empty() => near(rng, inside),
        5..13 => None,
        _ => set.and_then(|set| near(rng, &set.addresses)),
    };
    near.unwrap_or_else(|| anywhere(rng))
}

fn anywhere(rng: &mut Rng) -> IpAddr {
    if rng.chance(50) {
        let special = rng.pick(&SPECIAL);
        return special.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    }
    if rng.chance(60) {
        Ipv4Addr::from_bits(u32::try_from(rng.bits() >> 32).unwrap_or(0)).into()
    } else {
        Ipv6Addr::from_bits(rng.between_wide(0x2000 << 112, 0x3fff << 112)).into()
    }
}

/// An address of a random range of the set, its neighbour, or nothing for an empty set.
pub(super) fn near(rng: &mut Rng, set: &AddressSet) -> Option<IpAddr> {
    let (v4, v6) = (set.v4.ranges().len(), set.v6.ranges().len());
    let place = rng.between(0, u64::try_from(v4 + v6).unwrap_or(0).saturating_sub(1));
    let place = usize::try_from(place).unwrap_or(0);
    if let Some(&(first, last)) = set.v4.ranges().get(place) {
        let bits = near_range(rng, first.into(), last.into(), u32::MAX.into());
        return u32::try_from(bits).ok().map(|bits| Ipv4Addr::from_bits(bits).into());
    }
    let &(first, last) = set.v6.ranges().get(place.saturating_sub(v4))?;
    Some(Ipv6Addr::from_bits(near_range(rng, first, last, u128::MAX)).into())
}

fn near_range(rng: &mut Rng, first: u128, last: u128, end: u128) -> u128 {
    match rng.below(8) {
        0 => first.saturating_sub(1),
        1 => last.saturating_add(1).min(end),
        2 | 3 => first,
        4 | 5 => last,
        _ => rng.between_wide(first, last),
    }
}

/// The names by which the destination was learned: mostly none where the set names no host, and sometimes two.
pub(super) fn names(rng: &mut Rng, program: &Program, set: Option<&DestinationSet>) -> BTreeSet<String> {
    let of_set: Vec<&HostPattern> = set.into_iter().flat_map(|set| &set.hosts).collect();
    let everywhere: Vec<&HostPattern> = program.destination_sets.values().flat_map(|set| &set.hosts).collect();
    let percent = match (of_set.is_empty(), everywhere.is_empty()) {
        (false, _) => 85,
        (true, false) => 25,
        (true, true) => 5,
    };
    let mut names = BTreeSet::new();
    while names.len() < 3 && rng.chance(if names.is_empty() { percent } else { 25 }) {
        let pattern =
            rng.choose(&of_set).copied().filter(|_| rng.chance(80)).or_else(|| rng.choose(&everywhere).copied());
        names.insert(match pattern {
            Some(pattern) => name_near(rng, pattern),
            None => rng.pick(&DOMAINS).to_owned(),
        });
    }
    names
}

/// A name that the pattern matches, or one that differs from it by a label or a letter.
fn name_near(rng: &mut Rng, pattern: &HostPattern) -> String {
    let (base, one, more) = match pattern {
        HostPattern::Exact(name) => (name, 0, 0),
        HostPattern::OneLabel(suffix) => (suffix, 1, 0),
        HostPattern::AnyLabels(suffix) => (suffix, 1, 2),
    };
    let labels = match rng.below(6) {
        0 => one + more + 1,
        1 => 0,
        _ => one + rng.below(more + 1),
    };
    let prefix: String = ["api.", "a-1.", "b."].iter().cycle().take(labels).copied().collect();
    match rng.below(12) {
        0 => format!("{prefix}x{base}"),
        1 => base.split_once('.').map_or_else(|| base.clone(), |(_, parent)| parent.to_owned()),
        _ => format!("{prefix}{base}"),
    }
}
