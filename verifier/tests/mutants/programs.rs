//! Mutants of programs: of every unit of `testdata/`, and of random programs.

use crate::agree::agree;
use crate::tally::{Tally, some};
use crate::units;
use egress_ir::Program;
use egress_testkit::mutants;
use egress_testkit::programs::{Shape, random_program};
use egress_testkit::seed::{Rng, cases, seed};

/// Random programs, and the most mutants of each.
const PROGRAMS: u64 = 40;
const OF_A_PROGRAM: usize = 15;
const OF_A_UNIT: usize = 10;

#[test]
fn every_mutant_of_a_program_is_refuted_or_means_the_same() {
    let (seed, count) = (seed(), cases(PROGRAMS));
    let (mut tally, mut blocks) = (Tally::default(), 0);
    for case in 0..count {
        let mut rng = Rng::new(seed ^ 0x3a7, case);
        let shape = Shape { blocks: 1..=3, rules: 1..=3, hosts: case.is_multiple_of(2), ..Shape::everything() };
        let program = random_program(&mut rng, &shape);
        blocks += hold(&mut rng, &program, OF_A_PROGRAM, &format!("seed {seed} case {case}"), &mut tally);
    }
    for (name, program) in units::all() {
        blocks += hold(&mut Rng::new(seed, 5), &program, OF_A_UNIT, &name, &mut tally);
    }
    tally.print("programs");
    println!("programs: {blocks} blocks, each exactly where diagrams differ");
    let sum = tally.sum();
    assert!(sum.refuted > 0 && sum.proved > 0 && sum.refused + sum.unclear + sum.beyond == 0 && blocks >= sum.refuted);
    if count >= PROGRAMS {
        assert!(sum.refuted + sum.proved >= 500 && sum.refuted > 200 && tally.0.len() >= 18, "{sum:?}");
    }
}

/// Holds some mutants of a program against it; in how many blocks they differ.
fn hold(rng: &mut Rng, program: &Program, most: usize, context: &str, tally: &mut Tally) -> usize {
    let mut blocks = 0;
    for mutant in some(rng, mutants::programs(program), most) {
        let changed = mutant.changed.apply(program);
        let found = agree(program, &changed, false, &format!("{context}: {}", mutant.what));
        let fates = tally.at(mutant.kind);
        fates.proved += found.equal;
        fates.refuted += found.pairs - found.equal;
        blocks += found.blocks;
    }
    blocks
}
