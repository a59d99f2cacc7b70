//! How declarations, blocks and rules are written.

use super::printer::Printer;
use super::terms::{list, ports, selector, set, shown};
use crate::ast::{Assert, Claim, Cluster, Control, File, Gateway, Item, Name, Policy, Rule, Verdict};
use crate::lexer::Comment;
use crate::span::{Span, Spanned, Value};
use crate::string::quote;
use crate::value::Prefix;

/// One line or more of a block: its place in the source, its place in the canonical order,
/// and how to write it.
struct Entry<'t> {
    span: Span,
    rank: u8,
    write: Box<dyn Fn(&mut Printer<'_>) + 't>,
}

impl<'t> Entry<'t> {
    fn new(span: Span, rank: u8, write: impl Fn(&mut Printer<'_>) + 't) -> Self {
        Self { span, rank, write: Box::new(write) }
    }
}

pub(super) fn file(p: &mut Printer<'_>, file: &File) {
    let pads = alignment(p, file);
    let write = |(it, pad)| Entry::new(Item::span(it), 0, move |p: &mut Printer<'_>| item(p, it, pad));
    let all = file.items.iter().zip(pads).map(write).collect();
    let end = u32::try_from(p.source().len()).unwrap_or(u32::MAX);
    body(p, all, 0, end);
}

/// Writes entries in canonical order, each with the comments above, inside and behind it.
/// `start..end` is the inside of the block in the source.
fn body(p: &mut Printer<'_>, entries: Vec<Entry<'_>>, start: u32, end: u32) {
    let mut owned = Vec::with_capacity(entries.len());
    let mut next = p.comment_at(start);
    let mut entries = entries.into_iter().peekable();
    while let Some(entry) = entries.next() {
        let first = next;
        next = p.comment_at(entry.span.end);
        // The comment behind an entry, on its last line, is its own.
        let limit = entries.peek().map_or(end, |after| after.span.start);
        let behind = |comment: Comment| comment.span.start < limit && p.one_line(entry.span.end, comment);
        if p.comment(next).is_some_and(behind) {
            next += 1;
        }
        owned.push((entry, first..next));
    }
    owned.sort_by_key(|(entry, _)| entry.rank);
    for (index, (entry, comments)) in owned.iter().enumerate() {
        let inside = p.comment_at(entry.span.start).clamp(comments.start, comments.end);
        let mut first = index == 0;
        for above in comments.start..inside {
            let at = p.comment(above).map_or(0, |comment| comment.span.start);
            p.own_line(above, !first && p.blank_before(at));
            first = false;
        }
        p.entry(!first && p.blank_before(entry.span.start));
        p.own(inside..comments.end);
        (entry.write)(p);
        p.flush(u32::MAX);
    }
    for (index, below) in (next..p.comment_at(end)).enumerate() {
        let at = p.comment(below).map_or(0, |comment| comment.span.start);
        p.own_line(below, (index > 0 || !owned.is_empty()) && p.blank_before(at));
    }
}

/// `HEAD { … }`, on one line where it is short and holds a single setting. `after` is where
/// the head ends in the source, `span` the whole declaration.
fn block(p: &mut Printer<'_>, after: u32, span: Span, mut entries: Vec<Entry<'_>>, short: bool) {
    let open = open_brace(p, after);
    p.flush(open);
    p.chunk("{");
    let end = span.end.saturating_sub(1);
    entries.sort_by_key(|entry| entry.span);
    let bare = p.comment_at(open) == p.comment_at(end);
    if bare && entries.is_empty() {
        return p.suffix("}");
    }
    let mark = p.mark();
    if let ([only], true, true) = (entries.as_slice(), short, bare) {
        (only.write)(p);
        if p.fits(mark, " }".len()) {
            return p.chunk("}");
        }
        p.take_back(mark);
    }
    let rest = p.owned().end;
    // A comment behind the brace, on its line, stays there.
    let head = p.comment_at(open);
    let first = entries.first().map_or(end, |entry| entry.span.start);
    let behind = p.comment(head).filter(|comment| !comment.own_line && comment.span.start < first);
    let start = behind.map_or(open, |comment| comment.span.end);
    p.own(head..head + usize::from(behind.is_some()));
    p.flush(start);
    p.indent();
    body(p, entries, start, end);
    p.dedent();
    p.entry(false);
    p.suffix("}");
    let behind = p.comment_at(end);
    p.own(behind.min(rest)..rest);
}

/// The first `{` at or after `at` that stands in no comment.
fn open_brace(p: &Printer<'_>, at: u32) -> u32 {
    let text = p.source();
    let mut from = at;
    let mut next = p.comment_at(at);
    loop {
        let rest = text.get(from as usize..).unwrap_or_default();
        let found =
            rest.find('{').map_or(u32::MAX, |offset| from.saturating_add(u32::try_from(offset).unwrap_or(u32::MAX)));
        match p.comment(next) {
            Some(comment) if comment.span.start < found => {
                from = comment.span.end;
                next += 1;
            }
            _ => return found,
        }
    }
}

/// From the keyword in front of `span`, where it stands directly in front, to its end.
fn with_keyword(p: &Printer<'_>, keyword: &str, span: Span) -> Span {
    let before = p.source().get(..span.start as usize).unwrap_or_default().trim_end();
    match before.strip_suffix(keyword).map(|rest| u32::try_from(rest.len())) {
        Some(Ok(start)) => Span::new(start, span.end),
        _ => span,
    }
}

/// How many spaces go before the `=` of each item: neighbours of one kind are aligned.
fn alignment(p: &Printer<'_>, file: &File) -> Vec<usize> {
    let name = |item: &Item| match item {
        Item::Workloads(it) => Some((0, it.name.text.chars().count())),
        Item::Destinations(it) => Some((1, it.name.text.chars().count())),
        Item::Ports(it) => Some((2, it.name.text.chars().count())),
        _ => None,
    };
    let mut pads = Vec::with_capacity(file.items.len());
    let groups = file.items.chunk_by(|a, b| {
        let kind = |item| name(item).map(|(kind, _)| kind);
        kind(a).is_some() && kind(a) == kind(b) && neighbours(p, a.span(), b.span())
    });
    for group in groups {
        let widest = group.iter().filter_map(name).map(|(_, width)| width).max().unwrap_or(0);
        pads.extend(group.iter().map(|item| name(item).map_or(0, |(_, width)| widest - width)));
    }
    pads
}

/// Whether nothing but one line break and comments behind `a` stand between `a` and `b`.
fn neighbours(p: &Printer<'_>, a: Span, b: Span) -> bool {
    let above = p.comment_at(a.end)..p.comment_at(b.start);
    let own_line = above.filter_map(|index| p.comment(index)).any(|comment| comment.own_line);
    !own_line && !p.blank_before(b.start)
}

fn item(p: &mut Printer<'_>, item: &Item, pad: usize) {
    match item {
        Item::Cluster(it) => cluster(p, it),
        Item::Workloads(it) => {
            named(p, "workloads", &it.name, pad);
            set(p, &it.set);
        }
        Item::Destinations(it) => {
            named(p, "destinations", &it.name, pad);
            set(p, &it.set);
        }
        Item::Ports(it) => {
            named(p, "ports", &it.name, pad);
            ports(p, &it.set);
        }
        Item::Gateway(it) => gateway(p, it),
        Item::Policy(it) => policy(p, it, "policy"),
        Item::Guardrail(it) => policy(p, it, "guardrail"),
        Item::Assert(it) => assertion(p, it),
        Item::Control(it) => control(p, it),
        // Only trees without errors are written.
        Item::Error(_) => {}
    }
}

fn named(p: &mut Printer<'_>, keyword: &str, name: &Name, pad: usize) {
    head(p, keyword, name);
    p.pad(pad);
    p.chunk("=");
}

fn head(p: &mut Printer<'_>, keyword: &str, name: &Name) {
    p.chunk(keyword);
    p.flush(name.span.start);
    p.chunk(&name.text);
}

fn cluster(p: &mut Printer<'_>, it: &Cluster) {
    head(p, "cluster", &it.name);
    let ranges = [("pods", &it.pods), ("services", &it.services), ("nodes", &it.nodes)];
    let written = ranges.iter().filter(|(_, values)| !values.is_empty()).map(|(keyword, _)| keyword.len());
    let widest = written.chain(it.dns.iter().map(|_| "dns".len())).max().unwrap_or(0);
    let mut entries = Vec::new();
    for (rank, (keyword, values)) in (0_u8..).zip(ranges) {
        let Some(span) = values.iter().map(|value| value.span).reduce(Span::to) else { continue };
        let span = with_keyword(p, keyword, span);
        entries.push(Entry::new(span, rank, move |p: &mut Printer<'_>| {
            p.chunk(keyword);
            p.pad(widest - keyword.len());
            prefixes(p, values);
        }));
    }
    if let Some(dns) = &it.dns {
        let span = with_keyword(p, "dns", dns.span);
        entries.push(Entry::new(span, 3, move |p: &mut Printer<'_>| {
            p.chunk("dns");
            p.pad(widest - "dns".len());
            set(p, dns);
        }));
    }
    block(p, it.name.span.end, it.span, entries, false);
}

fn prefixes(p: &mut Printer<'_>, values: &[Value<Prefix>]) {
    list(p, values, |p, value| {
        p.flush(value.span.start);
        p.chunk(&shown(value.node));
    });
}

fn gateway(p: &mut Printer<'_>, it: &Gateway) {
    head(p, "gateway", &it.name);
    let mut entries = Vec::new();
    if let Some(nodes) = &it.selector {
        let span = with_keyword(p, "nodes", nodes.span);
        entries.push(Entry::new(span, 0, move |p: &mut Printer<'_>| {
            p.chunk("nodes");
            selector(p, nodes);
        }));
    }
    let spans =
        it.addresses.iter().map(|address| address.managed.map_or(address.ip.span, |word| address.ip.span.to(word)));
    if let Some(span) = spans.reduce(Span::to) {
        let span = with_keyword(p, "address", span);
        entries.push(Entry::new(span, 1, move |p: &mut Printer<'_>| {
            p.chunk("address");
            list(p, &it.addresses, |p, address| {
                p.flush(address.ip.span.start);
                p.chunk(&shown(address.ip.node));
                if let Some(word) = address.managed {
                    p.flush(word.start);
                    p.chunk("managed");
                }
            });
        }));
    }
    block(p, it.name.span.end, it.span, entries, true);
}

fn policy(p: &mut Printer<'_>, it: &Policy, keyword: &str) {
    head(p, keyword, &it.name);
    let span = with_keyword(p, "for", it.workloads.span);
    let mut entries = vec![Entry::new(span, 0, |p: &mut Printer<'_>| {
        p.chunk("for");
        set(p, &it.workloads);
    })];
    if let Some(owner) = &it.owner {
        let span = with_keyword(p, "owner", owner.span);
        entries.push(Entry::new(span, 1, move |p: &mut Printer<'_>| {
            p.chunk("owner");
            text(p, owner);
        }));
    }
    if let Some(span) = it.audit {
        entries.push(Entry::new(span, 2, move |p: &mut Printer<'_>| {
            p.lead("mode");
            p.flush(span.end.saturating_sub(1));
            p.chunk("audit");
        }));
    }
    entries.extend(it.rules.iter().map(|it| Entry::new(it.span, 3, move |p: &mut Printer<'_>| rule(p, it))));
    block(p, it.name.span.end, it.span, entries, true);
}

fn text(p: &mut Printer<'_>, text: &Spanned<String>) {
    p.flush(text.span.start);
    p.chunk(&quote(&text.node));
}

/// `KEYWORD "…"`, kept on one line.
fn quoted_clause(p: &mut Printer<'_>, keyword: &str, value: Option<&Spanned<String>>) {
    if let Some(value) = value {
        p.flush(value.span.start);
        p.lead(keyword);
        text(p, value);
    }
}

fn rule(p: &mut Printer<'_>, it: &Rule) {
    p.chunk(match it.verdict.node {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
    });
    set(p, &it.destinations);
    on(p, it.ports.as_ref());
    if let Some(gateway) = &it.via {
        p.flush(gateway.span.start);
        p.chunk(&format!("via {}", gateway.text));
    }
    if let Some(word) = it.log {
        p.flush(word.start);
        p.chunk("log");
    }
    quoted_clause(p, "because", it.because.as_ref());
    quoted_clause(p, "ticket", it.ticket.as_ref());
    if let Some(date) = &it.until {
        p.flush(date.span.start);
        p.chunk(&format!("until {}", shown(date.node)));
    }
}

fn on(p: &mut Printer<'_>, set: Option<&crate::ast::PSet>) {
    if let Some(set) = set {
        p.flush(set.span.start);
        p.lead("on");
        ports(p, set);
    }
}

fn assertion(p: &mut Printer<'_>, it: &Assert) {
    p.chunk("assert");
    if it.claim == Claim::OnlySources {
        p.flush(it.workloads.span.start);
        p.chunk("only");
    }
    set(p, &it.workloads);
    p.flush(it.destinations.span.start);
    p.chunk(match it.claim {
        Claim::CannotReach => "cannot reach",
        Claim::CanReach | Claim::OnlySources | Claim::OnlyVia(_) => "can reach",
        Claim::OnlyDestinations => "can reach only",
    });
    set(p, &it.destinations);
    if let Claim::OnlyVia(gateway) = &it.claim {
        p.flush(gateway.span.start);
        p.chunk(&format!("only via {}", gateway.text));
    }
    on(p, it.ports.as_ref());
    quoted_clause(p, "because", it.because.as_ref());
}

fn control(p: &mut Printer<'_>, it: &Control) {
    p.chunk("control");
    text(p, &it.id);
    text(p, &it.title);
    let entries = it.asserts.iter().map(|it| Entry::new(it.span, 0, move |p: &mut Printer<'_>| assertion(p, it)));
    block(p, it.title.span.end, it.span, entries.collect(), false);
}
