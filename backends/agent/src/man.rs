//! `egress-agent man`: a manual page in roff, on standard output.

use crate::arguments::Arguments;
use crate::failure::{Failure, Outcome};
use crate::terminal;
use clap::CommandFactory;

/// The options of `man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// The verb whose page to print [default: the page of egress-agent itself]
    #[arg(value_name = "VERB")]
    verb: Option<String>,
}

/// Prints the page.
pub(crate) fn run(options: &Man) -> Result<Outcome, Failure> {
    let mut all = Arguments::command();
    all.build();
    let command = match &options.verb {
        None => all,
        Some(verb) => {
            let page = all.find_subcommand(verb);
            page.cloned().ok_or_else(|| Failure::new(format!("there is no verb `{verb}`")))?
        }
    };
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut page);
    rendered.map_err(|error| Failure::new(format!("the page cannot be made: {error}")))?;
    terminal::print(&page)?;
    Ok(Outcome::Done)
}
