//! Random inventories: pods that the selectors of a program hit and just miss, with addresses inside the cluster.

use super::pods::{pod_for, random_pod};
use crate::seed::Rng;
use crate::vocabulary::NODE_ZONES;
use egress_ir::{AddressSet, Inventory, Labels, Node, Pod, Prefix, Program, RunningPod, Service};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An inventory of 6 to 30 pods for the program's cluster, or for a usual one where the program declares none.
///
/// No two pods share an address or a name; labels of a namespace are those of all its pods. Pods on the host's network
/// and pending ones have no address.
#[must_use]
pub fn random_inventory(rng: &mut Rng, program: &Program) -> Inventory {
    let mut inventory = Inventory { nodes: nodes(rng, program), ..Inventory::default() };
    let mut addresses = Addresses::new(program);
    for number in 0..rng.between(6, 30) {
        let pod = pod(rng, program, number, &mut inventory.namespaces);
        let running = run(rng, pod, &inventory.nodes, &mut addresses);
        inventory.pods.push(running);
    }
    inventory
        .pods
        .sort_by(|a, b| (&a.identity.namespace, &a.identity.name).cmp(&(&b.identity.namespace, &b.identity.name)));
    inventory.services = services(rng, program, &inventory.pods);
    inventory
}

fn pod(rng: &mut Rng, program: &Program, number: u64, namespaces: &mut BTreeMap<String, Labels>) -> Pod {
    let sets: Vec<_> = program.blocks.values().map(|block| program.workloads_of(block)).collect();
    let mut pod = match rng.choose(&sets).copied() {
        Some(set) if rng.chance(80) => pod_for(rng, set, 25),
        _ => random_pod(rng),
    };
    let labels = namespaces.entry(pod.namespace.clone()).or_insert_with(|| pod.namespace_labels.clone());
    pod.namespace_labels.clone_from(labels);
    let app = pod.labels.get("app").map_or("pod", String::as_str);
    pod.name = Some(format!("{app}-{:08x}-{number:03}", rng.bits() >> 32));
    pod
}

fn run(rng: &mut Rng, identity: Pod, nodes: &[Node], pool: &mut Addresses) -> RunningPod {
    let node = rng.choose(nodes).map(|node| node.name.clone());
    let (host_network, v4, v6) = match rng.between(0, 99) {
        0..8 => (true, false, false),
        8..16 => (false, false, false),
        16..55 => (false, true, false),
        55..62 => (false, false, true),
        _ => (false, true, true),
    };
    let mut addresses = Vec::new();
    addresses.extend(v4.then(|| pool.v4(rng)).flatten());
    addresses.extend(v6.then(|| pool.v6(rng)).flatten());
    let node = node.filter(|_| host_network || !addresses.is_empty());
    RunningPod { identity, addresses, node, host_network }
}

/// The pods' ranges, and what of them is taken.
struct Addresses {
    pods: AddressSet,
    taken: BTreeSet<IpAddr>,
}

impl Addresses {
    fn new(program: &Program) -> Self {
        let pods = &program.cluster.pods;
        let usual = [
            Prefix::containing(Ipv4Addr::new(10, 42, 0, 0).into(), 16),
            Prefix::containing(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0).into(), 56),
        ];
        let pods = if pods.is_empty() { AddressSet::from_prefixes(usual) } else { pods.clone() };
        Self { pods, taken: BTreeSet::new() }
    }

    fn v4(&mut self, rng: &mut Rng) -> Option<IpAddr> {
        let &(first, last) = rng.choose(self.pods.v4.ranges())?;
        self.free(rng, first.into(), last.into(), |bits| {
            u32::try_from(bits).ok().map(|b| Ipv4Addr::from_bits(b).into())
        })
    }

    fn v6(&mut self, rng: &mut Rng) -> Option<IpAddr> {
        let &(first, last) = rng.choose(self.pods.v6.ranges())?;
        self.free(rng, first, last, |bits| Some(Ipv6Addr::from_bits(bits).into()))
    }

    /// A free address of the range, its ends first.
    fn free(&mut self, rng: &mut Rng, first: u128, last: u128, to: impl Fn(u128) -> Option<IpAddr>) -> Option<IpAddr> {
        let start = [first, last].into_iter().find(|_| rng.chance(20)).unwrap_or_else(|| rng.between_wide(first, last));
        let places = (start..=last).chain(first..start);
        let address = places.filter_map(to).find(|address| !self.taken.contains(address))?;
        self.taken.insert(address);
        Some(address)
    }
}

fn nodes(rng: &mut Rng, program: &Program) -> Vec<Node> {
    let count = u8::try_from(rng.between(2, 4)).unwrap_or(2);
    let inside = &program.cluster.nodes;
    let node = |number: u8, zone: Option<&str>| {
        let v4 = Ipv4Addr::new(192, 168, 10, 10 + number);
        let v6 = Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, 10 + u16::from(number));
        let mut labels = Labels::from([("kubernetes.io/hostname".to_owned(), format!("node-{number}"))]);
        labels.extend(zone.map(|zone| (NODE_ZONES.0.to_owned(), zone.to_owned())));
        let mut addresses = vec![IpAddr::from(v4)];
        addresses.extend(Some(IpAddr::from(v6)).filter(|v6| inside.is_empty() || inside.contains(*v6)));
        Node { name: format!("node-{number}"), labels, addresses }
    };
    let zones: Vec<Option<&str>> = (0..count).map(|_| rng.choose(&NODE_ZONES.1).copied()).collect();
    (1..=count).zip(zones).map(|(number, zone)| node(number, zone)).collect()
}

fn services(rng: &mut Rng, program: &Program, pods: &[RunningPod]) -> Vec<Service> {
    let first = program.cluster.services.first().and_then(|address| match address {
        IpAddr::V4(v4) => Some(v4.to_bits()),
        IpAddr::V6(_) => None,
    });
    let base = first.unwrap_or(Ipv4Addr::new(10, 43, 0, 0).to_bits());
    let mut services: Vec<Service> = (1..=3u32)
        .filter_map(|number| {
            let pod = &rng.choose(pods)?.identity;
            let addresses = if rng.chance(75) { vec![Ipv4Addr::from_bits(base + number).into()] } else { Vec::new() };
            let (namespace, selector) = (pod.namespace.clone(), pod.labels.clone());
            Some(Service { namespace, name: format!("service-{number}"), addresses, selector })
        })
        .collect();
    services.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    services
}
