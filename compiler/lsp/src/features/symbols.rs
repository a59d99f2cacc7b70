//! What is declared: the outline of a document, and the names of a whole workspace.

use crate::unit::Unit;
use crate::view::{Uris, View, uri_of};
use egress_compiler::{Declaration, Kind, Place};
use egress_lang::ast::{Assert, Item, Policy, Rule};
use egress_lang::span::Span;
use gen_lsp_types::{BaseSymbolInformation, DocumentSymbol, Location, SymbolInformation, SymbolKind};

/// The outline: declarations, and in them rules and assertions.
#[must_use]
pub fn document(view: &View<'_>) -> Vec<DocumentSymbol> {
    view.file.parse.file.items.iter().filter_map(|item| outline(view, item)).collect()
}

fn outline(view: &View<'_>, item: &Item) -> Option<DocumentSymbol> {
    let named = |name: &egress_lang::ast::Name, detail: &str, kind, children| {
        Some(symbol(view, (&name.text, detail), symbol_kind(kind), (item.span(), name.span), children))
    };
    match item {
        Item::Cluster(it) => named(&it.name, "cluster", Kind::Cluster, Vec::new()),
        Item::Workloads(it) => named(&it.name, "workloads", Kind::Workloads, Vec::new()),
        Item::Destinations(it) => named(&it.name, "destinations", Kind::Destinations, Vec::new()),
        Item::Ports(it) => named(&it.name, "ports", Kind::Ports, Vec::new()),
        Item::Gateway(it) => named(&it.name, "gateway", Kind::Gateway, Vec::new()),
        Item::Policy(it) => named(&it.name, "policy", Kind::Block, rules(view, it)),
        Item::Guardrail(it) => named(&it.name, "guardrail", Kind::Block, rules(view, it)),
        Item::Assert(it) => Some(assertion(view, it)),
        Item::Control(it) => {
            let children = it.asserts.iter().map(|assert| assertion(view, assert)).collect();
            let words = (it.id.node.as_str(), it.title.node.as_str());
            Some(symbol(view, words, symbol_kind(Kind::Control), (it.span, it.id.span), children))
        }
        Item::Error(_) => None,
    }
}

fn rules(view: &View<'_>, block: &Policy) -> Vec<DocumentSymbol> {
    let outlined = |(number, rule): (usize, &Rule)| {
        let name = format!("{}#{}", block.name.text, number + 1);
        let text = first_line(rule.span.text(view.text()));
        symbol(view, (&name, &text), SymbolKind::Event, (rule.span, rule.verdict.span), Vec::new())
    };
    block.rules.iter().enumerate().map(outlined).collect()
}

fn assertion(view: &View<'_>, assert: &Assert) -> DocumentSymbol {
    let text = first_line(assert.span.text(view.text()));
    symbol(view, (&text, ""), SymbolKind::Boolean, (assert.span, assert.span), Vec::new())
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim_end();
    if line.len() < text.len() { format!("{line} …") } else { line.to_owned() }
}

fn symbol(
    view: &View<'_>,
    (name, detail): (&str, &str),
    kind: SymbolKind,
    (whole, selection): (Span, Span),
    children: Vec<DocumentSymbol>,
) -> DocumentSymbol {
    // The protocol wants a name that is not empty, and the selection inside of the whole.
    let name = if name.is_empty() { "…" } else { name };
    let selection = if whole.contains(selection) { selection } else { Span::empty(whole.start) };
    DocumentSymbol::new(
        name.to_owned(),
        Some(detail.to_owned()).filter(|detail| !detail.is_empty()),
        kind,
        None,
        None,
        view.range(whole),
        view.range(selection),
        Some(children).filter(|children| !children.is_empty()),
    )
}

/// The word that declares a kind.
#[must_use]
pub fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Cluster => "cluster",
        Kind::Workloads => "workloads",
        Kind::Destinations => "destinations",
        Kind::Ports => "ports",
        Kind::Gateway => "gateway",
        Kind::Block => "policy or guardrail",
        Kind::Control => "control",
    }
}

/// The kind of symbol that editors draw for a declaration.
#[must_use]
pub fn symbol_kind(kind: Kind) -> SymbolKind {
    match kind {
        Kind::Cluster => SymbolKind::Namespace,
        Kind::Workloads => SymbolKind::Object,
        Kind::Destinations => SymbolKind::Array,
        Kind::Ports => SymbolKind::Number,
        Kind::Gateway => SymbolKind::Interface,
        Kind::Block => SymbolKind::Class,
        Kind::Control => SymbolKind::Package,
    }
}

/// The most symbols that one query finds.
const MOST: usize = 500;

/// Declared names of a unit in which the letters of the query appear in order, the closest first.
#[must_use]
pub fn workspace(unit: &Unit, uris: &Uris, query: &str) -> Vec<SymbolInformation> {
    let query = query.to_lowercase();
    let ranked = |declaration: &Declaration| rank(&declaration.name.to_lowercase(), &query);
    let declarations = unit.named.declarations.iter();
    let mut found: Vec<_> = declarations.filter_map(|it| ranked(it).map(|rank| (rank, it))).collect();
    found.sort_by_key(|(rank, declaration)| (*rank, declaration.place));
    let symbol = |(_, declaration): (usize, &Declaration)| {
        let file = unit.file(declaration.place.source)?;
        let (name, kind) = (declaration.name.clone(), symbol_kind(declaration.kind));
        let location = location(unit, uris, declaration.place)?;
        let base_symbol_information =
            BaseSymbolInformation { name, kind, tags: None, container_name: Some(file.source.path.clone()) };
        Some(SymbolInformation::new(None, location, base_symbol_information))
    };
    found.into_iter().take(MOST).filter_map(symbol).collect()
}

fn location(unit: &Unit, uris: &Uris, place: Place) -> Option<Location> {
    let path = &unit.file(place.source)?.source.path;
    let uri = uri_of(uris, path);
    Some(Location { uri, range: unit.range(place)? })
}

/// How far a name is from a query: where the query stands in it; beyond its end if only the letters do, in order.
fn rank(name: &str, query: &str) -> Option<usize> {
    let mut letters = name.chars();
    let scattered = || query.chars().all(|wanted| letters.any(|letter| letter == wanted)).then_some(name.len() + 1);
    name.find(query).or_else(scattered)
}
