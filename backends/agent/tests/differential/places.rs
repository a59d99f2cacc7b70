//! Where something begins or ends: addresses and ports at which a translation could be off by one.
//!
//! In: a case. Out: [`Places`]: first and last addresses of every run of destinations and of senders with one beyond of
//! each, and the same of ports; each in both families.

use crate::case::Case;
use egress_ir::address::{from_bits, last_bits, to_bits};
use egress_ir::{AddressSet, PortSet, WorkloadSet, protocol};
use egress_testkit::seed::Rng;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Boundaries of one case, sorted.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) destinations: [Vec<IpAddr>; 2],
    pub(crate) sources: [Vec<IpAddr>; 2],
    /// Protocol and number.
    pub(crate) ports: Vec<(u8, u16)>,
}

impl Places {
    pub(crate) fn of(case: &Case) -> Self {
        let program = &case.program;
        let mut destinations = ends();
        let sets = program.destination_sets.values().map(|set| &set.addresses);
        sets.chain([&program.cluster.inside]).for_each(|set| add(&mut destinations, set));
        let mut sources = ends();
        program.workload_sets.values().for_each(|set| add_of_workloads(&mut sources, set));
        add(&mut sources, &program.cluster.pods);
        let pods = case.inventory.iter().flat_map(|inventory| &inventory.pods).flat_map(|pod| &pod.addresses);
        pods.for_each(|address| add(&mut sources, &AddressSet::from_ranges([(*address, *address)])));
        Self { destinations: by_family(destinations), sources: by_family(sources), ports: ports(case) }
    }

    /// A destination, mostly at a boundary; of IPv6 sometimes one that holds an IPv4 boundary.
    pub(crate) fn destination(&self, rng: &mut Rng, v6: bool) -> IpAddr {
        if v6 && rng.chance(5) {
            let IpAddr::V4(inner) = self.destination(rng, false) else { panic!("no IPv4 address") };
            return inner.to_ipv6_mapped().into();
        }
        pick(rng, &self.destinations, v6)
    }

    pub(crate) fn source(&self, rng: &mut Rng, v6: bool) -> IpAddr {
        pick(rng, &self.sources, v6)
    }

    /// A port at a boundary, or of some other protocol.
    pub(crate) fn port(&self, rng: &mut Rng) -> (u8, u16) {
        match rng.choose(&self.ports) {
            Some(port) if rng.chance(85) => *port,
            _ => (rng.choose(&PROTOCOLS).copied().unwrap_or(6), rng.bits() as u16),
        }
    }
}

/// Every protocol with numbers, some without, and some that end a walk through extension headers.
pub(crate) const PROTOCOLS: [u8; 12] = [6, 17, 132, 1, 58, 47, 50, 51, 59, 2, 41, 255];

fn ends() -> BTreeSet<IpAddr> {
    [false, true].into_iter().flat_map(|v6| [from_bits(v6, 0), from_bits(v6, last_bits(v6))]).collect()
}

fn add(places: &mut BTreeSet<IpAddr>, set: &AddressSet) {
    for (first, last) in set.ranges() {
        let (v6, start, end) = (first.is_ipv6(), to_bits(first), to_bits(last));
        places.extend([first, last, from_bits(v6, start.saturating_sub(1))]);
        places.insert(from_bits(v6, end.saturating_add(1).min(last_bits(v6))));
    }
}

/// Each range that is named anywhere in a set, also where others hide it.
fn add_of_workloads(places: &mut BTreeSet<IpAddr>, set: &WorkloadSet) {
    match set {
        WorkloadSet::All | WorkloadSet::Pods(_) => {}
        WorkloadSet::Address(prefix) => add(places, &AddressSet::from_prefixes([*prefix])),
        WorkloadSet::Union(sets) => sets.iter().for_each(|set| add_of_workloads(places, set)),
        WorkloadSet::Except(set, out) => {
            add_of_workloads(places, set);
            add_of_workloads(places, out);
        }
    }
}

fn by_family(places: BTreeSet<IpAddr>) -> [Vec<IpAddr>; 2] {
    let (v4, v6) = places.into_iter().partition(IpAddr::is_ipv4);
    [v4, v6]
}

fn ports(case: &Case) -> Vec<(u8, u16)> {
    let mut ports: BTreeSet<(u8, u16)> = BTreeSet::new();
    // A set may span protocols; those in between are as good as the ones at its ends.
    let named = |set: &&PortSet| !set.is_any();
    for (of, first, last) in case.program.port_sets.values().filter(named).flat_map(PortSet::per_protocol) {
        ports.extend([first.saturating_sub(1), first, last, last.saturating_add(1)].map(|number| (of, number)));
    }
    let numbered = protocol::WITH_PORTS.into_iter().chain([protocol::ICMP, protocol::ICMPV6]);
    ports.extend(numbered.flat_map(|of| [(of, 0), (of, u16::MAX)]));
    ports.into_iter().collect()
}

fn pick(rng: &mut Rng, places: &[Vec<IpAddr>; 2], v6: bool) -> IpAddr {
    if rng.chance(10) {
        return from_bits(v6, rng.between_wide(0, last_bits(v6)));
    }
    let places = &places[usize::from(v6)];
    places[rng.below(places.len())]
}
