//! `egressc compile`: makes the files by which targets enforce a unit.
//!
//! In: files, an inventory, targets. Out: one artifact for each target, all of them or none. The way: check, emit, read
//! the bytes back and prove that they do what the source says, have the target's own tool check them, write. A finding
//! that is an error stops it at any stage, and then nothing is written.

mod facets;
mod findings;
mod job;
mod options;
mod preview;
mod replaces;
mod unproved;

pub(crate) use options::{Compile, HookName, Target};
pub(crate) use preview::preview;

use crate::artifact::Source;
use crate::diagnose::{self, Diagnosed};
use crate::disk;
use crate::exit::{Failure, Outcome};
use crate::prove::{Session, Work};
use crate::render::{self, Made};
use crate::terminal::{self, Colour};
use crate::write;
use egress_backends::Artifact;
use egress_compiler::{Diagnostic, diagnostic};
use facets::Plan;
use job::{Checked, Job};
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
        let source = Source { program, inventory: diagnosed.inventory.as_ref(), router: None };
        let mut session = Session::open(&options.proof);
        match Plan::of(&options.targets()) {
            Ok(plan) => {
                let nftables = options.nftables.resolved(
                    options.generation,
                    options.gateway_mask,
                    replaced,
                    plan,
                    &diagnosed.digest,
                );
                let job = Job { options, plan, source, digest: &diagnosed.digest, nftables, key: key.as_ref() };
                made = job.run(&mut session.prover, &mut findings);
            }
            Err(finding) => findings.push(*finding),
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
