//! Names: what is declared, what refers to it, and in which order sets can be made.
//!
//! In: the trees of a unit. Out: a table of declarations with their references, the named sets with dependencies first,
//! and every unknown, duplicate, cyclic or unused name. Order of files and declarations never matters. Never looks into
//! what a set holds.

mod declare;
mod error;
mod graph;
mod suggest;

pub use error::NameError;

use crate::source::Place;
use crate::unit::Unit;
use crate::{Declaration, Kind};
use declare::{Used, each_reference};
use egress_ir::SourceId;
use egress_lang::ast::Item;
use egress_lang::span::Span;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// The place of a declaration in [`Names::declared`].
pub(crate) type DeclarationId = usize;

/// Everything declared in a unit.
pub(crate) struct Names<'a> {
    /// The declarations, sorted by place.
    pub(crate) declared: Vec<Declared<'a>>,
    /// Named sets, each after those it is made of; sets that are part of a cycle are left out.
    pub(crate) order: Vec<DeclarationId>,
    index: FxHashMap<(Kind, &'a str), DeclarationId>,
}

/// One declaration with a name.
pub(crate) struct Declared<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a str,
    pub(crate) place: Place,
    pub(crate) span: Span,
    pub(crate) item: &'a Item,
    pub(crate) doc: Option<&'a str>,
    /// Every use of the name, sorted by place.
    pub(crate) references: Vec<Reference>,
}

/// One use of a declared name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    pub(crate) place: Place,
    /// The named set in whose definition it stands; nothing in blocks, assertions and the cluster.
    pub(crate) within: Option<DeclarationId>,
}

impl<'a> Names<'a> {
    /// What a name stands for; of duplicates, the first by place.
    pub(crate) fn find(&self, kind: Kind, name: &str) -> Option<DeclarationId> {
        self.index.get(&(kind, name)).copied()
    }

    /// The declarations as plain data.
    pub(crate) fn declarations(&self) -> Vec<Declaration> {
        let plain = |declared: &Declared<'_>| Declaration {
            kind: declared.kind,
            name: declared.name.to_owned(),
            place: declared.place,
            span: declared.span,
            doc: declared.doc.map(str::to_owned),
            references: declared.references.iter().map(|reference| reference.place).collect(),
        };
        self.declared.iter().map(plain).collect()
    }
}

/// Resolves every name of a unit. `whole` says that no syntax error hid a part of it: only then can a declaration be
/// called unused.
pub(crate) fn resolve(unit: Unit<'_>, whole: bool) -> (Names<'_>, Vec<NameError>) {
    let declared = declare::all(unit);
    let (index, mut errors) = declare::index(&declared);
    let mut names = Names { declared, order: Vec::new(), index };
    errors.extend(refer(&mut names, unit));
    let (order, cycles) = graph::order(&names);
    names.order = order;
    errors.extend(cycles);
    if whole {
        let meant = meant(&errors);
        let is_meant = |unused: &NameError| match unused {
            NameError::Unused { kind, name, .. } => meant.contains(&(*kind, name.clone())),
            _ => false,
        };
        errors.extend(graph::unused(&names).into_iter().filter(|unused| !is_meant(unused)));
    }
    (names, errors)
}

/// The names that misspelled uses were probably meant for: those are not unused.
fn meant(errors: &[NameError]) -> BTreeSet<(Kind, String)> {
    let meant = |error: &NameError| match error {
        NameError::Unknown { kind, meant: Some(meant), .. } => Some((*kind, meant.clone())),
        _ => None,
    };
    errors.iter().filter_map(meant).collect()
}

/// Finds the declaration of every name in use; the unknown ones are errors.
fn refer<'a>(names: &mut Names<'a>, unit: Unit<'a>) -> Vec<NameError> {
    let mut unknown: Vec<(Used<'a>, SourceId)> = Vec::new();
    let own: FxHashMap<Place, DeclarationId> =
        names.declared.iter().enumerate().map(|(id, declared)| (declared.place, id)).collect();
    for (source, item) in unit.items() {
        let within = declare::set_name(item).and_then(|name| own.get(&Place::new(source, name.span)).copied());
        each_reference(item, &mut |used| {
            let place = Place::new(source, used.name.span);
            let found = names.index.get(&(used.kind, used.name.text.as_str()));
            match found.and_then(|&id| names.declared.get_mut(id)) {
                Some(declared) => declared.references.push(Reference { place, within }),
                None if used.name.is_missing() => {}
                None => unknown.push((used, source)),
            }
        });
    }
    names.declared.iter_mut().for_each(|declared| declared.references.sort_unstable());
    let mut suggestions = suggest::Suggestions::new(names);
    unknown.into_iter().map(|(used, source)| suggestions.unknown(used, source)).collect()
}
