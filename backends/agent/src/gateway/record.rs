//! What the last turn of `gateway` found, for `status`: `gateways.json` in the state folder. Written when it changes.

use super::keep::Present;
use super::options::Gateway;
use super::source::Gateways;
use crate::disk;
use crate::failure::Failure;
use egress_snapshot::gateway;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// The process that keeps the gateways; it may be gone.
    pub(crate) process: u32,
    /// The bits of the mark that count.
    pub(crate) mask: u32,
    /// The gateways.
    pub(crate) gateways: Vec<gateway::Gateway>,
    /// Addresses that the agent brought up on this node.
    pub(crate) held: Vec<IpAddr>,
    /// Who holds the lease, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lease_holder: Option<String>,
}

fn path(folder: &Path) -> PathBuf {
    folder.join("gateways.json")
}

pub(super) fn write(
    options: &Gateway,
    gateways: &Gateways,
    present: &Present,
    lease_holder: Option<String>,
) -> Result<(), Failure> {
    let record = Record {
        process: std::process::id(),
        mask: gateways.mask,
        gateways: gateways.all.clone(),
        held: present.held.iter().copied().collect(),
        lease_holder,
    };
    if read(&options.folders.state)?.as_ref() == Some(&record) {
        return Ok(());
    }
    std::fs::create_dir_all(&options.folders.state)
        .map_err(|error| disk::cannot("make", &options.folders.state, &error))?;
    let text = serde_json::to_vec_pretty(&record);
    let text = text.map_err(|error| Failure::new(format!("the gateways cannot be written: {error}")))?;
    disk::write(&path(&options.folders.state), &text)
}

/// What was written last; nothing where nothing was.
pub(crate) fn read(folder: &Path) -> Result<Option<Record>, Failure> {
    let path = path(folder);
    let Some(bytes) = disk::read_if_there(&path)? else { return Ok(None) };
    let read = serde_json::from_slice(&bytes);
    read.map(Some).map_err(|error| {
        Failure::new(format!("`{}` is damaged: {error}", path.display())).help("remove it; `gateway` writes it again")
    })
}

pub(super) fn remove(options: &Gateway) -> Result<(), Failure> {
    disk::remove(&path(&options.folders.state))
}
