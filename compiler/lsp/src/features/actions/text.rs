//! Text fixes: what the compiler knows that should stand somewhere instead.
//!
//! In: findings with their fixes. Out: the fixes of one finding, or the likeliest of each of a whole document.

use super::Draft;
use crate::view::View;
use egress_compiler::{Diagnostic, Fix};

/// The fixes of a finding; the first is preferred.
pub(super) fn fixes(view: &View<'_>, finding: &Diagnostic) -> Vec<Draft> {
    let draft = |(at, fix): (usize, &Fix)| {
        let draft = Draft::one(title(view, fix), fix.place, fix.text.clone());
        Draft { preferred: at == 0, ..draft }
    };
    finding.fixes.iter().enumerate().map(draft).collect()
}

fn title(view: &View<'_>, fix: &Fix) -> String {
    let before = view.unit.file(fix.place.source).map_or("", |file| fix.place.span.text(&file.source.text));
    match (before.is_empty(), fix.text.is_empty()) {
        (true, _) => format!("insert `{}`", fix.text),
        (false, true) => format!("delete `{before}`"),
        (false, false) => format!("replace by `{}`", fix.text),
    }
}

/// The preferred fixes of all findings of the document, as one change; of those that overlap, the first by place.
pub(super) fn all(view: &View<'_>, findings: &[Diagnostic]) -> Option<Draft> {
    let preferred = findings.iter().filter_map(|finding| finding.fixes.first());
    let mut fixes: Vec<&Fix> = preferred.filter(|fix| fix.place.source == view.id).collect();
    fixes.sort_by_key(|fix| fix.place.span);
    let mut kept: Vec<&Fix> = Vec::new();
    for fix in fixes {
        // Where two insertions meet it is open which comes first.
        let is_free = kept.last().is_none_or(|last| {
            let (last, span) = (last.place.span, fix.place.span);
            last.end <= span.start && last.start < span.start
        });
        kept.extend(is_free.then_some(fix));
    }
    let title = match kept.as_slice() {
        [] => return None,
        [only] => title(view, only),
        many => format!("make the {} likeliest fixes of the text", many.len()),
    };
    Some(Draft::new(title, kept.into_iter().map(|fix| (fix.place, fix.text.clone())).collect()))
}
