//! Text to tokens. Total: every text is a list of tokens, comments and blank lines.
//!
//! In: the text of one file. Out: tokens for the grammar, comments and blank lines in a side
//! table for the formatter, and the errors that need no grammar to be seen. White space
//! vanishes. Never decides what a word means: `10.0.0.0/8`, `443/tcp`, `*.example.com` and
//! `allow` are all words.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while, take_while1};
use nom::character::complete::{anychar, char};
use nom::combinator::{opt, recognize, value};
use nom::{IResult, Parser};

use crate::error::SyntaxError;
use crate::span::Span;
use crate::string::{self, is_inside_string};

/// The kinds of token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Letters, digits and `. _ : / * - %`.
    Word,
    /// A string with its quotes; the closing one may be missing.
    Text,
    /// `{`
    BraceOpen,
    /// `}`
    BraceClose,
    /// `(`
    ParenOpen,
    /// `)`
    ParenClose,
    /// `,`
    Comma,
    /// A run of `= ! < > ~ | & ^`.
    Operator,
    /// Anything else.
    Unknown,
}

/// A piece of text with a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Whether nothing but white space stands before it on its line.
    pub first_on_line: bool,
    /// Its text.
    pub span: Span,
}

/// A comment, from its `#` to the last character that is not white space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Comment {
    /// Its text, `#` included.
    pub span: Span,
    /// Whether nothing but white space stands before it on its line.
    pub own_line: bool,
    /// Whether it starts with exactly two `#`, as documentation does.
    pub doc: bool,
}

/// The side table: what the tree leaves out and the formatter keeps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trivia {
    /// The comments in order.
    pub comments: Vec<Comment>,
    /// Offsets where white space with at least one blank line starts, in order.
    pub blanks: Vec<u32>,
}

/// The tokens of a text of at most [`crate::MAX_BYTES`] bytes, whatever is wrong with it; none of them is
/// [`Kind::Unknown`]. For editors, which look at texts that are being written.
#[must_use]
pub fn tokens(text: &str) -> Vec<Token> {
    if text.len() > crate::MAX_BYTES { Vec::new() } else { lex(text).tokens }
}

/// What the lexer makes of a text.
pub(crate) struct Lexed {
    pub(crate) tokens: Vec<Token>,
    pub(crate) trivia: Trivia,
    /// The spans of unknown tokens, which `tokens` leaves out, in order.
    pub(crate) unknown: Vec<Span>,
    pub(crate) errors: Vec<SyntaxError>,
}

/// Splits a text of at most `MAX_BYTES` bytes.
pub(crate) fn lex(text: &str) -> Lexed {
    let mut lexed = Lexed {
        tokens: Vec::with_capacity(text.len() / 6),
        trivia: Trivia::default(),
        unknown: Vec::new(),
        errors: Vec::new(),
    };
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line_start = true;
    let offset = |rest: &str| u32::try_from(text.len() - rest.len()).unwrap_or(u32::MAX);
    loop {
        let before = offset(rest);
        let space;
        (rest, space) = split(take_while(char::is_whitespace), rest);
        let lines = space.bytes().filter(|&b| b == b'\n').count();
        line_start |= lines > 0;
        if lines > 1 {
            lexed.trivia.blanks.push(before);
        }
        let start = offset(rest);
        if rest.is_empty() {
            return lexed;
        }
        if rest.starts_with('#') {
            let comment;
            (rest, comment) = split(take_till(|c| c == '\n'), rest);
            lexed.trivia.comments.push(comment_of(comment, start, line_start));
        } else {
            let (after, kind) = token(rest).unwrap_or((rest.get(1..).unwrap_or_default(), Kind::Unknown));
            let token = Token { kind, first_on_line: line_start, span: Span::new(start, offset(after)) };
            rest = after;
            lexed.push(token, text);
        }
        line_start = false;
    }
}

/// Runs a parser that cannot fail.
fn split<'a>(
    mut parser: impl Parser<&'a str, Output = &'a str, Error = nom::error::Error<&'a str>>,
    text: &'a str,
) -> (&'a str, &'a str) {
    parser.parse(text).unwrap_or((text, ""))
}

fn comment_of(text: &str, start: u32, own_line: bool) -> Comment {
    let text = text.trim_end();
    let end = start.saturating_add(u32::try_from(text.len()).unwrap_or(u32::MAX));
    let doc = text.starts_with("##") && !text.starts_with("###");
    Comment { span: Span::new(start, end), own_line, doc }
}

fn token(text: &str) -> IResult<&str, Kind> {
    alt((
        value(Kind::Unknown, (tag("//"), take_till(|c| c == '\n'))),
        value(Kind::Word, take_while1(is_word)),
        value(Kind::Comma, char(',')),
        value(Kind::Operator, take_while1(is_operator)),
        value(Kind::ParenOpen, char('(')),
        value(Kind::ParenClose, char(')')),
        value(Kind::BraceOpen, char('{')),
        value(Kind::BraceClose, char('}')),
        value(Kind::Text, quoted),
        value(Kind::Unknown, take_while1(is_unknown)),
        value(Kind::Unknown, anychar),
    ))
    .parse(text)
}

/// A string up to its closing quote or, failing that, to the end of the line.
fn quoted(text: &str) -> IResult<&str, &str> {
    let piece = alt((recognize((char('\\'), opt(take_one_inside))), take_while1(|c| c != '\\' && is_inside_string(c))));
    recognize((char('"'), nom::multi::many0_count(piece), opt(char('"')))).parse(text)
}

fn take_one_inside(text: &str) -> IResult<&str, char> {
    nom::character::complete::satisfy(|c| c != '\n').parse(text)
}

/// Whether a word may contain `c`. Names are narrower; host names may be of any script.
#[must_use]
pub fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '.' | '_' | ':' | '/' | '*' | '-' | '%')
        || (!c.is_ascii() && c.is_alphanumeric())
}

fn is_operator(c: char) -> bool {
    matches!(c, '=' | '!' | '<' | '>' | '~' | '|' | '&' | '^')
}

fn is_unknown(c: char) -> bool {
    !is_word(c)
        && !is_operator(c)
        && !c.is_whitespace()
        && !matches!(c, ',' | '(' | ')' | '{' | '}' | '"' | '#' | '\'' | ';')
}

impl Lexed {
    fn push(&mut self, token: Token, text: &str) {
        match token.kind {
            Kind::Unknown => {
                self.unknown.push(token.span);
                self.errors.push(unknown(token.span, text));
                return;
            }
            Kind::Text => string::check(token.span, text, &mut self.errors),
            _ => {}
        }
        self.tokens.push(token);
    }
}

fn unknown(span: Span, text: &str) -> SyntaxError {
    let found = span.text(text);
    if found.starts_with("//") {
        SyntaxError::SlashComment { span: Span::new(span.start, span.start.saturating_add(2)) }
    } else {
        SyntaxError::Character { found: found.to_owned(), span }
    }
}
