//! Selections that grow: word, term, set, rule, block, file.

use crate::syntax::path;
use crate::syntax::words::word_at;
use crate::view::View;
use egress_lang::span::Span;
use gen_lsp_types::{Position, SelectionRange};

/// For each position the ranges that hold it, each within the next.
#[must_use]
pub fn ranges(view: &View<'_>, positions: &[Position]) -> Vec<SelectionRange> {
    positions.iter().map(|position| grow(view, view.offset(*position))).collect()
}

fn grow(view: &View<'_>, at: u32) -> SelectionRange {
    let whole = Span::new(0, u32::try_from(view.text().len()).unwrap_or(u32::MAX));
    let nodes = path(&view.file.parse.file, at).into_iter().map(|step| step.span);
    let mut spans: Vec<Span> = std::iter::once(whole).chain(nodes).collect();
    spans.push(word_at(view.text(), at));
    let mut selection = SelectionRange { range: view.range(whole), parent: None };
    let mut outer = whole;
    for span in spans {
        if span != outer && outer.contains(span) && !span.is_empty() {
            selection = SelectionRange { range: view.range(span), parent: Some(Box::new(selection)) };
            outer = span;
        }
    }
    selection
}
