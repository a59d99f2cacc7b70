//! Text as editors see it: lines, and positions counted in UTF-16 code units or as the client asks.
//!
//! In: a text, and changes to it as the protocol sends them. Out: byte offsets for positions and back, and the changed
//! text. Any text will do, and any position: one beyond the end of its line means the end of the line, one beyond the
//! last line the end of the text, and one inside of a character its beginning (LSP 3.17, `Position`). Never parses.

mod edit;
mod units;

pub use edit::Edited;

use gen_lsp_types::{Position, Range};
use units::Units;

/// How columns are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Encoding {
    /// Bytes.
    Utf8,
    /// UTF-16 code units, which every client knows.
    #[default]
    Utf16,
    /// Characters.
    Utf32,
}

/// Where the lines of a text start, and how its columns are counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lines {
    // INVARIANT: sorted, the first is 0; each is the offset after a line break.
    starts: Vec<u32>,
    units: Units,
    length: u32,
}

impl Lines {
    /// Looks through a text for `\n`, `\r\n` and `\r`.
    #[must_use]
    pub fn new(text: &str, encoding: Encoding) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        for (at, byte) in bytes.iter().enumerate() {
            let ends = *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
            if ends {
                starts.push(offset(at + 1));
            }
        }
        Self { starts, units: Units::new(text, encoding), length: offset(text.len()) }
    }

    /// The position of a byte offset, which lies at the beginning of a character of the text.
    #[must_use]
    pub fn position(&self, text: &str, at: u32) -> Position {
        let at = at.min(self.length);
        let line = self.starts.partition_point(|&start| start <= at).saturating_sub(1);
        let start = self.starts.get(line).copied().unwrap_or_default();
        let character = self.units.before(text, at).saturating_sub(self.units.before(text, start));
        Position { line: offset(line), character }
    }

    /// The range of a span.
    #[must_use]
    pub fn range(&self, text: &str, span: egress_lang::span::Span) -> Range {
        Range { start: self.position(text, span.start), end: self.position(text, span.end.max(span.start)) }
    }

    /// The byte offset of a position.
    #[must_use]
    pub fn offset(&self, text: &str, position: Position) -> u32 {
        let line = position.line as usize;
        let Some(&start) = self.starts.get(line) else { return self.length };
        let end = self.line_end(text, line);
        let units = self.units.before(text, start).saturating_add(position.character);
        self.units.at(text, units).clamp(start, end)
    }

    /// The number of lines; a text that ends with a line break has an empty one after it.
    #[must_use]
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The line of a byte offset, counted from 0.
    #[must_use]
    pub fn line(&self, at: u32) -> u32 {
        offset(self.starts.partition_point(|&start| start <= at).saturating_sub(1))
    }

    /// The offset of the first byte of a line; the end of the text for a line that is not there.
    #[must_use]
    pub fn start(&self, line: usize) -> u32 {
        self.starts.get(line).copied().unwrap_or(self.length)
    }

    /// The offset of the end of a line, before its line break.
    fn line_end(&self, text: &str, line: usize) -> u32 {
        let Some(&next) = self.starts.get(line + 1) else { return self.length };
        let content = text.get(..next as usize).unwrap_or(text);
        let content = content.strip_suffix("\r\n").or_else(|| content.strip_suffix(['\n', '\r'])).unwrap_or(content);
        offset(content.len())
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same by walking the text from its beginning.
    fn walked(text: &str, encoding: Encoding, position: Position) -> u32 {
        let (mut line, mut column) = (0, 0);
        let mut characters = text.char_indices().peekable();
        while let Some((at, c)) = characters.next() {
            let ends = c == '\n' || (c == '\r' && characters.peek().is_none_or(|(_, next)| *next != '\n'));
            let within_break = c == '\r' && !ends;
            let width = match encoding {
                Encoding::Utf8 => c.len_utf8(),
                Encoding::Utf16 => c.len_utf16(),
                Encoding::Utf32 => 1,
            };
            if line == position.line && (ends || within_break || column + offset(width) > position.character) {
                return offset(at);
            }
            column += offset(width);
            if ends {
                (line, column) = (line + 1, 0);
            }
        }
        offset(text.len())
    }

    fn texts() -> impl Strategy<Value = String> {
        prop::collection::vec(
            prop_oneof![
                Just("a".to_owned()),
                Just("é".to_owned()),
                Just("𝄞".to_owned()),
                Just("漢字".to_owned()),
                Just("\n".to_owned()),
                Just("\r\n".to_owned()),
                Just("\r".to_owned()),
                Just("x".repeat(300)),
                Just("ü".repeat(300)),
            ],
            0..40,
        )
        .prop_map(|parts| parts.concat())
    }

    fn encodings() -> impl Strategy<Value = Encoding> {
        prop_oneof![Just(Encoding::Utf8), Just(Encoding::Utf16), Just(Encoding::Utf32)]
    }

    proptest! {
        #[test]
        fn offsets_are_those_of_a_walk(text in texts(), encoding in encodings(), line in 0u32..30, character in 0u32..700) {
            let lines = Lines::new(&text, encoding);
            let position = Position { line, character };
            prop_assert_eq!(lines.offset(&text, position), walked(&text, encoding, position));
        }

        #[test]
        fn every_character_has_its_own_position(text in texts(), encoding in encodings()) {
            let lines = Lines::new(&text, encoding);
            for (at, c) in text.char_indices() {
                let position = lines.position(&text, offset(at));
                // The `\n` of a `\r\n` lies beyond the end of its line.
                if !(c == '\n' && text[..at].ends_with('\r')) {
                    prop_assert_eq!(lines.offset(&text, position), offset(at));
                }
            }
            prop_assert_eq!(lines.offset(&text, lines.position(&text, offset(text.len()))), offset(text.len()));
        }
    }
}
