//! Lists: files of addresses that policies name.
//!
//! In: every `list "FILE" (…)` of a unit and a reader of files. Out: one address set for each different selection, a
//! digest for each file, and every error. A file is read once however often it is named. Never touches the disk itself.

mod content;
mod error;
mod path;
mod plain;
mod published;

pub use content::{BadEntry, EntryPlace, Problem};
pub use error::ListError;

use crate::ListDigest;
use crate::files::Files;
use crate::source::{Place, Source};
use crate::unit::Unit;
use content::{Content, Field};
use egress_ir::{AddressSet, Arena, SourceId};
use egress_lang::ast::{self, DestinationTerm};
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The place of a selection in [`Selections`].
pub(crate) type SelectionId = usize;

/// The address sets of all lists of a unit.
#[derive(Default)]
pub(crate) struct Lists {
    /// What each list term selects.
    pub(crate) selected: Selections,
    /// The files that were read, sorted by path.
    pub(crate) digests: Vec<ListDigest>,
}

/// What the list terms of a unit select, by the places of their paths.
#[derive(Clone, Debug, Default)]
pub struct Selections {
    sets: Vec<AddressSet>,
    by_place: FxHashMap<Place, SelectionId>,
}

impl Selections {
    /// What the list term whose path stands here selects; nothing when it has been reported as an error.
    #[must_use]
    pub fn at(&self, place: Place) -> Option<&AddressSet> {
        self.by_place.get(&place).and_then(|&id| self.sets.get(id))
    }

    /// The places of all list terms, in no order.
    pub fn places(&self) -> impl Iterator<Item = Place> + '_ {
        self.by_place.keys().copied()
    }
}

impl Lists {
    /// What a list term selects; nothing when it has been reported as an error.
    pub(crate) fn find(&self, source: SourceId, list: &ast::List) -> Option<SelectionId> {
        self.selected.by_place.get(&Place::new(source, list.path.span)).copied()
    }

    /// The addresses of a selection.
    pub(crate) fn addresses(&self, id: SelectionId) -> Option<&AddressSet> {
        self.selected.sets.get(id)
    }
}

/// One list as named in a policy.
struct Use<'a> {
    source: SourceId,
    list: &'a ast::List,
}

impl Use<'_> {
    fn place(&self) -> Place {
        Place::new(self.source, self.list.path.span)
    }
}

/// Reads the lists of a unit. `root` is the unit's root folder as the user named it.
pub(crate) fn load(
    unit: Unit<'_>,
    sources: &Arena<SourceId, Source>,
    root: &str,
    files: &dyn Files,
) -> (Lists, Vec<ListError>) {
    let (mut lists, mut errors) = (Lists::default(), Vec::new());
    let mut by_path: BTreeMap<String, Vec<Use<'_>>> = BTreeMap::new();
    for used in uses(unit) {
        let from = sources.get(used.source).map_or("", |source| source.path.as_str());
        match path::resolve(root, from, &used.list.path.node) {
            Some(path) => by_path.entry(path).or_default().push(used),
            None if used.list.path.node.is_empty() => {}
            None => errors.push(ListError::Outside { text: used.list.path.node.clone(), place: used.place() }),
        }
    }
    for (path, uses) in by_path {
        match read(&path, files, &uses) {
            Ok((content, digest)) => {
                lists.digests.push(digest);
                select(&path, &content, &uses, &mut lists, &mut errors);
            }
            Err(error) => errors.push(error),
        }
    }
    (lists, errors)
}

/// Every list term, by place.
fn uses(unit: Unit<'_>) -> Vec<Use<'_>> {
    let mut uses = Vec::new();
    for (source, item) in unit.items() {
        for set in item.destination_sets() {
            set.each_term(&mut |term| {
                if let DestinationTerm::List(list) = term {
                    uses.push(Use { source, list });
                }
            });
        }
    }
    uses
}

/// Reads one file; its faults are reported once, at every place that names it.
fn read(path: &str, files: &dyn Files, uses: &[Use<'_>]) -> Result<(Content, ListDigest), ListError> {
    let places = || uses.iter().map(Use::place).collect::<Vec<_>>();
    let unreadable = |reason| ListError::Unreadable { path: path.to_owned(), reason, places: places() };
    let bytes = files.read(path).map_err(unreadable)?;
    let content = content::parse(&bytes).map_err(|problem| ListError::Content {
        path: path.to_owned(),
        problem,
        places: places(),
    })?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let digest = ListDigest { path: path.to_owned(), sha256, entries: content.len() };
    Ok((content, digest))
}

/// Applies the filters of each use; equal filters share one selection.
fn select(path: &str, content: &Content, uses: &[Use<'_>], lists: &mut Lists, errors: &mut Vec<ListError>) {
    let mut known: BTreeMap<Vec<Field<'_>>, Option<SelectionId>> = BTreeMap::new();
    for used in uses {
        let filters = &used.list.filters;
        let mut fields: Vec<Field<'_>> = filters.iter().map(|f| (f.key.node.as_str(), f.value.node.as_str())).collect();
        fields.sort_unstable();
        fields.dedup();
        let selection = known.get(&fields).copied().flatten().or_else(|| match content.select(&fields) {
            Ok(addresses) => {
                lists.selected.sets.push(addresses);
                Some(lists.selected.sets.len() - 1)
            }
            Err(fault) => {
                errors.push(ListError::filter(path, fault, used.source, used.list));
                None
            }
        });
        known.insert(fields, selection);
        if let Some(selection) = selection {
            lists.selected.by_place.insert(used.place(), selection);
        }
    }
}
