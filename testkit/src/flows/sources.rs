//! Workloads that are members of a set, and workloads that just miss it.

use super::Sources;
use super::destinations;
use crate::programs::pods::{pod_for, random_pod};
use crate::seed::Rng;
use egress_ir::{AddressSet, Destination, Family, Flow, Inventory, Port, Program, RunningPod, Workload, WorkloadSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A workload that can send in this family, near the set if there is one.
pub(super) fn workload(
    rng: &mut Rng,
    program: &Program,
    set: Option<&WorkloadSet>,
    sources: Sources<'_>,
    family: Family,
) -> Option<Workload> {
    let addresses = set.map(WorkloadSet::addresses).unwrap_or_else(AddressSet::full);
    // A set of everybody has every address, but pods are what matters there.
    let percent = if addresses.is_empty() || addresses == AddressSet::full() { 10 } else { 60 };
    match sources {
        Sources::Pods => Some(possible_pod(rng, set)),
        Sources::Addresses => address(rng, program, &addresses, family),
        Sources::Anyone if rng.chance(percent) => address(rng, program, &addresses, family),
        Sources::Anyone => Some(possible_pod(rng, set)),
        Sources::Inventory(inventory) => {
            let by_address = rng.chance(percent);
            let pod = if by_address { None } else { running_pod(rng, inventory, set, family) };
            pod.or_else(|| address(rng, program, &addresses, family).filter(|found| !is_pods(inventory, found)))
        }
    }
}

fn possible_pod(rng: &mut Rng, set: Option<&WorkloadSet>) -> Workload {
    Workload::Pod(match set {
        Some(set) => pod_for(rng, set, 12),
        None => random_pod(rng),
    })
}

/// A pod with an address of the family: mostly one of the set, sometimes any.
fn running_pod(rng: &mut Rng, inventory: &Inventory, set: Option<&WorkloadSet>, family: Family) -> Option<Workload> {
    let able = |pod: &&RunningPod| !pod.host_network && pod.addresses.iter().any(|a| Family::of(*a) == family);
    let able: Vec<Workload> = inventory.pods.iter().filter(able).map(|p| Workload::Pod(p.identity.clone())).collect();
    let members: Vec<&Workload> = able.iter().filter(|pod| set.is_none_or(|set| set.contains(pod))).collect();
    let member = rng.choose(&members).copied().filter(|_| rng.chance(88));
    member.or_else(|| rng.choose(&able)).cloned()
}

/// Whether the workload is an address that some pod of the inventory has.
fn is_pods(inventory: &Inventory, workload: &Workload) -> bool {
    match workload {
        Workload::Pod(_) => false,
        Workload::Address(address) => {
            inventory.pods.iter().any(|pod| !pod.host_network && pod.addresses.contains(address))
        }
    }
}

/// An address of the family in or just outside the set, or any; nothing when a pod's was drawn.
fn address(rng: &mut Rng, program: &Program, set: &AddressSet, family: Family) -> Option<Workload> {
    let of_family = match family {
        Family::V4 => AddressSet { v4: set.v4.clone(), ..AddressSet::empty() },
        Family::V6 => AddressSet { v6: set.v6.clone(), ..AddressSet::empty() },
    };
    let known = if rng.chance(70) { destinations::near(rng, &of_family) } else { None };
    let address = known.unwrap_or_else(|| match family {
        Family::V4 => Ipv4Addr::new(10, 9, u8::try_from(rng.below(3)).unwrap_or(0), 15).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, u16::from(rng.chance(50))).into(),
    });
    (!program.cluster.pods.contains(address)).then_some(Workload::Address(address))
}

/// A flow that exists for these sources whatever the program; an inventory without pods falls back to an address.
pub(super) fn any_flow(sources: Sources<'_>) -> Flow {
    let workload = match sources {
        Sources::Pods | Sources::Anyone => Workload::Pod(egress_ir::Pod::default()),
        Sources::Addresses | Sources::Inventory(_) => Workload::Address(IpAddr::from([198, 18, 0, 1])),
    };
    Flow { workload, destination: Destination::unnamed(IpAddr::from([203, 0, 113, 7])), port: Port::tcp(443) }
}
