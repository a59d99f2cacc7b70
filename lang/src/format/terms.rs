//! How sets, selectors, ports and values are written.

use super::printer::Printer;
use crate::ast::{
    DestinationTerm, IcmpVersion, List, Namespace, Operator, PSet, Pods, PortTerm, Requirement, Selector, Set, SetNode,
    Transport, WorkloadTerm,
};
use crate::grammar::DECLARATIONS;
use crate::lexer::is_word;
use crate::span::Span;
use crate::string::quote;
use crate::value::{HostPattern, Wildcard, host};

/// A term that can be written.
pub(super) trait Write {
    fn write(&self, p: &mut Printer<'_>, span: Span);
}

pub(super) fn set<T: Write>(p: &mut Printer<'_>, set: &Set<T>) {
    match &set.node {
        SetNode::Term(term) => {
            p.flush(set.span.start);
            term.write(p, set.span);
        }
        SetNode::Union(parts) => list(p, parts, |p, part| self::set(p, part)),
        SetNode::Except { base, minus } => {
            self::set(p, base);
            p.flush(minus.span.start);
            p.lead("except");
            self::set(p, minus);
        }
        SetNode::Group(inner) => {
            p.flush(set.span.start);
            p.chunk("(");
            p.open();
            self::set(p, inner);
            p.close(set.span.end);
        }
        // Only trees without errors are written; nothing stands for what could not be read.
        SetNode::Error => {}
    }
}

pub(super) fn ports(p: &mut Printer<'_>, set: &PSet) {
    list(p, &set.terms, |p, term| {
        p.flush(term.span.start);
        p.chunk(&port(&term.node));
    });
}

pub(super) fn list<T>(p: &mut Printer<'_>, items: &[T], mut one: impl FnMut(&mut Printer<'_>, &T)) {
    for (index, item) in items.iter().enumerate() {
        one(p, item);
        if index + 1 < items.len() {
            p.suffix(",");
        }
    }
}

fn port(term: &PortTerm) -> String {
    match term {
        PortTerm::Name(name) => name.text.clone(),
        PortTerm::Any => "any".to_owned(),
        PortTerm::Transport { protocol, ports } => {
            let protocol = match protocol {
                Transport::Tcp => "tcp",
                Transport::Udp => "udp",
                Transport::Sctp => "sctp",
            };
            ports.map_or_else(|| protocol.to_owned(), |ports| format!("{ports}/{protocol}"))
        }
        PortTerm::Icmp { version, kind } => {
            let protocol = match version {
                IcmpVersion::V4 => "icmp",
                IcmpVersion::V6 => "icmpv6",
            };
            kind.map_or_else(|| protocol.to_owned(), |kind| format!("{protocol}/{kind}"))
        }
        PortTerm::Error => String::new(),
    }
}

impl Write for WorkloadTerm {
    fn write(&self, p: &mut Printer<'_>, _: Span) {
        match self {
            Self::All => p.chunk("all"),
            Self::Name(name) => p.chunk(&name.text),
            Self::Pods(it) => pods(p, it),
            Self::Address(prefix) => {
                p.lead("address");
                p.flush(prefix.span.start);
                p.chunk(&shown(prefix.node));
            }
        }
    }
}

/// A value as text; only trees without errors are written, so there is one.
pub(super) fn shown<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn pods(p: &mut Printer<'_>, it: &Pods) {
    p.chunk("pods");
    if let Some(it) = &it.selector {
        selector(p, it);
    }
    match &it.namespace {
        None => {}
        Some(Namespace::Named(name)) => {
            p.flush(name.span.start);
            p.chunk(&format!("in namespace {}", name.node));
        }
        Some(Namespace::Selected(it)) => {
            p.flush(it.span.start);
            p.chunk("in namespaces");
            selector(p, it);
        }
    }
    if let Some(account) = &it.service_account {
        p.flush(account.span.start);
        p.chunk(&format!("as serviceaccount {}", account.node));
    }
}

pub(super) fn selector(p: &mut Printer<'_>, it: &Selector) {
    p.flush(it.span.start);
    p.suffix("(");
    p.open();
    list(p, &it.requirements, requirement);
    p.close(it.span.end);
}

fn requirement(p: &mut Printer<'_>, it: &Requirement) {
    p.flush(it.key.span.start);
    let key = &it.key.node;
    let value = it.values.first().map(|value| value.node.as_str()).unwrap_or_default();
    let flush_value = |p: &mut Printer<'_>| {
        if let Some(value) = it.values.first() {
            p.flush(value.span.start);
        }
    };
    match it.operator {
        Operator::Equals => {
            flush_value(p);
            p.chunk(&format!("{key}={value}"));
        }
        Operator::NotEquals => {
            flush_value(p);
            p.chunk(&format!("{key}!={value}"));
        }
        Operator::Exists => p.chunk(key),
        Operator::NotExists => p.chunk(&format!("!{key}")),
        Operator::In | Operator::NotIn => {
            p.chunk(key);
            flush_value(p);
            p.chunk(if it.operator == Operator::In { "in (" } else { "notin (" });
            p.open();
            list(p, &it.values, |p, value| {
                p.flush(value.span.start);
                p.chunk(&value.node);
            });
            p.close(it.span.end);
        }
        Operator::Error => {}
    }
}

impl Write for DestinationTerm {
    fn write(&self, p: &mut Printer<'_>, span: Span) {
        match self {
            Self::Name(name) => p.chunk(&name.text),
            Self::Prefix(prefix) => p.chunk(&shown(prefix.node)),
            Self::Range(range) => p.chunk(&shown(range.node)),
            Self::Host(host) => {
                p.lead("host");
                p.flush(host.span.start);
                p.chunk(&host.node.as_ref().map(host_text).unwrap_or_default());
            }
            Self::List(list) => address_list(p, list, span),
            Self::World => p.chunk("world"),
            Self::Private => p.chunk("private"),
        }
    }
}

fn address_list(p: &mut Printer<'_>, it: &List, span: Span) {
    p.lead("list");
    p.flush(it.path.span.start);
    p.chunk(&quote(&it.path.node));
    if it.filters.is_empty() {
        return;
    }
    p.flush(it.filters.first().map_or(span.end, |filter| filter.value.span.start));
    p.chunk("(");
    p.open();
    list(p, &it.filters, |p, filter| {
        p.flush(filter.value.span.start);
        p.chunk(&format!("{}={}", filter.key.node, bare_or_quoted(&filter.value.node)));
    });
    p.close(span.end);
}

/// A host as people write it: in its own script, where that reads back as the same name.
fn host_text(pattern: &HostPattern) -> String {
    let ascii = pattern.to_string();
    let (unicode, valid) = idna::domain_to_unicode(&pattern.name);
    let wildcard = match pattern.wildcard {
        Wildcard::None => "",
        Wildcard::One => "*.",
        Wildcard::Many => "**.",
    };
    let unicode = format!("{wildcard}{unicode}");
    let same = valid.is_ok() && host(&unicode).as_ref() == Ok(pattern);
    bare_or_quoted(if same { &unicode } else { &ascii })
}

/// The text as a word where it is one and no keyword, as a string otherwise.
fn bare_or_quoted(text: &str) -> String {
    const CLAUSES: [&str; 15] = [
        "except", "on", "via", "can", "cannot", "only", "log", "because", "ticket", "until", "for", "owner", "mode",
        "allow", "deny",
    ];
    let word = !text.is_empty() && text.chars().all(is_word) && !text.starts_with("//");
    if word && !CLAUSES.contains(&text) && !DECLARATIONS.contains(&text) { text.to_owned() } else { quote(text) }
}
