//! The unit: the trees of all files, and walks over the sets written in them.
//!
//! In: parsed files. Out: iterators over their trees that names, lists and lowering share, and every syntax error. Never
//! resolves a name.

use crate::diagnostic::{Diagnostic, Label};
use crate::source::{Parsed, Place};
use egress_ir::{Id, SourceId};
use egress_lang::SyntaxError;
use egress_lang::ast::{Assert, Item, WSet};
use egress_lang::span::Span;
use miette::Diagnostic as _;
use std::sync::Arc;

/// The trees of all files, in the order of their ids.
#[derive(Clone, Copy)]
pub(crate) struct Unit<'f> {
    pub(crate) files: &'f [Arc<Parsed>],
}

impl<'f> Unit<'f> {
    /// Every declaration with its file, by file and place.
    pub(crate) fn items(self) -> impl Iterator<Item = (SourceId, &'f Item)> {
        let ids = (0..).map(SourceId::from_index);
        ids.zip(self.files).flat_map(|(source, file)| file.parse.file.items.iter().map(move |item| (source, item)))
    }

    /// Everything that keeps files from being read, by file and place.
    pub(crate) fn errors(self) -> impl Iterator<Item = (SourceId, &'f SyntaxError)> {
        let ids = (0..).map(SourceId::from_index);
        ids.zip(self.files).flat_map(|(source, file)| file.errors().map(move |error| (source, error)))
    }
}

/// The workload sets written in a declaration.
pub(crate) fn workload_sets(item: &Item) -> Vec<&WSet> {
    match item {
        Item::Cluster(cluster) => cluster.dns.iter().collect(),
        Item::Workloads(workloads) => vec![&workloads.set],
        Item::Policy(block) | Item::Guardrail(block) => vec![&block.workloads],
        Item::Destinations(_) | Item::Ports(_) | Item::Gateway(_) | Item::Error(_) => Vec::new(),
        Item::Assert(_) | Item::Control(_) => asserts(item).map(|assert| &assert.workloads).collect(),
    }
}

/// The assertions of a declaration: its own, or those of a control.
pub(crate) fn asserts(item: &Item) -> impl Iterator<Item = &Assert> {
    let (one, many) = match item {
        Item::Assert(assert) => (Some(assert), None),
        Item::Control(control) => (None, Some(&control.asserts)),
        _ => (None, None),
    };
    one.into_iter().chain(many.into_iter().flatten())
}

impl From<(SourceId, &SyntaxError)> for Diagnostic {
    fn from((source, error): (SourceId, &SyntaxError)) -> Self {
        let label = |labelled: miette::LabeledSpan| {
            let start = u32::try_from(labelled.offset()).unwrap_or(u32::MAX);
            let end = u32::try_from(labelled.offset().saturating_add(labelled.len())).unwrap_or(u32::MAX);
            let text = labelled.label().unwrap_or_default().to_owned();
            Label { source, span: Span::new(start, end), text, primary: labelled.primary() }
        };
        let mut labels: Vec<Label> = error.labels().map(|labels| labels.map(label).collect()).unwrap_or_default();
        if labels.is_empty() {
            labels.push(Label::primary(Place::new(source, error.span()), ""));
        }
        let finding = Self::error(error.stable_code(), error.to_string()).labels(labels).help(error.help_text());
        let mend = |finding: Self, (span, text): (Span, String)| finding.fix(Place::new(source, span), text);
        error.replacements().into_iter().fold(finding, mend)
    }
}
