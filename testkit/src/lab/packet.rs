//! Probes as bytes: whole IP packets with right checksums that carry an identity.
//!
//! In: a [`Probe`] and its number. Out: a packet for a raw socket, and back from captured bytes
//! the number and the addresses. It never touches a socket.
//!
//! Checksums are right (RFC 768, 1071, 9293, 4443, 9260), for connection tracking takes a packet
//! with a wrong one for invalid, and rules on `ct state` would then judge a different packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A packet to send and to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Source: an address of a pod, or of the node ([`super::NODE_V4`]) for host mode.
    pub from: IpAddr,
    /// Destination, of the same family.
    pub to: IpAddr,
    /// What the packet is.
    pub kind: ProbeKind,
}

/// The part of a probe above IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// A TCP SYN to this port.
    Tcp(u16),
    /// A UDP datagram to this port.
    Udp(u16),
    /// An SCTP INIT to this port.
    Sctp(u16),
    /// An ICMP (v4) or ICMPv6 (v6) message of this type and code; echo request is 8 or 128.
    Icmp(u8, u8),
    /// A bare payload under this IP protocol number (47 is GRE, 50 ESP).
    Other(u8),
}

impl ProbeKind {
    /// The IP protocol number, which for ICMP depends on the family.
    #[must_use]
    pub fn protocol(self, v6: bool) -> u8 {
        match self {
            Self::Tcp(_) => 6,
            Self::Udp(_) => 17,
            Self::Sctp(_) => 132,
            Self::Icmp(..) if v6 => 58,
            Self::Icmp(..) => 1,
            Self::Other(number) => number,
        }
    }
}

/// Starts every probe's payload; the probe's number follows.
const MAGIC: [u8; 8] = *b"\xe9gressPB";

/// DSCP 11, unassigned: the outside swallows packets that carry it, so that a probe draws no
/// reply (no RST, no "port unreachable") which would be traffic of its own.
pub(super) const SILENT_DSCP: u8 = 11;

/// Builds the packet, `None` when the two addresses are of different families.
pub(super) fn build(probe: &Probe, id: u64, silent: bool) -> Option<Vec<u8>> {
    let traffic_class = if silent { SILENT_DSCP << 2 } else { 0 };
    let mut payload = MAGIC.to_vec();
    payload.extend(id.to_be_bytes());
    let protocol = probe.kind.protocol(probe.to.is_ipv6());
    let pseudo = |length: usize| pseudo_header(probe, protocol, length);
    let segment = match probe.kind {
        ProbeKind::Tcp(port) => tcp(source_port(id), port, &payload, pseudo),
        ProbeKind::Udp(port) => udp(source_port(id), port, &payload, pseudo),
        ProbeKind::Sctp(port) => sctp(source_port(id), port, &payload),
        ProbeKind::Icmp(kind, code) => icmp(kind, code, id, &payload, probe.to, pseudo),
        ProbeKind::Other(_) => payload,
    };
    match (probe.from, probe.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Some(ipv4(from, to, protocol, traffic_class, &segment)),
        (IpAddr::V6(from), IpAddr::V6(to)) => Some(ipv6(from, to, protocol, traffic_class, &segment)),
        _ => None,
    }
}

/// The number of the probe inside these captured bytes.
pub(super) fn identify(bytes: &[u8]) -> Option<u64> {
    let at = bytes.windows(MAGIC.len()).position(|window| window == MAGIC)?;
    let number = bytes.get(at + MAGIC.len()..)?.first_chunk::<8>()?;
    Some(u64::from_be_bytes(*number))
}

/// Source and destination of a captured packet that starts with its IP header.
pub(super) fn addresses(bytes: &[u8]) -> Option<(IpAddr, IpAddr)> {
    match bytes.first()? >> 4 {
        4 => {
            let from = Ipv4Addr::from(*bytes.get(12..)?.first_chunk::<4>()?);
            let to = Ipv4Addr::from(*bytes.get(16..)?.first_chunk::<4>()?);
            Some((from.into(), to.into()))
        }
        6 => {
            let from = Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?);
            let to = Ipv6Addr::from(*bytes.get(24..)?.first_chunk::<16>()?);
            Some((from.into(), to.into()))
        }
        _ => None,
    }
}

/// Spreads probes over source ports 1024–65023, so that repeated flows are new flows.
fn source_port(id: u64) -> u16 {
    u16::try_from(1024 + id % 64_000).unwrap_or(1024)
}

fn tcp(from: u16, to: u16, payload: &[u8], pseudo: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let mut head = Vec::new();
    head.extend(from.to_be_bytes());
    head.extend(to.to_be_bytes());
    head.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    // A header of five words with only SYN set, window 65,535.
    head.extend([0x50, 0x02, 0xff, 0xff]);
    let sum = checksum(&[&pseudo(20 + payload.len()), &head, &[0; 4], payload]);
    head.extend(sum.to_be_bytes());
    head.extend([0, 0]);
    head.extend(payload);
    head
}

fn udp(from: u16, to: u16, payload: &[u8], pseudo: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let length = 8 + payload.len();
    let mut head = Vec::new();
    head.extend(from.to_be_bytes());
    head.extend(to.to_be_bytes());
    head.extend(short(length));
    // Zero would mean "no checksum", so the all-ones form of it is sent (RFC 768).
    let sum = match checksum(&[&pseudo(length), &head, payload]) {
        0 => 0xffff,
        sum => sum,
    };
    head.extend(sum.to_be_bytes());
    head.extend(payload);
    head
}

fn icmp(kind: u8, code: u8, id: u64, payload: &[u8], to: IpAddr, pseudo: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let identifier = source_port(id).to_be_bytes();
    let rest = [&identifier[..], &[0, 1], payload].concat();
    // Only ICMPv6 covers the addresses with its checksum (RFC 4443, section 2.3).
    let covered = if to.is_ipv6() { pseudo(4 + rest.len()) } else { Vec::new() };
    let sum = checksum(&[&covered, &[kind, code], &rest]);
    [&[kind, code][..], &sum.to_be_bytes(), &rest].concat()
}

/// An INIT chunk (RFC 9260, section 3.3.2) with the payload as a parameter of a type that a
/// receiver skips.
fn sctp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let chunk = [
        &[1, 0][..],
        &short(24 + payload.len()),
        &[0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1],
        &[0x80, 0x42],
        &short(4 + payload.len()),
        payload,
    ]
    .concat();
    let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
    let unsummed = [&ports[..], &[0; 8], &chunk].concat();
    [&ports[..], &[0; 4], &crc32c(&unsummed).to_le_bytes(), &chunk].concat()
}

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, tos: u8, segment: &[u8]) -> Vec<u8> {
    let head = [
        &[0x45, tos][..],
        &short(20 + segment.len()),
        // No identification, "don't fragment".
        &[0, 0, 0x40, 0],
        &[64, protocol],
    ]
    .concat();
    let ends = [from.octets(), to.octets()].concat();
    let sum = checksum(&[&head, &[0, 0], &ends]);
    [&head[..], &sum.to_be_bytes(), &ends, segment].concat()
}

fn ipv6(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, class: u8, segment: &[u8]) -> Vec<u8> {
    let head = [0x60 | class >> 4, class << 4, 0, 0];
    let ends = [from.octets(), to.octets()].concat();
    [&head[..], &short(segment.len()), &[protocol, 64], &ends, segment].concat()
}

fn pseudo_header(probe: &Probe, protocol: u8, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for address in [probe.from, probe.to] {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    // For v6 the length has 32 bits; the upper half is zero and adds nothing to a sum.
    bytes.extend([0, protocol]);
    bytes.extend(short(length));
    bytes
}

/// A length as two bytes; probes are far shorter than 65,536 bytes.
fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// The Internet checksum (RFC 1071) of parts that each have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        let (words, _) = part.as_chunks::<2>();
        sum += words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum::<u32>();
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

/// CRC-32C, bit by bit (RFC 9260, appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(v6: bool, kind: ProbeKind) -> Probe {
        let (from, to) = if v6 { ("fd00:10::2", "2001:db8::7") } else { ("10.0.0.2", "20.0.0.7") };
        Probe { from: from.parse().unwrap(), to: to.parse().unwrap(), kind }
    }

    #[test]
    fn every_kind_is_recognised_again() {
        let kinds =
            [ProbeKind::Tcp(443), ProbeKind::Udp(53), ProbeKind::Sctp(9), ProbeKind::Icmp(8, 0), ProbeKind::Other(47)];
        for v6 in [false, true] {
            for kind in kinds {
                let probe = probe(v6, kind);
                let bytes = build(&probe, 77, true).unwrap();
                assert_eq!(identify(&bytes), Some(77), "{probe:?}");
                assert_eq!(addresses(&bytes), Some((probe.from, probe.to)));
            }
        }
    }

    #[test]
    fn checksums_verify_to_zero() {
        let kinds = [ProbeKind::Tcp(443), ProbeKind::Udp(53)];
        for (v6, header) in [(false, 20), (true, 40)] {
            for kind in kinds {
                let probe = probe(v6, kind);
                let bytes = build(&probe, 5, false).unwrap();
                let segment = &bytes[header..];
                let pseudo = pseudo_header(&probe, kind.protocol(v6), segment.len());
                assert_eq!(checksum(&[&pseudo, segment]), 0, "{probe:?}");
                if !v6 {
                    assert_eq!(checksum(&[&bytes[..header]]), 0);
                }
            }
        }
    }

    #[test]
    fn crc_matches_the_published_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn mixed_families_make_no_packet() {
        let mixed = Probe { to: "::1".parse().unwrap(), ..probe(false, ProbeKind::Tcp(1)) };
        assert_eq!(build(&mixed, 1, true), None);
    }
}
