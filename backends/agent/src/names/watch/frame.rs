//! Packets of DNS as a packet socket has them: from the network header on.
//!
//! In: bytes. Out: both ends and what is in it; the filter that keeps everything else away from this process.

use egress_agent::learning::Reason;
use socket2::SockFilter;
use std::net::{IpAddr, SocketAddr};

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame<'b> {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) content: Content<'b>,
}

/// What is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content<'b> {
    /// The message of a UDP datagram.
    Datagram(&'b [u8]),
    /// A part of a TCP connection.
    Segment(Segment<'b>),
}

/// A part of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment<'b> {
    pub(super) sequence: u32,
    pub(super) begins: bool,
    pub(super) ends: bool,
    pub(super) bytes: &'b [u8],
}

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Reads a packet; nothing if it is cut off or none of DNS.
///
/// # Errors
/// A fragment: what it belongs to is not read.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Frame<'_>>, Reason> {
    match bytes.first().map(|byte| byte >> 4) {
        Some(4) => read_v4(bytes),
        Some(6) => Ok(read_v6(bytes)),
        _ => Ok(None),
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk::<2>().map(|two| u16::from_be_bytes(*two))
}

fn read_v4(bytes: &[u8]) -> Result<Option<Frame<'_>>, Reason> {
    // More fragments, or an offset.
    if number(bytes, 6).is_some_and(|word| word & 0x3fff != 0) {
        return Err(Reason::Fragment);
    }
    let whole = || {
        let header = usize::from(bytes.first()? & 0xf) * 4;
        let end = usize::from(number(bytes, 2)?);
        let from = IpAddr::from(*bytes.get(12..)?.first_chunk::<4>()?);
        let to = IpAddr::from(*bytes.get(16..)?.first_chunk::<4>()?);
        transport(*bytes.get(9)?, bytes.get(header.max(20)..end)?, from, to)
    };
    Ok(whole())
}

fn read_v6(bytes: &[u8]) -> Option<Frame<'_>> {
    let end = 40 + usize::from(number(bytes, 4)?);
    let from = IpAddr::from(*bytes.get(8..)?.first_chunk::<16>()?);
    let to = IpAddr::from(*bytes.get(24..)?.first_chunk::<16>()?);
    transport(*bytes.get(6)?, bytes.get(40..end)?, from, to)
}

fn transport(protocol: u8, bytes: &[u8], from: IpAddr, to: IpAddr) -> Option<Frame<'_>> {
    let content = match protocol {
        UDP => Content::Datagram(bytes.get(8..usize::from(number(bytes, 4)?))?),
        TCP => {
            let flags = *bytes.get(13)?;
            let header = usize::from(bytes.get(12)? >> 4) * 4;
            Content::Segment(Segment {
                sequence: bytes.get(4..)?.first_chunk::<4>().map(|four| u32::from_be_bytes(*four))?,
                begins: flags & 2 != 0,
                ends: flags & 5 != 0,
                bytes: bytes.get(header.max(20)..)?,
            })
        }
        _ => return None,
    };
    let (from, to) = (SocketAddr::new(from, number(bytes, 0)?), SocketAddr::new(to, number(bytes, 2)?));
    Some(Frame { from, to, content })
}

/// A classic BPF program over the network header: UDP and TCP of IPv4 and IPv6 with this port at either end.
///
/// Later fragments of IPv4 have no ports and do not pass; the first ones do, and are counted.
pub(super) fn filter(port: u16) -> Vec<SockFilter> {
    let port = u32::from(port);
    // From `linux/filter.h`: loads of a byte and of two, absolute and indexed; comparisons; the end.
    const BYTE: u16 = 0x30;
    const HALF: u16 = 0x28;
    const HALF_INDEXED: u16 = 0x48;
    const HEADER_LENGTH: u16 = 0xb1;
    const AND: u16 = 0x54;
    const EQUAL: u16 = 0x15;
    const ANY_BIT: u16 = 0x45;
    const RETURN: u16 = 0x06;
    // What to load or compare, how many steps to pass over if it is so and if not, and the number.
    [
        (BYTE, 0, 0, 0),
        (AND, 0, 0, 0xf0),
        (EQUAL, 0, 10, 0x40),
        (BYTE, 0, 0, 9),
        (EQUAL, 1, 0, u32::from(UDP)),
        (EQUAL, 0, 16, u32::from(TCP)),
        (HALF, 0, 0, 6),
        (ANY_BIT, 14, 0, 0x1fff),
        (HEADER_LENGTH, 0, 0, 0),
        (HALF_INDEXED, 0, 0, 0),
        (EQUAL, 10, 0, port),
        (HALF_INDEXED, 0, 0, 2),
        (EQUAL, 8, 9, port),
        (EQUAL, 0, 8, 0x60),
        (BYTE, 0, 0, 6),
        (EQUAL, 1, 0, u32::from(UDP)),
        (EQUAL, 0, 5, u32::from(TCP)),
        (HALF, 0, 0, 0x28),
        (EQUAL, 2, 0, port),
        (HALF, 0, 0, 0x2a),
        (EQUAL, 0, 1, port),
        (RETURN, 0, 0, 0xffff),
        (RETURN, 0, 0, 0),
    ]
    .map(|(code, so, not, number)| SockFilter::new(code, so, not, number))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(from: u16, to: u16, text: &[u8]) -> Vec<u8> {
        let mut bytes = [from.to_be_bytes(), to.to_be_bytes(), (8 + text.len() as u16).to_be_bytes(), [0, 0]].concat();
        bytes.extend(text);
        bytes
    }

    fn v4(protocol: u8, options: usize, fragment: u16, content: &[u8]) -> Vec<u8> {
        let header = 20 + options;
        let mut bytes = vec![0; header];
        bytes[0] = 0x40 | (header / 4) as u8;
        bytes[2..4].copy_from_slice(&((header + content.len()) as u16).to_be_bytes());
        bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
        bytes[9] = protocol;
        bytes[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend(content);
        bytes
    }

    #[test]
    fn options_padding_and_fragments() {
        let mut bytes = v4(UDP, 8, 0x4000, &udp(4000, 53, b"abc"));
        bytes.extend([0; 9]);
        let frame = read(&bytes).unwrap().unwrap();
        assert_eq!((frame.from.to_string(), frame.to.to_string()), ("10.0.0.1:4000".into(), "10.0.0.2:53".into()));
        assert_eq!(frame.content, Content::Datagram(b"abc"));
        for fragment in [0x2000, 0x0001] {
            assert_eq!(read(&v4(UDP, 0, fragment, &udp(4000, 53, b"abc"))), Err(Reason::Fragment));
        }
        for length in 0..31 {
            let _survived = read(&bytes[..length]);
        }
    }

    #[test]
    fn a_segment_says_where_it_stands() {
        let mut tcp = [0; 24];
        (tcp[3], tcp[7], tcp[12], tcp[13]) = (53, 9, 0x60, 0x12);
        let mut bytes = vec![0x60, 0, 0, 0, 0, 26, TCP, 64];
        bytes.extend([1; 32]);
        bytes.extend(tcp);
        bytes.extend(b"hi");
        let frame = read(&bytes).unwrap().unwrap();
        assert_eq!(frame.content, Content::Segment(Segment { sequence: 9, begins: true, ends: false, bytes: b"hi" }));
    }
}
