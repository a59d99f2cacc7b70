//! Source files: their paths, their text, their trees, and where things stand in them.
//!
//! In: bytes with the paths that the user named. Out: texts with line numbers by offset, parsed each by itself, so that a
//! caller who compiles again and again parses only what changed. Never reads a file.

use egress_ir::{Arena, SourceId};
use egress_lang::span::Span;
use egress_lang::{Parse, SyntaxError};
use std::sync::Arc;

/// One `.egress` file as handed to [`crate::compile`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceText {
    /// The path as the user named it, with `/` between folders; `-` for standard input.
    pub path: String,
    /// The file's content.
    pub bytes: Vec<u8>,
}

/// A place in the unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The file.
    pub source: SourceId,
    /// The text within it.
    pub span: Span,
}

impl Place {
    /// Joins a file and a span of it.
    #[must_use]
    pub const fn new(source: SourceId, span: Span) -> Self {
        Self { source, span }
    }
}

/// A source file whose bytes are text; all spans of the unit point into these. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The path as the user named it.
    pub path: String,
    /// The text, without a byte order mark; empty where the bytes were refused.
    pub text: Arc<str>,
    // INVARIANT: sorted offsets of the first byte of each line, the first of them 0.
    line_starts: Arc<[u32]>,
}

impl Source {
    /// A source of this text.
    #[must_use]
    pub fn new(path: String, text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let after = breaks.map(|(at, _)| u32::try_from(at + 1).unwrap_or(u32::MAX));
        let line_starts = std::iter::once(0).chain(after).collect();
        Self { path, text, line_starts }
    }

    /// The line of a byte offset, counted from 1.
    #[must_use]
    pub fn line(&self, offset: u32) -> u32 {
        let lines = self.line_starts.partition_point(|&start| start <= offset);
        u32::try_from(lines).unwrap_or(u32::MAX).max(1)
    }

    /// The offsets at which lines start, in order; the first is 0.
    #[must_use]
    pub fn line_starts(&self) -> &[u32] {
        &self.line_starts
    }
}

/// One file with its tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parsed {
    /// The file.
    pub source: Source,
    /// Its tree; empty where the bytes were refused.
    pub parse: Parse,
    /// Why the bytes were refused.
    pub(crate) undecoded: Option<SyntaxError>,
}

impl Parsed {
    /// Decodes and parses a file.
    #[must_use]
    pub fn new(file: SourceText) -> Self {
        let (text, undecoded) = match egress_lang::source_text(&file.bytes) {
            Ok(text) => (text, None),
            Err(error) => ("", Some(error)),
        };
        Self { undecoded, ..Self::of_text(file.path, text) }
    }

    /// Parses a text.
    #[must_use]
    pub fn of_text(path: String, text: impl Into<Arc<str>>) -> Self {
        let source = Source::new(path, text);
        Self { parse: egress_lang::parse(&source.text), source, undecoded: None }
    }

    /// Everything that keeps this text from being read.
    pub fn errors(&self) -> impl Iterator<Item = &SyntaxError> {
        self.undecoded.iter().chain(&self.parse.errors)
    }
}

/// Decodes and parses files, sorted by path. A path given twice counts once, so that overlapping arguments do no harm.
#[must_use]
pub fn parse_all(mut files: Vec<SourceText>) -> Vec<Arc<Parsed>> {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    files.into_iter().map(|file| Arc::new(Parsed::new(file))).collect()
}

/// The files as an arena, in the order given.
pub(crate) fn arena(files: &[Arc<Parsed>]) -> Arena<SourceId, Source> {
    let mut sources = Arena::default();
    for file in files {
        sources.push(file.source.clone());
    }
    sources
}
