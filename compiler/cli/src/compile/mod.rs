//! `egressc compile`: makes the files by which targets enforce a unit.
//!
//! In: files, an inventory, targets. Out: one artifact for each target, all of them or none. The way: check, emit, read
//! the bytes back and prove that they do what the source says, have the target's own tool check them, write. A finding
//! that is an error stops it at any stage, and then nothing is written.

mod findings;
mod options;
mod replaces;
mod unproved;

pub(crate) use options::{Compile, HookName, Target};

use crate::artifact::{Held, Role, Scope, Source, Telling};
use crate::diagnose::{self, Diagnosed};
use crate::disk;
use crate::exit::{Failure, Outcome};
use crate::nft::{self, DryRun};
use crate::progress;
use crate::prove::{self, Session, Work};
use crate::render::{self, Made, Proof, Standing};
use crate::terminal::{self, Colour};
use crate::write;
use egress_backends::{Artifact, EmitError, cilium, ebpf, nftables};
use egress_compiler::{Diagnostic, diagnostic};
use egress_ir::Program;
use egress_snapshot::SigningKey;
use egress_verifier::Prover;
use std::path::{Path, PathBuf};

/// Compiles.
pub(crate) fn run(options: &Compile, colour: Colour) -> Result<Outcome, Failure> {
    options.validate()?;
    let replaced = match &options.nftables.replaces {
        Some(path) => Some(replaces::read(path, &disk::read_named(path, disk::LIST_LIMIT)?)?),
        None => None,
    };
    let key = options.ebpf.key()?;
    let diagnosed = diagnose::run(&options.unit, &options.world)?;
    let mut findings = diagnosed.compiled.diagnostics.clone();
    let mut made = Vec::new();
    let mut work = None;
    if diagnosed.outcome(&findings, options.findings.deny_warnings) == Outcome::Holds
        && let Some(program) = &diagnosed.compiled.program
    {
        let nftables = options.nftables.resolved(options.generation, replaced, &diagnosed.digest);
        let source = Source { program, inventory: diagnosed.inventory.as_ref() };
        let job = Job { options, program, source, diagnosed: &diagnosed, nftables, key: key.as_ref() };
        let mut session = Session::open(&options.proof);
        for target in options.targets() {
            made.extend(job.make(target, &mut session.prover, &mut findings));
        }
        let closed = session.close();
        work = Some(closed.work);
        findings.extend(closed.warnings);
        diagnostic::sort(&mut findings);
    }
    let outcome = diagnosed.outcome_of_proofs(&findings, options.findings.deny_warnings);
    if outcome == Outcome::Holds {
        options.write(&made)?;
    } else {
        made.clear();
    }
    options.report(&diagnosed, &findings, made, work, colour)?;
    Ok(outcome)
}

/// An artifact with what was done to it.
struct Checked {
    artifact: Artifact,
    note: Made,
}

/// What artifacts are made of.
struct Job<'j> {
    options: &'j Compile,
    program: &'j Program,
    source: Source<'j>,
    diagnosed: &'j Diagnosed,
    nftables: nftables::Options,
    /// What snapshots are signed with.
    key: Option<&'j SigningKey>,
}

impl Job<'_> {
    /// The artifact for a target with what was done to check it; findings say why there is none.
    fn make(&self, target: Target, prover: &mut Prover, found: &mut Vec<Diagnostic>) -> Option<Checked> {
        let mut artifact = match progress::during("compiling", || self.emit(target)) {
            Ok(artifact) => artifact,
            Err(errors) => {
                found.extend(errors.iter().map(|error| findings::refusal(self.program, target, error)));
                return None;
            }
        };
        found.extend(artifact.notices.iter().map(|notice| findings::notice(self.program, target, notice)));
        let proof = self.prove(target, &mut artifact, prover, found)?;
        let mut checks: Vec<String> = artifact.size.iter().cloned().collect();
        checks.push(match proof.answer {
            Standing::Proved => format!("proved equal to its source for {}", proof.notes.join("; ")),
            Standing::Unknown | Standing::Refuted => "unproved: it says so itself".to_owned(),
        });
        if target == Target::Nftables {
            checks.push(self.dry_run(&artifact, found)?);
        }
        if let Some(key) = self.key.filter(|_| target == Target::Ebpf) {
            checks.push(sign(&mut artifact, key, found)?);
        }
        let note = Made { target: target.name(), file: None, bytes: artifact.bytes.len(), checks, proof };
        Some(Checked { artifact, note })
    }

    /// The proof that an artifact does what the source says. Nothing when it does not, or nobody knows; then findings
    /// say so, unless unproved artifacts are wanted.
    fn prove(
        &self,
        target: Target,
        artifact: &mut Artifact,
        prover: &mut Prover,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Proof> {
        let held = progress::during("proving the artifact", || self.hold(target, artifact, prover));
        let name = format!("the artifact for {}", target.name());
        let telling = Telling { source: self.source, name: &name, role: Role::Made };
        let (findings, proof) = telling.tell(held);
        if proof.answer == Standing::Proved {
            return Some(proof);
        }
        let unproved = self.options.unproved;
        found.extend(findings.into_iter().map(|finding| unproved::finding(finding, unproved)));
        artifact.bytes = unproved::marked(target, &artifact.bytes, &proof);
        unproved.then_some(proof)
    }

    fn emit(&self, target: Target) -> Result<Artifact, Vec<EmitError>> {
        match target {
            Target::Nftables => nftables::emit(self.program, self.diagnosed.inventory.as_ref(), &self.nftables),
            Target::Cilium => {
                let options = self.options.cilium.resolved(&self.diagnosed.digest);
                cilium::emit(self.program, self.diagnosed.inventory.as_ref(), &options)
            }
            Target::Ebpf => {
                let options = self.options.ebpf.resolved(self.options.generation, &self.diagnosed.digest);
                ebpf::emit(self.program, self.diagnosed.inventory.as_ref(), &options)
            }
        }
    }

    fn hold(&self, target: Target, artifact: &Artifact, prover: &mut Prover) -> Held {
        let scope = Scope { hooks: self.nftables.hooks.clone(), interfaces: self.nftables.interfaces.clone() };
        match target {
            Target::Nftables => self.source.hold_nftables(&artifact.bytes, &scope, prover),
            Target::Cilium => self.source.hold_cilium(&artifact.bytes, prover),
            Target::Ebpf => self.source.hold_ebpf(&artifact.bytes, prover),
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
    let signed = egress_snapshot::file::read(&artifact.bytes)
        .and_then(|snapshot| egress_snapshot::file::write(&snapshot.meta, snapshot.tables.bytes(), Some(key)));
    match signed {
        Ok(bytes) => {
            artifact.bytes = bytes;
            let key: String = key.public().iter().map(|byte| format!("{byte:02x}")).collect();
            Some(format!("signed by the ed25519 key {key}"))
        }
        Err(error) => {
            found.push(
                prove::defect("egress::internal::artifact", "the snapshot cannot be signed").fact(error.to_string()),
            );
            None
        }
    }
}

impl Compile {
    /// Where an artifact goes; nothing for standard output.
    fn path_of(&self, artifact: &Artifact) -> Option<PathBuf> {
        match (&self.out_dir, &self.output) {
            (Some(folder), _) => Some(folder.join(artifact.file_name)),
            (None, Some(file)) if file != Path::new("-") => Some(file.clone()),
            (None, _) => None,
        }
    }

    fn goes_to_stdout(&self) -> bool {
        self.out_dir.is_none() && self.output.as_ref().is_none_or(|file| file == Path::new("-"))
    }

    fn write(&self, made: &[Checked]) -> Result<(), Failure> {
        let to_file = |checked: &Checked| Some((self.path_of(&checked.artifact)?, checked.artifact.bytes.clone()));
        let files: Vec<_> = made.iter().filter_map(to_file).collect();
        write::all(&files)?;
        let to_stdout = made.iter().filter(|checked| self.path_of(&checked.artifact).is_none());
        to_stdout.into_iter().try_for_each(|checked| terminal::print_bytes(&checked.artifact.bytes))
    }

    /// Findings and artifacts, on standard error where standard output holds an artifact.
    fn report(
        &self,
        diagnosed: &Diagnosed,
        found: &[Diagnostic],
        made: Vec<Checked>,
        work: Option<Work>,
        colour: Colour,
    ) -> Result<(), Failure> {
        let named = |checked: Checked| {
            let path = self.path_of(&checked.artifact).map(|path| path.display().to_string());
            Made { file: path, ..checked.note }
        };
        let made: Vec<Made> = made.into_iter().map(named).collect();
        let report = render::Report { made: &made, work, ..diagnosed.report("compile", found) };
        if self.goes_to_stdout() {
            terminal::complain(&render::render(&report, self.findings.format, colour.on_stderr()));
            Ok(())
        } else {
            terminal::print(&render::render(&report, self.findings.format, colour.on_stdout()))
        }
    }
}
