//! `egressc completions`: a script that completes commands in a shell, on standard output.

use crate::arguments::Arguments;
use crate::exit::{Failure, Outcome};
use crate::terminal;
use clap::CommandFactory;

/// The options of `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Prints the script.
pub(crate) fn run(options: &Completions) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "egressc", &mut script);
    terminal::print_bytes(&script)?;
    Ok(Outcome::Holds)
}
