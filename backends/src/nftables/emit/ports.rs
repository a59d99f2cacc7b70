//! Port sets as matches: the shortest list of conditions that together hold for exactly these ports.
//!
//! In: a port set, and the ports that rules before have ended already. Out: one match for each rule to be written. A
//! number is never looked at without its protocol, because nft reads the same bytes of any packet. A set never holds a
//! range: the kernel shows new sets with ranges empty for a while after it has switched to the new rules.

use egress_ir::{PortSet, protocol};
use std::collections::BTreeMap;

/// The set without what no packet can be: protocols without ports have number 0 only, so they are whole or absent.
pub(super) fn possible(ports: &PortSet) -> PortSet {
    if ports.is_any() {
        return PortSet::any();
    }
    PortSet::from_line_ranges(ports.per_protocol().filter_map(|(protocol, first, last)| {
        let base = u32::from(protocol) << 16;
        match protocol {
            protocol::TCP | protocol::UDP | protocol::SCTP | protocol::ICMP | protocol::ICMPV6 => {
                Some((base | u32::from(first), base | u32::from(last)))
            }
            _ => (first == 0).then_some((base, base | 0xffff)),
        }
    }))
}

/// How many ports a set has.
pub(super) fn count(ports: &PortSet) -> u32 {
    ports.line_ranges().iter().map(|(first, last)| last - first + 1).sum()
}

/// Ports of one protocol that many rules ask for together: named sets of single values, so that each rule is one.
#[derive(Clone, Debug, Default)]
pub(super) struct NamedSets(BTreeMap<(u8, Vec<u16>), usize>);

/// So many ports may be in a set; its name says which.
const MOST_NAMED: u32 = 16;
/// So many rules have to ask for a set.
const WORTH_A_SET: usize = 4;

impl NamedSets {
    /// The sets that are worth it for these port sets.
    pub(super) fn new<'p>(all: impl IntoIterator<Item = &'p PortSet>) -> Self {
        let mut sets = Self::default();
        for ports in all.into_iter().filter(|ports| !ports.is_any()) {
            for (protocol, ranges) in by_protocol(ports) {
                if let Some(values) = set_of(protocol, &ranges) {
                    *sets.0.entry((protocol, values)).or_default() += 1;
                }
            }
        }
        sets.0.retain(|_, uses| *uses >= WORTH_A_SET);
        sets
    }

    /// Names, fields and ports, sorted.
    pub(super) fn all(&self) -> impl Iterator<Item = (String, &'static str, &[u16])> {
        self.0
            .keys()
            .filter_map(|(protocol, values)| Some((set_name(*protocol, values), field(*protocol)?, values.as_slice())))
    }

    fn name(&self, protocol: u8, ranges: &[(u16, u16)]) -> Option<String> {
        let key = (protocol, set_of(protocol, ranges)?);
        self.0.contains_key(&key).then(|| set_name(key.0, &key.1))
    }
}

/// The ports one by one, where they are few and more than one condition.
fn set_of(protocol: u8, ranges: &[(u16, u16)]) -> Option<Vec<u16>> {
    field(protocol)?;
    let count: u32 = ranges.iter().map(|(first, last)| u32::from(last - first) + 1).sum();
    (ranges.len() > 1 && count <= MOST_NAMED).then(|| ranges.iter().flat_map(|&(first, last)| first..=last).collect())
}

fn set_name(protocol: u8, values: &[u16]) -> String {
    let start = field(protocol).and_then(|field| field.split(' ').next()).unwrap_or_default();
    values.iter().fold(start.to_owned(), |name, value| format!("{name}_{value}"))
}

/// How nft calls the destination port of a protocol.
fn field(protocol: u8) -> Option<&'static str> {
    match protocol {
        protocol::TCP => Some("tcp dport"),
        protocol::UDP => Some("udp dport"),
        protocol::SCTP => Some("sctp dport"),
        _ => None,
    }
}

fn by_protocol(ports: &PortSet) -> BTreeMap<u8, Vec<(u16, u16)>> {
    let mut by_protocol: BTreeMap<u8, Vec<(u16, u16)>> = BTreeMap::new();
    for (protocol, first, last) in ports.per_protocol() {
        by_protocol.entry(protocol).or_default().push((first, last));
    }
    by_protocol
}

/// The matches for `ports`, which may also hold for `ended`: those never get here. An empty match always holds.
pub(super) fn matches(ports: &PortSet, ended: &PortSet, sets: &NamedSets) -> Vec<String> {
    let widened = ports.union(ended);
    if widened.is_any() {
        return vec![String::new()];
    }
    let mut whole: Vec<(u32, u32)> = Vec::new();
    let mut partial: BTreeMap<u8, Vec<(u16, u16)>> = BTreeMap::new();
    for (protocol, first, last) in ports.per_protocol() {
        if PortSet::protocol(protocol).is_subset(&widened) {
            whole.push((protocol.into(), protocol.into()));
        } else {
            partial.entry(protocol).or_default().push((first, last));
        }
    }
    whole.dedup();
    let mut matches = Vec::new();
    if !whole.is_empty() {
        matches.extend(conditions("meta l4proto", &joined(whole)));
    }
    for (protocol, ranges) in partial {
        if let Some(name) = sets.name(protocol, &ranges) {
            matches.push(format!("{} @{name}", field(protocol).unwrap_or_default()));
            continue;
        }
        match protocol {
            protocol::TCP | protocol::UDP | protocol::SCTP => {
                matches.extend(numbers(field(protocol).unwrap_or_default(), &ranges));
            }
            protocol::ICMP => icmp("icmp", &ranges, &mut matches),
            protocol::ICMPV6 => icmp("icmpv6", &ranges, &mut matches),
            // INVARIANT: `possible` left such protocols whole or out.
            _ => {}
        }
    }
    matches
}

fn numbers(field: &str, ranges: &[(u16, u16)]) -> Vec<String> {
    let ranges: Vec<(u32, u32)> = ranges.iter().map(|&(first, last)| (first.into(), last.into())).collect();
    conditions(field, &ranges)
}

/// Whole types in one match, and one match for each type of which only some codes are in the set.
fn icmp(family: &str, ranges: &[(u16, u16)], matches: &mut Vec<String>) {
    let mut whole: Vec<(u32, u32)> = Vec::new();
    let mut codes: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
    for (first, last) in ranges.iter().map(|&(first, last)| (u32::from(first), u32::from(last))) {
        for kind in first >> 8..=last >> 8 {
            let low = first.max(kind << 8) & 0xff;
            let high = last.min(kind << 8 | 0xff) & 0xff;
            if (low, high) == (0, 0xff) {
                whole.push((kind, kind));
            } else {
                codes.entry(kind).or_default().push((low, high));
            }
        }
    }
    if !whole.is_empty() {
        matches.extend(conditions(&format!("{family} type"), &joined(whole)));
    }
    for (kind, codes) in &codes {
        matches.extend(conditions(&format!("{family} type {kind} {family} code"), codes));
    }
}

/// Sorted ranges with neighbours joined.
fn joined(ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    egress_ir::RangeSet::from_ranges(ranges).ranges().to_vec()
}

/// Up to so many single values are conditions of their own: every set costs the kernel a walk over the whole batch.
const FEW: usize = 6;

/// One condition for each range, and for each single value or all of them together.
fn conditions(field: &str, ranges: &[(u32, u32)]) -> Vec<String> {
    let singles: Vec<String> = ranges.iter().filter(|(a, b)| a == b).map(|(value, _)| value.to_string()).collect();
    let mut conditions = if singles.len() > FEW {
        vec![format!("{field} {{ {} }}", singles.join(", "))]
    } else {
        singles.iter().map(|single| format!("{field} {single}")).collect()
    };
    let wide = ranges.iter().filter(|(first, last)| first < last);
    conditions.extend(wide.map(|(first, last)| format!("{field} {first}-{last}")));
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_always_come_with_their_protocol() {
        let ports = PortSet::numbers(6, 443, 443)
            .union(&PortSet::numbers(6, 8000, 8080))
            .union(&PortSet::protocol(17))
            .union(&PortSet::icmp_type(1, 8))
            .union(&PortSet::numbers(1, 0x0301, 0x0302))
            .union(&PortSet::numbers(47, 0, 0));
        let expected = [
            "meta l4proto 17",
            "meta l4proto 47",
            "icmp type 8",
            "icmp type 3 icmp code 1-2",
            "tcp dport 443",
            "tcp dport 8000-8080",
        ];
        assert_eq!(matches(&possible(&ports), &PortSet::empty(), &NamedSets::default()), expected);
    }

    #[test]
    fn what_rules_before_have_ended_widens_a_match() {
        let rest = PortSet::any().difference(&PortSet::numbers(6, 22, 22));
        assert_eq!(matches(&rest, &PortSet::numbers(6, 22, 22), &NamedSets::default()), [""]);
        let alone = ["meta l4proto 0-5", "meta l4proto 7-255", "tcp dport 0-21", "tcp dport 23-65535"];
        assert_eq!(matches(&rest, &PortSet::empty(), &NamedSets::default()), alone);
    }

    #[test]
    fn ports_that_many_rules_share_are_a_set() {
        let mail = PortSet::numbers(6, 25, 25).union(&PortSet::numbers(6, 587, 588));
        let web = PortSet::numbers(6, 80, 80).union(&PortSet::numbers(6, 443, 443));
        let wide = web.union(&PortSet::numbers(6, 8000, 8080));
        let asked = [&mail, &mail, &mail, &mail, &web, &wide, &wide, &wide, &wide];
        let sets = NamedSets::new(asked);
        let named: Vec<(String, &str, &[u16])> = sets.all().collect();
        assert_eq!(named, [("tcp_25_587_588".to_owned(), "tcp dport", &[25, 587, 588][..])]);
        assert_eq!(matches(&mail, &PortSet::empty(), &sets), ["tcp dport @tcp_25_587_588"]);
        assert_eq!(matches(&web, &PortSet::empty(), &sets), ["tcp dport 80", "tcp dport 443"]);
    }
}
