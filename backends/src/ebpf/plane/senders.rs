//! Senders: workloads that neither the snapshot nor the program can tell apart, each with its row.
//!
//! In: a snapshot, the program, the inventory. Out: senders with rows. Pods are told apart by the sets of both, and have
//! the row that the agent gives to their identity; addresses by the tree of sources and the program's sets of addresses.

use super::sets::{identity, pod, set};
use super::unclear;
use crate::ebpf::decode::Decoded;
use egress_ir::address::{from_bits, to_bits};
use egress_ir::classes::{Keys, possible_sources, sweep};
use egress_ir::{AddressSet, Inventory, Pod, Program, RangeSet, Sender, Unclear, Workload, WorkloadSet, WorkloadSetId};
use egress_snapshot::meta::Unknown;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

/// How many kinds of pods are told apart before nothing is said any more.
const CLASSES: usize = 1 << 15;

/// A sender with what the kernel decides by.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) sender: Sender,
    pub(super) row: u32,
    /// The source address by which its row is found, where that is not its identity.
    pub(super) by: Option<IpAddr>,
}

/// Everybody who sends.
pub(super) fn senders(
    decoded: &Decoded,
    program: &Program,
    inventory: Option<&Inventory>,
) -> Result<Vec<Placed>, Unclear> {
    let running = running(decoded, inventory);
    let mut placed = pods(decoded, program, &running)?;
    for v6 in [false, true] {
        placed.extend(addresses(decoded, program, &running, v6));
    }
    Ok(placed)
}

/// The row that the agent gives to a pod.
pub(super) fn row_of(decoded: &Decoded, pod: &Pod) -> u32 {
    decoded.meta.row_of(&identity(pod)).unwrap_or(decoded.tables.layout().default_row)
}

/// Pods with their addresses: those of the inventory, or those that the snapshot lists.
fn running(decoded: &Decoded, inventory: Option<&Inventory>) -> Vec<(Pod, Vec<IpAddr>)> {
    match inventory {
        Some(inventory) => {
            let running = inventory.pods.iter().filter(|pod| !pod.host_network);
            running.map(|pod| (pod.identity.clone(), pod.addresses.clone())).collect()
        }
        None => decoded.meta.pods.iter().map(|listed| (pod(&listed.identity), vec![listed.address])).collect(),
    }
}

fn pods(decoded: &Decoded, program: &Program, running: &[(Pod, Vec<IpAddr>)]) -> Result<Vec<Placed>, Unclear> {
    let mut sets = Sets::default();
    for block in program.blocks.values() {
        sets.intern(program.workloads_of(block).clone());
    }
    for known in &decoded.meta.sets {
        sets.intern(set(known)?);
    }
    let ids: BTreeSet<WorkloadSetId> = sets.scratch.workload_sets.ids().collect();
    let classes = possible_sources(&sets.scratch, &ids, CLASSES).map_err(|error| unclear(error.to_string()))?;
    let mut by_class = sets.by_class(running);
    let (mut senders, mut strays) = (Vec::new(), Vec::new());
    for class in classes {
        let Some(example) = class.pod else { continue };
        let row = row_of(decoded, &example);
        let members = by_class.remove(&class.sets).unwrap_or_default();
        for (pod, addresses) in &members {
            strays.extend(addresses.iter().filter_map(|address| stray(decoded, pod, *address, row)));
        }
        let pods = members.into_iter().map(|(pod, _)| pod.clone()).collect();
        let workload = Workload::Pod(example);
        let sender = Sender { workload, v4: true, v6: true, pods, addresses: AddressSet::empty() };
        senders.push(Placed { sender, row, by: None });
    }
    senders.extend(strays);
    Ok(senders)
}

/// A pod whose address leads to another row than its identity: where it is known by its address only, it is another
/// sender.
fn stray(decoded: &Decoded, pod: &Pod, address: IpAddr, row: u32) -> Option<Placed> {
    let by_address = decoded.tables.source(address);
    let workload = Workload::Pod(pod.clone());
    let (v4, v6) = (address.is_ipv4(), address.is_ipv6());
    let sender = Sender { workload, v4, v6, pods: vec![pod.clone()], addresses: AddressSet::empty() };
    (by_address != row).then_some(Placed { sender, row: by_address, by: Some(address) })
}

/// Addresses that are no pod's. One in the pods' ranges that nobody has is a sender only if the snapshot lets it through
/// or knows it: otherwise it belongs to a pod that nobody knows, all of whose flows are stopped.
fn addresses(decoded: &Decoded, program: &Program, running: &[(Pod, Vec<IpAddr>)], v6: bool) -> Vec<Placed> {
    let line: Vec<(u128, u128, u32)> = if v6 {
        decoded.tables.sources_v6()
    } else {
        decoded.tables.sources_v4().into_iter().map(|(first, last, row)| (first.into(), last.into(), row)).collect()
    };
    let mut of_row: BTreeMap<u32, Vec<(u128, u128)>> = BTreeMap::new();
    line.iter().for_each(|&(first, last, row)| of_row.entry(row).or_default().push((first, last)));
    let rows: Vec<u32> = of_row.keys().copied().collect();
    let mut sets: Vec<RangeSet<u128>> = of_row.into_values().map(RangeSet::from_ranges).collect();
    let ids: BTreeSet<WorkloadSetId> = program.blocks.values().map(|block| block.workloads).collect();
    sets.extend(ids.iter().map(|id| program.workload_sets.at(*id).addresses().of_family(v6)));
    let taken = nobody(decoded, program, running, &rows, &sets, v6);
    let mut keys = Keys::default();
    let segments = sweep(&sets.iter().collect::<Vec<_>>(), &taken, &mut keys);
    let mut groups: BTreeMap<&[u32], Vec<(IpAddr, IpAddr)>> = BTreeMap::new();
    for segment in segments {
        let ends = (from_bits(v6, segment.start), from_bits(v6, segment.end));
        groups.entry(keys.list(segment.key)).or_default().push(ends);
    }
    let placed = groups.into_iter().filter_map(|(list, ranges)| {
        let row = rows.get(*list.first()? as usize)?;
        let addresses = AddressSet::from_ranges(ranges);
        let example = addresses.difference(&unusual()).first().or_else(|| addresses.first())?;
        let sender = Sender { workload: Workload::Address(example), v4: !v6, v6, pods: Vec::new(), addresses };
        Some(Placed { sender, row: *row, by: None })
    });
    placed.collect()
}

/// Addresses that no workload of their own has: those of pods, and those of pods that nobody knows.
fn nobody(
    decoded: &Decoded,
    program: &Program,
    running: &[(Pod, Vec<IpAddr>)],
    rows: &[u32],
    sets: &[RangeSet<u128>],
    v6: bool,
) -> RangeSet<u128> {
    let beyond = RangeSet::range(0, egress_ir::address::last_bits(v6)).complement();
    let of_pods = running.iter().flat_map(|(_, addresses)| addresses).filter(|address| address.is_ipv6() == v6);
    let of_pods = RangeSet::from_ranges(of_pods.map(|address| (to_bits(*address), to_bits(*address))));
    let default = rows.iter().position(|row| *row == decoded.tables.layout().default_row);
    let unknown = match (decoded.meta.unknown, default.and_then(|place| sets.get(place))) {
        (Unknown::Deny, Some(unknown)) => unknown.intersection(&program.cluster.pods.of_family(v6)),
        _ => RangeSet::empty(),
    };
    beyond.union(&of_pods).union(&unknown)
}

/// Addresses that no ordinary host sends from, so that they are a poor example.
fn unusual() -> AddressSet {
    let v4 =
        |first: u8, last: u8| (Ipv4Addr::new(first, 0, 0, 0).to_bits(), Ipv4Addr::new(last, 255, 255, 255).to_bits());
    let v6 = [(0, u128::from(u64::MAX)), (0xfe80 << 112, u128::MAX)];
    AddressSet { v4: RangeSet::from_ranges([v4(0, 0), v4(127, 127), v4(224, 255)]), v6: RangeSet::from_ranges(v6) }
}

/// Distinct workload sets in a program of their own.
#[derive(Default)]
struct Sets {
    scratch: Program,
    known: HashMap<WorkloadSet, WorkloadSetId>,
}

/// Pods with their addresses.
type Running<'r> = Vec<(&'r Pod, &'r [IpAddr])>;

impl Sets {
    fn intern(&mut self, set: WorkloadSet) {
        let scratch = &mut self.scratch.workload_sets;
        self.known.entry(set).or_insert_with_key(|set| scratch.push(set.clone()));
    }

    /// Running pods by the sets that hold them.
    fn by_class<'r>(&self, running: &'r [(Pod, Vec<IpAddr>)]) -> HashMap<Vec<WorkloadSetId>, Running<'r>> {
        // The replicas of one workload differ in name only, which is never part of the meaning.
        let mut alike: HashMap<Pod, Vec<WorkloadSetId>> = HashMap::new();
        let mut by_class: HashMap<Vec<WorkloadSetId>, Running<'r>> = HashMap::new();
        for (pod, addresses) in running {
            let identity = Pod { name: None, ..pod.clone() };
            let members = alike.entry(identity).or_insert_with_key(|identity| {
                let workload = Workload::Pod(identity.clone());
                let holding = self.scratch.workload_sets.iter().filter(|(_, set)| set.contains(&workload));
                holding.map(|(id, _)| id).collect()
            });
            by_class.entry(members.clone()).or_default().push((pod, addresses));
        }
        by_class
    }
}
