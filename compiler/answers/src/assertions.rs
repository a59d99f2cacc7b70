//! Assertions, proved or refuted, as findings and proofs.
//!
//! In: what is known of each assertion. Out: a finding for each that does not hold, says nothing or is unknown, with the
//! flow that breaks it, the widest blocks, the rules responsible and what to remove; and one [`Proof`] each.

use crate::blocks::{People, Words, shortened};
use crate::fault;
use crate::rules::Rules;
use crate::{Proof, ProofKind, Standing, counted};
use egress_compiler::source::Place;
use egress_compiler::{Diagnostic, Label, Source};
use egress_ir::{Arena, Assertion, AssertionId, Claim, OriginId, Program, RuleId, Sender, SourceId};
use egress_lang::span::Span;
use egress_verifier::assertions::{self, Breach, Conclusion, Fix, Population, Report, Verdict};
use egress_verifier::{Answer, Prover};

/// The most blocks that a finding writes out.
const BLOCKS: usize = 6;
/// The most rules that a finding shows.
const RULES: usize = 6;
/// The most of an assertion's text that a message quotes.
const QUOTED: usize = 120;

/// The assertions of a program.
#[derive(Clone, Copy, Debug)]
pub struct Asserted<'a> {
    /// The program that holds them.
    pub program: &'a Program,
    /// The texts that the program was read from.
    pub sources: &'a Arena<SourceId, Source>,
}

impl Asserted<'_> {
    /// Proves all of them: a finding for each that does not hold, says nothing or is unknown, and a proof for each, in the
    /// order of the program. What is returned after the prover's flag was raised is to be thrown away.
    pub fn prove(&self, population: Population<'_>, prover: &mut Prover) -> (Vec<Diagnostic>, Vec<Proof>) {
        match assertions::prove(self.program, population, prover).map_err(fault::unclear) {
            Ok(Report { senders, verdicts }) => self.tell(&senders, &verdicts),
            Err(Ok(reason)) => self.without_answer(&reason),
            Err(Err(defect)) => self.defective(*defect),
        }
    }

    /// What is known of each.
    pub(crate) fn tell(&self, senders: &[Sender], verdicts: &[Verdict]) -> (Vec<Diagnostic>, Vec<Proof>) {
        let program = self.program;
        let name = |id| program.gateways.at(id).name.clone();
        let words =
            Words { people: People::new(senders, &[program]), programs: vec![program], gateway: Box::new(name) };
        let rules = Rules::new(program, self.sources);
        let told = verdicts.iter().map(|verdict| {
            let text = rules.text(program.assertions.at(verdict.assertion).origin).unwrap_or_default();
            self.one(verdict, text, &words)
        });
        let (findings, proofs): (Vec<Option<Diagnostic>>, Vec<Proof>) = told.unzip();
        (findings.into_iter().flatten().collect(), proofs)
    }

    /// Nothing is known of any, for one reason.
    pub(crate) fn without_answer(&self, reason: &str) -> (Vec<Diagnostic>, Vec<Proof>) {
        let unknown = fault::unknown("it is not known whether the assertions hold", reason);
        (vec![unknown], self.all_unknown(reason))
    }

    /// A defect of egressc leaves all of them open.
    pub(crate) fn defective(&self, defect: Diagnostic) -> (Vec<Diagnostic>, Vec<Proof>) {
        let why = defect.message.clone();
        (vec![defect], self.all_unknown(&why))
    }

    fn all_unknown(&self, reason: &str) -> Vec<Proof> {
        let rules = Rules::new(self.program, self.sources);
        let proof = |(id, assertion): (AssertionId, &Assertion)| {
            let text = rules.text(assertion.origin).unwrap_or_default();
            self.proof(id, text, Standing::Unknown, vec![reason.to_owned()])
        };
        self.program.assertions.iter().map(proof).collect()
    }

    fn one(&self, verdict: &Verdict, text: String, words: &Words<'_>) -> (Option<Diagnostic>, Proof) {
        let (id, assertion) = (verdict.assertion, self.program.assertions.at(verdict.assertion));
        let quoted = quoted(&text);
        let blamed = |finding: Diagnostic, what: &str| {
            let finding = finding.label(Label::primary(self.place(assertion.origin), what));
            self.control(assertion).into_iter().fold(finding, |finding, name| finding.fact(format!("control {name}")))
        };
        match &verdict.conclusion {
            Conclusion::Answer(Answer::Proved) => (None, self.proof(id, text, Standing::Proved, Vec::new())),
            Conclusion::Answer(Answer::Unknown(reason)) => {
                let unknown = fault::unknown(format!("it is not known whether `{quoted}` holds"), reason);
                let proof = self.proof(id, text, Standing::Unknown, vec![reason.clone()]);
                (Some(blamed(unknown, "not known to hold")), proof)
            }
            Conclusion::Vacuous(empty) => {
                let message = format!("`{quoted}` says nothing: {empty}");
                let vacuous = Diagnostic::error("egress::assert::vacuous", message);
                let vacuous = vacuous.help("correct the sets that it names: a proof of nothing is no proof");
                let proof = self.proof(id, text, Standing::Refuted, vec![format!("it says nothing: {empty}")]);
                (Some(blamed(vacuous, "speaks of no flow")), proof)
            }
            Conclusion::Answer(Answer::Refuted(breach)) => {
                let failed = Diagnostic::error("egress::assert::failed", format!("`{quoted}` does not hold"));
                let failed = self.breached(blamed(failed, "does not hold"), assertion, breach, words);
                let count = counted(breach.blocks.len(), "block");
                let mut proof = self.proof(id, text, Standing::Refuted, vec![count]);
                let blocks = breach.blocks.iter().map(|block| words.tell(block).json("demanded", "decided"));
                proof.blocks = blocks.collect();
                if let Fix::Remove(rules) = &breach.fix {
                    let names: Vec<&str> = rules.iter().map(|rule| self.program.rule_name(*rule)).collect();
                    proof.notes.push(format!("it holds without {}", names.join(", ")));
                    proof.remedy.extend(rules.iter().copied());
                }
                (Some(failed), proof)
            }
        }
    }

    /// With the flow that breaks it, the widest blocks, rules and remedy.
    fn breached(
        &self,
        mut finding: Diagnostic,
        assertion: &Assertion,
        breach: &Breach,
        words: &Words<'_>,
    ) -> Diagnostic {
        let does = match assertion.claim {
            Claim::CanReach => "stops it",
            _ => "lets it pass",
        };
        for rule in breach.rules.iter().take(RULES) {
            let origin = self.program.rules.at(*rule).origin;
            finding = finding.label(Label::context(self.place(origin), does));
        }
        for block in breach.blocks.iter().take(BLOCKS) {
            let told = words.tell(block);
            let running = told.running().map(|pods| format!(" ({pods})")).unwrap_or_default();
            finding = finding.fact(format!("{}{running}: {}", told.line(), told.right));
        }
        let hidden = breach.blocks.len().saturating_sub(BLOCKS);
        if hidden > 0 {
            finding = finding.fact(format!("and {} more, which `--format json` shows", counted(hidden, "block")));
        }
        finding.witness(breach.witness.clone()).help(self.remedy(&breach.fix))
    }

    fn remedy(&self, fix: &Fix) -> String {
        match fix {
            Fix::Remove(rules) => {
                let names = self.listed(rules.iter().copied());
                format!("without {names} it holds, which is proved; no fewer rules do it")
            }
            Fix::NoPolicy(flow) => {
                format!("no policy governs {flow}: write one, such as `policy lockdown {{ for all }}`")
            }
            Fix::NoAllow(flow) => format!("nothing allows {flow}: write a rule that does"),
            Fix::Unknown(reason) => format!("which rules to remove is not known: {reason}"),
        }
    }

    fn named(&self, rule: RuleId) -> String {
        format!("`{}`", self.program.rule_name(rule))
    }

    fn proof(&self, id: AssertionId, statement: String, answer: Standing, notes: Vec<String>) -> Proof {
        let control = self.control(self.program.assertions.at(id));
        let (kind, assertion) = (ProofKind::Assertion, Some(id));
        let (blocks, remedy) = (Vec::new(), Vec::new());
        Proof { kind, assertion, statement, control, answer, notes, blocks, remedy }
    }

    /// `PCI-DSS 1.3.2 Outbound traffic …`
    fn control(&self, assertion: &Assertion) -> Option<String> {
        let control = self.program.controls.at(assertion.control?);
        Some(format!("{} {}", control.id, control.title))
    }

    /// Where something of the program stands.
    pub(crate) fn place(&self, origin: OriginId) -> Place {
        let origin = self.program.origins.entries.at(origin);
        Place::new(origin.source, Span::new(origin.start, origin.end))
    }

    /// Names of rules, the first few.
    pub(crate) fn listed(&self, rules: impl Iterator<Item = RuleId>) -> String {
        shortened(&rules.map(|rule| self.named(rule)).collect::<Vec<_>>())
    }
}

/// An assertion's text, cut where it is long.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn long_assertions_are_cut() {
        assert_eq!(quoted("assert all"), "assert all");
        assert_eq!(quoted(&"é".repeat(200)).chars().count(), 121);
    }
}
