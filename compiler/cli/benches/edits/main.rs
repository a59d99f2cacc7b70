//! What it takes to know all findings again after one rule of a policy was edited, in a process that lives on.
//!
//! In: `cargo bench --package egressc --bench edits`. Out: for each part the time within which half of fifty edits and
//! 95 of a hundred were answered, on one thread, by the clock on the wall; beside it half of five without any memory. Ends
//! with a sentence if memory changes an answer.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench says what it measured")]

use egress_answers::{Asserted, ProofKind, Standing, claims};
use egress_compiler::check::{self, Memory};
use egress_compiler::{Compiled, Input, MemoryFiles, Options, SourceText};
use egress_ir::Stop;
use egress_testkit::policies::{PolicyShape, generate};
use egress_verifier::assertions::Population;
use egress_verifier::{Cache, Limits, Prover};
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What goes wrong ends the bench with a sentence.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// The seed of the policy.
const SEED: u64 = 1;

/// How many rules.
const RULES: usize = 10_000;
/// How many assertions.
const ASSERTIONS: usize = 100;
/// How many versions of the policy, each one rule away from the first.
const EDITS: usize = 50;
/// How many versions are also answered without any memory.
const FRESH: usize = 5;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Outcome<()> {
    let first = first()?;
    let mut memory = Memory::default();
    let mut prover = fresh_prover();
    println!("{} of {ASSERTIONS} assertions hold", answered(&first, &mut memory, &mut prover)?.proved);
    let mut lived: Vec<Times> = Vec::new();
    for number in 0..EDITS {
        lived.push(answered(&edited(&first, number)?, &mut memory, &mut prover)?);
    }
    let mut fresh: Vec<Times> = Vec::new();
    for number in 0..FRESH {
        fresh.push(answered(&edited(&first, number)?, &mut Memory::default(), &mut fresh_prover())?);
        if fresh.last().map(|times| times.proved) != lived.get(number).map(|times| times.proved) {
            return Err(format!("edit {number} is answered otherwise by memory").into());
        }
    }
    println!("{:<28} {:>10} {:>10} {:>12}", "", "middle", "95 of 100", "from nothing");
    let parts: [(&str, Part); 6] = [
        ("parse", |times| times.parse),
        ("compile without the check", Times::program),
        ("check", |times| times.check),
        ("prove findings", |times| times.claims),
        ("prove assertions", |times| times.assertions),
        ("from text to all answers", Times::all),
    ];
    for (name, part) in parts {
        let (middle, slow) = (at(&lived, part, 50), at(&lived, part, 95));
        println!("{name:<28} {:>10} {:>10} {:>12}", told(middle), told(slow), told(at(&fresh, part, 50)));
    }
    Ok(())
}

/// What is looked at.
type Part = fn(&Times) -> Duration;

/// How long each part took.
#[derive(Clone, Copy, Debug)]
struct Times {
    parse: Duration,
    /// With a check that remembers nothing.
    compile: Duration,
    /// That check.
    whole: Duration,
    check: Duration,
    claims: Duration,
    assertions: Duration,
    proved: usize,
}

impl Times {
    /// What a compiler takes beside its check.
    fn program(&self) -> Duration {
        self.compile.saturating_sub(self.whole)
    }

    /// What somebody waits for: the program, a check with memory, and all proofs.
    fn all(&self) -> Duration {
        self.program() + self.check + self.claims + self.assertions
    }
}

fn answered(text: &str, memory: &mut Memory, prover: &mut Prover) -> Outcome<Times> {
    let (_, parse) = timed(|| egress_lang::parse(text));
    let (compiled, compile) = timed(|| compiled(text));
    let Compiled { program, sources, .. } = &compiled;
    let program = program.as_ref().ok_or_else(|| format!("not a program: {:?}", compiled.diagnostics.first()))?;
    let (_, whole) = timed(|| check::check(program, None, check::Limits::default()));
    let (checked, check) = timed(|| check::recheck(program, None, &check::Limits::default(), memory));
    if checked?.claims != compiled.claims {
        return Err("a check with memory says something else".into());
    }
    prover.renew(Stop::default());
    let ((_, confirmed), claims) = timed(|| claims::confirm(program, &compiled, prover));
    let asserted = Asserted { program, sources };
    let ((_, proofs), assertions) = timed(|| asserted.prove(Population::Possible(None), prover));
    let proved = |kind, proofs: &[egress_answers::Proof]| {
        proofs.iter().filter(|proof| proof.kind == kind && proof.answer == Standing::Proved).count()
    };
    if proved(ProofKind::Findings, &confirmed) != 1 {
        return Err(format!("the findings are not proved: {confirmed:?}").into());
    }
    Ok(Times { parse, compile, whole, check, claims, assertions, proved: proved(ProofKind::Assertion, &proofs) })
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

/// The time within which so many of a hundred ended.
fn at(times: &[Times], part: Part, percent: usize) -> Duration {
    let mut times: Vec<Duration> = times.iter().map(part).collect();
    times.sort_unstable();
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

fn told(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn fresh_prover() -> Prover {
    Prover::new(Limits::default(), Cache::default())
}

/// The policy, with what its teams assert about their own rules, as far as it holds, and what is asserted of everybody.
fn first() -> Outcome<String> {
    let policy = generate(SEED, &PolicyShape::of(RULES));
    let (mut workloads, mut assertions) = ("", Vec::new());
    for line in policy.lines() {
        if let Some(set) = line.strip_prefix("  for ") {
            workloads = set;
        }
        let Some(rule) = line.strip_prefix("  allow ") else { continue };
        let ends = [" log", " via", " because", " ticket", " until"].into_iter().filter_map(|word| rule.find(word));
        let reached = rule.get(..ends.min().unwrap_or(rule.len())).unwrap_or(rule);
        assertions.push(format!("assert {workloads} can reach {reached}\n"));
    }
    let every = assertions.len().div_ceil(ASSERTIONS * 5 / 4);
    let candidates: Vec<String> = assertions.into_iter().step_by(every).collect();
    let compiled = compiled(&format!("{policy}{}", candidates.concat()));
    let program = compiled.program.as_ref().ok_or("not a program")?;
    let asserted = Asserted { program, sources: &compiled.sources };
    let (_, proofs) = asserted.prove(Population::Possible(None), &mut fresh_prover());
    let holding = candidates.into_iter().zip(proofs).filter(|(_, proof)| proof.answer == Standing::Proved);
    let holding: String = holding.map(|(assertion, _)| assertion).take(ASSERTIONS - 1).collect();
    Ok(format!("{policy}{holding}assert all cannot reach 169.254.169.254\n"))
}

fn compiled(text: &str) -> Compiled {
    let source = SourceText { path: "policy.egress".into(), bytes: text.as_bytes().to_vec() };
    let input = Input { sources: vec![source], root: ".".into() };
    egress_compiler::compile(input, &MemoryFiles::default(), &Options::default())
}

/// One rule on another port.
fn edited(first: &str, number: usize) -> Outcome<String> {
    const PORT: &str = " on 443/tcp\n";
    let places: Vec<usize> = first.match_indices(PORT).map(|(at, _)| at).collect();
    let assertions = first.find("\nassert ").unwrap_or(first.len());
    let places: Vec<usize> = places.into_iter().filter(|at| *at < assertions).collect();
    let at = *places.get(number * places.len() / EDITS).ok_or("no rule to edit")?;
    let (before, after) = (first.get(..at), first.get(at + PORT.len()..));
    let (before, after) = before.zip(after).ok_or("no rule to edit")?;
    Ok(format!("{before} on 9443/tcp\n{after}"))
}
