//! What the kernel has at its two places, together with what the state folder knows of it.

use crate::failure::Failure;
use crate::state::State;
use egress_agent::kernel::{Generation, Kernel, Place};
use egress_snapshot::Snapshot;
use std::path::Path;

/// A generation in the kernel.
pub(crate) struct Loaded {
    pub(crate) place: Place,
    pub(crate) generation: Generation,
    /// What it means; nothing where the state folder does not know it.
    pub(crate) snapshot: Option<Snapshot>,
}

impl Loaded {
    /// What it means.
    pub(crate) fn known(&self) -> Result<&Snapshot, Failure> {
        self.snapshot.as_ref().ok_or_else(|| {
            let number = self.generation.number();
            Failure::new(format!(
                "the state folder does not hold the snapshot of generation {number} that the kernel has"
            ))
            .help("give the `--state` folder that it was loaded with, or load a snapshot again")
        })
    }
}

/// The kernel as it is; an error when nothing is loaded.
pub(crate) fn look(bpffs: &Path) -> Result<Kernel, Failure> {
    Kernel::look(bpffs)?.ok_or_else(nothing)
}

/// The generation at a place.
pub(crate) fn at(kernel: &Kernel, state: &State, place: Place) -> Result<Option<Loaded>, Failure> {
    let Some(generation) = kernel.generation(place)? else { return Ok(None) };
    let snapshot = state.snapshot(place, &generation)?;
    Ok(Some(Loaded { place, generation, snapshot }))
}

/// The generation that is enforced.
pub(crate) fn active(kernel: &Kernel, state: &State) -> Result<Loaded, Failure> {
    at(kernel, state, kernel.active()?)?.ok_or_else(nothing)
}

fn nothing() -> Failure {
    Failure::new("nothing is loaded").help("load a snapshot with `egress-agent load SNAPSHOT --cgroup PATH`")
}
