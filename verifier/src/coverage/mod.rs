//! Coverage: which rule decides how much for whom, what nothing decides, and which rules no assertion depends on.
//!
//! In: a program with assertions, and who is spoken about. Out: shares of the outside, proved port by port with the
//! lists they are read from; for each rule whether some assertion that holds would fail without it, with a flow that
//! shows it, or the proof that none would. Shares are about destinations without names, because how many names there
//! are says nothing.

mod share;

pub use share::Share;

use crate::answer::Answer;
use crate::assertions::field::Field;
use crate::assertions::spots::{Here, Stop, Walk};
use crate::assertions::{Conclusion, Population, Verdict, breaks_by, example, lemma, verdicts};
use crate::compare::Fault;
use crate::lists::Lists;
use crate::program::policy_list;
use crate::prover::Prover;
use egress_ir::plane::Guard;
use egress_ir::{AssertionId, BlockId, Flow, Outcome, Pod, Program, RuleId, Sender, Speaking};
use rustc_hash::FxHashMap;
use share::Counter;
use std::collections::{BTreeMap, BTreeSet};

/// What is covered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Everybody who sends; others name them by their places.
    pub senders: Vec<Sender>,
    /// Whom the same blocks speak about, with what is decided for them.
    pub covered: Vec<Covered>,
    /// What is known of the assertions.
    pub verdicts: Vec<Verdict>,
    /// For each rule of the enforced blocks whether every assertion that holds would hold without it: proved, or refuted
    /// by a flow.
    pub unpinned: BTreeMap<RuleId, Answer<Box<Pin>>>,
}

/// An assertion that depends on a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The assertion.
    pub assertion: AssertionId,
    /// A flow that breaks it once the rule is gone, as the evaluator confirmed.
    pub witness: Flow,
}

/// What is decided for workloads about whom the same blocks speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The workloads, as places of senders.
    pub senders: Vec<usize>,
    /// The enforced blocks that speak about them.
    pub blocks: Vec<BlockId>,
    /// Whether one of these is a policy.
    pub governed: bool,
    /// What each rule decides by address; where several do, each of them.
    pub rules: BTreeMap<RuleId, Share>,
    /// The rules that match by name, sorted.
    pub by_name: Vec<RuleId>,
    /// What rules allow.
    pub allowed: Share,
    /// What rules deny.
    pub denied: Share,
    /// What is denied because nothing allows it.
    pub default: Share,
    /// What is stopped because rules name different gateways.
    pub conflicting: Share,
    /// What passes because nothing governs.
    pub ungoverned: Share,
}

impl Coverage {
    /// The pods of the inventory that no policy governs.
    pub fn ungoverned_pods(&self) -> impl Iterator<Item = &Pod> {
        let senders = self.covered.iter().filter(|covered| !covered.governed).flat_map(|covered| &covered.senders);
        senders.filter_map(|&sender| self.senders.get(sender)).flat_map(|sender| &sender.pods)
    }
}

/// Finds out what is covered.
///
/// # Errors
/// [`Fault`], as for [`crate::assertions::prove`].
pub fn coverage(program: &Program, population: Population<'_>, prover: &mut Prover) -> Result<Coverage, Fault> {
    let field = Field::new(program, population, true, prover)?;
    let covered = shares(&field, prover)?;
    let verdicts = verdicts(&field, prover)?;
    let unpinned = unpinned(&field, &verdicts, prover)?;
    Ok(Coverage { covered, verdicts, unpinned, senders: field.senders })
}

/// What each group is covered by. That the lists say so becomes lemmas.
fn shares(field: &Field<'_>, prover: &mut Prover) -> Result<Vec<Covered>, Fault> {
    let counters = [false, true].map(Counter::new);
    let mut covered: Vec<Covered> = field.groups.iter().map(|group| empty(group.members.clone(), group)).collect();
    let mut lists = Lists::new(field.vocabulary.clone(), prover.limits());
    let nothing = BTreeSet::new();
    Walk::new(field, &nothing).run(&|_| false, true, |stop| {
        let (Some(covered), Some(counter)) = (covered.get_mut(stop.number), counters.get(usize::from(stop.v6))) else {
            return Ok(());
        };
        let addresses = counter.addresses(stop.ranges);
        let mut decided: Vec<(u32, Outcome)> = Vec::new();
        for (first, last, members) in stop.runs() {
            let here = stop.here(members, None);
            covered.note(&here, counter.share(addresses, first, last));
            let outcome = here.outcome();
            match decided.last_mut() {
                Some(run) if run.1 == outcome => run.0 = last,
                _ => decided.push((last, outcome)),
            }
        }
        hold(stop, &decided, &mut lists, prover)
    })?;
    Ok(covered)
}

fn empty(senders: Vec<usize>, group: &crate::assertions::field::Group) -> Covered {
    let by_name: BTreeSet<RuleId> = group.named.iter().map(|(rule, _)| *rule).collect();
    Covered {
        senders,
        blocks: group.blocks.clone(),
        governed: group.governed,
        rules: BTreeMap::new(),
        by_name: by_name.into_iter().collect(),
        allowed: Share::default(),
        denied: Share::default(),
        default: Share::default(),
        conflicting: Share::default(),
        ungoverned: Share::default(),
    }
}

impl Covered {
    /// Adds a run of ports at some addresses.
    fn note(&mut self, here: &Here, share: Share) {
        if share.is_empty() {
            return;
        }
        let allows = || here.allows.iter().map(|(rule, _)| *rule).collect::<Vec<RuleId>>();
        let (sum, deciding) = match here.outcome() {
            _ if !here.denies.is_empty() => (&mut self.denied, here.denies.clone()),
            _ if !here.governed => (&mut self.ungoverned, Vec::new()),
            Outcome::Passes(_) | Outcome::Misrouted => (&mut self.allowed, allows()),
            Outcome::Dropped if here.allows.is_empty() => (&mut self.default, Vec::new()),
            Outcome::Dropped => (&mut self.conflicting, allows()),
        };
        *sum += share;
        for rule in deciding {
            *self.rules.entry(rule).or_default() += share;
        }
    }
}

/// Holds what was decided run by run against the table of the rules that match by address.
fn hold(stop: &Stop<'_, '_>, decided: &[(u32, Outcome)], lists: &mut Lists, prover: &mut Prover) -> Result<(), Fault> {
    let program = stop.field.program;
    let rules = stop.rules.iter().filter(|(_, guard)| guard.is_none()).map(|(rule, _)| program.rules.at(*rule));
    let rules = rules.filter(|rule| !program.port_sets.at(rule.ports).is_empty());
    let matching = rules.map(|rule| {
        let ports = lists.vocabulary.ports(program.port_sets.at(rule.ports));
        (Guard::Always, ports, rule.action, rule.gateway)
    });
    let list = policy_list(stop.group.governed, &matching.collect(), &mut lists.vocabulary);
    let table = lists.table(list, &BTreeSet::new(), prover);
    let runs = lists.at(table);
    let agree = runs.runs().map(|(_, last, outcome)| (last, outcome)).eq(decided.iter().copied());
    if agree { Ok(()) } else { Err(Fault::BrokenLemma) }
}

/// For each rule whether the assertions that hold would hold without it.
fn unpinned(
    field: &Field<'_>,
    verdicts: &[Verdict],
    prover: &mut Prover,
) -> Result<BTreeMap<RuleId, Answer<Box<Pin>>>, Fault> {
    let program = field.program;
    let holding: Vec<bool> = verdicts.iter().map(|verdict| verdict.conclusion.holds()).collect();
    let holds = |number: usize| holding.get(number).copied().unwrap_or(false);
    let pinned = pins(field, &holds)?;
    let nothing = BTreeSet::new();
    Walk::new(field, &nothing).run(&holds, false, |stop| {
        let lemmas = stop
            .spoken
            .iter()
            .filter_map(|spoken| lemma::kept_without(stop, spoken, &|rule| !pinned.contains_key(&rule)));
        lemmas.for_each(|lemma| prover.require(lemma));
        Ok::<(), Fault>(())
    })?;
    let proved = prover.settled()?.map(|never| match never {});
    let unknown = verdicts.iter().find_map(|verdict| match &verdict.conclusion {
        Conclusion::Answer(Answer::Unknown(reason)) => Some(Answer::Unknown(reason.clone())),
        _ => None,
    });
    let proved = unknown.unwrap_or(proved);
    let enforced = program.blocks.values().filter(|block| !block.audit).flat_map(|block| block.rules.iter().copied());
    let mut answers: BTreeMap<RuleId, Answer<Box<Pin>>> = enforced.map(|rule| (rule, proved.clone())).collect();
    answers.extend(pinned.into_iter().map(|(rule, pin)| (rule, Answer::Refuted(Box::new(pin)))));
    Ok(answers)
}

/// For each rule that some statement needs, one that does and a flow.
fn pins(field: &Field<'_>, holds: &dyn Fn(usize) -> bool) -> Result<BTreeMap<RuleId, Pin>, Fault> {
    let mut found: BTreeMap<RuleId, (usize, usize, Flow)> = BTreeMap::new();
    let nothing = BTreeSet::new();
    Walk::new(field, &nothing).run(holds, false, |stop| {
        if stop.rules.iter().all(|(rule, _)| found.contains_key(rule)) {
            return Ok(());
        }
        for spoken in &stop.spoken {
            let sender = spoken.senders.first().copied().unwrap_or_default();
            let looked = stop.spots(spoken, |spot| {
                for rule in spot.here.pins(spoken.statement.demand) {
                    if let (false, Some(flow)) = (found.contains_key(&rule), example(stop, spot, sender)) {
                        found.insert(rule, (spoken.number, sender, flow));
                    }
                }
            });
            // An assertion about too many names is unknown, and so does not hold.
            looked.map_err(|too_many| Fault::Unclear(egress_ir::Unclear { reason: too_many.to_string() }))?;
        }
        Ok::<(), Fault>(())
    })?;
    confirmed(field, found)
}

/// The same, each confirmed by the evaluator on the program without the rule.
fn confirmed(field: &Field<'_>, found: BTreeMap<RuleId, (usize, usize, Flow)>) -> Result<BTreeMap<RuleId, Pin>, Fault> {
    let mut speaking: FxHashMap<usize, Speaking<'_>> = FxHashMap::default();
    let mut pinned = BTreeMap::new();
    for (rule, (number, sender, witness)) in found {
        let speaking = speaking.entry(sender).or_insert_with(|| Speaking::about(field.program, &witness.workload));
        breaks_by(field, number, &witness, speaking, |other| other != rule)?;
        let statement = field.statements.get(number).map(|statement| statement.id);
        pinned.extend(statement.map(|assertion| (rule, Pin { assertion, witness })));
    }
    Ok(pinned)
}
