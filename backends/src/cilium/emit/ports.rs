//! Port sets as `toPorts` and `icmps`.
//!
//! In: a [`PortSet`]. Out: entries that match exactly its members, or why there are none. Port 0 means every port and ICMP
//! type 0 every type, so neither can be said by itself; codes and other protocols cannot be said at all.

use std::collections::{BTreeMap, BTreeSet};

use egress_ir::{PortSet, protocol};

use super::render::{Yaml, map, text};

/// Most ports in one entry of `toPorts`, and most fields in one entry of `icmps`.
const MAX_ENTRIES: usize = 40;

/// How a port set is said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Without ports: every protocol.
    All,
    /// As entries; both lists may be used, in rules of their own.
    Entries {
        /// `(protocol word, protocols it stands for, first, last)`; 0 to 65535 is every port.
        ports: Vec<(&'static str, u32, u16, u16)>,
        /// `(family word, type)`.
        icmps: Vec<(&'static str, u8)>,
    },
}

/// Why a port set cannot be said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsayable {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// The form of a set.
pub(super) fn form(set: &PortSet) -> Result<Form, Unsayable> {
    if set.is_any() {
        return Ok(Form::All);
    }
    let mut ranges: BTreeMap<(u16, u16), BTreeSet<u8>> = BTreeMap::new();
    let mut icmps = Vec::new();
    for (number, first, last) in set.per_protocol() {
        match number {
            protocol::TCP | protocol::UDP | protocol::SCTP => {
                if first == 0 && last != u16::MAX {
                    return Err(Unsayable {
                        code: "egress::target::port",
                        message: "port 0 means every port to Cilium, so it cannot be named by itself".to_owned(),
                        help: "start the range at 1, or name every port of the protocol",
                    });
                }
                ranges.entry((first, last)).or_default().insert(number);
            }
            protocol::ICMP => icmps.extend(types("IPv4", first, last)?),
            protocol::ICMPV6 => icmps.extend(types("IPv6", first, last)?),
            other => {
                return Err(Unsayable {
                    code: "egress::target::protocol",
                    message: format!("Cilium cannot name IP protocol {other}"),
                    help: "leave `on` out to mean every protocol, or enforce this rule with nftables",
                });
            }
        }
    }
    let ports = ranges.iter().flat_map(|((first, last), protocols)| words(protocols, *first, *last)).collect();
    Ok(Form::Entries { ports, icmps })
}

fn words(protocols: &BTreeSet<u8>, first: u16, last: u16) -> Vec<(&'static str, u32, u16, u16)> {
    if protocols.len() == protocol::WITH_PORTS.len() {
        return vec![("ANY", 3, first, last)];
    }
    let word = |number: &u8| match *number {
        protocol::TCP => "TCP",
        protocol::UDP => "UDP",
        _ => "SCTP",
    };
    protocols.iter().map(|number| (word(number), 1, first, last)).collect()
}

fn types(family: &'static str, first: u16, last: u16) -> Result<Vec<(&'static str, u8)>, Unsayable> {
    let unsayable =
        |message: &str, help| Err(Unsayable { code: "egress::target::icmp", message: message.to_owned(), help });
    if first & 0xff != 0 || last & 0xff != 0xff {
        return unsayable("Cilium cannot tell ICMP codes apart", "name whole types, such as `icmp/3`");
    }
    if (first, last) == (0, u16::MAX) {
        let help = "name the types that are needed, such as `icmp/8, icmp/3, icmp/11`";
        return unsayable(
            "Cilium cannot name a whole ICMP protocol: each type must be named, and type 0 cannot be",
            help,
        );
    }
    if first == 0 {
        let help = "leave type 0 out: replies to an allowed echo request pass without a rule";
        return unsayable("ICMP type 0 (echo reply) means every type to Cilium", help);
    }
    let kinds = (first >> 8)..=(last >> 8);
    Ok(kinds.filter_map(|kind| u8::try_from(kind).ok()).map(|kind| (family, kind)).collect())
}

/// `toPorts` of these ports, in entries of [`MAX_ENTRIES`].
pub(super) fn to_ports(ports: &[(&'static str, u32, u16, u16)]) -> Yaml {
    let entry = |chunk: &[(&'static str, u32, u16, u16)]| map([("ports", Yaml::list(chunk.iter().map(port)))]);
    Yaml::list(ports.chunks(MAX_ENTRIES).map(entry))
}

fn port((word, _, first, last): &(&'static str, u32, u16, u16)) -> Yaml {
    let mut fields = vec![("port".to_owned(), text(first.to_string()))];
    if first < last && *first != 0 {
        fields.push(("endPort".to_owned(), Yaml::Number(u32::from(*last))));
    }
    fields.push(("protocol".to_owned(), text(*word)));
    Yaml::Map(fields)
}

/// `icmps` of these types, in entries of [`MAX_ENTRIES`].
pub(super) fn to_icmps(types: &[(&'static str, u8)]) -> Yaml {
    let field = |(family, kind): &(&'static str, u8)| {
        map([("family", text(*family)), ("type", Yaml::Number(u32::from(*kind)))])
    };
    let entry = |chunk: &[(&'static str, u8)]| map([("fields", Yaml::list(chunk.iter().map(field)))]);
    Yaml::list(types.chunks(MAX_ENTRIES).map(entry))
}

/// How many prefixes of ports Cilium's table needs for a form: one key for each, protocol and identity.
pub(super) fn table_keys(form: &Form) -> u64 {
    match form {
        Form::All => 1,
        Form::Entries { ports, icmps } => {
            let of_ports = ports.iter().map(|(_, protocols, first, last)| {
                u64::from(*protocols) * if (*first, *last) == (0, u16::MAX) { 1 } else { port_prefixes(*first, *last) }
            });
            of_ports.sum::<u64>() + icmps.len() as u64
        }
    }
}

/// Prefixes of a range of 16-bit numbers.
fn port_prefixes(first: u16, last: u16) -> u64 {
    let (mut start, end, mut count) = (u32::from(first), u32::from(last), 0);
    while start <= end {
        let aligned = if start == 0 { 16 } else { start.trailing_zeros().min(16) };
        let fitting = 31 - (end - start + 1).leading_zeros();
        start += 1 << aligned.min(fitting);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_said_exactly_or_not_at_all() {
        assert_eq!(form(&PortSet::any()), Ok(Form::All));
        let all_three =
            protocol::WITH_PORTS.iter().fold(PortSet::empty(), |sum, of| sum.union(&PortSet::numbers(*of, 5, 9)));
        assert_eq!(form(&all_three), Ok(Form::Entries { ports: vec![("ANY", 3, 5, 9)], icmps: vec![] }));
        let whole = Form::Entries { ports: vec![("TCP", 1, 0, 65535)], icmps: vec![] };
        assert_eq!(form(&PortSet::protocol(6)), Ok(whole));
        let echo = Form::Entries { ports: vec![], icmps: vec![("IPv6", 128), ("IPv6", 129)] };
        assert_eq!(form(&PortSet::icmp_type(58, 128).union(&PortSet::icmp_type(58, 129))), Ok(echo));
        for refused in [
            PortSet::numbers(6, 0, 1023),
            PortSet::icmp_type(1, 0),
            PortSet::protocol(1),
            PortSet::numbers(1, 0x0301, 0x0301),
            PortSet::protocol(47),
        ] {
            assert!(form(&refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn port_prefixes_are_counted() {
        let counts = [(443, 443), (1, 65535), (8000, 8007), (8000, 8008), (0, 65535)].map(|(a, b)| port_prefixes(a, b));
        assert_eq!(counts, [1, 16, 1, 2, 1]);
    }
}
