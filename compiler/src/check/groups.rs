//! Groups of workloads about which the same enforced blocks speak.
//!
//! In: a program. Out: each satisfiable combination of enforced blocks once, with the rules that apply and a member to
//! show. Workloads about which no block speaks are left out: no rule can match their flows.

use super::{GaveUp, Limits};
use egress_ir::classes::possible_sources_unless;
use egress_ir::{Block, BlockId, BlockKind, Id, Inventory, Program, RuleId, Workload, WorkloadSetId};
use std::collections::{BTreeMap, BTreeSet};

/// Workloads with one list of rules.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The blocks that speak about them, sorted.
    pub(super) blocks: Vec<BlockId>,
    /// Whether some policy speaks about them, so that what nothing allows is denied.
    pub(super) governed: bool,
    /// The rules that apply, sorted.
    pub(super) rules: Vec<RuleId>,
    /// Whether the members shown are pods that run.
    pub(super) runs: bool,
    /// A member that can send to IPv4, and one that can send to IPv6 destinations.
    pub(super) members: [Option<Workload>; 2],
}

/// All groups, in a fixed order: those of which a pod runs come first, so that findings show them.
pub(super) fn groups(program: &Program, inventory: Option<&Inventory>, limits: &Limits) -> Result<Vec<Group>, GaveUp> {
    let enforced = || program.blocks.iter().filter(|(_, block)| !block.audit);
    let sets: BTreeSet<_> = enforced().map(|(_, block)| block.workloads).collect();
    let mut blocks_of: BTreeMap<_, Vec<BlockId>> = BTreeMap::new();
    for (id, block) in enforced() {
        blocks_of.entry(block.workloads).or_default().push(id);
    }
    let mut groups: BTreeMap<Vec<BlockId>, Group> = BTreeMap::new();
    let go_on = || limits.stop.check().map_err(GaveUp::from);
    for class in possible_sources_unless(program, &sets, limits.source_classes, go_on)? {
        let mut blocks: Vec<BlockId> =
            class.sets.iter().filter_map(|set| blocks_of.get(set)).flatten().copied().collect();
        blocks.sort_unstable();
        if !blocks.is_empty() {
            let members = [class.witness(false), class.witness(true)];
            groups.entry(blocks.clone()).or_insert_with(|| group(program, blocks, members));
        }
    }
    show_running_pods(program, inventory, &mut groups);
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| !group.runs);
    Ok(groups)
}

fn group(program: &Program, blocks: Vec<BlockId>, members: [Option<Workload>; 2]) -> Group {
    let speaking: Vec<&Block> = blocks.iter().map(|&id| program.blocks.at(id)).collect();
    let governed = speaking.iter().any(|block| block.kind == BlockKind::Policy);
    let mut rules: Vec<RuleId> = speaking.iter().flat_map(|block| block.rules.iter().copied()).collect();
    rules.sort_unstable();
    Group { blocks, governed, rules, runs: false, members }
}

/// Shows a pod that runs in place of an invented one.
fn show_running_pods(program: &Program, inventory: Option<&Inventory>, groups: &mut BTreeMap<Vec<BlockId>, Group>) {
    let pods = inventory.into_iter().flat_map(|inventory| &inventory.pods).filter(|pod| !pod.host_network);
    // From the last to the first, so that the first pod by name stays.
    for pod in pods.rev() {
        let workload = Workload::Pod(pod.identity.clone());
        let inside: Vec<bool> = program.workload_sets.values().map(|set| set.contains(&workload)).collect();
        let contains = |set: WorkloadSetId| inside.get(set.index()).is_some_and(|inside| *inside);
        let speaking = program.blocks.iter().filter(|(_, block)| !block.audit && contains(block.workloads));
        if let Some(group) = groups.get_mut(&speaking.map(|(id, _)| id).collect::<Vec<_>>()) {
            group.runs = true;
            group.members = [Some(workload.clone()), Some(workload)];
        }
    }
}
