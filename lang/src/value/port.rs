//! Protocols and ports: `443/tcp`, `6432-6440/udp`, `sctp`, `icmp/8`, `any`.

use super::{Fault, PortRange};
use crate::ast::{IcmpVersion, PortTerm, Transport};

/// Whether a word can only be meant as a port: it starts with a digit or holds a slash.
#[must_use]
pub fn looks_like_port(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) || text.contains('/') || protocol(text).is_some() || text == "any"
}

/// Reads one port term; names of port sets are the grammar's business.
///
/// # Errors
/// An unknown protocol, a number out of bounds, a reversed range.
pub fn port(text: &str) -> Result<PortTerm, Fault> {
    if text == "any" {
        return Ok(PortTerm::Any);
    }
    let (left, right) = text.split_once('/').map_or((text, None), |(left, right)| (left, Some(right)));
    match (protocol(left), right, right.and_then(protocol)) {
        (Some(Protocol::Transport(protocol)), None, _) => Ok(PortTerm::Transport { protocol, ports: None }),
        (Some(Protocol::Icmp(version)), kind, None) => {
            kind.map(icmp_type).transpose().map(|kind| PortTerm::Icmp { version, kind })
        }
        (None, _, Some(Protocol::Transport(protocol))) => {
            Ok(PortTerm::Transport { protocol, ports: Some(ports(left, text)?) })
        }
        _ => Err(Fault::Port { text: text.to_owned(), meant: meant(left, right) }),
    }
}

enum Protocol {
    Transport(Transport),
    Icmp(IcmpVersion),
}

const PROTOCOLS: [&str; 5] = ["tcp", "udp", "sctp", "icmp", "icmpv6"];

fn protocol(text: &str) -> Option<Protocol> {
    Some(match text {
        "tcp" => Protocol::Transport(Transport::Tcp),
        "udp" => Protocol::Transport(Transport::Udp),
        "sctp" => Protocol::Transport(Transport::Sctp),
        "icmp" => Protocol::Icmp(IcmpVersion::V4),
        "icmpv6" => Protocol::Icmp(IcmpVersion::V6),
        _ => return None,
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn ports(text: &str, whole: &str) -> Result<PortRange, Fault> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    if !is_number(first) || !is_number(last) {
        return Err(Fault::Port { text: whole.to_owned(), meant: None });
    }
    let number = |text: &str| text.parse::<u16>().map_err(|_| Fault::PortTooHigh { text: text.to_owned() });
    let (first, last) = (number(first)?, number(last)?);
    if last < first {
        let meant = PortRange { first: last, last: first };
        return Err(Fault::PortReversed { text: text.to_owned(), meant });
    }
    Ok(PortRange { first, last })
}

fn icmp_type(text: &str) -> Result<u8, Fault> {
    let kind = if is_number(text) { text.parse().ok() } else { None };
    kind.ok_or_else(|| Fault::IcmpType { text: text.to_owned() })
}

/// A guess at what was meant by a bare number, swapped parts or a misspelled protocol.
fn meant(left: &str, right: Option<&str>) -> Option<String> {
    let numbers = |text: &str| is_number(text.split('-').next().unwrap_or(text));
    match right {
        None if is_number(left) => Some(format!("{left}/tcp")),
        Some(right) if protocol(left).is_some() && numbers(right) => Some(format!("{right}/{left}")),
        Some(right) if protocol(right).is_some() && numbers(left) => Some(format!("{right}/{left}")),
        Some(right) if numbers(left) => {
            crate::suggest::closest(right, PROTOCOLS).map(|protocol| format!("{left}/{protocol}"))
        }
        _ => crate::suggest::closest(left, PROTOCOLS).map(str::to_owned),
    }
}
