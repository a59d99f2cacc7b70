//! `egressc snapshot`: what a snapshot of the target ebpf holds.
//!
//! In: a file. Out: text for people or JSON. Everything that is shown was checked; of a broken file only the reason is
//! shown.

use crate::disk;
use crate::exit::{Failure, Outcome};
use crate::terminal;
use clap::{Args, Subcommand, ValueEnum};
use egress_snapshot::show;

/// The options of `snapshot`.
#[derive(Debug, Args)]
pub(crate) struct Snapshot {
    #[command(subcommand)]
    what: What,
}

/// What to do with a snapshot.
#[derive(Debug, Subcommand)]
enum What {
    /// Print what it holds: sizes, sources, workloads, rules, what becomes of flows
    Show(Show),
}

/// The options of `snapshot show`.
#[derive(Debug, Args)]
struct Show {
    /// The snapshot; - is standard input
    #[arg(value_name = "FILE")]
    file: String,
    /// The form of the output
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Form,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    #[default]
    Human,
    /// One JSON object
    Json,
}

/// Shows.
pub(crate) fn run(options: &Snapshot) -> Result<Outcome, Failure> {
    let What::Show(Show { file, format }) = &options.what;
    let bytes = disk::read_given(file, disk::SNAPSHOT_LIMIT)?;
    let snapshot = egress_snapshot::file::read(&bytes).map_err(|error| {
        Failure::new(format!("`{file}` cannot be used: {error}")).help("compile it again with `--target ebpf`")
    })?;
    terminal::print(&match format {
        Form::Human => show::text(&snapshot),
        Form::Json => format!("{:#}\n", show::json(&snapshot)),
    })?;
    Ok(Outcome::Holds)
}
