//! Changes to a text, one after another, each in terms of the text that the ones before it left.

use super::{Encoding, Lines};
use gen_lsp_types::{Range, TextDocumentContentChangeEvent};

/// A text under change. Lines are counted again only where a change needs them: editors mostly send changes from the
/// last to the first.
#[derive(Debug)]
pub struct Edited {
    text: String,
    encoding: Encoding,
    lines: Option<Lines>,
    /// Lines before this one are as `lines` has them.
    valid: u32,
}

impl Edited {
    /// Starts with this text.
    #[must_use]
    pub fn new(text: String, encoding: Encoding) -> Self {
        Self { text, encoding, lines: None, valid: u32::MAX }
    }

    /// Applies one change.
    pub fn apply(&mut self, change: TextDocumentContentChangeEvent) {
        match change {
            TextDocumentContentChangeEvent::TextDocumentContentChangePartial(partial) => {
                self.replace(partial.range, &partial.text);
            }
            TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(whole) => {
                *self = Self::new(whole.text, self.encoding);
            }
        }
    }

    /// Replaces a range. One whose end lies before its start is taken the other way round.
    fn replace(&mut self, range: Range, with: &str) {
        if range.start.line.max(range.end.line) >= self.valid {
            self.lines = None;
        }
        let (text, encoding) = (&self.text, self.encoding);
        let lines = self.lines.get_or_insert_with(|| Lines::new(text, encoding));
        let (a, b) = (lines.offset(text, range.start), lines.offset(text, range.end));
        // The line before may end with a `\r` that a `\n` now joins, so the line itself is no longer valid.
        self.valid = range.start.line.min(range.end.line);
        self.text.replace_range(a.min(b) as usize..a.max(b) as usize, with);
    }

    /// The text after all changes.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }
}
