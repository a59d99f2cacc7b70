//! The artifacts of one call: emitted, read back and proved, and checked by the targets' own tools.
//!
//! In: a program and a plan of who does what. Out: artifacts with what was done to them; findings say why one is
//! missing. Nothing is written here.

use super::facets::Plan;
use super::options::{Compile, Target};
use super::{findings, unproved};
use crate::artifact::{Held, Role, Scope, Source, Telling};
use crate::nft::{self, DryRun};
use crate::progress;
use crate::render::Made;
use egress_answers::{Proof, Standing, fault};
use egress_backends::{Artifact, EmitError, cilium, ebpf, kube_vip, nftables};
use egress_compiler::Diagnostic;
use egress_snapshot::SigningKey;
use egress_verifier::Prover;

/// What artifacts are made of.
pub(super) struct Job<'j> {
    pub(super) options: &'j Compile,
    pub(super) plan: Plan,
    pub(super) source: Source<'j>,
    /// The digest of what it is made from.
    pub(super) digest: &'j str,
    pub(super) nftables: nftables::Options,
    /// What snapshots are signed with.
    pub(super) key: Option<&'j SigningKey>,
}

/// An artifact with what was done to it.
pub(super) struct Checked {
    pub(super) artifact: Artifact,
    pub(super) note: Made,
}

/// An artifact that nothing was done to yet.
struct Emitted {
    target: Target,
    artifact: Artifact,
}

/// What is known of an artifact.
struct Proved {
    findings: Vec<Diagnostic>,
    proof: Proof,
}

impl Job<'_> {
    /// The artifacts of all targets; findings say why one is missing.
    pub(super) fn run(&self, prover: &mut Prover, found: &mut Vec<Diagnostic>) -> Vec<Checked> {
        let targets = self.options.targets();
        let mut emitted = Vec::new();
        for &target in &targets {
            emitted.extend(self.emitted(target, found));
        }
        // What is held against the source together says nothing while a part of it is missing.
        if self.plan != Plan::Apart && emitted.len() < targets.len() {
            return Vec::new();
        }
        let proofs = progress::during("proving the artifacts", || self.prove(&emitted, prover));
        let parts = emitted.into_iter().zip(proofs);
        parts.filter_map(|(emitted, proved)| self.checked(emitted, proved, found)).collect()
    }

    /// The artifact for a target.
    fn emitted(&self, target: Target, found: &mut Vec<Diagnostic>) -> Option<Emitted> {
        let program = self.source.program;
        match progress::during("compiling", || self.emit(target)) {
            Ok(artifact) => {
                found.extend(artifact.notices.iter().map(|notice| findings::notice(program, target, notice)));
                Some(Emitted { target, artifact })
            }
            Err(errors) => {
                found.extend(errors.iter().map(|error| findings::refusal(program, target, error)));
                None
            }
        }
    }

    fn emit(&self, target: Target) -> Result<Artifact, Vec<EmitError>> {
        let (program, inventory, digest) = (self.source.program, self.source.inventory, self.digest);
        let options = self.options;
        match target {
            Target::Nftables => nftables::emit(program, inventory, &self.nftables),
            Target::Cilium => {
                let managed = options.kube_vip.vips(self.plan, program, digest);
                cilium::emit(program, inventory, &options.cilium.resolved(self.plan, managed, digest))
            }
            Target::Ebpf => {
                let (number, mask) = (options.generation, options.gateway_mask);
                ebpf::emit(program, inventory, &options.ebpf.resolved(number, mask, self.plan, digest))
            }
            Target::KubeVip => kube_vip::emit(program, inventory, &options.kube_vip.resolved(self.plan, digest)),
        }
    }

    /// What is known of each artifact, in their order. What kube-vip routes is held together with each filter.
    fn prove(&self, emitted: &[Emitted], prover: &mut Prover) -> Vec<Proved> {
        let router = emitted.iter().find(|emitted| emitted.target == Target::KubeVip);
        let router = router.map(|router| kube_vip::decode(&router.artifact.bytes).map_err(|error| error.to_string()));
        let filters = emitted.iter().filter(|emitted| emitted.target != Target::KubeVip);
        let mut proved: Vec<Proved> = filters
            .map(|filter| match &router {
                Some(Err(why)) => self.told("the artifact for kube-vip", Held::Unreadable(why.clone())),
                Some(Ok(model)) => {
                    let together = Source { router: Some(model), ..self.source };
                    let name = format!("the artifact for {}, with the one for kube-vip,", filter.target.name());
                    self.told(&name, together.each(|source| self.hold(source, filter, prover)))
                }
                None => {
                    let name = format!("the artifact for {}", filter.target.name());
                    self.told(&name, self.hold(self.source, filter, prover))
                }
            })
            .collect();
        if router.is_some() {
            // The same proofs are about it; the findings have been said of the filters.
            let worst = proved.iter().map(|proved| &proved.proof).max_by_key(|proof| match proof.answer {
                Standing::Proved => 0,
                Standing::Unknown => 1,
                Standing::Refuted => 2,
            });
            let worst = worst.cloned().map(|proof| Proved { findings: Vec::new(), proof });
            // Sorted by target, the router stands last.
            proved.extend(worst);
        }
        proved
    }

    fn told(&self, name: &str, held: Held) -> Proved {
        let (findings, proof) = Telling { source: self.source, name, role: Role::Made }.tell(held);
        Proved { findings, proof }
    }

    fn hold(&self, source: Source<'_>, emitted: &Emitted, prover: &mut Prover) -> Held {
        let scope = Scope { hooks: self.nftables.hooks.clone(), interfaces: self.nftables.interfaces.clone() };
        let bytes = &emitted.artifact.bytes;
        match emitted.target {
            Target::Nftables => source.hold_nftables(bytes, &scope, prover),
            Target::Cilium => source.hold_cilium(bytes, prover),
            Target::Ebpf => source.hold_ebpf(bytes, prover),
            Target::KubeVip => Held::Unclear("kube-vip alone filters nothing".to_owned()),
        }
    }

    /// An artifact that may be written. Nothing when it is wrong, or nobody knows; then findings say so, unless unproved
    /// artifacts are wanted.
    fn checked(&self, emitted: Emitted, proved: Proved, found: &mut Vec<Diagnostic>) -> Option<Checked> {
        let (Emitted { target, mut artifact }, Proved { findings, proof }) = (emitted, proved);
        if proof.answer != Standing::Proved {
            let unproved = self.options.unproved;
            found.extend(findings.into_iter().map(|finding| unproved::finding(finding, unproved)));
            artifact.bytes = unproved::marked(target, &artifact.bytes, &proof);
            if !unproved {
                return None;
            }
        }
        let mut checks: Vec<String> = artifact.size.iter().cloned().collect();
        checks.push(match proof.answer {
            Standing::Proved => format!("proved {} for {}", self.equal(target), proof.notes.join("; ")),
            Standing::Unknown | Standing::Refuted => "unproved: it says so itself".to_owned(),
        });
        if self.plan == Plan::Routed && target == Target::KubeVip {
            checks.push("routes the pods of the inventory: compile again when pods come and go".to_owned());
        }
        if target == Target::Nftables {
            checks.push(self.dry_run(&artifact, found)?);
        }
        if let Some(key) = self.key.filter(|_| target == Target::Ebpf) {
            checks.push(sign(&mut artifact, key, found)?);
        }
        let note = Made { target: target.name(), file: None, bytes: artifact.bytes.len(), checks, proof };
        Some(Checked { artifact, note })
    }

    /// What was proved of an artifact.
    fn equal(&self, target: Target) -> &'static str {
        match (self.plan, target) {
            (Plan::Apart, _) | (Plan::Paired, Target::Cilium) => "equal to its source",
            (Plan::Routed | Plan::Paired, Target::KubeVip) => "equal to its source, with what filters,",
            (Plan::Routed | Plan::Paired, _) => "equal to its source, with what kube-vip routes,",
        }
    }

    /// What is to be said of nft's own check; nothing when nft refused the artifact.
    fn dry_run(&self, artifact: &Artifact, found: &mut Vec<Diagnostic>) -> Option<String> {
        if self.options.nftables.no_nft_check {
            return Some("not checked by nft: `--no-nft-check`".to_owned());
        }
        match nft::dry_run(&artifact.bytes) {
            DryRun::Passed(how) => Some(format!("checked by {how}")),
            DryRun::NotDone(why) => Some(format!("not checked by nft: {why}")),
            DryRun::Refused(said) => {
                found.push(findings::refused_by_nft(&said));
                None
            }
        }
    }
}

/// Signs a snapshot. Nothing when it cannot be signed, which findings say.
fn sign(artifact: &mut Artifact, key: &SigningKey, found: &mut Vec<Diagnostic>) -> Option<String> {
    match egress_snapshot::file::rewrite(&artifact.bytes, |_| {}, Some(key)) {
        Ok(bytes) => {
            artifact.bytes = bytes;
            let key: String = key.public().iter().map(|byte| format!("{byte:02x}")).collect();
            Some(format!("signed by the ed25519 key {key}"))
        }
        Err(error) => {
            found.push(
                fault::defect("egress::internal::artifact", "the snapshot cannot be signed").fact(error.to_string()),
            );
            None
        }
    }
}
