//! Origins: where each thing was written, by whom and why.

use crate::source::Source;
use egress_ir::{self as ir, Arena, Date, Origin, OriginId, SourceId};
use egress_lang::ast::{Assert, Policy, Rule};
use egress_lang::span::{Span, Spanned};
use egress_lang::value;

/// The origin table in the making.
pub(super) struct Origins<'a> {
    sources: &'a Arena<SourceId, Source>,
    table: ir::Origins,
}

impl<'a> Origins<'a> {
    pub(super) fn new(sources: &'a Arena<SourceId, Source>) -> Self {
        let mut table = ir::Origins::default();
        for source in sources.values() {
            table.sources.push(source.path.clone());
        }
        Self { sources, table }
    }

    pub(super) fn into_table(self) -> ir::Origins {
        self.table
    }

    fn at(&self, name: &str, source: SourceId, span: Span) -> Origin {
        let line = self.sources.get(source).map_or(1, |source| source.line(span.start));
        Origin::at(name, source, span.start, span.end, line)
    }

    /// An origin about which nobody said anything.
    pub(super) fn plain(&mut self, name: &str, source: SourceId, span: Span) -> OriginId {
        let origin = self.at(name, source, span);
        self.table.entries.push(origin)
    }

    /// The origin of a policy or guardrail.
    pub(super) fn block(&mut self, source: SourceId, block: &Policy) -> OriginId {
        let origin = Origin { owner: text(&block.owner), ..self.at(&block.name.text, source, block.span) };
        self.table.entries.push(origin)
    }

    /// The origin of a rule; `number` counts from 1 within its block.
    pub(super) fn rule(&mut self, source: SourceId, block: &Policy, rule: &Rule, number: usize) -> OriginId {
        let name = format!("{}#{number}", block.name.text);
        let origin = Origin {
            owner: text(&block.owner),
            because: text(&rule.because),
            ticket: text(&rule.ticket),
            until: rule.until.and_then(|until| until.node).map(date),
            ..self.at(&name, source, rule.span)
        };
        self.table.entries.push(origin)
    }

    /// The origin of an assertion with this name.
    pub(super) fn assertion(&mut self, name: &str, source: SourceId, assert: &Assert) -> OriginId {
        let origin = Origin { because: text(&assert.because), ..self.at(name, source, assert.span) };
        self.table.entries.push(origin)
    }
}

fn text(written: &Option<Spanned<String>>) -> Option<String> {
    written.as_ref().map(|text| text.node.clone())
}

/// A written day as the meaning keeps it.
pub(crate) fn date(date: value::Date) -> Date {
    Date { year: date.year, month: date.month, day: date.day }
}
