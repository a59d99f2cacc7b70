//! An explanation as one JSON object, in the stable form that `docs/json.md` describes.
//!
//! In: an explanation. Out: the object, with keys in a fixed order.

use crate::render::{Tool, VERSION, to_text};
use egress_answers::explain::Explanation;
use egress_answers::objects::flow as flow_as_json;
use egress_answers::rules::Rules;
use egress_compiler::Source;
use egress_ir::{Arena, GatewayId, Program, RuleId, SourceId, Verdict};
use serde_json::{Value, json};

/// The explanation as text.
pub(super) fn show(program: &Program, sources: &Arena<SourceId, Source>, explanation: &Explanation) -> String {
    let page = Page { program, rules: Rules::new(program, sources) };
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
        "blocks": explanation.blocks.iter().map(|block| page.rules.block_as_json(*block)).collect::<Vec<_>>(),
        "changes": pivots.chain(additions).collect::<Vec<_>>(),
        "assumptions": explanation.assumptions,
    }))
}

struct Page<'p> {
    program: &'p Program,
    rules: Rules<'p>,
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
        rules.iter().map(|rule| self.rules.json(*rule)).collect()
    }
}
