//! What the checker says of rules, proved for random programs; and false claims, found out. Seed and number of
//! programs: `EGRESS_SEED`, `EGRESS_CASES`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use egress_compiler::check::{Limits as CheckLimits, check};
use egress_ir::{Claims, Program, RuleId};
use egress_testkit::programs::{Shape, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use egress_verifier::claims::{Disagreement, confirm};
use egress_verifier::{Answer, Cache, Limits, Prover};
use std::collections::BTreeSet;

fn prove(program: &Program, claims: &Claims) -> Answer<Disagreement> {
    confirm(program, claims, &mut Prover::new(Limits::default(), Cache::default())).unwrap()
}

fn random(seed: u64, case: u64) -> Program {
    let shape = Shape {
        blocks: 1..=4,
        rules: 1..=3,
        gateways: 2,
        audit: case.is_multiple_of(2),
        hosts: case.is_multiple_of(3),
        ..Shape::everything()
    };
    random_program(&mut Rng::new(seed, case), &shape)
}

#[test]
fn all_that_the_checker_says_is_proved() {
    let (seed, cases) = (seed(), cases(300));
    let mut said = [0; 5];
    for case in 0..cases {
        let program = random(seed, case);
        for claims in check(&program, None, CheckLimits::default()).unwrap().claims {
            let answer = prove(&program, &claims);
            assert_eq!(answer, Answer::Proved, "seed {seed} case {case}: {claims:?} of {program:#?}");
            let Claims { dead, redundant, overridden, conflicts, rebinding, .. } = claims;
            let counts = [dead.len(), redundant.len(), overridden.len(), conflicts.len(), rebinding.len()];
            said.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    assert!(cases < 100 || said.iter().all(|count| *count > 0), "no case made some claim: {said:?}");
}

#[test]
fn a_claim_too_many_or_too_few_is_found_out() {
    let (seed, cases) = (seed(), cases(100));
    let mut changed = 0;
    for case in 0..cases {
        let program = random(seed, case);
        let mut rng = Rng::new(seed ^ 0xc1a1, case);
        let checked = check(&program, None, CheckLimits::default()).unwrap();
        let Some(claims) = checked.claims.into_iter().next() else { continue };
        let about: Vec<RuleId> = claims.about.iter().copied().collect();
        let Some(&rule) = rng.choose(&about) else { continue };
        for kind in 0..4 {
            let mut wrong = claims.clone();
            let set = [&mut wrong.dead, &mut wrong.redundant, &mut wrong.overridden, &mut wrong.rebinding];
            let set: &mut BTreeSet<RuleId> = set.into_iter().nth(kind).unwrap();
            if !set.remove(&rule) {
                set.insert(rule);
            }
            let answer = prove(&program, &wrong);
            assert!(
                matches!(answer, Answer::Refuted(_)),
                "seed {seed} case {case} kind {kind}: {wrong:?} of {program:#?}"
            );
            changed += 1;
        }
    }
    assert!(changed > cases, "only {changed} claims were changed");
}

#[test]
fn what_is_remembered_of_a_policy_never_changes_an_answer() {
    let (seed, cases) = (seed(), cases(60));
    let (mut asked_again, mut refuted) = (0, 0);
    for case in 0..cases {
        let before = random(seed, case);
        let mut rng = Rng::new(seed ^ 0xed17, case);
        let mut after = before.clone();
        let rules: Vec<RuleId> = after.rules.ids().collect();
        let (Some(&one), Some(&two)) = (rng.choose(&rules), rng.choose(&rules)) else { continue };
        let ports = after.rules.at(two).ports;
        after.rules.get_mut(one).unwrap().ports = ports;
        let mut first = Prover::new(Limits::default(), Cache::default());
        for claims in check(&before, None, CheckLimits::default()).unwrap().claims {
            assert_eq!(confirm(&before, &claims, &mut first).unwrap(), Answer::Proved);
        }
        let bytes = first.into_cache().to_bytes();
        for (program, changed) in [(&before, false), (&after, true)] {
            let mut again = Prover::new(Limits::default(), Cache::from_bytes(&bytes));
            for claims in check(program, None, CheckLimits::default()).unwrap().claims {
                let answer = confirm(program, &claims, &mut again).unwrap();
                assert_eq!(answer, Answer::Proved, "seed {seed} case {case}, changed: {changed}");
                let mut wrong = claims.clone();
                if !wrong.dead.remove(&one) {
                    wrong.dead.insert(one);
                }
                if wrong.about.contains(&one) {
                    let answer = confirm(program, &wrong, &mut again).unwrap();
                    assert!(matches!(answer, Answer::Refuted(_)), "seed {seed} case {case}, changed: {changed}");
                    refuted += 1;
                }
            }
            let effort = again.effort();
            assert!(changed || effort.queries == 0, "seed {seed} case {case}: {effort:?}");
            asked_again += usize::from(effort.queries > 0);
        }
    }
    assert!(asked_again > 0 && refuted > cases, "{asked_again} changes were proved, {refuted} claims refuted");
}
