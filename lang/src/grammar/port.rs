//! Port sets: `5432/tcp, 6432-6440/tcp, icmp/8, postgres`.

use nom::Parser;
use nom::combinator::cut;
use nom::multi::separated_list1;

use super::base::{Res, Stuck, recover};
use super::tokens::Tokens;
use super::{name, sync};
use crate::ast::{PSet, PortTerm};
use crate::error::SyntaxError;
use crate::lexer::Kind;
use crate::span::Spanned;
use crate::value;

/// The words that cannot name a port set.
pub(crate) const RESERVED: [&str; 11] =
    ["any", "tcp", "udp", "sctp", "icmp", "icmpv6", "allow", "deny", "on", "via", "only"];

const HELP: &str = "ports are a name, `443/tcp`, `6432-6440/udp`, `sctp`, `icmp/8`, `icmpv6/128` or `any`";

/// Terms joined by commas.
pub(crate) fn ports(i: Tokens<'_>) -> Res<'_, PSet> {
    let (rest, terms) = separated_list1(comma, element).parse(i)?;
    let span = terms.iter().map(|term| term.span).reduce(crate::span::Span::to).unwrap_or_default();
    Ok((rest, PSet { terms, span }))
}

fn comma(i: Tokens<'_>) -> Res<'_, ()> {
    if i.is(Kind::Comma) {
        return Ok((i.skip(), ()));
    }
    if !i.same_line() || !i.is(Kind::Word) || !value::looks_like_port(i.word()) {
        return Err(nom::Err::Error(Stuck::new(i, "`,`", "")));
    }
    i.report(SyntaxError::Expected { what: "`,`", found: None, span: i.after_last(), help: "ports are joined by `,`" });
    Ok((i, ()))
}

fn element(i: Tokens<'_>) -> Res<'_, Spanned<PortTerm>> {
    let start = i.span();
    let (rest, found) = recover(cut(term), sync::ends_set).parse(i)?;
    let span = if rest.position_in_file() == i.position_in_file() { i.after_last() } else { rest.span_from(start) };
    Ok((rest, Spanned::new(found.unwrap_or(PortTerm::Error), span)))
}

fn term(i: Tokens<'_>) -> Res<'_, PortTerm> {
    let word = Spanned::new(i.word(), i.span());
    if word.node.is_empty() || (!value::looks_like_port(word.node) && sync::ends_set_here(i)) {
        return Err(nom::Err::Error(Stuck::new(i, "ports", HELP)));
    }
    let term = if value::looks_like_port(word.node) {
        super::base::value(i, word, value::port).node.unwrap_or(PortTerm::Error)
    } else {
        PortTerm::Name(name::checked(i, word))
    };
    Ok((i.skip(), term))
}
