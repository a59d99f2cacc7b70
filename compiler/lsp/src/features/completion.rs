//! What can be written at a place.
//!
//! In: a place, and whether the client takes snippets. Out: the keywords, names and values that fit there. Looks back over
//! the tokens of the declaration, not at the tree, so that it works in the middle of what is being written.

mod position;
mod values;

use super::symbols;
use crate::syntax::words;
use crate::view::View;
use egress_compiler::{Declaration, Kind};
use egress_lang::span::Span;
use gen_lsp_types::{
    CompletionItem, CompletionItemKind, CompletionItemTextEdit, Documentation, InsertTextFormat, MarkupContent,
    MarkupKind, TextEdit,
};
use position::{Position, position};

/// What can be written at a byte offset.
#[must_use]
pub fn completion(view: &View<'_>, at: u32, snippets: bool) -> Vec<CompletionItem> {
    let text = view.text();
    if words::comment_at(&view.file.parse.trivia, at).is_some() {
        return Vec::new();
    }
    let from = words::item_start(&view.file.parse.file, at);
    let tokens = words::tokens(text, Span::new(from, at));
    let (place, word) = position(text, &tokens, at);
    let offer = Offer { view, replaced: Span::new(word, at.max(words::word_at(text, at).end)), snippets };
    match place {
        Position::Nothing => Vec::new(),
        Position::Words(words) => offer.keywords(&words),
        Position::Named(kind, words) => [offer.keywords(&words), offer.names(kind)].concat(),
        Position::Ports(words) => [offer.keywords(&words), offer.names(Kind::Ports), values::services(&offer)].concat(),
        Position::Start => [offer.keywords(&position::DECLARATIONS), offer.snippets()].concat(),
        Position::Key(of) => values::keys(&offer, of),
        Position::Value(of, key) => values::label_values(&offer, of, &key),
        Position::Namespace => values::namespaces(&offer),
        Position::ServiceAccount => values::accounts(&offer),
        Position::List => values::lists(&offer),
        Position::FilterKey => values::filter_keys(&offer),
    }
}

/// Makes items for one place.
struct Offer<'v> {
    view: &'v View<'v>,
    /// The text that an item takes the place of.
    replaced: Span,
    snippets: bool,
}

impl Offer<'_> {
    fn item(&self, label: &str, kind: CompletionItemKind, detail: &str) -> CompletionItem {
        let edit = TextEdit { range: self.view.range(self.replaced), new_text: label.to_owned() };
        CompletionItem {
            label: label.to_owned(),
            kind: Some(kind),
            detail: Some(detail.to_owned()).filter(|detail| !detail.is_empty()),
            text_edit: Some(CompletionItemTextEdit::TextEdit(edit)),
            ..CompletionItem::default()
        }
    }

    fn keywords(&self, words: &[&str]) -> Vec<CompletionItem> {
        let keyword = |word: &&str| CompletionItem {
            documentation: super::keywords::meaning(word).map(markdown),
            ..self.item(word, CompletionItemKind::Keyword, "")
        };
        words.iter().map(keyword).collect()
    }

    /// The declared names of a kind, each once.
    fn names(&self, kind: Kind) -> Vec<CompletionItem> {
        let named = &self.view.unit.named.declarations;
        let mut known: Vec<&Declaration> = named.iter().filter(|it| it.kind == kind).collect();
        known.sort_by(|a, b| a.name.cmp(&b.name));
        known.dedup_by(|a, b| a.name == b.name);
        let item = |declaration: &&Declaration| CompletionItem {
            documentation: declaration.doc.as_deref().map(markdown),
            ..self.item(&declaration.name, item_kind(kind), symbols::noun(kind))
        };
        known.iter().map(item).collect()
    }

    /// Whole declarations, for clients that can fill them in.
    fn snippets(&self) -> Vec<CompletionItem> {
        let item = |(label, body): &(&str, &str)| {
            let edit = TextEdit { range: self.view.range(self.replaced), new_text: (*body).to_owned() };
            CompletionItem {
                text_edit: Some(CompletionItemTextEdit::TextEdit(edit)),
                insert_text_format: Some(InsertTextFormat::Snippet),
                ..self.item(label, CompletionItemKind::Snippet, "a whole declaration")
            }
        };
        if self.snippets { SNIPPETS.iter().map(item).collect() } else { Vec::new() }
    }
}

const SNIPPETS: [(&str, &str); 5] = [
    ("policy …", "policy ${1:name} {\n  for ${2:all}\n  allow ${3:world} on ${4:443/tcp}\n}"),
    ("guardrail …", "guardrail ${1:name} {\n  for ${2:all}\n  deny ${3:private} because \"${4:reason}\"\n}"),
    ("gateway …", "gateway ${1:name} {\n  nodes(${2:key}=${3:value})\n  address ${4:203.0.113.10}\n}"),
    ("workloads …", "workloads ${1:name} = pods(${2:app}=${3:value}) in namespace ${4:default}"),
    ("control …", "control \"${1:ID}\" \"${2:Title}\" {\n  assert ${3:all} cannot reach ${4:private}\n}"),
];

fn markdown(text: &str) -> Documentation {
    Documentation::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value: text.to_owned() })
}

fn item_kind(kind: Kind) -> CompletionItemKind {
    match kind {
        Kind::Cluster => CompletionItemKind::Module,
        Kind::Workloads => CompletionItemKind::Variable,
        Kind::Destinations => CompletionItemKind::Constant,
        Kind::Ports => CompletionItemKind::EnumMember,
        Kind::Gateway => CompletionItemKind::Interface,
        Kind::Block => CompletionItemKind::Class,
        Kind::Control => CompletionItemKind::Text,
    }
}
