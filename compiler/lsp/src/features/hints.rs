//! Inlay hints: how many pods and addresses stand behind what is written.

use super::amount;
use super::meant::Meant;
use crate::view::View;
use egress_lang::ast::{DSet, DestinationTerm, Item, SetNode, WSet};
use egress_lang::span::Span;
use gen_lsp_types::{InlayHint, InlayHintKind, Label};

/// The hints for a part of the document; none before the first text without errors.
#[must_use]
pub fn hints(view: &View<'_>, part: Span) -> Vec<InlayHint> {
    let Some(meant) = Meant::of(view) else { return Vec::new() };
    let meets = |item: &&Item| item.span().start <= part.end && part.start <= item.span().end;
    let mut hints = Hints { view, meant, part, hints: Vec::new() };
    view.file.parse.file.items.iter().filter(meets).for_each(|item| hints.item(item));
    hints.hints
}

struct Hints<'h> {
    view: &'h View<'h>,
    meant: Meant<'h>,
    part: Span,
    hints: Vec<InlayHint>,
}

impl Hints<'_> {
    fn item(&mut self, item: &Item) {
        match item {
            Item::Workloads(it) => {
                let amount = self.meant.workloads(&it.name.text).and_then(|set| self.pods(set));
                self.after(it.set.span, amount);
            }
            Item::Destinations(it) => {
                let amount = self.meant.destinations(&it.name.text).map(amount::destinations);
                self.after(it.set.span, amount.filter(|_| !is_plain(&it.set)));
            }
            Item::Policy(it) | Item::Guardrail(it) => {
                let amount = self.meant.written(&it.workloads).and_then(|set| self.pods(&set));
                self.after(it.workloads.span, amount.filter(|_| !is_missing(&it.workloads)));
                for rule in &it.rules {
                    let amount = self.destinations(&rule.destinations);
                    self.after(rule.destinations.span, amount);
                }
            }
            Item::Cluster(_)
            | Item::Ports(_)
            | Item::Gateway(_)
            | Item::Assert(_)
            | Item::Control(_)
            | Item::Error(_) => {}
        }
    }

    /// How many pods of the inventory are in a set.
    fn pods(&self, set: &egress_ir::WorkloadSet) -> Option<String> {
        let inventory = self.view.unit.inventory.as_ref()?;
        Some(amount::count(amount::pods(inventory, set).count as u128, "pod", "pods"))
    }

    /// How much a single name or list of a rule stands for; what is written out needs no hint.
    fn destinations(&self, set: &DSet) -> Option<String> {
        match &set.node {
            SetNode::Term(DestinationTerm::Name(name)) => self.meant.destinations(&name.text).map(amount::destinations),
            SetNode::Term(DestinationTerm::List(list)) => {
                self.meant.selected(self.view, list.path.span).map(amount::addresses)
            }
            _ => None,
        }
    }

    fn after(&mut self, span: Span, amount: Option<String>) {
        let is_wanted = self.part.start <= span.end && span.end <= self.part.end;
        if let Some(amount) = amount.filter(|_| is_wanted) {
            self.hints.push(InlayHint {
                position: self.view.position(span.end),
                label: Label::String(amount),
                kind: Some(InlayHintKind::Type),
                text_edits: None,
                tooltip: None,
                padding_left: Some(true),
                padding_right: None,
                data: None,
            });
        }
    }
}

/// Whether a set is one address or host, which says itself how much it is.
fn is_plain(set: &DSet) -> bool {
    match &set.node {
        SetNode::Term(DestinationTerm::Host(_)) => true,
        SetNode::Term(DestinationTerm::Prefix(prefix)) => {
            prefix.node.is_some_and(|it| it.len == if it.addr.is_ipv4() { 32 } else { 128 })
        }
        _ => false,
    }
}

fn is_missing(set: &WSet) -> bool {
    matches!(set.node, SetNode::Error)
}
