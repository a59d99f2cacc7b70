//! Random pairs: programs against themselves, against mutants of themselves, and against strangers.

use crate::agree::{Tally, agree, reversed};
use egress_ir::Program;
use egress_testkit::mutants;
use egress_testkit::programs::{Shape, random_program};
use egress_testkit::seed::{Rng, cases, seed};

#[test]
fn diagrams_diff_and_whole_agree_on_random_pairs() {
    let (seed, cases) = (seed(), cases(500));
    let mut tally = Tally::default();
    for case in 0..cases {
        let mut rng = Rng::new(seed ^ 0xb0d, case);
        let before = random_program(&mut rng, &shape(case));
        let (how, after) = other(&mut rng, case, &before);
        tally.add(agree(&before, &after, case.is_multiple_of(4), &format!("seed {seed} case {case}, {how}")));
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
                    after = mutant.changed.clone();
                }
            }
            (how.join("; "), after)
        }
    }
}
