//! Addresses, prefixes and ranges (RFC 4632, RFC 4291, RFC 5952).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{AddressRange, Fault, Prefix};

/// What an address or a range of addresses is read as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressOrRange {
    /// An address or a prefix.
    Prefix(Prefix),
    /// `a-b`
    Range(AddressRange),
}

/// Whether a word can only be meant as an address, a prefix or a range: it starts with a
/// digit or holds a colon.
#[must_use]
pub fn looks_like_address(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) || text.contains(':')
}

/// Reads an address, a prefix or a range `a-b`.
///
/// # Errors
/// The fault of the part that is wrong.
pub fn address_or_range(text: &str) -> Result<AddressOrRange, Fault> {
    if text.contains('-') && (text.contains('.') || text.contains(':')) && !has_letters_beyond_hex(text) {
        range(text).map(AddressOrRange::Range)
    } else {
        prefix(text).map(AddressOrRange::Prefix)
    }
}

/// Reads one address.
///
/// # Errors
/// Text that is no address, a zone identifier, an IPv4 address mapped into IPv6.
pub fn address(text: &str) -> Result<IpAddr, Fault> {
    let addr = plain_address(text)?;
    match mapped(addr) {
        Some(v4) => Err(Fault::Mapped { text: text.to_owned(), meant: Prefix { addr: v4.into(), len: 32 } }),
        None => Ok(addr),
    }
}

/// Reads an address or a prefix; an address is a prefix of full length.
///
/// # Errors
/// Text that is neither, a length beyond the family's, host bits, IPv4 mapped into IPv6.
pub fn prefix(text: &str) -> Result<Prefix, Fault> {
    let Some((front, length)) = text.split_once('/') else {
        let addr = address(text)?;
        return Ok(Prefix { addr, len: full_length(addr) });
    };
    let addr = plain_address(front).map_err(|fault| quote_whole(fault, text))?;
    let most = full_length(addr);
    let Some(len) = prefix_length(length).filter(|&len| len <= most) else {
        return Err(Fault::PrefixLength { text: text.to_owned(), most });
    };
    let network = network(addr, len);
    if let (Some(v4), Some(len)) = (mapped(network), len.checked_sub(96)) {
        let meant = Prefix { addr: self::network(v4.into(), len), len };
        return Err(Fault::Mapped { text: text.to_owned(), meant });
    }
    if network != addr {
        return Err(Fault::HostBits { text: text.to_owned(), meant: Prefix { addr: network, len } });
    }
    Ok(Prefix { addr, len })
}

/// Reads a range `a-b`, both ends included.
///
/// # Errors
/// Ends that are no addresses, of two families, or reversed.
pub fn range(text: &str) -> Result<AddressRange, Fault> {
    let Some((first, last)) = text.split_once('-') else {
        return Err(Fault::RangeEnds { text: text.to_owned() });
    };
    if text.contains('/') || last.contains('-') || first.is_empty() || last.is_empty() {
        return Err(Fault::RangeEnds { text: text.to_owned() });
    }
    let (first, last) = (address(first)?, address(last)?);
    if first.is_ipv4() != last.is_ipv4() {
        return Err(Fault::RangeMixed { text: text.to_owned() });
    }
    if last < first {
        let meant = AddressRange { first: last, last: first };
        return Err(Fault::RangeReversed { text: text.to_owned(), meant });
    }
    Ok(AddressRange { first, last })
}

fn plain_address(text: &str) -> Result<IpAddr, Fault> {
    text.parse().map_err(|_| Fault::Address { text: text.to_owned(), help: address_help(text) })
}

fn address_help(text: &str) -> &'static str {
    let numeric = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if text.contains('%') {
        "zone identifiers as in `fe80::1%eth0` mean nothing here: leave them out"
    } else if numeric && text.split('.').any(|part| part.len() > 1 && part.starts_with('0')) {
        "a part with a leading zero may be read as octal: write it without"
    } else if numeric {
        "an IPv4 address is four numbers from 0 to 255, like `10.20.1.5`"
    } else if text.contains(':') {
        "an IPv6 address reads like `2001:db8::10`"
    } else if text.contains('.') && has_letters_beyond_hex(text) {
        "a DNS name is written `host NAME`"
    } else {
        "addresses read like `10.20.1.5` or `2001:db8::10`, names start with a letter"
    }
}

/// Shows the whole prefix rather than only its address.
fn quote_whole(fault: Fault, whole: &str) -> Fault {
    match fault {
        Fault::Address { help, .. } => Fault::Address { text: whole.to_owned(), help },
        other => other,
    }
}

fn has_letters_beyond_hex(text: &str) -> bool {
    text.chars().any(|c| c.is_alphabetic() && !c.is_ascii_hexdigit())
}

fn full_length(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

/// Only plain digits: `u8::from_str` would also take `+8`.
fn prefix_length(text: &str) -> Option<u8> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}

fn mapped(addr: IpAddr) -> Option<Ipv4Addr> {
    match addr {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => v6.to_ipv4_mapped(),
    }
}

/// The address with all bits beyond `len` cleared.
fn network(addr: IpAddr, len: u8) -> IpAddr {
    match addr {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(u32::from(len))).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(u32::from(len))).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}
