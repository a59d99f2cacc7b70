//! Why a flow is decided as it is: the rules that match, the blocks that govern, and what would change it.
//!
//! In: a program and a flow. Out: an [`Explanation`], all of it computed with the evaluator. Never prints.

use egress_ir::{Block, BlockId, BlockKind, Decision, Flow, Program, RuleId, Speaking, Verdict, WorkloadSet, protocol};

/// A decision with its reasons.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The flow.
    pub flow: Flow,
    /// What the evaluator says.
    pub decision: Decision,
    /// Every rule that matches, whether or not it makes the decision, by id.
    pub matching: Vec<RuleId>,
    /// The blocks that speak about the workload, by id.
    pub blocks: Vec<BlockId>,
    /// Single rules without which the verdict would be another, and that verdict.
    pub pivots: Vec<(RuleId, Verdict)>,
    /// Rules that could be written, as they would be written, and the block in which each belongs.
    pub additions: Vec<Addition>,
    /// What was taken for granted.
    pub assumptions: Vec<String>,
}

/// A rule that would change the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// The block it belongs in, one of those that speak about the workload.
    pub block: BlockId,
    /// The rule.
    pub rule: String,
}

impl Explanation {
    /// Explains a flow.
    #[must_use]
    pub fn of(program: &Program, flow: Flow) -> Self {
        let speaking = Speaking::about(program, &flow.workload);
        let decision = speaking.decide(&flow, |_| true);
        let is_inside = decision.verdict == Verdict::Inside;
        let speaks = |block: &Block| program.workloads_of(block).contains(&flow.workload);
        let blocks: Vec<BlockId> = program.blocks.iter().filter(|(_, block)| speaks(block)).map(|(id, _)| id).collect();
        let rules = blocks.iter().flat_map(|block| program.blocks.at(*block).rules.iter().copied());
        let mut matching: Vec<RuleId> = rules.filter(|rule| !is_inside && matches(program, *rule, &flow)).collect();
        matching.sort_unstable();
        let without = |rule| speaking.decide(&flow, |other| other != rule).verdict;
        let pivots = matching.iter().map(|&rule| (rule, without(rule)));
        let pivots = pivots.filter(|(_, verdict)| *verdict != decision.verdict).collect();
        let additions = additions(program, &blocks, &decision, &flow);
        Self { flow, decision, matching, blocks, pivots, additions, assumptions: Vec::new() }
    }

    /// The matching rules that do not make the decision.
    #[must_use]
    pub fn bystanders(&self) -> Vec<RuleId> {
        self.matching.iter().copied().filter(|rule| !self.decision.rules.contains(rule)).collect()
    }
}

/// Whether a rule matches by port and by address or name, whatever its block says about the workload.
fn matches(program: &Program, rule: RuleId, flow: &Flow) -> bool {
    let rule = program.rules.at(rule);
    let destinations = program.destination_sets.at(rule.destinations);
    let by_name = || flow.destination.names.iter().any(|name| destinations.hosts.iter().any(|host| host.matches(name)));
    program.port_sets.at(rule.ports).contains(flow.port)
        && (destinations.addresses.contains(flow.destination.address) || by_name())
}

/// For a default deny, the allow that governing policies could hold; for everything else, nothing.
fn additions(program: &Program, blocks: &[BlockId], decision: &Decision, flow: &Flow) -> Vec<Addition> {
    if decision.verdict != Verdict::Denied || !decision.rules.is_empty() {
        return Vec::new();
    }
    let governs = |id: &&BlockId| {
        let block = program.blocks.at(**id);
        block.kind == BlockKind::Policy && !block.audit
    };
    let governing: Vec<BlockId> = blocks.iter().filter(governs).copied().collect();
    // A rule in a policy for everybody would open the way to everybody, so it is named as a last resort only.
    let is_narrow = |id: &BlockId| *program.workloads_of(program.blocks.at(*id)) != WorkloadSet::All;
    let narrow: Vec<BlockId> = governing.iter().filter(|id| is_narrow(id)).copied().collect();
    let chosen = if narrow.is_empty() { governing } else { narrow };
    chosen.into_iter().map(|block| Addition { block, rule: allow(flow) }).collect()
}

/// The narrowest allow for a flow: by name where it was learned by one.
fn allow(flow: &Flow) -> String {
    let destination = match flow.destination.names.first() {
        Some(name) => format!("host {name}"),
        None => flow.destination.address.to_string(),
    };
    format!("allow {destination}{} because \"…\" ticket \"…\"", on(flow))
}

/// The `on` clause for a flow's port; a protocol that the language cannot name alone takes every protocol.
fn on(flow: &Flow) -> String {
    let kind = flow.port.number() >> 8;
    match flow.port.protocol() {
        protocol::TCP | protocol::UDP | protocol::SCTP => format!(" on {}", flow.port),
        protocol::ICMP => format!(" on icmp/{kind}"),
        protocol::ICMPV6 => format!(" on icmpv6/{kind}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_ir::{
        Action, Destination, DestinationSet, Origin, Origins, Port, PortSet, Prefix, Rule, SourceId, Workload,
    };

    /// One policy and one guardrail for all, with these rules.
    fn program(rules: &[(BlockKind, Action, &str)]) -> Program {
        let mut program = Program::default();
        let mut origins = Origins::default();
        let workloads = program.intern_workloads(WorkloadSet::All);
        let source: SourceId = origins.sources.push("x".into());
        let mut origin = || origins.entries.push(Origin::at("x", source, 0, 0, 1));
        for kind in [BlockKind::Policy, BlockKind::Guardrail] {
            let block = Block { name: "x".into(), kind, workloads, audit: false, rules: Vec::new(), origin: origin() };
            program.blocks.push(block);
        }
        for &(kind, action, address) in rules {
            let block = program.blocks.iter().find(|(_, block)| block.kind == kind).unwrap().0;
            let prefix = Prefix::host(address.parse().unwrap());
            let destinations = program.intern_destinations(DestinationSet::of_prefixes([prefix]));
            let ports = program.intern_ports(PortSet::any());
            let rule = Rule { block, action, destinations, ports, gateway: None, log: false, origin: origin() };
            let id = program.rules.push(rule);
            program.blocks.get_mut(block).unwrap().rules.push(id);
        }
        program.origins = origins;
        program
    }

    fn explain(rules: &[(BlockKind, Action, &str)]) -> Explanation {
        let flow = Flow {
            workload: Workload::Address("10.0.0.1".parse().unwrap()),
            destination: Destination::unnamed("1.2.3.4".parse().unwrap()),
            port: Port::tcp(443),
        };
        Explanation::of(&program(rules), flow)
    }

    #[test]
    fn the_one_rule_that_decides_is_a_pivot() {
        let deny = (BlockKind::Guardrail, Action::Deny, "1.2.3.4");
        let allow = (BlockKind::Policy, Action::Allow, "1.2.3.4");
        let one = explain(&[allow, deny]);
        assert_eq!(one.pivots, [(one.decision.rules[0], Verdict::Allowed(None))]);
        assert_eq!(one.bystanders().len(), 1);
        let two = explain(&[allow, deny, deny]);
        assert_eq!((two.pivots.len(), two.matching.len()), (0, 3));
        let allowed = explain(&[allow]);
        assert_eq!(allowed.pivots, [(allowed.decision.rules[0], Verdict::Denied)]);
    }

    #[test]
    fn a_default_deny_says_which_allow_is_missing() {
        let none = explain(&[(BlockKind::Policy, Action::Allow, "1.2.3.5")]);
        assert!(none.matching.is_empty());
        let rules: Vec<&str> = none.additions.iter().map(|addition| addition.rule.as_str()).collect();
        assert_eq!(rules, ["allow 1.2.3.4 on 443/tcp because \"…\" ticket \"…\""]);
    }
}
