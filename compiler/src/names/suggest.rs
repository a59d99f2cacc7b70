//! What an unknown name was probably meant to be.

use super::declare::Used;
use super::{NameError, Names};
use crate::Kind;
use crate::source::Place;
use egress_ir::SourceId;
use egress_lang::suggest::closest;
use std::collections::{BTreeMap, BTreeSet};

/// Comparing a name with all others takes time: after this many comparisons, unknown names get no suggestion.
const MOST_COMPARISONS: usize = 100_000;

/// Answers by name, each computed once.
pub(super) struct Suggestions<'n, 'a> {
    names: &'n Names<'a>,
    by_kind: BTreeMap<Kind, BTreeSet<&'a str>>,
    known: BTreeMap<(Kind, &'a str), Option<&'a str>>,
    compared: usize,
}

impl<'n, 'a> Suggestions<'n, 'a> {
    pub(super) fn new(names: &'n Names<'a>) -> Self {
        let mut by_kind: BTreeMap<Kind, BTreeSet<&'a str>> = BTreeMap::new();
        for declared in &names.declared {
            by_kind.entry(declared.kind).or_default().insert(declared.name);
        }
        Self { names, by_kind, known: BTreeMap::new(), compared: 0 }
    }

    /// The error for a name that is not declared as what it is used for.
    pub(super) fn unknown(&mut self, used: Used<'a>, source: SourceId) -> NameError {
        let name = used.name.text.as_str();
        let place = Place::new(source, used.name.span);
        let meant = self.close(used.kind, name).map(str::to_owned);
        NameError::Unknown { kind: used.kind, name: name.to_owned(), place, meant, elsewhere: self.elsewhere(name) }
    }

    fn close(&mut self, kind: Kind, name: &'a str) -> Option<&'a str> {
        if let Some(known) = self.known.get(&(kind, name)) {
            return *known;
        }
        let candidates = self.by_kind.get(&kind);
        self.compared += candidates.map_or(0, BTreeSet::len);
        if self.compared > MOST_COMPARISONS {
            return None;
        }
        let found = closest(name, candidates.into_iter().flatten().copied());
        self.known.insert((kind, name), found);
        found
    }

    /// Where the name is declared as something else.
    fn elsewhere(&self, name: &str) -> Option<(Kind, Place)> {
        const KINDS: [Kind; 6] =
            [Kind::Workloads, Kind::Destinations, Kind::Ports, Kind::Gateway, Kind::Block, Kind::Cluster];
        let id = KINDS.iter().find_map(|&kind| self.names.find(kind, name))?;
        self.names.declared.get(id).map(|declared| (declared.kind, declared.place))
    }
}
