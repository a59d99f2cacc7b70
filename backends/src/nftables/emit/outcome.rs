//! What happens to the flows of one cell: the verdict, who counts it, and what is logged.
//!
//! In: the rules that match. Out: an [`Outcome`], which two cells share exactly if the kernel should do the same to
//! their packets. This is `egress_ir::eval` once more, over classes; the differential tests hold the two together.

use crate::gateways::Gateways;
use egress_ir::{Action, BlockId, BlockKind, GatewayId, Program, RuleId};
use std::collections::BTreeSet;

/// What the kernel does to a packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Outcome {
    pub(super) passes: bool,
    /// The number of the gateway through which it leaves, if not by its own node.
    pub(super) gateway: Option<u32>,
    /// The rules or policies that decide, each of which counts.
    pub(super) decided_by: Vec<Decider>,
    /// Whose name a log line bears; nothing: no log.
    pub(super) log: Option<Decider>,
    /// What the audit-mode blocks would change, if anything.
    pub(super) audit: Option<Audit>,
}

/// Who makes a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Decider {
    /// A rule that matches.
    Rule(RuleId),
    /// A policy, by default.
    Default(BlockId),
}

/// The decision with the audit-mode blocks, where it differs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Audit {
    pub(super) passes: bool,
    pub(super) decided_by: Vec<Decider>,
}

/// The blocks that speak about one class of sources.
#[derive(Clone, Debug, Default)]
pub(super) struct Governance {
    /// The enforced policies.
    enforced: Vec<BlockId>,
    /// The policies in audit mode.
    audited: Vec<BlockId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ungoverned,
    /// With the number of the gateway; nothing too where another target routes.
    Allowed(Option<u32>),
    /// Through two gateways, which is not possible.
    Conflict,
    Denied,
}

impl Verdict {
    fn passes(self) -> bool {
        matches!(self, Self::Ungoverned | Self::Allowed(_))
    }
}

impl Governance {
    pub(super) fn new(program: &Program, blocks: &[BlockId]) -> Self {
        let policies = |audit: bool| {
            let of = |id: &BlockId| {
                let block = program.blocks.at(*id);
                block.kind == BlockKind::Policy && block.audit == audit
            };
            blocks.iter().copied().filter(of).collect()
        };
        Self { enforced: policies(false), audited: policies(true) }
    }

    /// As for a class that one of these blocks governs by enforced rules: for tables that many classes share.
    pub(super) fn by_any_of(blocks: &[BlockId]) -> Self {
        Self { enforced: blocks.first().copied().into_iter().collect(), audited: Vec::new() }
    }

    /// Whether some enforced policy puts the class under default deny.
    pub(super) fn governs(&self) -> bool {
        !self.enforced.is_empty()
    }

    /// Whether some policy in audit mode speaks about the class.
    pub(super) fn audits(&self) -> bool {
        !self.audited.is_empty()
    }

    /// The outcome for flows that exactly these rules match, sorted by id.
    pub(super) fn outcome(&self, program: &Program, gateways: &Gateways, matching: &[RuleId]) -> Outcome {
        let rule_is_enforced = |rule: &RuleId| !program.blocks.at(program.rules.at(*rule).block).audit;
        let enforced: Vec<RuleId> = matching.iter().copied().filter(rule_is_enforced).collect();
        let (verdict, decided_by) = decide((program, gateways), &enforced, &self.enforced);
        let everything = [self.enforced.as_slice(), &self.audited].concat();
        let (would_be, would_by) = decide((program, gateways), matching, &everything);
        let gateway = if let Verdict::Allowed(gateway) = verdict { gateway } else { None };
        let audit = (would_be != verdict).then(|| Audit { passes: would_be.passes(), decided_by: would_by });
        let log = logged(program, &enforced, &decided_by, verdict);
        Outcome { passes: verdict.passes(), gateway, decided_by, log, audit }
    }
}

fn decide(
    (program, gateways): (&Program, &Gateways),
    rules: &[RuleId],
    policies: &[BlockId],
) -> (Verdict, Vec<Decider>) {
    let of = |action: Action| -> Vec<Decider> {
        let rules = rules.iter().copied().filter(|rule| program.rules.at(*rule).action == action);
        rules.map(Decider::Rule).collect()
    };
    let denies = of(Action::Deny);
    if !denies.is_empty() {
        return (Verdict::Denied, denies);
    }
    if policies.is_empty() {
        return (Verdict::Ungoverned, Vec::new());
    }
    let allows = of(Action::Allow);
    if allows.is_empty() {
        return (Verdict::Denied, policies.iter().copied().map(Decider::Default).collect());
    }
    let allowing = rules.iter().map(|rule| program.rules.at(*rule)).filter(|rule| rule.action == Action::Allow);
    let named: BTreeSet<GatewayId> = allowing.filter_map(|rule| rule.gateway).collect();
    let verdict = match named.first() {
        // Whoever routes, nobody can do that.
        _ if named.len() > 1 => Verdict::Conflict,
        gateway => Verdict::Allowed(gateway.and_then(|gateway| gateways.number(*gateway))),
    };
    (verdict, allows)
}

/// A default deny is always logged; else some matching rule must ask for it. A deciding rule that asks names the line.
fn logged(program: &Program, matching: &[RuleId], decided_by: &[Decider], verdict: Verdict) -> Option<Decider> {
    let first = decided_by.first().copied();
    match first {
        Some(Decider::Default(_)) if verdict == Verdict::Denied => return first,
        _ => {}
    }
    let asks = |rule: &RuleId| program.rules.at(*rule).log;
    let asking = |decider: &&Decider| matches!(decider, Decider::Rule(rule) if asks(rule));
    let asked = matching.iter().copied().find(asks)?;
    decided_by.iter().find(asking).copied().or(first).or(Some(Decider::Rule(asked)))
}
