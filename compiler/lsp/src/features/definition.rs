//! Where a name is declared and where it is used.

use crate::view::View;
use gen_lsp_types::{DocumentHighlight, DocumentHighlightKind, Location};

/// The declaration of the name at a byte offset.
#[must_use]
pub fn definition(view: &View<'_>, at: u32) -> Option<Location> {
    let (_, declaration) = view.unit.name_at(view.id, at)?;
    view.location(declaration.place)
}

/// All places that use the name at a byte offset; with its declaration if asked for. Sorted by place.
#[must_use]
pub fn references(view: &View<'_>, at: u32, with_declaration: bool) -> Vec<Location> {
    let Some((_, declaration)) = view.unit.name_at(view.id, at) else { return Vec::new() };
    let mut places = declaration.references.clone();
    places.extend(with_declaration.then_some(declaration.place));
    places.sort_unstable();
    places.into_iter().filter_map(|place| view.location(place)).collect()
}

/// The same within the document.
#[must_use]
pub fn highlights(view: &View<'_>, at: u32) -> Vec<DocumentHighlight> {
    let Some((_, declaration)) = view.unit.name_at(view.id, at) else { return Vec::new() };
    let uses = declaration.references.iter().map(|place| (*place, DocumentHighlightKind::Read));
    let all = uses.chain([(declaration.place, DocumentHighlightKind::Write)]);
    let here = all.filter(|(place, _)| place.source == view.id);
    here.map(|(place, kind)| DocumentHighlight { range: view.range(place.span), kind: Some(kind) }).collect()
}
