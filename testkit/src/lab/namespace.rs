//! One network namespace without a name, held by a file descriptor.
//!
//! In: commands and closures. Out: their results, computed with the namespace's network.
//! A nameless namespace goes with the last descriptor, so that neither a panic nor a kill of
//! the test leaves anything behind, and no two runs can collide over a name. It never moves the
//! calling thread: all work happens in a thread of its own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Output, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use super::error::{LabError, doing};

/// A network namespace, alive as long as this value (and sockets opened in it) are.
#[derive(Debug)]
pub struct Namespace {
    role: String,
    handle: File,
}

impl Namespace {
    /// Makes a namespace with its loopback up. `role` appears in error messages.
    ///
    /// # Errors
    /// When the kernel refuses (not root, no namespaces) or `ip` is missing.
    pub fn new(role: &str) -> Result<Self, LabError> {
        let opened = thread::scope(|scope| {
            scope
                .spawn(|| {
                    unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
                    File::open("/proc/thread-self/ns/net")
                })
                .join()
        });
        let handle = opened.map_err(|_| lost_thread(role))?.map_err(doing("making a network namespace"))?;
        let namespace = Self { role: role.to_owned(), handle };
        namespace.ip("link set lo up\n")?;
        Ok(namespace)
    }

    /// A path that names the namespace for `ip … netns PATH` and `nsenter --net=PATH`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.handle.as_raw_fd())
    }

    /// Runs `work` in a thread that is inside the namespace. Sockets it opens stay inside.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or `work` panicked.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.handle, CloneFlags::CLONE_NEWNET)
                    .map_err(io::Error::from)
                    .map_err(doing("entering a network namespace"))?;
                Ok(work())
            });
            inside.join().map_err(|_| lost_thread(&self.role))?
        })
    }

    /// Runs a program inside with `input` on its standard input; whatever it exits with.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn command(&self, program: &str, args: &[&str], input: &str) -> Result<Output, LabError> {
        self.run(|| run_program(program, args, input))?.map_err(doing(program))
    }

    /// Feeds lines to `ip -batch`, without the leading word `ip`.
    ///
    /// # Errors
    /// [`LabError::Tool`] with what `ip` said.
    pub fn ip(&self, batch: &str) -> Result<(), LabError> {
        self.succeed("ip", &["-batch", "-"], batch).map(drop)
    }

    /// Loads a ruleset as `nft -f` does: one text, one transaction.
    ///
    /// # Errors
    /// [`LabError::Tool`] with what `nft` said.
    pub fn nft(&self, ruleset: &str) -> Result<(), LabError> {
        self.succeed("nft", &["-f", "-"], ruleset).map(drop)
    }

    /// Dry-runs a ruleset against this namespace's kernel state as `nft -c -f` does.
    ///
    /// # Errors
    /// [`LabError::Tool`] with what `nft` said.
    pub fn nft_check(&self, ruleset: &str) -> Result<(), LabError> {
        self.succeed("nft", &["-c", "-f", "-"], ruleset).map(drop)
    }

    /// Runs `nft` with these arguments (such as `list table inet egressc`) and gives its output.
    ///
    /// # Errors
    /// [`LabError::Tool`] with what `nft` said.
    pub fn nft_read(&self, args: &[&str]) -> Result<String, LabError> {
        self.succeed("nft", args, "")
    }

    /// Packets counted so far by the named counter of a table, such as `inet egressc`.
    ///
    /// # Errors
    /// When the counter does not exist.
    pub fn nft_counter(&self, table: &str, name: &str) -> Result<u64, LabError> {
        let command = format!("list counter {table} {name}");
        let args: Vec<&str> = command.split(' ').collect();
        let listed = self.nft_read(&args)?;
        packets_in(&listed)
            .ok_or_else(|| LabError::Tool { tool: "nft".to_owned(), said: format!("no packet count in `{listed}`") })
    }

    /// Writes a per-namespace setting, such as `net/ipv4/ip_forward`.
    ///
    /// # Errors
    /// When the kernel has no such setting or refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<(), LabError> {
        self.run(|| fs::write(format!("/proc/sys/{key}"), value))?.map_err(doing(key))
    }

    fn succeed(&self, tool: &str, args: &[&str], input: &str) -> Result<String, LabError> {
        let output = self.command(tool, args, input)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(LabError::Tool {
            tool: tool.to_owned(),
            said: format!("in {}: {}", self.role, String::from_utf8_lossy(&output.stderr).trim()),
        })
    }
}

fn run_program(program: &str, args: &[&str], input: &str) -> io::Result<Output> {
    let mut child =
        Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // A program that stops reading early says why on its standard error, which is more telling
    // than the broken pipe, so only the program's own verdict counts.
    let pipe = child.stdin.take();
    thread::scope(|scope| {
        scope.spawn(move || pipe.map(|mut pipe| pipe.write_all(input.as_bytes())));
        child.wait_with_output()
    })
}

fn packets_in(listed: &str) -> Option<u64> {
    let mut words = listed.split_whitespace().skip_while(|word| *word != "packets");
    words.nth(1)?.parse().ok()
}

fn lost_thread(role: &str) -> LabError {
    LabError::Impossible(format!("the thread that worked in the {role} namespace panicked"))
}
