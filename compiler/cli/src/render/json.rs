//! Findings as one JSON object, in the stable form that `docs/json.md` describes.
//!
//! In: a report. Out: the object, indented, with keys in a fixed order. Additions keep `version`; changes raise it.

use super::place::{Index, Position};
use super::{Covered, Made, Proof, Report, Summary};
use crate::prove::Work;
use egress_compiler::source::Place;
use egress_compiler::{Diagnostic, Label, Severity};
use egress_ir::{Flow, Labels, Workload, protocol};
use serde::Serialize;
use std::collections::BTreeSet;

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

/// A flow as an object.
pub(crate) fn flow(flow: &Flow) -> FlowObject<'_> {
    let number = flow.port.number();
    let (port, icmp) = match flow.port.protocol() {
        protocol::TCP | protocol::UDP | protocol::SCTP => (Some(number), None),
        protocol::ICMP | protocol::ICMPV6 => (None, Some(Icmp { kind: number >> 8, code: number & 0xff })),
        _ => (None, None),
    };
    FlowObject {
        text: flow.to_string(),
        from: match &flow.workload {
            Workload::Address(address) => From::Address { address: address.to_string() },
            Workload::Pod(pod) => From::Pod {
                namespace: &pod.namespace,
                name: pod.name.as_deref(),
                labels: &pod.labels,
                namespace_labels: &pod.namespace_labels,
                service_account: &pod.service_account,
            },
        },
        address: flow.destination.address.to_string(),
        names: &flow.destination.names,
        protocol: flow.port.protocol(),
        port,
        icmp,
    }
}

/// A stretch of a file as an object, if the file is of this unit.
pub(crate) fn place<'s>(index: &Index<'s>, place: Place) -> Option<PlaceObject<'s>> {
    let lines = index.file(place.source)?;
    let (start, end) = (lines.position(place.span.start), lines.position(place.span.end));
    Some(PlaceObject { file: &lines.source.path, start, end })
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

/// A stretch of a file.
#[derive(Serialize)]
pub(crate) struct PlaceObject<'r> {
    file: &'r str,
    start: Position,
    end: Position,
}

/// A flow.
#[derive(Serialize)]
pub(crate) struct FlowObject<'f> {
    text: String,
    from: From<'f>,
    address: String,
    names: &'f BTreeSet<String>,
    protocol: u8,
    port: Option<u16>,
    icmp: Option<Icmp>,
}

#[derive(Serialize)]
struct Icmp {
    #[serde(rename = "type")]
    kind: u16,
    code: u16,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum From<'f> {
    Address {
        address: String,
    },
    Pod {
        namespace: &'f str,
        name: Option<&'f str>,
        labels: &'f Labels,
        namespace_labels: &'f Labels,
        service_account: &'f str,
    },
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
