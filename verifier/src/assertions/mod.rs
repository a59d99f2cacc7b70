//! Assertions: what must hold of every flow, proved or refuted.
//!
//! In: a program with assertions, and who is spoken about. Out: for each assertion that it holds, or where it does not
//! and what would help, or that it says nothing. An assertion that holds rests on lemmas over every port and all names,
//! piece by piece of a cut that is checked apart; one that fails, on flows that the evaluator confirmed.
//!
//! `meaning` says what an assertion says of one flow. `field` cuts, `region` says where an assertion speaks, `spots`
//! finds what is wrong, `lemma` says what is to be proved, `fix` what to remove, `memory` what need not be asked again.

mod choices;
pub(crate) mod field;
mod fix;
pub(crate) mod lemma;
mod meaning;
pub(crate) mod memory;
mod region;
pub(crate) mod spots;

pub use fix::Fix;
pub(crate) use fix::{breaks_by, example};
pub use meaning::{Demand, not_public, outcome, speaks_about};

use crate::answer::Answer;
use crate::compare::Fault;
use crate::compare::blocks::{Block, Found};
use crate::lists::Key;
use crate::prover::Prover;
use egress_ir::{AddressSet, AssertionId, Claim, Flow, Inventory, Outcome, PortSet, Program, RuleId, Sender, Speaking};
use field::{Field, Group, Statement};
use memory::Keys;
use spots::{Spoken, Stop, Walk};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

/// Whom assertions are about.
#[derive(Clone, Copy, Debug)]
pub enum Population<'i> {
    /// Every pod that there could be, and every address; an inventory tells which of them run.
    Possible(Option<&'i Inventory>),
    /// The pods that run, and every address.
    Running(&'i Inventory),
}

/// What is known of all assertions of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Everybody who sends; blocks name them by their places.
    pub senders: Vec<Sender>,
    /// One for each assertion, in order.
    pub verdicts: Vec<Verdict>,
}

/// What is known of an assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The assertion.
    pub assertion: AssertionId,
    /// What is known.
    pub conclusion: Conclusion,
}

/// What is known of an assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// Whether it holds.
    Answer(Answer<Box<Breach>>),
    /// It says nothing, which is an error: a proof of nothing is no proof.
    Vacuous(Empty),
}

impl Conclusion {
    /// Whether the assertion is proved, and says something.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self, Self::Answer(Answer::Proved))
    }
}

/// How an assertion fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// A flow that breaks it, as the evaluator confirmed.
    pub witness: Flow,
    /// The rules that let the witness pass, or that stop it; none for a default.
    pub rules: Vec<RuleId>,
    /// All flows that break it, the widest block first; left is what is demanded, right what is decided.
    pub blocks: Vec<Block>,
    /// What to remove.
    pub fix: Fix,
}

/// Why an assertion says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Empty {
    /// Its workloads: nobody can be one, or runs.
    Workloads,
    /// Everybody but its workloads, of whom `only … can reach` speaks.
    Others,
    /// Its destinations.
    Destinations,
    /// Its destinations outside the cluster, which alone are governed.
    Outside,
    /// Its ports: no packet can have one.
    Ports,
    /// Everything but its destinations, of which `can reach only` speaks.
    Elsewhere,
    /// What its sets have in common: no flow has such a sender, destination and port together.
    Common,
}

impl fmt::Display for Empty {
    /// As the end of a sentence: `its workloads are empty`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Workloads => "its workloads are empty",
            Self::Others => "there is nobody but its workloads",
            Self::Destinations => "its destinations are empty",
            Self::Outside => "its destinations lie inside the cluster, where nothing is governed",
            Self::Ports => "its ports are empty",
            Self::Elsewhere => "there is nothing but its destinations",
            Self::Common => "no flow has such a sender, destination and port together",
        })
    }
}

/// Proves or refutes every assertion of a program.
///
/// # Errors
/// [`Fault`]: too many ways in which workload sets overlap, or something of our own is wrong. Never taken for an answer.
pub fn prove(program: &Program, population: Population<'_>, prover: &mut Prover) -> Result<Report, Fault> {
    let mut field = Field::uncut(program, population, prover)?;
    let verdicts = remembering(&mut field, prover)?;
    Ok(Report { senders: field.senders, verdicts })
}

/// Verdicts from memory, and what is not there from those parts of the field alone that it depends on.
fn remembering(field: &mut Field<'_>, prover: &mut Prover) -> Result<Vec<Verdict>, Fault> {
    let keys = Keys::of(field);
    let mut conclusions: Vec<Option<Conclusion>> = keys
        .verdicts
        .iter()
        .map(|key| key.as_ref().and_then(|(key, rules)| prover.asserted().failed(key, &field.senders, rules)))
        .collect();
    let is_open: Vec<bool> = conclusions.iter().map(Option::is_none).collect();
    let is_open = |number: usize| is_open.get(number).is_some_and(|open| *open);
    let mut progress: Vec<Progress> = field.statements.iter().map(|_| Progress::default()).collect();
    let mut unknown: BTreeMap<(usize, usize), Option<Key>> = BTreeMap::new();
    for (pair, key) in keys.pairs.into_iter().filter(|((_, number), _)| is_open(*number)) {
        match (key.and_then(|key| prover.asserted().kept(&key)), progress.get_mut(pair.1)) {
            (Some(spoke), Some(progress)) => progress.spoke |= spoke,
            _ => {
                unknown.insert(pair, key);
            }
        }
    }
    let groups: BTreeSet<usize> = unknown.keys().map(|(group, _)| *group).collect();
    field.cut(|group| groups.contains(&group), false)?;
    let kept = look(field, &is_open, &mut progress, unknown, prover)?;
    let broken = |number: &usize| progress.get(*number).is_some_and(|progress| !progress.found.is_empty());
    let about: BTreeSet<usize> = (0..progress.len()).filter(broken).collect();
    let speaks = |group: &Group| group.about.iter().flatten().any(|(number, _)| about.contains(number));
    let groups: Vec<bool> = field.groups.iter().map(speaks).collect();
    field.cut(|group| groups.get(group).is_some_and(|about| *about), false)?;
    for (number, (progress, slot)) in progress.into_iter().zip(&mut conclusions).enumerate() {
        if let (None, Some(statement)) = (&slot, field.statements.get(number)) {
            *slot = Some(progress.conclude(field, number, statement, prover)?);
        }
    }
    let settled = prover.settled()?;
    if settled.is_proved() {
        kept.into_iter().for_each(|(key, spoke)| prover.asserted().keep(key, spoke));
        for (number, key) in keys.verdicts.iter().enumerate().filter(|(number, _)| is_open(*number)) {
            if let (Some((key, rules)), Some(Some(conclusion))) = (key, conclusions.get(number)) {
                prover.asserted().fail(*key, &field.senders, rules, conclusion);
            }
        }
    }
    let conclusions = field.statements.iter().zip(conclusions).enumerate();
    let mut verdicts: Vec<(bool, Verdict)> = conclusions
        .filter_map(|(number, (it, conclusion))| {
            Some((is_open(number), Verdict { assertion: it.id, conclusion: conclusion? }))
        })
        .collect();
    if let Answer::Unknown(reason) = settled {
        verdicts.iter_mut().filter(|(open, _)| *open).for_each(|(_, verdict)| verdict.doubt(&reason));
    }
    Ok(verdicts.into_iter().map(|(_, verdict)| verdict).collect())
}

/// Looks at all places of the field as far as it is cut, for the wanted statements. Of `pairs` of a group (first) and a
/// statement (second) the keys of those are returned where nothing is wrong, if all lemmas hold, and whether the
/// statement speaks there.
fn look(
    field: &Field<'_>,
    wanted: &dyn Fn(usize) -> bool,
    progress: &mut [Progress],
    mut pairs: BTreeMap<(usize, usize), Option<Key>>,
    prover: &mut Prover,
) -> Result<Vec<(Key, bool)>, Fault> {
    let nothing = BTreeSet::new();
    let mut spoke: BTreeSet<(usize, usize)> = BTreeSet::new();
    Walk::new(field, &nothing).run(wanted, false, |stop| {
        for spoken in &stop.spoken {
            let pair = (stop.number, spoken.number);
            if let Some(progress) = progress.get_mut(spoken.number) {
                spoke.insert(pair);
                if !progress.look(stop, spoken, prover) {
                    pairs.remove(&pair);
                }
            }
        }
        Ok::<(), Fault>(())
    })?;
    Ok(pairs.into_iter().filter_map(|(pair, key)| Some((key?, spoke.contains(&pair)))).collect())
}

/// The same for a field that is cut already, without looking back.
///
/// # Errors
/// As for [`prove`].
pub(crate) fn verdicts(field: &Field<'_>, prover: &mut Prover) -> Result<Vec<Verdict>, Fault> {
    let mut progress: Vec<Progress> = field.statements.iter().map(|_| Progress::default()).collect();
    look(field, &|_| true, &mut progress, BTreeMap::new(), prover)?;
    let mut verdicts = Vec::with_capacity(progress.len());
    for (number, (statement, progress)) in field.statements.iter().zip(progress).enumerate() {
        let conclusion = progress.conclude(field, number, statement, prover)?;
        verdicts.push(Verdict { assertion: statement.id, conclusion });
    }
    if let Answer::Unknown(reason) = prover.settled()? {
        verdicts.iter_mut().for_each(|verdict| verdict.doubt(&reason));
    }
    Ok(verdicts)
}

impl Verdict {
    /// Takes back what rests on lemmas, because they are not known to hold.
    fn doubt(&mut self, reason: &str) {
        match &mut self.conclusion {
            Conclusion::Answer(Answer::Refuted(breach)) => {
                if let Fix::Remove(_) = breach.fix {
                    breach.fix = Fix::Unknown(reason.to_owned());
                }
            }
            Conclusion::Answer(Answer::Unknown(_)) => {}
            other => *other = Conclusion::Answer(Answer::Unknown(reason.to_owned())),
        }
    }
}

/// What a walk has found out about a statement.
#[derive(Default)]
struct Progress {
    /// Whether there is a flow of which it speaks.
    spoke: bool,
    found: Found,
    unknown: Option<String>,
}

impl Progress {
    /// Notes what is wrong at a place, or asks for the proof that nothing is, and says whether it did that.
    fn look(&mut self, stop: &Stop<'_, '_>, spoken: &Spoken<'_, '_>, prover: &mut Prover) -> bool {
        self.spoke = true;
        let wanted = spoken.statement.demand.wanted();
        let mut wrong: Vec<(Rc<[String]>, Outcome, Vec<PortSet>)> = Vec::new();
        let looked = stop.wrong(spoken, |spot, outcome| {
            let (names, ports) = (&spot.choice.names, spot.ports());
            match wrong.iter_mut().find(|(known, said, _)| known == names && *said == outcome) {
                Some((.., known)) => known.push(ports),
                None => wrong.push((names.clone(), outcome, vec![ports])),
            }
        });
        let is_kept = looked.is_ok() && wrong.is_empty();
        if let Err(too_many) = looked {
            self.unknown = Some(too_many.to_string());
        } else if wrong.is_empty() {
            lemma::kept(stop, spoken).into_iter().for_each(|lemma| prover.require(lemma));
        }
        for (names, outcome, ports) in wrong {
            let ports = ports.iter().flat_map(PortSet::line_ranges).copied();
            let ports = PortSet::from_line_ranges(ports);
            for &sender in spoken.senders {
                for &range in stop.ranges {
                    self.found.note(sender, stop.v6, range, (&names, &ports), (wanted, outcome));
                }
            }
        }
        is_kept
    }

    fn conclude(
        self,
        field: &Field<'_>,
        number: usize,
        statement: &Statement<'_>,
        prover: &mut Prover,
    ) -> Result<Conclusion, Fault> {
        if let Some(empty) = empty(field, statement, self.spoke) {
            return Ok(Conclusion::Vacuous(empty));
        }
        let answer = match (self.found.is_empty(), self.unknown) {
            (false, _) => Answer::Refuted(Box::new(breach(field, number, statement, self.found, prover)?)),
            (true, Some(reason)) => Answer::Unknown(reason),
            (true, None) => Answer::Proved,
        };
        Ok(Conclusion::Answer(answer))
    }
}

/// Why a statement says nothing, if it does.
fn empty(field: &Field<'_>, statement: &Statement<'_>, spoke: bool) -> Option<Empty> {
    let program = field.program;
    let destinations = program.destination_sets.at(statement.assertion.destinations);
    let on = program.port_sets.at(statement.assertion.ports);
    let possible = PortSet::possible(false).union(PortSet::possible(true));
    let outside = AddressSet::full().difference(&program.cluster.inside);
    let named = !destinations.hosts.is_empty();
    let claim = statement.assertion.claim;
    if statement.nobody {
        Some(Empty::Workloads)
    } else if destinations.addresses.is_empty() && !named {
        Some(Empty::Destinations)
    } else if !destinations.addresses.overlaps(&outside) && !named {
        Some(Empty::Outside)
    } else if on.intersection(&possible).is_empty() {
        Some(Empty::Ports)
    } else if spoke {
        None
    } else if statement.senders.is_empty() {
        Some(Empty::Others)
    } else if claim == Claim::CanReachOnly {
        Some(Empty::Elsewhere)
    } else {
        Some(Empty::Common)
    }
}

fn breach(
    field: &Field<'_>,
    number: usize,
    statement: &Statement<'_>,
    found: Found,
    prover: &mut Prover,
) -> Result<Breach, Fault> {
    let program = field.program;
    let known: RefCell<BTreeMap<usize, Speaking<'_>>> = RefCell::default();
    let replay = |sender: usize, flow: &Flow| {
        let mut known = known.borrow_mut();
        let speaking = known.entry(sender).or_insert_with(|| Speaking::about(program, &flow.workload));
        let decided = outcome(&speaking.decide(flow, |_| true).verdict);
        let broken = speaks_about(program, statement.assertion, flow) && !statement.demand.accepts(decided);
        // Equal outcomes on both sides are what a flow that breaks nothing looks like.
        Ok((if broken { statement.demand.wanted() } else { decided }, decided))
    };
    let blocks = found.blocks(&field.senders, &replay)?;
    let witness = blocks.first().map(|block| block.witness.clone());
    let witness = witness.ok_or_else(|| Fault::Unconfirmed("a flow of an empty block".into()))?;
    let rules = Speaking::about(program, &witness.workload).decide(&witness, |_| true).rules;
    Ok(Breach { witness, rules, blocks, fix: fix::fix(field, number, prover)? })
}
