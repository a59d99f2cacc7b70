//! Strings: what their escapes stand for, and how a string is written.
//!
//! In: a string token with its quotes, or a value. Out: the value, or the token. Never
//! drops a character silently: a wrong escape is reported and kept as written.

use crate::error::SyntaxError;
use crate::span::Span;

/// Whether `c` may stand in a string as itself; the others end it (`"`, line feed).
pub(crate) fn is_inside_string(c: char) -> bool {
    c != '"' && c != '\n'
}

/// Reports everything wrong with the string token at `span`.
pub(crate) fn check(span: Span, text: &str, errors: &mut Vec<SyntaxError>) {
    let token = span.text(text);
    let mut closed = false;
    for piece in pieces(token) {
        let span = piece.span(span);
        match piece.kind {
            PieceKind::Close => closed = true,
            PieceKind::BadEscape => errors.push(SyntaxError::Escape { text: span.text(text).to_owned(), span }),
            // The carriage return of a line end is no part of an unclosed string.
            PieceKind::Char('\r') if piece.at + 1 == token.len() => {}
            PieceKind::Char(found) if piece.len == found.len_utf8() && found.is_control() && found != '\t' => {
                errors.push(SyntaxError::Control { found, span });
            }
            PieceKind::Char(_) => {}
        }
    }
    if !closed {
        errors.push(SyntaxError::Unterminated { span });
    }
}

/// The value of a string token; wrong escapes stay as written.
pub(crate) fn unescape(token: &str) -> String {
    let mut value = String::with_capacity(token.len());
    for piece in pieces(token) {
        match piece.kind {
            PieceKind::Char(c) => value.push(c),
            PieceKind::BadEscape => value.push_str(token.get(piece.at..piece.at + piece.len).unwrap_or_default()),
            PieceKind::Close => {}
        }
    }
    value
}

/// The token that reads back as `value`.
pub(crate) fn quote(value: &str) -> String {
    let mut token = String::with_capacity(value.len() + 2);
    token.push('"');
    for c in value.chars() {
        match c {
            '"' => token.push_str("\\\""),
            '\\' => token.push_str("\\\\"),
            '\n' => token.push_str("\\n"),
            c if c.is_control() => token.extend(format!("\\u{{{:x}}}", u32::from(c)).chars()),
            c => token.push(c),
        }
    }
    token.push('"');
    token
}

enum PieceKind {
    Char(char),
    BadEscape,
    Close,
}

/// A character, an escape or the closing quote: `len` bytes from byte `at` of its token.
struct Piece {
    kind: PieceKind,
    at: usize,
    len: usize,
}

impl Piece {
    fn span(&self, token: Span) -> Span {
        let offset = |at: usize| token.start.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
        Span::new(offset(self.at), offset(self.at + self.len))
    }
}

fn pieces(token: &str) -> impl Iterator<Item = Piece> + '_ {
    let mut at = 1;
    std::iter::from_fn(move || {
        let rest = token.get(at..)?;
        let (kind, len) = match rest.chars().next()? {
            '"' => (PieceKind::Close, 1),
            '\\' => escape(rest),
            c => (PieceKind::Char(c), c.len_utf8()),
        };
        let piece = Piece { kind, at, len };
        at += len;
        Some(piece)
    })
}

/// Reads the escape at the start of `rest`.
fn escape(rest: &str) -> (PieceKind, usize) {
    let Some(c) = rest.chars().nth(1) else { return (PieceKind::BadEscape, 1) };
    match c {
        '"' | '\\' => (PieceKind::Char(c), 2),
        'n' => (PieceKind::Char('\n'), 2),
        'u' => code_point(rest),
        c => (PieceKind::BadEscape, 1 + c.len_utf8()),
    }
}

fn code_point(rest: &str) -> (PieceKind, usize) {
    let Some(body) = rest.strip_prefix("\\u{") else { return (PieceKind::BadEscape, 2) };
    let digits = body.bytes().take(7).take_while(u8::is_ascii_hexdigit).count();
    let found = body.get(..digits).and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
    match found {
        Some(c) if digits <= 6 && body.as_bytes().get(digits) == Some(&b'}') => (PieceKind::Char(c), digits + 4),
        _ if body.as_bytes().get(digits) == Some(&b'}') => (PieceKind::BadEscape, digits + 4),
        _ => (PieceKind::BadEscape, 3 + digits),
    }
}
