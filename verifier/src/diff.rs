//! Two programs, held against each other: what a change of policy opens, closes and sends another way.
//!
//! In: the program before and after, an inventory if there is one. Out: every flow that is decided differently, as
//! blocks, with the rules that decide one of them before and after.

use crate::compare::{Block, Comparison, Fault, compare};
use crate::program::{ProgramPlane, possible_senders};
use crate::prover::Prover;
use egress_ir::{
    Arena, Gateway, GatewayId, Inventory, Outcome, Program, RuleId, Sender, Speaking, WorkloadSet, WorkloadSetId,
};
use std::collections::{BTreeMap, BTreeSet};

/// What a change does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// Everybody who sends, as both programs tell them apart; blocks name them by their places.
    pub senders: Vec<Sender>,
    /// The flows that are decided differently; left is before, right is after.
    pub comparison: Comparison,
    /// For each gateway that an outcome names: what it is called, and its addresses.
    pub gateways: BTreeMap<GatewayId, Gateway>,
}

/// The direction of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Flows leave that did not.
    Opened,
    /// Flows do not leave that did.
    Closed,
    /// Flows leave by another way.
    Rerouted,
}

impl Direction {
    /// Of a block: from left to right.
    #[must_use]
    pub fn of(block: &Block) -> Self {
        match (block.left, block.right) {
            (Outcome::Passes(_), Outcome::Passes(_)) => Self::Rerouted,
            (_, Outcome::Passes(_)) => Self::Opened,
            _ => Self::Closed,
        }
    }
}

/// Holds two programs against each other, over all possible workloads.
///
/// # Errors
/// [`Fault`], as for [`compare`]; too many kinds of workloads are unclear.
pub fn diff(
    before: &Program,
    after: &Program,
    inventory: Option<&Inventory>,
    prover: &mut Prover,
) -> Result<Diff, Fault> {
    let mut sets: Arena<WorkloadSetId, WorkloadSet> = Arena::default();
    let mut known: BTreeMap<&WorkloadSet, WorkloadSetId> = BTreeMap::new();
    for program in [before, after] {
        for block in program.blocks.values().filter(|block| !block.audit) {
            let set = program.workloads_of(block);
            known.entry(set).or_insert_with(|| sets.push(set.clone()));
        }
    }
    let wanted: BTreeSet<WorkloadSetId> = sets.ids().collect();
    let classes = possible_senders(&sets, &wanted, inventory, prover)?;
    let senders: Vec<Sender> = classes.into_iter().map(|class| class.sender).collect();
    let (mut gateways, calls) = common_gateways(before, after);
    let left = ProgramPlane::new(before, senders.clone());
    let right = ProgramPlane::new(after, senders.clone()).calling_gateways(calls);
    let comparison = compare(&left, &right, prover)?;
    gateways.retain(|id, _| mentions(&comparison, *id));
    Ok(Diff { senders, comparison, gateways })
}

/// The rules that decide a block's witness.
#[must_use]
pub fn responsible(program: &Program, block: &Block) -> Vec<RuleId> {
    Speaking::about(program, &block.witness.workload).decide(&block.witness, |_| true).rules
}

/// The gateways of both programs under common ids, and what those of the second are called.
fn common_gateways(
    before: &Program,
    after: &Program,
) -> (BTreeMap<GatewayId, Gateway>, BTreeMap<GatewayId, GatewayId>) {
    let same = |one: &Gateway, two: &Gateway| {
        let addresses = |gateway: &Gateway| gateway.addresses.iter().copied().collect::<BTreeSet<_>>();
        (&one.name, &one.nodes, addresses(one)) == (&two.name, &two.nodes, addresses(two))
    };
    let mut all = before.gateways.clone();
    let mut calls = BTreeMap::new();
    for (own, gateway) in after.gateways.iter() {
        let known = before.gateways.iter().find(|(_, known)| same(known, gateway)).map(|(id, _)| id);
        calls.insert(own, known.unwrap_or_else(|| all.push(gateway.clone())));
    }
    (all.iter().map(|(id, gateway)| (id, gateway.clone())).collect(), calls)
}

fn mentions(comparison: &Comparison, id: GatewayId) -> bool {
    let crate::Answer::Refuted(blocks) = &comparison.answer else { return false };
    blocks.iter().any(|block| [block.left, block.right].contains(&Outcome::Passes(Some(id))))
}
