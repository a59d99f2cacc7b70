//! What became of mutants.

use egress_testkit::seed::Rng;
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

/// At most so many of all, by chance but in their order.
pub(crate) fn some<T>(rng: &mut Rng, mut all: Vec<T>, most: usize) -> Vec<T> {
    while all.len() > most {
        all.remove(rng.below(all.len()));
    }
    all
}
