//! What a ruleset lets pass whoever sends it: neighbour discovery, without which a pod loses its router.
//!
//! In: what is left of a ruleset in each setting. Out: the exemptions that it really has. Only flows that no policy
//! is about can be exempt: types 133 to 136 of ICMPv6 (RFC 4861) to the link.

use super::cuts::segments;
use super::ports::NONE;
use super::residue::{Residue, Setting};
use super::walk::Walk;
use crate::nftables::model::Hook;
use egress_ir::{AddressSet, Exemption, PortSet, RangeSet, protocol};
use std::collections::BTreeMap;

/// Link-local addresses, and groups on the link.
const ON_LINK: [(u128, u128); 2] =
    [(0xfe80 << 112, 0xfebf << 112 | u128::MAX >> 16), (0xff02 << 112, 0xff02 << 112 | u128::MAX >> 16)];

/// The exemptions at prerouting, each with the ports that are exempt at all of its addresses.
pub(super) fn exemptions(settings: &[(Setting, Residue)]) -> Vec<Exemption> {
    let judged = settings.iter().filter(|(setting, _)| setting.hook == Hook::Prerouting && setting.v6);
    let mut common: Option<Vec<(RangeSet<u128>, PortSet)>> = None;
    for (_, residue) in judged {
        let here = passing(residue);
        common = Some(match common {
            None => here,
            Some(before) => both(&before, &here),
        });
    }
    let exempt = common.unwrap_or_default().into_iter().map(|(v6, ports)| Exemption {
        addresses: AddressSet { v4: RangeSet::empty(), v6 },
        ports,
        why: "neighbour discovery always passes",
    });
    exempt.collect()
}

/// Where neighbour discovery passes before anything asks for the sender, by ports.
fn passing(residue: &Residue) -> Vec<(RangeSet<u128>, PortSet)> {
    let on_link = RangeSet::from_ranges(ON_LINK);
    let mut walk = Walk::new(residue, None);
    let kinds = (133..=136).map(|kind| PortSet::icmp_type(protocol::ICMPV6, kind));
    let discovery = kinds.reduce(|all, kind| all.union(&kind)).unwrap_or_default();
    let discovery = walk.algebra.number(discovery);
    let mut found: BTreeMap<u32, Vec<(u128, u128)>> = BTreeMap::new();
    for (start, end) in segments(residue, None) {
        for &(start, end) in on_link.intersection(&RangeSet::range(start, end)).ranges() {
            // What is not clear is no exemption.
            let ports = walk.passing((start, end), discovery).unwrap_or(NONE);
            if ports != NONE {
                found.entry(ports).or_default().push((start, end));
            }
        }
    }
    found.into_iter().map(|(ports, ranges)| (RangeSet::from_ranges(ranges), walk.algebra.at(ports).clone())).collect()
}

/// What is exempt in both.
fn both(one: &[(RangeSet<u128>, PortSet)], other: &[(RangeSet<u128>, PortSet)]) -> Vec<(RangeSet<u128>, PortSet)> {
    let pairs = one.iter().flat_map(|one| other.iter().map(move |other| (one, other)));
    let both = pairs.map(|(one, other)| (one.0.intersection(&other.0), one.1.intersection(&other.1)));
    both.filter(|(addresses, ports)| !addresses.is_empty() && !ports.is_empty()).collect()
}
