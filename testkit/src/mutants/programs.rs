//! Programs with one thing broken.
//!
//! In: a [`Program`]. Out: its mutants, each again a program that holds together: ids fit, guardrails hold denies only,
//! and gateways stand on allows only.

use super::Mutant;
use super::sets::{addresses, hosts, ports, workloads};
use egress_ir::{
    Action, Arena, BlockId, BlockKind, DestinationSet, GatewayId, PortSet, Program, Rule, RuleId, WorkloadSet,
};
use std::collections::BTreeMap;

/// Every mutant of a program.
#[must_use]
pub fn programs(program: &Program) -> Vec<Mutant<Program>> {
    let mut mutants = Mutants { program, found: Vec::new() };
    program.rules.ids().for_each(|rule| mutants.of_rule(rule));
    program.blocks.ids().for_each(|block| mutants.of_block(block));
    mutants.of_cluster();
    mutants.found
}

struct Mutants<'p> {
    program: &'p Program,
    found: Vec<Mutant<Program>>,
}

impl Mutants<'_> {
    /// Notes a mutant, unless nothing has changed: what is widened may have been there already.
    fn add(&mut self, kind: &'static str, what: String, changed: Program) {
        if changed == *self.program {
            return;
        }
        self.found.push(Mutant { kind, what, changed });
    }

    fn of_rule(&mut self, id: RuleId) {
        let (program, rule) = (self.program, *self.program.rules.at(id));
        let name = program.rule_name(id);
        self.add("drop-rule", format!("{name} is gone"), keep(program, |_| true, |r| r != id));
        self.of_action(id, rule, name);
        let DestinationSet { addresses: old, hosts: names } = program.destination_sets.at(rule.destinations);
        for (kind, what, set) in addresses(old) {
            let destinations = DestinationSet { addresses: set, hosts: names.clone() };
            self.add(kind, format!("{name}: {what}"), with_destinations(program, id, destinations));
        }
        for (kind, what, set) in hosts(names) {
            let destinations = DestinationSet { addresses: old.clone(), hosts: set };
            self.add(kind, format!("{name}: {what}"), with_destinations(program, id, destinations));
        }
        for (kind, what, set) in ports(program.port_sets.at(rule.ports)) {
            self.add(kind, format!("{name}: {what}"), with_ports(program, id, set));
        }
    }

    /// Another action, or another gateway.
    fn of_action(&mut self, id: RuleId, rule: Rule, name: &str) {
        let program = self.program;
        let guardrail = program.blocks.at(rule.block).kind == BlockKind::Guardrail;
        match rule.action {
            Action::Allow => {
                let deny = Rule { action: Action::Deny, gateway: None, ..rule };
                self.add("swap-action", format!("{name} denies"), with_rule(program, id, deny));
            }
            Action::Deny if !guardrail => {
                let allow = Rule { action: Action::Allow, ..rule };
                self.add("swap-action", format!("{name} allows"), with_rule(program, id, allow));
            }
            Action::Deny => {}
        }
        if rule.action == Action::Allow {
            let others = program.gateways.ids().map(Some).chain([None]).filter(|&other| other != rule.gateway);
            for gateway in others.collect::<Vec<Option<GatewayId>>>() {
                let what = gateway.map_or("no gateway", |other| &program.gateways.at(other).name);
                let changed = with_rule(program, id, Rule { gateway, ..rule });
                self.add("wrong-gateway", format!("{name} goes through {what}"), changed);
            }
        }
    }

    fn of_block(&mut self, id: BlockId) {
        let (program, block) = (self.program, self.program.blocks.at(id));
        let name = &block.name;
        self.add("drop-block", format!("{name} is gone"), keep(program, |b| b != id, |_| true));
        let kind = match block.kind {
            BlockKind::Policy => BlockKind::Guardrail,
            BlockKind::Guardrail => BlockKind::Policy,
        };
        // A guardrail holds denies only.
        let stays = |rule: RuleId| {
            let rule = program.rules.at(rule);
            rule.block != id || kind == BlockKind::Policy || rule.action == Action::Deny
        };
        let mut swapped = keep(program, |_| true, stays);
        swapped.blocks.get_mut(id).into_iter().for_each(|block| block.kind = kind);
        self.add("swap-kind", format!("{name} is a {kind:?}").to_lowercase(), swapped);
        let mut audited = program.clone();
        audited.blocks.get_mut(id).into_iter().for_each(|block| block.audit = !block.audit);
        self.add("swap-mode", format!("{name} is enforced: {}", block.audit), audited);
        for (kind, what, set) in workloads(program.workloads_of(block)) {
            self.add(kind, format!("for of {name}: {what}"), with_workloads(program, id, set));
        }
    }

    fn of_cluster(&mut self) {
        let inside = &self.program.cluster.inside;
        for (kind, what, set) in addresses(inside) {
            let mut changed = self.program.clone();
            changed.cluster.inside = set;
            self.add(kind, format!("what is inside: {what}"), changed);
        }
    }
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
