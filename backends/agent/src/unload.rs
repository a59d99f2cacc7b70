//! `egress-agent unload`: everything is detached and removed, or only the named attach points are.

use crate::arguments::{At, Folders};
use crate::failure::{Failure, Outcome};
use crate::gateway::table;
use crate::points::{self, Name};
use crate::state::State;
use crate::terminal;
use egress_agent::kernel::{Endpoint, Kernel, Place};

/// The options of `unload`.
#[derive(Debug, clap::Args)]
pub(crate) struct Unload {
    #[command(flatten)]
    at: At,

    #[command(flatten)]
    folders: Folders,
}

/// Detaches.
pub(crate) fn run(options: &Unload) -> Result<Outcome, Failure> {
    let named = points::named(&options.at)?;
    let Some(_) = Kernel::look(&options.folders.bpffs)? else {
        terminal::print(b"nothing is loaded\n")?;
        return Ok(Outcome::Done);
    };
    let (state, _lock) = State::lock(&options.folders.state)?;
    let kernel = Kernel::open(&options.folders.bpffs)?;
    if named.is_empty() { everything(kernel, &state) } else { some(&kernel, &state, &named) }
}

/// State that cannot be read does not stop this: it is the way out.
fn everything(kernel: Kernel, state: &State) -> Result<Outcome, Failure> {
    for point in state.attachments().map(|attachments| attachments.points).unwrap_or_default() {
        kernel.detach(&point.point.point(), point.slot)?;
    }
    // While packets are still marked, nothing else would see to their addresses; afterwards nothing is marked.
    let had_gateways = Place::BOTH.into_iter().any(|place| {
        let held = kernel.generation(place).ok().flatten();
        held.is_some_and(|generation| generation.layout().gateway_mask != 0)
    });
    kernel.unload()?;
    if had_gateways {
        table::remove()?;
    }
    state.clear()?;
    terminal::print(b"everything is detached and removed; nothing is enforced any more\n")?;
    Ok(Outcome::Done)
}

fn some(kernel: &Kernel, state: &State, named: &[Name]) -> Result<Outcome, Failure> {
    let mut attachments = state.attachments()?;
    for name in named {
        if !attachments.points.iter().any(|point| point.point == *name) {
            return Err(Failure::new(format!("`{}` is not attached", name.text()))
                .help("`egress-agent status` lists what is attached"));
        }
    }
    let (go, stay) = attachments.points.into_iter().partition(|point| named.contains(&point.point));
    attachments.points = stay;
    for point in go {
        let point: crate::state::Recorded = point;
        kernel.detach(&point.point.point(), point.slot)?;
        // The next one at this slot must not be taken for this one.
        for place in Place::BOTH {
            kernel.generation(place)?.map_or(Ok(()), |held| held.set_endpoint(point.slot, Endpoint::Unknown))?;
        }
        terminal::print(format!("{} is detached\n", point.point.text()).as_bytes())?;
    }
    state.write_attachments(&attachments)?;
    Ok(Outcome::Done)
}
