//! `egressc check`: reports everything that is wrong with a unit.
//!
//! In: files, and what to hold them against. Out: findings on standard output; exit code 1 if there are errors.

use crate::arguments::{FindingsArguments, UnitArguments, WorldArguments};
use crate::diagnose;
use crate::exit::{Failure, Outcome};
use crate::render;
use crate::terminal::{self, Colour};

/// The options of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    #[command(flatten)]
    unit: UnitArguments,
    #[command(flatten)]
    world: WorldArguments,
    #[command(flatten)]
    findings: FindingsArguments,
}

/// Checks and reports.
pub(crate) fn run(options: &Check, colour: Colour) -> Result<Outcome, Failure> {
    let diagnosed = diagnose::run(&options.unit, &options.world)?;
    let findings = &diagnosed.compiled.diagnostics;
    let report = diagnosed.report("check", findings);
    terminal::print(&render::render(&report, options.findings.format, colour.on_stdout()))?;
    Ok(diagnosed.outcome(findings, options.findings.deny_warnings))
}
