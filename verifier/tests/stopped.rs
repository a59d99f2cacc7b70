//! A prover that is told to stop has no answer, and a later run with it has the right one.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use egress_compiler::check::{self, Checked};
use egress_compiler::{Input, MemoryFiles, Options, SourceText};
use egress_ir::{Claims, Program, Stop};
use egress_testkit::policies::{PolicyShape, generate};
use egress_verifier::assertions::{self, Population, Report};
use egress_verifier::coverage::coverage;
use egress_verifier::{Cache, Fault, Limits, Prover, claims};
use std::num::NonZeroUsize;
use std::time::Duration;

/// A policy on which proofs take a while, with assertions.
fn unit() -> (Program, Vec<Claims>) {
    let assertions = "assert all cannot reach 169.254.169.254\nassert all can reach only world\n";
    let text = format!("{}{assertions}", generate(3, &PolicyShape::of(1000)));
    let source = SourceText { path: "unit.egress".into(), bytes: text.into_bytes() };
    let input = Input { sources: vec![source], root: ".".into() };
    let program = egress_compiler::compile(input, &MemoryFiles::default(), &Options::default()).program.unwrap();
    let Checked { claims, .. } = check::check(&program, None, check::Limits::default()).unwrap();
    (program, claims)
}

fn prover(threads: usize) -> Prover {
    Prover::new(Limits { threads: NonZeroUsize::new(threads).unwrap(), ..Limits::default() }, Cache::default())
}

/// All questions, one after the other.
fn ask(program: &Program, claims: &[Claims], prover: &mut Prover) -> Result<Report, Fault> {
    for claims in claims {
        assert!(claims::confirm(program, claims, prover)?.is_proved());
    }
    assertions::prove(program, Population::Possible(None), prover)
}

#[test]
fn a_flag_that_is_raised_before_ends_every_question_with_an_error_of_its_own() {
    let (program, claims) = unit();
    let mut prover = prover(1);
    let stop = Stop::default();
    stop.raise();
    prover.renew(stop);
    let cancelled = |fault: Option<Fault>| matches!(fault, Some(Fault::Cancelled(_)));
    assert!(cancelled(claims::confirm(&program, &claims[0], &mut prover).err()));
    assert!(cancelled(assertions::prove(&program, Population::Possible(None), &mut prover).err()));
    assert!(cancelled(coverage(&program, Population::Possible(None), &mut prover).err()));
    assert_eq!(prover.effort().queries, 0);
    assert_eq!(Cache::from_bytes(&prover.into_cache().to_bytes()), Cache::default());
}

#[test]
fn a_flag_that_is_raised_during_work_leaves_nothing_wrong_behind() {
    let (program, claims) = unit();
    let expected = ask(&program, &claims, &mut prover(1)).unwrap();
    for threads in [1, 2] {
        let mut prover = prover(threads);
        let mut stopped = 0;
        // Raised later each time, until the work is done before; what was proved until then stays proved.
        for after in (0..).map(|step| Duration::from_millis(step * 7)) {
            let stop = Stop::default();
            prover.renew(stop.clone());
            let answer = std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(after);
                    stop.raise();
                });
                ask(&program, &claims, &mut prover)
            });
            match answer {
                Err(Fault::Cancelled(_)) => stopped += 1,
                answer => {
                    assert_eq!(answer.unwrap(), expected);
                    break;
                }
            }
            // Every third time it is asked again without a flag.
            if stopped % 3 == 0 {
                prover.renew(Stop::default());
                assert_eq!(ask(&program, &claims, &mut prover).unwrap(), expected);
            }
        }
        assert!(stopped > 0, "nothing was stopped");
    }
}

#[test]
fn a_flag_that_is_raised_while_the_solver_works_ends_its_query() {
    let (program, claims) = unit();
    let expected = ask(&program, &claims, &mut prover(1)).unwrap();
    let mut prover = prover(1);
    let mut interrupted = 0;
    for after in 0..60 {
        // As long as nothing is proved, each run asks all queries anew.
        prover = Prover::new(*prover.limits(), Cache::default());
        let stop = Stop::default();
        prover.renew(stop.clone());
        let answer = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(after * 5));
                stop.raise();
            });
            ask(&program, &claims, &mut prover)
        });
        if answer.is_err() && prover.effort().queries > 0 {
            interrupted += 1;
        }
        prover.renew(Stop::default());
        assert_eq!(ask(&program, &claims, &mut prover).unwrap(), expected);
        if interrupted > 3 {
            return;
        }
    }
    assert!(interrupted > 0, "no query was ever interrupted");
}

#[test]
fn what_was_not_proved_is_asked_again() {
    let (program, claims) = unit();
    let poor = Limits { steps: std::num::NonZeroU32::new(1), ..Limits::default() };
    let mut prover = Prover::new(poor, Cache::default());
    for _ in 0..2 {
        let answer = claims::confirm(&program, &claims[0], &mut prover).unwrap();
        assert!(matches!(answer, egress_verifier::Answer::Unknown(_)), "{answer:?}");
    }
}
