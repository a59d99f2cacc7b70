//! What things mean, as far as it is known: programs looked up by the names and texts of a document as it is now.
//!
//! The meaning may be that of an earlier edit. Names are looked up by name, rules and assertions by their text, which may
//! have moved; whatever has changed since has no meaning yet.

use crate::unit::{Meaning, Moves};
use crate::view::View;
use egress_answers::Standing;
use egress_compiler::{Place, lower};
use egress_ir::{AssertionId, BlockId, DestinationSet, GatewayId, OriginId, Prefix, Program, RuleId, WorkloadSet};
use egress_lang::ast::{SetNode, WSet, WorkloadTerm};
use egress_lang::span::Span;

/// A program, looked at from a document.
#[derive(Debug)]
pub struct Meant<'v> {
    /// The meaning that is known.
    pub meaning: &'v Meaning,
    /// The program.
    pub program: &'v Program,
    /// Whether it is that of the texts as they are.
    pub is_current: bool,
    moves: Moves,
}

impl<'v> Meant<'v> {
    /// What is known; nothing before the first text without errors.
    #[must_use]
    pub fn of(view: &View<'v>) -> Option<Self> {
        let meaning: &'v Meaning = view.meaning?;
        let program = meaning.compiled.program.as_ref()?;
        Some(Self { meaning, program, is_current: meaning.is_of(view.unit), moves: meaning.moves(view.unit) })
    }

    /// Where a part of the program stands now.
    #[must_use]
    pub fn place(&self, origin: OriginId) -> Option<Place> {
        let origin = self.program.origins.entries.get(origin)?;
        self.moves.place(Place::new(origin.source, Span::new(origin.start, origin.end)))
    }

    /// The rule with this text.
    #[must_use]
    pub fn rule(&self, view: &View<'_>, span: Span) -> Option<RuleId> {
        let here = Place::new(view.id, span);
        self.program.rules.iter().find(|(_, rule)| self.place(rule.origin) == Some(here)).map(|(id, _)| id)
    }

    /// The assertion with this text.
    #[must_use]
    pub fn assertion(&self, view: &View<'_>, span: Span) -> Option<AssertionId> {
        let here = Place::new(view.id, span);
        self.program.assertions.iter().find(|(_, it)| self.place(it.origin) == Some(here)).map(|(id, _)| id)
    }

    /// What became of an assertion's proof; nothing as long as the prover is at work.
    #[must_use]
    pub fn standing(&self, id: AssertionId) -> Option<Standing> {
        let proofs = self.meaning.proofs.as_ref()?;
        proofs.iter().find(|proof| proof.assertion == Some(id)).map(|proof| proof.answer)
    }

    /// A declared set of workloads.
    #[must_use]
    pub fn workloads(&self, name: &str) -> Option<&'v WorkloadSet> {
        self.program.workload_sets.get(*self.program.workload_names.get(name)?)
    }

    /// A declared set of destinations.
    #[must_use]
    pub fn destinations(&self, name: &str) -> Option<&'v DestinationSet> {
        self.program.destination_sets.get(*self.program.destination_names.get(name)?)
    }

    /// A policy or guardrail.
    #[must_use]
    pub fn block(&self, name: &str) -> Option<BlockId> {
        self.program.blocks.iter().find(|(_, block)| block.name == name).map(|(id, _)| id)
    }

    /// A gateway.
    #[must_use]
    pub fn gateway(&self, name: &str) -> Option<GatewayId> {
        self.program.gateways.iter().find(|(_, gateway)| gateway.name == name).map(|(id, _)| id)
    }

    /// What the list term whose path stands here selects.
    #[must_use]
    pub fn selected(&self, view: &View<'_>, path: Span) -> Option<&'v egress_ir::AddressSet> {
        let selections = &self.meaning.compiled.selections;
        let here = Place::new(view.id, path);
        let before = selections.places().find(|place| self.moves.place(*place) == Some(here))?;
        selections.at(before)
    }

    /// What a set of workloads means as it is written.
    #[must_use]
    pub fn written(&self, set: &WSet) -> Option<WorkloadSet> {
        match &set.node {
            SetNode::Term(WorkloadTerm::All) => Some(WorkloadSet::All),
            SetNode::Term(WorkloadTerm::Name(name)) => self.workloads(&name.text).cloned(),
            SetNode::Term(WorkloadTerm::Address(prefix)) => {
                prefix.node.map(|prefix| WorkloadSet::Address(Prefix::containing(prefix.addr, prefix.len)))
            }
            SetNode::Term(WorkloadTerm::Pods(pods)) => lower::pods(pods).map(WorkloadSet::Pods),
            SetNode::Union(sets) => {
                sets.iter().map(|set| self.written(set)).collect::<Option<_>>().map(WorkloadSet::Union)
            }
            SetNode::Except { base, minus } => {
                Some(WorkloadSet::Except(Box::new(self.written(base)?), Box::new(self.written(minus)?)))
            }
            SetNode::Group(set) => self.written(set),
            SetNode::Error => None,
        }
    }
}
