//! The flow of a block that a person would try first.
//!
//! In: addresses and ports. Out: the first address of the largest prefix, and a well-known port where there is one. The
//! same block always gives the same flow.

use egress_ir::{AddressSet, Port, PortSet, Prefix};
use std::net::IpAddr;

/// An address and a port that a packet can have together; nothing when the block has none.
#[must_use]
pub fn choose(addresses: &AddressSet, ports: &PortSet) -> Option<(IpAddr, Port)> {
    let mut prefixes: Vec<Prefix> = addresses.prefixes();
    prefixes.sort_by_key(|prefix| (prefix.address().is_ipv6(), prefix.length()));
    let of_family = |v6: bool| {
        let prefix = prefixes.iter().find(|prefix| prefix.address().is_ipv6() == v6)?;
        Some((prefix.address(), ports.familiar(v6)?))
    };
    [false, true].into_iter().find_map(of_family)
}
