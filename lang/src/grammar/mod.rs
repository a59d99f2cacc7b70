//! Tokens to the tree of a file, with recovery: one run reports every syntax error.
//!
//! In: the text of one file. Out: `Parse`, always. Commitment is nom's `cut`; `recover` turns
//! a failure into an error node and goes on. Never fails, never panics, never looks back.

mod assertion;
mod base;
mod block;
mod destination;
mod doc;
mod name;
mod port;
mod rule;
mod selector;
mod set;
mod sync;
mod tokens;
mod workload;

use std::cell::RefCell;

pub(crate) use self::sync::DECLARATIONS;

use self::base::{Res, shorten, unknown_word};
use self::tokens::{Source, Tokens};
use crate::MAX_BYTES;
use crate::ast::{Destinations, File, Item, Ports, Workloads};
use crate::error::SyntaxError;
use crate::lexer::{Kind, Trivia, lex};
use crate::suggest::closest;

/// What a file reads as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parse {
    /// The tree. Where `errors` is not empty it holds error nodes.
    pub file: File,
    /// Comments and blank lines.
    pub trivia: Trivia,
    /// Every syntax error, by place.
    pub errors: Vec<SyntaxError>,
}

/// Reads one file. Total: any text gives a tree, with an error for whatever in it is wrong.
/// A text over `MAX_BYTES` gives an empty tree and one error.
#[must_use]
pub fn parse(text: &str) -> Parse {
    if text.len() > MAX_BYTES {
        let errors = vec![SyntaxError::TooLarge { bytes: text.len() }];
        return Parse { file: File::default(), trivia: Trivia::default(), errors };
    }
    let lexed = lex(text);
    let source = Source {
        text,
        tokens: &lexed.tokens,
        comments: &lexed.trivia.comments,
        unknown: &lexed.unknown,
        errors: RefCell::new(lexed.errors),
    };
    let mut items = Vec::new();
    let mut i = Tokens::new(&source);
    while i.peek(0).is_some() {
        let (rest, item) = item(i).unwrap_or_else(|_| (i, Item::Error(i.span())));
        items.push(item);
        // INVARIANT: every item consumes a token; the skip only guards against a defect.
        i = if rest.position_in_file() > i.position_in_file() { rest } else { i.skip() };
    }
    let mut errors = source.errors.into_inner();
    errors.sort_by_key(|error| error.span());
    errors.dedup();
    Parse { file: File { items }, trivia: lexed.trivia, errors }
}

const HELP: &str = "declarations start with `cluster`, `workloads`, `destinations`, `ports`, `gateway`, `policy`, \
     `guardrail`, `assert` or `control`";

fn item(i: Tokens<'_>) -> Res<'_, Item> {
    if !i.is(Kind::Word) {
        let found = Some(shorten(i.text(0)));
        i.report(SyntaxError::Expected { what: "a declaration", found, span: i.span(), help: HELP });
        return Ok(skip_item(i));
    }
    if let Some(keyword) = sync::DECLARATIONS.into_iter().find(|keyword| *keyword == i.word()) {
        return declaration(i, keyword);
    }
    let meant = closest(i.word(), sync::DECLARATIONS);
    unknown_word(i, "a file", meant, HELP);
    match meant {
        Some(keyword) => declaration(i, keyword),
        None => Ok(skip_item(i)),
    }
}

/// Steps over text that is no declaration. A stray brace is an error of its own; what
/// stands on the lines after it is looked at again.
fn skip_item(start: Tokens<'_>) -> (Tokens<'_>, Item) {
    let brace = |i: Tokens<'_>| matches!(i.kind(0), Some(Kind::BraceOpen | Kind::BraceClose));
    let stray = brace(start);
    let mut i = start.skip();
    while i.peek(0).is_some() && !sync::declaration(i) {
        let fresh = !i.same_line() && i.is(Kind::Word);
        if fresh && (stray || closest(i.word(), sync::DECLARATIONS).is_some()) {
            break;
        }
        i = i.skip();
    }
    (i, Item::Error(i.span_from(start.span())))
}

/// The declaration whose keyword, well spelled or not, is the word at `i`.
fn declaration<'a>(i: Tokens<'a>, keyword: &str) -> Res<'a, Item> {
    let (start, doc) = (i.span(), doc::above(i));
    let after = i.skip();
    Ok(match keyword {
        "cluster" => wrap(block::cluster(after, start, doc)?, Item::Cluster),
        "gateway" => wrap(block::gateway(after, start, doc)?, Item::Gateway),
        "policy" => wrap(block::policy(after, start, doc, false)?, Item::Policy),
        "guardrail" => wrap(block::policy(after, start, doc, true)?, Item::Guardrail),
        "control" => wrap(block::control(after, start, doc)?, Item::Control),
        "assert" => wrap(assertion::assertion(i)?, Item::Assert),
        "workloads" => {
            let (rest, name) = block::named(after, "a set of workloads", &workload::RESERVED)?;
            let (rest, set) = set::set(rest)?;
            (rest, Item::Workloads(Workloads { doc, name, set, span: rest.span_from(start) }))
        }
        "destinations" => {
            let (rest, name) = block::named(after, "a set of destinations", &destination::RESERVED)?;
            let (rest, set) = set::set(rest)?;
            (rest, Item::Destinations(Destinations { doc, name, set, span: rest.span_from(start) }))
        }
        _ => {
            let (rest, name) = block::named(after, "a set of ports", &port::RESERVED)?;
            let (rest, set) = port::ports(rest)?;
            (rest, Item::Ports(Ports { doc, name, set, span: rest.span_from(start) }))
        }
    })
}

fn wrap<'a, T>((rest, node): (Tokens<'a>, T), item: impl Fn(T) -> Item) -> (Tokens<'a>, Item) {
    (rest, item(node))
}
