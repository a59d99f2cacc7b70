//! The units of `testdata/`, each against itself and against mutants of itself.

use crate::agree::{Tally, agree};
use crate::random::{add, reversed};
use crate::units;
use egress_testkit::mutants;
use egress_testkit::seed::{Rng, seed};

/// The most mutants of one unit: of each kind some, others by chance.
const MUTANTS: usize = 25;

#[test]
fn diagrams_diff_and_whole_agree_on_every_unit() {
    let mut tally = Tally::default();
    for (name, program) in units::all() {
        // One query about thousands of published addresses takes z3 too long.
        let small = program.rules.len() <= 64 && units::ranges(&program) <= 500;
        add(&mut tally, agree(&program, &program, small, &name));
        add(&mut tally, agree(&program, &reversed(&program), false, &name));
        let most = if small { MUTANTS } else { MUTANTS / 5 };
        for mutant in some(mutants::programs(&program), most) {
            add(
                &mut tally,
                agree(&program, &mutant.changed.apply(&program), small, &format!("{name}: {}", mutant.what)),
            );
        }
        println!("{name}: {tally:?}");
    }
    assert!(tally.pairs > 100 && tally.equal >= 20 && tally.blocks > 100, "{tally:?}");
}

/// At most so many mutants, chosen by the seed.
fn some<T>(mut all: Vec<T>, most: usize) -> Vec<T> {
    let mut rng = Rng::new(seed(), 77);
    while all.len() > most {
        all.swap_remove(rng.below(all.len()));
    }
    all
}
