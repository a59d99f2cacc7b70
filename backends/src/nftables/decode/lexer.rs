//! Cuts the text of an nftables file into tokens.
//!
//! In: bytes. Out: tokens with their lines, borrowed from the text. Comments vanish; a new line is a token, because it
//! ends a command. Never skips a character that it does not know.

use super::DecodeError;

/// A token and the line it stands on, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind<'t>,
    pub(super) line: u32,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'t> {
    /// A keyword, name, number, address, prefix or range.
    Word(&'t str),
    /// Text in double quotes, without them.
    Text(&'t str),
    /// One of `{ } ; : , = == != < & | + - @`.
    Mark(&'static str),
    /// The end of a line.
    NewLine,
}

impl Kind<'_> {
    /// As the user wrote it.
    pub(super) fn shown(self) -> String {
        match self {
            Kind::Word(word) => word.to_owned(),
            Kind::Text(text) => format!("\"{text}\""),
            Kind::Mark(mark) => mark.to_owned(),
            Kind::NewLine => "end of line".to_owned(),
        }
    }
}

/// Longer marks come before their beginnings.
const MARKS: [&str; 13] = ["==", "!=", "<", "{", "}", ";", ",", "=", "&", "|", "+", "@", ":"];

/// All tokens of a file, or the first place that is none.
pub(super) fn tokens(bytes: &[u8]) -> Result<Vec<Token<'_>>, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        DecodeError::new(u32::try_from(line).unwrap_or(u32::MAX), "", "this is not UTF-8 text")
    })?;
    let mut tokens = Vec::with_capacity(text.len() / 6);
    let (mut rest, mut line) = (text, 1);
    while let Some((kind, length)) = next(rest).map_err(|reason| DecodeError::new(line, first(rest), reason))? {
        let (taken, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        if let Some(kind) = kind {
            tokens.push(Token { kind, line });
        }
        line += u32::try_from(taken.bytes().filter(|&byte| byte == b'\n').count()).unwrap_or(u32::MAX);
        rest = after;
    }
    Ok(tokens)
}

/// The next token and its length in bytes; no token for blanks and comments; nothing at the end.
fn next(rest: &str) -> Result<Option<(Option<Kind<'_>>, usize)>, &'static str> {
    let Some(start) = rest.chars().next() else { return Ok(None) };
    let run = |stops: fn(char) -> bool| rest.find(stops).unwrap_or(rest.len());
    let found = match start {
        '\n' => (Some(Kind::NewLine), 1),
        ' ' | '\t' | '\r' => (None, run(|c| !matches!(c, ' ' | '\t' | '\r'))),
        '\\' if rest.starts_with("\\\n") => (None, 2),
        '#' => (None, run(|c| c == '\n')),
        '"' => {
            let inside = rest.get(1..).unwrap_or_default();
            let end = inside.find('"').ok_or("this text has no closing quote")?;
            (Some(Kind::Text(inside.get(..end).unwrap_or_default())), end + 2)
        }
        _ => match rest.get(..run(|c| !is_word(c))).unwrap_or_default() {
            "" | ":" => return mark(rest).map(Some),
            "-" => (Some(Kind::Mark("-")), 1),
            word => (Some(Kind::Word(word)), word.len()),
        },
    };
    Ok(Some(found))
}

fn mark(rest: &str) -> Result<(Option<Kind<'_>>, usize), &'static str> {
    let mark = MARKS.into_iter().find(|mark| rest.starts_with(mark)).ok_or("this character is not understood")?;
    Ok((Some(Kind::Mark(mark)), mark.len()))
}

/// Characters of names, numbers, addresses, prefixes and ranges.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '/' | '-' | '*')
}

/// A short beginning of the text, to be shown.
fn first(rest: &str) -> &str {
    let line = rest.lines().next().unwrap_or_default();
    let end = line.char_indices().nth(40).map_or(line.len(), |(index, _)| index);
    line.get(..end).unwrap_or_default()
}
