//! The values of the language: addresses, prefixes, ranges, ports, dates, host patterns.
//!
//! In: one word of text. Out: a typed value, or a fault that says what is wrong and what
//! would be right; the caller adds the span. List files hold the same values, so the
//! compiler reads them with these functions too. Never touches tokens or files.

mod address;
mod date;
mod fault;
mod host;
mod port;

use std::fmt;
use std::net::IpAddr;

pub use address::{AddressOrRange, address, address_or_range, looks_like_address, prefix, range};
pub use date::date;
pub use fault::Fault;
pub use host::host;
pub use port::{looks_like_port, port};

/// An address prefix without host bits (RFC 4632, RFC 4291). A single address is a prefix
/// of full length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix {
    /// The first address.
    pub addr: IpAddr,
    /// 0–32 for IPv4, 0–128 for IPv6.
    pub len: u8,
}

/// Addresses from `first` to `last`, both included, of one family, `first <= last`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AddressRange {
    /// The lowest address.
    pub first: IpAddr,
    /// The highest address.
    pub last: IpAddr,
}

/// Ports from `first` to `last`, both included, `first <= last`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

/// A day of the Gregorian calendar that exists. Orders by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Date {
    /// 1–9999.
    pub year: u16,
    /// 1–12.
    pub month: u8,
    /// 1–31.
    pub day: u8,
}

/// What `*` in front of a host name stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Wildcard {
    /// Nothing in front: the name itself.
    None,
    /// `*.`: exactly one more label.
    One,
    /// `**.`: one or more labels.
    Many,
}

/// A host name, or all names under one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostPattern {
    /// What may stand in front of `name`.
    pub wildcard: Wildcard,
    /// The name after the wildcard: lower case, A-labels (IDNA, UTS 46), at least one
    /// label, no trailing dot.
    pub name: String,
}

impl fmt::Display for Prefix {
    /// Canonical text (RFC 5952); a prefix of full length is shown as its address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = if self.addr.is_ipv4() { 32 } else { 128 };
        if self.len == full { write!(f, "{}", self.addr) } else { write!(f, "{}/{}", self.addr, self.len) }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.wildcard {
            Wildcard::None => "",
            Wildcard::One => "*.",
            Wildcard::Many => "**.",
        };
        write!(f, "{prefix}{}", self.name)
    }
}
