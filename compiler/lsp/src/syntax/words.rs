//! Words: the tokens of a piece of a text, and the word at a place. Needs no tree, so that it works where there is none yet.

use egress_lang::ast::{File, Item};
use egress_lang::span::Span;
use egress_lang::{Token, TokenKind, Trivia};

/// The word around a byte offset, or just before it; empty where there is none.
#[must_use]
pub fn word_at(text: &str, at: u32) -> Span {
    let at = (at as usize).min(text.len());
    let (Some(before), Some(after)) = (text.get(..at), text.get(at..)) else { return Span::empty(offset(at)) };
    let back: usize = before.chars().rev().take_while(|c| egress_lang::is_word(*c)).map(char::len_utf8).sum();
    let forward: usize = after.chars().take_while(|c| egress_lang::is_word(*c)).map(char::len_utf8).sum();
    Span::new(offset(at - back), offset(at + forward))
}

/// The tokens of a piece of a text, with their places in the whole.
#[must_use]
pub fn tokens(text: &str, piece: Span) -> Vec<Token> {
    let mut tokens = egress_lang::tokens(piece.text(text));
    for token in &mut tokens {
        token.span = Span::new(token.span.start + piece.start, token.span.end + piece.start);
    }
    tokens
}

/// Where the declaration starts that a place is in, or comes after.
#[must_use]
pub fn item_start(file: &File, at: u32) -> u32 {
    let before = file.items.partition_point(|item| item.span().start <= at);
    let mut items = file.items.iter().take(before).rev();
    // Text that is no declaration may be the rest of the one before it.
    items.find(|item| !matches!(item, Item::Error(_))).map_or(0, |item| item.span().start)
}

/// The comment at a place.
#[must_use]
pub fn comment_at(trivia: &Trivia, at: u32) -> Option<Span> {
    let before = trivia.comments.partition_point(|comment| comment.span.start < at);
    let comment = trivia.comments.get(before.checked_sub(1)?)?;
    (at <= comment.span.end).then_some(comment.span)
}

/// Whether a token is this word.
#[must_use]
pub fn is(text: &str, token: &Token, word: &str) -> bool {
    token.kind == TokenKind::Word && token.span.text(text) == word
}

/// An offset as the tree has it.
#[must_use]
pub fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
