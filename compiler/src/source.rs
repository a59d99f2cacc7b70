//! Source files: their paths, their text, and where things stand in them.
//!
//! In: bytes with the paths that the user named. Out: an arena of texts, sorted by path, with line numbers by offset.
//! Never reads a file.

use egress_ir::{Arena, SourceId};
use egress_lang::SyntaxError;
use egress_lang::span::Span;

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

/// A source file whose bytes are text; all spans of the unit point into these.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The path as the user named it.
    pub path: String,
    /// The text, without a byte order mark; empty where the bytes were refused.
    pub text: String,
    // INVARIANT: sorted offsets of the first byte of each line, the first of them 0.
    line_starts: Vec<u32>,
}

impl Source {
    /// A source of this text.
    #[must_use]
    pub fn new(path: String, text: String) -> Self {
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
}

/// Decodes the files and sorts them by path. A path given twice counts once, so that overlapping arguments do no harm.
#[must_use]
pub fn read(mut files: Vec<SourceText>) -> (Arena<SourceId, Source>, Vec<(SourceId, SyntaxError)>) {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    let (mut sources, mut errors) = (Arena::default(), Vec::new());
    for file in files {
        let (text, error) = match egress_lang::source_text(&file.bytes) {
            Ok(text) => (text.to_owned(), None),
            Err(error) => (String::new(), Some(error)),
        };
        let source = sources.push(Source::new(file.path, text));
        errors.extend(error.map(|error| (source, error)));
    }
    (sources, errors)
}
