//! Rules: `allow stripe on 443/tcp via eu-fixed because "…"`, and the clauses that rules
//! and assertions share.
//!
//! In: `Tokens` at the verdict. Out: a `Rule`, always. Clauses may come in any order, each
//! once; the formatter puts them in order.

use nom::Parser;

use super::base::{Res, expect, shorten, text, unknown_word, word};
use super::set::set;
use super::tokens::Tokens;
use super::workload::once;
use super::{doc, name, port, sync};
use crate::ast::{Rule, Verdict};
use crate::error::SyntaxError;
use crate::lexer::Kind;
use crate::span::{Span, Spanned};
use crate::suggest::closest;
use crate::value;

const HELP: &str = "a rule goes on with `on`, `via`, `log`, `because`, `ticket` or `until`; \
     the parts of a set are joined by `,`";

/// The rule whose verdict, well spelled or not, is the word at `i`.
pub(crate) fn rule(i: Tokens<'_>, verdict: Verdict) -> Res<'_, Rule> {
    let start = i.span();
    let (mut rest, destinations) = set(i.skip())?;
    let mut rule = Rule {
        doc: doc::above(i),
        verdict: Spanned::new(verdict, start),
        destinations,
        ports: None,
        via: None,
        log: None,
        because: None,
        ticket: None,
        until: None,
        span: start,
    };
    let mut seen = Seen::default();
    loop {
        let (after, clause) = next_clause(rest, &sync::RULE_CLAUSES, "a rule", HELP);
        rest = after;
        let Some(clause) = clause else { break };
        (rest, _) = read_clause(rest, clause, &mut rule, &mut seen)?;
    }
    rule.span = rest.span_from(start);
    Ok((rest, rule))
}

/// The first keyword of each clause, to find the second.
#[derive(Default)]
struct Seen {
    on: Option<Span>,
    via: Option<Span>,
    log: Option<Span>,
    because: Option<Span>,
    ticket: Option<Span>,
    until: Option<Span>,
}

/// Reads what follows the keyword `clause`. Of two equal clauses the first one counts.
fn read_clause<'a>(i: Tokens<'a>, clause: &str, rule: &mut Rule, seen: &mut Seen) -> Res<'a, ()> {
    let word = i.last();
    let rest = match clause {
        "on" => {
            once(i, "`on`", &mut seen.on, word);
            let (rest, ports) = port::ports(i)?;
            rule.ports.get_or_insert(ports);
            rest
        }
        "via" => {
            once(i, "`via`", &mut seen.via, word);
            let (rest, gateway) = name::reference(i, "the name of a gateway")?;
            if rule.verdict.node == Verdict::Deny {
                i.report(SyntaxError::ViaOnDeny { span: rest.span_from(word) });
            }
            rule.via.get_or_insert(gateway);
            rest
        }
        "log" => {
            once(i, "`log`", &mut seen.log, word);
            rule.log.get_or_insert(word);
            i
        }
        "because" => {
            once(i, "`because`", &mut seen.because, word);
            quoted(i, "a reason in quotes", &mut rule.because)?
        }
        "ticket" => {
            once(i, "`ticket`", &mut seen.ticket, word);
            quoted(i, "a ticket in quotes", &mut rule.ticket)?
        }
        _ => {
            once(i, "`until`", &mut seen.until, word);
            until(i, rule)?
        }
    };
    Ok((rest, ()))
}

/// Reads the string of a clause into its place, unless that is taken.
pub(crate) fn quoted<'a>(
    i: Tokens<'a>,
    what: &'static str,
    place: &mut Option<Spanned<String>>,
) -> Result<Tokens<'a>, nom::Err<super::base::Stuck<'a>>> {
    let (rest, found) = expect(text(what, "write it in double quotes")).parse(i)?;
    if place.is_none() {
        *place = found;
    }
    Ok(rest)
}

fn until<'a>(i: Tokens<'a>, rule: &mut Rule) -> Result<Tokens<'a>, nom::Err<super::base::Stuck<'a>>> {
    let help = "dates read `YYYY-MM-DD`, like `2027-03-31`";
    if sync::continues(i) {
        i.report(super::base::Stuck::new(i, "a date", help).into_error());
        rule.until.get_or_insert(Spanned::new(None, i.after_last()));
        return Ok(i);
    }
    let (rest, found) = expect(word("a date", help)).parse(i)?;
    let date = match found {
        Some(word) => super::base::value(rest, word, value::date),
        None => Spanned::new(None, rest.after_last()),
    };
    rule.until.get_or_insert(date);
    Ok(rest)
}

/// The position after the next of `clauses`, and which it is; none where the rule ends.
/// Text that is no clause is reported and skipped, or taken for the clause it resembles.
pub(crate) fn next_clause<'a>(
    mut i: Tokens<'a>,
    clauses: &'static [&'static str],
    place: &'static str,
    help: &'static str,
) -> (Tokens<'a>, Option<&'static str>) {
    let clause_here = |i: Tokens<'a>| clauses.iter().find(|clause| **clause == i.word()).copied();
    loop {
        if let Some(clause) = clause_here(i) {
            return (i.skip(), Some(clause));
        }
        if ends_rule(i) {
            return (i, None);
        }
        if let Some(meant) = closest(i.word(), clauses.iter().copied()) {
            unknown_word(i, place, Some(meant), help);
            return (i.skip(), Some(meant));
        }
        if !i.same_line() {
            return (i, None);
        }
        if i.is(Kind::Word) {
            unknown_word(i, place, None, help);
        } else {
            let found = Some(shorten(i.text(0)));
            i.report(SyntaxError::Expected { what: "a clause", found, span: i.span(), help });
        }
        i = sync::skip_to(i.skip(), |i| clause_here(i).is_some() || !i.same_line() || sync::entry_shape(i));
    }
}

fn ends_rule(i: Tokens<'_>) -> bool {
    let entry = !i.same_line() && sync::POLICY_ENTRIES.contains(&i.word());
    matches!(i.kind(0), None | Some(Kind::BraceOpen | Kind::BraceClose))
        || entry
        || sync::entry_shape(i)
        || sync::declaration(i)
}
