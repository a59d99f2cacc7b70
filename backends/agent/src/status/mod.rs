//! `egress-agent status`: what is enforced, where, and what it counted. Changes nothing.

mod facts;
mod gateways;
mod text;

use crate::arguments::Folders;
use crate::failure::{Failure, Outcome};
use crate::state::State;
use crate::terminal;
use egress_agent::kernel::Kernel;

/// The options of `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    folders: Folders,
}

/// Prints it.
pub(crate) fn run(options: &Status) -> Result<Outcome, Failure> {
    let state = State::at(&options.folders.state);
    let mut facts = match Kernel::look(&options.folders.bpffs)? {
        Some(kernel) => facts::facts(&kernel, &state)?,
        None => facts::Facts::default(),
    };
    facts.gateways = gateways::gateways(&state, &options.folders.bpffs)?;
    let text = if options.json {
        let json = serde_json::to_string_pretty(&facts);
        json.map_err(|error| Failure::new(format!("the status cannot be written: {error}")))? + "\n"
    } else {
        text::text(&facts)
    };
    terminal::print(text.as_bytes())?;
    Ok(Outcome::Done)
}
