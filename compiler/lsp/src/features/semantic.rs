//! Semantic tokens: what each word is, as the tree has it.
//!
//! Words that the tree says nothing about are keywords of the language, or nothing: then the editor's own colours stay.

use super::keywords;
use crate::view::View;
use egress_compiler::Kind;
use egress_lang::TokenKind;
use egress_lang::ast::{
    Assert, Claim, DSet, DestinationTerm, Item, Name, Namespace, PSet, Pods, PortTerm, Rule, Selector, WSet,
    WorkloadTerm,
};
use egress_lang::span::Span;
use gen_lsp_types::SemanticToken;
use std::collections::BTreeMap;

/// The token types, by their number.
pub const TYPES: [&str; 12] = [
    "keyword",
    "namespace",
    "class",
    "variable",
    "enum",
    "interface",
    "function",
    "property",
    "enumMember",
    "string",
    "number",
    "comment",
];
/// The modifiers, by their bit.
pub const MODIFIERS: [&str; 2] = ["declaration", "documentation"];

#[derive(Clone, Copy)]
enum Type {
    Keyword,
    Namespace,
    Workloads,
    Destinations,
    Ports,
    Gateway,
    Block,
    Key,
    Value,
    Text,
    Number,
    Comment,
}

const DECLARATION: u32 = 1;
const DOCUMENTATION: u32 = 2;

/// The tokens of a part of the document, in order, none across lines; all of them without a part.
#[must_use]
pub fn tokens(view: &View<'_>, part: Option<Span>) -> Vec<SemanticToken> {
    let text = view.text();
    let mut known = Known::default();
    view.file.parse.file.items.iter().for_each(|item| known.item(item));
    let mut all: Vec<(Span, Type, u32)> = Vec::new();
    for comment in &view.file.parse.trivia.comments {
        all.push((comment.span, Type::Comment, if comment.doc { DOCUMENTATION } else { 0 }));
    }
    for token in egress_lang::tokens(text) {
        let (span, word) = (token.span, token.span.text(text));
        match (known.0.get(&span.start), token.kind) {
            (Some(&(end, kind, modifiers)), _) => all.push((Span::new(span.start, end), kind, modifiers)),
            (None, TokenKind::Text) => all.push((span, Type::Text, 0)),
            (None, TokenKind::Word) if keywords::meaning(word).is_some() => all.push((span, Type::Keyword, 0)),
            (None, _) => {}
        }
    }
    all.sort_by_key(|(span, ..)| *span);
    let is_in = |span: &Span| part.is_none_or(|part| span.start < part.end && part.start < span.end);
    encoded(view, all.into_iter().filter(|(span, ..)| is_in(span)))
}

/// The tokens as the protocol writes them: each by its distance from the one before.
fn encoded(view: &View<'_>, tokens: impl Iterator<Item = (Span, Type, u32)>) -> Vec<SemanticToken> {
    let mut encoded = Vec::new();
    let (mut line, mut start, mut end) = (0, 0, 0);
    for (span, kind, modifiers) in tokens {
        // A tree with errors may name a text twice, which the protocol does not allow.
        if span.start < end || span.is_empty() {
            continue;
        }
        end = span.end;
        let range = view.range(span);
        if range.start.line != range.end.line {
            continue;
        }
        let delta_line = range.start.line - line;
        let delta_start = range.start.character - if delta_line == 0 { start } else { 0 };
        (line, start) = (range.start.line, range.start.character);
        let length = range.end.character - range.start.character;
        encoded.push(SemanticToken {
            delta_line,
            delta_start,
            length,
            token_type: kind as u32,
            token_modifiers_bitset: modifiers,
        });
    }
    encoded
}

/// What the tree says about words, by where they start: where they end, what they are.
#[derive(Default)]
struct Known(BTreeMap<u32, (u32, Type, u32)>);

impl Known {
    fn note(&mut self, span: Span, kind: Type) {
        self.0.insert(span.start, (span.end, kind, 0));
    }

    fn name(&mut self, name: &Name, kind: Kind) {
        self.note(name.span, type_of(kind));
    }

    fn declared(&mut self, name: &Name, kind: Kind) {
        self.0.insert(name.span.start, (name.span.end, type_of(kind), DECLARATION));
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Cluster(it) => {
                self.declared(&it.name, Kind::Cluster);
                for prefix in it.pods.iter().chain(&it.services).chain(&it.nodes) {
                    self.note(prefix.span, Type::Number);
                }
                it.dns.iter().for_each(|set| self.workloads(set));
            }
            Item::Workloads(it) => {
                self.declared(&it.name, Kind::Workloads);
                self.workloads(&it.set);
            }
            Item::Destinations(it) => {
                self.declared(&it.name, Kind::Destinations);
                self.destinations(&it.set);
            }
            Item::Ports(it) => {
                self.declared(&it.name, Kind::Ports);
                self.ports(&it.set);
            }
            Item::Gateway(it) => {
                self.declared(&it.name, Kind::Gateway);
                it.selector.iter().for_each(|selector| self.selector(selector));
                it.addresses.iter().for_each(|address| self.note(address.ip.span, Type::Number));
            }
            Item::Policy(it) | Item::Guardrail(it) => {
                self.declared(&it.name, Kind::Block);
                self.workloads(&it.workloads);
                it.rules.iter().for_each(|rule| self.rule(rule));
            }
            Item::Assert(it) => self.assert(it),
            Item::Control(it) => it.asserts.iter().for_each(|assert| self.assert(assert)),
            Item::Error(_) => {}
        }
    }

    fn rule(&mut self, rule: &Rule) {
        self.destinations(&rule.destinations);
        rule.ports.iter().for_each(|ports| self.ports(ports));
        rule.via.iter().for_each(|name| self.name(name, Kind::Gateway));
        rule.until.iter().for_each(|date| self.note(date.span, Type::Number));
    }

    fn assert(&mut self, assert: &Assert) {
        self.workloads(&assert.workloads);
        self.destinations(&assert.destinations);
        assert.ports.iter().for_each(|ports| self.ports(ports));
        if let Claim::OnlyVia(name) = &assert.claim {
            self.name(name, Kind::Gateway);
        }
    }

    fn workloads(&mut self, set: &WSet) {
        set.each_term(&mut |term| match term {
            WorkloadTerm::Name(name) => self.name(name, Kind::Workloads),
            WorkloadTerm::Address(prefix) => self.note(prefix.span, Type::Number),
            WorkloadTerm::Pods(pods) => self.pods(pods),
            WorkloadTerm::All => {}
        });
    }

    fn pods(&mut self, pods: &Pods) {
        pods.selector.iter().for_each(|selector| self.selector(selector));
        match &pods.namespace {
            Some(Namespace::Named(name)) => self.note(name.span, Type::Namespace),
            Some(Namespace::Selected(selector)) => self.selector(selector),
            None => {}
        }
        pods.service_account.iter().for_each(|account| self.note(account.span, Type::Namespace));
    }

    fn selector(&mut self, selector: &Selector) {
        for requirement in &selector.requirements {
            self.note(requirement.key.span, Type::Key);
            requirement.values.iter().for_each(|value| self.note(value.span, Type::Value));
        }
    }

    fn destinations(&mut self, set: &DSet) {
        set.each_term(&mut |term| match term {
            DestinationTerm::Name(name) => self.name(name, Kind::Destinations),
            DestinationTerm::Prefix(prefix) => self.note(prefix.span, Type::Number),
            DestinationTerm::Range(range) => self.note(range.span, Type::Number),
            DestinationTerm::Host(host) => self.note(host.span, Type::Text),
            DestinationTerm::List(list) => {
                for filter in &list.filters {
                    self.note(filter.key.span, Type::Key);
                    self.note(filter.value.span, Type::Value);
                }
            }
            DestinationTerm::World | DestinationTerm::Private => {}
        });
    }

    fn ports(&mut self, set: &PSet) {
        for term in &set.terms {
            match &term.node {
                PortTerm::Name(name) => self.name(name, Kind::Ports),
                PortTerm::Transport { .. } | PortTerm::Icmp { .. } => self.note(term.span, Type::Number),
                PortTerm::Any | PortTerm::Error => {}
            }
        }
    }
}

fn type_of(kind: Kind) -> Type {
    match kind {
        Kind::Cluster => Type::Namespace,
        Kind::Workloads => Type::Workloads,
        Kind::Destinations => Type::Destinations,
        Kind::Ports => Type::Ports,
        Kind::Gateway => Type::Gateway,
        Kind::Block => Type::Block,
        Kind::Control => Type::Text,
    }
}
