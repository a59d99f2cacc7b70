//! Who sends: combinations of workload sets, pods of the inventory and ranges of addresses, by row.
//!
//! In: a program and an inventory. Out: [`Sources`]. A row is a way of being spoken about: the blocks that have rules,
//! and whether a policy governs. A pod is a member by its identity. An address is its own workload, unless it is a
//! pod's, or lies in the pods' ranges: then it is an unknown pod's.

use super::check::TooLarge;
use super::intern::{Interner, place};
use super::outcomes::Governance;
use egress_ir::address::{last_bits, to_bits};
use egress_ir::classes::{Keys, SourceClass, possible_sources, sweep};
use egress_ir::{AddressSet, BlockId, BlockKind, Inventory, Pod, Program, RangeSet, Workload, WorkloadSetId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Stands for the row of those who are unknown, until it is known how many rows there are.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// What speaks about the sources of a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spoken {
    pub(super) governance: Governance,
    /// The blocks that have rules, sorted.
    pub(super) blocks: Vec<BlockId>,
}

/// A combination of sets, by their places in [`Sources::sets`], with its row.
#[derive(Clone, Debug)]
pub(super) struct Combination {
    pub(super) sets: Vec<u32>,
    pub(super) row: u32,
}

/// An address of a pod of the inventory.
#[derive(Clone, Debug)]
pub(super) struct Placed<'i> {
    pub(super) address: IpAddr,
    pub(super) pod: &'i Pod,
    pub(super) row: u32,
}

/// Sources by row.
#[derive(Debug, Default)]
pub(super) struct Sources<'i> {
    pub(super) rows: Interner<Spoken>,
    /// Workloads of each row: one that sends to IPv4 and one that sends to IPv6 destinations.
    pub(super) witnesses: BTreeMap<u32, [Option<Workload>; 2]>,
    /// The workload sets that blocks speak about.
    pub(super) sets: Vec<WorkloadSetId>,
    /// What a pod can be in, sorted.
    pub(super) combinations: Vec<Combination>,
    /// Sorted by address.
    pub(super) pods: Vec<Placed<'i>>,
    /// First addresses of runs with their rows, along both lines.
    pub(super) lines: [Vec<(u128, u32)>; 2],
    /// Two pods of different rows with one address: neither can be told from the other by it.
    pub(super) ambiguous: Vec<(IpAddr, String, String)>,
}

impl<'i> Sources<'i> {
    /// Groups everybody who can send.
    pub(super) fn new(program: &Program, inventory: Option<&'i Inventory>, limit: usize) -> Result<Self, TooLarge> {
        let ids: BTreeSet<WorkloadSetId> = program.blocks.values().map(|block| block.workloads).collect();
        let classes = possible_sources(program, &ids, limit).map_err(|error| TooLarge::Combinations(error.limit))?;
        let mut sources = Self { sets: ids.iter().copied().collect(), ..Self::default() };
        let mut known: HashMap<Vec<WorkloadSetId>, u32> = HashMap::new();
        for class in &classes {
            let row = sources.rows.number(spoken(program, &class.sets));
            known.insert(class.sets.clone(), row);
            sources.witness(class, row);
            if class.pod.is_some() {
                let sets = class.sets.iter().filter_map(|set| sources.sets.binary_search(set).ok()).map(place);
                sources.combinations.push(Combination { sets: sets.collect(), row });
            }
        }
        sources.combinations.sort_by(|one, other| one.sets.cmp(&other.sets));
        sources.add_pods(program, inventory, &known);
        sources.lines = [false, true].map(|v6| sources.line(program, &known, v6));
        Ok(sources)
    }

    fn witness(&mut self, class: &SourceClass, row: u32) {
        let known = self.witnesses.entry(row).or_default();
        for (known, v6) in known.iter_mut().zip([false, true]) {
            if known.is_none() {
                *known = class.witness(v6);
            }
        }
    }

    fn add_pods(
        &mut self,
        program: &Program,
        inventory: Option<&'i Inventory>,
        known: &HashMap<Vec<WorkloadSetId>, u32>,
    ) {
        let mut by_identity: HashMap<Pod, u32> = HashMap::new();
        let mut by_address: BTreeMap<IpAddr, Placed<'i>> = BTreeMap::new();
        let pods = inventory.map_or(&[][..], |inventory| &inventory.pods);
        for pod in pods.iter().filter(|pod| !pod.host_network) {
            // The replicas of one workload differ in name only, which is never part of the meaning.
            let identity = Pod { name: None, ..pod.identity.clone() };
            let row = *by_identity.entry(identity).or_insert_with_key(|identity| {
                let workload = Workload::Pod(identity.clone());
                let within = |id: &&WorkloadSetId| program.workload_sets.at(**id).contains(&workload);
                let sets: Vec<WorkloadSetId> = self.sets.iter().filter(within).copied().collect();
                // INVARIANT: every combination that a pod can be in is known.
                known.get(&sets).copied().unwrap_or(UNKNOWN)
            });
            for &address in &pod.addresses {
                let placed = Placed { address, pod: &pod.identity, row };
                match by_address.insert(address, placed) {
                    Some(other) if other.row != row => {
                        let shown = |pod: &Pod| Workload::Pod(pod.clone()).to_string();
                        self.ambiguous.push((address, shown(other.pod), shown(&pod.identity)));
                    }
                    _ => {}
                }
            }
        }
        self.pods = by_address.into_values().collect();
    }

    /// The rows along one line of addresses.
    fn line(&self, program: &Program, known: &HashMap<Vec<WorkloadSetId>, u32>, v6: bool) -> Vec<(u128, u32)> {
        let of = |set: &AddressSet| set.of_family(v6);
        let mut sets: Vec<RangeSet<u128>> =
            self.sets.iter().map(|id| of(&program.workload_sets.at(*id).addresses())).collect();
        let of_pods = place(sets.len());
        sets.push(of(&program.cluster.pods));
        let mut keys = Keys::default();
        let beyond = RangeSet::range(0, last_bits(v6)).complement();
        let segments = sweep(&sets.iter().collect::<Vec<_>>(), &beyond, &mut keys);
        let row_of_key: Vec<u32> = keys
            .lists()
            .map(|(_, list)| {
                let sets = list.iter().filter_map(|place| self.sets.get(*place as usize).copied()).collect();
                let row = known.get::<Vec<WorkloadSetId>>(&sets).copied();
                row.filter(|_| !list.contains(&of_pods)).unwrap_or(UNKNOWN)
            })
            .collect();
        let row = |key: egress_ir::classes::Key| row_of_key.get(key.index()).copied().unwrap_or(UNKNOWN);
        let runs: Vec<(u128, u32)> = segments.iter().map(|segment| (segment.start, row(segment.key))).collect();
        let points = self.pods.iter().filter(|pod| pod.address.is_ipv6() == v6);
        overlaid(&runs, points.map(|pod| (to_bits(pod.address), pod.row)), last_bits(v6))
    }
}

/// How the sources in exactly these sets are spoken about.
fn spoken(program: &Program, sets: &[WorkloadSetId]) -> Spoken {
    let mut spoken = Spoken { governance: Governance::default(), blocks: Vec::new() };
    for (id, block) in program.blocks.iter().filter(|(_, block)| sets.binary_search(&block.workloads).is_ok()) {
        let governs = block.kind == BlockKind::Policy;
        spoken.governance.at_all |= governs;
        spoken.governance.enforced |= governs && !block.audit;
        if !block.rules.is_empty() {
            spoken.blocks.push(id);
        }
    }
    spoken
}

/// Runs with single addresses put over them, both sorted; neighbours of one value joined.
fn overlaid(runs: &[(u128, u32)], points: impl Iterator<Item = (u128, u32)>, last: u128) -> Vec<(u128, u32)> {
    let mut points = points.peekable();
    let mut line: Vec<(u128, u32)> = Vec::with_capacity(runs.len());
    for (number, &(start, value)) in runs.iter().enumerate() {
        let end = runs.get(number + 1).map_or(last, |next| next.0 - 1);
        push(&mut line, start, value);
        while let Some((address, row)) = points.next_if(|(address, _)| *address <= end) {
            push(&mut line, address, row);
            if address < end {
                push(&mut line, address + 1, value);
            }
        }
    }
    line
}

/// Goes on with a value from here; what began here before never was.
fn push(line: &mut Vec<(u128, u32)>, start: u128, value: u32) {
    line.pop_if(|before| before.0 == start);
    if line.last().is_none_or(|before| before.1 != value) {
        line.push((start, value));
    }
}
