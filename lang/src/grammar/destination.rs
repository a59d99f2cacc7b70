//! Terms of destination sets: names, addresses, ranges, hosts, lists, `world`, `private`.

use nom::branch::alt;
use nom::combinator::{cut, opt};
use nom::multi::separated_list1;
use nom::{IResult, Parser};

use super::base::{Res, Stuck, expect, kind, recover, text, value, word};
use super::set::{Term, close_group};
use super::tokens::Tokens;
use super::{name, sync};
use crate::ast::{DestinationTerm, Filter, List};
use crate::error::SyntaxError;
use crate::lexer::Kind;
use crate::span::Spanned;
use crate::value::{self as values, AddressOrRange};

/// The words that cannot name a destination set.
pub(crate) const RESERVED: [&str; 10] =
    ["host", "list", "world", "private", "except", "only", "allow", "deny", "on", "via"];

impl Term for DestinationTerm {
    const WHAT: &'static str = "a destination";
    const HELP: &'static str = "destinations are a name, an address, a prefix, a range `a-b`, `host NAME`, \
         `list \"FILE\"`, `world` or `private`";

    fn term(i: Tokens<'_>) -> Res<'_, Option<Self>> {
        let stuck = || nom::Err::Error(Stuck::new(i, Self::WHAT, Self::HELP));
        match i.word() {
            "world" => Ok((i.skip(), Some(Self::World))),
            "private" => Ok((i.skip(), Some(Self::Private))),
            "host" => host(i.skip()),
            "list" => list.map(|list| Some(Self::List(list))).parse(i.skip()),
            "" => Err(stuck()),
            text if values::looks_like_address(text) => Ok((i.skip(), Some(address(i)))),
            text if RESERVED.contains(&text) || sync::ends_set_here(i) => Err(stuck()),
            text if text.contains(['.', '*']) => {
                i.report(SyntaxError::BareHost { text: text.to_owned(), span: i.span() });
                Ok((i.skip(), None))
            }
            text => Ok((i.skip(), Some(Self::Name(name::checked(i, Spanned::new(text, i.span())))))),
        }
    }

    fn certain(i: Tokens<'_>) -> bool {
        match i.word() {
            "host" => i.kind(1) == Some(Kind::Word),
            "list" => i.kind(1) == Some(Kind::Text),
            "world" | "private" => true,
            text => values::looks_like_address(text),
        }
    }
}

fn address(i: Tokens<'_>) -> DestinationTerm {
    let word = Spanned::new(i.word(), i.span());
    let found = value(i, word, values::address_or_range);
    match found.node {
        Some(AddressOrRange::Range(range)) => DestinationTerm::Range(Spanned::new(Some(range), found.span)),
        Some(AddressOrRange::Prefix(prefix)) => DestinationTerm::Prefix(Spanned::new(Some(prefix), found.span)),
        None => DestinationTerm::Prefix(Spanned::new(None, found.span)),
    }
}

/// The name or pattern after `host`, bare or quoted.
fn host(i: Tokens<'_>) -> Res<'_, Option<DestinationTerm>> {
    let help = "a host reads like `host api.example.com` or `host *.example.com`";
    let (rest, found) = expect(word_or_text("a host name or pattern", help)).parse(i)?;
    let host = found.map(|name| {
        let name = Spanned::new(name.node.as_str(), name.span);
        DestinationTerm::Host(value(rest, name, values::host))
    });
    Ok((rest, host))
}

fn word_or_text<'a>(
    what: &'static str,
    help: &'static str,
) -> impl Parser<Tokens<'a>, Output = Spanned<String>, Error = Stuck<'a>> {
    let bare = move |i: Tokens<'a>| -> IResult<Tokens<'a>, Spanned<String>, Stuck<'a>> {
        if sync::ends_set_here(i) {
            return Err(nom::Err::Error(Stuck::new(i, what, help)));
        }
        word(what, help).map(|word| Spanned::new(word.node.to_owned(), word.span)).parse(i)
    };
    alt((text(what, help), bare))
}

/// The path and filters after `list`.
fn list(i: Tokens<'_>) -> Res<'_, List> {
    let help = "a list reads like `list \"lists/partners.txt\"`";
    let (rest, path) = expect(text("a path in quotes", help)).parse(i)?;
    let path = path.unwrap_or_else(|| Spanned::new(String::new(), rest.after_last()));
    let (rest, filters) = opt(filters).parse(rest)?;
    Ok((rest, List { path, filters: filters.unwrap_or_default() }))
}

fn filters(i: Tokens<'_>) -> Res<'_, Vec<Filter>> {
    let (inside, open) = kind(Kind::ParenOpen, "`(`", "").parse(i)?;
    let ends = |i: Tokens<'_>| matches!(i.kind(0), Some(Kind::Comma | Kind::ParenClose));
    let comma = kind(Kind::Comma, "`,`", "");
    let (rest, filters) = separated_list1(comma, recover(cut(filter), ends)).parse(inside)?;
    let rest = close_group(rest, "list of filters", open);
    Ok((rest, filters.into_iter().flatten().collect()))
}

const FILTER_HELP: &str = "filters read like `(service=S3, region=eu-central-1)`";

fn filter(i: Tokens<'_>) -> Res<'_, Filter> {
    let field = word("a field name", FILTER_HELP).map(|word| Spanned::new(word.node.to_owned(), word.span));
    let (rest, (key, _, value)) = (field, equals, word_or_text("a value", FILTER_HELP)).parse(i)?;
    Ok((rest, Filter { key, value }))
}

fn equals(i: Tokens<'_>) -> Res<'_, ()> {
    if i.text(0) == "=" { Ok((i.skip(), ())) } else { Err(nom::Err::Error(Stuck::new(i, "`=`", FILTER_HELP))) }
}
