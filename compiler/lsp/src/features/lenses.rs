//! Code lenses: what can be done with a block, and what is proved of an assertion.

use super::meant::Meant;
use crate::view::View;
use egress_answers::{Standing, counted};
use egress_lang::ast::{Assert, Control, Item};
use egress_lang::span::Span;
use gen_lsp_types::{CodeLens, Command};
use serde_json::json;

/// The lenses of a document. Commands are the client's own where it has them; else the server's, as far as these need
/// nothing more than the document.
#[must_use]
pub fn lenses(view: &View<'_>, client_commands: bool, proofs: bool) -> Vec<CodeLens> {
    let lenses = Lenses { view, meant: Meant::of(view), client_commands, proofs };
    let items = &view.file.parse.file.items;
    items.iter().flat_map(|item| lenses.item(item, items.first())).collect()
}

struct Lenses<'l> {
    view: &'l View<'l>,
    meant: Option<Meant<'l>>,
    client_commands: bool,
    proofs: bool,
}

impl Lenses<'_> {
    fn item(&self, item: &Item, first: Option<&Item>) -> Vec<CodeLens> {
        let mut lenses = Vec::new();
        if first.is_some_and(|first| std::ptr::eq(first, item)) {
            lenses.extend(self.command(item.span(), "show coverage", "coverage"));
            lenses.extend(
                self.client_commands.then(|| self.command(item.span(), "compile preview", "compile")).flatten(),
            );
        }
        match item {
            Item::Policy(it) | Item::Guardrail(it) => {
                lenses.push(self.note(it.span, counted(it.rules.len(), "rule")));
                lenses
                    .extend(self.client_commands.then(|| self.command(it.span, "explain a flow", "explain")).flatten());
            }
            Item::Assert(it) => lenses.push(self.note(it.span, self.standing(it))),
            Item::Control(it) => {
                lenses.push(self.note(it.span, self.summary(it)));
                lenses.extend(it.asserts.iter().map(|assert| self.note(assert.span, self.standing(assert))));
            }
            _ => {}
        }
        lenses
    }

    /// What is known of an assertion.
    fn standing(&self, assert: &Assert) -> String {
        match self.answer(assert) {
            Some(standing) => standing.to_string(),
            None => self.without_answer().to_owned(),
        }
    }

    fn answer(&self, assert: &Assert) -> Option<Standing> {
        let meant = self.meant.as_ref().filter(|meant| meant.is_current)?;
        meant.standing(meant.assertion(self.view, assert.span)?)
    }

    fn without_answer(&self) -> &'static str {
        match &self.meant {
            _ if !self.proofs => "not proved: the prover is switched off",
            Some(meant) if meant.is_current => "being proved…",
            _ => "not proved: the text has errors, or is being read",
        }
    }

    /// `3 assertions proved`, or how many are what.
    fn summary(&self, control: &Control) -> String {
        let answers: Vec<Option<Standing>> = control.asserts.iter().map(|assert| self.answer(assert)).collect();
        if answers.contains(&None) && !answers.is_empty() {
            return format!("{}: {}", counted(answers.len(), "assertion"), self.without_answer());
        }
        let of = |wanted: Standing| answers.iter().filter(|answer| **answer == Some(wanted)).count();
        let parts = [Standing::Proved, Standing::Refuted, Standing::Unknown].map(|standing| (standing, of(standing)));
        let parts: Vec<String> = parts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(standing, count)| format!("{} {standing}", counted(*count, "assertion")))
            .collect();
        if parts.is_empty() { "no assertions".to_owned() } else { parts.join(", ") }
    }

    /// A lens that only says something.
    fn note(&self, span: Span, title: String) -> CodeLens {
        self.lens(span, Command { title, tooltip: None, command: String::new(), arguments: None })
    }

    fn command(&self, span: Span, title: &str, name: &str) -> Option<CodeLens> {
        let whose = if self.client_commands { "egress" } else { "egress.server" };
        let arguments = Some(vec![json!({ "uri": self.view.uri() })]);
        let command = format!("{whose}.{name}");
        Some(self.lens(span, Command { title: title.to_owned(), tooltip: None, command, arguments }))
    }

    fn lens(&self, span: Span, command: Command) -> CodeLens {
        let start = self.view.position(span.start);
        CodeLens { range: gen_lsp_types::Range { start, end: start }, command: Some(command), data: None }
    }
}
