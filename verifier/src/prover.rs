//! The prover: gathers lemmas, and has solvers refute their negations, many in one query.
//!
//! In: lemmas, each once. Out: an [`Answer`] for all of them together. A refuted lemma is a defect of this crate, never
//! of a policy: tables are computed before they are proved. One prover may serve many programs, one after the other:
//! [`Prover::renew`] begins with the next.

use crate::answer::{Answer, Limits};
use crate::assertions::memory::Memory;
use crate::cache::Cache;
use crate::compare::Fault;
use crate::lists::{Key, Lemma};
use crate::solver::z3::Z3;
use crate::solver::{Assignment, Formula, Solution, Solver};
use egress_ir::Stop;
use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;

/// How many lemmas one query is about: z3 4.8.12 was fastest with about a thousand.
const BATCH: usize = 1024;

/// What was proved so far, and with how much work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Distinct lemmas that were asked for.
    pub lemmas: usize,
    /// How many of them earlier runs had proved.
    pub remembered: usize,
    /// Queries that were asked.
    pub queries: usize,
}

/// Gathers lemmas and proves them.
#[derive(Debug, Default)]
pub struct Prover {
    limits: Limits,
    stop: Stop,
    cache: Cache,
    pending: BTreeMap<Key, Lemma>,
    /// What follows from the pending lemmas.
    conclusions: Vec<(Key, Vec<u8>)>,
    // INVARIANT: what was asked for is proved or pending.
    asked: HashSet<Key>,
    asserted: Memory,
    effort: Effort,
}

/// A lemma that does not hold, with the assignment that breaks it: a defect of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its negation, which the assignment satisfies.
    pub negation: Formula,
    /// The assignment.
    pub assignment: Assignment,
}

impl Prover {
    /// A prover that need not prove again what is in the cache.
    #[must_use]
    pub fn new(limits: Limits, cache: Cache) -> Self {
        Self { limits, cache, ..Self::default() }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Begins with another question: what was asked for and not settled is forgotten, as is the count of the effort, and
    /// what is proved stays as far as there is room. From now on `stop` ends whatever is asked.
    pub fn renew(&mut self, stop: Stop) {
        self.stop = stop;
        self.forget();
        self.asked.clear();
        self.effort = Effort::default();
        self.cache.age();
        self.asserted.age();
    }

    /// What ends the work.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Goes on, unless told to stop.
    ///
    /// # Errors
    /// [`Fault::Cancelled`].
    pub(crate) fn go_on(&self) -> Result<(), Fault> {
        Ok(self.stop.check()?)
    }

    /// Forgets what was asked for and is not proved, with what would have followed from it.
    fn forget(&mut self) {
        self.conclusions.clear();
        for key in std::mem::take(&mut self.pending).into_keys() {
            self.asked.remove(&key);
        }
    }

    /// Asks for a proof of the lemma, by the next [`Prover::settle`].
    pub fn require(&mut self, lemma: Lemma) {
        let key = lemma.key();
        if !self.asked.insert(key) {
            return;
        }
        self.effort.lemmas += 1;
        if self.cache.recall(&key).is_some() {
            self.effort.remembered += 1;
        } else {
            self.pending.insert(key, lemma);
        }
    }

    /// Proves all lemmas that were asked for. What is not proved is forgotten, and may be asked for again.
    pub fn settle(&mut self) -> Answer<Broken> {
        let conclusions = std::mem::take(&mut self.conclusions);
        let pending: Vec<(Key, Lemma)> = std::mem::take(&mut self.pending).into_iter().collect();
        let batches: Vec<&[(Key, Lemma)]> = pending.chunks(BATCH).collect();
        self.effort.queries += batches.len();
        let mut all = Answer::Proved;
        for (batch, answer) in batches.iter().zip(side_by_side(&batches, &self.limits, &self.stop)) {
            if answer.is_proved() {
                batch.iter().for_each(|(key, _)| self.cache.note(*key, Vec::new()));
            } else {
                for (key, _) in *batch {
                    self.asked.remove(key);
                }
                all = if all.is_proved() { answer } else { all };
            }
        }
        if all.is_proved() {
            conclusions.into_iter().for_each(|(key, content)| self.cache.note(key, content));
        }
        all
    }

    /// Proves all lemmas that were asked for, which are never refuted unless something is wrong with us.
    ///
    /// # Errors
    /// [`Fault::BrokenLemma`] when one of them does not hold; [`Fault::Cancelled`].
    pub(crate) fn settled(&mut self) -> Result<Answer<Infallible>, Fault> {
        if self.stop.is_raised() {
            self.forget();
        }
        self.go_on()?;
        match self.settle() {
            Answer::Proved => Ok(Answer::Proved),
            Answer::Refuted(_) => Err(Fault::BrokenLemma),
            Answer::Unknown(reason) => self.go_on().map(|()| Answer::Unknown(reason)),
        }
    }

    /// What an earlier run concluded under this key.
    pub(crate) fn recall(&mut self, key: &Key) -> Option<&[u8]> {
        self.cache.recall(key)
    }

    /// Notes a conclusion for later runs, once [`Prover::settle`] has proved the lemmas that it rests on.
    pub(crate) fn conclude(&mut self, key: Key, content: Vec<u8>) {
        self.conclusions.push((key, content));
    }

    /// What is known of assertions.
    pub(crate) fn asserted(&mut self) -> &mut Memory {
        &mut self.asserted
    }

    /// What was proved so far.
    #[must_use]
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// What is proved, for a later run.
    #[must_use]
    pub fn into_cache(self) -> Cache {
        self.cache
    }
}

/// Proves batches on as many threads as the limits say; one answer a batch, in order.
fn side_by_side(batches: &[&[(Key, Lemma)]], limits: &Limits, stop: &Stop) -> Vec<Answer<Broken>> {
    let threads = limits.threads.get().min(batches.len());
    if threads <= 1 {
        return prove_all(batches.iter().copied(), limits, stop);
    }
    let mut answers: Vec<Answer<Broken>> =
        vec![Answer::Unknown("a thread of the prover ended early".to_owned()); batches.len()];
    std::thread::scope(|scope| {
        let shares = (0..threads).map(|first| {
            let share = move || batches.iter().copied().skip(first).step_by(threads);
            (first, scope.spawn(move || prove_all(share(), limits, stop)))
        });
        for (first, share) in shares.collect::<Vec<_>>() {
            for (place, answer) in share.join().unwrap_or_default().into_iter().enumerate() {
                if let Some(slot) = answers.get_mut(first + place * threads) {
                    *slot = answer;
                }
            }
        }
    });
    answers
}

fn prove_all<'b>(
    batches: impl ExactSizeIterator<Item = &'b [(Key, Lemma)]>,
    limits: &Limits,
    stop: &Stop,
) -> Vec<Answer<Broken>> {
    if batches.len() == 0 {
        return Vec::new();
    }
    let mut solver = Z3::new(limits);
    batches.map(|batch| prove(&mut solver, batch, stop)).collect()
}

/// One query for the whole batch.
fn prove(solver: &mut impl Solver, batch: &[(Key, Lemma)], stop: &Stop) -> Answer<Broken> {
    if let Err(cancelled) = stop.check() {
        return Answer::Unknown(cancelled.to_string());
    }
    let negations: Vec<Formula> = batch.iter().map(|(_, lemma)| lemma.negation()).collect();
    match solver.solve_unless(&Formula::Any(negations.clone()), stop) {
        Solution::Unsatisfiable => Answer::Proved,
        Solution::Unknown(reason) => Answer::Unknown(reason),
        Solution::Satisfiable(assignment) => match negations.into_iter().find(|negation| negation.holds(&assignment)) {
            Some(negation) => Answer::Refuted(Broken { negation, assignment }),
            None => Answer::Unknown("the solver's assignment satisfies no part of its query".to_owned()),
        },
    }
}
