//! The seam to the solver: nothing but a refuted negation proves a lemma, and z3 says what trying everything says.
//!
//! Seed and number of random formulas: `EGRESS_SEED`, `EGRESS_CASES`.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use egress_ir::{Outcome, PortSet};
use egress_testkit::seed::{Rng, cases, seed};
use egress_verifier::lists::{Lemma, Table};
use egress_verifier::solver::exhaustive::Exhaustive;
use egress_verifier::solver::z3::Z3;
use egress_verifier::solver::{Formula, Ranges, Solution, Solver, Variable, least, widened};
use egress_verifier::{Answer, Cache, Limits, Prover};
use std::num::NonZeroU32;

/// Random entries of a list, as ranges of the port line.
fn entries(rng: &mut Rng) -> Vec<(Ranges, Outcome)> {
    let count = rng.between(4, 12);
    let entry = |rng: &mut Rng| {
        let ranges: Vec<(u32, u32)> = (0..rng.between(1, 5))
            .map(|_| {
                let first = u32::try_from(rng.between(0, PortSet::LAST.into())).unwrap();
                (first, first.saturating_add(u32::try_from(rng.between(0, 1 << 18)).unwrap()).min(PortSet::LAST))
            })
            .collect();
        let set = PortSet::from_line_ranges(ranges);
        (widened(set.line_ranges()), if rng.chance(50) { Outcome::Dropped } else { Outcome::Passes(None) })
    };
    (0..count).map(|_| entry(rng)).collect()
}

fn lemma(case: u64) -> Lemma {
    let entries = entries(&mut Rng::new(seed(), case));
    let table = Table::of(&entries, Outcome::Dropped);
    Lemma::list(entries, Outcome::Dropped, &table)
}

/// A lemma whose table is that of another list.
fn wrong_lemma(case: u64) -> Lemma {
    let mut rng = Rng::new(seed(), case);
    let (one, two) = (entries(&mut rng), entries(&mut rng));
    let (right, wrong) = (Table::of(&one, Outcome::Dropped), Table::of(&two, Outcome::Dropped));
    assert!(right != wrong, "two random lists are alike");
    Lemma::list(one, Outcome::Dropped, &wrong)
}

#[test]
fn without_steps_nothing_is_proved_and_nothing_is_remembered() {
    let limits = Limits { steps: NonZeroU32::new(1), ..Limits::default() };
    let mut prover = Prover::new(limits, Cache::default());
    (0..20).for_each(|case| prover.require(lemma(case)));
    let answer = prover.settle();
    assert!(matches!(answer, Answer::Unknown(_)), "{answer:?}");
    assert_eq!(Cache::from_bytes(&prover.into_cache().to_bytes()), Cache::default());
}

#[test]
fn a_wrong_table_breaks_its_lemma_among_many_right_ones() {
    for case in 0..10 {
        let mut prover = Prover::new(Limits::default(), Cache::default());
        (0..30).for_each(|other| prover.require(lemma(1000 + other)));
        prover.require(wrong_lemma(case));
        match prover.settle() {
            Answer::Refuted(broken) => assert!(broken.negation.holds(&broken.assignment)),
            other => panic!("case {case}: {other:?}"),
        }
        let remembered = prover.into_cache().to_bytes();
        let mut again = Prover::new(Limits::default(), Cache::from_bytes(&remembered));
        again.require(wrong_lemma(case));
        assert!(matches!(again.settle(), Answer::Refuted(_)), "case {case}: a broken lemma was remembered");
    }
}

#[test]
fn a_damaged_cache_proves_nothing_that_is_wrong() {
    let mut prover = Prover::new(Limits::default(), Cache::default());
    (0..8).for_each(|case| prover.require(lemma(case)));
    assert_eq!(prover.settle(), Answer::Proved);
    let whole = prover.into_cache().to_bytes();
    let mut known = Prover::new(Limits::default(), Cache::from_bytes(&whole));
    (0..8).for_each(|case| known.require(lemma(case)));
    assert_eq!((known.settle(), known.effort().remembered, known.effort().queries), (Answer::Proved, 8, 0));
    let mut rng = Rng::new(seed(), 3);
    for _ in 0..200 {
        let mut bytes = whole.clone();
        match rng.below(3) {
            0 => bytes.truncate(rng.below(whole.len())),
            1 => bytes.iter_mut().for_each(|byte| *byte ^= u8::try_from(rng.below(2)).unwrap()),
            _ => {
                let place = rng.below(bytes.len());
                bytes.insert(place, 7);
            }
        }
        let mut damaged = Prover::new(Limits::default(), Cache::from_bytes(&bytes));
        damaged.require(wrong_lemma(2));
        damaged.require(lemma(0));
        assert!(matches!(damaged.settle(), Answer::Refuted(_)));
    }
    for garbage in [&b""[..], b"egress lemmas 1", b"\0\0\0", &[0xff; 4096]] {
        assert_eq!(Cache::from_bytes(garbage), Cache::default());
    }
}

/// A formula over three flags, a small number, and numbers of 16, 32 and 128 bits.
fn formula(rng: &mut Rng, depth: u32) -> Formula {
    let leaf = depth == 0 || rng.chance(25);
    match rng.below(if leaf { 3 } else { 6 }) {
        0 => Formula::Flag(u32::try_from(rng.below(3)).unwrap()),
        1 | 2 => within(rng),
        3 => formula(rng, depth - 1).negated(),
        kind => {
            let parts = (0..rng.between(1, 3)).map(|_| formula(rng, depth - 1)).collect();
            if kind == 4 { Formula::All(parts) } else { Formula::Any(parts) }
        }
    }
}

fn within(rng: &mut Rng) -> Formula {
    let variables = [(0, 3), (1, 16), (2, 32), (3, 128)].map(|(number, bits)| Variable { number, bits });
    let variable = *rng.choose(&variables).unwrap();
    let highest = variable.highest();
    let mut ranges = Vec::new();
    for _ in 0..rng.between(0, 2) {
        let first = match rng.below(4) {
            0 => 0,
            1 => highest - rng.between_wide(0, 3.min(highest)),
            _ => rng.between_wide(0, highest),
        };
        let last = match rng.below(4) {
            0 => first,
            1 => highest,
            2 => first | rng.between_wide(0, 127) & highest,
            _ => rng.between_wide(first, highest),
        };
        ranges.push((first.min(last), first.max(last)));
    }
    // Some reach beyond the width, where no number is.
    if variable.bits < 128 && rng.chance(10) {
        ranges.push((highest + 1 + rng.between_wide(0, 9), highest + 20));
    }
    Formula::Within(variable, egress_ir::RangeSet::from_ranges(ranges).ranges().into())
}

#[test]
fn z3_says_what_trying_everything_says_and_the_least_is_the_least() {
    let (seed, count) = (seed(), cases(600));
    let (mut z3, mut everything) = (Z3::new(&Limits::default()), Exhaustive { limit: 1 << 17 });
    let (mut satisfiable, mut tried) = (0, 0);
    for case in 0..count {
        let formula = formula(&mut Rng::new(seed ^ 0x5ea, case), 4);
        let expected = everything.solve(&formula);
        if matches!(expected, Solution::Unknown(_)) {
            continue;
        }
        tried += 1;
        match (expected, z3.solve(&formula)) {
            (Solution::Unsatisfiable, Solution::Unsatisfiable) => {}
            (Solution::Satisfiable(_), Solution::Satisfiable(found)) => {
                assert!(formula.holds(&found), "seed {seed} case {case}");
                // Whoever looks for the least finds the same, by whatever solver.
                let by_z3 = least::solve(&mut z3, &formula);
                assert_eq!(by_z3, least::solve(&mut everything, &formula), "seed {seed} case {case}: {formula:?}");
                assert!(matches!(by_z3, Solution::Satisfiable(_)), "seed {seed} case {case}: {by_z3:?}");
                satisfiable += 1;
            }
            other => panic!("seed {seed} case {case}: {other:?} for {formula:?}"),
        }
    }
    println!("{tried} formulas, {satisfiable} of them satisfiable");
    assert!(tried * 2 > count && satisfiable * 10 < tried * 10 && satisfiable > tried / 3);
}
