//! The same program in canonical style.
//!
//! In: the text of one file without syntax errors. Out: its text with two spaces of indent,
//! one entry a line, long lists wrapped, at most one blank line in a row, and every comment
//! kept between the same neighbours. Reads its own output back before it returns it.
//! Never changes what a program says.

mod items;
mod printer;
mod strip;
mod terms;

use self::printer::Printer;
use self::strip::Strip;
use crate::ast::{File, Item};
use crate::error::SyntaxError;
use crate::grammar::{Parse, parse};
use crate::span::Span;

/// Formats one file.
///
/// # Errors
/// The syntax errors of a file that has any; `SyntaxError::Unfaithful` if the result would
/// not read as the same program with the same comments, which is a defect of the formatter.
pub fn format(text: &str) -> Result<String, Vec<SyntaxError>> {
    let before = parse(text);
    if !before.errors.is_empty() {
        return Err(before.errors);
    }
    let mut printer = Printer::new(text, &before.trivia);
    items::file(&mut printer, &before.file);
    let formatted = printer.finish();
    let after = parse(&formatted);
    match difference(text, &before, &formatted, &after) {
        None => Ok(formatted),
        Some(span) => Err(vec![SyntaxError::Unfaithful { span }]),
    }
}

/// The first declaration of `text` that `formatted` does not say, or the start of the file
/// where comments differ.
fn difference(text: &str, before: &Parse, formatted: &str, after: &Parse) -> Option<Span> {
    if let Some(error) = after.errors.first() {
        let near = after.file.items.iter().position(|item| item.span().end >= error.span().start);
        return Some(near.and_then(|at| before.file.items.get(at)).map_or(Span::empty(0), Item::span));
    }
    let (old, new) = (stripped(&before.file), stripped(&after.file));
    let places = before.file.items.iter().map(Item::span);
    let changed = old.items.iter().zip(&new.items).zip(places).find(|((old, new), _)| old != new);
    if let Some((_, place)) = changed {
        return Some(place);
    }
    let same = old.items.len() == new.items.len() && comments(text, before) == comments(formatted, after);
    (!same).then_some(Span::empty(0))
}

fn stripped(file: &File) -> File {
    let mut file = file.clone();
    file.strip();
    file
}

/// The comments' texts, sorted: entries of a block may have changed places.
fn comments<'a>(text: &'a str, parse: &Parse) -> Vec<&'a str> {
    let mut comments: Vec<&str> = parse.trivia.comments.iter().map(|comment| comment.span.text(text)).collect();
    comments.sort_unstable();
    comments
}
