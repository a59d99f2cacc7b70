//! A cgroup (version 2) of a test's own, which single threads join.
//!
//! In: a role for its name. Out: a folder below this process's own cgroup, for programs to be attached to, and threads
//! in it. It is threaded, so that a test can send from inside and from outside of it at once. The folder goes with the
//! value; what a killed test left behind goes with the next test that makes one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::gettid;

use super::error::{LabError, doing};

/// The folders' names begin so; the process and a number follow.
const PREFIX: &str = "egress-lab-";

/// A cgroup that ends with this value, which must outlive its threads.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes one without members.
    ///
    /// # Errors
    /// [`LabError::Unavailable`] where this machine has no cgroups of version 2, or lets nobody make threaded ones.
    pub fn new(role: &str) -> Result<Self, LabError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let home = home().ok_or_else(|| unavailable("no cgroups of version 2 are mounted"))?;
        sweep(&home);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = home.join(format!("{PREFIX}{}-{number}-{role}", std::process::id()));
        fs::create_dir(&path).map_err(|error| unavailable(&format!("no cgroup can be made: {error}")))?;
        let cgroup = Self { path };
        fs::write(cgroup.path.join("cgroup.type"), "threaded")
            .map_err(|error| unavailable(&format!("no threaded cgroup can be made: {error}")))?;
        Ok(cgroup)
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the calling thread, which is best one that soon ends, into the cgroup. Sockets that it opens from now on
    /// belong there; those that it opened before stay where they are.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn join(&self) -> Result<(), LabError> {
        let thread = gettid().as_raw().to_string();
        fs::write(self.path.join("cgroup.threads"), thread).map_err(doing("joining a cgroup"))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A thread that was joined may still be on its way out for a moment.
        let start = Instant::now();
        while fs::remove_dir(&self.path).is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
            && start.elapsed() < Duration::from_secs(2)
        {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The folder of this process's own cgroup.
fn home() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mounted = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let path = fields.next()?;
        (fields.next()? == "cgroup2").then(|| PathBuf::from(path))
    })?;
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = membership.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(mounted.join(own))
}

/// Removes what tests that were killed have left; a folder that is in use stays.
fn sweep(home: &Path) {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // Another test may be doing the same.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn unavailable(why: &str) -> LabError {
    LabError::Unavailable(why.to_owned())
}
