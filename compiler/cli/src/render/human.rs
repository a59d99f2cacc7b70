//! Findings for people: source snippets, witness, help, and a summary line.
//!
//! In: a report. Out: text, with ANSI colours if asked for. Snippets are drawn by miette; one finding shows its labels
//! in all files, because [`Stitched`] lays the files end to end as one text.

use super::{Report, Summary, proofs};
use crate::codes;
use egress_answers::place::{Index, Lines};
use egress_answers::{counted, coverage};
use egress_compiler::{Diagnostic, Label, Severity};
use egress_ir::SourceId;
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents,
};
use std::fmt;

/// The width to which messages are wrapped.
const WIDTH: usize = 100;
/// The most lines of a snippet that one label draws; of longer text its first line stands for it.
const LABEL_LINES: usize = 6;
/// The most labels drawn for one finding; the rest are counted.
const LABELS: usize = 12;

/// The report.
pub(super) fn render(report: &Report<'_>, coloured: bool) -> String {
    let index = Index::new(report.sources);
    let painter = Painter::new(coloured);
    let mut text: String = report.findings.iter().map(|finding| painter.finding(finding, &index)).collect();
    let colon = if report.subject.is_empty() { "" } else { ": " };
    text.push_str(&format!("{}{colon}{}\n", report.subject, Summary::of(report.findings)));
    text.extend(report.made.iter().map(|made| format!("{made}\n")));
    text.push_str(&coverage::lines(report.coverage));
    text.push_str(&proofs::lines(report));
    if let Some(first) = report.findings.iter().find(|finding| codes::page(finding.code).is_some()) {
        text.push_str(&format!("what a code means: egressc explain {}\n", first.code));
    }
    text
}

/// Draws findings in one style.
struct Painter {
    handler: GraphicalReportHandler,
    coloured: bool,
}

impl Painter {
    fn new(coloured: bool) -> Self {
        let theme = if coloured { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(WIDTH);
        Self { handler, coloured }
    }

    fn finding(&self, finding: &Diagnostic, index: &Index<'_>) -> String {
        let shown = Shown::new(finding, index);
        let mut text = String::new();
        if self.handler.render_report(&mut text, &shown).is_err() {
            // Writing to a string does not fail; should drawing fail, the finding itself must not be lost.
            text = format!("{}: {}\n", finding.code, finding.message);
        }
        let hidden = finding.labels.len().saturating_sub(LABELS);
        let more = (hidden > 0).then(|| format!("{} more", counted(hidden, "place")));
        let witness = finding.witness.iter().map(|flow| self.line("witness", &flow.to_string()));
        let notes = finding.notes.iter().chain(&more).map(|note| self.line("note", note));
        let help = finding.help.iter().map(|help| self.line("help", help));
        text.extend(witness.chain(notes).chain(help));
        text.push('\n');
        text
    }

    fn line(&self, what: &str, text: &str) -> String {
        let text = text.replace('\n', "\n        ");
        if self.coloured { format!("  \u{1b}[36m{what}:\u{1b}[0m {text}\n") } else { format!("  {what}: {text}\n") }
    }
}

/// A finding as miette takes it.
#[derive(Debug)]
struct Shown<'d> {
    finding: &'d Diagnostic,
    stitched: Stitched<'d>,
    labels: Vec<LabeledSpan>,
}

impl<'d> Shown<'d> {
    fn new(finding: &'d Diagnostic, index: &'d Index<'d>) -> Self {
        let drawn = || finding.labels.iter().take(LABELS);
        let mut stitched = Stitched::default();
        for label in finding.primary_label().into_iter().chain(drawn()) {
            if let Some(lines) = index.file(label.source) {
                stitched.add(label.source, lines);
            }
        }
        let labels = drawn().filter_map(|label| stitched.label(label)).collect();
        Self { finding, stitched, labels }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.finding.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Note => miette::Severity::Advice,
        })
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.labels.is_empty()).then_some(&self.stitched as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty()).then(|| Box::new(self.labels.iter().cloned()) as Box<dyn Iterator<Item = _>>)
    }
}

/// Files laid end to end as one text, in the order in which they were added, with a byte of nothing between them.
#[derive(Debug, Default)]
struct Stitched<'s> {
    files: Vec<(SourceId, usize, &'s Lines<'s>)>,
}

impl<'s> Stitched<'s> {
    fn add(&mut self, id: SourceId, lines: &'s Lines<'s>) {
        if self.files.iter().all(|(known, ..)| *known != id) {
            let base = self.files.last().map_or(0, |(_, base, last)| base + last.source.text.len() + 1);
            self.files.push((id, base, lines));
        }
    }

    fn label(&self, label: &Label) -> Option<LabeledSpan> {
        let (_, base, lines) = self.files.iter().find(|(id, ..)| *id == label.source)?;
        let (start, end) = (lines.position(label.span.start), lines.position(label.span.end));
        let end = if end.line - start.line < LABEL_LINES {
            end.offset
        } else {
            let first_line = lines.source.text.get(start.offset..lines.start(start.line)).unwrap_or_default();
            start.offset + first_line.trim_end().len()
        };
        let text = (!label.text.is_empty()).then(|| label.text.clone());
        let (at, length) = (base + start.offset, end.saturating_sub(start.offset));
        Some(if label.primary {
            LabeledSpan::new_primary_with_span(text, (at, length))
        } else {
            LabeledSpan::new(text, at, length)
        })
    }
}

impl SourceCode for Stitched<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_before: usize,
        context_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let place = self.files.partition_point(|(_, base, _)| *base <= span.offset());
        let file = place.checked_sub(1).and_then(|place| self.files.get(place)).ok_or(MietteError::OutOfBounds)?;
        let (_, base, lines) = file;
        let start = span.offset() - base;
        let end = start.checked_add(span.len()).ok_or(MietteError::OutOfBounds)?;
        let text = &*lines.source.text;
        if end > text.len() {
            return Err(MietteError::OutOfBounds);
        }
        let first = lines.line_of(start).saturating_sub(context_before);
        let last = (lines.line_of(end) + context_after + 1).min(lines.count());
        let (from, to) = (lines.start(first), lines.start(last));
        let data = text.get(from..to).ok_or(MietteError::OutOfBounds)?;
        let whole = SourceSpan::from((base + from, to - from));
        // Asked without context, miette wants to know in which column the span begins.
        let before = text.get(from..start).filter(|_| context_before == 0).unwrap_or_default();
        let (path, column) = (lines.source.path.clone(), before.chars().count());
        Ok(Box::new(MietteSpanContents::new_named(path, data.as_bytes(), whole, first, column, last - first)))
    }
}
