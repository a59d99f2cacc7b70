//! The three answers, and how much work may go into one.
//!
//! In: nothing. Out: values that every question of this crate is answered with.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// What is known of a statement about all flows. Unknown is never success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<W> {
    /// It holds for every flow.
    Proved,
    /// It does not: here is why, replayed by an evaluator.
    Refuted(W),
    /// Nothing is known, for this reason (lower case, no full stop).
    Unknown(String),
}

impl<W> Answer<W> {
    /// Whether the statement holds.
    pub fn is_proved(&self) -> bool {
        matches!(self, Self::Proved)
    }

    /// The same answer with another witness.
    pub fn map<V>(self, change: impl FnOnce(W) -> V) -> Answer<V> {
        match self {
            Self::Proved => Answer::Proved,
            Self::Refuted(witness) => Answer::Refuted(change(witness)),
            Self::Unknown(reason) => Answer::Unknown(reason),
        }
    }
}

/// How much work may go into proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most steps of z3 for one query (`rlimit`): the same on every machine.
    pub steps: Option<NonZeroU32>,
    /// The longest that one query may take: depends on the machine, so that steps should run out first.
    pub time: Option<Duration>,
    /// How many queries run side by side.
    pub threads: NonZeroUsize,
    /// The most ways in which workload sets may overlap.
    pub source_classes: usize,
    /// The most combinations of names that one destination may have, as far as one list of rules tells them apart.
    pub name_combinations: usize,
}

impl Default for Limits {
    /// No limit in time; steps for queries some hundred times as hard as those of 100,000 rules.
    fn default() -> Self {
        Self {
            steps: NonZeroU32::new(400_000_000),
            time: None,
            threads: NonZeroUsize::MIN,
            source_classes: 1 << 16,
            name_combinations: 1 << 12,
        }
    }
}
