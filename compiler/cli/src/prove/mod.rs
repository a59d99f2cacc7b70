//! Proving: the limits that people set, and what earlier runs remember.
//!
//! In: options. Out: a prover, and at the end how much it did. A cache that cannot be read or written is a warning, and
//! never stops a run. Proves nothing itself.

mod cache;

use cache::File;
use egress_compiler::Diagnostic;
use egress_verifier::prover::Effort;
use egress_verifier::{Cache, Limits, Prover};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

/// How much work goes into proofs.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Proofs")]
pub(crate) struct ProofArguments {
    /// The most steps of the solver for one query, the same on every machine [default: 400000000]
    #[arg(long, value_name = "N")]
    steps: Option<NonZeroU32>,
    /// The longest that one query may take [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// How many queries run side by side [default: one for each processor]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Where proofs are remembered [default: $XDG_CACHE_HOME/egressc, or ~/.cache/egressc]
    #[arg(long, value_name = "FOLDER", conflicts_with = "no_cache")]
    cache: Option<PathBuf>,
    /// Remember no proofs
    #[arg(long)]
    no_cache: bool,
}

/// A prover, and where it remembers.
#[derive(Debug)]
pub(crate) struct Session {
    /// The prover.
    pub(crate) prover: Prover,
    file: Option<File>,
    warnings: Vec<Diagnostic>,
}

/// How much was proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Work {
    /// Distinct lemmas that were asked for.
    pub(crate) lemmas: usize,
    /// How many of them an earlier run had proved.
    pub(crate) remembered: usize,
    /// Queries to the solver.
    pub(crate) queries: usize,
}

impl Session {
    /// A prover that knows what earlier runs proved.
    pub(crate) fn open(arguments: &ProofArguments) -> Self {
        let file = match (&arguments.cache, arguments.no_cache) {
            (_, true) => None,
            (Some(folder), false) => Some(File::chosen(folder)),
            (None, false) => File::usual(),
        };
        let mut warnings = Vec::new();
        let remembered = match file.as_ref().map(File::read) {
            None => Cache::default(),
            Some(Ok(cache)) => cache,
            Some(Err(warning)) => {
                warnings.push(*warning);
                Cache::default()
            }
        };
        Self { prover: Prover::new(arguments.limits(), remembered), file, warnings }
    }

    /// Remembers what was proved.
    pub(crate) fn close(self) -> Closed {
        let Effort { lemmas, remembered, queries } = self.prover.effort();
        let (cache, mut warnings) = (self.prover.into_cache(), self.warnings);
        if let Some(file) = &self.file
            && cache.has_changed()
        {
            warnings.extend(file.write(&cache.to_bytes()).err().map(|warning| *warning));
        }
        Closed { work: Work { lemmas, remembered, queries }, warnings }
    }
}

/// What is left of a session.
#[derive(Debug)]
pub(crate) struct Closed {
    /// How much was proved.
    pub(crate) work: Work,
    /// What is to be said about the memory.
    pub(crate) warnings: Vec<Diagnostic>,
}

impl ProofArguments {
    /// The limits that were set.
    pub(crate) fn limits(&self) -> Limits {
        let limits = Limits::default();
        let processors = || std::thread::available_parallelism().unwrap_or(limits.threads);
        Limits {
            steps: self.steps.or(limits.steps),
            time: self.timeout,
            threads: self.threads.unwrap_or_else(processors),
            ..limits
        }
    }
}

impl std::fmt::Display for Work {
    /// `1234 lemmas, 1200 of them remembered, 1 query`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counted = egress_answers::counted;
        f.write_str(&counted(self.lemmas, "lemma"))?;
        if self.remembered > 0 {
            write!(f, ", {} of them remembered", self.remembered)?;
        }
        match self.queries {
            0 => f.write_str(", no query"),
            1 => f.write_str(", 1 query"),
            more => write!(f, ", {more} queries"),
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number of seconds above 0, such as `30` or `0.5`".to_owned();
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    // The solver counts in milliseconds of 32 bits.
    let counted = (1..=u128::from(u32::MAX)).contains(&time.as_millis());
    if counted { Ok(time) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_that_the_solver_can_count() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "NaN", "inf", "1e9", "0.0001", "x", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn work_is_told_in_words() {
        let told = |lemmas, remembered, queries| Work { lemmas, remembered, queries }.to_string();
        assert_eq!(told(1, 0, 1), "1 lemma, 1 query");
        assert_eq!(told(12, 12, 0), "12 lemmas, 12 of them remembered, no query");
    }
}
