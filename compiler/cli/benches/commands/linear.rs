//! The same policy as somebody would write it by hand: one rule after another, denies first.
//!
//! In: a program and who runs. Out: text for `nft -f`. It is what the emitted ruleset is measured against, and as good
//! as a list can be: sources, large destinations and several ports are sets, and what must pass at once passes at once.

use crate::support::Unit;
use egress_ir::{
    Action, AddressSet, BlockKind, DestinationSetId, PortSet, PortSetId, Program, Rule, Workload, WorkloadSetId,
    protocol,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

/// Families: how rules call them, and their number.
const FAMILIES: [(&str, u8); 2] = [("ip", 4), ("ip6", 6)];

/// Writes the list.
pub(crate) fn ruleset(unit: &Unit) -> String {
    let program = &unit.program;
    let mut list = List { program, sets: String::new(), rules: String::new() };
    let pods = members(unit);
    for (set, addresses) in &pods {
        list.set(&format!("w{}", number(*set)), "saddr", addresses, "");
    }
    list.destination_sets();
    list.port_sets();
    list.preamble();
    for action in [Action::Deny, Action::Allow] {
        for rule in program.rules.values().filter(|rule| rule.action == action) {
            list.rule(rule);
        }
    }
    let governing = program.blocks.values().filter(|block| block.kind == BlockKind::Policy);
    let governed: BTreeSet<WorkloadSetId> = governing.map(|block| block.workloads).collect();
    let governed: BTreeSet<IpAddr> = governed.iter().filter_map(|set| pods.get(set)).flatten().copied().collect();
    list.set("governed", "saddr", &governed, "");
    for (family, version) in FAMILIES {
        list.put(format_args!("{family} saddr @governed_{version} drop"));
    }
    let List { sets, rules, .. } = list;
    format!(
        "table inet linear {{\n{sets}chain pre {{ type filter hook prerouting priority -90; policy accept;\n{rules}}}\n}}\n"
    )
}

/// The addresses of the pods in each set that some block speaks about.
fn members(unit: &Unit) -> BTreeMap<WorkloadSetId, BTreeSet<IpAddr>> {
    let program = &unit.program;
    let used: BTreeSet<WorkloadSetId> = program.blocks.values().map(|block| block.workloads).collect();
    let addresses = |id: WorkloadSetId| {
        let set = program.workload_sets.at(id);
        let pods = unit.inventory.pods.iter().filter(|pod| set.contains(&Workload::Pod(pod.identity.clone())));
        pods.flat_map(|pod| pod.addresses.iter().copied()).collect()
    };
    used.into_iter().map(|id| (id, addresses(id))).collect()
}

fn number(id: impl egress_ir::Id) -> usize {
    id.index()
}

struct List<'p> {
    program: &'p Program,
    sets: String,
    rules: String,
}

impl List<'_> {
    fn put(&mut self, rule: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.rules, "{rule}");
    }

    /// A set for each family; one without members is declared all the same, for rules name it.
    fn set(&mut self, name: &str, field: &str, members: &BTreeSet<IpAddr>, flags: &str) {
        for (family, version) in FAMILIES {
            let of_family = members.iter().filter(|address| address.is_ipv4() == (version == 4));
            let shown: Vec<String> = of_family.map(ToString::to_string).collect();
            self.declare(name, family, version, field, &shown, flags);
        }
    }

    fn declare(&mut self, name: &str, family: &str, version: u8, field: &str, shown: &[String], flags: &str) {
        let elements = if shown.is_empty() { String::new() } else { format!("elements = {{ {} }};", shown.join(", ")) };
        let _ = writeln!(self.sets, "set {name}_{version} {{ typeof {family} {field}; {flags} {elements} }}");
    }

    /// Destinations of several ranges.
    fn destination_sets(&mut self) {
        for (id, set) in self.program.destination_sets.iter() {
            for (family, version) in FAMILIES {
                let ranges = ranges(&set.addresses, version);
                if ranges.len() > 1 {
                    let name = format!("d{}", number(id));
                    self.declare(&name, family, version, "daddr", &ranges, "flags interval;");
                }
            }
        }
    }

    /// Several ports of one protocol.
    fn port_sets(&mut self) {
        for (id, set) in self.program.port_sets.iter().filter(|(_, set)| !set.is_any()) {
            for (protocol, ports) in numbers(set) {
                if let Some(field) = port_field(protocol).filter(|_| ports.len() > 1) {
                    let (name, ports) = (format!("p{}_{protocol}", number(id)), ports.join(", "));
                    let _ = writeln!(
                        self.sets,
                        "set {name} {{ typeof {field}; flags interval; elements = {{ {ports} }}; }}"
                    );
                }
            }
        }
    }

    /// Replies and destinations inside the cluster.
    fn preamble(&mut self) {
        self.put(format_args!("ct direction reply ct state established,related accept"));
        for (family, version) in FAMILIES {
            for range in ranges(&self.program.cluster.inside, version) {
                self.put(format_args!("{family} daddr {range} accept"));
            }
        }
    }

    fn rule(&mut self, rule: &Rule) {
        let sources = number(self.program.blocks.at(rule.block).workloads);
        let verdict = if rule.action == Action::Allow { "accept" } else { "drop" };
        for (family, version) in FAMILIES {
            let Some(destinations) = self.destinations(rule.destinations, version) else { continue };
            for ports in ports(rule.ports, self.program.port_sets.at(rule.ports), version) {
                let destinations =
                    if destinations.is_empty() { String::new() } else { format!("{family} daddr {destinations} ") };
                self.put(format_args!("{family} saddr @w{sources}_{version} {destinations}{ports}counter {verdict}"));
            }
        }
    }

    /// What `daddr` is compared with: nothing for every address; none when the set has no address of the family.
    fn destinations(&self, id: DestinationSetId, version: u8) -> Option<String> {
        let addresses = &self.program.destination_sets.at(id).addresses;
        let everything = if version == 4 { addresses.v4.is_full() } else { addresses.v6.is_full() };
        match ranges(addresses, version).as_slice() {
            [] => None,
            _ if everything => Some(String::new()),
            [one] => Some(one.clone()),
            _ => Some(format!("@d{}_{version}", number(id))),
        }
    }
}

/// Ranges of one family as nft writes them.
fn ranges(set: &AddressSet, version: u8) -> Vec<String> {
    let of_family = set.ranges().filter(|(first, _)| first.is_ipv4() == (version == 4));
    let shown =
        |(first, last): (IpAddr, IpAddr)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    of_family.map(shown).collect()
}

/// What a port match compares, by protocol: `tcp dport` and its like; nothing for protocols without numbers.
fn port_field(protocol: u8) -> Option<&'static str> {
    match protocol {
        protocol::TCP => Some("tcp dport"),
        protocol::UDP => Some("udp dport"),
        protocol::SCTP => Some("sctp dport"),
        protocol::ICMP => Some("icmp type"),
        protocol::ICMPV6 => Some("icmpv6 type"),
        _ => None,
    }
}

/// The ports of each protocol as nft writes them; types for ICMP.
fn numbers(set: &PortSet) -> BTreeMap<u8, Vec<String>> {
    let mut by_protocol: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for (protocol, first, last) in set.per_protocol() {
        let icmp = matches!(protocol, protocol::ICMP | protocol::ICMPV6);
        let (first, last) = if icmp { (first >> 8, last >> 8) } else { (first, last) };
        let shown = if first == last { first.to_string() } else { format!("{first}-{last}") };
        by_protocol.entry(protocol).or_default().push(shown);
    }
    by_protocol
}

/// One match for each protocol, with a space behind it; an empty one for every port of every protocol.
fn ports(id: PortSetId, set: &PortSet, version: u8) -> Vec<String> {
    if set.is_any() {
        return vec![String::new()];
    }
    let foreign = if version == 4 { protocol::ICMPV6 } else { protocol::ICMP };
    let possible = numbers(set).into_iter().filter(|(protocol, _)| *protocol != foreign);
    let shown = |(protocol, numbers): (u8, Vec<String>)| match (port_field(protocol), numbers.as_slice()) {
        (None, _) => format!("meta l4proto {protocol} "),
        (Some(field), [one]) if one == "0-65535" => {
            format!("meta l4proto {} ", field.split(' ').next().unwrap_or(field))
        }
        (Some(field), [one]) => format!("{field} {one} "),
        (Some(field), _) => format!("{field} @p{}_{protocol} ", number(id)),
    };
    possible.map(shown).collect()
}
