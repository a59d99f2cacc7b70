//! Packets of random shape: options, fragments, chains of extension headers, wrong lengths, missing ends.
//!
//! In: who sends what to whom. Out: bytes that mostly say so, and often enough are malformed or say something else; what
//! they say is for a reader to find out. Knows nothing of parsers, so that it may well make what none has thought of.

use egress_testkit::packets::{ETHERTYPE_V4, ETHERTYPE_V6, Packet};
use egress_testkit::seed::Rng;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A flow that is to be said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) number: u16,
}

/// A packet of a flow in some shape. Addresses are of one family.
pub(crate) fn random(rng: &mut Rng, wanted: &Wanted) -> Packet {
    let body = transport(rng, wanted);
    let (ethertype, mut bytes) = match (wanted.source, wanted.destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (ETHERTYPE_V4, v4(rng, from, to, wanted.protocol, &body)),
        (IpAddr::V6(from), IpAddr::V6(to)) => (ETHERTYPE_V6, v6(rng, from, to, wanted.protocol, &body)),
        (from, to) => panic!("{from} cannot send to {to}"),
    };
    match rng.below(12) {
        0 => bytes.truncate(1 + rng.below(bytes.len())),
        1 => bytes.extend(vec![0x33; rng.below(64)]),
        2 => {
            let at = rng.below(bytes.len().min(72));
            bytes[at] = rng.bits() as u8;
        }
        _ => {}
    }
    Packet { shape: "random".to_owned(), ethertype, bytes }
}

/// A transport header with anything in it but the number, mostly with something behind it, sometimes too short.
fn transport(rng: &mut Rng, wanted: &Wanted) -> Vec<u8> {
    let [high, low] = wanted.number.to_be_bytes();
    let size = match wanted.protocol {
        6 => 20,
        132 => 12,
        _ => 8,
    };
    let size = match rng.below(10) {
        0 => rng.below(size + 1),
        1..4 => size,
        _ => size + rng.below(40),
    };
    let mut bytes: Vec<u8> = (0..size).map(|_| rng.bits() as u8).collect();
    let at = if matches!(wanted.protocol, 1 | 58) { 0 } else { 2 };
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&[high, low]);
    }
    bytes
}

/// A length that is mostly right.
fn length(rng: &mut Rng, right: usize) -> u16 {
    let right = right as u16;
    match rng.below(24) {
        0 => right.saturating_sub(1 + rng.below(12) as u16),
        1 => right + 1 + rng.below(12) as u16,
        2 => 0,
        3 => rng.bits() as u16,
        _ => right,
    }
}

fn v4(rng: &mut Rng, from: Ipv4Addr, to: Ipv4Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut options = Vec::new();
    if rng.chance(40) {
        let words = 1 + rng.below(10);
        while options.len() < words * 4 {
            option(rng, words * 4 - options.len(), &mut options);
        }
        options.truncate(words * 4);
    }
    let header = 20 + options.len();
    let words = if rng.chance(4) { rng.below(16) } else { header / 4 };
    let version = if rng.chance(2) { rng.below(16) } else { 4 };
    let mut bytes = vec![(version << 4 | words) as u8, rng.bits() as u8];
    bytes.extend(length(rng, header + body.len()).to_be_bytes());
    bytes.extend([rng.bits() as u8, rng.bits() as u8]);
    bytes.extend(fragment_v4(rng).to_be_bytes());
    bytes.extend([rng.bits() as u8, protocol, rng.bits() as u8, rng.bits() as u8]);
    bytes.extend(from.octets());
    bytes.extend(to.octets());
    bytes.extend(options);
    bytes.extend(body);
    bytes
}

/// Flags and offset: mostly those of a whole packet.
fn fragment_v4(rng: &mut Rng) -> u16 {
    match rng.below(12) {
        0 => 0x2000,
        1 => 0x2000 | rng.between(1, 0x1fff) as u16,
        2 => rng.between(1, 0x1fff) as u16,
        3 => 0x8000,
        4 => rng.bits() as u16,
        5..8 => 0x4000,
        _ => 0,
    }
}

/// One option that mostly fits into the room that is left.
fn option(rng: &mut Rng, room: usize, options: &mut Vec<u8>) {
    match rng.below(14) {
        0..5 => options.push(1),
        5 => options.push(0),
        6 if rng.chance(40) => options.push(if rng.chance(50) { 131 } else { 137 }),
        7 if rng.chance(40) => options.extend([rng.bits() as u8, rng.below(2) as u8]),
        _ => {
            let kind = rng.choose(&[7u8, 68, 148, 130, 82, 30, 2, 94]).copied().unwrap_or(7);
            let size = if rng.chance(5) { 2 + rng.below(50) } else { 2 + rng.below(room.saturating_sub(1)) };
            options.extend([kind, size as u8]);
            // What is inside of an option is none, whatever it looks like.
            options.extend((2..size).map(|_| rng.choose(&[0u8, 1, 131, 137, 7, 255]).copied().unwrap_or(0)));
        }
    }
}

/// Most extension headers are walked; seven of them are too many.
const CHAIN: [usize; 12] = [0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8];

fn v6(rng: &mut Rng, from: Ipv6Addr, to: Ipv6Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut next = protocol;
    if rng.chance(4) {
        let odd = [0u8, 43, 44, 60, 50, 51, 59, 135, 139, 140, 4, 41, 253];
        next = rng.choose(&odd).copied().unwrap_or(59);
    }
    let mut payload = body.to_vec();
    for _ in 0..rng.choose(&CHAIN).copied().unwrap_or(0) {
        let kind = rng.choose(&[0u8, 43, 60, 60, 44]).copied().unwrap_or(60);
        let mut header = extension(rng, kind, next);
        header.extend(&payload);
        (next, payload) = (kind, header);
    }
    let version = if rng.chance(2) { rng.below(16) } else { 6 };
    let mut bytes = vec![(version << 4) as u8 | rng.below(16) as u8, rng.bits() as u8, 2, 3];
    bytes.extend(length(rng, payload.len()).to_be_bytes());
    bytes.extend([next, if rng.chance(20) { 255 } else { rng.bits() as u8 }]);
    bytes.extend(from.octets());
    bytes.extend(to.octets());
    bytes.extend(payload);
    bytes
}

fn extension(rng: &mut Rng, kind: u8, next: u8) -> Vec<u8> {
    if kind == 44 {
        let field = match rng.below(10) {
            0 => 1,
            1 => (rng.between(1, 0x1fff) as u16) << 3,
            2 => (rng.between(1, 0x1fff) as u16) << 3 | 1,
            3 => 6,
            4 => 7,
            _ => 0,
        };
        let [high, low] = field.to_be_bytes();
        // The second byte is reserved: it is no length.
        return vec![next, rng.bits() as u8, high, low, 0, 0, 0, 9];
    }
    let units = if rng.chance(85) { 0 } else { rng.below(4) };
    let mut bytes = vec![next, units as u8];
    bytes.extend((0..6 + units * 8).map(|_| rng.bits() as u8));
    if kind == 43 {
        bytes[3] = u8::from(rng.chance(8));
    }
    if rng.chance(3) {
        bytes[1] = rng.bits() as u8;
    }
    bytes
}
