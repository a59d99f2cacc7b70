//! Looks into trees for what is to be changed: rules, assertions and declarations at a place, and sets as texts.
//!
//! In: a unit and places. Out: parts of its trees. What is not whole there is nothing.

use crate::unit::{Moves, Unit};
use egress_compiler::{Declaration, Kind, Parsed, Place};
use egress_ir::{Id, OriginId, Program, SourceId};
use egress_lang::ast::{
    Assert, DSet, DestinationTerm, Item, PSet, Policy, PortTerm, Rule, Set, SetNode, WSet, WorkloadTerm,
};
use egress_lang::span::Span;
use std::collections::BTreeSet;

/// A rule with its block.
#[derive(Clone, Copy)]
pub(super) struct Found<'v> {
    pub(super) source: SourceId,
    pub(super) file: &'v Parsed,
    pub(super) block: &'v Policy,
    pub(super) rule: &'v Rule,
    number: usize,
}

impl Found<'_> {
    /// `shop#2`
    pub(super) fn name(&self) -> String {
        format!("{}#{}", self.block.name.text, self.number)
    }
}

/// The declaration around a span.
pub(super) fn item_at(file: &Parsed, span: Span) -> Option<&Item> {
    let items = &file.parse.file.items;
    let after = items.partition_point(|item| item.span().start <= span.start);
    items.get(after.checked_sub(1)?).filter(|item| item.span().contains(span))
}

/// The rule around a place.
pub(super) fn rule_at(unit: &Unit, place: Place) -> Option<Found<'_>> {
    let file = unit.file(place.source)?;
    let (Item::Policy(block) | Item::Guardrail(block)) = item_at(file, place.span)? else { return None };
    let (at, rule) = block.rules.iter().enumerate().find(|(_, rule)| rule.span.contains(place.span))?;
    Some(Found { source: place.source, file, block, rule, number: at + 1 })
}

/// Where something of a program stands in the unit now.
pub(super) fn place_now(program: &Program, moves: &Moves, origin: OriginId) -> Option<Place> {
    let origin = program.origins.entries.at(origin);
    moves.place(Place::new(origin.source, Span::new(origin.start, origin.end)))
}

/// The assertions of a declaration.
pub(super) fn asserts(item: &Item) -> &[Assert] {
    match item {
        Item::Assert(it) => std::slice::from_ref(it),
        Item::Control(it) => &it.asserts,
        _ => &[],
    }
}

/// All declarations of a unit, with their files.
pub(super) fn items(unit: &Unit) -> impl Iterator<Item = (SourceId, &Parsed, &Item)> {
    let of_file = |(at, file)| {
        let id = u32::try_from(at).map(SourceId::from_index);
        id.into_iter()
            .flat_map(move |id| items_of(file).map(move |item| (id, item)))
            .map(move |(id, item)| (id, file, item))
    };
    unit.files.iter().map(|file| &**file).enumerate().flat_map(of_file)
}

fn items_of(file: &Parsed) -> impl Iterator<Item = &Item> {
    file.parse.file.items.iter()
}

/// A set as it is written, on one line; nothing where a part of it cannot be read, or runs over lines.
pub(super) fn written<T>(set: &Set<T>, text: &str) -> Option<String> {
    match &set.node {
        SetNode::Term(_) => words(set.span, text),
        SetNode::Union(sets) => {
            let parts: Option<Vec<String>> = sets.iter().map(|set| written(set, text)).collect();
            parts.map(|parts| parts.join(", "))
        }
        SetNode::Except { base, minus } => Some(format!("{} except {}", written(base, text)?, written(minus, text)?)),
        SetNode::Group(set) => written(set, text).map(|set| format!("({set})")),
        SetNode::Error => None,
    }
}

/// The same where it is to be one of several parts.
pub(super) fn as_part<T>(set: &Set<T>, text: &str) -> Option<String> {
    let part = written(set, text)?;
    Some(if matches!(set.node, SetNode::Except { .. }) { format!("({part})") } else { part })
}

/// A set of ports as it is written, on one line.
pub(super) fn written_ports(ports: &PSet, text: &str) -> Option<String> {
    let terms: Option<Vec<String>> = ports.terms.iter().map(|term| words(term.span, text)).collect();
    terms.filter(|terms| !terms.is_empty()).map(|terms| terms.join(", "))
}

fn words(span: Span, text: &str) -> Option<String> {
    let term = span.text(text);
    (!term.is_empty() && !term.contains(['\n', '\r'])).then(|| term.to_owned())
}

/// Whether a set can be written in the folder of another file and still mean the same: files are named from where they are.
pub(super) fn is_portable(set: &DSet, from: &Parsed, to: &Parsed) -> bool {
    let folder = |file: &Parsed| crate::uri::folder(&file.source.path).to_owned();
    let mut names_file = false;
    set.each_term(&mut |term| names_file |= matches!(term, DestinationTerm::List(_)));
    !names_file || folder(from) == folder(to)
}

/// Whether a set holds hosts, directly or by a name that it uses, or uses one that is not known.
pub(super) fn may_hold_hosts(unit: &Unit, set: &DSet) -> bool {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![set];
    while let Some(set) = waiting.pop() {
        let mut holds = false;
        set.each_term(&mut |term| match term {
            DestinationTerm::Host(_) => holds = true,
            DestinationTerm::Name(name) => {
                let named = unit.declaration(Kind::Destinations, &name.text).and_then(|it| set_of(unit, it));
                match named {
                    Some(named) if seen.insert(name.text.as_str()) => waiting.push(named),
                    Some(_) => {}
                    None => holds = true,
                }
            }
            DestinationTerm::Prefix(_)
            | DestinationTerm::Range(_)
            | DestinationTerm::List(_)
            | DestinationTerm::World
            | DestinationTerm::Private => {}
        });
        if holds {
            return true;
        }
    }
    false
}

fn set_of<'v>(unit: &'v Unit, declaration: &Declaration) -> Option<&'v DSet> {
    match item_at(unit.file(declaration.place.source)?, declaration.place.span)? {
        Item::Destinations(it) => Some(&it.set),
        _ => None,
    }
}

/// Whether a set of workloads is all of them.
pub(super) fn is_all(set: &WSet) -> bool {
    match &set.node {
        SetNode::Term(term) => matches!(term, WorkloadTerm::All),
        SetNode::Union(sets) => sets.iter().any(is_all),
        SetNode::Group(set) => is_all(set),
        SetNode::Except { .. } | SetNode::Error => false,
    }
}

/// Whether ports are every one there is.
pub(super) fn is_any(ports: Option<&PSet>) -> bool {
    ports.is_none_or(|ports| ports.terms.iter().any(|term| matches!(term.node, PortTerm::Any)))
}
