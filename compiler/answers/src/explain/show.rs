//! An explanation for people.
//!
//! In: an explanation. Out: text, with ANSI colours if asked for.

use super::reasons::Explanation;
use crate::counted;
use crate::rules::Rules;
use egress_compiler::Source;
use egress_ir::{Arena, BlockId, BlockKind, GatewayId, Program, RuleId, SourceId, Verdict};

/// The explanation as text, with a final line break.
#[must_use]
pub fn show(program: &Program, sources: &Arena<SourceId, Source>, explanation: &Explanation, coloured: bool) -> String {
    let page = Page { program, rules: Rules::new(program, sources), coloured };
    let decision = &explanation.decision;
    let mut text = format!("{}\n  {}\n", explanation.flow, page.verdict(&decision.verdict, true));
    if decision.rules.is_empty() {
        text.push_str(&format!("  {}\n", page.without_rules(&decision.verdict)));
    }
    text.push_str(&page.section("decided by", decision.rules.iter().map(|rule| page.rules.lines(*rule))));
    text.push_str(
        &page.section("also matching", explanation.bystanders().into_iter().map(|rule| page.rules.lines(rule))),
    );
    text.push_str(
        &page.section("blocks that speak about it", explanation.blocks.iter().map(|block| page.block(*block))),
    );
    text.push_str(&page.section("what would change it", page.changes(explanation).into_iter()));
    if let Some(audit) = &decision.audit {
        let line = format!(
            "{} if the blocks in audit mode were enforced; until then it is logged",
            page.verdict(audit, false)
        );
        text.push_str(&page.section("audit", std::iter::once(line)));
    }
    let log = decision.log.then(|| "a matching rule asks for a record of this flow".to_owned());
    text.push_str(&page.section("log", log.into_iter()));
    text.push_str(&page.section("assumed", explanation.assumptions.iter().cloned()));
    text
}

struct Page<'p> {
    program: &'p Program,
    rules: Rules<'p>,
    coloured: bool,
}

impl Page<'_> {
    fn section(&self, title: &str, lines: impl Iterator<Item = String>) -> String {
        let lines: Vec<String> = lines.map(|line| format!("    {}\n", line.replace('\n', "\n    "))).collect();
        if lines.is_empty() { String::new() } else { format!("\n  {}\n{}", self.paint("1", title), lines.concat()) }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn verdict(&self, verdict: &Verdict, emphatic: bool) -> String {
        let paint = |code: &str, text: &str| if emphatic { self.paint(code, text) } else { text.to_owned() };
        match verdict {
            Verdict::Inside => paint("32", "inside"),
            Verdict::Ungoverned => paint("33", "ungoverned: it passes"),
            Verdict::Allowed(None) => paint("32", "allowed") + ", leaves by its node",
            Verdict::Allowed(Some(gateway)) => {
                format!("{}, leaves through gateway {}", paint("32", "allowed"), self.gateway(*gateway))
            }
            Verdict::Conflict(gateways) => {
                let gateways: Vec<String> = gateways.iter().map(|gateway| self.gateway(*gateway)).collect();
                format!("{}: it is sent through {}", paint("31", "conflict"), gateways.join(" and "))
            }
            Verdict::Denied => paint("31", "denied"),
        }
    }

    fn without_rules(&self, verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Inside => {
                "the destination is inside the cluster, where NetworkPolicy speaks and egress policy does not"
            }
            Verdict::Ungoverned => "no policy governs the workload, and no guardrail forbids the flow",
            Verdict::Allowed(_) | Verdict::Conflict(_) | Verdict::Denied => {
                "by default: a policy governs the workload, and nothing allows the flow"
            }
        }
    }

    fn gateway(&self, gateway: GatewayId) -> String {
        let gateway = self.program.gateways.at(gateway);
        let addresses: Vec<String> = gateway.addresses.iter().map(|one| one.address.to_string()).collect();
        if addresses.is_empty() { gateway.name.clone() } else { format!("{} ({})", gateway.name, addresses.join(", ")) }
    }

    fn block(&self, id: BlockId) -> String {
        let block = self.program.blocks.at(id);
        let kind = match block.kind {
            BlockKind::Policy => "policy",
            BlockKind::Guardrail => "guardrail",
        };
        let audit = if block.audit { "  in audit mode" } else { "" };
        let owner = &self.program.origins.entries.at(block.origin).owner;
        let owner = owner.as_ref().map(|owner| format!("  owner {owner}")).unwrap_or_default();
        format!("{kind} {}  {}{owner}{audit}", block.name, self.rules.place(block.origin))
    }

    fn changes(&self, explanation: &Explanation) -> Vec<String> {
        let without = |(rule, verdict): &(RuleId, Verdict)| {
            format!("without {}: {}", self.program.rule_name(*rule), self.verdict(verdict, false))
        };
        let mut changes: Vec<String> = explanation.pivots.iter().map(without).collect();
        for addition in &explanation.additions {
            let block = self.program.blocks.at(addition.block);
            changes.push(format!("in policy {} ({}): {}", block.name, self.rules.place(block.origin), addition.rule));
        }
        if changes.is_empty() {
            changes.push(self.no_single_change(explanation));
        }
        changes
    }

    fn no_single_change(&self, explanation: &Explanation) -> String {
        let rules = explanation.decision.rules.as_slice();
        match (&explanation.decision.verdict, rules) {
            (Verdict::Inside, _) => "nothing in egress policy: only the ranges of the cluster".into(),
            (Verdict::Ungoverned, _) => {
                "a policy for the workload would govern it, and a deny for it would forbid the flow".into()
            }
            (Verdict::Denied, [only]) => {
                format!("without {} it would be denied by default: nothing allows it", self.program.rule_name(*only))
            }
            (Verdict::Denied, _) => format!("no single rule: {} deny it", counted(rules.len(), "rule")),
            (Verdict::Allowed(_), _) => format!("no single rule taken away: {} allow it", counted(rules.len(), "rule")),
            (Verdict::Conflict(_), _) => "no single rule taken away: several name each gateway".into(),
        }
    }
}
