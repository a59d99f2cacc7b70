//! Coverage: who is decided by what, and which rules nothing pins.
//!
//! In: a program with assertions. Out: shares of the outside, a note for each rule that no assertion depends on, and
//! what is known of the assertions, which comes at no extra cost.

mod lines;

pub use lines::{Covered, Parts, RuleShare, lines};

use crate::Asserted;
use crate::blocks::People;
use crate::fault;
use crate::{Proof, counted};
use egress_compiler::{Diagnostic, Label};
use egress_ir::{AddressSet, Flow, Outcome, PortSet, RuleId, Workload};
use egress_verifier::assertions::Population;
use egress_verifier::coverage::{Coverage, Covered as Group, Share, coverage as covered};
use egress_verifier::{Answer, Block, Prover};
use std::collections::BTreeMap;

/// What coverage shows.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// A group of workloads each, about whom the same blocks speak.
    pub covered: Vec<Covered>,
    /// What is to be said of rules and of assertions.
    pub findings: Vec<Diagnostic>,
    /// What is known of each assertion.
    pub proofs: Vec<Proof>,
}

/// Finds out what is covered; [`lines`] writes it for people. What is returned after the prover's flag was raised is to be
/// thrown away.
pub fn coverage(asserted: &Asserted<'_>, population: Population<'_>, prover: &mut Prover) -> Found {
    let coverage = match covered(asserted.program, population, prover).map_err(fault::unclear) {
        Ok(coverage) => coverage,
        Err(Ok(reason)) => {
            let (findings, proofs) = asserted.without_answer(&reason);
            return Found { findings, proofs, ..Found::default() };
        }
        Err(Err(defect)) => {
            let (findings, proofs) = asserted.defective(*defect);
            return Found { findings, proofs, ..Found::default() };
        }
    };
    let (mut findings, proofs) = asserted.tell(&coverage.senders, &coverage.verdicts);
    findings.extend(unpinned(asserted, &coverage.unpinned));
    let people = People::new(&coverage.senders, &[asserted.program]);
    let covered = coverage.covered.iter().map(|group| told(asserted, &coverage, group, &people)).collect();
    Found { covered, findings, proofs }
}

/// A note for each rule that no assertion depends on; one for all where there is no assertion, or nothing is known.
fn unpinned(
    asserted: &Asserted<'_>,
    rules: &BTreeMap<RuleId, Answer<Box<egress_verifier::coverage::Pin>>>,
) -> Vec<Diagnostic> {
    let program = asserted.program;
    let code = "egress::coverage::unpinned";
    let free = || rules.iter().filter(|(_, answer)| answer.is_proved()).map(|(rule, _)| *rule);
    let unknown = rules.iter().find_map(|(_, answer)| match answer {
        Answer::Unknown(reason) => Some(reason),
        Answer::Proved | Answer::Refuted(_) => None,
    });
    let mut findings: Vec<Diagnostic> = Vec::new();
    if let Some(reason) = unknown {
        let unknown = rules.iter().filter(|(_, answer)| matches!(answer, Answer::Unknown(_))).map(|(rule, _)| *rule);
        let question = format!("it is not known whether assertions depend on {}", asserted.listed(unknown));
        findings.push(fault::unknown(question, reason));
    }
    if program.assertions.is_empty() && free().next().is_some() {
        let count = counted(free().count(), "rule");
        let message = format!("there is no assertion, so none depends on any of {count}");
        findings.push(Diagnostic::note(code, message).help("say with `assert` what must stay so"));
        return findings;
    }
    findings.extend(free().map(|rule| {
        let message = format!("no assertion depends on `{}`: without it, each still holds", program.rule_name(rule));
        let place = asserted.place(program.rules.at(rule).origin);
        Diagnostic::note(code, message)
            .label(Label::primary(place, "pinned by nothing"))
            .help("say with `assert` what the rule is for, so that nobody can take it away unseen")
    }));
    findings
}

fn told(asserted: &Asserted<'_>, coverage: &Coverage, group: &Group, people: &People<'_>) -> Covered {
    let program = asserted.program;
    let everywhere = everywhere(coverage, group);
    let parts = [group.allowed, group.denied, group.default, group.conflicting, group.ungoverned];
    let total = |of: fn(&Share) -> u128| parts.iter().map(of).sum::<u128>();
    let (v4, v6) = (total(|share| share.v4), total(|share| share.v6));
    let shares = |of: fn(&Share) -> u128, whole| Parts {
        allowed: percent(of(&group.allowed), whole),
        denied: percent(of(&group.denied), whole),
        default: percent(of(&group.default), whole),
        conflicting: percent(of(&group.conflicting), whole),
        ungoverned: percent(of(&group.ungoverned), whole),
    };
    let mut rules: Vec<RuleShare> = group
        .rules
        .iter()
        .map(|(rule, share)| RuleShare {
            rule: program.rule_name(*rule).to_owned(),
            ipv4: percent(share.v4, v4),
            ipv6: percent(share.v6, v6),
        })
        .collect();
    rules.sort_by(|one, two| {
        let most = |share: &RuleShare| share.ipv4.max(share.ipv6);
        most(two).total_cmp(&most(one)).then_with(|| one.rule.cmp(&two.rule))
    });
    Covered {
        from: people.who(&everywhere),
        pods: people.pods(&everywhere),
        blocks: group.blocks.iter().map(|block| program.blocks.at(*block).name.clone()).collect(),
        governed: group.governed,
        ipv4: shares(|share| share.v4, v4),
        ipv6: shares(|share| share.v6, v6),
        rules,
        by_name: group.by_name.iter().map(|rule| program.rule_name(*rule).to_owned()).collect(),
    }
}

/// All that a group can send, so that it can be named like the senders of any block.
fn everywhere(coverage: &Coverage, group: &Group) -> Block {
    let senders = group.senders.iter().filter_map(|&sender| coverage.senders.get(sender));
    let (v4, v6) = senders.fold((false, false), |(v4, v6), sender| (v4 || sender.v4, v6 || sender.v6));
    let full = AddressSet::full();
    let addresses = AddressSet {
        v4: if v4 { full.v4 } else { AddressSet::empty().v4 },
        v6: if v6 { full.v6 } else { AddressSet::empty().v6 },
    };
    let nowhere = std::net::IpAddr::from([0, 0, 0, 0]);
    let witness = Flow {
        workload: Workload::Address(nowhere),
        destination: egress_ir::Destination::unnamed(nowhere),
        port: egress_ir::Port::tcp(0),
    };
    Block {
        senders: group.senders.clone(),
        addresses,
        names: Vec::new(),
        ports: PortSet::any(),
        left: Outcome::Dropped,
        right: Outcome::Dropped,
        witness,
    }
}

#[expect(clippy::cast_precision_loss, reason = "percentages are shown with four digits")]
fn percent(part: u128, whole: u128) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}
