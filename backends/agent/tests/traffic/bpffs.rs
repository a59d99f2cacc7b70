//! A BPF file system that only this thread and those that it starts see, and that ends with it.

use egress_testkit::lab::LabError;
use nix::sched::{CloneFlags, unshare};
use std::path::Path;
use std::process::Command;

/// The mounted file system.
pub(crate) struct Bpffs(tempfile::TempDir);

impl Bpffs {
    pub(crate) fn new() -> Result<Self, LabError> {
        let unavailable = |why: String| LabError::Unavailable(why);
        unshare(CloneFlags::CLONE_NEWNS).map_err(|error| unavailable(format!("no namespaces: {error}")))?;
        let folder = tempfile::tempdir().map_err(|error| unavailable(error.to_string()))?;
        let path = folder.path().to_string_lossy().into_owned();
        for arguments in [&["--make-rprivate", "/"][..], &["-t", "bpf", "bpf", &path]] {
            let output = Command::new("mount").args(arguments).output();
            let output = output.map_err(|error| unavailable(format!("`mount`: {error}")))?;
            if !output.status.success() {
                return Err(unavailable(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
            }
        }
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // It ends with the thread's namespace anyway; this lets the folder go.
        let _ended = Command::new("umount").arg(self.0.path()).output();
    }
}
