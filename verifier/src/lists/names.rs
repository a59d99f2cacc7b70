//! Which guards the names of one destination can satisfy together.
//!
//! In: guards, as sets of classes of names. Out: every combination that some set of names satisfies, with the fewest
//! names that do; and the lemma that there are no others, over one flag for each class of names.

use super::lemma::Lemma;
use crate::solver::Formula;
use egress_ir::Vocabulary;
use egress_ir::plane::NamesId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Guards that hold together for a destination with these names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combination {
    /// The guards that hold.
    pub fired: BTreeSet<NamesId>,
    /// The names.
    pub names: Vec<String>,
}

/// Names can be combined in more ways than the limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyNames {
    /// The limit that was passed.
    pub limit: usize,
}

impl fmt::Display for TooManyNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the names of one destination can be combined in more than {} different ways", self.limit)
    }
}

impl std::error::Error for TooManyNames {}

/// All combinations, by the number of names they need.
pub(super) fn combinations(
    vocabulary: &Vocabulary,
    guards: &[NamesId],
    limit: usize,
) -> Result<Vec<Combination>, TooManyNames> {
    let single = singles(vocabulary, guards);
    let mut known: BTreeSet<BTreeSet<NamesId>> = BTreeSet::from([BTreeSet::new()]);
    let mut found = vec![Combination { fired: BTreeSet::new(), names: Vec::new() }];
    let mut next = 0;
    // Breadth first, so that each combination is met with the fewest names.
    while let Some(Combination { fired, names }) = found.get(next).cloned() {
        next += 1;
        for (more, name) in &single {
            let fired: BTreeSet<NamesId> = fired.union(more).copied().collect();
            if known.insert(fired.clone()) {
                let names = names.iter().chain([name]).cloned().collect();
                found.push(Combination { fired, names });
            }
            if found.len() > limit {
                return Err(TooManyNames { limit });
            }
        }
    }
    Ok(found)
}

/// The combinations that one name satisfies, each with a name.
fn singles(vocabulary: &Vocabulary, guards: &[NamesId]) -> BTreeMap<BTreeSet<NamesId>, String> {
    let mut single = BTreeMap::new();
    for (class, name) in (0u32..).zip(vocabulary.names()) {
        let holds = |guard: &&NamesId| vocabulary.name_set_at(**guard).binary_search(&class).is_ok();
        let fired: BTreeSet<NamesId> = guards.iter().filter(holds).copied().collect();
        if !fired.is_empty() {
            single.entry(fired).or_insert_with(|| name.clone());
        }
    }
    single
}

/// No choice of classes makes the guards hold in a combination that is not listed.
pub(super) fn lemma(vocabulary: &Vocabulary, guards: &[NamesId], found: &[Combination]) -> Lemma {
    let guard =
        |guard: &NamesId| Formula::Any(vocabulary.name_set_at(*guard).iter().map(|&c| Formula::Flag(c)).collect());
    let differs = |combination: &Combination| {
        let differs = guards.iter().map(|names| match combination.fired.contains(names) {
            true => guard(names).negated(),
            false => guard(names),
        });
        Formula::Any(differs.collect())
    };
    Lemma::never(Formula::All(found.iter().map(differs).collect()))
}
