//! Kubernetes label selectors, as typed after `kubectl -l`, in parentheses.
//!
//! In: `Tokens` at the opening parenthesis. Out: `Selector`; a requirement that Kubernetes
//! would refuse is reported and has the operator `Error`.

use nom::Parser;
use nom::branch::alt;
use nom::combinator::cut;
use nom::multi::separated_list1;

use super::base::{Res, Stuck, close, kind, recover, shorten, word};
use super::set::close_group;
use super::tokens::Tokens;
use super::{name, sync};
use crate::ast::{Operator, Requirement, Selector};
use crate::error::{SelectorProblem, SyntaxError};
use crate::lexer::Kind;
use crate::span::{Span, Spanned};

const KEY_HELP: &str = "a label selector reads like `app=shop, tier in (web, api), !legacy`";

/// `(app=checkout, !legacy)`
pub(crate) fn selector(i: Tokens<'_>) -> Res<'_, Selector> {
    let (inside, open) = kind(Kind::ParenOpen, "`(`", KEY_HELP).parse(i)?;
    let (rest, requirements) = if inside.is(Kind::ParenClose) {
        problem(inside, SelectorProblem::Empty, open.to(inside.span()));
        (inside, Vec::new())
    } else {
        let (rest, found) = separated_list1(comma, recover(cut(requirement), ends)).parse(inside)?;
        (rest, found.into_iter().flatten().collect())
    };
    let rest = if sync::ends_set(rest) || ends(rest) {
        close(rest, Kind::ParenClose, "label selector", open)
    } else {
        close_group(rest, "label selector", open)
    };
    Ok((rest, Selector { requirements, span: rest.span_from(open) }))
}

fn problem(i: Tokens<'_>, problem: SelectorProblem, span: Span) {
    i.report(SyntaxError::Selector { problem, span });
}

/// Whether a requirement cannot go on here.
fn ends(i: Tokens<'_>) -> bool {
    let after_selector = match i.word() {
        "in" => matches!(i.text(1), "namespace" | "namespaces"),
        "as" => i.text(1) == "serviceaccount",
        _ => false,
    };
    matches!(i.kind(0), None | Some(Kind::Comma | Kind::ParenClose | Kind::BraceOpen | Kind::BraceClose))
        || after_selector
}

/// A comma, or the place where one was forgotten before another requirement.
fn comma(i: Tokens<'_>) -> Res<'_, ()> {
    if i.is(Kind::Comma) {
        return Ok((i.skip(), ()));
    }
    let next = matches!(i.kind(1), Some(Kind::Operator | Kind::Comma | Kind::ParenClose));
    let forgotten = (i.is(Kind::Word) && next) || (i.text(0) == "!" && i.kind(1) == Some(Kind::Word));
    if !forgotten || !i.same_line() || ends(i) {
        return Err(nom::Err::Error(Stuck::new(i, "`,`", "")));
    }
    let help = "the requirements of a selector are joined by `,`";
    i.report(SyntaxError::Expected { what: "`,`", found: None, span: i.after_last(), help });
    Ok((i, ()))
}

fn requirement(i: Tokens<'_>) -> Res<'_, Requirement> {
    alt((absent, present)).parse(i)
}

/// `!a`
fn absent(i: Tokens<'_>) -> Res<'_, Requirement> {
    let (after, bang) = kind(Kind::Operator, "a label key", KEY_HELP).parse(i)?;
    let known = i.text(0) == "!";
    if !known {
        problem(i, SelectorProblem::Operator(i.text(0).to_owned()), bang);
    }
    let (rest, key) = cut(word("a label key", KEY_HELP)).parse(after)?;
    let good = check_key(rest, key);
    let span = bang.to(key.span);
    let key = Spanned::new(key.node.to_owned(), key.span);
    if !ends(rest) && (rest.is(Kind::Operator) || matches!(rest.word(), "in" | "notin")) {
        problem(rest, SelectorProblem::NotWithOperator, bang);
        let rest = sync::skip_to(rest, ends);
        return Ok((rest, Requirement { key, operator: Operator::Error, values: Vec::new(), span }));
    }
    let operator = if known && good { Operator::NotExists } else { Operator::Error };
    Ok((rest, Requirement { key, operator, values: Vec::new(), span }))
}

/// `a`, `a=b`, `a==b`, `a!=b`, `a in (b, c)`, `a notin (b)`
fn present(i: Tokens<'_>) -> Res<'_, Requirement> {
    let (rest, key) = word("a label key", KEY_HELP).parse(i)?;
    let good_key = check_key(rest, key);
    let compares = rest.is(Kind::Operator) || matches!(rest.word(), "in" | "notin");
    // A word on the next line is no operator gone wrong: the selector was not closed.
    let elsewhere = !compares && !rest.same_line();
    let (rest, (operator, values)) =
        if ends(rest) || elsewhere { (rest, (Operator::Exists, Vec::new())) } else { comparison(rest)? };
    let good_values = values.iter().filter(|value| !check_value(rest, value)).count() == 0;
    let operator = if good_key && good_values { operator } else { Operator::Error };
    let span = rest.span_from(key.span);
    let key = Spanned::new(key.node.to_owned(), key.span);
    Ok((rest, Requirement { key, operator, values, span }))
}

type Comparison = (Operator, Vec<Spanned<String>>);

fn comparison(i: Tokens<'_>) -> Res<'_, Comparison> {
    let found = match i.text(0) {
        "=" | "==" => one_value(i.skip(), Operator::Equals)?,
        "!=" => one_value(i.skip(), Operator::NotEquals)?,
        "in" => several_values(i.skip(), Operator::In)?,
        "notin" => several_values(i.skip(), Operator::NotIn)?,
        _ if matches!(i.kind(0), Some(Kind::Operator | Kind::Word)) && !sync::ends_set(i) => {
            problem(i, SelectorProblem::Operator(shorten(i.text(0))), i.span());
            (sync::skip_to(i.skip(), ends), (Operator::Error, Vec::new()))
        }
        _ => (i, (Operator::Exists, Vec::new())),
    };
    Ok(found)
}

/// The value after `=`; like kubectl, none is the empty value.
fn one_value(i: Tokens<'_>, operator: Operator) -> Res<'_, Comparison> {
    if ends(i) {
        return Ok((i, (operator, vec![Spanned::new(String::new(), i.after_last())])));
    }
    let (rest, value) = label_value(i)?;
    Ok((rest, (operator, vec![value])))
}

fn several_values(i: Tokens<'_>, operator: Operator) -> Res<'_, Comparison> {
    let help = "values stand in parentheses, like `tier in (etl, ml)`";
    let (inside, open) = cut(kind(Kind::ParenOpen, "`(`", help)).parse(i)?;
    if inside.is(Kind::ParenClose) {
        problem(inside, SelectorProblem::NoValues, open.to(inside.span()));
        return Ok((inside.skip(), (Operator::Error, Vec::new())));
    }
    let comma = kind(Kind::Comma, "`,`", "");
    let (rest, values) = separated_list1(comma, recover(label_value, ends)).parse(inside)?;
    let operator = if values.iter().all(Option::is_some) { operator } else { Operator::Error };
    let rest = close_group(rest, "list of label values", open);
    Ok((rest, (operator, values.into_iter().flatten().collect())))
}

fn label_value(i: Tokens<'_>) -> Res<'_, Spanned<String>> {
    let help = "label values stand without quotes, like `app=shop`";
    let (rest, value) = cut(word("a label value", help)).parse(i)?;
    Ok((rest, Spanned::new(value.node.to_owned(), value.span)))
}

fn check_key(i: Tokens<'_>, key: Spanned<&str>) -> bool {
    let (prefix, last) = key.node.split_once('/').map_or((None, key.node), |(prefix, last)| (Some(prefix), last));
    let good = prefix.is_none_or(name::is_subdomain) && !last.is_empty() && is_value(last);
    if !good {
        problem(i, SelectorProblem::Key(shorten(key.node)), key.span);
    }
    good
}

fn check_value(i: Tokens<'_>, value: &Spanned<String>) -> bool {
    let good = is_value(&value.node);
    if !good {
        problem(i, SelectorProblem::Value(shorten(&value.node)), value.span);
    }
    good
}

/// Kubernetes' rule for label values, which may be empty, and for the names of keys.
fn is_value(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.bytes().all(inner)
        && text.chars().next().is_none_or(edge)
        && text.chars().next_back().is_none_or(edge)
}
