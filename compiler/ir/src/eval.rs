//! The executable meaning of the language: slow, obvious, and the judge of every other form.

use crate::arena::{GatewayId, RuleId};
use crate::flow::Flow;
use crate::program::{Action, Block, BlockKind, Program, Rule};
use crate::workload::Workload;
use std::collections::BTreeSet;

/// What a program says about one flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What happens.
    pub verdict: Verdict,
    /// The matching rules that make the verdict: the denies, or else the allows; none for a default.
    pub rules: Vec<RuleId>,
    /// What would happen if the audit-mode blocks were enforced, where that differs; such a flow is logged.
    pub audit: Option<Verdict>,
    /// Whether a matching rule of an enforced block asks for an audit record.
    pub log: bool,
}

/// What happens to a flow.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// The destination is inside the cluster: not governed.
    Inside,
    /// No policy governs the workload: the flow passes.
    Ungoverned,
    /// Allowed; leaves through the gateway, or by its own node.
    Allowed(Option<GatewayId>),
    /// Allowed through two or more different gateways, which is an error of the program; such a flow must not pass.
    Conflict(BTreeSet<GatewayId>),
    /// Denied by a rule or by default.
    Denied,
}

impl Verdict {
    /// Whether the flow leaves.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self, Self::Inside | Self::Ungoverned | Self::Allowed(_))
    }
}

/// Decides one flow.
#[must_use]
pub fn eval(program: &Program, flow: &Flow) -> Decision {
    Speaking::about(program, &flow.workload).decide(flow, |_| true)
}

/// The blocks that speak about one workload, so that many of its flows can be decided one after the other.
#[derive(Clone, Debug)]
pub struct Speaking<'p> {
    program: &'p Program,
    blocks: Vec<&'p Block>,
    /// The rules of these blocks, sorted.
    rules: Vec<RuleId>,
}

impl<'p> Speaking<'p> {
    /// Finds the blocks whose `for` contains the workload.
    #[must_use]
    pub fn about(program: &'p Program, workload: &Workload) -> Self {
        let blocks = program.blocks.values().filter(|block| program.workloads_of(block).contains(workload));
        let blocks: Vec<&Block> = blocks.collect();
        let rules: BTreeSet<RuleId> = blocks.iter().flat_map(|block| block.rules.iter().copied()).collect();
        Self { program, blocks, rules: rules.into_iter().collect() }
    }

    /// Decides a flow of the workload as if only the rules that `counts` accepts had been written.
    pub fn decide(&self, flow: &Flow, counts: impl Fn(RuleId) -> bool) -> Decision {
        let matching: Vec<RuleId> = self.matching(flow).into_iter().filter(|&rule| counts(rule)).collect();
        self.decide_by(flow, &matching)
    }

    /// The rules that match a flow of the workload, in the order of their ids.
    #[must_use]
    pub fn matching(&self, flow: &Flow) -> Vec<RuleId> {
        let rules = self.rules.iter().copied();
        rules.filter(|&rule| matches(self.program, self.program.rules.at(rule), flow)).collect()
    }

    /// Decides a flow of the workload by these rules, which are some of [`Speaking::matching`], in the same order.
    #[must_use]
    pub fn decide_by(&self, flow: &Flow, matching: &[RuleId]) -> Decision {
        let program = self.program;
        if program.cluster.contains(flow.destination.address) {
            return Decision { verdict: Verdict::Inside, rules: Vec::new(), audit: None, log: false };
        }
        let enforced: Vec<&Block> = self.blocks.iter().copied().filter(|block| !block.audit).collect();
        let in_force = matching.iter().copied().filter(|&rule| !block_of(program, rule).audit).collect::<Vec<_>>();
        let (verdict, rules) = conclude(program, &enforced, &in_force);
        let (would_be, _) = conclude(program, &self.blocks, matching);
        let log = in_force.iter().any(|&rule| program.rules.at(rule).log);
        Decision { audit: (would_be != verdict).then_some(would_be), verdict, rules, log }
    }
}

/// Deny wins; without a policy nothing is governed; then allows; then the default.
fn conclude(program: &Program, blocks: &[&Block], matching: &[RuleId]) -> (Verdict, Vec<RuleId>) {
    let of = |action| matching.iter().copied().filter(|&r| program.rules.at(r).action == action).collect::<Vec<_>>();
    let (denies, allows) = (of(Action::Deny), of(Action::Allow));
    if !denies.is_empty() {
        return (Verdict::Denied, denies);
    }
    if blocks.iter().all(|block| block.kind != BlockKind::Policy) {
        return (Verdict::Ungoverned, Vec::new());
    }
    if allows.is_empty() {
        return (Verdict::Denied, Vec::new());
    }
    let gateways: BTreeSet<GatewayId> = allows.iter().filter_map(|&r| program.rules.at(r).gateway).collect();
    let verdict = match gateways.len() {
        0 | 1 => Verdict::Allowed(gateways.first().copied()),
        _ => Verdict::Conflict(gateways),
    };
    (verdict, allows)
}

/// Whether a rule matches by port and by address or name.
fn matches(program: &Program, rule: &Rule, flow: &Flow) -> bool {
    let destinations = program.destination_sets.at(rule.destinations);
    let by_address = || destinations.addresses.contains(flow.destination.address);
    let by_name = || destinations.hosts.iter().any(|host| flow.destination.names.iter().any(|name| host.matches(name)));
    (by_address() || by_name()) && program.port_sets.at(rule.ports).contains(flow.port)
}

fn block_of(program: &Program, rule: RuleId) -> &Block {
    program.blocks.at(program.rules.at(rule).block)
}
