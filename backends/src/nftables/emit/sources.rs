//! Who sends: pods of the inventory and ranges of addresses, grouped by the blocks that speak about them.
//!
//! In: a program and an inventory. Out: [`Sources`]. A pod is a member by its identity; an address that is no known
//! pod's is judged as a workload that is known by its address.

use super::intern::Interner;
use super::plan::{Valued, joined, swept};
use crate::names::{Client, Who};
use egress_ir::address::from_bits;
use egress_ir::classes::segments::Keys;
use egress_ir::{AddressSet, BlockId, Inventory, Pod, Program, Workload};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// Sources by class.
#[derive(Debug)]
pub(super) struct Sources {
    /// The classes.
    pub(super) classes: Classes,
    /// The class of each pod's address.
    pub(super) pods: BTreeMap<IpAddr, usize>,
    /// The classes of IPv4 addresses; the segments cover the whole line.
    pub(super) v4: Vec<Valued>,
    /// The classes of IPv6 addresses.
    pub(super) v6: Vec<Valued>,
    /// Two pods of different classes with one address: neither can be told from the other.
    pub(super) ambiguous: Vec<(IpAddr, String, String)>,
}

/// Classes of sources: sorted lists of the blocks that speak about them.
#[derive(Debug, Default)]
pub(super) struct Classes(Interner<Vec<BlockId>>);

impl Classes {
    /// The lists, in the order of the classes.
    pub(super) fn lists(&self) -> impl Iterator<Item = &[BlockId]> {
        self.0.values().iter().map(Vec::as_slice)
    }
}

impl Sources {
    /// Groups everybody who can send.
    pub(super) fn new(program: &Program, inventory: Option<&Inventory>) -> Self {
        let mut classes = Classes::default();
        let (v4, v6) = address_classes(program, &mut classes);
        let mut sources = Self { classes, pods: BTreeMap::new(), v4, v6, ambiguous: Vec::new() };
        sources.add_pods(program, inventory);
        sources
    }

    /// Who sends, for those who say what names may be learned.
    pub(super) fn clients(&self, inventory: Option<&Inventory>) -> Vec<Client<'_>> {
        let lists: Vec<&[BlockId]> = self.classes.lists().collect();
        let blocks = |class: usize| lists.get(class).copied().unwrap_or_default();
        let pods = inventory.map_or(&[][..], |inventory| &inventory.pods);
        let placed = pods.iter().filter(|pod| !pod.host_network);
        let pods = placed.filter_map(|pod| {
            let class = pod.addresses.first().and_then(|address| self.pods.get(address))?;
            Some(Client { who: Who::Workload(pod.addresses.clone()), blocks: blocks(*class) })
        });
        let mut ranges: BTreeMap<u32, Vec<(IpAddr, IpAddr)>> = BTreeMap::new();
        for (segments, v6) in [(&self.v4, false), (&self.v6, true)] {
            for segment in segments {
                let range = (from_bits(v6, segment.start), from_bits(v6, segment.end));
                ranges.entry(segment.value).or_default().push(range);
            }
        }
        let addresses = ranges.into_iter().map(|(class, ranges)| Client {
            who: Who::Addresses(AddressSet::from_ranges(ranges)),
            blocks: blocks(usize::try_from(class).unwrap_or(usize::MAX)),
        });
        pods.chain(addresses).collect()
    }

    /// The class of an address as a workload that is known by it alone.
    pub(super) fn class_of(&self, address: IpAddr) -> Option<usize> {
        let (segments, bits) = match address {
            IpAddr::V4(v4) => (&self.v4, u128::from(v4.to_bits())),
            IpAddr::V6(v6) => (&self.v6, v6.to_bits()),
        };
        let after = segments.partition_point(|segment| segment.start <= bits);
        let segment = after.checked_sub(1).and_then(|index| segments.get(index));
        segment.filter(|segment| bits <= segment.end).and_then(|segment| usize::try_from(segment.value).ok())
    }

    fn add_pods(&mut self, program: &Program, inventory: Option<&Inventory>) {
        let mut by_identity: HashMap<Pod, usize> = HashMap::new();
        let mut named: BTreeMap<IpAddr, String> = BTreeMap::new();
        let pods = inventory.map_or(&[][..], |inventory| &inventory.pods);
        for pod in pods.iter().filter(|pod| !pod.host_network) {
            // The replicas of one workload differ in name only, which is never part of the meaning.
            let identity = Pod { name: None, ..pod.identity.clone() };
            let class = match by_identity.get(&identity) {
                Some(&class) => class,
                None => {
                    let class = self.classes.0.number(blocks_of(program, &identity));
                    by_identity.insert(identity, class);
                    class
                }
            };
            let shown = Workload::Pod(pod.identity.clone()).to_string();
            for &address in &pod.addresses {
                match self.pods.insert(address, class) {
                    Some(other) if other != class => {
                        let other = named.get(&address).cloned().unwrap_or_default();
                        self.ambiguous.push((address, other, shown.clone()));
                    }
                    _ => {}
                }
                named.insert(address, shown.clone());
            }
        }
    }
}

/// The blocks whose workloads include a pod of this identity.
fn blocks_of(program: &Program, identity: &Pod) -> Vec<BlockId> {
    let workload = Workload::Pod(identity.clone());
    let member: Vec<bool> = program.workload_sets.values().map(|set| set.contains(&workload)).collect();
    let speaks = |id: &BlockId| {
        let set = program.blocks.at(*id).workloads;
        member.get(egress_ir::Id::index(set)).copied().unwrap_or(false)
    };
    program.blocks.ids().filter(speaks).collect()
}

/// The classes of address workloads along both lines.
fn address_classes(program: &Program, classes: &mut Classes) -> (Vec<Valued>, Vec<Valued>) {
    let sets: Vec<AddressSet> = program.blocks.values().map(|block| program.workloads_of(block).addresses()).collect();
    let blocks: Vec<BlockId> = program.blocks.ids().collect();
    let mut keys = Keys::default();
    let v4 = swept(&sets.iter().map(|set| &set.v4).collect::<Vec<_>>(), &mut keys, u128::from);
    let v6 = swept(&sets.iter().map(|set| &set.v6).collect::<Vec<_>>(), &mut keys, |address| address);
    let class_of_key: Vec<usize> = keys
        .lists()
        .map(|(_, list)| {
            let named = list.iter().filter_map(|&index| blocks.get(usize::try_from(index).ok()?));
            classes.0.number(named.copied().collect())
        })
        .collect();
    let classed = |segments: Vec<Valued>| {
        let class = |key: u32| class_of_key.get(usize::try_from(key).ok()?).copied();
        joined(segments.into_iter().map(|segment| {
            let value = class(segment.value).and_then(|class| u32::try_from(class).ok());
            Valued { value: value.unwrap_or(u32::MAX), ..segment }
        }))
    };
    (classed(v4), classed(v6))
}
