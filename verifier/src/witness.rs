//! The flow of a block that a person would try first.
//!
//! In: addresses and ports. Out: the first address of the largest prefix, and a well-known port where there is one. The
//! same block always gives the same flow.

use egress_ir::{AddressSet, Family, Port, PortSet, Prefix, protocol};
use std::net::IpAddr;

/// An address and a port that a packet can have together; nothing when the block has none.
#[must_use]
pub fn choose(addresses: &AddressSet, ports: &PortSet) -> Option<(IpAddr, Port)> {
    let mut prefixes: Vec<Prefix> = addresses.prefixes();
    prefixes.sort_by_key(|prefix| (prefix.address().is_ipv6(), prefix.length()));
    let of_family = |family: Family| {
        let prefix = prefixes.iter().find(|prefix| Family::of(prefix.address()) == family)?;
        Some((prefix.address(), port(ports, family)?))
    };
    Family::BOTH.into_iter().find_map(of_family)
}

/// A port that people know, or else the first that a packet of the family can have.
fn port(ports: &PortSet, family: Family) -> Option<Port> {
    let echo = match family {
        Family::V4 => Port::icmp(protocol::ICMP, 8, 0),
        Family::V6 => Port::icmp(protocol::ICMPV6, 128, 0),
    };
    let known = [443, 80, 22, 5432].map(Port::tcp).into_iter().chain([53, 123].map(Port::udp)).chain([echo]);
    let possible = ports.intersection(&crate::compare::possible_ports(family == Family::V6));
    let first = possible.line_ranges().first().and_then(|&(first, _)| Port::from_line(first));
    known.into_iter().find(|&port| ports.contains(port)).or(first)
}
