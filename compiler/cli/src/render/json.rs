//! Findings as one JSON object, in the stable form that `docs/json.md` describes.
//!
//! In: a report. Out: the object, indented, with keys in a fixed order. Additions keep `version`; changes raise it.

use super::{Made, Report, Summary};
use crate::prove::Work;
use egress_answers::Proof;
use egress_answers::coverage::Covered;
use egress_answers::objects::{FlowObject, PlaceObject, flow, place};
use egress_answers::place::Index;
use egress_compiler::source::Place;
use egress_compiler::{Diagnostic, Label, Severity};
use serde::Serialize;

/// The version of the form.
pub(crate) const VERSION: u32 = 1;

/// The report.
pub(super) fn render(report: &Report<'_>) -> String {
    let index = Index::new(report.sources);
    let object = Object {
        version: VERSION,
        tool: Tool::default(),
        verb: report.verb,
        subject: report.subject,
        summary: Summary::of(report.findings),
        findings: report.findings.iter().map(|finding| Finding::new(finding, &index)).collect(),
        artifacts: report.made,
        proofs: report.proofs,
        coverage: report.coverage,
        work: report.work,
    };
    to_text(&object)
}

/// Any object, indented, with a final line break.
pub(crate) fn to_text(object: &impl Serialize) -> String {
    // Serialising fails for maps without text keys only, and these objects have none.
    let text = serde_json::to_string_pretty(object).unwrap_or_default();
    format!("{text}\n")
}

#[derive(Serialize)]
struct Object<'r> {
    version: u32,
    tool: Tool,
    verb: &'static str,
    subject: &'r str,
    summary: Summary,
    findings: Vec<Finding<'r>>,
    artifacts: &'r [Made],
    proofs: &'r [Proof],
    coverage: &'r [Covered],
    work: Option<Work>,
}

/// This program.
#[derive(Serialize)]
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

impl Default for Tool {
    fn default() -> Self {
        Self { name: "egressc", version: env!("CARGO_PKG_VERSION") }
    }
}

#[derive(Serialize)]
struct Finding<'r> {
    code: &'static str,
    severity: &'static str,
    message: &'r str,
    labels: Vec<LabelObject<'r>>,
    witness: Option<FlowObject<'r>>,
    notes: &'r [String],
    help: Option<&'r str>,
}

#[derive(Serialize)]
struct LabelObject<'r> {
    primary: bool,
    text: &'r str,
    #[serde(flatten)]
    place: PlaceObject<'r>,
}

impl<'r> Finding<'r> {
    fn new(finding: &'r Diagnostic, index: &Index<'r>) -> Self {
        let object = |label: &'r Label| {
            let place = place(index, Place::new(label.source, label.span))?;
            Some(LabelObject { primary: label.primary, text: &label.text, place })
        };
        Self {
            code: finding.code,
            severity: severity(finding.severity),
            message: &finding.message,
            labels: finding.labels.iter().filter_map(object).collect(),
            witness: finding.witness.as_ref().map(flow),
            notes: &finding.notes,
            help: finding.help.as_deref(),
        }
    }
}

/// The word for a severity.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}
