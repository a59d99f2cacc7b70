//! A unit as of one edit: its files, what they declare, and what is known of their meaning.
//!
//! In: parsed files. Out: names and errors at once; the meaning follows when the prover has it, and may then be that of an
//! earlier edit. Everything is shared and never changes, so that features and prover can look at it side by side.

use crate::text::{Encoding, Lines};
use crate::{syntax, uri};
use egress_answers::Proof;
use egress_compiler::{Compiled, Declaration, Kind, Label, Named, Parsed, Place, resolve};
use egress_ir::{Id, Inventory, SourceId};
use egress_lang::span::Span;
use gen_lsp_types::Range;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One file as of one edit, with its lines.
#[derive(Clone, Debug)]
pub struct File {
    /// Its text and tree; the path is that of [`crate::uri::path`].
    pub parsed: Arc<Parsed>,
    /// Its lines.
    pub lines: Arc<Lines>,
}

impl File {
    /// Parses a text.
    #[must_use]
    pub fn new(path: &str, text: impl Into<Arc<str>>, encoding: Encoding) -> Self {
        Self::of(Parsed::of_text(path.to_owned(), text), encoding)
    }

    /// A file that is parsed.
    #[must_use]
    pub fn of(parsed: Parsed, encoding: Encoding) -> Self {
        let lines = Arc::new(Lines::new(&parsed.source.text, encoding));
        Self { parsed: Arc::new(parsed), lines }
    }
}

/// A unit as of one edit.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The folder that lists may not leave.
    pub root: Arc<str>,
    /// The files, sorted by path; the place of each is its id.
    pub files: Arc<[Arc<Parsed>]>,
    lines: Vec<Arc<Lines>>,
    /// What they declare, and what is wrong with texts and names.
    pub named: Named,
    /// Declarations by kind and name: the first of each by place.
    index: FxHashMap<(Kind, String), usize>,
    /// For each file the names written in it that stand for a declaration, be they its own or uses, sorted.
    names: Vec<Vec<(Span, usize)>>,
    /// What runs in the cluster.
    pub inventory: Option<Arc<Inventory>>,
}

/// What a unit means, as far as it is known.
#[derive(Clone, Debug)]
pub struct Meaning {
    /// The files that it is the meaning of.
    pub files: Arc<[Arc<Parsed>]>,
    /// The program, and what is wrong with it.
    pub compiled: Arc<Compiled>,
    /// What is proved, refuted or unknown; nothing as long as the prover is at work.
    pub proofs: Option<Arc<[Proof]>>,
}

impl Unit {
    /// A unit of these files, which are sorted by path. Resolves names and parses nothing.
    #[must_use]
    pub fn new(root: Arc<str>, files: Vec<File>, inventory: Option<Arc<Inventory>>) -> Self {
        let (files, lines): (Vec<_>, Vec<_>) = files.into_iter().map(|file| (file.parsed, file.lines)).unzip();
        let named = resolve(&files);
        let mut index = FxHashMap::default();
        let mut names = vec![Vec::new(); files.len()];
        for (at, declaration) in named.declarations.iter().enumerate() {
            index.entry((declaration.kind, declaration.name.clone())).or_insert(at);
            for place in declaration.references.iter().chain([&declaration.place]) {
                if let Some(names) = names.get_mut(place.source.index()) {
                    names.push((place.span, at));
                }
            }
        }
        names.iter_mut().for_each(|names: &mut Vec<(Span, usize)>| names.sort_unstable());
        Self { root, files: files.into(), lines, named, index, names, inventory }
    }

    /// The file with this path.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<SourceId> {
        let at = self.files.binary_search_by(|file| file.source.path.as_str().cmp(path)).ok()?;
        u32::try_from(at).ok().map(SourceId::from_index)
    }

    /// A file.
    #[must_use]
    pub fn file(&self, id: SourceId) -> Option<&Arc<Parsed>> {
        self.files.get(id.index())
    }

    /// A file's lines.
    #[must_use]
    pub fn lines(&self, id: SourceId) -> Option<&Lines> {
        self.lines.get(id.index()).map(|lines| &**lines)
    }

    /// The list files that its files name, as absolute paths, sorted; whether they are there or not.
    #[must_use]
    pub fn list_paths(&self) -> BTreeSet<String> {
        let of_file = |file: &Arc<Parsed>| {
            let folder = uri::folder(&file.source.path).to_owned();
            let lists = syntax::lists(&file.parse.file).into_iter().map(|list| list.path.node.clone());
            lists.filter(|path| !path.is_empty()).map(move |path| uri::joined(&folder, &path)).collect::<Vec<_>>()
        };
        self.files.iter().flat_map(of_file).collect()
    }

    /// Where a place is for the client.
    #[must_use]
    pub fn range(&self, place: Place) -> Option<Range> {
        Some(self.lines(place.source)?.range(&self.file(place.source)?.source.text, place.span))
    }

    /// What a name stands for.
    #[must_use]
    pub fn declaration(&self, kind: Kind, name: &str) -> Option<&Declaration> {
        self.index.get(&(kind, name.to_owned())).and_then(|&at| self.named.declarations.get(at))
    }

    /// The name written at a byte offset, or just before it, and what it stands for.
    #[must_use]
    pub fn name_at(&self, id: SourceId, at: u32) -> Option<(Span, &Declaration)> {
        let names = self.names.get(id.index())?;
        let after = names.partition_point(|(span, _)| span.start <= at);
        let &(span, declaration) = names.get(after.checked_sub(1)?)?;
        (at <= span.end).then_some(())?;
        self.named.declarations.get(declaration).map(|declaration| (span, declaration))
    }
}

impl Meaning {
    /// Whether it is the meaning of these very files.
    #[must_use]
    pub fn is_of(&self, unit: &Unit) -> bool {
        Arc::ptr_eq(&self.files, &unit.files)
    }

    /// Where the places of its files are in the unit now.
    #[must_use]
    pub fn moves(&self, unit: &Unit) -> Moves {
        Moves::between(&self.files, unit)
    }
}

/// Where places of an earlier edit are now.
#[derive(Clone, Debug)]
pub struct Moves(Vec<Option<(SourceId, Option<Shift>)>>);

impl Moves {
    /// From the files of an earlier edit to a unit.
    #[must_use]
    pub fn between(files: &[Arc<Parsed>], unit: &Unit) -> Self {
        let of = |before: &Arc<Parsed>| {
            let id = unit.find(&before.source.path)?;
            let after = unit.file(id)?;
            let same = Arc::ptr_eq(before, after);
            Some((id, (!same).then(|| Shift::between(before.source.text.as_bytes(), after.source.text.as_bytes()))))
        };
        Self(files.iter().map(of).collect())
    }

    /// Where a label is now; nothing where the text around it has changed.
    #[must_use]
    pub fn label(&self, label: &Label) -> Option<Place> {
        self.place(Place::new(label.source, label.span))
    }

    /// Where a place is now; nothing where the text around it has changed.
    #[must_use]
    pub fn place(&self, place: Place) -> Option<Place> {
        match self.0.get(place.source.index())?.as_ref()? {
            (id, None) => Some(Place::new(*id, place.span)),
            (id, Some(shift)) => shift.span(place.span).map(|span| Place::new(*id, span)),
        }
    }
}

/// What one edit, or several taken as one, did to a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shift {
    /// What stands before this is as it was.
    start: usize,
    /// What stood after this is as it was, but elsewhere.
    end: usize,
    lengths: (usize, usize),
}

impl Shift {
    fn between(before: &[u8], after: &[u8]) -> Self {
        let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
        let most = before.len().min(after.len()) - start;
        let same = before.iter().rev().zip(after.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
        Self { start, end: before.len() - same, lengths: (before.len(), after.len()) }
    }

    fn span(&self, span: Span) -> Option<Span> {
        let moved = |at: u32| u32::try_from((at as usize + self.lengths.1).checked_sub(self.lengths.0)?).ok();
        if (span.end as usize) < self.start || self.start == self.lengths.0 {
            Some(span)
        } else if span.start as usize > self.end {
            Some(Span::new(moved(span.start)?, moved(span.end)?))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_move_with_the_text_around_an_edit() {
        let moved = |before: &str, after: &str, span| Shift::between(before.as_bytes(), after.as_bytes()).span(span);
        let (before, after) = ("aaa bbb ccc", "aaa b-x-b ccc");
        assert_eq!(moved(before, after, Span::new(0, 3)), Some(Span::new(0, 3)));
        assert_eq!(moved(before, after, Span::new(8, 11)), Some(Span::new(10, 13)));
        assert_eq!(moved(before, after, Span::new(4, 7)), None);
        assert_eq!(moved("aa", "a", Span::new(0, 2)), None);
        assert_eq!(moved("aa", "aa", Span::new(0, 2)), Some(Span::new(0, 2)));
    }
}
