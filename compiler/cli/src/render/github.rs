//! Findings as workflow commands of GitHub Actions, which shows them beside the changed lines.
//!
//! In: a report. Out: one `::error …::…` line for each finding, and a summary that is no command.
//! See <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.

use super::{Report, Summary, proofs};
use egress_answers::coverage;
use egress_answers::place::Index;
use egress_compiler::{Diagnostic, Severity};

/// The report.
pub(super) fn render(report: &Report<'_>) -> String {
    let index = Index::new(report.sources);
    let mut text: String = report.findings.iter().map(|finding| command(finding, &index)).collect();
    text.push_str(&format!("{}: {}\n", report.subject, Summary::of(report.findings)));
    text.extend(report.made.iter().map(|made| format!("{made}\n")));
    text.push_str(&coverage::lines(report.coverage));
    text.push_str(&proofs::lines(report));
    text
}

fn command(finding: &Diagnostic, index: &Index<'_>) -> String {
    let name = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let mut properties = Vec::new();
    if let Some(label) = finding.primary_label()
        && let Some(lines) = index.file(label.source)
    {
        let (start, end) = (lines.position(label.span.start), lines.position(label.span.end));
        properties.push(format!("file={}", property(&lines.source.path)));
        properties.push(format!("line={}", start.line));
        // GitHub takes columns for spans within one line only.
        if start.line == end.line {
            properties.push(format!("col={}", start.column));
            properties.push(format!("endColumn={}", end.column));
        }
        properties.push(format!("endLine={}", end.line));
    }
    properties.push(format!("title={}", property(finding.code)));
    format!("::{name} {}::{}\n", properties.join(","), message(&body(finding, index)))
}

fn body(finding: &Diagnostic, index: &Index<'_>) -> String {
    let mut lines = vec![finding.message.clone()];
    for label in finding.labels.iter().filter(|label| !label.primary && !label.text.is_empty()) {
        if let Some(file) = index.file(label.source) {
            lines.push(format!("{}:{}: {}", file.source.path, file.position(label.span.start).line, label.text));
        }
    }
    lines.extend(finding.witness.iter().map(|flow| format!("witness: {flow}")));
    lines.extend(finding.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(finding.help.iter().map(|help| format!("help: {help}")));
    lines.join("\n")
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_compiler::source::Place;
    use egress_compiler::{Label, Source};
    use egress_ir::Arena;
    use egress_lang::span::Span;

    #[test]
    fn nothing_in_a_finding_can_end_or_start_a_command() {
        let mut sources = Arena::default();
        let id = sources.push(Source::new("a,b:c%.egress".into(), "x\n::stop-commands::y\n"));
        let finding = Diagnostic::error("egress::rule::dead", "100% of\r\n::error::`x`")
            .label(Label::primary(Place::new(id, Span::new(0, 1)), "here"));
        let report = Report {
            verb: "check",
            subject: "1 file",
            sources: &sources,
            findings: &[finding],
            made: &[],
            proofs: &[],
            coverage: &[],
            work: None,
        };
        assert_eq!(
            render(&report),
            "::error file=a%2Cb%3Ac%25.egress,line=1,col=1,endColumn=2,endLine=1,title=egress%3A%3Arule%3A%3Adead\
             ::100%25 of%0D%0A::error::`x`\n1 file: 1 error\n"
        );
    }
}
