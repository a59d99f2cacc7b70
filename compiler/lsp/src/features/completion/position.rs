//! What kind of thing a place wants, by the tokens before it.

use crate::syntax::{Labelled, words};
use egress_compiler::Kind;
use egress_lang::{Token, TokenKind};

/// Words that start a declaration.
pub(super) const DECLARATIONS: [&str; 9] =
    ["cluster", "workloads", "destinations", "ports", "gateway", "policy", "guardrail", "assert", "control"];
const RULE: [&str; 6] = ["on", "via", "log", "because", "ticket", "until"];
const DSET: [&str; 4] = ["host", "list", "world", "private"];
const WSET: [&str; 3] = ["all", "pods", "address"];
const PSET: [&str; 6] = ["tcp", "udp", "sctp", "icmp", "icmpv6", "any"];

/// What fits at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// Nothing that is known, such as a new name or an address.
    Nothing,
    /// A declaration.
    Start,
    /// One of these words.
    Words(Vec<&'static str>),
    /// A name of this kind, or one of these words.
    Named(Kind, Vec<&'static str>),
    /// A port, or one of these words.
    Ports(Vec<&'static str>),
    /// A label's key.
    Key(Labelled),
    /// A label's value.
    Value(Labelled, String),
    Namespace,
    ServiceAccount,
    /// The path of a list.
    List,
    FilterKey,
}

/// What fits at a byte offset, where the tokens before it start with a declaration; and where the word starts that is
/// being written.
pub(super) fn position(text: &str, tokens: &[Token], at: u32) -> (Position, u32) {
    match tokens.last() {
        Some(last) if last.kind == TokenKind::Text && last.span.end == at => {
            let closed = last.span.text(text).len() > 1 && last.span.text(text).ends_with('"');
            let before = tokens.len().checked_sub(2).and_then(|at| tokens.get(at));
            let lists = !closed && before.is_some_and(|token| words::is(text, token, "list"));
            (if lists { Position::List } else { Position::Nothing }, last.span.start + 1)
        }
        Some(last) if last.kind == TokenKind::Word && last.span.end == at => {
            let before = tokens.get(..tokens.len() - 1).unwrap_or_default();
            (Before { text, tokens: before }.wants(), last.span.start)
        }
        _ => (Before { text, tokens }.wants(), at),
    }
}

/// The tokens before the word that is being written.
struct Before<'t> {
    text: &'t str,
    tokens: &'t [Token],
}

impl<'t> Before<'t> {
    fn word(&self, back: usize) -> &'t str {
        let token = self.tokens.len().checked_sub(back + 1).and_then(|at| self.tokens.get(at));
        token.map_or("", |token| token.span.text(self.text))
    }

    fn wants(&self) -> Position {
        let Some(first) = self.tokens.first() else { return Position::Start };
        if let Some(open) = self.open_parenthesis()
            && let Some(inside) = self.in_parentheses(open)
        {
            return inside;
        }
        let head = first.span.text(self.text);
        let braces = |kind| self.tokens.iter().filter(|token| token.kind == kind).count();
        let inside = braces(TokenKind::BraceOpen) > braces(TokenKind::BraceClose);
        let closed = braces(TokenKind::BraceClose) > 0 && !inside;
        match head {
            _ if closed => Position::Start,
            "policy" | "guardrail" if inside => self.in_block(head == "policy"),
            "gateway" if inside => self.in_gateway(),
            "cluster" if inside => Position::Words(vec!["pods", "services", "nodes", "dns"]),
            "control" if inside => self.in_assert(vec!["assert"]),
            "assert" => self.in_assert(DECLARATIONS.to_vec()),
            "workloads" | "destinations" | "ports" => self.in_set(head),
            _ if inside || self.tokens.len() < 3 => Position::Nothing,
            _ => Position::Start,
        }
    }

    /// The innermost parenthesis that is open.
    fn open_parenthesis(&self) -> Option<usize> {
        let mut depth = 0;
        for (at, token) in self.tokens.iter().enumerate().rev() {
            match token.kind {
                TokenKind::ParenClose => depth += 1,
                TokenKind::ParenOpen if depth == 0 => return Some(at),
                TokenKind::ParenOpen => depth -= 1,
                TokenKind::BraceOpen | TokenKind::BraceClose => return None,
                _ => {}
            }
        }
        None
    }

    /// What fits in the parentheses of a selector or of a list; nothing in those that group.
    fn in_parentheses(&self, open: usize) -> Option<Position> {
        let before = |back: usize| {
            let token = open.checked_sub(back).and_then(|at| self.tokens.get(at));
            token.map_or("", |token| token.span.text(self.text))
        };
        let of = match before(1) {
            "pods" => Labelled::Pods,
            "namespaces" => Labelled::Namespaces,
            "nodes" => Labelled::Nodes,
            "in" | "notin" => {
                let outer = Before { text: self.text, tokens: self.tokens.get(..open)? };
                let of = outer.open_parenthesis().and_then(|at| outer.in_parentheses(at));
                return match of {
                    Some(Position::Key(of) | Position::Value(of, _)) => Some(Position::Value(of, before(2).to_owned())),
                    _ => None,
                };
            }
            path if path.starts_with('"') && before(2) == "list" => {
                let key = matches!(self.word(0), "(" | ",");
                return Some(if key { Position::FilterKey } else { Position::Nothing });
            }
            _ => return None,
        };
        Some(match self.word(0) {
            "=" | "==" | "!=" => Position::Value(of, self.word(1).to_owned()),
            "(" | "," | "!" => Position::Key(of),
            ")" => Position::Nothing,
            _ => Position::Words(vec!["in", "notin"]),
        })
    }

    /// The last of these words, and whether something stands after it.
    fn last_of(&self, wanted: &[&str]) -> Option<(&'t str, bool)> {
        let at = self.tokens.iter().rposition(|token| wanted.iter().any(|word| words::is(self.text, token, word)))?;
        self.tokens.get(at).map(|token| (token.span.text(self.text), at + 1 < self.tokens.len()))
    }

    /// Whether a term of a set must come next.
    fn wants_term(&self, starts: &[&str]) -> bool {
        self.word(0) == "," || self.word(0) == "except" || self.word(0) == "(" || starts.contains(&self.word(0))
    }

    fn workloads(&self, starts: &[&str], after: Vec<&'static str>) -> Position {
        match (self.word(0), self.word(1)) {
            ("namespace", "in") => Position::Namespace,
            ("serviceaccount", "as") => Position::ServiceAccount,
            ("in", _) => Position::Words(vec!["namespace", "namespaces"]),
            ("as", _) => Position::Words(vec!["serviceaccount"]),
            ("address", _) => Position::Nothing,
            _ if self.wants_term(starts) => Position::Named(Kind::Workloads, WSET.to_vec()),
            _ => Position::Words([vec!["in", "as", "except"], after].concat()),
        }
    }

    fn destinations(&self, starts: &[&str], after: Vec<&'static str>) -> Position {
        match self.word(0) {
            "host" | "list" => Position::Nothing,
            _ if self.wants_term(starts) => Position::Named(Kind::Destinations, DSET.to_vec()),
            _ => Position::Words([vec!["except"], after].concat()),
        }
    }

    fn ports(&self, starts: &[&str], after: Vec<&'static str>) -> Position {
        if self.wants_term(starts) { Position::Ports(PSET.to_vec()) } else { Position::Words(after) }
    }

    fn in_block(&self, is_policy: bool) -> Position {
        let verdicts = if is_policy { vec!["allow", "deny"] } else { vec!["deny"] };
        let has = |word: &&&str| self.tokens.iter().any(|token| words::is(self.text, token, word));
        let parts = || ["for", "owner", "mode"].iter().filter(|word| !has(word)).copied();
        let next: Vec<&'static str> = parts().chain(verdicts.iter().copied()).collect();
        let Some((last, _)) = self.last_of(&["{", "for", "owner", "mode", "allow", "deny"]) else {
            return Position::Words(next);
        };
        match last {
            "for" => self.workloads(&["for"], next),
            "owner" if self.word(0) == "owner" => Position::Nothing,
            "mode" if self.word(0) == "mode" => Position::Words(vec!["audit"]),
            "allow" | "deny" => self.in_rule(last == "allow", verdicts),
            _ => Position::Words(next),
        }
    }

    fn in_rule(&self, is_allow: bool, verdicts: Vec<&'static str>) -> Position {
        let start = self.tokens.iter().rposition(|it| ["allow", "deny"].contains(&it.span.text(self.text)));
        let rule = Before { text: self.text, tokens: start.and_then(|at| self.tokens.get(at..)).unwrap_or_default() };
        let open = RULE.iter().filter(|word| rule.last_of(&[word]).is_none() && (is_allow || **word != "via"));
        let next: Vec<&'static str> = open.copied().chain(verdicts).collect();
        match rule.last_of(&RULE) {
            None => self.destinations(&["allow", "deny"], next),
            Some(("on", _)) => self.ports(&["on"], next),
            Some(("via", false)) => Position::Named(Kind::Gateway, Vec::new()),
            Some(("because" | "ticket" | "until", false)) => Position::Nothing,
            Some(_) => Position::Words(next),
        }
    }

    fn in_gateway(&self) -> Position {
        match self.word(0) {
            "address" | "," => Position::Nothing,
            _ => Position::Words(vec!["nodes", "address", "managed"]),
        }
    }

    fn in_set(&self, head: &str) -> Position {
        let starts = ["="];
        match (self.tokens.len(), head) {
            (..=2, _) => Position::Nothing,
            (_, "workloads") => self.workloads(&starts, DECLARATIONS.to_vec()),
            (_, "destinations") => self.destinations(&starts, DECLARATIONS.to_vec()),
            _ => self.ports(&starts, DECLARATIONS.to_vec()),
        }
    }

    fn in_assert(&self, after: Vec<&'static str>) -> Position {
        let parts = ["assert", "can", "cannot", "reach", "only", "on", "via", "because"];
        match self.last_of(&parts) {
            None => Position::Words(after),
            Some(("assert", false)) => Position::Named(Kind::Workloads, [&WSET[..], &["only"]].concat()),
            Some(("assert", true)) => self.workloads(&["assert"], vec!["can", "cannot"]),
            Some(("can" | "cannot", _)) => Position::Words(vec!["reach"]),
            Some(("reach", false)) => Position::Named(Kind::Destinations, [&DSET[..], &["only"]].concat()),
            Some(("only", false)) if self.word(1) == "assert" => Position::Named(Kind::Workloads, WSET.to_vec()),
            Some(("only", true)) if self.last_of(&["reach"]).is_none() => self.workloads(&["only"], vec!["can"]),
            Some(("only", false)) => Position::Named(Kind::Destinations, [&DSET[..], &["via"]].concat()),
            Some(("reach" | "only", _)) => {
                self.destinations(&["reach", "only"], [vec!["only", "on", "because"], after].concat())
            }
            Some(("on", _)) => self.ports(&["on"], [vec!["because"], after].concat()),
            Some(("via", false)) => Position::Named(Kind::Gateway, Vec::new()),
            Some(("because", false)) => Position::Nothing,
            Some(_) => Position::Words([vec!["on", "because"], after].concat()),
        }
    }
}
