//! Findings as the protocol's diagnostics.
//!
//! The message has all that the command prints below a finding: what is said at its place, facts, the flow that shows it,
//! help. The other places are related information.

use crate::unit::Unit;
use crate::view::{Uris, uri_of};
use egress_compiler::{Diagnostic, Label, Place, Severity};
use gen_lsp_types::{
    Code, DiagnosticRelatedInformation, DiagnosticSeverity, DiagnosticTag, Location, Message, Position, Range,
};
use std::fmt::Write;

/// A finding for the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The file that it is about; nothing for findings about no file.
    pub path: Option<String>,
    /// The finding; at the start where it is about no file.
    pub diagnostic: gen_lsp_types::Diagnostic,
}

/// A finding for the client, which may not show related information: then it is part of the message.
#[must_use]
pub fn shown(unit: &Unit, uris: &Uris, related: bool, finding: &Diagnostic) -> Shown {
    let places: Vec<Place> = finding.labels.iter().map(place).collect();
    shown_at(unit, uris, related, finding, &places)
}

/// The same for a finding whose labels are at other places now, in their order.
#[must_use]
pub fn shown_at(unit: &Unit, uris: &Uris, related: bool, finding: &Diagnostic, places: &[Place]) -> Shown {
    let labels = || finding.labels.iter().zip(places.iter().copied());
    let blamed = labels().find(|(label, _)| label.primary).or_else(|| labels().next());
    let others = || labels().filter(|(label, _)| !blamed.is_some_and(|(blamed, _)| std::ptr::eq(*label, blamed)));
    let range = blamed.and_then(|(_, place)| unit.range(place)).unwrap_or_else(start);
    let information =
        || others().filter_map(|(label, place)| information(unit, uris, label, place)).collect::<Vec<_>>();
    let blamed_place = blamed.map(|(_, place)| place);
    let blamed = blamed.map(|(label, _)| label);
    let mut message = message(finding, blamed);
    if !related {
        for (label, place) in others() {
            let _written = write!(message, "\n{}: {}", described(unit, place), label.text);
        }
    }
    let diagnostic = gen_lsp_types::Diagnostic {
        range,
        severity: Some(severity(finding.severity)),
        code: Some(Code::String(finding.code.to_owned())),
        source: Some("egressc".to_owned()),
        message: Message::String(message),
        tags: tags(finding.code),
        related_information: Some(information()).filter(|information| related && !information.is_empty()),
        ..Default::default()
    };
    let file = blamed_place.and_then(|place| unit.file(place.source));
    Shown { path: file.map(|file| file.source.path.clone()), diagnostic }
}

fn place(label: &Label) -> Place {
    Place::new(label.source, label.span)
}

fn start() -> Range {
    let start = Position { line: 0, character: 0 };
    Range { start, end: start }
}

fn severity(severity: Severity) -> DiagnosticSeverity {
    match severity {
        Severity::Error => DiagnosticSeverity::Error,
        Severity::Warning => DiagnosticSeverity::Warning,
        Severity::Note => DiagnosticSeverity::Information,
    }
}

/// What can be removed is shown faded.
fn tags(code: &str) -> Option<Vec<DiagnosticTag>> {
    let unnecessary = ["egress::rule::dead", "egress::rule::redundant", "egress::name::unused"].contains(&code);
    unnecessary.then(|| vec![DiagnosticTag::Unnecessary])
}

fn message(finding: &Diagnostic, blamed: Option<&Label>) -> String {
    let mut message = finding.message.clone();
    let text = blamed.map(|label| label.text.as_str()).filter(|text| !text.is_empty());
    let lines = text.into_iter().map(str::to_owned).chain(finding.notes.iter().cloned());
    let witness = finding.witness.as_ref().map(|flow| format!("witness: {flow}"));
    let help = finding.help.as_ref().map(|help| format!("help: {help}"));
    for line in lines.chain(witness).chain(help) {
        message.push('\n');
        message.push_str(&line);
    }
    message
}

fn information(unit: &Unit, uris: &Uris, label: &Label, place: Place) -> Option<DiagnosticRelatedInformation> {
    let file = unit.file(place.source)?;
    let range = unit.range(place)?;
    let uri = uri_of(uris, &file.source.path);
    let message = if label.text.is_empty() { "here".to_owned() } else { label.text.clone() };
    Some(DiagnosticRelatedInformation { location: Location { uri, range }, message })
}

/// `shop.egress:12`
fn described(unit: &Unit, place: Place) -> String {
    let Some(file) = unit.file(place.source) else { return String::new() };
    let name = file.source.path.rsplit('/').next().unwrap_or_default();
    format!("{name}:{}", file.source.line(place.span.start))
}
