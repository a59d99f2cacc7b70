//! The findings of the checker, held against proofs: what it says of a rule, and what it leaves unsaid.
//!
//! In: a program and [`Claims`] about its rules, from whoever found them. Out: that all of them hold, or the first rule
//! of which something else is true. The claims' own classes are not trusted: cells are cut anew, certified, and decided
//! by lists of which z3 judges each.
//!
//! `cells` cuts, `questions` turns what is claimed of a rule at one place into lists.

mod cells;
mod questions;

use crate::answer::Answer;
use crate::compare::Fault;
use crate::lists::Lists;
use crate::program::possible_senders;
use crate::prover::Prover;
use cells::{Cells, Place};
use egress_ir::{BlockKind, Claims, Program, RuleId, Vocabulary};
use questions::Questions;
use std::collections::BTreeSet;

/// A claim that does not hold: a defect of egressc, never hidden.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the checker says that `{rule}` is {claimed}, and the proof says that it is {proved}")]
pub struct Disagreement {
    /// The rule's name.
    pub rule: String,
    /// What was claimed, such as `dead` or `not dead`.
    pub claimed: String,
    /// What is so.
    pub proved: String,
}

/// Proves all claims about a program, spoken and unspoken.
///
/// # Errors
/// [`Fault`]: a set is unclear, or something of our own is wrong.
pub fn confirm(program: &Program, claims: &Claims, prover: &mut Prover) -> Result<Answer<Disagreement>, Fault> {
    let changed = claims.audit_enforced.then(|| program.with_audit_enforced());
    let program = changed.as_ref().unwrap_or(program);
    let blocks = || program.blocks.values().filter(|block| !block.audit);
    let wanted = blocks().map(|block| block.workloads).collect();
    let classes = possible_senders(&program.workload_sets, &wanted, None, prover)?;
    let hosts = program.destination_sets.values().flat_map(|set| set.hosts.iter().cloned()).collect();
    let limits = *prover.limits();
    let lists = Lists::new(Vocabulary::new(&hosts), &limits);
    let mut work = Work { program, claims, open: Open::new(claims), questions: Questions::new(program, lists, prover) };
    let mut seen = BTreeSet::new();
    for class in classes {
        let speaking: Vec<_> = program.blocks.iter().filter(|(_, block)| !block.audit).collect();
        let speaking = speaking.into_iter().filter(|(_, block)| class.sets.binary_search(&block.workloads).is_ok());
        let speaking: Vec<_> = speaking.map(|(id, _)| id).collect();
        for v6 in [false, true] {
            let sends = if v6 { class.sender.v6 } else { class.sender.v4 };
            if sends && !speaking.is_empty() && seen.insert((speaking.clone(), v6)) {
                work.sender(&Cells::of(program, &speaking, v6, &claims.special)?)?;
            }
        }
    }
    work.conclude()
}

/// What is not settled yet: a rule leaves a set once a place is found where it is not what the set says.
#[derive(Debug)]
struct Open {
    dead: BTreeSet<RuleId>,
    unneeded: BTreeSet<RuleId>,
    uncut: BTreeSet<RuleId>,
    unbound: BTreeSet<RuleId>,
    conflicts: BTreeSet<(RuleId, RuleId)>,
}

impl Open {
    fn new(claims: &Claims) -> Self {
        let all = || claims.about.clone();
        Self { dead: all(), unneeded: all(), uncut: all(), unbound: all(), conflicts: BTreeSet::new() }
    }
}

struct Work<'w> {
    program: &'w Program,
    claims: &'w Claims,
    open: Open,
    questions: Questions<'w>,
}

impl Work<'_> {
    /// Settles what the places of one sender can settle.
    fn sender(&mut self, cells: &Cells<'_>) -> Result<(), Fault> {
        for place in cells.places() {
            for word in &place.words {
                let rule = word.rule;
                if self.open.dead.contains(&rule) && self.questions.decides(&place, rule)? {
                    self.open.dead.remove(&rule);
                }
                if self.open.unneeded.contains(&rule) && self.is_needed(&place, rule)? {
                    self.open.unneeded.remove(&rule);
                }
                if self.open.uncut.contains(&rule) && self.questions.is_cut(&place, rule)? {
                    self.open.uncut.remove(&rule);
                }
                if self.open.unbound.contains(&rule) && self.questions.is_rebound(&place, rule)? {
                    self.open.unbound.remove(&rule);
                }
            }
            self.conflicts(&place)?;
        }
        Ok(())
    }

    fn is_needed(&mut self, place: &Place, rule: RuleId) -> Result<bool, Fault> {
        let block = self.program.blocks.at(self.program.rules.at(rule).block);
        let guards = block.kind == BlockKind::Guardrail;
        Ok(self.questions.changes_verdicts(place, rule)?
            || self.questions.changes_logs(place, rule)?
            || self.questions.parts_gateways(place, rule)?
            || guards && self.questions.denies_alone(place, rule)?)
    }

    fn conflicts(&mut self, place: &Place) -> Result<(), Fault> {
        let routed: Vec<RuleId> =
            place.words.iter().filter(|word| word.gateway.is_some()).map(|word| word.rule).collect();
        for (number, &one) in routed.iter().enumerate() {
            for &two in routed.iter().skip(number + 1) {
                let pair = (one.min(two), one.max(two));
                if !self.open.conflicts.contains(&pair) && self.questions.conflict(place, one, two)? {
                    self.open.conflicts.insert(pair);
                }
            }
        }
        Ok(())
    }

    /// Holds what was found against what was claimed, once all lemmas are settled.
    fn conclude(self) -> Result<Answer<Disagreement>, Fault> {
        let Self { program, claims, open, questions } = self;
        match questions.settle() {
            Answer::Proved => {}
            Answer::Refuted(()) => return Err(Fault::BrokenLemma),
            Answer::Unknown(reason) => return Ok(Answer::Unknown(reason)),
        }
        let alive = |rules: BTreeSet<RuleId>| -> BTreeSet<RuleId> { &rules - &open.dead };
        let is_allow = |rule: &&RuleId| program.rules.at(**rule).action == egress_ir::Action::Allow;
        let found = [
            ("dead", &claims.dead, open.dead.clone()),
            ("redundant", &claims.redundant, alive(open.unneeded.clone())),
            (
                "overridden",
                &claims.overridden,
                alive(
                    claims.about.iter().filter(is_allow).copied().filter(|rule| !open.uncut.contains(rule)).collect(),
                ),
            ),
            ("open to rebinding", &claims.rebinding, &claims.about - &open.unbound),
        ];
        for (what, claimed, proved) in found {
            if let Some(disagreement) = disagreement(program, what, claimed, &proved) {
                return Ok(Answer::Refuted(disagreement));
            }
        }
        let about = |pair: &&(RuleId, RuleId)| claims.about.contains(&pair.0) || claims.about.contains(&pair.1);
        let of =
            |pairs: &BTreeSet<(RuleId, RuleId)>| pairs.iter().filter(about).map(|pair| pair.0).collect::<BTreeSet<_>>();
        let conflicting: BTreeSet<_> = open.conflicts.iter().filter(about).copied().collect();
        if claims.conflicts != conflicting {
            let (claimed, proved) = (of(&(&claims.conflicts - &conflicting)), of(&(&conflicting - &claims.conflicts)));
            let found = disagreement(program, "in conflict about its gateway", &claimed, &proved);
            return Ok(found.map_or(Answer::Proved, Answer::Refuted));
        }
        Ok(Answer::Proved)
    }
}

fn disagreement(
    program: &Program,
    what: &str,
    claimed: &BTreeSet<RuleId>,
    proved: &BTreeSet<RuleId>,
) -> Option<Disagreement> {
    let rule = *claimed.symmetric_difference(proved).next()?;
    let said = |holds: bool| if holds { what.to_owned() } else { format!("not {what}") };
    Some(Disagreement {
        rule: program.rule_name(rule).to_owned(),
        claimed: said(claimed.contains(&rule)),
        proved: said(proved.contains(&rule)),
    })
}
