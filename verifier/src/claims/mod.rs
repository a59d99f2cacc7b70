//! The findings of the checker, held against proofs: what it says of a rule, and what it leaves unsaid.
//!
//! In: a program and [`Claims`] about its rules, from whoever found them. Out: that all of them hold, or the first rule
//! of which something else is true. The claims' own classes are not trusted: cells are cut anew, certified, and decided
//! by lists of which z3 judges each.
//!
//! `cells` cuts, `questions` turns what is claimed of a rule at one place into lists, `memory` keeps what is known of a
//! sender for later runs.

mod cells;
mod memory;
mod questions;

use crate::answer::Answer;
use crate::compare::Fault;
use crate::lists::Lists;
use crate::program::possible_senders;
use crate::prover::Prover;
use cells::Cells;
use egress_ir::{BlockId, BlockKind, Claims, Program, RuleId, Vocabulary};
use memory::{Digests, Facts, QUESTIONS};
use questions::{Questions, Site};
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
    let enforced = || program.blocks.iter().filter(|(_, block)| !block.audit);
    let wanted = enforced().map(|(_, block)| block.workloads).collect();
    let classes = possible_senders(&program.workload_sets, &wanted, None, prover)?;
    let hosts = program.destination_sets.values().flat_map(|set| set.hosts.iter().cloned()).collect();
    let limits = *prover.limits();
    let lists = Lists::new(Vocabulary::new(&hosts), &limits);
    let mut work = Work {
        program,
        claims,
        open: std::array::from_fn(|_| claims.about.clone()),
        conflicts: BTreeSet::new(),
        questions: Questions::new(program, lists, prover),
        digests: Digests::new(program, &claims.special),
    };
    let mut seen = BTreeSet::new();
    for class in classes {
        let speaking = enforced().filter(|(_, block)| class.sets.binary_search(&block.workloads).is_ok());
        let speaking: Vec<BlockId> = speaking.map(|(id, _)| id).collect();
        for v6 in [false, true] {
            if class.sender.sends(v6) && !speaking.is_empty() && seen.insert((speaking.clone(), v6)) {
                work.sender(&speaking, v6)?;
            }
        }
    }
    work.conclude()
}

/// What is asked about a rule, by its place in [`Facts`].
const DECIDES: usize = 0;
const IS_NEEDED: usize = 1;
const IS_CUT: usize = 2;
const IS_REBOUND: usize = 3;

struct Work<'w> {
    program: &'w Program,
    claims: &'w Claims,
    /// For each question the rules for which no place has said yes so far.
    open: [BTreeSet<RuleId>; QUESTIONS],
    /// Pairs of rules that are in conflict.
    conflicts: BTreeSet<(RuleId, RuleId)>,
    questions: Questions<'w>,
    digests: Digests<'w>,
}

impl Work<'_> {
    /// Settles what one sender can settle, from memory where nothing about the sender has changed.
    fn sender(&mut self, speaking: &[BlockId], v6: bool) -> Result<(), Fault> {
        self.questions.go_on()?;
        let program = self.program;
        let rules: BTreeSet<RuleId> =
            speaking.iter().flat_map(|&id| program.blocks.at(id).rules.iter().copied()).collect();
        let rules: Vec<RuleId> = rules.into_iter().collect();
        let key = self.digests.of(speaking, &rules, v6);
        let remembered = self.questions.recall(&key).and_then(|bytes| Facts::from_bytes(bytes, rules.len()));
        let is_new = remembered.is_none();
        let mut facts = remembered.unwrap_or_else(|| Facts::none(rules.len()));
        self.apply(&facts, &rules);
        let unasked = |(rule, asked): (&RuleId, &[bool; QUESTIONS])| {
            self.open.iter().zip(asked).any(|(open, asked)| !asked && open.contains(rule))
        };
        if is_new || rules.iter().zip(&facts.asked).any(unasked) {
            for (rule, asked) in rules.iter().zip(&mut facts.asked) {
                asked.iter_mut().zip(&self.open).for_each(|(asked, open)| *asked |= open.contains(rule));
            }
            for place in Cells::of(program, speaking, v6, &self.claims.special)?.places() {
                self.questions.go_on()?;
                self.site(&place.into(), &rules, &mut facts)?;
            }
            self.apply(&facts, &rules);
            self.questions.conclude(key, facts.to_bytes());
        }
        Ok(())
    }

    /// Takes over what is known of a sender's rules.
    fn apply(&mut self, facts: &Facts, rules: &[RuleId]) {
        for (rule, found) in rules.iter().zip(&facts.found) {
            for (open, _) in self.open.iter_mut().zip(found).filter(|(_, found)| **found) {
                open.remove(rule);
            }
        }
        let at = |place: u32| rules.get(place as usize).copied();
        self.conflicts.extend(facts.conflicts.iter().filter_map(|&(one, two)| at(one).zip(at(two))));
    }

    /// Asks about each rule of a place what is still open.
    fn site(&mut self, site: &Site, rules: &[RuleId], facts: &mut Facts) -> Result<(), Fault> {
        for rule in site.place.words.iter().map(|word| word.rule) {
            let Ok(number) = rules.binary_search(&rule) else { continue };
            for question in [DECIDES, IS_NEEDED, IS_CUT, IS_REBOUND] {
                let is_open = self.open.get(question).is_some_and(|open| open.contains(&rule));
                if is_open && self.ask(question, site, rule)? {
                    if let Some(open) = self.open.get_mut(question) {
                        open.remove(&rule);
                    }
                    if let Some(found) = facts.found.get_mut(number).and_then(|found| found.get_mut(question)) {
                        *found = true;
                    }
                }
            }
        }
        self.gateways(site, rules, facts)
    }

    fn ask(&mut self, question: usize, site: &Site, rule: RuleId) -> Result<bool, Fault> {
        match question {
            DECIDES => self.questions.decides(site, rule),
            IS_NEEDED => self.is_needed(site, rule),
            IS_CUT => self.questions.is_cut(site, rule),
            _ => self.questions.is_rebound(site, rule),
        }
    }

    fn is_needed(&mut self, site: &Site, rule: RuleId) -> Result<bool, Fault> {
        let block = self.program.blocks.at(self.program.rules.at(rule).block);
        let guards = block.kind == BlockKind::Guardrail;
        Ok(self.questions.changes_verdicts(site, rule)?
            || self.questions.changes_logs(site, rule)?
            || self.questions.parts_gateways(site, rule)?
            || guards && self.questions.denies_alone(site, rule)?)
    }

    fn gateways(&mut self, site: &Site, rules: &[RuleId], facts: &mut Facts) -> Result<(), Fault> {
        let routed: Vec<RuleId> =
            site.place.words.iter().filter(|word| word.gateway.is_some()).map(|word| word.rule).collect();
        let number = |rule: &RuleId| rules.binary_search(rule).ok().and_then(|number| u32::try_from(number).ok());
        for (next, one) in (1..).zip(&routed) {
            for two in routed.iter().skip(next) {
                // INVARIANT: words are sorted, so that the first of a pair is the lower one.
                let Some(pair) = number(one).zip(number(two)) else { continue };
                if !facts.conflicts.contains(&pair) && self.questions.conflict(site, *one, *two)? {
                    facts.conflicts.insert(pair);
                }
            }
        }
        Ok(())
    }

    /// Holds what was found against what was claimed, once all lemmas are settled.
    fn conclude(self) -> Result<Answer<Disagreement>, Fault> {
        let Self { program, claims, open, conflicts, questions, .. } = self;
        let [dead, unneeded, uncut, unbound] = open;
        if let Answer::Unknown(reason) = questions.settled()? {
            return Ok(Answer::Unknown(reason));
        }
        let alive = |rules: BTreeSet<RuleId>| -> BTreeSet<RuleId> { &rules - &dead };
        let is_allow = |rule: &&RuleId| program.rules.at(**rule).action == egress_ir::Action::Allow;
        let found = [
            ("dead", &claims.dead, dead.clone()),
            ("redundant", &claims.redundant, alive(unneeded.clone())),
            (
                "overridden",
                &claims.overridden,
                alive(claims.about.iter().filter(is_allow).copied().filter(|rule| !uncut.contains(rule)).collect()),
            ),
            ("open to rebinding", &claims.rebinding, &claims.about - &unbound),
        ];
        for (what, claimed, proved) in found {
            if let Some(disagreement) = disagreement(program, what, claimed, &proved) {
                return Ok(Answer::Refuted(disagreement));
            }
        }
        let about = |pair: &&(RuleId, RuleId)| claims.about.contains(&pair.0) || claims.about.contains(&pair.1);
        let of =
            |pairs: &BTreeSet<(RuleId, RuleId)>| pairs.iter().filter(about).map(|pair| pair.0).collect::<BTreeSet<_>>();
        let conflicting: BTreeSet<_> = conflicts.iter().filter(about).copied().collect();
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
