//! The combinators that the grammar is written in: keywords, punctuation, strings,
//! expectation, and recovery.
//!
//! In: `Tokens`. Out: nom parsers. A parser that may not be the right one answers with
//! `Err::Error` and consumes nothing; one that is committed (`cut`) answers with
//! `Err::Failure`, and `recover` turns that into a reported error and an error node.

use nom::combinator::cut;
use nom::error::{ErrorKind, ParseError};
use nom::{Err, IResult, Parser};

use super::sync;
use super::tokens::Tokens;
use crate::error::SyntaxError;
use crate::lexer::Kind;
use crate::span::{Span, Spanned};
use crate::string;
use crate::suggest::closest;
use crate::value::Fault;

/// Where a parser got stuck, and what it wanted there.
pub(crate) struct Stuck<'a> {
    pub(crate) at: Tokens<'a>,
    what: &'static str,
    help: &'static str,
}

/// What every parser of the grammar returns.
pub(crate) type Res<'a, T> = IResult<Tokens<'a>, T, Stuck<'a>>;

impl<'a> ParseError<Tokens<'a>> for Stuck<'a> {
    fn from_error_kind(at: Tokens<'a>, _: ErrorKind) -> Self {
        Self { at, what: "something else", help: "" }
    }

    fn append(_: Tokens<'a>, _: ErrorKind, other: Self) -> Self {
        other
    }
}

impl<'a> Stuck<'a> {
    pub(crate) fn new(at: Tokens<'a>, what: &'static str, help: &'static str) -> Self {
        Self { at, what, help }
    }

    /// The error to show: it blames the token that is wrong, or the place before it where
    /// something is missing, when that token belongs to what comes next.
    pub(crate) fn into_error(self) -> SyntaxError {
        let missing = self.at.peek(0).is_none_or(|token| token.first_on_line) || sync::continues(self.at);
        let (found, span) =
            if missing { (None, self.at.after_last()) } else { (Some(shorten(self.at.text(0))), self.at.span()) };
        SyntaxError::Expected { what: self.what, found, span, help: self.help }
    }
}

/// Keeps a quoted text readable.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Any one token of `kind`.
pub(crate) fn kind<'a>(
    kind: Kind,
    what: &'static str,
    help: &'static str,
) -> impl Parser<Tokens<'a>, Output = Span, Error = Stuck<'a>> {
    move |i: Tokens<'a>| match i.peek(0) {
        Some(token) if token.kind == kind => Ok((i.skip(), token.span)),
        _ => Err(Err::Error(Stuck::new(i, what, help))),
    }
}

/// The word `word`.
pub(crate) fn keyword<'a>(word: &'static str) -> impl Parser<Tokens<'a>, Output = Span, Error = Stuck<'a>> {
    move |i: Tokens<'a>| {
        if i.word() == word { Ok((i.skip(), i.span())) } else { Err(Err::Error(Stuck::new(i, word, ""))) }
    }
}

/// Any word, as written.
pub(crate) fn word<'a>(
    what: &'static str,
    help: &'static str,
) -> impl Parser<Tokens<'a>, Output = Spanned<&'a str>, Error = Stuck<'a>> {
    move |i: Tokens<'a>| {
        let (after, span) = kind(Kind::Word, what, help).parse(i)?;
        Ok((after, Spanned::new(i.text(0), span)))
    }
}

/// A string; its value.
pub(crate) fn text<'a>(
    what: &'static str,
    help: &'static str,
) -> impl Parser<Tokens<'a>, Output = Spanned<String>, Error = Stuck<'a>> {
    move |i: Tokens<'a>| {
        let (after, span) = kind(Kind::Text, what, help).parse(i)?;
        Ok((after, Spanned::new(string::unescape(i.text(0)), span)))
    }
}

/// One of `words`; a misspelled one is reported and taken for what it was meant to be.
pub(crate) fn one_of<'a>(
    words: &'static [&'static str],
    what: &'static str,
    place: &'static str,
    help: &'static str,
) -> impl Parser<Tokens<'a>, Output = &'static str, Error = Stuck<'a>> {
    move |i: Tokens<'a>| {
        if let Some(word) = words.iter().find(|word| **word == i.word()) {
            return Ok((i.skip(), *word));
        }
        let Some(meant) = closest(i.word(), words.iter().copied()) else {
            return Err(Err::Error(Stuck::new(i, what, help)));
        };
        unknown_word(i, place, Some(meant), help);
        Ok((i.skip(), meant))
    }
}

/// Reports the word at `i` as one that starts nothing in `place`.
pub(crate) fn unknown_word(i: Tokens<'_>, place: &'static str, meant: Option<&'static str>, help: &'static str) {
    i.report(SyntaxError::Keyword { found: shorten(i.text(0)), place, meant, help, span: i.span() });
}

/// Reads a word as a value; a fault is reported and leaves `None`.
pub(crate) fn value<T>(
    i: Tokens<'_>,
    word: Spanned<&str>,
    read: impl Fn(&str) -> Result<T, Fault>,
) -> Spanned<Option<T>> {
    let found = read(word.node).map_err(|fault| i.report(SyntaxError::Value { fault, span: word.span }));
    Spanned::new(found.ok(), word.span)
}

/// Runs `parser` in commitment; where it gets stuck, reports that and goes on from there
/// with nothing consumed since.
pub(crate) fn expect<'a, T>(
    parser: impl Parser<Tokens<'a>, Output = T, Error = Stuck<'a>>,
) -> impl Parser<Tokens<'a>, Output = Option<T>, Error = Stuck<'a>> {
    recover(cut(parser), |_| true)
}

/// Runs `parser`; where it *fails* (not where it merely does not apply), reports the
/// failure, skips to the next token that `resume` accepts, and yields `None`. A missing
/// closer consumes nothing, and skipping never leaves the enclosing braces.
pub(crate) fn recover<'a, T>(
    mut parser: impl Parser<Tokens<'a>, Output = T, Error = Stuck<'a>>,
    resume: impl Fn(Tokens<'a>) -> bool,
) -> impl Parser<Tokens<'a>, Output = Option<T>, Error = Stuck<'a>> {
    move |i: Tokens<'a>| match parser.parse(i) {
        Ok((rest, node)) => Ok((rest, Some(node))),
        Err(Err::Failure(stuck)) => {
            let at = stuck.at;
            at.report(stuck.into_error());
            Ok((sync::skip_to(at, &resume), None))
        }
        Err(other) => Err(other),
    }
}

/// The closing brace or parenthesis of what was opened at `open`; reported where it is
/// missing, and then nothing is consumed.
pub(crate) fn close<'a>(i: Tokens<'a>, closer: Kind, what: &'static str, open: Span) -> Tokens<'a> {
    if i.is(closer) {
        return i.skip();
    }
    let closer = if closer == Kind::BraceClose { '}' } else { ')' };
    i.report(SyntaxError::Unclosed { what, closer, span: i.after_last(), open });
    i
}
