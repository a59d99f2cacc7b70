//! A BPF file system and a network that one thread alone sees, and that end with it.
//!
//! In: the name of a test. Out: a [`Node`], or a loud word that the test was skipped (with `EGRESS_REQUIRE_LAB=1` a
//! failure). Never: anything that other threads or the machine could notice.

use egress_agent::kernel::Kernel;
use egress_testkit::lab::{LabError, or_skip};
use nix::sched::{CloneFlags, unshare};
use std::path::Path;
use std::process::Command;

/// The interface on which whole frames are sent; it is a bridge to nowhere, so that it swallows what passes.
pub(crate) const INTERFACE: &str = "lone";

/// A place of this thread's own where generations can be loaded.
pub(crate) struct Node {
    folder: tempfile::TempDir,
}

impl Node {
    /// Nothing, said loudly, where the test may not have one.
    pub(crate) fn for_test(name: &str) -> Option<Self> {
        or_skip(name, Self::new().map_err(LabError::Unavailable)).unwrap()
    }

    fn new() -> Result<Self, String> {
        if !nix::unistd::Uid::effective().is_root() {
            return Err("it must run as root".to_owned());
        }
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
            .map_err(|error| format!("no namespaces: {error}"))?;
        run("mount --make-rprivate /")?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        run(&format!("mount -t bpf bpf {}", folder.path().display()))?;
        Ok(Self { folder })
    }

    pub(crate) fn kernel(&self) -> Kernel {
        Kernel::open(self.path()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes [`INTERFACE`], with room for frames of two pages, in a network where nothing else is ever sent.
    pub(crate) fn add_interface(&self) {
        // Linux tells of itself over IPv6 when an interface comes up.
        for name in ["default", "all"] {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1").unwrap();
        }
        run(&format!("ip link add {INTERFACE} type bridge")).unwrap();
        run(&format!("ip link set {INTERFACE} mtu 9000 up")).unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // The namespace ends with the thread anyway; this lets the folder go.
        let _ended = run(&format!("umount {}", self.path().display()));
    }
}

fn run(line: &str) -> Result<(), String> {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap_or_default()).args(words).output();
    let output = output.map_err(|error| format!("`{line}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{line}`: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
