//! `egress-agent run`: loads a snapshot, and learns names for it for as long as it runs: what a node needs in one process.
//!
//! In: the options of both. Out: an enforced snapshot, which stays so when this program ends, and names that the kernel
//! knows, which end by their time then.

use crate::failure::{Failure, Outcome};
use crate::load::{self, Load};
use crate::names::{self, Learning, Names};

/// The options of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    load: Load,

    #[command(flatten)]
    learning: Learning,
}

/// Loads, then learns.
pub(crate) fn run(options: &Run) -> Result<Outcome, Failure> {
    match load::run(&options.load)? {
        Outcome::Done if !options.load.is_rehearsal() => {
            names::run(&Names::of_snapshot(options.learning.clone(), options.load.folders().clone()))
        }
        other => Ok(other),
    }
}
