//! `egress-agent dump`: the kernel's live tables as a snapshot, with what is attached. Changes nothing.
//!
//! The meaning of outcomes and rows comes from the state folder; tables come from the kernel alone. The dump is not
//! signed: whoever signed the snapshot has not seen what the kernel has.

use crate::arguments::Folders;
use crate::disk;
use crate::failure::{Failure, Outcome};
use crate::generations;
use crate::state::State;
use crate::terminal;
use crate::who::Who;
use egress_agent::kernel::{Endpoint, Generation};
use egress_snapshot::file;
use egress_snapshot::meta::Attachment;
use std::path::PathBuf;

/// The options of `dump`.
#[derive(Debug, clap::Args)]
pub(crate) struct Dump {
    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    folders: Folders,
}

/// Writes it.
pub(crate) fn run(options: &Dump) -> Result<Outcome, Failure> {
    if options.output.is_none() && terminal::is_terminal() {
        return Err(Failure::new("a snapshot is not for the terminal").help("name a file with `-o FILE`"));
    }
    let state = State::at(&options.folders.state);
    let kernel = generations::look(&options.folders.bpffs)?;
    let active = generations::active(&kernel, &state)?;
    let mut meta = active.known()?.meta.clone();
    meta.attachments = attachments(&state, &active.generation)?;
    let bytes = file::write(&meta, &active.generation.tables()?, None).map_err(|error| {
        Failure::found(format!("what the kernel has is no sound snapshot: {error}")).help(error.help())
    })?;
    match &options.output {
        Some(path) => disk::write(path, &bytes)?,
        None => terminal::print(&bytes).map(drop)?,
    }
    Ok(Outcome::Done)
}

/// What is attached, with the rows that the kernel has.
fn attachments(state: &State, generation: &Generation) -> Result<Vec<Attachment>, Failure> {
    let points = state.attachments()?.points;
    let attachment = |recorded: crate::state::Recorded| {
        let row = match generation.endpoint(recorded.slot)? {
            Endpoint::Unknown => Some(generation.layout().default_row),
            Endpoint::ByAddress => None,
            Endpoint::Row(row) => Some(row),
        };
        let identity = match recorded.who {
            Who::Pod(identity) => Some(identity),
            Who::Unknown | Who::Address => None,
        };
        Ok(Attachment { point: recorded.point.text(), identity, row })
    };
    points.into_iter().map(attachment).collect()
}
