//! `egress-agent rollback`: the generation before is enforced again, by one store. Rolling back twice comes back.

use crate::arguments::Folders;
use crate::failure::{Failure, Outcome};
use crate::gateway::Turn;
use crate::generations;
use crate::state::State;
use crate::terminal;
use egress_agent::kernel::Kernel;
use egress_snapshot::show::hex;

/// The options of `rollback`.
#[derive(Debug, clap::Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    folders: Folders,
}

/// Switches back.
pub(crate) fn run(options: &Rollback) -> Result<Outcome, Failure> {
    generations::look(&options.folders.bpffs)?;
    let (state, _lock) = State::lock(&options.folders.state)?;
    let kernel = Kernel::open(&options.folders.bpffs)?;
    state.settle(&kernel)?;
    let place = kernel.active()?.other();
    let before = generations::at(&kernel, &state, place)?;
    let before = before.ok_or_else(|| Failure::new("there is no other generation to go back to"))?;
    let snapshot = before.known()?;
    for point in state.attachments()?.points {
        before.generation.set_endpoint(point.slot, point.who.endpoint(&snapshot.meta))?;
    }
    let running = generations::at(&kernel, &state, place.other())?;
    let turn = Turn::new(running.as_ref().and_then(|loaded| loaded.snapshot.as_ref()), snapshot);
    turn.begin()?;
    if let Err(error) = kernel.switch(place) {
        return Err(Failure::from(error).and(turn.undo()));
    }
    turn.finish(&kernel)?;
    let (generation, digest) = (snapshot.meta.generation, hex(&snapshot.digest));
    terminal::print(format!("generation {generation} (sha256:{digest}) is enforced again\n").as_bytes())?;
    Ok(Outcome::Done)
}
