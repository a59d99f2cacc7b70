//! Addresses and ports as few words.
//!
//! In: sets. Out: the name of a declared set where it is exactly that; or what the set holds, or what it leaves out,
//! whichever is shorter.

use super::shortened;
use egress_ir::{AddressSet, PortSet, Prefix, Program, protocol};
use std::net::IpAddr;

/// Addresses in words.
pub fn addresses(set: &AddressSet, programs: &[&Program]) -> String {
    for program in programs {
        let declared = program.destination_names.iter();
        let same = |id| program.destination_sets.at(id).addresses == *set;
        if let Some((name, _)) =
            declared.filter(|(_, id)| !set.is_empty() && same(**id)).min_by_key(|(name, _)| name.len())
        {
            return name.clone();
        }
    }
    let full = |v4: bool, v6: bool| AddressSet {
        v4: if v4 { AddressSet::full().v4 } else { AddressSet::empty().v4 },
        v6: if v6 { AddressSet::full().v6 } else { AddressSet::empty().v6 },
    };
    let whole = full(!set.v4.is_empty(), !set.v6.is_empty());
    let everywhere = match (set.v4.is_empty(), set.v6.is_empty()) {
        (false, true) => "all of IPv4",
        (true, false) => "all of IPv6",
        _ => "everywhere",
    };
    let missing = whole.difference(set);
    if set.is_empty() {
        return "nowhere".to_owned();
    }
    if missing.is_empty() {
        return everywhere.to_owned();
    }
    let inside = programs.iter().map(|program| &program.cluster.inside).find(|inside| !inside.is_empty());
    let within = |inside: &AddressSet| whole.intersection(inside) == missing;
    if inside.is_some_and(within) {
        return format!("{everywhere} outside the cluster");
    }
    let (held, left_out) = (ranges(set), ranges(&missing));
    if left_out.len() < held.len() && width(&missing) < width(set) {
        return format!("{everywhere} except {}", shortened(&left_out));
    }
    shortened(&held)
}

/// Each range as a prefix where it is one, as a few prefixes where these are at most two, and as `first-last` else.
pub(super) fn ranges(set: &AddressSet) -> Vec<String> {
    let told = |(first, last): (IpAddr, IpAddr)| {
        let prefixes = AddressSet::from_ranges([(first, last)]).prefixes();
        match prefixes.len() {
            1 | 2 => prefixes.into_iter().map(prefix).collect(),
            _ => vec![format!("{first}-{last}")],
        }
    };
    set.ranges().flat_map(told).collect()
}

fn prefix(prefix: Prefix) -> String {
    let whole = if prefix.address().is_ipv4() { 32 } else { 128 };
    if prefix.length() == whole { prefix.address().to_string() } else { prefix.to_string() }
}

/// How much a set holds, neither family hiding the other.
fn width(set: &AddressSet) -> u128 {
    let v4: u128 = set.v4.ranges().iter().map(|&(first, last)| u128::from(last - first) + 1).sum();
    let v6: u128 = set.v6.ranges().iter().map(|&(first, last)| ((last - first) >> 64) + 1).sum();
    v4.saturating_add(v6)
}

/// Ports in words: those that no packet to these addresses can have are neither told nor missed.
pub fn ports(set: &PortSet, to: &AddressSet) -> String {
    let whole = |number: u8| set.contains(egress_ir::Port::new(number, 0));
    let numbered = |number: u8| protocol::WITH_PORTS.contains(&number) || is_icmp(number);
    let portless = (0..=u8::MAX).filter(|number| !numbered(*number) && whole(*number)).map(PortSet::protocol);
    let held = portless.fold(set.clone(), |all, protocol| all.union(&protocol));
    let foreign = [(protocol::ICMP, to.v4.is_empty()), (protocol::ICMPV6, to.v6.is_empty())];
    let foreign = foreign.into_iter().filter(|(_, foreign)| *foreign).map(|(number, _)| PortSet::protocol(number));
    let missing = foreign.fold(PortSet::any().difference(&held), |rest, foreign| rest.difference(&foreign));
    if missing.is_empty() {
        return "any port".to_owned();
    }
    let parts = |set: &PortSet| set.to_string().split(", ").map(str::to_owned).collect::<Vec<_>>();
    let (present, absent) = (parts(&held), parts(&missing));
    if absent.len() < present.len() {
        return format!("any port except {}", shortened(&absent));
    }
    shortened(&present)
}

fn is_icmp(number: u8) -> bool {
    [protocol::ICMP, protocol::ICMPV6].contains(&number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_ir::{Cluster, DestinationSet};

    fn set(prefixes: &[&str]) -> AddressSet {
        let prefix = |text: &&str| {
            let (address, length) = text.split_once('/').unwrap();
            Prefix::containing(address.parse().unwrap(), length.parse().unwrap())
        };
        AddressSet::from_prefixes(prefixes.iter().map(prefix))
    }

    #[test]
    fn addresses_are_told_by_the_shorter_side() {
        let told = |set: &AddressSet| addresses(set, &[]);
        assert_eq!(told(&set(&["10.0.0.0/8", "192.0.2.7/32"])), "10.0.0.0/8, 192.0.2.7");
        assert_eq!(told(&AddressSet::full()), "everywhere");
        assert_eq!(told(&set(&["0.0.0.0/0"])), "all of IPv4");
        let hole = set(&["0.0.0.0/0"]).difference(&set(&["10.0.0.0/8"]));
        assert_eq!(told(&hole), "all of IPv4 except 10.0.0.0/8");
        let range = AddressSet::from_ranges([("10.0.0.1".parse().unwrap(), "10.0.0.12".parse().unwrap())]);
        assert_eq!(told(&range), "10.0.0.1-10.0.0.12");
    }

    #[test]
    fn declared_names_and_the_cluster_are_known() {
        let mut program = Program::default();
        let ledger = DestinationSet { addresses: set(&["10.20.0.0/16"]), ..DestinationSet::default() };
        let id = program.intern_destinations(ledger);
        program.destination_names.insert("ledger".into(), id);
        program.cluster = Cluster::new(None, set(&["10.42.0.0/16"]), AddressSet::empty(), AddressSet::empty());
        assert_eq!(addresses(&set(&["10.20.0.0/16"]), &[&program]), "ledger");
        let world = AddressSet::full().difference(&program.cluster.inside);
        assert_eq!(addresses(&world, &[&program]), "everywhere outside the cluster");
    }

    #[test]
    fn ports_are_told_without_those_that_cannot_be() {
        let v4 = set(&["10.0.0.0/8"]);
        let possible = PortSet::from_line_ranges((0..=255u32).filter(|number| *number != 58).map(|number| {
            let has_numbers = [1, 6, 17, 132].contains(&number);
            (number << 16, number << 16 | if has_numbers { 0xffff } else { 0 })
        }));
        assert_eq!(ports(&possible, &v4), "any port");
        let https = PortSet::numbers(6, 443, 443);
        assert_eq!(ports(&https, &v4), "443/tcp");
        assert_eq!(ports(&possible.difference(&https), &v4), "any port except 443/tcp");
    }
}
