//! Terms of workload sets: `all`, names, `pods …`, `address PREFIX`.

use nom::Parser;
use nom::combinator::{cut, opt};

use super::base::{Res, Stuck, expect, one_of, word};
use super::selector::selector;
use super::set::Term;
use super::tokens::Tokens;
use super::{name, sync};
use crate::ast::{Namespace, Pods, WorkloadTerm};
use crate::error::SyntaxError;
use crate::lexer::Kind;
use crate::span::{Span, Spanned, Value};
use crate::value::{self, Prefix};

/// The words that cannot name a workload set.
pub(crate) const RESERVED: [&str; 9] = ["all", "pods", "address", "except", "only", "allow", "deny", "can", "cannot"];

impl Term for WorkloadTerm {
    const WHAT: &'static str = "a set of workloads";
    const HELP: &'static str = "workloads are `all`, a name, `pods(app=shop) in namespace web`, `address 10.9.0.0/24`";

    fn term(i: Tokens<'_>) -> Res<'_, Option<Self>> {
        let stuck = || nom::Err::Error(Stuck::new(i, Self::WHAT, Self::HELP));
        match i.word() {
            "all" => Ok((i.skip(), Some(Self::All))),
            "pods" => pods.map(|pods| Some(Self::Pods(pods))).parse(i),
            "address" => address.map(|prefix| prefix.map(Self::Address)).parse(i),
            "" => Err(stuck()),
            text if value::looks_like_address(text) => {
                i.report(SyntaxError::BareAddress { text: text.to_owned(), span: i.span() });
                Ok((i.skip(), None))
            }
            text if RESERVED.contains(&text) || sync::ends_set_here(i) => Err(stuck()),
            text => Ok((i.skip(), Some(Self::Name(name::checked(i, Spanned::new(text, i.span())))))),
        }
    }

    fn certain(i: Tokens<'_>) -> bool {
        match i.word() {
            "all" => true,
            "pods" => i.kind(1) == Some(Kind::ParenOpen) || matches!(i.text(1), "in" | "as"),
            "address" => value::looks_like_address(i.text(1)),
            text => value::looks_like_address(text),
        }
    }
}

fn address(i: Tokens<'_>) -> Res<'_, Option<Value<Prefix>>> {
    let help = "an address or prefix reads like `10.9.0.0/24`";
    let (rest, found) = expect(word("an address or prefix", help)).parse(i.skip())?;
    Ok((rest, found.map(|word| super::base::value(rest, word, value::prefix))))
}

/// `pods[(SEL)] [in namespace N | in namespaces(SEL)] [as serviceaccount N]`
fn pods(i: Tokens<'_>) -> Res<'_, Pods> {
    let (mut i, selector) = opt(selector).parse(i.skip())?;
    let mut pods = Pods { selector, namespace: None, service_account: None };
    let (mut seen_in, mut seen_as) = (None, None);
    loop {
        let word = i.span();
        i = match i.word() {
            "in" => {
                once(i, "`in`", &mut seen_in, word);
                let (rest, namespace) = namespace(i.skip())?;
                pods.namespace = pods.namespace.or(namespace);
                rest
            }
            "as" => {
                once(i, "`as serviceaccount`", &mut seen_as, word);
                let (rest, account) = service_account(i.skip())?;
                pods.service_account = pods.service_account.or(account);
                rest
            }
            _ => return Ok((i, pods)),
        };
    }
}

/// Reports the second of two equal parts; `seen` remembers the first.
pub(crate) fn once(i: Tokens<'_>, what: &'static str, seen: &mut Option<Span>, span: Span) {
    match *seen {
        Some(first) => i.report(SyntaxError::Repeated { what, span, first }),
        None => *seen = Some(span),
    }
}

/// What follows `in`. Where that cannot be read, no namespace at all is not what was
/// meant, so an empty name stands for it.
fn namespace(i: Tokens<'_>) -> Res<'_, Option<Namespace>> {
    const HELP: &str = "write `in namespace NAME` or `in namespaces(SELECTOR)`";
    let (rest, word) =
        expect(one_of(&["namespace", "namespaces"], "`namespace` or `namespaces`", "a set", HELP)).parse(i)?;
    match word {
        Some("namespaces") => {
            let (rest, found) = expect(cut(selector)).parse(rest)?;
            Ok((rest, Some(found.map_or_else(|| missing(rest), Namespace::Selected))))
        }
        Some(_) => name::namespace.map(|name| Some(Namespace::Named(name))).parse(rest),
        None => Ok((rest, Some(missing(rest)))),
    }
}

fn missing(i: Tokens<'_>) -> Namespace {
    Namespace::Named(Spanned::new(String::new(), i.after_last()))
}

fn service_account(i: Tokens<'_>) -> Res<'_, Option<Spanned<String>>> {
    let (rest, word) =
        expect(one_of(&["serviceaccount"], "`serviceaccount`", "a set", "write `as serviceaccount NAME`")).parse(i)?;
    match word {
        Some(_) => name::service_account.map(Some).parse(rest),
        None => Ok((rest, Some(Spanned::new(String::new(), rest.after_last())))),
    }
}
