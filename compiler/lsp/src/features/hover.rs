//! What stands under the pointer, and what it means now.
//!
//! In: a place. Out: Markdown: what was written, its documentation, and what it amounts to in the program and the inventory.
//! Where the meaning is that of an earlier text, it says so.

mod block;
mod terms;

use super::amount;
use super::keywords;
use super::meant::Meant;
use crate::syntax::{self, Node, words};
use crate::view::View;
use egress_answers::{Standing, counted};
use egress_compiler::{Declaration, Kind};
use egress_ir::{DestinationSet, WorkloadSet};
use egress_lang::ast::Assert;
use egress_lang::span::Span;
use gen_lsp_types::{Contents, Hover, MarkupContent, MarkupKind};

/// How many ranges are shown.
const RANGES: usize = 8;
/// How much of a declaration is shown.
const LINES: usize = 8;

/// What is to be said of the place at a byte offset.
#[must_use]
pub fn hover(view: &View<'_>, at: u32) -> Option<Hover> {
    if words::comment_at(&view.file.parse.trivia, at).is_some() {
        return None;
    }
    let (span, text) = said(view, at)?;
    let contents = Contents::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value: text });
    Some(Hover { contents, range: Some(view.range(span)) })
}

fn said(view: &View<'_>, at: u32) -> Option<(Span, String)> {
    let meant = Meant::of(view);
    if let Some((span, declaration)) = view.unit.name_at(view.id, at) {
        return Some((span, name(view, meant.as_ref(), declaration)));
    }
    let path = syntax::path(&view.file.parse.file, at);
    let word = words::word_at(view.text(), at);
    for step in path.iter().rev() {
        let touches = |span: Span| span.start <= at && at <= span.end;
        let told = match step.node {
            Node::Rule(block, number, rule) if touches(rule.verdict.span) => {
                let name = format!("{}#{number}", block.name.text);
                Some((rule.verdict.span, block::rule(view, meant.as_ref(), &name, rule)))
            }
            Node::Assert(assert) if word.text(view.text()) == "assert" => {
                Some((word, assertion(view, meant.as_ref(), assert)))
            }
            node => terms::term(view, meant.as_ref(), node).map(|text| (step.span, text)),
        };
        if told.is_some() {
            return told;
        }
    }
    let meaning = keywords::meaning(word.text(view.text()))?;
    Some((word, format!("`{}`: {meaning}", word.text(view.text()))))
}

/// A declared name.
fn name(view: &View<'_>, meant: Option<&Meant<'_>>, declaration: &Declaration) -> String {
    let mut parts = vec![fenced(&head(view, declaration))];
    parts.extend(declaration.doc.clone());
    let means = meant.and_then(|meant| {
        let told = match declaration.kind {
            Kind::Destinations => destinations(meant.destinations(&declaration.name)?),
            Kind::Workloads => workloads(view, meant.workloads(&declaration.name)?),
            Kind::Ports => terms::declared_ports(view, &declaration.name)?,
            Kind::Gateway => block::gateway(view, meant, &declaration.name)?,
            Kind::Block => block::block(view, meant, &declaration.name)?,
            Kind::Cluster => terms::cluster(meant),
            Kind::Control => control(meant, &declaration.name)?,
        };
        Some(format!("{told}{}", as_of(meant)))
    });
    let unknown = || "_What it means is not known yet._".to_owned();
    parts.push(means.unwrap_or_else(unknown));
    parts.join("\n\n")
}

/// What is declared, as it is written; of a block and whatever else is long, the first lines.
fn head(view: &View<'_>, declaration: &Declaration) -> String {
    let file = view.unit.file(declaration.place.source);
    let text = file.map_or("", |file| declaration.span.text(&file.source.text));
    let most = if declaration.kind == Kind::Block { 2 } else { LINES };
    let mut lines: Vec<&str> = text.lines().take(most).collect();
    if text.lines().nth(most).is_some() {
        lines.push("  …");
    }
    lines.join("\n")
}

fn fenced(code: &str) -> String {
    format!("```egress\n{code}\n```")
}

/// What is said where the meaning is that of an earlier text.
fn as_of(meant: &Meant<'_>) -> &'static str {
    if meant.is_current { "" } else { "\n\n_As of the last version without errors._" }
}

/// A set of destinations in words.
fn destinations(set: &DestinationSet) -> String {
    let (ranges, more) = amount::ranges(&set.addresses, RANGES);
    let mut lines = vec![amount::destinations(set)];
    if !ranges.is_empty() {
        let quoted: Vec<String> = ranges.iter().map(|range| format!("`{range}`")).collect();
        lines.push(format!("- {}{}", quoted.join(", "), if more { ", …" } else { "" }));
    }
    if !set.hosts.is_empty() {
        let hosts: Vec<String> = set.hosts.iter().take(RANGES).map(ToString::to_string).collect();
        lines.push(format!("- hosts {}", amount::listed(&hosts, set.hosts.len())));
    }
    lines.join("\n")
}

/// A set of workloads in words.
fn workloads(view: &View<'_>, set: &WorkloadSet) -> String {
    let addresses = set.addresses();
    let pods = match &view.unit.inventory {
        _ if !set.names_pods() && *set != WorkloadSet::All => None,
        Some(inventory) => Some(amount::pods(inventory, set).told()),
        None => Some("no inventory says which pods these are".to_owned()),
    };
    let addresses = (!addresses.is_empty()).then(|| format!("{} outside of Kubernetes", amount::addresses(&addresses)));
    pods.into_iter().chain(addresses).collect::<Vec<_>>().join("; ")
}

fn control(meant: &Meant<'_>, id: &str) -> Option<String> {
    let control = meant.program.controls.values().find(|control| control.id == id)?;
    let standings: Vec<_> = control.assertions.iter().map(|id| meant.standing(*id)).collect();
    let of = |standing| standings.iter().filter(|one| **one == standing).count();
    let parts = [
        (Some(Standing::Proved), "proved"),
        (Some(Standing::Refuted), "refuted"),
        (Some(Standing::Unknown), "unknown"),
        (None, "being proved"),
    ];
    let told: Vec<String> =
        parts.iter().filter(|(one, _)| of(*one) > 0).map(|(one, word)| format!("{} {word}", of(*one))).collect();
    Some(format!("{}\n\n{}: {}", control.title, counted(standings.len(), "assertion"), told.join(", ")))
}

/// An assertion and its proof.
fn assertion(view: &View<'_>, meant: Option<&Meant<'_>>, assert: &Assert) -> String {
    let mut parts = vec![fenced(assert.span.text(view.text()))];
    parts.extend(assert.doc.as_ref().map(|doc| doc.text.clone()));
    let found = meant.and_then(|meant| Some((meant, meant.assertion(view, assert.span)?)));
    let standing = match found.map(|(meant, id)| (meant, meant.standing(id))) {
        None => "not looked at yet".to_owned(),
        Some((_, None)) => "not proved yet".to_owned(),
        Some((meant, Some(Standing::Proved))) => format!("**proved** of every flow{}", as_of(meant)),
        Some((meant, Some(Standing::Refuted))) => format!("**refuted**{}", as_of(meant)),
        Some((meant, Some(Standing::Unknown))) => format!("**unknown**{}", as_of(meant)),
    };
    parts.push(standing);
    if let Some((meant, id)) = found
        && let Some(control) = meant.program.assertions.at(id).control
    {
        let control = meant.program.controls.at(control);
        parts.push(format!("control `{}` {}", control.id, control.title));
    }
    parts.join("\n\n")
}
