//! Disjoint sets of pods, each with the enforced blocks that speak about all of its members and about none of them otherwise.
//!
//! In: the blocks in force. Out: cells that cover every pod that some rule sends through a gateway; others need none.

use std::collections::BTreeSet;

use egress_ir::{Block, BlockId};

use super::super::Emitter;
use super::super::selectors::{self, Conjunct};

/// Most cells that are told apart.
const MAX_CELLS: usize = 4096;

/// Pods that no block tells apart.
pub(super) struct Cell {
    pub(super) pods: Conjunct,
    pub(super) blocks: BTreeSet<BlockId>,
}

/// The cells; nothing after an error, or where a set of workloads was refused before.
pub(super) fn cells(emitter: &mut Emitter<'_>) -> Option<Vec<Cell>> {
    let program = emitter.program;
    let mut blocks: Vec<(BlockId, &Block)> = program.blocks.iter().filter(|(_, block)| !block.audit).collect();
    let routed = |block: &Block| block.rules.iter().any(|rule| program.rules.at(*rule).gateway.is_some());
    blocks.sort_by_key(|(_, block)| !routed(block));
    let mut cells = vec![Cell { pods: Conjunct::default(), blocks: BTreeSet::new() }];
    let mut with_gateways = true;
    for (id, block) in blocks {
        if with_gateways && !routed(block) {
            cells.retain(|cell| !cell.blocks.is_empty());
            with_gateways = false;
        }
        let own = disjoint(&selectors::conjuncts(program.workloads_of(block)).ok()?);
        cells = cells.into_iter().flat_map(|cell| parted(cell, id, &own)).collect();
        if cells.len() > MAX_CELLS {
            too_many(emitter);
            return None;
        }
    }
    cells.retain(|cell| cell.blocks.iter().any(|id| routed(program.blocks.at(*id))));
    Some(cells)
}

/// The same pods as sets that share none.
fn disjoint(conjuncts: &[Conjunct]) -> Vec<Conjunct> {
    let mut parts: Vec<Conjunct> = Vec::new();
    for conjunct in conjuncts {
        let mut rest = vec![conjunct.clone()];
        for known in &parts {
            rest = rest.iter().flat_map(|part| part.minus(known)).collect();
        }
        parts.extend(rest);
    }
    parts
}

/// A cell, parted by a block.
fn parted(cell: Cell, id: BlockId, own: &[Conjunct]) -> Vec<Cell> {
    let mut parts = Vec::new();
    let mut outside = vec![cell.pods.clone()];
    for conjunct in own {
        let Some(pods) = cell.pods.and(conjunct) else { continue };
        let blocks = cell.blocks.iter().copied().chain([id]).collect();
        parts.push(Cell { pods, blocks });
        outside = outside.iter().flat_map(|part| part.minus(conjunct)).collect();
    }
    parts.extend(outside.into_iter().map(|pods| Cell { pods, blocks: cell.blocks.clone() }));
    parts
}

/// Says that workloads overlap in too many ways.
pub(super) fn too_many(emitter: &mut Emitter<'_>) {
    let program = emitter.program;
    let Some(rule) = program.rules.values().find(|rule| rule.gateway.is_some()) else { return };
    emitter.error(
        "egress::target::workload-set",
        rule.origin,
        format!("policies overlap in more than {MAX_CELLS} ways for pods that leave through gateways"),
        "send workloads through gateways by labels that fewer other policies ask for",
    );
}
