//! The pen of the formatter: chunks of text, wrapped lines, and the comments between them.
//!
//! In: chunks in the order they are to appear, each with the place it came from. Out: text
//! in which every comment stands between the same two chunks as before. Knows nothing of
//! the language.

use crate::lexer::{Comment, Trivia};

/// Lines are wrapped at this column where a chunk allows it.
pub(super) const WIDTH: usize = 100;

const INDENT: usize = 2;

pub(super) struct Printer<'a> {
    text: &'a str,
    trivia: &'a Trivia,
    out: String,
    /// Column of the pen, in characters.
    column: usize,
    /// Nesting of the current entry.
    level: usize,
    /// Parentheses open around the pen.
    depth: usize,
    /// The comments still to be printed in the current entry: indices into `trivia`.
    comments: std::ops::Range<usize>,
    /// A comment ends the line: what follows goes on the next.
    broken: bool,
    /// The next chunk follows without a space.
    glued: bool,
    /// A keyword that stays on the line of the chunk after it.
    lead: String,
}

impl<'a> Printer<'a> {
    pub(super) fn new(text: &'a str, trivia: &'a Trivia) -> Self {
        Self {
            text,
            trivia,
            out: String::with_capacity(text.len()),
            column: 0,
            level: 0,
            depth: 0,
            comments: 0..0,
            broken: false,
            glued: true,
            lead: String::new(),
        }
    }

    pub(super) fn finish(mut self) -> String {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out
    }

    pub(super) fn source(&self) -> &'a str {
        self.text
    }

    /// Writes `text` after a space, or on the next line where it does not fit.
    pub(super) fn chunk(&mut self, text: &str) {
        let text = match std::mem::take(&mut self.lead) {
            lead if lead.is_empty() => text.to_owned(),
            lead => format!("{lead} {text}"),
        };
        let width = text.chars().count();
        let space = usize::from(!self.glued);
        if self.broken || (!self.glued && self.column + space + width > WIDTH) {
            self.line(self.level + 1 + self.depth);
        } else if !self.glued {
            self.push(" ");
        }
        self.push(&text);
        self.glued = false;
    }

    /// Writes `text` right after the chunk before it, whatever the width.
    pub(super) fn suffix(&mut self, text: &str) {
        if self.broken {
            self.line(self.level + 1 + self.depth);
        }
        self.push(text);
        self.glued = false;
    }

    /// Enters parentheses, after the chunk that ends with `(`.
    pub(super) fn open(&mut self) {
        self.depth += 1;
        self.glued = true;
    }

    /// Leaves the parentheses that end just before `end` in the source.
    pub(super) fn close(&mut self, end: u32) {
        self.flush(end.saturating_sub(1));
        self.depth = self.depth.saturating_sub(1);
        self.suffix(")");
    }

    /// Keeps `word` together with the chunk that comes next.
    pub(super) fn lead(&mut self, word: &str) {
        if !self.lead.is_empty() {
            self.lead.push(' ');
        }
        self.lead.push_str(word);
    }

    /// Writes `count` spaces, as alignment.
    pub(super) fn pad(&mut self, count: usize) {
        self.push(&" ".repeat(count));
    }

    /// Writes the entry's comments that start before `at`.
    pub(super) fn flush(&mut self, at: u32) {
        while let Some(comment) = self.next_comment().filter(|comment| comment.span.start < at) {
            self.comments.start += 1;
            if !self.lead.is_empty() {
                let lead = std::mem::take(&mut self.lead);
                self.chunk(&lead);
            }
            if comment.own_line || self.broken || self.column == 0 {
                self.line(self.level + 1 + self.depth);
            } else {
                self.push("  ");
            }
            self.push(comment.span.text(self.text));
            self.broken = true;
            self.glued = false;
        }
    }

    fn next_comment(&self) -> Option<Comment> {
        if self.comments.is_empty() { None } else { self.trivia.comments.get(self.comments.start).copied() }
    }

    /// Starts a line for the next entry of the current block, after an empty one if `blank`.
    pub(super) fn entry(&mut self, blank: bool) {
        if blank && !self.out.is_empty() {
            self.out.push('\n');
        }
        if !self.out.is_empty() {
            self.line(self.level);
        }
        self.glued = true;
    }

    /// Writes a comment on a line of its own at the level of the block.
    pub(super) fn own_line(&mut self, index: usize, blank: bool) {
        let Some(comment) = self.trivia.comments.get(index) else { return };
        self.entry(blank);
        self.push(comment.span.text(self.text));
    }

    /// Chooses the comments that the next `flush` may print.
    pub(super) fn own(&mut self, comments: std::ops::Range<usize>) {
        self.comments = comments;
    }

    pub(super) fn owned(&self) -> std::ops::Range<usize> {
        self.comments.clone()
    }

    pub(super) fn indent(&mut self) {
        self.level += 1;
    }

    pub(super) fn dedent(&mut self) {
        self.level = self.level.saturating_sub(1);
    }

    /// The first comment that starts at or after `at`.
    pub(super) fn comment_at(&self, at: u32) -> usize {
        self.trivia.comments.partition_point(|comment| comment.span.start < at)
    }

    pub(super) fn comment(&self, index: usize) -> Option<Comment> {
        self.trivia.comments.get(index).copied()
    }

    /// Whether `comment` stands on the line that has `at`, before it.
    pub(super) fn one_line(&self, at: u32, comment: Comment) -> bool {
        let between = self.text.get(at as usize..comment.span.start as usize).unwrap_or_default();
        !comment.own_line && !between.contains('\n')
    }

    /// Whether an empty line stands directly before `at`.
    pub(super) fn blank_before(&self, at: u32) -> bool {
        let before = self.trivia.blanks.partition_point(|&blank| blank < at);
        let blank = before.checked_sub(1).and_then(|index| self.trivia.blanks.get(index));
        let Some(&start) = blank else { return false };
        let between = self.text.get(start as usize..at as usize).unwrap_or_default();
        between.chars().all(|c| c.is_whitespace() || c == '\u{feff}')
    }

    /// Where a trial starts: what is printed after it can be measured and taken back. A trial
    /// prints whole entries without comments.
    pub(super) fn mark(&self) -> (usize, usize) {
        (self.out.len(), self.column)
    }

    /// Whether what was printed since `mark` stands on one line within the width, with room
    /// for `more` characters.
    pub(super) fn fits(&self, mark: (usize, usize), more: usize) -> bool {
        let printed = self.out.get(mark.0..).unwrap_or_default();
        !printed.contains('\n') && self.column + more <= WIDTH
    }

    /// Takes back what was printed since `mark`.
    pub(super) fn take_back(&mut self, mark: (usize, usize)) {
        self.out.truncate(mark.0);
        self.column = mark.1;
    }

    fn line(&mut self, level: usize) {
        self.out.push('\n');
        self.column = 0;
        self.broken = false;
        self.push(&" ".repeat(level * INDENT));
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }
}
