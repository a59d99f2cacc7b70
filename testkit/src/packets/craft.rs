//! Packets of every odd shape that a parser must survive, all to one destination.

use super::{ETHERTYPE_V4, ETHERTYPE_V6};
use crate::seed::Rng;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A packet, and what it is an example of.
#[derive(Clone, Debug)]
pub struct Packet {
    /// What it is an example of.
    pub shape: String,
    /// What the link says it is.
    pub ethertype: u16,
    /// From its IP header on.
    pub bytes: Vec<u8>,
}

/// A whole packet without anything odd. Addresses are of one family.
#[must_use]
pub fn plain(source: IpAddr, destination: IpAddr, protocol: u8, number: u16) -> Packet {
    packet("plain", source, destination, protocol, &transport(protocol, number))
}

/// Neighbour discovery of one kind, with a number of hops.
#[must_use]
pub fn neighbour(source: Ipv6Addr, destination: Ipv6Addr, kind: u8, hops: u8) -> Packet {
    let number = u16::from_be_bytes([kind, 0]);
    let mut bytes = v6(source, destination, 58, &transport(58, number));
    bytes.splice(7..8, [hops]);
    Packet { shape: format!("neighbour discovery {kind} with {hops} hops"), ethertype: ETHERTYPE_V6, bytes }
}

/// Every odd shape of a flow's packet.
#[must_use]
pub fn crafted(source: IpAddr, destination: IpAddr, protocol: u8, number: u16) -> Vec<Packet> {
    let mut all = vec![plain(source, destination, protocol, number)];
    let body = transport(protocol, number);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => shapes_v4(source, destination, protocol, &body, &mut all),
        (IpAddr::V6(source), IpAddr::V6(destination)) => shapes_v6(source, destination, protocol, &body, &mut all),
        _ => {}
    }
    let whole = all.clone();
    for packet in whole {
        for length in 1..packet.bytes.len() {
            let bytes = packet.bytes.get(..length).unwrap_or_default().to_vec();
            all.push(Packet { shape: format!("{} cut to {length} bytes", packet.shape), bytes, ..packet });
        }
        let mut padded = packet.clone();
        padded.bytes.extend([0xaa; 7]);
        padded.shape.push_str(", padded");
        all.push(padded);
        let mut other = packet.clone();
        other.ethertype = if other.ethertype == ETHERTYPE_V4 { ETHERTYPE_V6 } else { ETHERTYPE_V4 };
        other.shape.push_str(", of the other ethertype");
        all.push(other);
    }
    all
}

/// One of a flow's shapes, with up to three of its first 64 bytes changed: mostly malformed, sometimes another flow.
pub fn random_shape(rng: &mut Rng, source: IpAddr, destination: IpAddr, protocol: u8, number: u16) -> Packet {
    let mut all = vec![plain(source, destination, protocol, number)];
    let body = transport(protocol, number);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => shapes_v4(source, destination, protocol, &body, &mut all),
        (IpAddr::V6(source), IpAddr::V6(destination)) => shapes_v6(source, destination, protocol, &body, &mut all),
        _ => {}
    }
    let place = rng.between(0, all.len() as u64 - 1) as usize;
    let mut packet = all.swap_remove(place);
    for _ in 0..rng.between(0, 3) {
        let at = rng.between(0, packet.bytes.len().min(64) as u64 - 1) as usize;
        let value = rng.bits() as u8;
        if let Some(byte) = packet.bytes.get_mut(at) {
            *byte = value;
        }
        packet.shape.push_str(&format!(", byte {at} = {value}"));
    }
    packet
}

fn packet(shape: &str, source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8]) -> Packet {
    let (ethertype, bytes) = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            (ETHERTYPE_V4, v4(source, destination, protocol, &[], 0, body))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => (ETHERTYPE_V6, v6(source, destination, protocol, body)),
        _ => (0, Vec::new()),
    };
    Packet { shape: shape.to_owned(), ethertype, bytes }
}

fn transport(protocol: u8, number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let (mut bytes, size) = match protocol {
        6 => (vec![0x30, 0x39, high, low], 20),
        17 => (vec![0x30, 0x39, high, low], 8),
        132 => (vec![0x30, 0x39, high, low], 12),
        1 | 58 => (vec![high, low], 8),
        _ => (vec![0xde, 0xad], 2),
    };
    bytes.resize(size, 0x5a);
    bytes
}

fn v4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, options: &[u8], fragment: u16, body: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let mut bytes = vec![0x40 | (header / 4) as u8, 0];
    bytes.extend(((header + body.len()) as u16).to_be_bytes());
    bytes.extend([0x12, 0x34]);
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, protocol, 0, 0]);
    bytes.extend(from.octets());
    bytes.extend(to.octets());
    bytes.extend(options);
    bytes.extend(body);
    bytes
}

fn v6(from: Ipv6Addr, to: Ipv6Addr, next: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 1, 2, 3];
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend([next, 64]);
    bytes.extend(from.octets());
    bytes.extend(to.octets());
    bytes.extend(body);
    bytes
}

/// Options, each a multiple of four bytes: sound ones first, then those that must be refused.
const OPTIONS: &[(&str, &[u8])] = &[
    ("no-operations", &[1, 1, 1, 1]),
    ("an end", &[0, 0, 0, 0]),
    ("an end, and what would be a source route behind it", &[0, 131, 3, 4]),
    ("a router alert", &[148, 4, 0, 0]),
    ("a record of the route", &[7, 7, 4, 0, 0, 0, 0, 0]),
    (
        "a timestamp, all forty bytes",
        &[
            68, 40, 5, 0, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3,
            4, 1, 2, 3, 4,
        ],
    ),
    ("forty no-operations", &[1; 40]),
    ("a loose source route", &[131, 7, 4, 10, 0, 0, 1, 0]),
    ("a strict source route", &[137, 7, 4, 10, 0, 0, 1, 0]),
    ("a source route behind no-operations", &[1, 1, 1, 131, 7, 4, 10, 0, 0, 1, 0, 0]),
    ("a source route at the very end", &[148, 4, 0, 0, 1, 1, 1, 131]),
    ("an option of no length", &[148, 0, 0, 0]),
    ("an option of length one", &[148, 1, 0, 0]),
    ("an option that is too long", &[148, 5, 0, 0]),
    ("an option without its length", &[1, 1, 1, 148]),
];

fn shapes_v4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, body: &[u8], all: &mut Vec<Packet>) {
    let mut add = |shape: &str, bytes: Vec<u8>| {
        all.push(Packet { shape: shape.to_owned(), ethertype: ETHERTYPE_V4, bytes });
    };
    for (shape, options) in OPTIONS {
        add(shape, v4(from, to, protocol, options, 0, body));
    }
    let tail = [0x5a; 16];
    add("a first fragment", v4(from, to, protocol, &[], 0x2000, body));
    add("a middle fragment", v4(from, to, protocol, &[], 0x2001, &tail));
    add("a last fragment", v4(from, to, protocol, &[], 0x1fff, &tail));
    add("a last fragment of one byte", v4(from, to, protocol, &[], 0x0003, &tail[..1]));
    add("a last fragment of nothing", v4(from, to, protocol, &[], 0x0003, &[]));
    add("a fragment with options", v4(from, to, protocol, &[1, 1, 1, 1], 0x0003, &tail));
    add("a fragment with a source route", v4(from, to, protocol, &[131, 4, 4, 0], 0x0003, &tail));
    add("one that must not be fragmented", v4(from, to, protocol, &[], 0x4000, body));
    add("one with the reserved bit", v4(from, to, protocol, &[], 0x8000, body));
    let changed = |at: usize, to_be: &[u8]| {
        let mut bytes = v4(from, to, protocol, &[], 0, body);
        bytes.splice(at..at + to_be.len(), to_be.iter().copied());
        bytes
    };
    let total = (20 + body.len()) as u16;
    for version in [0x05u8, 0x55, 0x65, 0xf5] {
        add(&format!("first byte {version:#x}"), changed(0, &[version]));
    }
    for header in [0u8, 1, 4, 6, 15] {
        add(&format!("a header of {header} words"), changed(0, &[0x40 | header]));
    }
    for length in [0, 1, 19, 20, 21, 27, 28, total - 1, total + 1, 0xffff] {
        add(&format!("a total length of {length}"), changed(2, &length.to_be_bytes()));
    }
}

/// One extension header of eight bytes: kind, and bytes two to seven.
type Extension = (u8, [u8; 6]);

const HOP_BY_HOP: Extension = (0, [1, 4, 0, 0, 0, 0]);
const DESTINATION: Extension = (60, [1, 4, 0, 0, 0, 0]);
const ROUTED: Extension = (43, [2, 0, 0, 0, 0, 0]);
const TO_BE_ROUTED: Extension = (43, [2, 1, 0, 0, 0, 0]);
const ATOMIC: Extension = (44, [0, 0, 0, 0, 0, 9]);
const FIRST: Extension = (44, [0, 1, 0, 0, 0, 9]);
const MIDDLE: Extension = (44, [0, 9, 0, 0, 0, 9]);
const LAST: Extension = (44, [0, 8, 0, 0, 0, 9]);
const RESERVED_BITS: Extension = (44, [0, 6, 0, 0, 0, 9]);

const CHAINS: &[(&str, &[Extension])] = &[
    ("hop-by-hop", &[HOP_BY_HOP]),
    ("destination options", &[DESTINATION]),
    ("a routing header that is done", &[ROUTED]),
    ("a routing header with segments left", &[TO_BE_ROUTED]),
    ("segments left behind other headers", &[HOP_BY_HOP, DESTINATION, TO_BE_ROUTED]),
    ("an atomic fragment", &[ATOMIC]),
    ("an atomic fragment with reserved bits", &[RESERVED_BITS]),
    ("a first fragment", &[FIRST]),
    ("a first fragment behind options", &[HOP_BY_HOP, FIRST, DESTINATION]),
    ("a middle fragment", &[MIDDLE]),
    ("a last fragment", &[LAST]),
    ("a later fragment of destination options", &[LAST, DESTINATION]),
    ("a later fragment of a fragment", &[MIDDLE, FIRST]),
    ("a first fragment in a first fragment", &[FIRST, FIRST]),
    ("a later fragment in a first fragment", &[FIRST, LAST]),
    ("a later fragment behind an atomic one", &[ATOMIC, LAST]),
    ("five headers", &[HOP_BY_HOP, DESTINATION, ROUTED, ATOMIC, DESTINATION]),
    ("six headers", &[HOP_BY_HOP, DESTINATION, ROUTED, ATOMIC, DESTINATION, DESTINATION]),
    ("seven headers", &[HOP_BY_HOP, DESTINATION, ROUTED, ATOMIC, DESTINATION, DESTINATION, DESTINATION]),
    ("six headers, the last a later fragment", &[HOP_BY_HOP, DESTINATION, ROUTED, ATOMIC, DESTINATION, LAST]),
    (
        "seven headers, the last a later fragment",
        &[HOP_BY_HOP, DESTINATION, ROUTED, ATOMIC, DESTINATION, DESTINATION, LAST],
    ),
];

fn chain(extensions: &[Extension], protocol: u8, body: &[u8]) -> (u8, Vec<u8>) {
    let mut next = protocol;
    let mut bytes = body.to_vec();
    for (kind, rest) in extensions.iter().rev() {
        // The second byte is a length of no more, or reserved.
        let mut header = vec![next, 0];
        header.extend(rest);
        header.extend(&bytes);
        (next, bytes) = (*kind, header);
    }
    (next, bytes)
}

fn shapes_v6(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, body: &[u8], all: &mut Vec<Packet>) {
    let mut add = |shape: &str, bytes: Vec<u8>| {
        all.push(Packet { shape: shape.to_owned(), ethertype: ETHERTYPE_V6, bytes });
    };
    for (shape, extensions) in CHAINS {
        let (next, bytes) = chain(extensions, protocol, body);
        add(shape, v6(from, to, next, &bytes));
    }
    // A long header, one whose length leads outside, and ends of the walk that hide what follows.
    for (length, size) in [(1u8, 16), (3, 32), (30, 248), (1, 8), (255, 64)] {
        let mut options = vec![protocol, length];
        options.resize(size, 0);
        options.extend(body);
        add(&format!("options that say {length} with {size} bytes"), v6(from, to, 60, &options));
    }
    for end in [50u8, 51, 59, 135, 139, 140, 253] {
        let (next, bytes) = chain(&[HOP_BY_HOP], end, body);
        add(&format!("protocol {end} behind hop-by-hop"), v6(from, to, next, &bytes));
        add(&format!("protocol {end}"), v6(from, to, end, body));
    }
    let changed = |at: usize, to_be: &[u8]| {
        let mut bytes = v6(from, to, protocol, body);
        bytes.splice(at..at + to_be.len(), to_be.iter().copied());
        bytes
    };
    for version in [0x00u8, 0x45, 0x46, 0x50, 0x70] {
        add(&format!("first byte {version:#x}"), changed(0, &[version]));
    }
    let payload = body.len() as u16;
    for length in [0, 1, 7, 8, payload.saturating_sub(1), payload + 1, 0xffff] {
        add(&format!("a payload of {length}"), changed(4, &length.to_be_bytes()));
    }
}
