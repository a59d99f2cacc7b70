//! Ports: protocol and number as one 24-bit line.
//!
//! A [`Port`] is `protocol << 16 | number`: the destination port of TCP, UDP and SCTP, `type << 8 | code` of ICMP
//! and ICMPv6, and 0 for every other IP protocol. One line means one kind of set for all of them.

use crate::range::RangeSet;
use std::fmt;
use std::sync::LazyLock;

/// IP protocol numbers (IANA) that the language names.
pub mod protocol {
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: u8 = 1;
    /// TCP (RFC 9293).
    pub const TCP: u8 = 6;
    /// UDP (RFC 768).
    pub const UDP: u8 = 17;
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: u8 = 58;
    /// SCTP (RFC 9260).
    pub const SCTP: u8 = 132;

    /// The protocols whose port number is a destination port.
    pub const WITH_PORTS: [u8; 3] = [TCP, UDP, SCTP];
}

/// One protocol and number, see the module page for the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port(u32);

impl Port {
    /// `number` is a destination port, or `type << 8 | code`, or 0 for protocols that have neither.
    #[must_use]
    pub fn new(protocol: u8, number: u16) -> Self {
        Self(u32::from(protocol) << 16 | u32::from(number))
    }

    /// A TCP port.
    #[must_use]
    pub fn tcp(number: u16) -> Self {
        Self::new(protocol::TCP, number)
    }

    /// A UDP port.
    #[must_use]
    pub fn udp(number: u16) -> Self {
        Self::new(protocol::UDP, number)
    }

    /// An ICMP (`protocol` 1) or ICMPv6 (58) message.
    #[must_use]
    pub fn icmp(protocol: u8, kind: u8, code: u8) -> Self {
        Self::new(protocol, u16::from(kind) << 8 | u16::from(code))
    }

    /// The port at a place of the line, nothing above `0xff_ffff`.
    #[must_use]
    pub fn from_line(place: u32) -> Option<Self> {
        (place <= PortSet::LAST).then_some(Self(place))
    }

    /// The place on the line, at most `0xff_ffff`.
    #[must_use]
    pub fn line(self) -> u32 {
        self.0
    }

    /// The IP protocol number.
    #[must_use]
    pub fn protocol(self) -> u8 {
        u8::try_from(self.0 >> 16).unwrap_or(u8::MAX)
    }

    /// The destination port, or `type << 8 | code`.
    #[must_use]
    pub fn number(self) -> u16 {
        u16::try_from(self.0 & 0xffff).unwrap_or(u16::MAX)
    }
}

impl fmt::Display for Port {
    /// As people type it: `443/tcp`, `icmp/8` (with `/code` when it is not 0), `protocol/47`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number();
        let (kind, code) = (number >> 8, number & 0xff);
        match self.protocol() {
            protocol::TCP => write!(f, "{number}/tcp"),
            protocol::UDP => write!(f, "{number}/udp"),
            protocol::SCTP => write!(f, "{number}/sctp"),
            p @ (protocol::ICMP | protocol::ICMPV6) => {
                f.write_str(if p == protocol::ICMP { "icmp" } else { "icmpv6" })?;
                write!(f, "/{kind}")?;
                if code == 0 { Ok(()) } else { write!(f, "/{code}") }
            }
            other => write!(f, "protocol/{other}"),
        }
    }
}

/// A set of ports; canonical, so `==` is set equality.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortSet(RangeSet<u32>);

impl PortSet {
    /// The last place of the line.
    pub const LAST: u32 = 0xff_ffff;

    /// The set with no port.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Every protocol and number.
    #[must_use]
    pub fn any() -> Self {
        Self(RangeSet::range(0, Self::LAST))
    }

    /// The ports that a packet of IPv4 or IPv6 can have, see [`crate::Flow::is_well_formed`].
    #[must_use]
    pub fn possible(v6: bool) -> &'static Self {
        static V4: LazyLock<PortSet> = LazyLock::new(|| list_possible(protocol::ICMP, protocol::ICMPV6));
        static V6: LazyLock<PortSet> = LazyLock::new(|| list_possible(protocol::ICMPV6, protocol::ICMP));
        if v6 { &V6 } else { &V4 }
    }

    /// Everything of one protocol.
    #[must_use]
    pub fn protocol(protocol: u8) -> Self {
        Self::numbers(protocol, 0, u16::MAX)
    }

    /// The numbers from `first` to `last` of one protocol, both included.
    #[must_use]
    pub fn numbers(protocol: u8, first: u16, last: u16) -> Self {
        Self(RangeSet::range(Port::new(protocol, first).line(), Port::new(protocol, last).line()))
    }

    /// Every code of one ICMP (`protocol` 1) or ICMPv6 (58) type.
    #[must_use]
    pub fn icmp_type(protocol: u8, kind: u8) -> Self {
        let first = u16::from(kind) << 8;
        Self::numbers(protocol, first, first | 0xff)
    }

    /// The union of inclusive ranges on the line; what lies above `0xff_ffff` is cut off.
    #[must_use]
    pub fn from_line_ranges(ranges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        Self(RangeSet::from_ranges(ranges.into_iter().map(|(s, e)| (s, e.min(Self::LAST)))))
    }

    /// The sorted, disjoint ranges on the line, both ends included; a range may span protocols.
    #[must_use]
    pub fn line_ranges(&self) -> &[(u32, u32)] {
        self.0.ranges()
    }

    /// The ranges cut at protocol borders: `(protocol, first number, last number)`, sorted.
    pub fn per_protocol(&self) -> impl Iterator<Item = (u8, u16, u16)> + '_ {
        self.0.ranges().iter().flat_map(|&(start, end)| {
            (start >> 16..=end >> 16).filter_map(move |p| {
                let first = Port::from_line(start.max(p << 16))?;
                let last = Port::from_line(end.min(p << 16 | 0xffff))?;
                Some((first.protocol(), first.number(), last.number()))
            })
        })
    }

    /// Whether the set contains `port`.
    #[must_use]
    pub fn contains(&self, port: Port) -> bool {
        self.0.contains(port.line())
    }

    /// The port that a person would try: a well-known one, or else the first that a packet of the family can have.
    #[must_use]
    pub fn familiar(&self, v6: bool) -> Option<Port> {
        let echo = if v6 { Port::icmp(protocol::ICMPV6, 128, 0) } else { Port::icmp(protocol::ICMP, 8, 0) };
        let mut known = [443, 80, 22, 5432].map(Port::tcp).into_iter().chain([53, 123].map(Port::udp)).chain([echo]);
        let first = || self.intersection(Self::possible(v6)).0.first().and_then(Port::from_line);
        known.find(|&port| self.contains(port)).or_else(first)
    }

    /// Whether no port is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every port is in the set.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0.ranges() == [(0, Self::LAST)]
    }

    /// Ports in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0))
    }

    /// Ports in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0))
    }

    /// Ports in this set and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0))
    }

    /// Whether some port is in both sets.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.overlaps(&other.0)
    }

    /// Whether some port from `first` to `last` on the line, both included, is in the set.
    #[must_use]
    pub fn meets(&self, first: u32, last: u32) -> bool {
        self.0.meets(first, last)
    }

    /// Whether every port of this set is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }
}

/// Every port of the protocols with numbers, of which `own` is one and `foreign` is none, and number 0 of all others.
fn list_possible(own: u8, foreign: u8) -> PortSet {
    let ranges = (0..=u8::MAX).filter(|number| *number != foreign).map(|number| {
        let first = Port::new(number, 0).line();
        let numbered = protocol::WITH_PORTS.contains(&number) || number == own;
        (first, if numbered { first | 0xffff } else { first })
    });
    PortSet::from_line_ranges(ranges)
}

impl fmt::Display for PortSet {
    /// As people type it: `443/tcp, 6432-6440/tcp, icmp/8`, `any`; protocols without a name as `protocol/47`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() {
            return f.write_str("any");
        }
        let mut separator = "";
        for &(first, last) in self.line_ranges() {
            for (first, last) in readable(first, last) {
                f.write_str(std::mem::replace(&mut separator, ", "))?;
                write_range(f, first, last)?;
            }
        }
        if self.is_empty() { f.write_str("no port") } else { Ok(()) }
    }
}

/// Cuts a range of the line at the protocols that people know by name, and at the ends of whole protocols.
fn readable(first: u32, last: u32) -> Vec<(u32, u32)> {
    let named = [protocol::ICMP, protocol::TCP, protocol::UDP, protocol::ICMPV6, protocol::SCTP].map(u32::from);
    let whole = [(first + 0xffff) >> 16, (last + 1) >> 16];
    let mut cuts: Vec<u32> =
        named.iter().flat_map(|p| [p << 16, (p + 1) << 16]).chain(whole.map(|p| p << 16)).collect();
    cuts.retain(|&cut| first < cut && cut <= last);
    cuts.sort_unstable();
    cuts.dedup();
    let starts = std::iter::once(first).chain(cuts.iter().copied());
    let ends = cuts.iter().map(|cut| cut - 1).chain([last]);
    starts.zip(ends).collect()
}

/// Writes a range that lies within one named protocol, or covers whole protocols, or lies within another one.
fn write_range(f: &mut fmt::Formatter<'_>, first: u32, last: u32) -> fmt::Result {
    let (protocol, from, to) = (first >> 16, first & 0xffff, last & 0xffff);
    let name = match u8::try_from(protocol).unwrap_or(u8::MAX) {
        protocol::TCP => "tcp",
        protocol::UDP => "udp",
        protocol::SCTP => "sctp",
        protocol::ICMP => "icmp",
        protocol::ICMPV6 => "icmpv6",
        _ if protocol == last >> 16 => return write!(f, "protocol/{protocol}"),
        _ => return write!(f, "protocol/{protocol}-{}", last >> 16),
    };
    let icmp = name.starts_with("icmp");
    match (from, to) {
        (0, 0xffff) => f.write_str(name),
        _ if icmp && from >> 8 == to >> 8 && from & 0xff == 0 && to & 0xff == 0xff => write!(f, "{name}/{}", from >> 8),
        _ if icmp && from == to => write!(f, "{name}/{}/{}", from >> 8, from & 0xff),
        _ if icmp => write!(f, "{name}/{}/{}-{}/{}", from >> 8, from & 0xff, to >> 8, to & 0xff),
        _ if from == to => write!(f, "{from}/{name}"),
        _ => write!(f, "{from}-{to}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_read_as_people_type_them() {
        let shown =
            [Port::tcp(443), Port::icmp(1, 8, 0), Port::icmp(58, 1, 4), Port::new(47, 0)].map(|p| p.to_string());
        assert_eq!(shown, ["443/tcp", "icmp/8", "icmpv6/1/4", "protocol/47"]);
    }

    #[test]
    fn port_sets_read_as_people_type_them() {
        let shown = |ranges: &[(u32, u32)]| PortSet::from_line_ranges(ranges.iter().copied()).to_string();
        let tcp =
            PortSet::numbers(6, 443, 443).union(&PortSet::numbers(6, 6432, 6440)).union(&PortSet::icmp_type(1, 8));
        assert_eq!(tcp.to_string(), "icmp/8, 443/tcp, 6432-6440/tcp");
        assert_eq!(PortSet::any().to_string(), "any");
        assert_eq!(PortSet::empty().to_string(), "no port");
        assert_eq!(
            shown(&[(0x06_01bc, 0xff_ffff)]),
            "444-65535/tcp, protocol/7-16, udp, protocol/18-57, icmpv6, protocol/59-131, sctp, protocol/133-255"
        );
        assert_eq!(shown(&[(0x2f_0000, 0x2f_ffff)]), "protocol/47");
    }

    #[test]
    fn possible_ports_are_those_of_well_formed_flows() {
        let workload = crate::Workload::Pod(crate::Pod::default());
        for (v6, address) in [(false, "192.0.2.1"), (true, "2001:db8::1")] {
            let destination = crate::Destination::unnamed(address.parse().unwrap());
            for place in (0..=u32::from(u8::MAX)).flat_map(|p| [0, 1, 0xffff].map(|number| p << 16 | number)) {
                let port = Port::from_line(place).unwrap();
                let flow = crate::Flow { workload: workload.clone(), destination: destination.clone(), port };
                assert_eq!(PortSet::possible(v6).contains(port), flow.is_well_formed(), "{flow}");
            }
        }
    }

    #[test]
    fn people_try_ports_that_they_know() {
        let tried = |set: &PortSet| [false, true].map(|v6| set.familiar(v6).map(|port| port.to_string()));
        let some = |v4: &str, v6: &str| [Some(v4.to_owned()), Some(v6.to_owned())];
        assert_eq!(tried(&PortSet::any()), some("443/tcp", "443/tcp"));
        assert_eq!(tried(&PortSet::numbers(protocol::TCP, 7000, 7010)), some("7000/tcp", "7000/tcp"));
        let icmp = PortSet::protocol(protocol::ICMP).union(&PortSet::protocol(protocol::ICMPV6));
        assert_eq!(tried(&icmp), some("icmp/8", "icmpv6/128"));
        assert_eq!(tried(&PortSet::icmp_type(protocol::ICMP, 3)), [Some("icmp/3".to_owned()), None]);
        assert_eq!(tried(&PortSet::numbers(47, 1, 9)), [None, None]);
    }

    #[test]
    fn any_is_cut_at_every_protocol() {
        let parts: Vec<_> = PortSet::any().per_protocol().collect();
        assert_eq!(parts.len(), 256);
        assert_eq!(parts[6], (6, 0, u16::MAX));
        assert!(PortSet::protocol(6).contains(Port::tcp(u16::MAX)));
        assert!(!PortSet::protocol(6).contains(Port::new(7, 0)));
    }
}
