//! Random flows as probes: which pods hold the addresses that random programs and inventories speak of.
//!
//! In: flows. Out: a topology of two pods, the probe of a flow, and why it cannot be sent there. Never: what the rules
//! say of it.

use std::net::IpAddr;

use egress_ir::{AddressSet, Flow, Inventory, Port, Prefix, Workload, protocol};

use super::obstacle::obstacle;
use super::{NODE_V4, NODE_V6, Probe, ProbeKind, Range, Topology};

/// Swallows probes, which bear this mark, in a pod as the outside does: after they were seen. Answers would be traffic of
/// their own, and errors quote the probes.
pub const SILENT: &str = "table inet silent {\n chain pre { type filter hook prerouting priority raw; policy accept;\n\
                          ip dscp 11 drop\n ip6 dscp 11 drop\n }\n}\n";

/// What the first pod holds of the cluster's ranges, in whichever of its sizes a program gives them; the second pod
/// holds the rest, so that pods can send to each other.
const FIRST: [&str; 6] =
    ["10.42.0.0/24", "10.42.128.0/17", "100.64.0.0/11", "fd00:42::/113", "fd00:42:0:80::/57", "fd00:42:0:8000::/49"];
const CLUSTER: [&str; 3] = ["10.42.0.0/16", "100.64.0.0/10", "fd00:42::/48"];
/// Of those who send and are no pods.
const OTHERS: [&str; 2] = ["10.8.0.0/15", "fd00:8::/31"];

/// Which addresses the two pods of a lab hold: together all that random inventories and policies give to sources.
#[derive(Debug)]
pub struct Homes([AddressSet; 2]);

impl Default for Homes {
    fn default() -> Self {
        let first = set(&FIRST);
        let second = set(&CLUSTER).difference(&first);
        Self([first.union(&set(&OTHERS)), second])
    }
}

impl Homes {
    /// The lab of both pods.
    #[must_use]
    pub fn topology(&self) -> Topology {
        let range = |prefix: Prefix| Range { network: prefix.address(), length: prefix.length() };
        Topology { pods: self.0.iter().map(|set| set.prefixes().into_iter().map(range).collect()).collect() }
    }

    /// The pod that holds an address.
    #[must_use]
    pub fn holder(&self, address: IpAddr) -> Option<usize> {
        self.0.iter().position(|set| set.contains(address))
    }

    /// Why this lab cannot send or deliver a probe, whatever the rules.
    #[must_use]
    pub fn obstacle(&self, probe: &Probe) -> Option<&'static str> {
        match self.holder(probe.from) {
            None if probe.from != NODE_V4 && probe.from != NODE_V6 => Some("source outside the lab"),
            Some(home) if self.holder(probe.to) == Some(home) => Some("to the sender itself"),
            _ => obstacle(probe),
        }
    }
}

/// The probe of a flow. Who sends is an address or a pod of the inventory; nothing where that has no address of the
/// destination's family.
#[must_use]
pub fn probe_of(flow: &Flow, inventory: Option<&Inventory>) -> Option<Probe> {
    let to = flow.destination.address;
    let from = match &flow.workload {
        Workload::Address(address) => *address,
        Workload::Pod(identity) => {
            let pod = inventory?.pods.iter().find(|pod| pod.identity == *identity)?;
            *pod.addresses.iter().find(|address| address.is_ipv4() == to.is_ipv4())?
        }
    };
    Some(Probe { from, to, kind: kind_of(flow.port) })
}

/// The name of a port's protocol, for counting what was tried.
#[must_use]
pub fn protocol_name(port: Port) -> &'static str {
    match port.protocol() {
        protocol::TCP => "tcp",
        protocol::UDP => "udp",
        protocol::SCTP => "sctp",
        protocol::ICMP => "icmp",
        protocol::ICMPV6 => "icmpv6",
        _ => "other protocol",
    }
}

fn kind_of(port: Port) -> ProbeKind {
    let [high, low] = port.number().to_be_bytes();
    match port.protocol() {
        protocol::TCP => ProbeKind::Tcp(port.number()),
        protocol::UDP => ProbeKind::Udp(port.number()),
        protocol::SCTP => ProbeKind::Sctp(port.number()),
        protocol::ICMP | protocol::ICMPV6 => ProbeKind::Icmp(high, low),
        other => ProbeKind::Other(other),
    }
}

/// The addresses of prefixes; what is no prefix counts for nothing.
fn set(texts: &[&str]) -> AddressSet {
    let prefix = |text: &&str| {
        let (address, length) = text.split_once('/')?;
        Some(Prefix::containing(address.parse().ok()?, length.parse().ok()?))
    };
    AddressSet::from_prefixes(texts.iter().filter_map(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_has_one_home_at_most_and_probes_know_it() {
        let homes = Homes::default();
        for text in FIRST.iter().chain(&CLUSTER).chain(&OTHERS) {
            let (address, _) = text.split_once('/').unwrap();
            let address = address.parse().unwrap();
            assert_eq!(homes.0.iter().filter(|set| set.contains(address)).count(), 1, "{text}");
        }
        let probe = |from: &str, to: &str| Probe {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            kind: ProbeKind::Tcp(443),
        };
        let obstacle = |from, to| homes.obstacle(&probe(from, to));
        assert_eq!(obstacle("10.42.0.1", "10.42.1.1"), None);
        assert_eq!(obstacle("10.42.0.1", "10.42.0.2"), Some("to the sender itself"));
        assert_eq!(obstacle("203.0.113.1", "10.42.0.2"), Some("source outside the lab"));
        assert_eq!(obstacle("192.0.2.1", "10.42.0.2"), None);
        assert_eq!(obstacle("10.42.0.1", "127.0.0.1"), Some("loopback"));
    }
}
