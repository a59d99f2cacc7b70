//! An artifact that somebody has, or what the kernel holds.
//!
//! In: bytes. Out: findings and a proof. Rulesets of others are named where they hook packets, and never guessed at.

use crate::artifact::{Held, Role, Scope, Source, Telling};
use crate::compile::Target;
use crate::disk;
use crate::exit::Failure;
use crate::nft;
use egress_answers::Proof;
use egress_backends::{kube_vip, nftables};
use egress_compiler::Diagnostic;
use egress_verifier::Prover;
use std::collections::BTreeSet;

/// What is to be held against the policies.
#[derive(Debug)]
pub(super) struct Given {
    /// What it is called in messages.
    name: String,
    target: Target,
    bytes: Vec<u8>,
    /// Whether it is what the kernel holds, of which an absent table says much.
    live: bool,
}

impl Given {
    /// A file that the user named; without a target its content says what it is for.
    ///
    /// # Errors
    /// It cannot be read, or does not say what it is for.
    pub(super) fn file(path: &str, target: Option<Target>) -> Result<Self, Failure> {
        let bytes = disk::read_given(path, disk::LIST_LIMIT)?;
        let target = target.or_else(|| target_of(path, &bytes)).ok_or_else(|| {
            Failure::new(format!("`{path}` does not say what it is for")).help("give its target with `--target`")
        })?;
        if target == Target::KubeVip {
            return Err(Failure::new(
                "kube-vip only chooses source addresses, so that there is nothing to hold it against",
            )
            .help(format!("give what filters with `--artifact`, and `--routed-by {path}` beside it")));
        }
        Ok(Self { name: format!("`{path}`"), target, bytes, live: false })
    }

    /// What nftables enforces on this machine.
    ///
    /// # Errors
    /// It cannot be asked.
    pub(super) fn live() -> Result<Self, Failure> {
        let name = "the kernel of this machine".to_owned();
        Ok(Self { name, target: Target::Nftables, bytes: nft::list_ruleset()?, live: true })
    }

    /// What the agent read out of a kernel.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn dump(path: &str) -> Result<Self, Failure> {
        let bytes = disk::read_named(path, disk::LIST_LIMIT)?;
        let name = format!("the kernel that `{path}` was read from");
        Ok(Self { name, target: Target::Ebpf, bytes, live: true })
    }

    /// Whether it is what nftables loads or lists.
    pub(super) fn is_nftables(&self) -> bool {
        self.target == Target::Nftables
    }

    /// Findings and the proof.
    pub(super) fn hold(&self, source: Source<'_>, scope: &Scope, prover: &mut Prover) -> (Vec<Diagnostic>, Vec<Proof>) {
        let mut others = None;
        let held = source.each(|source| {
            let (held, found) = self.held(source, scope, prover);
            others = found;
            held
        });
        let telling = Telling { source, name: &self.name, role: Role::Given };
        let (mut findings, proof) = telling.tell(held);
        findings.extend(others.map(|others| self.foreign(&others)));
        (findings, vec![proof])
    }

    fn held(&self, source: Source<'_>, scope: &Scope, prover: &mut Prover) -> (Held, Option<BTreeSet<String>>) {
        let is_listing = self.live || self.bytes.trim_ascii_start().starts_with(b"{");
        match self.target {
            Target::Cilium => (source.hold_cilium(&self.bytes, prover), None),
            Target::Ebpf => (source.hold_ebpf(&self.bytes, prover), None),
            Target::Nftables if is_listing => match nftables::decode_listing(&self.bytes) {
                Ok(nftables::Listing { ruleset, others }) => {
                    (source.hold_ruleset(&ruleset, scope, prover), Some(others).filter(|others| !others.is_empty()))
                }
                Err(error) => (Held::Unreadable(error.to_string()), None),
            },
            Target::Nftables => (source.hold_nftables(&self.bytes, scope, prover), None),
            Target::KubeVip => (Held::Unclear("kube-vip alone filters nothing".to_owned()), None),
        }
    }

    /// What else hooks packets.
    fn foreign(&self, others: &BTreeSet<String>) -> Diagnostic {
        let message = format!("{} holds other tables that hook packets too, of which nothing is proved", self.name);
        let warning = Diagnostic::warning("egress::artifact::foreign", message);
        let warning = others.iter().fold(warning, |warning, chain| warning.fact(chain.clone()));
        warning
            .help("see that none of them drops what the policy allows, changes addresses before, or leads packets past")
    }
}

/// The Services by which kube-vip chooses source addresses.
///
/// # Errors
/// The file cannot be read, or is not understood.
pub(super) fn router(path: &str) -> Result<kube_vip::Model, Failure> {
    let bytes = disk::read_given(path, disk::LIST_LIMIT)?;
    kube_vip::decode(&bytes).map_err(|error| Failure::new(format!("`{path}` is not understood: {error}")))
}

/// What a file is for, by its first bytes or the ending of its name.
fn target_of(path: &str, bytes: &[u8]) -> Option<Target> {
    let ends = |endings: &[&str]| endings.iter().any(|ending| path.ends_with(ending));
    if bytes.starts_with(&egress_snapshot::file::MAGIC) || ends(&[".egb"]) {
        Some(Target::Ebpf)
    } else if bytes.starts_with(b"#!/usr/sbin/nft") || bytes.starts_with(b"{\"nftables\"") || ends(&[".nft"]) {
        Some(Target::Nftables)
    } else if ends(&[".yaml", ".yml"]) {
        Some(Target::Cilium)
    } else {
        None
    }
}
