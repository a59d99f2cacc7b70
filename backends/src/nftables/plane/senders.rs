//! Senders: addresses that neither the ruleset nor the program can tell apart, in one setting.
//!
//! In: what is left of a ruleset, the program, the inventory. Out: groups, which together hold every address of the
//! family. An address that is no pod's of the inventory is a workload that is known by its address, in the cluster's
//! own ranges too; a pod on its node's network sends as its node.

use super::residue::{Go, Hit, Residue, Step};
use egress_ir::address::{from_bits, last_bits, to_bits};
use egress_ir::classes::segments::{Key, Keys, Segment, sweep};
use egress_ir::{AddressSet, Id, Inventory, Pod, Program, RangeSet, Sender, Workload, WorkloadSetId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

/// The workload sets of a program's blocks, and the pods that run.
pub(super) struct Population<'p> {
    /// The sets of the program's blocks, with their addresses.
    sets: Vec<(WorkloadSetId, AddressSet)>,
    pods: Vec<Running<'p>>,
}

/// A pod with an address of its own.
struct Running<'p> {
    pod: &'p Pod,
    addresses: &'p [IpAddr],
    /// The sets that it is in, by their places.
    sets: Vec<u32>,
}

/// A sender with the addresses that it sends from.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) sender: Sender,
    /// The address of the workload, which stands for all.
    pub(super) address: IpAddr,
    /// The addresses of the pods, in their order.
    pub(super) pod_addresses: Vec<IpAddr>,
}

/// A pod and an address of it.
type Placed<'p> = (&'p Pod, IpAddr);

/// What tells groups apart: the sources' tests that hold, the sets of the program, and whether it is pods.
type Signature = (bool, Vec<u32>, Vec<u32>);

impl<'p> Population<'p> {
    pub(super) fn new(program: &Program, inventory: Option<&'p Inventory>) -> Self {
        let ids: BTreeSet<WorkloadSetId> = program.blocks.values().map(|block| block.workloads).collect();
        let mut known: HashMap<Pod, Vec<u32>> = HashMap::new();
        let running = inventory.iter().flat_map(|inventory| &inventory.pods).filter(|pod| !pod.host_network);
        let pods = running.map(|pod| {
            // The replicas of one workload differ in name only, which is never part of the meaning.
            let identity = Pod { name: None, ..pod.identity.clone() };
            let sets = known.entry(identity).or_insert_with_key(|identity| {
                let workload = Workload::Pod(identity.clone());
                let contains = |id: &&WorkloadSetId| program.workload_sets.at(**id).contains(&workload);
                ids.iter().filter(contains).map(|id| place(id.index())).collect()
            });
            Running { pod: &pod.identity, addresses: &pod.addresses, sets: sets.clone() }
        });
        let pods = pods.collect();
        let sets = ids.iter().map(|id| (*id, program.workload_sets.at(*id).addresses())).collect();
        Self { sets, pods }
    }

    /// Everybody who sends in one family. Without `with_pods`, addresses of pods are left out and so are pods.
    pub(super) fn groups(&self, residue: &Residue, v6: bool, with_pods: bool) -> Vec<Group> {
        let line = Line::new(self, residue, v6);
        let mut groups: BTreeMap<Signature, Vec<(u128, u128)>> = BTreeMap::new();
        for segment in line.segments.iter().filter(|segment| !line.is_of_pods(segment.key)) {
            let (tests, sets) = line.signature(segment.key);
            groups.entry((false, tests, sets)).or_default().push((segment.start, segment.end));
        }
        let mut all: Vec<Group> = groups.into_values().filter_map(|ranges| Group::of_addresses(&ranges, v6)).collect();
        if with_pods {
            all.extend(self.pods_by(&line, v6));
        }
        all
    }

    fn pods_by(&self, line: &Line, v6: bool) -> Vec<Group> {
        let mut groups: BTreeMap<(Vec<u32>, &[u32]), Vec<Placed<'_>>> = BTreeMap::new();
        for running in &self.pods {
            for &address in running.addresses.iter().filter(|address| address.is_ipv6() == v6) {
                let tests = line.key_of(to_bits(address)).map(|key| line.signature(key).0).unwrap_or_default();
                groups.entry((tests, &running.sets)).or_default().push((running.pod, address));
            }
        }
        groups.into_values().filter_map(|pods| Group::of_pods(&pods, v6)).collect()
    }
}

impl Group {
    fn of_addresses(ranges: &[(u128, u128)], v6: bool) -> Option<Self> {
        let addresses =
            AddressSet::from_ranges(ranges.iter().map(|&(start, end)| (from_bits(v6, start), from_bits(v6, end))));
        let address = addresses.difference(&unusual()).first().or_else(|| addresses.first())?;
        let workload = Workload::Address(address);
        let sender = Sender { workload, v4: !v6, v6, pods: Vec::new(), addresses };
        Some(Self { sender, address, pod_addresses: Vec::new() })
    }

    fn of_pods(pods: &[Placed<'_>], v6: bool) -> Option<Self> {
        let &(first, address) = pods.first()?;
        let sender = Sender {
            workload: Workload::Pod(first.clone()),
            v4: !v6,
            v6,
            pods: pods.iter().map(|(pod, _)| (*pod).clone()).collect(),
            addresses: AddressSet::empty(),
        };
        Some(Self { sender, address, pod_addresses: pods.iter().map(|(_, address)| *address).collect() })
    }

    /// The address from which a workload of the group sends.
    pub(super) fn address_of(&self, workload: &Workload) -> Option<IpAddr> {
        if *workload == self.sender.workload {
            return Some(self.address);
        }
        match workload {
            Workload::Address(address) => self.sender.addresses.contains(*address).then_some(*address),
            Workload::Pod(pod) => {
                let number = self.sender.pods.iter().position(|other| other == pod)?;
                self.pod_addresses.get(number).copied()
            }
        }
    }
}

/// The line of source addresses, cut by everything that asks for them.
struct Line {
    segments: Vec<Segment<u128>>,
    keys: Keys,
    /// How many tests of the ruleset there are; they come first in the lists of the keys.
    tests: u32,
    /// The member of the lists that stands for addresses of pods.
    pods: u32,
}

impl Line {
    fn new(population: &Population<'_>, residue: &Residue, v6: bool) -> Self {
        let mut sets = tests(residue);
        let tests = place(sets.len());
        sets.extend(population.sets.iter().map(|(_, addresses)| addresses.of_family(v6)));
        let pods = population.pods.iter().flat_map(|running| running.addresses);
        let pods = pods.filter(|address| address.is_ipv6() == v6).map(|address| (to_bits(*address), to_bits(*address)));
        let number = place(sets.len());
        sets.push(RangeSet::from_ranges(pods));
        let mut keys = Keys::default();
        let beyond = RangeSet::range(0, last_bits(v6)).complement();
        let segments = sweep(&sets.iter().collect::<Vec<_>>(), &beyond, &mut keys);
        Self { segments, keys, tests, pods: number }
    }

    fn is_of_pods(&self, key: Key) -> bool {
        self.keys.list(key).last() == Some(&self.pods)
    }

    fn signature(&self, key: Key) -> (Vec<u32>, Vec<u32>) {
        let list = self.keys.list(key).iter().copied().filter(|member| *member != self.pods);
        list.partition(|member| *member < self.tests)
    }

    fn key_of(&self, address: u128) -> Option<Key> {
        let at = self.segments.partition_point(|segment| segment.end < address);
        self.segments.get(at).filter(|segment| segment.start <= address).map(|segment| segment.key)
    }
}

/// The sets of addresses that the ruleset can tell apart; the elements of a map with one verdict are one set.
fn tests(residue: &Residue) -> Vec<RangeSet<u128>> {
    let mut sets = BTreeSet::new();
    for step in residue.steps() {
        match step {
            Step::Source(set) => {
                sets.insert(set.clone());
            }
            Step::BySource(hits) => sets.extend(by_verdict(hits)),
            _ => {}
        }
    }
    sets.into_iter().collect()
}

fn by_verdict(hits: &[Hit]) -> Vec<RangeSet<u128>> {
    let mut ranges: BTreeMap<Go, Vec<(u128, u128)>> = BTreeMap::new();
    for hit in hits {
        ranges.entry(hit.go).or_default().push((hit.start, hit.end));
    }
    ranges.into_values().map(RangeSet::from_ranges).collect()
}

/// Addresses that no ordinary host sends from, so that they are a poor example.
fn unusual() -> AddressSet {
    let v4 = |text: [u8; 4], last: [u8; 4]| (Ipv4Addr::from(text).to_bits(), Ipv4Addr::from(last).to_bits());
    let v4 = [v4([0; 4], [0, 255, 255, 255]), v4([127, 0, 0, 0], [127, 255, 255, 255]), v4([224, 0, 0, 0], [255; 4])];
    let v6 = [(0, u128::from(u32::MAX) << 32 | u128::from(u32::MAX)), (0xfe80 << 112, u128::MAX)];
    AddressSet { v4: RangeSet::from_ranges(v4), v6: RangeSet::from_ranges(v6) }
}

fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
