//! Witnesses, each replayed in the evaluator before anyone sees it.
//!
//! In: a cell and what must be true of its first flow. Out: the flow, or the disagreement between classes and
//! evaluator, which is an error of ours and never hidden.

use super::facts::Cell;
use super::groups::Group;
use crate::diagnostic::Diagnostic;
use egress_ir::{Decision, Destination, Flow, Program, RuleId, Speaking};
use std::collections::HashMap;

/// Makes flows of cells and decides them.
pub(super) struct Judge<'p> {
    program: &'p Program,
    groups: &'p [Group],
    speaking: HashMap<(u32, bool), Speaking<'p>>,
}

impl<'p> Judge<'p> {
    pub(super) fn new(program: &'p Program, groups: &'p [Group]) -> Self {
        Self { program, groups, speaking: HashMap::new() }
    }

    /// Adds the cell's first flow to the diagnostic if the evaluator confirms it; else reports the disagreement.
    pub(super) fn confirmed(
        &mut self,
        diagnostic: Diagnostic,
        cell: &Cell,
        holds: impl Fn(&Replay<'_, 'p>) -> bool,
    ) -> Diagnostic {
        let Some(flow) = self.flow(cell) else {
            return disagreement(&diagnostic, None);
        };
        let program = self.program;
        let speaking = self.speaking.entry((cell.group, cell.v6));
        let speaking = speaking.or_insert_with(|| Speaking::about(program, &flow.workload));
        let matching = speaking.matching(&flow);
        let decision = speaking.decide_by(&flow, &matching);
        let confirmed = flow.is_well_formed() && holds(&Replay { speaking, flow: &flow, matching, decision });
        if confirmed { diagnostic.witness(flow) } else { disagreement(&diagnostic, Some(flow)) }
    }

    /// The first flow of the cell.
    fn flow(&self, cell: &Cell) -> Option<Flow> {
        let group = self.groups.get(cell.group as usize)?;
        let workload = group.members.get(usize::from(cell.v6))?.clone()?;
        let (address, _) = cell.addresses();
        let destination = Destination { address, names: cell.names.iter().cloned().collect() };
        Some(Flow { workload, destination, port: cell.port()? })
    }
}

/// A flow as the evaluator sees it.
pub(super) struct Replay<'r, 'p> {
    speaking: &'r Speaking<'p>,
    flow: &'r Flow,
    /// The rules that match, enforced or not.
    pub(super) matching: Vec<RuleId>,
    /// What the program decides.
    pub(super) decision: Decision,
}

impl Replay<'_, '_> {
    /// What the program would decide if only the rules that `counts` accepts had been written.
    pub(super) fn decided_by(&self, counts: impl Fn(RuleId) -> bool) -> Decision {
        let matching: Vec<RuleId> = self.matching.iter().copied().filter(|&rule| counts(rule)).collect();
        self.speaking.decide_by(self.flow, &matching)
    }
}

fn disagreement(diagnostic: &Diagnostic, flow: Option<Flow>) -> Diagnostic {
    let message = format!("the evaluator does not confirm `{}`: {}", diagnostic.code, diagnostic.message);
    let report = Diagnostic::error("egress::internal::witness", message).labels(diagnostic.labels.clone());
    let report = report.help("this is a defect of egressc; please report it with the policy that shows it");
    match flow {
        Some(flow) => report.witness(flow),
        None => report,
    }
}
