//! Packets as bytes: a plain, slow reader of them, and crafted ones of every odd shape.
//!
//! In: an IP packet without a link header, and what the link says it is. Out: the flow that must be judged, or that the
//! packet is malformed. Written from RFC 791, 8200, 4861 and the rules on this page alone, so that a kernel program can be
//! held against it. Never: quick.
//!
//! - Malformed: what is short anywhere, contradicts itself, or would be delivered elsewhere than its destination says
//!   (source routes in IPv4 options, routing headers with segments left).
//! - A transport header must be whole before its numbers are believed: 20 bytes of TCP, 8 of UDP, ICMP and ICMPv6, 12 of
//!   SCTP. A fragment that is not the first has no numbers.
//! - At most six extension headers (hop-by-hop, routing, destination, fragment) are walked. A later fragment of one is
//!   malformed. Everything else ends the walk and is the protocol.

mod craft;

pub use craft::{Packet, crafted, neighbour, plain, random_shape};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the link says of an IPv4 packet.
pub const ETHERTYPE_V4: u16 = 0x0800;
/// What the link says of an IPv6 packet.
pub const ETHERTYPE_V6: u16 = 0x86dd;

/// The flow of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// From whom.
    pub source: IpAddr,
    /// To whom.
    pub destination: IpAddr,
    /// The IP protocol.
    pub protocol: u8,
    /// The destination port of TCP, UDP and SCTP, `type << 8 | code` of ICMP and ICMPv6, otherwise 0.
    pub number: u16,
    /// Whether it is a fragment that is not the first.
    pub fragment: bool,
    /// Whether it is neighbour discovery, which always passes: ICMPv6 133 to 136 with 255 hops, whole, to a link-local
    /// address (fe80::/10) or a group of the link (ff02::/16).
    pub exempt: bool,
}

/// The flow of a packet, or nothing when it is malformed.
#[must_use]
pub fn read(ethertype: u16, packet: &[u8]) -> Option<Read> {
    let version = packet.first()? >> 4;
    match (version, ethertype) {
        (4, ETHERTYPE_V4) => read_v4(packet),
        (6, ETHERTYPE_V6) => read_v6(packet),
        _ => None,
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn read_v4(packet: &[u8]) -> Option<Read> {
    packet.get(..20)?;
    let header = usize::from(packet.first()? & 15) * 4;
    let total = usize::from(u16_at(packet, 2)?);
    if header < 20 || total < header || total > packet.len() {
        return None;
    }
    // What is behind the total length is padding of the link.
    let packet = packet.get(..total)?;
    if !options_are_sound(packet.get(20..header)?) {
        return None;
    }
    let fragment = u16_at(packet, 6)? & 0x1fff != 0;
    let protocol = *packet.get(9)?;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let destination: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    let number = if fragment { 0 } else { number(protocol, packet.get(header..)?)? };
    Some(Read {
        source: Ipv4Addr::from(source).into(),
        destination: Ipv4Addr::from(destination).into(),
        protocol,
        number,
        fragment,
        exempt: false,
    })
}

fn options_are_sound(mut options: &[u8]) -> bool {
    while let Some((kind, rest)) = options.split_first() {
        options = match kind {
            0 => return true,
            1 => rest,
            131 | 137 => return false,
            _ => match rest.first().map(|length| usize::from(*length)) {
                Some(length) if length >= 2 && length <= options.len() => options.get(length..).unwrap_or_default(),
                _ => return false,
            },
        };
    }
    true
}

fn read_v6(packet: &[u8]) -> Option<Read> {
    packet.get(..40)?;
    let end = 40 + usize::from(u16_at(packet, 4)?);
    let packet = packet.get(..end)?;
    let hops = *packet.get(7)?;
    let source: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
    let destination: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
    let destination = Ipv6Addr::from(destination);
    let mut next = *packet.get(6)?;
    let mut rest = packet.get(40..)?;
    let (mut fragment, mut first, mut walked) = (false, false, 0);
    while matches!(next, 0 | 43 | 44 | 60) {
        walked += 1;
        if walked > 6 || fragment {
            return None;
        }
        let head = rest.get(..8)?;
        let kind = next;
        next = *head.first()?;
        let size = if kind == 44 { 8 } else { (usize::from(*head.get(1)?) + 1) * 8 };
        rest = rest.get(size..)?;
        if kind == 43 && *head.get(3)? != 0 {
            return None;
        }
        if kind == 44 {
            let field = u16_at(head, 2)?;
            fragment = field >> 3 != 0;
            first |= !fragment && field & 1 == 1;
            if fragment {
                if matches!(next, 0 | 43 | 44 | 60) {
                    return None;
                }
                break;
            }
        }
    }
    let number = if fragment { 0 } else { number(next, rest)? };
    let near = destination.segments()[0] & 0xffc0 == 0xfe80 || destination.segments()[0] == 0xff02;
    let discovery = next == 58 && (133..=136).contains(&(number >> 8)) && hops == 255;
    Some(Read {
        source: Ipv6Addr::from(source).into(),
        destination: destination.into(),
        protocol: next,
        number,
        fragment,
        exempt: discovery && near && !fragment && !first,
    })
}

fn number(protocol: u8, transport: &[u8]) -> Option<u16> {
    let (needed, at) = match protocol {
        6 => (20, 2),
        17 => (8, 2),
        132 => (12, 2),
        1 | 58 => (8, 0),
        _ => return Some(0),
    };
    transport.get(..needed)?;
    u16_at(transport, at)
}
