//! Which gateways there are: those of a snapshot, of an nftables file, or of the generation that is enforced.
//!
//! In: what the user names. Out: gateways by number, and the mask of their marks.

use crate::disk;
use crate::failure::Failure;
use crate::generations;
use crate::state::State;
use egress_agent::kernel::Kernel;
use egress_snapshot::{Snapshot, file, gateway};
use std::path::{Path, PathBuf};

/// Gateways and the mask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gateways {
    pub(crate) all: Vec<gateway::Gateway>,
    /// 0: there are none.
    pub(crate) mask: u32,
    /// By which hardware address whoever holds a gateway is reached.
    pub(crate) reached: Reached,
}

/// How the holder of a gateway is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reached {
    /// By the hardware address of the interface that this agent makes, so that packets come in there and nowhere else.
    #[default]
    Own,
    /// By that of VRRP's virtual router of the gateway's number, likewise.
    Vrrp,
    /// By whichever neighbours say: the node that gets packets judges them again by their sources.
    Asked,
}

impl Gateways {
    /// Those of a snapshot.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self { all: snapshot.meta.gateways.clone(), mask: snapshot.tables.layout().gateway_mask, ..Self::default() }
    }
}

/// Where they come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Snapshot(PathBuf),
    Artifact(PathBuf),
    /// What is enforced: the BPF file system and the state folder.
    Running(PathBuf, PathBuf),
}

impl Source {
    /// Reads them.
    pub(super) fn read(&self) -> Result<Gateways, Failure> {
        match self {
            Self::Snapshot(path) => of_snapshot(path),
            Self::Artifact(path) => of_artifact(path),
            Self::Running(bpffs, state) => {
                let kernel = generations::look(bpffs)?;
                let active = generations::active(&kernel, &State::at(state))?;
                Ok(Gateways::of(active.known()?))
            }
        }
    }

    /// Something that changes when the gateways may have; nothing where only a signal says so.
    pub(super) fn version(&self) -> Option<u64> {
        let Self::Running(bpffs, _) = self else { return None };
        let kernel = Kernel::look(bpffs).ok()??;
        let place = kernel.active().ok()?;
        kernel.generation(place).ok()?.map(|generation| generation.number() << 1 | u64::from(place.index()))
    }
}

fn of_snapshot(path: &Path) -> Result<Gateways, Failure> {
    let snapshot = file::read(&disk::read(path)?)
        .map_err(|error| Failure::new(format!("`{}` is no snapshot: {error}", path.display())).help(error.help()))?;
    Ok(Gateways::of(&snapshot))
}

fn of_artifact(path: &Path) -> Result<Gateways, Failure> {
    let read = gateway::Gateways::of_file(&disk::read_text(path)?);
    let read = read.map_err(|error| {
        Failure::new(format!("`{}`: {error}", path.display())).help("compile the policy again with `--target nftables`")
    })?;
    Ok(read.map(|read| Gateways { all: read.gateways, mask: read.mask, reached: Reached::Asked }).unwrap_or_default())
}
