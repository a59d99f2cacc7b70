//! A cursor over tokens, with the few questions that the grammar asks.

use super::DecodeError;
use super::lexer::{Kind, Token};

/// Where the parser stands. Copying it is remembering the place.
#[derive(Clone, Copy)]
pub(super) struct Reader<'t> {
    tokens: &'t [Token<'t>],
    at: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(tokens: &'t [Token<'t>]) -> Self {
        Self { tokens, at: 0 }
    }

    /// The next token, or nothing at the end.
    pub(super) fn peek(&self) -> Option<Kind<'t>> {
        self.tokens.get(self.at).map(|token| token.kind)
    }

    /// The line of the next token, or of the last one at the end.
    pub(super) fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |token| token.line)
    }

    /// An error about the next token.
    pub(super) fn wrong(&self, reason: impl Into<String>) -> DecodeError {
        let text = self.peek().map_or_else(|| "end of file".to_owned(), Kind::shown);
        DecodeError::new(self.line(), text, reason)
    }

    /// An error about the token before the next one.
    pub(super) fn wrong_before(&self, reason: impl Into<String>) -> DecodeError {
        Self { tokens: self.tokens, at: self.at.saturating_sub(1) }.wrong(reason)
    }

    /// Whether the token before the next one closes a list.
    pub(super) fn follows_brace(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        before.is_some_and(|token| token.kind == Kind::Mark("}"))
    }

    /// Takes this keyword if it is next.
    pub(super) fn eat(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(Kind::Word(word));
        self.at += usize::from(found);
        found
    }

    /// Takes this mark if it is next.
    pub(super) fn eat_mark(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Some(Kind::Mark(m)) if m == mark);
        self.at += usize::from(found);
        found
    }

    /// Takes this keyword, or fails.
    pub(super) fn expect(&mut self, word: &str) -> Result<(), DecodeError> {
        if self.eat(word) { Ok(()) } else { Err(self.wrong(format!("expected {word}"))) }
    }

    /// Takes this mark, or fails.
    pub(super) fn expect_mark(&mut self, mark: &str) -> Result<(), DecodeError> {
        if self.eat_mark(mark) { Ok(()) } else { Err(self.wrong(format!("expected {mark}"))) }
    }

    /// Takes a word of any kind, or fails; `what` says what it should be.
    pub(super) fn word(&mut self, what: &str) -> Result<&'t str, DecodeError> {
        match self.peek() {
            Some(Kind::Word(word)) => {
                self.at += 1;
                Ok(word)
            }
            _ => Err(self.wrong(format!("expected {what}"))),
        }
    }

    /// Takes a text in quotes, or fails.
    pub(super) fn text(&mut self) -> Result<&'t str, DecodeError> {
        match self.peek() {
            Some(Kind::Text(text)) => {
                self.at += 1;
                Ok(text)
            }
            _ => Err(self.wrong("expected a text in quotes")),
        }
    }

    /// Takes a number, decimal or with `0x`, or fails.
    pub(super) fn number(&mut self) -> Result<u32, DecodeError> {
        let word = self.word("a number")?;
        number(word).ok_or_else(|| self.wrong_before("expected a number"))
    }

    /// Skips ends of lines.
    pub(super) fn skip_lines(&mut self) {
        while self.peek() == Some(Kind::NewLine) {
            self.at += 1;
        }
    }

    /// Skips ends of lines and semicolons.
    pub(super) fn skip_ends(&mut self) {
        while matches!(self.peek(), Some(Kind::NewLine | Kind::Mark(";"))) {
            self.at += 1;
        }
    }

    /// Whether a command ends here: at an end of line, a semicolon, a closing brace or the end of the file.
    pub(super) fn at_end(&self) -> bool {
        matches!(self.peek(), None | Some(Kind::NewLine | Kind::Mark(";" | "}")))
    }

    /// Fails unless a command ends here.
    pub(super) fn expect_end(&self) -> Result<(), DecodeError> {
        if self.at_end() { Ok(()) } else { Err(self.wrong("not understood here")) }
    }
}

/// A decimal number without sign, or one in hex with `0x`. A leading zero is refused: nft reads it as octal.
pub(super) fn number(word: &str) -> Option<u32> {
    match word.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None if word.len() > 1 && word.starts_with('0') => None,
        None if word.bytes().all(|byte| byte.is_ascii_digit()) => word.parse().ok(),
        None => None,
    }
}
