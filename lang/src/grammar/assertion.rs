//! Assertions: the five forms of `assert …`.
//!
//! In: `Tokens` at the word `assert`. Out: an `Assert`, always.

use nom::Parser;
use nom::combinator::opt;

use super::base::{Res, expect, keyword, one_of, shorten, unknown_word};
use super::rule::{next_clause, quoted};
use super::set::set;
use super::tokens::Tokens;
use super::workload::once;
use super::{doc, name, port};
use crate::ast::{Assert, Claim};
use crate::error::SyntaxError;
use crate::span::Span;

const HELP: &str = "the forms are `W cannot reach D`, `W can reach D`, `only W can reach D`, `W can reach only D` \
     and `W can reach D only via G`";

const CLAUSES: [&str; 3] = ["only", "on", "because"];

const CLAUSE_HELP: &str =
    "an assertion goes on with `only via`, `on` or `because`; the parts of a set are joined by `,`";

/// `assert all cannot reach metadata on 80/tcp because "…"`
pub(crate) fn assertion(i: Tokens<'_>) -> Res<'_, Assert> {
    let start = i.span();
    let (rest, only_sources) = opt(keyword("only")).parse(i.skip())?;
    let (rest, workloads) = set(rest)?;
    let (rest, cannot) = verb(rest)?;
    let (rest, only_destinations) = opt(keyword("only")).parse(rest)?;
    let (rest, destinations) = set(rest)?;
    let claim = claim(rest, only_sources, cannot, only_destinations);
    let mut it = Assert { doc: doc::above(i), claim, workloads, destinations, ports: None, because: None, span: start };
    let rest = clauses(rest, &mut it)?;
    it.span = rest.span_from(start);
    Ok((rest, it))
}

/// `can reach` or `cannot reach`; the span of `cannot`, if it is that.
fn verb(i: Tokens<'_>) -> Res<'_, Option<Span>> {
    let word = i.span();
    let (rest, verb) = expect(one_of(&["can", "cannot"], "`can` or `cannot`", "an assertion", HELP)).parse(i)?;
    let (rest, cannot) = if rest.word() == "not" {
        unknown_word(rest, "an assertion", Some("cannot"), HELP);
        (rest.skip(), Some(word.to(rest.span())))
    } else {
        (rest, (verb == Some("cannot")).then_some(word))
    };
    let (rest, _) = expect(one_of(&["reach"], "`reach`", "an assertion", HELP)).parse(rest)?;
    Ok((rest, cannot))
}

/// The form that the words found make; more than one restriction is reported.
fn claim(i: Tokens<'_>, sources: Option<Span>, cannot: Option<Span>, destinations: Option<Span>) -> Claim {
    let extra = |span: Span| {
        let found = Some(shorten(span.text(i.source.text)));
        let help = "make it two assertions, each with one `only` or `cannot`";
        i.report(SyntaxError::Expected { what: "one restriction", found, span, help });
    };
    match (sources, cannot, destinations) {
        (Some(_), second, third) => {
            second.into_iter().chain(third).for_each(extra);
            Claim::OnlySources
        }
        (None, Some(_), only) => {
            only.into_iter().for_each(extra);
            Claim::CannotReach
        }
        (None, None, Some(_)) => Claim::OnlyDestinations,
        (None, None, None) => Claim::CanReach,
    }
}

fn clauses<'a>(mut i: Tokens<'a>, it: &mut Assert) -> Result<Tokens<'a>, nom::Err<super::base::Stuck<'a>>> {
    let (mut seen_on, mut seen_because) = (None, None);
    loop {
        let (after, clause) = next_clause(i, &CLAUSES, "an assertion", CLAUSE_HELP);
        let Some(clause) = clause else { return Ok(after) };
        let word = after.last();
        i = match clause {
            "on" => {
                once(after, "`on`", &mut seen_on, word);
                let (rest, ports) = port::ports(after)?;
                it.ports.get_or_insert(ports);
                rest
            }
            "because" => {
                once(after, "`because`", &mut seen_because, word);
                quoted(after, "a reason in quotes", &mut it.because)?
            }
            _ => only_via(after, it)?,
        };
    }
}

fn only_via<'a>(i: Tokens<'a>, it: &mut Assert) -> Result<Tokens<'a>, nom::Err<super::base::Stuck<'a>>> {
    let only = i.last();
    let (rest, _) = expect(one_of(&["via"], "`via`", "an assertion", HELP)).parse(i)?;
    let (rest, gateway) = name::reference(rest, "the name of a gateway")?;
    if it.claim == Claim::CanReach {
        it.claim = Claim::OnlyVia(gateway);
    } else {
        let help = "make it two assertions, each with one `only` or `cannot`";
        let found = Some("only".to_owned());
        i.report(SyntaxError::Expected { what: "one restriction", found, span: only, help });
    }
    Ok(rest)
}
