//! Findings as SARIF 2.1.0 (OASIS), for code-scanning services.
//!
//! In: a report. Out: one log with one run. Rules carry the pages of `egressc explain`; columns count UTF-16 code
//! units, as the log says; files are named by relative URIs where the user named them relatively.

use super::Report;
use super::json::to_text;
use crate::codes;
use egress_answers::place::Index;
use egress_compiler::{Diagnostic, Label, Severity};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The report.
pub(super) fn render(report: &Report<'_>) -> String {
    let index = Index::new(report.sources);
    let codes: BTreeSet<&str> = report.findings.iter().map(|finding| finding.code).collect();
    let rule_of = |code: &str| codes.iter().position(|known| *known == code);
    let results = report.findings.iter().map(|finding| result(finding, rule_of(finding.code), &index));
    to_text(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "egressc",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|code| rule(code)).collect::<Vec<_>>(),
            }},
            "columnKind": "utf16CodeUnits",
            "results": results.collect::<Vec<_>>(),
        }],
    }))
}

fn rule(code: &str) -> Value {
    let Some(page) = codes::page(code) else {
        return json!({ "id": code });
    };
    json!({
        "id": code,
        "shortDescription": { "text": codes::summary(page) },
        "help": { "text": page, "markdown": page },
    })
}

fn result(finding: &Diagnostic, rule: Option<usize>, index: &Index<'_>) -> Value {
    let primary = finding.primary_label();
    let related = finding.labels.iter().filter(|label| Some(*label) != primary);
    let mut result = json!({
        "ruleId": finding.code,
        "level": level(finding.severity),
        "message": { "text": text(finding) },
        "locations": primary.and_then(|label| location(label, None, index)).into_iter().collect::<Vec<_>>(),
        "relatedLocations":
            (1..).zip(related).filter_map(|(id, label)| location(label, Some(id), index)).collect::<Vec<_>>(),
    });
    if let (Some(rule), Some(object)) = (rule, result.as_object_mut()) {
        object.insert("ruleIndex".into(), json!(rule));
    }
    result
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn text(finding: &Diagnostic) -> String {
    let mut lines = vec![finding.message.clone()];
    lines.extend(finding.witness.iter().map(|flow| format!("witness: {flow}")));
    lines.extend(finding.notes.iter().cloned());
    lines.extend(finding.help.iter().map(|help| format!("help: {help}")));
    lines.join("\n")
}

fn location(label: &Label, id: Option<u32>, index: &Index<'_>) -> Option<Value> {
    let lines = index.file(label.source)?;
    let (start, end) = (lines.position(label.span.start), lines.position(label.span.end));
    let mut location = json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(&lines.source.path) },
        "region": {
            "startLine": start.line,
            "startColumn": start.utf16,
            "endLine": end.line,
            "endColumn": end.utf16,
            "byteOffset": start.offset,
            "byteLength": end.offset - start.offset,
        },
    }});
    let object = location.as_object_mut()?;
    if let Some(id) = id {
        object.insert("id".into(), json!(id));
    }
    if !label.text.is_empty() {
        object.insert("message".into(), json!({ "text": label.text }));
    }
    Some(location)
}

/// A path as a URI reference (RFC 3986): what is not allowed in one is percent-encoded.
fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("a b/é.egress"), "a%20b/%C3%A9.egress");
        assert_eq!(uri("/x:y"), "file:///x%3Ay");
    }
}
