//! The grammar's input: a position in the tokens of one file, as nom wants it.
//!
//! In: tokens from the lexer. Out: `Tokens`, a cheap copy-able view with look-ahead, the
//! spans around it, and the sink for errors. Never backtracks over an error: errors
//! are only reported after commitment.

use std::cell::RefCell;

use nom::{Input, Needed};

use crate::error::SyntaxError;
use crate::lexer::{Comment, Kind, Token};
use crate::span::Span;

/// What all positions in one file share.
pub(crate) struct Source<'a> {
    pub(crate) text: &'a str,
    pub(crate) tokens: &'a [Token],
    pub(crate) comments: &'a [Comment],
    /// What the lexer has reported already.
    pub(crate) unknown: &'a [Span],
    pub(crate) errors: RefCell<Vec<SyntaxError>>,
}

/// The tokens from `at` up to `end`.
#[derive(Clone, Copy)]
pub(crate) struct Tokens<'a> {
    pub(crate) source: &'a Source<'a>,
    at: usize,
    end: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(source: &'a Source<'a>) -> Self {
        Self { source, at: 0, end: source.tokens.len() }
    }

    fn rest(self) -> &'a [Token] {
        self.source.tokens.get(self.at..self.end).unwrap_or_default()
    }

    /// The token `ahead` places further on.
    pub(crate) fn peek(self, ahead: usize) -> Option<Token> {
        self.rest().get(ahead).copied()
    }

    pub(crate) fn kind(self, ahead: usize) -> Option<Kind> {
        self.peek(ahead).map(|token| token.kind)
    }

    pub(crate) fn is(self, kind: Kind) -> bool {
        self.kind(0) == Some(kind)
    }

    /// The text of the token `ahead` places further on; empty at the end of the file.
    pub(crate) fn text(self, ahead: usize) -> &'a str {
        self.peek(ahead).map(|token| token.span.text(self.source.text)).unwrap_or_default()
    }

    /// The word that stands here; empty if it is no word.
    pub(crate) fn word(self) -> &'a str {
        if self.is(Kind::Word) { self.text(0) } else { "" }
    }

    /// The span of the next token; the place after the last at the end of the file.
    pub(crate) fn span(self) -> Span {
        self.peek(0).map_or_else(|| self.after_last(), |token| token.span)
    }

    /// The place just after the token before this position.
    pub(crate) fn after_last(self) -> Span {
        Span::empty(self.last().end)
    }

    /// The span of the token before this position; the start of the file before the first.
    pub(crate) fn last(self) -> Span {
        let last = self.at.checked_sub(1).and_then(|at| self.source.tokens.get(at));
        last.map_or_else(|| Span::empty(0), |token| token.span)
    }

    /// From `start` to the end of the last token consumed.
    pub(crate) fn span_from(self, start: Span) -> Span {
        Span::new(start.start, self.after_last().end.max(start.start))
    }

    /// Whether the next token continues the line of the one before.
    pub(crate) fn same_line(self) -> bool {
        self.peek(0).is_some_and(|token| !token.first_on_line)
    }

    /// One token further on.
    pub(crate) fn skip(self) -> Self {
        self.take_from(1)
    }

    /// How many tokens lie before this position; for checks of progress.
    pub(crate) fn position_in_file(self) -> usize {
        self.at
    }

    /// Records an error, unless it only repeats that something is wrong with a token: an
    /// unknown character beside it, or that it is not what was expected.
    /// Where several parts in a row are missing, the first is enough.
    pub(crate) fn report(self, error: SyntaxError) {
        let span = error.span();
        let unknown = self.source.unknown;
        let first = unknown.partition_point(|bad| bad.end < span.start);
        let touches = unknown.get(first).is_some_and(|bad| bad.start <= span.end);
        let mut errors = self.source.errors.borrow_mut();
        let missing = |error: &SyntaxError| matches!(error, SyntaxError::Expected { found: None, .. });
        let structural = matches!(error, SyntaxError::Expected { .. } | SyntaxError::Keyword { .. });
        let repeats = errors.last().is_some_and(|last| {
            last.span() == span && structural && (!span.is_empty() || (missing(last) && missing(&error)))
        });
        if !touches && !repeats {
            errors.push(error);
        }
    }
}

impl<'a> Input for Tokens<'a> {
    type Item = Token;
    type Iter = std::iter::Copied<std::slice::Iter<'a, Token>>;
    type IterIndices = std::iter::Enumerate<Self::Iter>;

    fn input_len(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    fn take(&self, index: usize) -> Self {
        Self { end: self.at.saturating_add(index).min(self.end), ..*self }
    }

    fn take_from(&self, index: usize) -> Self {
        Self { at: self.at.saturating_add(index).min(self.end), ..*self }
    }

    fn take_split(&self, index: usize) -> (Self, Self) {
        (self.take_from(index), self.take(index))
    }

    fn position<P: Fn(Token) -> bool>(&self, predicate: P) -> Option<usize> {
        self.rest().iter().position(|token| predicate(*token))
    }

    fn iter_elements(&self) -> Self::Iter {
        self.rest().iter().copied()
    }

    fn iter_indices(&self) -> Self::IterIndices {
        self.iter_elements().enumerate()
    }

    fn slice_index(&self, count: usize) -> Result<usize, Needed> {
        if count <= self.input_len() { Ok(count) } else { Err(Needed::new(count - self.input_len())) }
    }
}
