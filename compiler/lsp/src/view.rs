//! What features look through: one document of one unit, with all that is known.
//!
//! Features are plain functions from a view and a byte offset to the protocol's types. A view never changes.

use crate::unit::{Meaning, Unit};
use crate::uri;
use egress_compiler::{Parsed, Place};
use egress_ir::SourceId;
use egress_lang::span::Span;
use gen_lsp_types::{
    DocumentChange, Edit, Location, OptionalVersionedTextDocumentIdentifier, Position, Range, TextDocumentEdit,
    TextDocumentIdentifier, TextEdit, Uri, WorkspaceEdit,
};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One document of a unit.
#[derive(Clone, Copy, Debug)]
pub struct View<'v> {
    /// The unit.
    pub unit: &'v Unit,
    /// What it means; perhaps as of an earlier edit, see [`Meaning::is_of`].
    pub meaning: Option<&'v Arc<Meaning>>,
    /// The document.
    pub id: SourceId,
    /// Its text and tree.
    pub file: &'v Parsed,
    uris: &'v Uris,
}

/// The same changes for a client that knows no versions: such a client takes them as they are.
#[must_use]
pub fn unversioned(edit: WorkspaceEdit) -> WorkspaceEdit {
    let mut changes: HashMap<Uri, Vec<TextEdit>> = HashMap::new();
    for change in edit.document_changes.into_iter().flatten() {
        let DocumentChange::TextDocumentEdit(change) = change else { continue };
        let edits = change.edits.into_iter().filter_map(|edit| match edit {
            Edit::TextEdit(edit) => Some(edit),
            _ => None,
        });
        changes.entry(change.text_document.text_document_identifier.uri).or_default().extend(edits);
    }
    WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }
}

/// The documents that the client has open, by their paths.
pub type Uris = FxHashMap<String, Open>;

/// The URI of a file: as the client spells it, if it has it open.
#[must_use]
pub fn uri_of(uris: &Uris, path: &str) -> Uri {
    uris.get(path).map_or_else(|| uri::of_path(path), |open| open.uri.clone())
}

/// An open document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Its URI as the client spells it.
    pub uri: Uri,
    /// Its version.
    pub version: i32,
}

impl<'v> View<'v> {
    /// The document with this path.
    #[must_use]
    pub fn new(unit: &'v Unit, meaning: Option<&'v Arc<Meaning>>, uris: &'v Uris, path: &str) -> Option<Self> {
        let id = unit.find(path)?;
        Some(Self { unit, meaning, id, file: unit.file(id)?, uris })
    }

    /// The document's text.
    #[must_use]
    pub fn text(&self) -> &'v str {
        &self.file.source.text
    }

    /// The byte offset of a position in the document.
    #[must_use]
    pub fn offset(&self, position: Position) -> u32 {
        self.unit.lines(self.id).map_or(0, |lines| lines.offset(self.text(), position))
    }

    /// The position of a byte offset of the document.
    #[must_use]
    pub fn position(&self, at: u32) -> Position {
        self.unit.lines(self.id).map(|lines| lines.position(self.text(), at)).unwrap_or_default()
    }

    /// A span of the document for the client.
    #[must_use]
    pub fn range(&self, span: Span) -> Range {
        self.unit.range(Place::new(self.id, span)).unwrap_or_default()
    }

    /// The span of a range in the document.
    #[must_use]
    pub fn span(&self, range: Range) -> Span {
        Span::new(self.offset(range.start), self.offset(range.end))
    }

    /// The document's URI.
    #[must_use]
    pub fn uri(&self) -> Uri {
        self.uri_of(&self.file.source.path)
    }

    /// The URI of a file, as the client spells it.
    #[must_use]
    pub fn uri_of(&self, path: &str) -> Uri {
        uri_of(self.uris, path)
    }

    /// A place of the unit for the client.
    #[must_use]
    pub fn location(&self, place: Place) -> Option<Location> {
        let file = self.unit.file(place.source)?;
        Some(Location { uri: self.uri_of(&file.source.path), range: self.unit.range(place)? })
    }

    /// Changes of the unit's texts. Those of open documents are meant for the version that they have now, so that a client
    /// refuses them where it is further.
    #[must_use]
    pub fn edit(&self, changes: impl IntoIterator<Item = (Place, String)>) -> WorkspaceEdit {
        let mut by_file: BTreeMap<SourceId, Vec<TextEdit>> = BTreeMap::new();
        for (place, new_text) in changes {
            let Some(range) = self.unit.range(place) else { continue };
            by_file.entry(place.source).or_default().push(TextEdit { range, new_text });
        }
        let of_file = |(id, edits): (SourceId, Vec<TextEdit>)| {
            let path = &self.unit.file(id)?.source.path;
            let version = self.uris.get(path).map(|open| open.version);
            let identifier = TextDocumentIdentifier { uri: self.uri_of(path) };
            let text_document = OptionalVersionedTextDocumentIdentifier::new(version, identifier);
            let edits = edits.into_iter().map(Edit::TextEdit).collect();
            Some(DocumentChange::TextDocumentEdit(TextDocumentEdit { text_document, edits }))
        };
        let changes = by_file.into_iter().filter_map(of_file).collect();
        WorkspaceEdit { document_changes: Some(changes), ..Default::default() }
    }
}
