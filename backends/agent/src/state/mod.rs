//! The agent's own state: which snapshot is at which place, and what is attached where as whom.
//!
//! In: a folder. Out: `place-0.egb` and `place-1.egb` (what the kernel has at its two places), `attachments.json`, `lock`.
//! Everything is written to a temporary file, synced and renamed, before the kernel is changed. The kernel is what is
//! enforced; state is only what the kernel cannot say of itself: meanings and identities.
//!
//! A snapshot is staged as `place-N.egb.next` before the kernel's place N becomes it, and renamed behind that. An agent
//! that was killed between leaves both files, and [`State::settle`] keeps the one that the kernel has.

mod lock;

pub(crate) use lock::{Lock, Purpose};

use crate::disk;
use crate::failure::Failure;
use crate::points::Name;
use crate::who::Who;
use egress_agent::kernel::{Generation, Kernel, Place};
use egress_snapshot::{Snapshot, file};
use serde::{Deserialize, Serialize};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// What is attached, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attachments {
    /// The version of this file's format: 1.
    pub(crate) version: u32,
    /// The version of the agent whose programs were attached.
    pub(crate) agent: String,
    /// By slot.
    pub(crate) points: Vec<Recorded>,
}

/// One point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    pub(crate) slot: u32,
    pub(crate) point: Name,
    pub(crate) who: Who,
    /// Whether what is denied fails early there. It stays so until the point is unloaded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) connect: bool,
}

impl Default for Attachments {
    fn default() -> Self {
        Self { version: 1, agent: env!("CARGO_PKG_VERSION").to_owned(), points: Vec::new() }
    }
}

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct State {
    folder: PathBuf,
}

impl State {
    /// The state in a folder, which may not be there.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The state in a folder that is made if it is not there, for this agent alone.
    pub(crate) fn lock(folder: &Path) -> Result<(Self, Lock), Failure> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| disk::cannot("make", folder, &error))?;
        Ok((Self::at(folder), Lock::take(folder, Purpose::Change)?))
    }

    /// The lock of one purpose alone, in a folder that is made if it is not there.
    pub(crate) fn lock_for(folder: &Path, purpose: Purpose) -> Result<Lock, Failure> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| disk::cannot("make", folder, &error))?;
        Lock::take(folder, purpose)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is attached; nothing where nothing was recorded.
    pub(crate) fn attachments(&self) -> Result<Attachments, Failure> {
        let path = self.folder.join("attachments.json");
        let Some(bytes) = disk::read_if_there(&path)? else { return Ok(Attachments::default()) };
        let read: Result<Attachments, _> = serde_json::from_slice(&bytes);
        let damaged = |why: String| {
            Failure::new(format!("`{}` is damaged: {why}", path.display()))
                .help("`egress-agent unload` removes everything; then load again with every attach point")
        };
        match read {
            Ok(read) if read.version == 1 => Ok(read),
            Ok(read) => Err(damaged(format!("it has version {}", read.version))),
            Err(error) => Err(damaged(error.to_string())),
        }
    }

    pub(crate) fn write_attachments(&self, attachments: &Attachments) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(attachments);
        let text = text.map_err(|error| Failure::new(format!("the attach points cannot be written: {error}")))?;
        disk::write(&self.folder.join("attachments.json"), &text)
    }

    /// Writes the snapshot that a place is about to hold.
    pub(crate) fn stage(&self, place: Place, bytes: &[u8]) -> Result<(), Failure> {
        disk::write(&self.next(place), bytes)
    }

    /// The place holds what was staged.
    pub(crate) fn promote(&self, place: Place) -> Result<(), Failure> {
        disk::rename(&self.next(place), &self.file(place))
    }

    /// The place will not hold what was staged.
    pub(crate) fn unstage(&self, place: Place) -> Result<(), Failure> {
        disk::remove(&self.next(place))
    }

    /// Finishes or undoes what a killed agent had begun.
    pub(crate) fn settle(&self, kernel: &Kernel) -> Result<(), Failure> {
        for place in Place::BOTH {
            if !self.next(place).exists() {
                continue;
            }
            let here = kernel.generation(place)?;
            let staged = self.matching(&self.next(place), here.as_ref())?;
            if staged.is_some() { self.promote(place)? } else { self.unstage(place)? }
        }
        Ok(())
    }

    /// The snapshot of a place's generation; nothing where the file is missing, damaged or another's.
    pub(crate) fn snapshot(&self, place: Place, generation: &Generation) -> Result<Option<Snapshot>, Failure> {
        match self.matching(&self.file(place), Some(generation))? {
            Some(snapshot) => Ok(Some(snapshot)),
            // The agent was killed, or is just now between the kernel's place and its file.
            None => self.matching(&self.next(place), Some(generation)),
        }
    }

    /// Removes everything but the lock.
    pub(crate) fn clear(&self) -> Result<(), Failure> {
        for place in Place::BOTH {
            disk::remove(&self.file(place))?;
            disk::remove(&self.next(place))?;
        }
        disk::remove(&self.folder.join("attachments.json"))
    }

    fn matching(&self, path: &Path, generation: Option<&Generation>) -> Result<Option<Snapshot>, Failure> {
        let (Some(bytes), Some(generation)) = (disk::read_if_there(path)?, generation) else { return Ok(None) };
        let read = file::read(&bytes).ok();
        Ok(read.filter(|snapshot| snapshot.tables.layout() == generation.layout()))
    }

    fn file(&self, place: Place) -> PathBuf {
        self.folder.join(format!("place-{}.egb", place.index()))
    }

    fn next(&self, place: Place) -> PathBuf {
        disk::beside(&self.file(place), "next")
    }
}
