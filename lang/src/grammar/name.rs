//! Names: our own, and those of Kubernetes' namespaces and service accounts.
//!
//! In: words. Out: `Name`s and texts, kept as written even where refused.

use nom::Parser;
use nom::branch::alt;

use super::base::{Res, Stuck, expect, text, word};
use super::sync;
use super::tokens::Tokens;
use crate::ast::Name;
use crate::error::SyntaxError;
use crate::span::Spanned;

const NAME_HELP: &str = "names start with a letter `a`–`z` and go on with letters, digits and `-`";

/// Whether `text` is a name of the language: `[a-z][a-z0-9-]*`.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The name that a declaration gives; `reserved` are the words that cannot name `what`.
pub(crate) fn declared<'a>(i: Tokens<'a>, what: &'static str, reserved: &[&str]) -> Res<'a, Name> {
    let (rest, name) = named(i, "a name")?;
    if reserved.contains(&name.text.as_str()) {
        i.report(SyntaxError::Reserved { text: name.text.clone(), what, span: name.span });
    }
    Ok((rest, name))
}

/// A name that is referred to. What rather looks like the next clause is none.
pub(crate) fn reference<'a>(i: Tokens<'a>, what: &'static str) -> Res<'a, Name> {
    if sync::continues(i) {
        i.report(Stuck::new(i, what, NAME_HELP).into_error());
        return Ok((i, Name { text: String::new(), span: i.after_last() }));
    }
    named(i, what)
}

/// A name that must stand here; missing, it is reported and empty.
fn named<'a>(i: Tokens<'a>, what: &'static str) -> Res<'a, Name> {
    let (rest, word) = expect(word(what, NAME_HELP)).parse(i)?;
    let name = match word {
        Some(word) => checked(rest, word),
        None => Name { text: String::new(), span: rest.after_last() },
    };
    Ok((rest, name))
}

/// Makes a name of a word, reporting a bad spelling.
pub(crate) fn checked(i: Tokens<'_>, word: Spanned<&str>) -> Name {
    if !is_name(word.node) {
        let lower = word.node.to_lowercase().replace(['_', '.', '/'], "-");
        let meant = Some(lower).filter(|lower| is_name(lower));
        i.report(SyntaxError::Name { text: word.node.to_owned(), meant, span: word.span });
    }
    Name { text: word.node.to_owned(), span: word.span }
}

/// A namespace: a DNS label (RFC 1123), bare or quoted.
pub(crate) fn namespace(i: Tokens<'_>) -> Res<'_, Spanned<String>> {
    let help = "namespaces are at most 63 lower-case letters, digits and inner `-`";
    kubernetes(i, "a namespace", "namespace", help, |text| text.len() <= 63 && is_label(text))
}

/// A service account: a DNS subdomain (RFC 1123), bare or quoted.
pub(crate) fn service_account(i: Tokens<'_>) -> Res<'_, Spanned<String>> {
    let help = "service accounts are at most 253 lower-case letters, digits, inner `-` and `.` between them";
    kubernetes(i, "a service account", "service account", help, is_subdomain)
}

fn kubernetes<'a>(
    i: Tokens<'a>,
    article: &'static str,
    what: &'static str,
    help: &'static str,
    good: impl Fn(&str) -> bool,
) -> Res<'a, Spanned<String>> {
    let bare = word(article, help).map(|word| Spanned::new(word.node.to_owned(), word.span));
    let (rest, found) = expect(alt((text(article, help), bare))).parse(i)?;
    let Some(name) = found else { return Ok((rest, Spanned::new(String::new(), rest.after_last()))) };
    if !good(&name.node) {
        rest.report(SyntaxError::KubernetesName { text: name.node.clone(), what, help, span: name.span });
    }
    Ok((rest, name))
}

/// A DNS label of RFC 1123, its length apart.
fn is_label(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(good) && !text.starts_with('-') && !text.ends_with('-')
}

/// A DNS subdomain of RFC 1123, as Kubernetes checks it.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}
