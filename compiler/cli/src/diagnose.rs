//! Diagnosing: reads a unit and what it is held against, and compiles it.
//!
//! In: the options that verbs share. Out: the program, every finding, the digest of all that was read. Never prints.

use crate::arguments::{UnitArguments, WorldArguments};
use crate::clock;
use crate::disk;
use crate::exit::{Failure, Outcome};
use crate::progress;
use crate::render::Report;
use crate::unit::{self, Unit};
use egress_answers::{counted, fault};
use egress_compiler::{Compiled, Diagnostic, Options, Severity};
use egress_ir::Inventory;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// A unit with everything that is known about it.
#[derive(Debug)]
pub(crate) struct Diagnosed {
    /// What it means, and what is wrong with it; errors of the inventory are among the findings.
    pub(crate) compiled: Compiled,
    /// What runs in the cluster.
    pub(crate) inventory: Option<Inventory>,
    /// What was looked at, such as `3 files, 12 rules`.
    pub(crate) subject: String,
    /// SHA-256 over all files that were read: of the sorted lines `DIGEST KIND PATH`, see `docs/cli.md`.
    pub(crate) digest: String,
    inventory_is_unusable: bool,
}

/// Reads and compiles.
///
/// # Errors
/// A file that the user named cannot be read.
pub(crate) fn run(unit: &UnitArguments, world: &WorldArguments) -> Result<Diagnosed, Failure> {
    if unit.paths.iter().chain(&world.inventory).filter(|path| *path == "-").count() > 1 {
        return Err(Failure::new("standard input can be read once only").help("give `-` once"));
    }
    let Unit { input, disk } = unit::read(&unit.paths, &unit.root)?;
    let Known { inventory, faults, documents } = known(&world.inventory)?;
    let mut manifest = source_lines(&input.sources, &input.root);
    manifest.extend(documents.iter().map(|bytes| format!("{} inventory", hexadecimal(bytes))));

    let options = Options {
        as_of: Some(world.as_of.unwrap_or_else(clock::today)),
        inventory: inventory.as_ref(),
        strict: world.strict,
    };
    let files = counted(input.sources.len(), "file");
    let mut compiled =
        progress::during(&format!("checking {files}"), || egress_compiler::compile(input, &disk, &options));

    manifest.extend(compiled.lists.iter().map(|list| format!("{} list {}", list.sha256, list.path)));
    let inventory_is_unusable = !faults.is_empty();
    compiled.diagnostics.extend(faults);
    let subject = subject(&files, &compiled, inventory.as_ref());
    let digest = digest(manifest);
    Ok(Diagnosed { compiled, inventory, subject, digest, inventory_is_unusable })
}

impl Diagnosed {
    /// The findings as a report.
    pub(crate) fn report<'r>(&'r self, verb: &'static str, findings: &'r [Diagnostic]) -> Report<'r> {
        Report {
            verb,
            subject: &self.subject,
            sources: &self.compiled.sources,
            findings,
            made: &[],
            proofs: &[],
            coverage: &[],
            work: None,
        }
    }

    /// How a command ends that has these findings and these proofs: a refuted one is a finding.
    pub(crate) fn outcome_of_proofs(&self, findings: &[Diagnostic], deny_warnings: bool) -> Outcome {
        let (unknown, known): (Vec<_>, Vec<_>) = findings.iter().cloned().partition(fault::is_unknown);
        match self.outcome(&known, deny_warnings) {
            Outcome::Holds if self.outcome(&unknown, deny_warnings) != Outcome::Holds => Outcome::Unknown,
            other => other,
        }
    }

    /// How a command ends that has these findings.
    pub(crate) fn outcome(&self, findings: &[Diagnostic], deny_warnings: bool) -> Outcome {
        let counts = |severity| match severity {
            Severity::Error => true,
            Severity::Warning => deny_warnings,
            Severity::Note => false,
        };
        if self.inventory_is_unusable {
            Outcome::Unusable
        } else if self.compiled.unfinished {
            Outcome::Unknown
        } else if findings.iter().any(|finding| counts(finding.severity)) {
            Outcome::Findings
        } else {
            Outcome::Holds
        }
    }
}

/// What is known of the cluster.
#[derive(Debug)]
pub(crate) struct Known {
    /// What runs; nothing where no file was named, or one is malformed.
    pub(crate) inventory: Option<Inventory>,
    /// What is wrong with the files.
    pub(crate) faults: Vec<Diagnostic>,
    documents: Vec<Vec<u8>>,
}

/// Reads the files of an inventory.
///
/// # Errors
/// One of them cannot be read.
pub(crate) fn known(paths: &[String]) -> Result<Known, Failure> {
    let documents =
        paths.iter().map(|path| disk::read_given(path, disk::INVENTORY_LIMIT)).collect::<Result<Vec<_>, _>>()?;
    let (inventory, faults) = inventory(&documents);
    Ok(Known { inventory, faults, documents })
}

fn inventory(documents: &[Vec<u8>]) -> (Option<Inventory>, Vec<Diagnostic>) {
    if documents.is_empty() {
        return (None, Vec::new());
    }
    match egress_compiler::inventory::read_all(documents.iter().map(Vec::as_slice)) {
        Ok(inventory) => (Some(inventory), Vec::new()),
        Err(errors) => (None, errors.into_iter().map(Diagnostic::from).collect()),
    }
}

/// A line for each source, its path spelled from the root, so that the digest is the same wherever the unit lies.
fn source_lines(sources: &[egress_compiler::SourceText], root: &str) -> BTreeSet<String> {
    let from_root = |path: &str| {
        let below = path.strip_prefix(root).map(|rest| rest.trim_start_matches('/'));
        below.filter(|_| root != ".").unwrap_or(path).to_owned()
    };
    sources.iter().map(|source| format!("{} source {}", hexadecimal(&source.bytes), from_root(&source.path))).collect()
}

/// The digest of the lines of a manifest.
pub(crate) fn digest(manifest: BTreeSet<String>) -> String {
    let text: String = manifest.into_iter().map(|line| line + "\n").collect();
    hexadecimal(text.as_bytes())
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn subject(files: &str, compiled: &Compiled, inventory: Option<&Inventory>) -> String {
    let rules = compiled.program.as_ref().map(|program| counted(program.rules.len(), "rule"));
    let pods = inventory.map(|inventory| counted(inventory.pods.len(), "pod"));
    [Some(files.to_owned()), rules, pods].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
