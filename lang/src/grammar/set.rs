//! Set expressions: unions, differences and parentheses over any kind of term.
//!
//! In: `Tokens`. Out: `Set<T>`, always: what cannot be read is an error node, reported.
//! Knows nothing of what a term is; see `workload` and `destination`.

use nom::Parser;
use nom::combinator::cut;
use nom::multi::separated_list1;

use super::base::{Res, Stuck, close, keyword, recover, shorten};
use super::sync;
use super::tokens::Tokens;
use crate::MAX_NESTING;
use crate::ast::{Set, SetNode};
use crate::error::SyntaxError;
use crate::lexer::Kind;
use crate::span::Span;
use crate::suggest::closest;

/// A kind of term that sets are made of.
pub(crate) trait Term: Sized {
    /// What to call a missing one, with its article.
    const WHAT: &'static str;
    /// What it may look like.
    const HELP: &'static str;

    /// Reads one term. `Err::Error` where none starts; `None` where it was refused whole,
    /// which has been reported.
    fn term(i: Tokens<'_>) -> Res<'_, Option<Self>>;

    /// Whether the word here, on the line of the term before, starts a term and can be
    /// nothing else: then a comma was forgotten.
    fn certain(i: Tokens<'_>) -> bool;
}

/// `a, b except c, (d except e)`
pub(crate) fn set<T: Term>(i: Tokens<'_>) -> Res<'_, Set<T>> {
    nested(i, 0)
}

fn nested<T: Term>(i: Tokens<'_>, depth: usize) -> Res<'_, Set<T>> {
    let (mut i, base) = union(i, depth)?;
    let mut minus = Vec::new();
    while let Ok((after, word)) = keyword("except").parse(i) {
        if !minus.is_empty() {
            i.report(SyntaxError::SecondExcept { span: word });
        }
        let (rest, more) = union(after, depth)?;
        minus.extend(more);
        i = rest;
    }
    let base = join(base);
    if minus.is_empty() {
        return Ok((i, base));
    }
    let minus = join(minus);
    let span = base.span.to(minus.span);
    Ok((i, Set { node: SetNode::Except { base: Box::new(base), minus: Box::new(minus) }, span }))
}

fn union<T: Term>(i: Tokens<'_>, depth: usize) -> Res<'_, Vec<Set<T>>> {
    separated_list1(comma::<T>, |i| element(i, depth)).parse(i)
}

fn join<T>(mut parts: Vec<Set<T>>) -> Set<T> {
    let span = parts.iter().map(|part| part.span).reduce(Span::to).unwrap_or_default();
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            Set { node: SetNode::Union(parts), span }
        }
    }
}

/// A comma, or the place where one was forgotten.
fn comma<T: Term>(i: Tokens<'_>) -> Res<'_, ()> {
    if i.is(Kind::Comma) {
        return Ok((i.skip(), ()));
    }
    if !forgotten::<T>(i) {
        return Err(nom::Err::Error(Stuck::new(i, "`,`", "")));
    }
    i.report(SyntaxError::Expected { what: "`,`", found: None, span: i.after_last(), help: "sets are joined by `,`" });
    Ok((i, ()))
}

fn forgotten<T: Term>(i: Tokens<'_>) -> bool {
    if !i.same_line() || !i.is(Kind::Word) || sync::ends_set(i) {
        return false;
    }
    let keywords = sync::RULE_CLAUSES.into_iter().chain(sync::POLICY_ENTRIES).chain(["only", "except", "cannot"]);
    let next = i.skip();
    if crate::value::looks_like_address(next.word()) && !T::certain(i) {
        // After the `dns` of a cluster, its next entry.
        return false;
    }
    let ends = sync::ends_set(next) || !next.same_line();
    T::certain(i) || (ends && super::name::is_name(i.word()) && closest(i.word(), keywords).is_none())
}

fn element<T: Term>(i: Tokens<'_>, depth: usize) -> Res<'_, Set<T>> {
    if i.is(Kind::ParenOpen) {
        return group(i, depth);
    }
    let start = i.span();
    let (rest, term) = recover(cut(T::term), sync::ends_set).parse(i)?;
    let node = term.flatten().map_or(SetNode::Error, SetNode::Term);
    let span = if rest.position_in_file() == i.position_in_file() { i.after_last() } else { rest.span_from(start) };
    Ok((rest, Set { node, span }))
}

fn group<T: Term>(i: Tokens<'_>, depth: usize) -> Res<'_, Set<T>> {
    let open = i.span();
    if depth >= MAX_NESTING {
        i.report(SyntaxError::Nesting { span: open });
        let rest = skip_group(i);
        return Ok((rest, Set { node: SetNode::Error, span: rest.span_from(open) }));
    }
    let (rest, inner) = nested(i.skip(), depth + 1)?;
    let rest = close_group(rest, "parenthesis", open);
    let span = rest.span_from(open);
    Ok((rest, Set { node: SetNode::Group(Box::new(inner)), span }))
}

/// The `)` of a list opened at `open`. Other text before it is reported and skipped.
pub(crate) fn close_group<'a>(i: Tokens<'a>, what: &'static str, open: Span) -> Tokens<'a> {
    if sync::ends_set(i) || !i.same_line() {
        return close(i, Kind::ParenClose, what, open);
    }
    let found = Some(shorten(i.text(0)));
    i.report(SyntaxError::Expected {
        what: "`,` or `)`",
        found,
        span: i.span(),
        help: "join the parts by `,` and close with `)`",
    });
    let rest = sync::skip_to(i, |i| i.is(Kind::ParenClose) || sync::ends_set(i));
    if rest.is(Kind::ParenClose) { rest.skip() } else { rest }
}

/// Steps over a parenthesis and all that it holds.
fn skip_group(i: Tokens<'_>) -> Tokens<'_> {
    let rest = sync::skip_to(i.skip(), |i| i.is(Kind::ParenClose));
    if rest.is(Kind::ParenClose) { rest.skip() } else { rest }
}
