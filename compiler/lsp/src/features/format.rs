//! The one style, as changes of lines, so that cursors and marks elsewhere stay where they are.

use crate::view::View;
use egress_lang::span::Span;
use gen_lsp_types::TextEdit;
use similar::{DiffOp, TextDiff};

/// What formatting changes; with a part, only in declarations that it touches. Nothing in a document with syntax errors:
/// what they mean cannot be kept.
#[must_use]
pub fn edits(view: &View<'_>, part: Option<Span>) -> Vec<TextEdit> {
    let text = view.text();
    let Ok(formatted) = egress_lang::format(text) else { return Vec::new() };
    let touched = part.map(|part| touched(view, part));
    let is_meant = |start: u32, end: u32| {
        touched.as_ref().is_none_or(|lines| lines.iter().any(|&(first, last)| first <= start && end <= last + 1))
    };
    let diff = TextDiff::from_lines(text, &formatted);
    let lengths = (0..diff.old_len()).filter_map(|line| diff.old_slice(line)).map(|line| line.len());
    let starts: Vec<usize> = std::iter::once(0)
        .chain(lengths.scan(0, |at, length| {
            *at += length;
            Some(*at)
        }))
        .collect();
    let start_of = |line: usize| u32::try_from(starts.get(line).copied().unwrap_or(text.len())).unwrap_or(u32::MAX);
    let edit = |op: &DiffOp| {
        let (before, after) = (op.old_range(), op.new_range());
        let range = view.range(Span::new(start_of(before.start), start_of(before.end)));
        if matches!(op, DiffOp::Equal { .. }) || !is_meant(range.start.line, range.end.line) {
            return None;
        }
        let new_text = after.filter_map(|line| diff.new_slice(line)).collect();
        Some(TextEdit { range, new_text })
    };
    diff.ops().iter().filter_map(edit).collect()
}

/// The first and last lines of the declarations that a part of the document touches.
fn touched(view: &View<'_>, part: Span) -> Vec<(u32, u32)> {
    let items = view.file.parse.file.items.iter().map(egress_lang::ast::Item::span);
    let meets = |span: &Span| span.start <= part.end && part.start <= span.end;
    let lines = |span: Span| {
        let range = view.range(span);
        (range.start.line, range.end.line)
    };
    items.filter(meets).map(lines).collect()
}
