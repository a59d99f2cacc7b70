//! `egressc lint`: mistakes in manifests that people wrote for a target by hand.
//!
//! In: YAML files, folders or standard input, and an inventory if there is one. Out: findings on standard output; exit
//! code 1 if some are errors or warnings. What is a mistake is decided by the backends; each file is looked at by itself.

use crate::arguments::Format;
use crate::diagnose;
use crate::disk;
use crate::exit::{Failure, Outcome};
use crate::render::{self, Report};
use crate::terminal::{self, Colour};
use crate::unit;
use egress_answers::counted;
use egress_backends::lint::{Finding, Level};
use egress_backends::{cilium, kube_vip};
use egress_compiler::source::Place;
use egress_compiler::{Diagnostic, Label, Severity, Source, diagnostic};
use egress_ir::{Arena, Inventory, SourceId};
use egress_lang::span::Span;

/// The options of `lint`.
#[derive(Debug, clap::Args)]
pub(crate) struct Lint {
    #[command(subcommand)]
    target: Target,
}

/// Whose manifests are looked at.
#[derive(Debug, clap::Subcommand)]
enum Target {
    /// Services with annotations for kube-vip, and kube-vip's own manifest; see docs/kube-vip.md
    KubeVip(Files),
    /// Objects of the kind CiliumEgressGatewayPolicy; see docs/lint-cilium.md
    Cilium(Files),
}

/// What is looked at, and how it is shown.
#[derive(Debug, clap::Args)]
struct Files {
    /// Manifests, or folders that are searched for *.yaml and *.yml; - is standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// What runs in the cluster: JSON of `kubectl get pods,namespaces,nodes,services -A -o json`; may be given again
    #[arg(long, value_name = "FILE")]
    inventory: Vec<String>,
    /// The form of the findings
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// Looks for mistakes in a text.
type Linter = fn(&str, Option<&Inventory>) -> Vec<Finding>;

/// Lints.
pub(crate) fn run(options: &Lint, colour: Colour) -> Result<Outcome, Failure> {
    let (files, linter): (&Files, Linter) = match &options.target {
        Target::KubeVip(files) => (files, kube_vip::lint),
        Target::Cilium(files) => (files, cilium::lint),
    };
    if files.paths.iter().chain(&files.inventory).filter(|path| *path == "-").count() > 1 {
        return Err(Failure::new("standard input can be read once only").help("give `-` once"));
    }
    let known = diagnose::known(&files.inventory)?;
    let unusable = !known.faults.is_empty();
    let (sources, mut findings) = look(&files.paths, linter, known.inventory.as_ref())?;
    findings.extend(known.faults);
    diagnostic::sort(&mut findings);
    let subject = counted(sources.len(), "file");
    let report = Report {
        verb: "lint",
        subject: &subject,
        sources: &sources,
        findings: &findings,
        made: &[],
        proofs: &[],
        coverage: &[],
        work: None,
    };
    terminal::print(&render::render(&report, files.format, colour.on_stdout()))?;
    let counts = findings.iter().any(|finding| finding.severity != Severity::Note);
    Ok(match (unusable, counts) {
        (true, _) => Outcome::Unusable,
        (false, true) => Outcome::Findings,
        (false, false) => Outcome::Holds,
    })
}

/// Looks at every file.
fn look(
    paths: &[String],
    linter: Linter,
    inventory: Option<&Inventory>,
) -> Result<(Arena<SourceId, Source>, Vec<Diagnostic>), Failure> {
    let (mut sources, mut findings) = (Arena::default(), Vec::new());
    for path in unit::manifests(paths)? {
        let bytes = disk::read_given(&path, disk::SOURCE_LIMIT)?;
        let text = String::from_utf8(bytes).map_err(|_| Failure::new(format!("`{path}` is not valid UTF-8")))?;
        let found = linter(&text, inventory);
        let source = sources.push(Source::new(path, text));
        findings.extend(found.into_iter().map(|finding| diagnosed(source, finding)));
    }
    Ok((sources, findings))
}

fn diagnosed(source: SourceId, finding: Finding) -> Diagnostic {
    let severity = match finding.level {
        Level::Error => Severity::Error,
        Level::Warning => Severity::Warning,
        Level::Note => Severity::Note,
    };
    let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    let place = Place::new(source, Span::new(at(finding.span.start), at(finding.span.end)));
    let label = Label::primary(place, finding.object);
    let mut diagnosed = Diagnostic::new(finding.code, severity, finding.message).labels(vec![label]).help(finding.fix);
    diagnosed.notes.push(format!("what happens: {}", finding.happens));
    diagnosed
}
