//! What no lab delivers, whatever the rules.
//!
//! In: a probe. Out: why its destination or protocol goes nowhere, or nothing. Never: who holds an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::packet::{Probe, ProbeKind};

/// Why a probe can arrive nowhere in any lab: it is for this machine or its own links, for many at once, or of a protocol
/// that is none.
#[must_use]
pub fn obstacle(probe: &Probe) -> Option<&'static str> {
    let destination = match probe.to {
        IpAddr::V4(to) => v4_obstacle(to),
        IpAddr::V6(to) => v6_obstacle(to),
    };
    destination.or(match (probe.kind, probe.to.is_ipv6()) {
        (ProbeKind::Other(0), _) => Some("protocol 0, which no socket receives"),
        (ProbeKind::Other(43 | 44 | 51 | 60 | 135 | 139 | 140), true) => Some("an extension header, not a protocol"),
        _ => None,
    })
}

fn v4_obstacle(to: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = to.octets();
    match (a, b, c) {
        (0, ..) => Some("this network"),
        (127, ..) => Some("loopback"),
        (224..=239, ..) => Some("multicast"),
        (169, 254, 0 | 1) => Some("link-local, on the lab's own links"),
        (192, 0, 2) => Some("the node and its own network"),
        _ if to.is_broadcast() => Some("broadcast"),
        _ => None,
    }
}

fn v6_obstacle(to: Ipv6Addr) -> Option<&'static str> {
    let segments = to.segments();
    match segments {
        _ if to.is_unspecified() => Some("this network"),
        _ if to.is_loopback() => Some("loopback"),
        _ if to.is_multicast() => Some("multicast"),
        _ if to.is_unicast_link_local() => Some("link-local, on the lab's own links"),
        _ if to.to_ipv4_mapped().is_some() => Some("IPv4-mapped"),
        [0x2001, 0xdb8, 0xfeed, 0, ..] => Some("the node and its own network"),
        [0xfd00, 0xfeed, ..] => Some("link-local, on the lab's own links"),
        _ => None,
    }
}
