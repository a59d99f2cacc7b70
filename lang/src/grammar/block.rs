//! Declarations with braces: cluster, gateway, policy, guardrail, control.
//!
//! In: `Tokens` just after the declaring keyword. Out: the declaration, always. An entry
//! that cannot be read is reported and skipped; the next one is read again.

use nom::Parser;
use nom::combinator::{cut, opt};
use nom::multi::separated_list1;

use super::base::{Res, Stuck, close, expect, kind, one_of, recover, shorten, text, unknown_word, value, word};
use super::rule::{quoted, rule};
use super::selector::selector;
use super::set::set;
use super::tokens::Tokens;
use super::workload::once;
use super::{assertion, name, sync};
use crate::ast::{Assert, Cluster, Control, Doc, Gateway, GatewayAddress, Name, Policy, Set, SetNode, Verdict};
use crate::error::SyntaxError;
use crate::lexer::Kind;
use crate::span::{Span, Spanned, Value};
use crate::suggest::closest;
use crate::value::{self as values, Prefix};

type Failed<'a> = nom::Err<Stuck<'a>>;

/// Reads `{`, entries that start with one of `words`, and `}`. `read` is handed the
/// keyword, well spelled, and the position of the word written for it.
fn block<'a>(
    i: Tokens<'a>,
    what: &'static str,
    words: &'static [&'static str],
    help: &'static str,
    mut read: impl FnMut(Tokens<'a>, &'static str) -> Result<Tokens<'a>, Failed<'a>>,
) -> Result<Tokens<'a>, Failed<'a>> {
    let Some((mut i, open)) = open(i, words) else { return Ok(i) };
    loop {
        let word = words.iter().find(|word| **word == i.word()).copied();
        let ends = matches!(i.kind(0), None | Some(Kind::BraceClose)) || (word.is_none() && sync::declaration(i));
        if ends {
            return Ok(close(i, Kind::BraceClose, what, open));
        }
        let resembled = || {
            let meant = closest(i.word(), words.iter().copied())?;
            unknown_word(i, what_holds(what), Some(meant), help);
            Some(meant)
        };
        i = match word.or_else(resembled) {
            Some(word) => read(i, word)?,
            None => skip_entry(i, what, words, help),
        };
    }
}

fn what_holds(what: &'static str) -> &'static str {
    match what {
        "cluster" => "a cluster",
        "gateway" => "a gateway",
        "guardrail" => "a guardrail",
        "control" => "a control",
        _ => "a policy",
    }
}

/// The opening brace. Where it is missing the block may still follow; `None` if not.
fn open<'a>(i: Tokens<'a>, words: &'static [&'static str]) -> Option<(Tokens<'a>, Span)> {
    if i.is(Kind::BraceOpen) {
        return Some((i.skip(), i.span()));
    }
    i.report(Stuck::new(i, "`{`", "a block stands in braces").into_error());
    let rest = sync::skip_to(i, |i| words.contains(&i.word()) || !i.same_line());
    if rest.is(Kind::BraceOpen) {
        return Some((rest.skip(), rest.span()));
    }
    words.contains(&rest.word()).then(|| (rest, i.after_last()))
}

/// Reports text that starts no entry and skips to one that does.
fn skip_entry<'a>(i: Tokens<'a>, what: &'static str, words: &'static [&'static str], help: &'static str) -> Tokens<'a> {
    if i.is(Kind::Word) {
        unknown_word(i, what_holds(what), None, help);
    } else {
        let found = Some(shorten(i.text(0)));
        i.report(SyntaxError::Expected { what: "an entry", found, span: i.span(), help });
    }
    let resumes = |i: Tokens<'_>| words.contains(&i.word()) || (!i.same_line() && i.is(Kind::Word));
    let inner = i.is(Kind::BraceOpen);
    let rest = sync::skip_to(i.skip(), |i| !inner && resumes(i));
    // A block inside a block, which the language does not have, is skipped with its end.
    if inner && rest.is(Kind::BraceClose) { rest.skip() } else { rest }
}

const POLICY_HELP: &str = "a policy holds `for`, `owner`, `mode audit`, and rules that start with `allow` or `deny`";

/// `NAME { for WSET … }` of a `policy` or, if `guardrail`, of a guardrail.
pub(crate) fn policy(i: Tokens<'_>, start: Span, doc: Option<Doc>, guardrail: bool) -> Res<'_, Policy> {
    let what = if guardrail { "guardrail" } else { "policy" };
    let (rest, name) = name::declared(i, what, &[])?;
    let missing = Set { node: SetNode::Error, span: Span::empty(name.span.end) };
    let mut it = Policy { doc, name, workloads: missing, owner: None, audit: None, rules: Vec::new(), span: start };
    let (mut seen_for, mut seen_owner) = (None, None);
    let rest = block(rest, what, &sync::POLICY_ENTRIES, POLICY_HELP, |i, word| match word {
        "for" => {
            once(i, "`for`", &mut seen_for, i.span());
            let (rest, workloads) = set(i.skip())?;
            if seen_for == Some(i.span()) {
                it.workloads = workloads;
            }
            Ok(rest)
        }
        "owner" => {
            once(i, "`owner`", &mut seen_owner, i.span());
            quoted(i.skip(), "the owner in quotes", &mut it.owner)
        }
        "mode" => mode(i, &mut it),
        verdict => {
            let verdict = if verdict == "allow" { Verdict::Allow } else { Verdict::Deny };
            if guardrail && verdict == Verdict::Allow {
                i.report(SyntaxError::AllowInGuardrail { span: i.span() });
            }
            let (rest, rule) = rule(i, verdict)?;
            it.rules.push(rule);
            Ok(rest)
        }
    })?;
    if seen_for.is_none() {
        let help = "say whom it speaks about, like `for all` or `for checkout`";
        let span = if it.name.is_missing() { start } else { it.name.span };
        rest.report(SyntaxError::Missing { what: "`for`", block: what, help, span });
    }
    it.span = rest.span_from(start);
    Ok((rest, it))
}

fn mode<'a>(i: Tokens<'a>, it: &mut Policy) -> Result<Tokens<'a>, Failed<'a>> {
    let help = "the only mode is `audit`; leave it out to enforce";
    let (rest, _) = expect(one_of(&["audit"], "`audit`", "a policy", help)).parse(i.skip())?;
    let span = rest.span_from(i.span());
    once(i, "`mode`", &mut it.audit, span);
    Ok(rest)
}

const CLUSTER_HELP: &str = "a cluster holds `pods`, `services` and `nodes` with prefixes, and `dns` with workloads";

/// `NAME { pods … services … nodes … dns … }`
pub(crate) fn cluster(i: Tokens<'_>, start: Span, doc: Option<Doc>) -> Res<'_, Cluster> {
    let (rest, name) = name::declared(i, "a cluster", &[])?;
    let (pods, services, nodes) = (Vec::new(), Vec::new(), Vec::new());
    let mut it = Cluster { doc, name, pods, services, nodes, dns: None, span: start };
    let (mut pods, mut services, mut nodes, mut dns) = (None, None, None, None);
    let rest = block(rest, "cluster", &["pods", "services", "nodes", "dns"], CLUSTER_HELP, |i, word| {
        let (what, seen, place) = match word {
            "pods" => ("`pods`", &mut pods, &mut it.pods),
            "services" => ("`services`", &mut services, &mut it.services),
            "nodes" => ("`nodes`", &mut nodes, &mut it.nodes),
            _ => {
                once(i, "`dns`", &mut dns, i.span());
                let (rest, workloads) = set(i.skip())?;
                it.dns.get_or_insert(workloads);
                return Ok(rest);
            }
        };
        once(i, what, seen, i.span());
        let (rest, prefixes) = values_of(i.skip(), |i| prefix(i))?;
        if place.is_empty() {
            *place = prefixes;
        }
        Ok(rest)
    })?;
    it.span = rest.span_from(start);
    Ok((rest, it))
}

/// Values joined by commas, where a comma may have been forgotten on one line.
fn values_of<'a, T>(i: Tokens<'a>, one: impl Fn(Tokens<'a>) -> Res<'a, T>) -> Result<(Tokens<'a>, Vec<T>), Failed<'a>> {
    separated_list1(address_comma, one).parse(i)
}

fn address_comma(i: Tokens<'_>) -> Res<'_, ()> {
    if i.is(Kind::Comma) {
        return Ok((i.skip(), ()));
    }
    if !i.same_line() || !values::looks_like_address(i.word()) {
        return Err(nom::Err::Error(Stuck::new(i, "`,`", "")));
    }
    i.report(SyntaxError::Expected {
        what: "`,`",
        found: None,
        span: i.after_last(),
        help: "addresses are joined by `,`",
    });
    Ok((i, ()))
}

/// A word that can only be meant as an address, or the report that none stands here.
fn address_word<'a>(i: Tokens<'a>, what: &'static str, help: &'static str) -> Res<'a, Option<Spanned<&'a str>>> {
    let at = move |i: Tokens<'a>| {
        if values::looks_like_address(i.word()) {
            word(what, help).parse(i)
        } else {
            Err(nom::Err::Error(Stuck::new(i, what, help)))
        }
    };
    recover(cut(at), |i| !i.same_line() || sync::continues(i) || i.text(1) == "(").parse(i)
}

fn prefix(i: Tokens<'_>) -> Res<'_, Value<Prefix>> {
    let (rest, found) = address_word(i, "a prefix", "a prefix reads like `10.42.0.0/16` or `fd00:42::/56`")?;
    let prefix = match found {
        Some(word) => value(rest, word, values::prefix),
        None => Spanned::new(None, rest.after_last()),
    };
    Ok((rest, prefix))
}

const GATEWAY_HELP: &str = "a gateway holds `nodes(SELECTOR)` and `address A, B managed`";

/// `NAME { nodes(SEL) address A, B managed }`
pub(crate) fn gateway(i: Tokens<'_>, start: Span, doc: Option<Doc>) -> Res<'_, Gateway> {
    let (rest, name) =
        name::declared(i, "a gateway", &["on", "via", "only", "except", "can", "cannot", "allow", "deny"])?;
    let mut it = Gateway { doc, name, selector: None, addresses: Vec::new(), span: start };
    let (mut nodes, mut address) = (None, None);
    let rest = block(rest, "gateway", &["nodes", "address"], GATEWAY_HELP, |i, word| {
        if word == "nodes" {
            once(i, "`nodes`", &mut nodes, i.span());
            let (rest, selector) = expect(cut(selector)).parse(i.skip())?;
            it.selector = it.selector.take().or(selector);
            return Ok(rest);
        }
        once(i, "`address`", &mut address, i.span());
        let (rest, addresses) = values_of(i.skip(), |i| gateway_address(i))?;
        if it.addresses.is_empty() {
            it.addresses = addresses;
        }
        Ok(rest)
    })?;
    it.span = rest.span_from(start);
    Ok((rest, it))
}

fn gateway_address(i: Tokens<'_>) -> Res<'_, GatewayAddress> {
    let (rest, found) = address_word(i, "an address", "an address reads like `203.0.113.10` or `2001:db8::10`")?;
    let ip = match found {
        Some(word) => value(rest, word, values::address),
        None => Spanned::new(None, rest.after_last()),
    };
    let (rest, managed) = opt(one_of(&["managed"], "`managed`", "a gateway", GATEWAY_HELP)).parse(rest)?;
    let managed = managed.map(|_| rest.last());
    Ok((rest, GatewayAddress { ip, managed }))
}

/// `"ID" "TITLE" { assert … }`
pub(crate) fn control(i: Tokens<'_>, start: Span, doc: Option<Doc>) -> Res<'_, Control> {
    let help = "a control reads like `control \"PCI-DSS 1.3.2\" \"Outbound traffic is restricted\" { … }`";
    let (rest, id) = expect(text("the control's identifier in quotes", help)).parse(i)?;
    let (rest, title) = match id {
        Some(_) => expect(text("the control's title in quotes", help)).parse(rest)?,
        None => opt(kind(Kind::Text, "", "")).map(|_| None).parse(rest)?,
    };
    let none = || Spanned::new(String::new(), rest.after_last());
    let (id, title) = (id.unwrap_or_else(none), title.unwrap_or_else(none));
    let mut asserts: Vec<Assert> = Vec::new();
    let help = "a control holds assertions: `assert …`";
    let rest = block(rest, "control", &["assert"], help, |i, _| {
        let (rest, assert) = assertion::assertion(i)?;
        asserts.push(assert);
        Ok(rest)
    })?;
    Ok((rest, Control { doc, id, title, asserts, span: rest.span_from(start) }))
}

/// The name and the `=` of `workloads`, `destinations` and `ports`.
pub(crate) fn named<'a>(i: Tokens<'a>, what: &'static str, reserved: &[&str]) -> Res<'a, Name> {
    let (rest, name) = name::declared(i, what, reserved)?;
    if rest.text(0) == "=" {
        return Ok((rest.skip(), name));
    }
    rest.report(Stuck::new(rest, "`=`", "a named set reads like `workloads checkout = …`").into_error());
    // `==` or `:=` in its place is skipped; anything else may already be the set.
    Ok((if rest.is(Kind::Operator) { rest.skip() } else { rest }, name))
}
