//! The prover's thread: what a unit means, what is found about its rules, what is proved.
//!
//! In: units, the latest of each only. Out: reports in stages, so that what is known early is seen early. A job whose unit
//! has changed since is stopped. What is proved is remembered for the next job on the same unit.

use crate::unit::{Meaning, Unit};
use crossbeam_channel::{Receiver, Sender, unbounded};
use egress_answers::{Asserted, Proof, claims};
use egress_compiler::{Compiled, Diagnostic, Files, Options, check, understand};
use egress_ir::{Date, Inventory, Stop};
use egress_verifier::Prover;
use egress_verifier::assertions::Population;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// What is to be found out.
#[derive(Clone)]
pub(crate) struct Job {
    /// Names the unit.
    pub(crate) key: Arc<str>,
    /// Counts the edits of the unit.
    pub(crate) edit: u64,
    pub(crate) unit: Arc<Unit>,
    pub(crate) lists: Arc<dyn Files + Send + Sync>,
    pub(crate) as_of: Date,
    pub(crate) strict: bool,
    /// Whether the prover is wanted, or the checker alone.
    pub(crate) proofs: bool,
    /// Raised when the unit has changed.
    pub(crate) stop: Stop,
}

/// What was found out, stage by stage.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) key: Arc<str>,
    pub(crate) edit: u64,
    pub(crate) stage: Stage,
    /// What it is about.
    pub(crate) unit: Arc<Unit>,
    /// What it means, once rules are checked; nothing where errors leave it open.
    pub(crate) meaning: Option<Arc<Meaning>>,
    /// Whether errors leave open what it means, so that no more stages follow.
    pub(crate) is_meaningless: bool,
    /// What this stage found, beyond those before it.
    pub(crate) findings: Vec<Diagnostic>,
}

/// The stages of a job, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Lists are read and sets have their meaning.
    Understood,
    /// Rules are checked against each other.
    Checked,
    /// Findings and assertions are proved or refuted.
    Proved,
}

/// The thread, with a queue before it.
#[derive(Debug)]
pub(crate) struct Worker {
    jobs: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    pub(crate) reports: Receiver<Report>,
}

enum Order {
    Job(Box<Job>),
    /// The unit is no more.
    Forget(Arc<str>),
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start() -> std::io::Result<Self> {
        let ((jobs, ordered), (reporter, reports)) = (unbounded(), unbounded());
        let thread = Builder::new().name("prover".into()).spawn(move || work(&ordered, &reporter))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), reports })
    }

    /// Puts a job in place of an earlier one on the same unit.
    pub(crate) fn order(&self, job: Job) {
        self.send(Order::Job(Box::new(job)));
    }

    /// Forgets what is remembered of a unit.
    pub(crate) fn forget(&self, key: Arc<str>) {
        self.send(Order::Forget(key));
    }

    fn send(&self, order: Order) {
        if let Some(jobs) = &self.jobs {
            // The thread ends after the last order only.
            let _gone = jobs.send(order);
        }
    }

    /// Waits for the thread; raise the stop of its job first.
    pub(crate) fn finish(mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn work(orders: &Receiver<Order>, reports: &Sender<Report>) {
    let mut queue = Queue::default();
    let mut memories: BTreeMap<Arc<str>, Memory> = BTreeMap::new();
    while let Some(order) = queue.next(orders) {
        match order {
            Order::Job(job) => {
                let memory = memories.entry(job.key.clone()).or_default();
                job.run(memory, reports);
            }
            Order::Forget(key) => {
                memories.remove(&key);
            }
        }
    }
}

/// Orders that wait, the latest job of each unit.
#[derive(Default)]
struct Queue(Vec<Order>);

impl Queue {
    /// The next order; waits for one where there is none. Nothing once nobody can order any more.
    fn next(&mut self, orders: &Receiver<Order>) -> Option<Order> {
        if self.0.is_empty() {
            self.0.push(orders.recv().ok()?);
        }
        for order in orders.try_iter() {
            let replaced = |waiting: &Order| match (waiting, &order) {
                (Order::Job(old), Order::Job(new)) => old.key == new.key,
                (Order::Job(old), Order::Forget(key)) => old.key == *key,
                (Order::Forget(_), _) => false,
            };
            match self.0.iter_mut().find(|waiting| replaced(waiting)) {
                Some(waiting) => *waiting = order,
                None => self.0.push(order),
            }
        }
        Some(self.0.remove(0))
    }
}

/// What is remembered of a unit from job to job.
#[derive(Default)]
struct Memory {
    rules: check::Memory,
    prover: Prover,
}

/// What is proved, once it is known.
type Proofs = Option<Arc<[Proof]>>;

impl Job {
    /// Runs all stages, or as many as there is time for.
    fn run(self, memory: &mut Memory, reports: &Sender<Report>) {
        let inventory = self.unit.inventory.as_deref();
        let options = Options { as_of: Some(self.as_of), inventory, strict: self.strict };
        let mut compiled = understand(&self.unit.files, &self.unit.root, &*self.lists, &options);
        let findings = beyond(&compiled.diagnostics, &self.unit.named.diagnostics);
        let is_meaningless = compiled.program.is_none();
        self.report(Stage::Understood, findings, is_meaningless, None, reports);
        if is_meaningless || self.stop.is_raised() {
            return;
        }
        let understood = std::mem::take(&mut compiled.diagnostics);
        let limits = check::Limits { stop: self.stop.clone(), ..check::Limits::default() };
        if compiled.recheck(&options, &limits, &mut memory.rules).is_err() {
            return;
        }
        let checked = std::mem::replace(&mut compiled.diagnostics, understood);
        compiled.diagnostics.extend_from_slice(&checked);
        let compiled = Arc::new(compiled);
        self.report(Stage::Checked, checked, false, Some((&compiled, None)), reports);
        if self.proofs
            && let Some((findings, proofs)) = self.prove(&compiled, inventory, &mut memory.prover)
        {
            self.report(Stage::Proved, findings, false, Some((&compiled, Some(proofs.into()))), reports);
        }
    }

    /// Proves findings and assertions; nothing when it was stopped, because then what they say is no answer.
    fn prove(
        &self,
        compiled: &Compiled,
        inventory: Option<&Inventory>,
        prover: &mut Prover,
    ) -> Option<(Vec<Diagnostic>, Vec<Proof>)> {
        let program = compiled.program.as_ref()?;
        prover.renew(self.stop.clone());
        let (mut findings, mut proofs) = claims::confirm(program, compiled, prover);
        if !program.assertions.is_empty() {
            let asserted = Asserted { program, sources: &compiled.sources };
            let (more, told) = asserted.prove(Population::Possible(inventory), prover);
            findings.extend(more);
            proofs.extend(told);
        }
        (!self.stop.is_raised()).then_some((findings, proofs))
    }

    fn report(
        &self,
        stage: Stage,
        findings: Vec<Diagnostic>,
        is_meaningless: bool,
        meaning: Option<(&Arc<Compiled>, Proofs)>,
        reports: &Sender<Report>,
    ) {
        let meaning = meaning.map(|(compiled, proofs)| {
            Arc::new(Meaning { files: self.unit.files.clone(), compiled: compiled.clone(), proofs })
        });
        let report = Report {
            key: self.key.clone(),
            edit: self.edit,
            stage,
            unit: self.unit.clone(),
            meaning,
            is_meaningless,
            findings,
        };
        // Nobody listens once the server ends.
        let _gone = reports.send(report);
    }
}

/// The findings of the first list that are not in the second; both are in the order of `diagnostic::sort`.
fn beyond(all: &[Diagnostic], known: &[Diagnostic]) -> Vec<Diagnostic> {
    let mut known = known.iter().peekable();
    all.iter().filter(|finding| known.next_if(|known| known == finding).is_none()).cloned().collect()
}
