//! Random pairs: programs against themselves, against mutants of themselves, and against strangers.

use crate::agree::{Tally, agree};
use egress_ir::{Id, Program, RuleId};
use egress_testkit::mutants;
use egress_testkit::programs::{Shape, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use egress_verifier::{Answer, whole};

#[test]
fn diagrams_diff_and_whole_agree_on_random_pairs() {
    let (seed, cases) = (seed(), cases(500));
    let mut tally = Tally::default();
    for case in 0..cases {
        let mut rng = Rng::new(seed ^ 0xb0d, case);
        let before = random_program(&mut rng, &shape(case));
        let (how, after) = other(&mut rng, case, &before);
        add(&mut tally, agree(&before, &after, case.is_multiple_of(4), &format!("seed {seed} case {case}, {how}")));
    }
    println!("{tally:?}");
    assert!(tally.pairs as u64 == cases && tally.spaces as u64 > cases && tally.pods as u64 > cases);
    if cases >= 100 {
        assert!(tally.equal > tally.pairs / 6 && tally.equal < tally.pairs * 5 / 6, "{tally:?}");
        assert!(tally.blocks > tally.pairs && tally.whole > tally.pairs / 2, "{tally:?}");
    }
}

fn shape(case: u64) -> Shape {
    Shape { blocks: 1..=4, rules: 0..=4, hosts: case.is_multiple_of(2), ..Shape::everything() }
}

#[test]
fn whole_finds_the_same_flow_each_time_and_knows_its_limits() {
    let (mut refuted, one_rule) = (0, whole::Limits { rules: 1, ..whole::Limits::default() });
    for case in 0..20 {
        let program = |case| random_program(&mut Rng::new(seed(), case), &shape(case));
        let (before, after) = (program(case), program(case + 1));
        let ask = |limits: &whole::Limits| whole::compare_everybody(&before, &after, limits).unwrap();
        let answer = ask(&whole::Limits::default());
        assert_eq!(answer, ask(&whole::Limits::default()), "case {case}");
        refuted += usize::from(matches!(answer, Answer::Refuted(_)));
        if before.rules.len() > 1 {
            assert!(matches!(ask(&one_rule), Answer::Unknown(_)), "case {case}");
        }
    }
    assert!(refuted > 10, "{refuted}");
}

/// Another program, and how it came to be.
fn other(rng: &mut Rng, case: u64, before: &Program) -> (String, Program) {
    match case % 5 {
        0 => ("the same in another order".to_owned(), reversed(before)),
        1 => ("a stranger".to_owned(), random_program(rng, &shape(case))),
        _ => {
            let (mut how, mut after) = (Vec::new(), before.clone());
            for _ in 0..rng.between(1, 3) {
                let mutants = mutants::programs(&after);
                if let Some(mutant) = rng.choose(&mutants) {
                    how.push(mutant.what.clone());
                    after = mutant.changed.apply(&after);
                }
            }
            (how.join("; "), after)
        }
    }
}

/// A program with as many rules as the other, in the opposite order.
pub(crate) fn reversed(program: &Program) -> Program {
    let mut turned = program.clone();
    let count = program.rules.len();
    let other = |id: RuleId| RuleId::from_index(u32::try_from(count - 1 - id.index()).unwrap());
    for (id, rule) in program.rules.iter() {
        *turned.rules.get_mut(other(id)).unwrap() = *rule;
    }
    for id in program.blocks.ids().collect::<Vec<_>>() {
        let block = turned.blocks.get_mut(id).unwrap();
        block.rules = block.rules.iter().map(|&rule| other(rule)).collect();
    }
    turned
}

/// Adds up what was checked.
pub(crate) fn add(sum: &mut Tally, more: Tally) {
    sum.pairs += more.pairs;
    sum.equal += more.equal;
    sum.spaces += more.spaces;
    sum.blocks += more.blocks;
    sum.pods += more.pods;
    sum.whole += more.whole;
}
