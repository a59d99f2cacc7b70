//! An explanation as one JSON object, in the stable form that `docs/json.md` describes.
//!
//! In: an explanation. Out: the object, with keys in a fixed order.

use super::reasons::Explanation;
use crate::render::{Index, Tool, VERSION, flow_as_json, place_as_json, to_text};
use egress_compiler::Source;
use egress_compiler::source::Place;
use egress_ir::{Action, Arena, BlockId, BlockKind, GatewayId, OriginId, Program, RuleId, SourceId, Verdict};
use egress_lang::span::Span;
use serde_json::{Value, json};

/// The explanation as text.
pub(super) fn show(program: &Program, sources: &Arena<SourceId, Source>, explanation: &Explanation) -> String {
    let page = Page { program, index: Index::new(sources) };
    let decision = &explanation.decision;
    let pivots = explanation
        .pivots
        .iter()
        .map(|(rule, verdict)| json!({ "without": program.rule_name(*rule), "verdict": page.verdict(verdict) }));
    let additions = explanation
        .additions
        .iter()
        .map(|addition| json!({ "in": program.blocks.at(addition.block).name, "rule": addition.rule }));
    to_text(&json!({
        "version": VERSION,
        "tool": Tool::default(),
        "verb": "explain",
        "flow": flow_as_json(&explanation.flow),
        "decision": {
            "verdict": page.verdict(&decision.verdict),
            "audit": decision.audit.as_ref().map(|audit| page.verdict(audit)),
            "log": decision.log,
            "rules": page.rules(&decision.rules),
        },
        "also_matching": page.rules(&explanation.bystanders()),
        "blocks": explanation.blocks.iter().map(|block| page.block(*block)).collect::<Vec<_>>(),
        "changes": pivots.chain(additions).collect::<Vec<_>>(),
        "assumptions": explanation.assumptions,
    }))
}

struct Page<'p> {
    program: &'p Program,
    index: Index<'p>,
}

impl Page<'_> {
    fn verdict(&self, verdict: &Verdict) -> Value {
        let gateways = |gateways: &[GatewayId]| {
            gateways.iter().map(|id| self.program.gateways.at(*id).name.clone()).collect::<Vec<_>>()
        };
        let (word, gateways) = match verdict {
            Verdict::Inside => ("inside", Vec::new()),
            Verdict::Ungoverned => ("ungoverned", Vec::new()),
            Verdict::Denied => ("denied", Vec::new()),
            Verdict::Allowed(gateway) => ("allowed", gateways(gateway.as_slice())),
            Verdict::Conflict(several) => ("conflict", gateways(&several.iter().copied().collect::<Vec<_>>())),
        };
        json!({ "is": word, "passes": verdict.passes(), "gateways": gateways })
    }

    fn rules(&self, rules: &[RuleId]) -> Vec<Value> {
        rules.iter().map(|rule| self.rule(*rule)).collect()
    }

    fn rule(&self, id: RuleId) -> Value {
        let rule = self.program.rules.at(id);
        let origin = self.program.origins.entries.at(rule.origin);
        let block = self.program.blocks.at(rule.block);
        let owner = origin.owner.as_ref().or(self.program.origins.entries.at(block.origin).owner.as_ref());
        json!({
            "name": self.program.rule_name(id),
            "action": match rule.action { Action::Allow => "allow", Action::Deny => "deny" },
            "block": block.name,
            "place": self.place(rule.origin),
            "owner": owner,
            "because": origin.because,
            "ticket": origin.ticket,
            "until": origin.until.map(|until| until.to_string()),
            "gateway": rule.gateway.map(|id| self.program.gateways.at(id).name.clone()),
            "log": rule.log,
        })
    }

    fn block(&self, id: BlockId) -> Value {
        let block = self.program.blocks.at(id);
        json!({
            "name": block.name,
            "kind": match block.kind { BlockKind::Policy => "policy", BlockKind::Guardrail => "guardrail" },
            "audit": block.audit,
            "owner": self.program.origins.entries.at(block.origin).owner,
            "place": self.place(block.origin),
        })
    }

    fn place(&self, id: OriginId) -> Value {
        let origin = self.program.origins.entries.at(id);
        let place = Place::new(origin.source, Span::new(origin.start, origin.end));
        json!(place_as_json(&self.index, place))
    }
}
