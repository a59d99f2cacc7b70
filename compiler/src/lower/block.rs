//! Blocks, rules, assertions and controls.

use super::Lowered;
use super::origin::Origins;
use super::sets::Sets;
use egress_ir::{
    Action, Assertion, AssertionId, Block, BlockKind, Claim, Control, ControlId, GatewayId, OriginId, Program, Rule,
    SourceId,
};
use egress_lang::ast::{self, Assert, Item, Policy, Verdict};
use std::collections::BTreeMap;

/// A program in the making.
pub(super) struct Lowering<'a> {
    pub(super) sets: Sets<'a>,
    pub(super) origins: Origins<'a>,
    pub(super) program: Program,
    /// The first gateway of each name.
    pub(super) gateways: BTreeMap<String, GatewayId>,
    /// Whether nothing had to be left out so far.
    pub(super) whole: bool,
    /// The number of assertions outside of controls.
    pub(super) asserted: usize,
}

impl Lowering<'_> {
    /// Lowers what is no set, gateway or cluster; those have come first.
    pub(super) fn item(&mut self, source: SourceId, item: &Item) {
        match item {
            Item::Policy(block) => self.block(source, block, BlockKind::Policy),
            Item::Guardrail(block) => self.block(source, block, BlockKind::Guardrail),
            Item::Assert(assert) => {
                self.asserted += 1;
                let name = format!("assert#{}", self.asserted);
                self.assertion(source, assert, &name, None);
            }
            Item::Control(control) => self.control(source, control),
            Item::Cluster(_)
            | Item::Workloads(_)
            | Item::Destinations(_)
            | Item::Ports(_)
            | Item::Gateway(_)
            | Item::Error(_) => {}
        }
    }

    fn block(&mut self, source: SourceId, written: &Policy, kind: BlockKind) {
        let workloads = self.sets.workload_set(&written.workloads);
        let origin = self.origins.block(source, written);
        let block = workloads.map(|workloads| {
            let (name, audit) = (written.name.text.clone(), written.audit.is_some());
            self.program.blocks.push(Block { name, kind, workloads, audit, rules: Vec::new(), origin })
        });
        self.whole &= block.is_some();
        for (n, rule) in written.rules.iter().enumerate() {
            // The rule's sets are lowered even where the block is lost, because they may hold errors of their own.
            let parts = self.rule_parts(source, rule);
            let origin = self.origins.rule(source, written, rule, n + 1);
            self.whole &= parts.is_some();
            let (Some(block), Some(parts)) = (block, parts) else { continue };
            let id = self.program.rules.push(parts(block, origin));
            if let Some(block) = self.program.blocks.get_mut(block) {
                block.rules.push(id);
            }
        }
    }

    fn rule_parts(
        &mut self,
        source: SourceId,
        rule: &ast::Rule,
    ) -> Option<impl FnOnce(egress_ir::BlockId, OriginId) -> Rule + use<>> {
        let destinations = self.sets.destination_set(source, &rule.destinations);
        let ports = self.sets.port_set(rule.ports.as_ref());
        let gateway = match &rule.via {
            Some(name) => self.gateways.get(&name.text).copied().map(Some),
            None => Some(None),
        };
        let action = match rule.verdict.node {
            Verdict::Allow => Action::Allow,
            Verdict::Deny => Action::Deny,
        };
        let log = rule.log.is_some();
        let (destinations, ports, gateway) = (destinations?, ports?, gateway?);
        Some(move |block, origin| Rule { block, action, destinations, ports, gateway, log, origin })
    }

    fn control(&mut self, source: SourceId, written: &ast::Control) {
        let id = written.id.node.clone();
        let origin = self.origins.plain(&id, source, written.span);
        let title = written.title.node.clone();
        let control = self.program.controls.push(Control { id, title, assertions: Vec::new(), origin });
        for (n, assert) in written.asserts.iter().enumerate() {
            let name = format!("{}#{}", written.id.node, n + 1);
            let assertion = self.assertion(source, assert, &name, Some(control));
            if let Some(control) = self.program.controls.get_mut(control) {
                control.assertions.extend(assertion);
            }
        }
    }

    fn assertion(
        &mut self,
        source: SourceId,
        written: &Assert,
        name: &str,
        control: Option<ControlId>,
    ) -> Option<AssertionId> {
        let workloads = self.sets.workload_set(&written.workloads);
        let destinations = self.sets.destination_set(source, &written.destinations);
        let ports = self.sets.port_set(written.ports.as_ref());
        let claim = match &written.claim {
            ast::Claim::CannotReach => Some(Claim::CannotReach),
            ast::Claim::CanReach => Some(Claim::CanReach),
            ast::Claim::OnlySources => Some(Claim::OnlyCanReach),
            ast::Claim::OnlyDestinations => Some(Claim::CanReachOnly),
            ast::Claim::OnlyVia(name) => self.gateways.get(&name.text).copied().map(Claim::OnlyVia),
        };
        let origin = self.origins.assertion(name, source, written);
        let made = workloads.zip(destinations).zip(ports).zip(claim);
        self.whole &= made.is_some();
        made.map(|(((workloads, destinations), ports), claim)| {
            self.program.assertions.push(Assertion { claim, workloads, destinations, ports, control, origin })
        })
    }

    /// The program with its sets and origins.
    pub(super) fn finish(self) -> Lowered {
        let Self { sets, origins, mut program, whole, .. } = self;
        program.workload_sets = sets.workloads.into_arena();
        program.destination_sets = sets.destinations.into_arena();
        program.port_sets = sets.ports.into_arena();
        program.origins = origins.into_table();
        Lowered { program, whole, errors: sets.errors }
    }
}
