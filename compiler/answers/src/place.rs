//! Places for people and tools: byte offsets as lines and columns.
//!
//! In: the unit's sources and byte offsets. Out: lines and columns counted from 1, columns both in characters and in
//! UTF-16 code units. Total: an offset beyond the text, or inside a character, counts as the nearest one before.

use egress_compiler::Source;
use egress_ir::{Arena, SourceId};
use std::collections::BTreeMap;

/// Where the lines of each source begin.
#[derive(Clone, Debug)]
pub struct Index<'s> {
    files: BTreeMap<SourceId, Lines<'s>>,
}

/// The lines of one source.
#[derive(Clone, Debug)]
pub struct Lines<'s> {
    /// The source.
    pub source: &'s Source,
    // INVARIANT: sorted, the first of them 0, each at a character's first byte.
    starts: Vec<usize>,
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The column in UTF-16 code units, from 1.
    #[serde(skip)]
    pub utf16: usize,
    /// The byte offset, from 0.
    pub offset: usize,
}

impl<'s> Index<'s> {
    /// Finds the lines of all sources.
    pub fn new(sources: &'s Arena<SourceId, Source>) -> Self {
        Self { files: sources.iter().map(|(id, source)| (id, Lines::new(source))).collect() }
    }

    /// The lines of a source, if it is of this unit.
    pub fn file(&self, source: SourceId) -> Option<&Lines<'s>> {
        self.files.get(&source)
    }
}

impl<'s> Lines<'s> {
    fn new(source: &'s Source) -> Self {
        let breaks = source.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { source, starts: std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect() }
    }

    /// The place of a byte offset.
    pub fn position(&self, offset: u32) -> Position {
        let text = &*self.source.text;
        let mut offset = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.line_of(offset);
        let before = text.get(self.start(line)..offset).unwrap_or_default();
        let utf16 = before.encode_utf16().count() + 1;
        Position { line: line + 1, column: before.chars().count() + 1, utf16, offset }
    }

    /// The number, from 0, of the line that holds a byte offset.
    pub fn line_of(&self, offset: usize) -> usize {
        self.starts.partition_point(|&start| start <= offset).saturating_sub(1)
    }

    /// The offset at which line `line`, counted from 0, begins; the text's length beyond the last.
    pub fn start(&self, line: usize) -> usize {
        self.starts.get(line).copied().unwrap_or(self.source.text.len())
    }

    /// The number of lines.
    pub fn count(&self) -> usize {
        self.starts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_utf16_units() {
        let source = Source::new("x".into(), "a\n# é𝄞 z\n");
        let lines = Lines::new(&source);
        let at = |needle: &str| lines.position(u32::try_from(source.text.find(needle).unwrap()).unwrap());
        assert_eq!(at("a"), Position { line: 1, column: 1, utf16: 1, offset: 0 });
        assert_eq!(at("z"), Position { line: 2, column: 6, utf16: 7, offset: 11 });
        assert_eq!(lines.position(7), at("𝄞"), "an offset inside a character is the character's");
        assert_eq!(lines.position(u32::MAX).line, 3);
    }
}
