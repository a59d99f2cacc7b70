//! The lists in annotations, read exactly as kube-vip's nftables mode reads them.
//!
//! In: an annotation's value. Out: its entries in order, each with its bytes within the value, and what becomes of it.
//! Parsing follows Go's `strconv.Atoi`, `net.ParseIP` and `net.ParseCIDR`, which differ from what people expect.

use egress_ir::protocol;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// An entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    /// Its bytes within the annotation's value, blanks included.
    pub span: Range<usize>,
    /// What kube-vip makes of it.
    pub value: T,
}

/// Why an entry of the destination ports is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It is not two parts around one colon.
    Form,
    /// The protocol is none of `tcp`, `udp` and `sctp`, in exactly this spelling.
    Protocol,
    /// The port is no number.
    Number,
    /// The port is no number from 0 to 65535.
    OutOfRange,
}

/// Why an entry of a list of networks is none. The whole Service then has no rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoNetwork {
    /// There is nothing between two commas, or after the last one.
    Empty,
    /// There are blanks around it.
    Blank,
    /// An address without a length.
    Bare,
    /// Anything else.
    Malformed,
}

/// A prefix as a range of addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The first address.
    pub first: IpAddr,
    /// The last address.
    pub last: IpAddr,
}

/// The entries of the destination ports: protocol and port, or why the entry is dropped.
#[must_use]
pub fn ports(value: &str) -> Vec<Entry<Result<(u8, u16), Dropped>>> {
    split(value, 0).map(|(span, text)| Entry { span, value: port(text) }).collect()
}

fn port(text: &str) -> Result<(u8, u16), Dropped> {
    let (kind, number) = text.split_once(':').ok_or(Dropped::Form)?;
    if number.contains(':') {
        return Err(Dropped::Form);
    }
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Dropped::Number);
    }
    let value = digits.parse::<u16>().map_err(|_| Dropped::OutOfRange)?;
    if number.starts_with('-') && value != 0 {
        return Err(Dropped::OutOfRange);
    }
    match kind {
        "tcp" => Ok((protocol::TCP, value)),
        "udp" => Ok((protocol::UDP, value)),
        "sctp" => Ok((protocol::SCTP, value)),
        _ => Err(Dropped::Protocol),
    }
}

/// The entries of a list of networks; none only if the value is empty. Blanks around the whole value are cut off.
#[must_use]
pub fn networks(value: &str) -> Vec<Entry<Result<Network, NoNetwork>>> {
    if value.is_empty() {
        return Vec::new();
    }
    let offset = value.len() - value.trim_start().len();
    split(value.trim(), offset).map(|(span, text)| Entry { span, value: network(text) }).collect()
}

fn network(text: &str) -> Result<Network, NoNetwork> {
    match cidr(text) {
        Some(network) => Ok(network),
        None if text.is_empty() => Err(NoNetwork::Empty),
        None if text.trim() != text => Err(NoNetwork::Blank),
        None if text.parse::<IpAddr>().is_ok() => Err(NoNetwork::Bare),
        None => Err(NoNetwork::Malformed),
    }
}

/// A prefix, host bits ignored. The length may have leading zeros.
#[must_use]
pub fn cidr(text: &str) -> Option<Network> {
    let (address, length) = text.split_once('/')?;
    if length.is_empty() || length.len() > 20 || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u64 = length.parse().ok()?;
    match address.parse().ok()? {
        IpAddr::V4(v4) if length <= 32 => {
            let host = u32::MAX.checked_shr(u32::try_from(length).ok()?).unwrap_or(0);
            let first = v4.to_bits() & !host;
            Some(Network { first: Ipv4Addr::from_bits(first).into(), last: Ipv4Addr::from_bits(first | host).into() })
        }
        IpAddr::V6(v6) if length <= 128 => {
            let host = u128::MAX.checked_shr(u32::try_from(length).ok()?).unwrap_or(0);
            let first = v6.to_bits() & !host;
            Some(Network { first: Ipv6Addr::from_bits(first).into(), last: Ipv6Addr::from_bits(first | host).into() })
        }
        _ => None,
    }
}

impl Network {
    /// The range as the kernel compares it in a rule of this family: an IPv4 prefix in a rule for IPv6 becomes one of
    /// mapped addresses, which no packet has; an IPv6 prefix in a rule for IPv4 has no bytes, and is refused.
    #[must_use]
    pub fn in_rule(self, v6: bool) -> Option<(IpAddr, IpAddr)> {
        let convert = |address: IpAddr| match (address, v6) {
            (IpAddr::V4(v4), true) => Some(v4.to_ipv6_mapped().into()),
            (IpAddr::V6(v6), false) => v6.to_ipv4_mapped().map(IpAddr::V4),
            _ => Some(address),
        };
        Some((convert(self.first)?, convert(self.last)?))
    }

    /// Whether it is written as IPv6, mapped IPv4 addresses apart.
    #[must_use]
    pub fn is_v6(self) -> bool {
        is_v6(self.first)
    }
}

/// The family by which kube-vip sorts an address: a mapped one is IPv4.
#[must_use]
pub fn is_v6(address: IpAddr) -> bool {
    address.to_canonical().is_ipv6()
}

/// The addresses of a list of virtual addresses; names, which kube-vip resolves, apart.
#[must_use]
pub fn addresses(value: &str) -> Vec<Entry<Result<IpAddr, ()>>> {
    let entry = |(span, text): (Range<usize>, &str)| {
        let value = text.trim().parse::<IpAddr>().map(|address| address.to_canonical()).map_err(drop);
        Entry { span, value }
    };
    split(value, 0).map(entry).collect()
}

/// What stands between commas.
fn split(value: &str, offset: usize) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut start = offset;
    value.split(',').map(move |text| {
        let span = start..start + text.len();
        start = span.end + 1;
        (span, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_go_reads_them() {
        let read = |text| ports(text).into_iter().map(|entry| entry.value).collect::<Vec<_>>();
        assert_eq!(read("tcp:443,udp:+53,sctp:0"), [Ok((6, 443)), Ok((17, 53)), Ok((132, 0))]);
        let dropped = read("443,tcp:80-90,TCP:443,tcp:65536,tcp:-1, udp:53,tcp:,a:b:c,tcp:99999999999999999999");
        use Dropped::{Form, Number, OutOfRange, Protocol};
        let expected = [Form, Number, Protocol, OutOfRange, OutOfRange, Protocol, Number, Form, OutOfRange];
        assert_eq!(dropped, expected.map(Err));
    }

    #[test]
    fn networks_are_read_as_go_reads_them() {
        let read = |text| networks(text).into_iter().map(|entry| entry.value).collect::<Vec<_>>();
        let shown: Vec<String> = read(" 10.1.2.3/8,::ffff:10.0.0.0/104,0.0.0.0/00 ")
            .into_iter()
            .map(|network| network.unwrap().in_rule(false).map(|(first, last)| format!("{first}-{last}")).unwrap())
            .collect();
        assert_eq!(shown, ["10.0.0.0-10.255.255.255", "10.0.0.0-10.255.255.255", "0.0.0.0-255.255.255.255"]);
        use NoNetwork::{Bare, Blank, Empty, Malformed};
        let expected = [Blank, Bare, Malformed, Malformed, Empty];
        assert_eq!(read("10.0.0.0/8, 10.1.0.0/16,10.0.0.1,10.0.0.0/33,x/8,")[1..], expected.map(Err));
        assert!(networks("").is_empty());
        assert_eq!(read("  "), [Err(Empty)]);
        let spans: Vec<_> = networks(" a,bc").into_iter().map(|entry| entry.span).collect();
        assert_eq!(spans, [1..2, 3..5]);
    }
}
