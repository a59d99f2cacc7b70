//! `egressc compile`: makes the files by which targets enforce a unit.
//!
//! In: files, an inventory, targets. Out: one artifact for each target, all of them or none. The way: check, emit, read
//! the bytes back and hold them against the source, have the target's own tool check them, write. A finding that is an
//! error stops it at any stage, and then nothing is written.

mod differential;
mod findings;
mod nft;
mod options;
mod replaces;
mod sample;

pub(crate) use options::Compile;

use crate::diagnose::{self, Diagnosed};
use crate::disk;
use crate::exit::{Failure, Outcome};
use crate::progress;
use crate::render::{self, Made};
use crate::terminal::{self, Colour};
use crate::write;
use differential::SelfCheck;
use egress_backends::{Artifact, EmitError, cilium, nftables};
use egress_compiler::{Diagnostic, diagnostic};
use egress_ir::Program;
use nft::DryRun;
use options::Target;
use std::path::{Path, PathBuf};

/// Compiles.
pub(crate) fn run(options: &Compile, colour: Colour) -> Result<Outcome, Failure> {
    options.validate()?;
    let replaced = match &options.nftables.replaces {
        Some(path) => Some(replaces::read(path, &disk::read_named(path, disk::LIST_LIMIT)?)?),
        None => None,
    };
    let diagnosed = diagnose::run(&options.unit, &options.world)?;
    let mut findings = diagnosed.compiled.diagnostics.clone();
    let mut made = Vec::new();
    if diagnosed.outcome(&findings, options.findings.deny_warnings) == Outcome::Holds
        && let Some(program) = &diagnosed.compiled.program
    {
        let nftables = options.nftables.resolved(replaced, &diagnosed.digest);
        let job = Job { options, program, diagnosed: &diagnosed, nftables };
        for target in options.targets() {
            made.extend(job.make(target, &mut findings));
        }
        diagnostic::sort(&mut findings);
    }
    let outcome = diagnosed.outcome(&findings, options.findings.deny_warnings);
    if outcome == Outcome::Holds {
        options.write(&made)?;
    } else {
        made.clear();
    }
    options.report(&diagnosed, &findings, made, colour)?;
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
    diagnosed: &'j Diagnosed,
    nftables: nftables::Options,
}

impl Job<'_> {
    /// The artifact for a target with what was done to check it; findings say why there is none.
    fn make(&self, target: Target, found: &mut Vec<Diagnostic>) -> Option<Checked> {
        let artifact = match progress::during("compiling", || self.emit(target)) {
            Ok(artifact) => artifact,
            Err(errors) => {
                found.extend(errors.iter().map(|error| findings::refusal(self.program, target, error)));
                return None;
            }
        };
        found.extend(artifact.notices.iter().map(|notice| findings::notice(self.program, target, notice)));
        let flows = match progress::during("checking the artifact", || self.self_check(target, &artifact)) {
            SelfCheck::Agrees(flows) => flows,
            SelfCheck::Differs { flow, passes } => {
                found.push(findings::differs(target, *flow, passes));
                return None;
            }
            SelfCheck::Unreadable(why) => {
                found.push(findings::unreadable(target, &why));
                return None;
            }
        };
        let mut checks = vec![format!("checked against the source on {}", render::counted(flows, "flow"))];
        if target == Target::Nftables {
            checks.push(self.dry_run(&artifact, found)?);
        }
        let note = Made { target: target.name(), file: None, bytes: artifact.bytes.len(), flows, checks };
        Some(Checked { artifact, note })
    }

    fn emit(&self, target: Target) -> Result<Artifact, Vec<EmitError>> {
        match target {
            Target::Nftables => nftables::emit(self.program, self.diagnosed.inventory.as_ref(), &self.nftables),
            Target::Cilium => cilium::emit(self.program, &self.options.cilium.resolved(&self.diagnosed.digest)),
        }
    }

    fn self_check(&self, target: Target, artifact: &Artifact) -> SelfCheck {
        let inventory = self.diagnosed.inventory.as_ref();
        match target {
            Target::Nftables => differential::nftables(self.program, inventory, &self.nftables, &artifact.bytes),
            Target::Cilium => differential::cilium(self.program, inventory, &artifact.bytes),
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
        colour: Colour,
    ) -> Result<(), Failure> {
        let named = |checked: Checked| {
            let path = self.path_of(&checked.artifact).map(|path| path.display().to_string());
            Made { file: path, ..checked.note }
        };
        let made: Vec<Made> = made.into_iter().map(named).collect();
        let report = render::Report { made: &made, ..diagnosed.report("compile", found) };
        if self.goes_to_stdout() {
            terminal::complain(&render::render(&report, self.findings.format, colour.on_stderr()));
            Ok(())
        } else {
            terminal::print(&render::render(&report, self.findings.format, colour.on_stdout()))
        }
    }
}
