//! Narrows an allow to what denies leave of it.
//!
//! In: a finding about an allow that denies of other blocks cut. Out: the allow without what they take. Nothing where that
//! would take more than they do: where they are about other workloads or ports; or where hosts are among the
//! destinations, which cannot be subtracted.

use super::Draft;
use super::delete::blamed;
use super::tree::{Found, as_part, is_all, is_any, is_portable, may_hold_hosts, rule_at, written, written_ports};
use crate::view::View;
use egress_compiler::{Diagnostic, Place};
use egress_lang::ast::{SetNode, Verdict};
use egress_lang::span::Span;

/// The allow without what the denies that a finding shows take from it.
pub(super) fn narrowed(view: &View<'_>, finding: &Diagnostic) -> Option<Draft> {
    let allow = rule_at(view.unit, blamed(finding)?)?;
    if may_hold_hosts(view.unit, &allow.rule.destinations) {
        return None;
    }
    let others = finding.labels.iter().filter(|label| !label.primary);
    let denies = others.filter_map(|label| rule_at(view.unit, Place::new(label.source, label.span)));
    let mut parts: Vec<String> = Vec::new();
    for part in denies.filter_map(|deny| taken(view, &allow, &deny)) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    (!parts.is_empty()).then_some(())?;
    let away = parts.join(", ");
    let destinations = &allow.rule.destinations;
    let (end, text) = match &destinations.node {
        SetNode::Except { minus, .. } => (minus.span.end, format!(", {away}")),
        SetNode::Term(_) | SetNode::Union(_) | SetNode::Group(_) => (destinations.span.end, format!(" except {away}")),
        SetNode::Error => return None,
    };
    let title = format!("take `{away}` out of the allow `{}`, where it is denied", allow.name());
    Some(Draft::one(title, Place::new(allow.source, Span::empty(end)), text))
}

/// What a deny takes from an allow, as a part of a set, if it takes that from all its workloads and on all its ports.
fn taken(view: &View<'_>, allow: &Found<'_>, deny: &Found<'_>) -> Option<String> {
    let (here, there) = (&*allow.file.source.text, &*deny.file.source.text);
    let everybody = is_all(&deny.block.workloads)
        || written(&deny.block.workloads, there)
            .is_some_and(|them| written(&allow.block.workloads, here) == Some(them));
    let ports = || Some((written_ports(allow.rule.ports.as_ref()?, here)?, deny.rule.ports.as_ref()?));
    let same_ports = is_any(deny.rule.ports.as_ref())
        || ports().is_some_and(|(ours, theirs)| written_ports(theirs, there) == Some(ours));
    let denied = &deny.rule.destinations;
    let sound = deny.rule.verdict.node == Verdict::Deny
        && deny.block.audit.is_none()
        && is_portable(denied, deny.file, allow.file)
        && !may_hold_hosts(view.unit, denied);
    (everybody && same_ports && sound).then(|| as_part(denied, there)).flatten()
}
