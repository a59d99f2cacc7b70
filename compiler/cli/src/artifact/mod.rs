//! Artifacts held against their source: proved equal, or where they differ.
//!
//! In: the bytes of an artifact or what a kernel lists, a program, an inventory. Out: [`Held`], which verbs turn into
//! findings and proofs. What is not understood is said, and never guessed.

mod told;

pub(crate) use told::{Role, Telling};

use egress_answers::fault;
use egress_backends::{cilium, ebpf, kube_vip, nftables};
use egress_compiler::Diagnostic;
use egress_ir::{Inventory, Plane, Program, Sender, Unclear};
use egress_verifier::{Answer, Comparison, Prover, against_source};
use std::collections::BTreeSet;

/// What to hold artifacts against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'s> {
    /// The policy.
    pub(crate) program: &'s Program,
    /// Who runs.
    pub(crate) inventory: Option<&'s Inventory>,
    /// What chooses source addresses behind each artifact, so that both are held against the source together.
    pub(crate) router: Option<&'s kube_vip::Model>,
}

/// What became of an artifact that was held against its source.
#[derive(Debug)]
pub(crate) enum Held {
    /// They were compared.
    Compared(Box<Compared>),
    /// The artifact is not understood: where, and why.
    Unreadable(String),
    /// It is not known what it does, or what the source does: why.
    Unclear(String),
    /// A defect of egressc.
    Defect(Box<Diagnostic>),
}

/// A comparison, and who was compared.
#[derive(Debug)]
pub(crate) struct Compared {
    /// Everybody who sends; blocks name them by their places.
    pub(crate) senders: Vec<Sender>,
    /// Left is the source, right the artifact.
    pub(crate) comparison: Comparison,
}

/// Where nftables must judge.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// At these hooks; none: where the target hooks by itself, and wherever the ruleset does.
    pub(crate) hooks: Vec<nftables::Hook>,
    /// What comes in by these interfaces; none: by any that the ruleset names, or any at all.
    pub(crate) interfaces: Vec<String>,
}

impl Held {
    fn is_proved(&self) -> bool {
        matches!(self, Self::Compared(compared) if compared.comparison.answer == Answer::Proved)
    }
}

impl Source<'_> {
    /// Holds what filters, and what routes behind it if something does. A router is known for pods that run; so a filter
    /// is held by itself too, against the policy without gateways, for every pod that could run.
    pub(crate) fn each(&self, mut hold: impl FnMut(Source<'_>) -> Held) -> Held {
        let rewrites = |router: &kube_vip::Model| router.services.iter().any(kube_vip::Service::has_egress);
        if self.router.is_some_and(rewrites) {
            let program = self.program.without_gateways();
            let alone = hold(Source { program: &program, router: None, ..*self });
            if !alone.is_proved() {
                return alone;
            }
        }
        hold(*self)
    }

    /// Holds an nftables file against the source.
    pub(crate) fn hold_nftables(&self, bytes: &[u8], scope: &Scope, prover: &mut Prover) -> Held {
        match nftables::decode(bytes) {
            Ok(ruleset) => self.hold_ruleset(&ruleset, scope, prover),
            Err(error) => Held::Unreadable(error.to_string()),
        }
    }

    /// Holds a ruleset against the source.
    pub(crate) fn hold_ruleset(&self, ruleset: &nftables::Ruleset, scope: &Scope, prover: &mut Prover) -> Held {
        let usual = nftables::Scope::of(ruleset, self.program);
        let hooks: BTreeSet<nftables::Hook> = scope.hooks.iter().copied().collect();
        let scope = nftables::Scope {
            hooks: if hooks.is_empty() { usual.hooks } else { hooks },
            interfaces: scope.interfaces.clone(),
        };
        let plane = nftables::plane::plane_within(ruleset, self.program, self.inventory, &scope);
        self.hold_plane(plane, prover)
    }

    /// Holds Cilium objects against the source.
    pub(crate) fn hold_cilium(&self, bytes: &[u8], prover: &mut Prover) -> Held {
        match cilium::decode(bytes) {
            Ok(model) => self.hold_plane(cilium::plane::plane(&model, self.program, self.inventory), prover),
            Err(error) => Held::Unreadable(error.to_string()),
        }
    }

    /// Holds a snapshot against the source.
    pub(crate) fn hold_ebpf(&self, bytes: &[u8], prover: &mut Prover) -> Held {
        match ebpf::decode(bytes) {
            Ok(decoded) => self.hold_plane(ebpf::plane(&decoded, self.program, self.inventory), prover),
            Err(error) => Held::Unreadable(error.to_string()),
        }
    }

    /// Holds what passes a filter, by the way that the router sends it, against the source.
    fn hold_plane(&self, plane: Result<impl Plane, Unclear>, prover: &mut Prover) -> Held {
        let Some(router) = self.router else { return self.compare(plane, prover) };
        let nobody = Inventory::default();
        let inventory = match self.inventory {
            Some(inventory) => inventory,
            None if !router.services.iter().any(kube_vip::Service::has_egress) => &nobody,
            None => return Held::Unclear("no inventory says whose packets kube-vip rewrites".to_owned()),
        };
        let routed = plane.and_then(|plane| kube_vip::plane_over(router, plane, self.program, inventory));
        self.compare(routed, prover)
    }

    fn compare(&self, plane: Result<impl Plane, Unclear>, prover: &mut Prover) -> Held {
        let plane = match plane {
            Ok(plane) => plane,
            Err(unclear) => return Held::Unclear(unclear.reason),
        };
        match against_source(self.program, &plane, prover).map_err(fault::unclear) {
            Ok(comparison) => Held::Compared(Box::new(Compared { senders: plane.senders().to_vec(), comparison })),
            Err(Ok(reason)) => Held::Unclear(reason),
            Err(Err(defect)) => Held::Defect(defect),
        }
    }
}
