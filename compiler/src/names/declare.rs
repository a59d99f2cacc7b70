//! Declarations and references, collected from trees.

use super::{DeclarationId, Declared, NameError};
use crate::Kind;
use crate::source::Place;
use crate::unit::{Unit, asserts, workload_sets};
use egress_ir::SourceId;
use egress_lang::ast::{Claim, DestinationTerm, Doc, Item, Name, PSet, PortTerm, WorkloadTerm};
use egress_lang::span::Span;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// A name in use, and what it must stand for there.
#[derive(Clone, Copy)]
pub(super) struct Used<'a> {
    pub(super) kind: Kind,
    pub(super) name: &'a Name,
}

/// Every declaration that has a name, by place.
pub(super) fn all(unit: Unit<'_>) -> Vec<Declared<'_>> {
    unit.items().filter_map(|(source, item)| declared(source, item)).collect()
}

fn declared(source: SourceId, item: &Item) -> Option<Declared<'_>> {
    let (kind, name, at, doc) = head(item)?;
    let doc = doc.as_ref().map(|doc| doc.text.as_str());
    let place = Place::new(source, at);
    let declared = Declared { kind, name, place, span: item.span(), item, doc, references: Vec::new() };
    (!name.is_empty()).then_some(declared)
}

fn head(item: &Item) -> Option<(Kind, &str, Span, &Option<Doc>)> {
    let (kind, name, doc) = match item {
        Item::Cluster(it) => (Kind::Cluster, &it.name, &it.doc),
        Item::Workloads(it) => (Kind::Workloads, &it.name, &it.doc),
        Item::Destinations(it) => (Kind::Destinations, &it.name, &it.doc),
        Item::Ports(it) => (Kind::Ports, &it.name, &it.doc),
        Item::Gateway(it) => (Kind::Gateway, &it.name, &it.doc),
        Item::Policy(it) | Item::Guardrail(it) => (Kind::Block, &it.name, &it.doc),
        Item::Control(it) => return Some((Kind::Control, &it.id.node, it.id.span, &it.doc)),
        Item::Assert(_) | Item::Error(_) => return None,
    };
    Some((kind, &name.text, name.span, doc))
}

/// The name of a set that other names may be part of.
pub(super) fn set_name(item: &Item) -> Option<&Name> {
    match item {
        Item::Workloads(it) => Some(&it.name),
        Item::Destinations(it) => Some(&it.name),
        Item::Ports(it) => Some(&it.name),
        _ => None,
    }
}

type Index<'a> = FxHashMap<(Kind, &'a str), DeclarationId>;

/// The first declaration of every name; the others, and every cluster but one, are errors.
pub(super) fn index<'a>(declared: &[Declared<'a>]) -> (Index<'a>, Vec<NameError>) {
    let mut index = Index::default();
    let mut again: BTreeMap<DeclarationId, Vec<Place>> = BTreeMap::new();
    let mut clusters: Vec<Place> = Vec::new();
    for (id, it) in declared.iter().enumerate() {
        if it.kind == Kind::Cluster {
            clusters.push(it.place);
            index.entry((it.kind, it.name)).or_insert(id);
            continue;
        }
        let first = *index.entry((it.kind, it.name)).or_insert(id);
        if first != id {
            again.entry(first).or_default().push(it.place);
        }
    }
    let duplicate = |(first, others): (DeclarationId, Vec<Place>)| {
        let it = declared.get(first)?;
        Some(NameError::Duplicate { kind: it.kind, name: it.name.to_owned(), first: it.place, others })
    };
    let mut errors: Vec<NameError> = again.into_iter().filter_map(duplicate).collect();
    if clusters.len() > 1 {
        errors.push(NameError::Clusters { places: clusters });
    }
    (index, errors)
}

/// Calls `visit` with every name that a declaration refers to.
pub(super) fn each_reference<'a>(item: &'a Item, visit: &mut impl FnMut(Used<'a>)) {
    for set in workload_sets(item) {
        set.each_term(&mut |term| {
            if let WorkloadTerm::Name(name) = term {
                visit(Used { kind: Kind::Workloads, name });
            }
        });
    }
    for set in item.destination_sets() {
        set.each_term(&mut |term| {
            if let DestinationTerm::Name(name) = term {
                visit(Used { kind: Kind::Destinations, name });
            }
        });
    }
    for set in port_sets(item) {
        for term in &set.terms {
            if let PortTerm::Name(name) = &term.node {
                visit(Used { kind: Kind::Ports, name });
            }
        }
    }
    gateways(item).for_each(|name| visit(Used { kind: Kind::Gateway, name }));
}

fn port_sets(item: &Item) -> Vec<&PSet> {
    match item {
        Item::Ports(ports) => vec![&ports.set],
        Item::Policy(block) | Item::Guardrail(block) => {
            block.rules.iter().filter_map(|rule| rule.ports.as_ref()).collect()
        }
        _ => asserts(item).filter_map(|assert| assert.ports.as_ref()).collect(),
    }
}

fn gateways(item: &Item) -> impl Iterator<Item = &Name> {
    let rules = match item {
        Item::Policy(block) | Item::Guardrail(block) => block.rules.as_slice(),
        _ => &[],
    };
    let claimed = asserts(item).filter_map(|assert| match &assert.claim {
        Claim::OnlyVia(name) => Some(name),
        Claim::CannotReach | Claim::CanReach | Claim::OnlySources | Claim::OnlyDestinations => None,
    });
    rules.iter().filter_map(|rule| rule.via.as_ref()).chain(claimed)
}
