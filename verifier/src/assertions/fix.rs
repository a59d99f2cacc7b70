//! How to make a failed assertion hold by removing rules: the fewest that do.
//!
//! In: an assertion that fails. Out: the rules; or why no removal helps. A search over sets of removed rules, smallest
//! first, of which each step adds what every set that helps must contain:
//!
//! - A flow passes and must not: its allows name at most one gateway, so that any of them alone would let it pass. All
//!   must go. Flows that were dropped for a conflict of gateways may pass then; they are found in the next step.
//! - A flow is stopped and must pass: every deny that matches it alone stops it. All must go.
//! - It is stopped by a conflict of gateways alone: all allows through all gateways but one must go. Only here is there
//!   a choice, so that everywhere else the smallest set is unique: each set that helps contains it.
//!
//! The set that is found is proved to help by the same lemmas as any assertion, and each of its rules is shown to be
//! needed by the evaluator.

use super::field::Field;
use super::lemma;
use super::meaning::{outcome, speaks_about};
use super::spots::{Here, Spot, Stop, Walk};
use crate::compare::Fault;
use crate::prover::Prover;
use crate::witness;
use egress_ir::address::from_bits;
use egress_ir::{AddressSet, Destination, Flow, GatewayId, Outcome, RuleId, Speaking, Workload};
use std::collections::{BTreeMap, BTreeSet};

/// How a failed assertion can be made to hold by removing rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Without these rules it holds, which is proved; no smaller set does it.
    Remove(BTreeSet<RuleId>),
    /// No removal helps: no policy governs this flow, so that it passes whatever is removed.
    NoPolicy(Box<Flow>),
    /// No removal helps: nothing allows this flow.
    NoAllow(Box<Flow>),
    /// Not found, for this reason.
    Unknown(String),
}

/// How many sets of removed rules are looked at.
const MOST_STEPS: usize = 256;

/// Finds the fewest rules without which a statement holds, and asks for the proof that it does.
///
/// # Errors
/// [`Fault`]: the evaluator does not confirm what the spots say.
pub(super) fn fix(field: &Field<'_>, number: usize, prover: &mut Prover) -> Result<Fix, Fault> {
    let mut queue: BTreeSet<(usize, BTreeSet<RuleId>)> = BTreeSet::from([(0, BTreeSet::new())]);
    let mut needed: BTreeMap<RuleId, Flow> = BTreeMap::new();
    let mut hopeless: Option<Fix> = None;
    let mut steps = 0;
    while let Some((_, removed)) = queue.pop_first() {
        steps += 1;
        if steps > MOST_STEPS {
            return Ok(Fix::Unknown(format!("more than {MOST_STEPS} sets of rules would have to be tried")));
        }
        let look = match look(field, number, &removed)? {
            Ok(look) => look,
            Err(reason) => return Ok(Fix::Unknown(reason)),
        };
        if !look.wrong {
            prove_without(field, number, &removed, prover)?;
            confirm(field, number, &removed, &needed)?;
            return Ok(Fix::Remove(removed));
        }
        if let Some(dead_end) = look.hopeless {
            hopeless.get_or_insert(dead_end);
            continue;
        }
        let branches: Vec<BTreeSet<RuleId>> = match look.must_go.is_empty() {
            true => look.either,
            false => vec![look.must_go.keys().copied().collect()],
        };
        for (rule, flow) in look.must_go {
            needed.entry(rule).or_insert(flow);
        }
        for branch in branches {
            let next: BTreeSet<RuleId> = removed.union(&branch).copied().collect();
            queue.insert((next.len(), next));
        }
    }
    Ok(hopeless.unwrap_or_else(|| Fix::Unknown("nothing was found to remove".to_owned())))
}

/// What a walk finds out about a statement as if some rules were not there.
#[derive(Default)]
struct Look {
    /// Whether it fails.
    wrong: bool,
    /// Why nothing more helps.
    hopeless: Option<Fix>,
    /// Rules that must go too, each with a flow for which it must.
    must_go: BTreeMap<RuleId, Flow>,
    /// Sets of rules of which one must go too, if no rule must in any case.
    either: Vec<BTreeSet<RuleId>>,
}

fn look(field: &Field<'_>, number: usize, removed: &BTreeSet<RuleId>) -> Result<Result<Look, String>, Fault> {
    let mut look = Look::default();
    let mut unknown = None;
    Walk::new(field, removed).run(&|it| it == number, false, |stop| {
        for spoken in &stop.spoken {
            let sender = spoken.senders.first().copied().unwrap_or_default();
            let noted = stop.wrong(spoken, |spot, outcome| look.note(stop, spot, outcome, sender));
            unknown = unknown.take().or(noted.err());
        }
        Ok::<(), Fault>(())
    })?;
    Ok(unknown.map_or(Ok(look), |too_many| Err(too_many.to_string())))
}

impl Look {
    fn note(&mut self, stop: &Stop<'_, '_>, spot: &Spot<'_>, outcome: Outcome, sender: usize) {
        self.wrong = true;
        let here = spot.here;
        let flow = || example(stop, spot, sender);
        let must_go: Vec<RuleId> = match outcome {
            Outcome::Passes(_) | Outcome::Misrouted if !here.governed => {
                self.give_up(|| flow().map(|flow| Fix::NoPolicy(Box::new(flow))));
                Vec::new()
            }
            Outcome::Passes(_) | Outcome::Misrouted => here.allows.iter().map(|(rule, _)| *rule).collect(),
            Outcome::Dropped if here.governed && here.allows.is_empty() => {
                self.give_up(|| flow().map(|flow| Fix::NoAllow(Box::new(flow))));
                Vec::new()
            }
            Outcome::Dropped if here.denies.is_empty() => {
                if self.either.is_empty() {
                    self.either = one_gateway_left(here);
                }
                Vec::new()
            }
            Outcome::Dropped => here.denies.clone(),
        };
        for rule in must_go {
            if let (false, Some(flow)) = (self.must_go.contains_key(&rule), flow()) {
                self.must_go.insert(rule, flow);
            }
        }
    }

    fn give_up(&mut self, why: impl FnOnce() -> Option<Fix>) {
        if self.hopeless.is_none() {
            self.hopeless = why();
        }
    }
}

/// For each gateway the allows that name others.
fn one_gateway_left(here: &Here) -> Vec<BTreeSet<RuleId>> {
    let gateways: BTreeSet<GatewayId> = here.allows.iter().filter_map(|(_, gateway)| *gateway).collect();
    let others = |kept: GatewayId| {
        let others = here.allows.iter().filter(|(_, gateway)| gateway.is_some_and(|gateway| gateway != kept));
        others.map(|(rule, _)| *rule).collect()
    };
    gateways.into_iter().map(others).collect()
}

/// A flow of a spot.
pub(crate) fn example(stop: &Stop<'_, '_>, spot: &Spot<'_>, sender: usize) -> Option<Flow> {
    let &(first, last) = stop.ranges.first()?;
    let range = (from_bits(stop.v6, first), from_bits(stop.v6, last));
    let (address, port) = witness::choose(&AddressSet::from_ranges([range]), &spot.ports())?;
    let workload = stop.field.senders.get(sender)?.workload.clone();
    Some(Flow {
        workload,
        destination: Destination { address, names: spot.choice.names.iter().cloned().collect() },
        port,
    })
}

/// Asks for the proof that the statement holds without the rules.
fn prove_without(
    field: &Field<'_>,
    number: usize,
    removed: &BTreeSet<RuleId>,
    prover: &mut Prover,
) -> Result<(), Fault> {
    Walk::new(field, removed).run(&|it| it == number, false, |stop| {
        stop.spoken.iter().filter_map(|spoken| lemma::kept(stop, spoken)).for_each(|lemma| prover.require(lemma));
        Ok(())
    })
}

/// Shows that each rule is needed: with it alone back, the evaluator lets a flow break the statement.
fn confirm(
    field: &Field<'_>,
    number: usize,
    removed: &BTreeSet<RuleId>,
    needed: &BTreeMap<RuleId, Flow>,
) -> Result<(), Fault> {
    let mut speaking: BTreeMap<&Workload, Speaking<'_>> = BTreeMap::new();
    for &rule in removed {
        let without: BTreeSet<RuleId> = removed.iter().copied().filter(|other| *other != rule).collect();
        match needed.get(&rule) {
            Some(flow) => {
                let about = || Speaking::about(field.program, &flow.workload);
                let speaking = speaking.entry(&flow.workload).or_insert_with(about);
                breaks_by(field, number, flow, speaking, |rule| !without.contains(&rule))?;
            }
            None => match look(field, number, &without)? {
                Ok(look) if !look.wrong => return Err(Fault::Unconfirmed(format!("a flow that {rule:?} decides"))),
                _ => {}
            },
        }
    }
    Ok(())
}

/// Has the evaluator confirm that a flow breaks a statement if only the rules that `counts` accepts are there.
///
/// # Errors
/// [`Fault::Unconfirmed`] if it does not.
pub(crate) fn breaks_by(
    field: &Field<'_>,
    number: usize,
    flow: &Flow,
    speaking: &Speaking<'_>,
    counts: impl Fn(RuleId) -> bool,
) -> Result<(), Fault> {
    let decided = outcome(&speaking.decide(flow, counts).verdict);
    let broken = field.statements.get(number).is_some_and(|statement| {
        speaks_about(field.program, statement.assertion, flow) && !statement.demand.accepts(decided)
    });
    if broken { Ok(()) } else { Err(Fault::Unconfirmed(flow.to_string())) }
}
