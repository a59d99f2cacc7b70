//! Rules for people and tools: where each stands, what it says, and what people said about it.
//!
//! In: a program and the texts it was read from. Out: lines and objects. Never decides anything.

use crate::objects::place as place_as_json;
use crate::place::Index;
use egress_compiler::Source;
use egress_compiler::source::Place;
use egress_ir::{Action, Arena, BlockId, BlockKind, Origin, OriginId, Program, RuleId, SourceId};
use egress_lang::span::Span;
use serde_json::{Value, json};

/// The rules of one program.
pub struct Rules<'p> {
    program: &'p Program,
    index: Index<'p>,
}

impl<'p> Rules<'p> {
    /// The rules of a program that was read from these sources.
    pub fn new(program: &'p Program, sources: &'p Arena<SourceId, Source>) -> Self {
        Self { program, index: Index::new(sources) }
    }

    /// `shop.egress:12`
    pub fn place(&self, id: OriginId) -> String {
        let origin = self.origin(id);
        format!("{}:{}", self.program.origins.sources.at(origin.source), origin.line)
    }

    /// What was written, on one line.
    pub fn text(&self, id: OriginId) -> Option<String> {
        let origin = self.origin(id);
        let text = &self.index.file(origin.source)?.source.text;
        let (start, end) = (usize::try_from(origin.start).ok()?, usize::try_from(origin.end).ok()?);
        let words: Vec<&str> = text.get(start..end)?.split_whitespace().collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// `allow  shop#2  shop.egress:12`, and below it what was written and what was said.
    pub fn lines(&self, id: RuleId) -> String {
        let rule = self.program.rules.at(id);
        let audit = if self.program.blocks.at(rule.block).audit { "  in audit mode" } else { "" };
        let head = format!("{}  {}  {}{audit}", action(rule.action), self.name(id), self.place(rule.origin));
        let text = self.text(rule.origin).map(|text| format!("  {text}"));
        let said = self.said(id).map(|said| format!("  {said}"));
        [Some(head), text, said].into_iter().flatten().collect::<Vec<_>>().join("\n")
    }

    /// The stable name of a rule.
    pub fn name(&self, id: RuleId) -> &'p str {
        self.program.rule_name(id)
    }

    /// Where a rule stands.
    pub fn place_of(&self, id: RuleId) -> String {
        self.place(self.program.rules.at(id).origin)
    }

    /// Owner, reason, ticket and last day of a rule.
    pub fn said(&self, id: RuleId) -> Option<String> {
        let origin = self.origin(self.program.rules.at(id).origin);
        let parts = [
            self.owner(id).map(|owner| format!("owner {owner}")),
            origin.because.as_ref().map(|because| format!("because \"{because}\"")),
            origin.ticket.as_ref().map(|ticket| format!("ticket {ticket}")),
            origin.until.map(|until| format!("until {until}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// A rule as an object, see `docs/json.md`.
    pub fn json(&self, id: RuleId) -> Value {
        let rule = self.program.rules.at(id);
        let origin = self.origin(rule.origin);
        json!({
            "name": self.name(id),
            "action": action(rule.action),
            "block": self.program.blocks.at(rule.block).name,
            "place": self.place_as_json(rule.origin),
            "owner": self.owner(id),
            "because": origin.because,
            "ticket": origin.ticket,
            "until": origin.until.map(|until| until.to_string()),
            "gateway": rule.gateway.map(|id| self.program.gateways.at(id).name.clone()),
            "log": rule.log,
        })
    }

    /// A policy or guardrail as an object, see `docs/json.md`.
    pub fn block_as_json(&self, id: BlockId) -> Value {
        let block = self.program.blocks.at(id);
        json!({
            "name": block.name,
            "kind": match block.kind { BlockKind::Policy => "policy", BlockKind::Guardrail => "guardrail" },
            "audit": block.audit,
            "owner": self.origin(block.origin).owner,
            "place": self.place_as_json(block.origin),
        })
    }

    fn owner(&self, id: RuleId) -> Option<&'p String> {
        let rule = self.program.rules.at(id);
        let of_block = || self.origin(self.program.blocks.at(rule.block).origin).owner.as_ref();
        self.origin(rule.origin).owner.as_ref().or_else(of_block)
    }

    fn origin(&self, id: OriginId) -> &'p Origin {
        self.program.origins.entries.at(id)
    }

    fn place_as_json(&self, id: OriginId) -> Value {
        let origin = self.origin(id);
        let place = Place::new(origin.source, Span::new(origin.start, origin.end));
        json!(place_as_json(&self.index, place))
    }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Deny => "deny",
    }
}
