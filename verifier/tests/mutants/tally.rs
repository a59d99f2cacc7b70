//! What became of mutants, and what the verifier says of one.

use egress_ir::{Plane, Program};
use egress_testkit::seed::Rng;
use egress_verifier::{Answer, Block, Fault, Prover, against_source};
use std::collections::BTreeMap;

/// Mutants by what became of them, for each kind.
#[derive(Debug, Default)]
pub(crate) struct Tally(pub(crate) BTreeMap<&'static str, Fates>);

/// How many mutants met which fate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fates {
    /// They mean something else, and were refuted.
    pub(crate) refuted: usize,
    /// They mean the same, and were proved.
    pub(crate) proved: usize,
    /// They are no artifact any more.
    pub(crate) refused: usize,
    /// They say something that is not understood.
    pub(crate) unclear: usize,
    /// They differ only where the other method does not look, and were refuted or proved.
    pub(crate) beyond: usize,
}

impl Tally {
    pub(crate) fn at(&mut self, kind: &'static str) -> &mut Fates {
        self.0.entry(kind).or_default()
    }

    /// All kinds together.
    pub(crate) fn sum(&self) -> Fates {
        self.0.values().fold(Fates::default(), |sum, fates| Fates {
            refuted: sum.refuted + fates.refuted,
            proved: sum.proved + fates.proved,
            refused: sum.refused + fates.refused,
            unclear: sum.unclear + fates.unclear,
            beyond: sum.beyond + fates.beyond,
        })
    }

    pub(crate) fn print(&self, what: &str) {
        for (kind, fates) in &self.0 {
            println!("{what} {kind}: {fates:?}");
        }
        println!("{what}: {:?}", self.sum());
    }
}

/// Where what enforces differs from the program; nothing where it is unclear.
pub(crate) fn blocks(program: &Program, plane: &dyn Plane, context: &str) -> Option<Vec<Block>> {
    let found = match against_source(program, plane, &mut Prover::default()) {
        Ok(found) => found,
        Err(Fault::Unclear(_)) => return None,
        Err(fault) => panic!("{context}: {fault}"),
    };
    match found.answer {
        Answer::Proved => Some(Vec::new()),
        Answer::Refuted(blocks) => Some(blocks),
        Answer::Unknown(reason) => panic!("{context}: {reason}"),
    }
}

/// At most so many of all, by chance but in their order.
pub(crate) fn some<T>(rng: &mut Rng, mut all: Vec<T>, most: usize) -> Vec<T> {
    while all.len() > most {
        all.remove(rng.below(all.len()));
    }
    all
}
