//! `egress-agent completions`: a script that completes commands in a shell, on standard output.

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
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
    clap_complete::generate(options.shell, &mut Arguments::command(), "egress-agent", &mut script);
    terminal::print(&script)?;
    Ok(Outcome::Done)
}
