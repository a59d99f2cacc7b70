//! What can be folded: declarations, rules and sets over several lines, and runs of comments.

use crate::view::View;
use egress_lang::ast::Item;
use egress_lang::span::Span;
use gen_lsp_types::{FoldingRange, FoldingRangeKind};

/// The folding ranges of a document, by where they start; none of them on one line.
#[must_use]
pub fn ranges(view: &View<'_>) -> Vec<FoldingRange> {
    let mut ranges = Vec::new();
    for item in &view.file.parse.file.items {
        ranges.extend(fold(view, item.span(), None));
        match item {
            Item::Policy(it) | Item::Guardrail(it) => {
                ranges.extend(it.rules.iter().filter_map(|rule| fold(view, rule.span, None)))
            }
            Item::Control(it) => ranges.extend(it.asserts.iter().filter_map(|it| fold(view, it.span, None))),
            _ => {}
        }
    }
    ranges.extend(comments(view).into_iter().filter_map(|span| fold(view, span, Some(FoldingRangeKind::Comment))));
    ranges.sort_by_key(|range| (range.start_line, range.end_line));
    ranges.dedup();
    ranges
}

fn fold(view: &View<'_>, span: Span, kind: Option<FoldingRangeKind>) -> Option<FoldingRange> {
    let range = view.range(span);
    (range.start.line < range.end.line).then(|| FoldingRange {
        start_line: range.start.line,
        end_line: range.end.line,
        kind,
        ..FoldingRange::default()
    })
}

/// Comments on lines that follow each other, as one.
fn comments(view: &View<'_>) -> Vec<Span> {
    let mut runs: Vec<Span> = Vec::new();
    for comment in view.file.parse.trivia.comments.iter().filter(|comment| comment.own_line) {
        let line = view.range(comment.span).start.line;
        match runs.last_mut() {
            Some(run) if view.range(*run).end.line + 1 == line => *run = run.to(comment.span),
            _ => runs.push(comment.span),
        }
    }
    runs
}
