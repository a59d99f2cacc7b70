//! The smallest honest packet of a flow, for asking the kernel program what it would do.
//!
//! In: source, destination, protocol, number, whether it is a later fragment. Out: an IP packet (no link header) that any
//! parser reads as exactly that flow. Never: packets that are to be sent; checksums are zero.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a packet is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// From whom.
    pub source: IpAddr,
    /// To whom; must be of the source's family, else the source is taken as unspecified.
    pub destination: IpAddr,
    /// The IP protocol.
    pub protocol: u8,
    /// The destination port, `type << 8 | code` for ICMP and ICMPv6; otherwise not said at all.
    pub number: u16,
    /// Whether it is a fragment that is not the first, which has no number.
    pub fragment: bool,
}

/// What a link says before a packet to this address (0x0800, 0x86dd).
#[must_use]
pub fn ethertype(destination: IpAddr) -> u16 {
    if destination.is_ipv4() { 0x0800 } else { 0x86dd }
}

/// The source of a packet to this address that nobody in particular sends: the unspecified address of its family.
#[must_use]
pub fn nobody(destination: IpAddr) -> IpAddr {
    match destination {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// What stands before the transport header's first eight bytes in an IPv6 fragment.
const FRAGMENT: u8 = 44;

/// The packet of a flow. In IPv6, a protocol that is an extension header (0, 43, 44, 60) cannot be a flow's; such packets
/// are malformed, and judged so.
#[must_use]
pub fn of_flow(flow: &Flow) -> Vec<u8> {
    let transport = transport(flow);
    match (flow.source, flow.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => v4(flow, source, destination, &transport),
        (IpAddr::V6(source), IpAddr::V6(destination)) => v6(flow, source, destination, &transport),
        (_, IpAddr::V4(destination)) => v4(flow, Ipv4Addr::UNSPECIFIED, destination, &transport),
        (_, IpAddr::V6(destination)) => v6(flow, Ipv6Addr::UNSPECIFIED, destination, &transport),
    }
}

fn transport(flow: &Flow) -> Vec<u8> {
    let [high, low] = flow.number.to_be_bytes();
    let size = match flow.protocol {
        6 => 20,
        132 => 12,
        _ => 8,
    };
    let mut bytes = match flow.protocol {
        // A source port that no service has.
        6 | 17 | 132 => vec![0xc0, 0x00, high, low],
        1 | 58 => vec![high, low],
        _ => Vec::new(),
    };
    bytes.resize(size, 0);
    bytes
}

fn v4(flow: &Flow, source: Ipv4Addr, destination: Ipv4Addr, transport: &[u8]) -> Vec<u8> {
    let total = (20 + transport.len()) as u16;
    let mut bytes = vec![0x45, 0];
    bytes.extend(total.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(u16::from(flow.fragment).to_be_bytes());
    bytes.extend([64, flow.protocol, 0, 0]);
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    bytes.extend(transport);
    bytes
}

fn v6(flow: &Flow, source: Ipv6Addr, destination: Ipv6Addr, transport: &[u8]) -> Vec<u8> {
    let next = if flow.fragment { FRAGMENT } else { flow.protocol };
    let header: &[u8] = if flow.fragment { &[flow.protocol, 0, 0, 8, 0, 0, 0, 0] } else { &[] };
    let payload = (header.len() + transport.len()) as u16;
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(payload.to_be_bytes());
    bytes.extend([next, 64]);
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    bytes.extend(header);
    bytes.extend(transport);
    bytes
}
