//! Deletes what decides nothing, says nothing or is not used, with its documentation.
//!
//! In: a finding about it. Out: its lines, to be deleted.

use super::tree::{Found, asserts, item_at, rule_at};
use super::{Draft, cut};
use crate::view::View;
use egress_compiler::{Diagnostic, Place};
use egress_lang::ast::Item;

/// The rule that a finding blames.
pub(super) fn rule(view: &View<'_>, finding: &Diagnostic) -> Option<Draft> {
    let found = rule_at(view.unit, blamed(finding)?)?;
    Some(Draft::one(format!("delete the rule `{}`", found.name()), place_of(&found), String::new()))
}

/// Where a rule stands, with all that goes with it.
pub(super) fn place_of(found: &Found<'_>) -> Place {
    let rule = found.rule;
    Place::new(found.source, cut::cut(&found.file.source.text, rule.doc.as_ref(), rule.span))
}

/// A declaration that nothing uses, not even one that is itself unused: its name would be unknown there.
pub(super) fn declaration(view: &View<'_>, finding: &Diagnostic) -> Option<Draft> {
    let place = blamed(finding)?;
    let (_, declaration) = view.unit.name_at(place.source, place.span.start)?;
    (declaration.place == place && declaration.references.is_empty()).then_some(())?;
    let file = view.unit.file(place.source)?;
    let item = item_at(file, place.span)?;
    let (noun, doc) = match item {
        Item::Workloads(it) => ("workloads", &it.doc),
        Item::Destinations(it) => ("destinations", &it.doc),
        Item::Ports(it) => ("ports", &it.doc),
        Item::Gateway(it) => ("gateway", &it.doc),
        Item::Cluster(_)
        | Item::Policy(_)
        | Item::Guardrail(_)
        | Item::Assert(_)
        | Item::Control(_)
        | Item::Error(_) => return None,
    };
    let cut = cut::cut(&file.source.text, doc.as_ref(), item.span());
    let title = format!("delete the {noun} `{}`", declaration.name);
    Some(Draft::one(title, Place::new(place.source, cut), String::new()))
}

/// The assertion that a finding blames.
pub(super) fn assertion(view: &View<'_>, finding: &Diagnostic) -> Option<Draft> {
    let place = blamed(finding)?;
    let file = view.unit.file(place.source)?;
    let item = item_at(file, place.span)?;
    let assert = asserts(item).iter().find(|assert| assert.span.contains(place.span))?;
    let cut = cut::cut(&file.source.text, assert.doc.as_ref(), assert.span);
    Some(Draft::one("delete the assertion".to_owned(), Place::new(place.source, cut), String::new()))
}

/// The place that a finding blames.
pub(super) fn blamed(finding: &Diagnostic) -> Option<Place> {
    finding.primary_label().map(|label| Place::new(label.source, label.span))
}
