//! Programs with one thing broken.
//!
//! In: a [`Program`]. Out: its mutants, each again a program that holds together: ids fit, guardrails hold denies only,
//! and gateways stand on allows only.

use super::Mutant;
use super::sets::{addresses, hosts, ports, workloads};
use egress_ir::{
    Action, AddressSet, Arena, BlockId, BlockKind, DestinationSet, GatewayId, PortSet, Program, Rule, RuleId,
    WorkloadSet,
};
use std::collections::BTreeMap;

/// One thing to break in a program; a value of its own, because programs may be large and their mutants many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The rule is gone.
    WithoutRule(RuleId),
    /// The rule is another one.
    Rule(RuleId, Rule),
    /// The rule matches other destinations.
    Destinations(RuleId, DestinationSet),
    /// The rule matches other ports.
    Ports(RuleId, PortSet),
    /// The block is gone with its rules.
    WithoutBlock(BlockId),
    /// A policy is a guardrail, without its allows, or a guardrail is a policy.
    OtherKind(BlockId),
    /// An enforced block is in audit mode, or the other way about.
    OtherMode(BlockId),
    /// The block speaks about other workloads.
    Workloads(BlockId, WorkloadSet),
    /// Other addresses are inside.
    Inside(AddressSet),
}

impl Change {
    /// The program with this change, which must be one of [`programs`] for it.
    #[must_use]
    pub fn apply(&self, program: &Program) -> Program {
        match self {
            Self::WithoutRule(id) => keep(program, |_| true, |rule| rule != *id),
            Self::Rule(id, rule) => with_rule(program, *id, *rule),
            Self::Destinations(id, set) => with_destinations(program, *id, set.clone()),
            Self::Ports(id, set) => with_ports(program, *id, set.clone()),
            Self::WithoutBlock(id) => keep(program, |block| block != *id, |_| true),
            Self::OtherKind(id) => of_other_kind(program, *id),
            Self::OtherMode(id) => {
                let mut changed = program.clone();
                changed.blocks.get_mut(*id).into_iter().for_each(|block| block.audit = !block.audit);
                changed
            }
            Self::Workloads(id, set) => with_workloads(program, *id, set.clone()),
            Self::Inside(set) => {
                let mut changed = program.clone();
                changed.cluster.inside = set.clone();
                changed
            }
        }
    }
}

/// Every mutant of a program. Of long lists of addresses some are broken, spread over the whole list.
#[must_use]
pub fn programs(program: &Program) -> Vec<Mutant<Change>> {
    let mut mutants = Mutants { program, found: Vec::new() };
    program.rules.ids().for_each(|rule| mutants.of_rule(rule));
    program.blocks.ids().for_each(|block| mutants.of_block(block));
    let inside = &program.cluster.inside;
    for (kind, what, set) in addresses(inside).into_iter().filter(|(.., set)| set != inside) {
        mutants.add(kind, format!("what is inside: {what}"), Change::Inside(set));
    }
    mutants.found
}

struct Mutants<'p> {
    program: &'p Program,
    found: Vec<Mutant<Change>>,
}

impl Mutants<'_> {
    fn add(&mut self, kind: &'static str, what: String, changed: Change) {
        self.found.push(Mutant { kind, what, changed });
    }

    fn of_rule(&mut self, id: RuleId) {
        let (program, rule) = (self.program, *self.program.rules.at(id));
        let name = program.rule_name(id);
        self.add("drop-rule", format!("{name} is gone"), Change::WithoutRule(id));
        self.of_action(id, rule, name);
        let DestinationSet { addresses: old, hosts: names } = program.destination_sets.at(rule.destinations);
        for (kind, what, set) in addresses(old).into_iter().filter(|(.., set)| set != old) {
            let destinations = DestinationSet { addresses: set, hosts: names.clone() };
            self.add(kind, format!("{name}: {what}"), Change::Destinations(id, destinations));
        }
        for (kind, what, set) in hosts(names).into_iter().filter(|(.., set)| set != names) {
            let destinations = DestinationSet { addresses: old.clone(), hosts: set };
            self.add(kind, format!("{name}: {what}"), Change::Destinations(id, destinations));
        }
        let old = program.port_sets.at(rule.ports);
        for (kind, what, set) in ports(old).into_iter().filter(|(.., set)| set != old) {
            self.add(kind, format!("{name}: {what}"), Change::Ports(id, set));
        }
    }

    /// Another action, or another gateway.
    fn of_action(&mut self, id: RuleId, rule: Rule, name: &str) {
        let program = self.program;
        let guardrail = program.blocks.at(rule.block).kind == BlockKind::Guardrail;
        match rule.action {
            Action::Allow => {
                let deny = Rule { action: Action::Deny, gateway: None, ..rule };
                self.add("swap-action", format!("{name} denies"), Change::Rule(id, deny));
            }
            Action::Deny if !guardrail => {
                let allow = Rule { action: Action::Allow, ..rule };
                self.add("swap-action", format!("{name} allows"), Change::Rule(id, allow));
            }
            Action::Deny => {}
        }
        if rule.action == Action::Allow {
            let others = program.gateways.ids().map(Some).chain([None]).filter(|&other| other != rule.gateway);
            for gateway in others.collect::<Vec<Option<GatewayId>>>() {
                let what = gateway.map_or("no gateway", |other| &program.gateways.at(other).name);
                let what = format!("{name} goes through {what}");
                self.add("wrong-gateway", what, Change::Rule(id, Rule { gateway, ..rule }));
            }
        }
    }

    fn of_block(&mut self, id: BlockId) {
        let (program, block) = (self.program, self.program.blocks.at(id));
        let name = &block.name;
        self.add("drop-block", format!("{name} is gone"), Change::WithoutBlock(id));
        self.add("swap-kind", format!("{name} is of the other kind"), Change::OtherKind(id));
        self.add("swap-mode", format!("{name} is enforced: {}", block.audit), Change::OtherMode(id));
        let old = program.workloads_of(block);
        for (kind, what, set) in workloads(old).into_iter().filter(|(.., set)| set != old) {
            self.add(kind, format!("for of {name}: {what}"), Change::Workloads(id, set));
        }
    }
}

fn of_other_kind(program: &Program, id: BlockId) -> Program {
    let kind = match program.blocks.at(id).kind {
        BlockKind::Policy => BlockKind::Guardrail,
        BlockKind::Guardrail => BlockKind::Policy,
    };
    // A guardrail holds denies only.
    let stays = |rule: RuleId| {
        let rule = program.rules.at(rule);
        rule.block != id || kind == BlockKind::Policy || rule.action == Action::Deny
    };
    let mut changed = keep(program, |_| true, stays);
    changed.blocks.get_mut(id).into_iter().for_each(|block| block.kind = kind);
    changed
}

fn with_rule(program: &Program, id: RuleId, rule: Rule) -> Program {
    let mut changed = program.clone();
    changed.rules.get_mut(id).into_iter().for_each(|old| *old = rule);
    changed
}

fn with_destinations(program: &Program, id: RuleId, set: DestinationSet) -> Program {
    let mut changed = program.clone();
    let destinations = changed.intern_destinations(set);
    changed.rules.get_mut(id).into_iter().for_each(|rule| rule.destinations = destinations);
    changed
}

fn with_ports(program: &Program, id: RuleId, set: PortSet) -> Program {
    let mut changed = program.clone();
    let ports = changed.intern_ports(set);
    changed.rules.get_mut(id).into_iter().for_each(|rule| rule.ports = ports);
    changed
}

fn with_workloads(program: &Program, id: BlockId, set: WorkloadSet) -> Program {
    let mut changed = program.clone();
    let workloads = changed.intern_workloads(set);
    changed.blocks.get_mut(id).into_iter().for_each(|block| block.workloads = workloads);
    changed
}

/// The program with these blocks, and of their rules these, under new ids.
fn keep(program: &Program, blocks: impl Fn(BlockId) -> bool, rules: impl Fn(RuleId) -> bool) -> Program {
    let mut kept = Program { blocks: Arena::default(), rules: Arena::default(), ..program.clone() };
    let mut places: BTreeMap<BlockId, BlockId> = BTreeMap::new();
    for (id, block) in program.blocks.iter().filter(|(id, _)| blocks(*id)) {
        let mut block = block.clone();
        block.rules.clear();
        places.insert(id, kept.blocks.push(block));
    }
    for (id, rule) in program.rules.iter().filter(|(id, _)| rules(*id)) {
        let Some(&block) = places.get(&rule.block) else { continue };
        debug_assert!(program.blocks.at(rule.block).rules.contains(&id), "a rule stands in its block");
        let new = kept.rules.push(Rule { block, ..*rule });
        kept.blocks.get_mut(block).into_iter().for_each(|block| block.rules.push(new));
    }
    kept
}
