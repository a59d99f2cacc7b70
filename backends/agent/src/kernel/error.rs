//! What can go wrong with the kernel, in words that say what to do.

use aya::maps::MapError;
use aya::pin::PinError;
use aya::programs::ProgramError;
use aya::{EbpfError, sys::SyscallError};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the kernel was not changed, or not read.
#[derive(Debug, Error)]
pub enum KernelError {
    /// The caller may not do this.
    #[error("no privilege to {what}; run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    NoPrivilege {
        /// What was tried.
        what: String,
    },
    /// There is no BPF file system.
    #[error("`{path}` is not a BPF file system; mount one with `mount -t bpf bpf {path}`")]
    NoBpffs {
        /// Where it should be.
        path: PathBuf,
    },
    /// The kernel is too old.
    #[error("the kernel is {found}, and 5.10 is the oldest that can enforce snapshots")]
    OldKernel {
        /// What it says of itself.
        found: String,
    },
    /// The cgroup is one of version 1.
    #[error(
        "`{path}` is a cgroup of version 1, which has no hook for packets; use one of the unified hierarchy (cgroup2)"
    )]
    CgroupV1 {
        /// Which.
        path: PathBuf,
    },
    /// The path is no cgroup.
    #[error("`{path}` is not a cgroup; give a folder of the unified hierarchy, such as one below /sys/fs/cgroup")]
    NoCgroup {
        /// Which.
        path: PathBuf,
    },
    /// The interface is not there.
    #[error("there is no interface `{name}` in this network namespace")]
    NoInterface {
        /// Which.
        name: String,
    },
    /// The tables are not what their layout says.
    #[error("the tables cannot be loaded: {why}")]
    Tables {
        /// In words.
        why: String,
    },
    /// A slot that is too large.
    #[error("slot {slot} is too large: at most {most} attach points are possible")]
    Slot {
        /// Which.
        slot: u32,
        /// How many there may be.
        most: u32,
    },
    /// The kernel's verifier said no.
    #[error("the kernel refused the program `{program}`: {source}\n{tail}")]
    Refused {
        /// Which program.
        program: String,
        /// The error of the system call.
        source: io::Error,
        /// The end of the verifier's log.
        tail: String,
    },
    /// A place has no generation.
    #[error("place {place} holds no generation to switch to")]
    EmptyPlace {
        /// Which.
        place: u32,
    },
    /// A pin is missing, or is something else than it should be.
    #[error("`{path}` is not what the agent pinned there: {why}; `egress-agent unload` removes everything")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// In words.
        why: String,
    },
    /// The file system said no.
    #[error("cannot {what} `{path}`: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The kernel said no.
    #[error("the kernel refused to {what}: {why}")]
    Kernel {
        /// What was tried.
        what: String,
        /// In words, with what stands behind it.
        why: String,
        /// The number of the error, where there is one.
        errno: Option<i32>,
    },
}

/// How many lines of the verifier's log are shown.
const TAIL: usize = 12;

impl KernelError {
    pub(super) fn file(what: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NoPrivilege { what: format!("{what} `{}`", path.display()) },
            _ => Self::File { what, path: path.to_owned(), source },
        }
    }

    pub(super) fn io(what: impl Into<String>, source: &io::Error) -> Self {
        Self::of(what.into(), source)
    }

    pub(super) fn map(name: &str, source: MapError) -> Self {
        Self::of(format!("use the map `{name}`"), &source)
    }

    pub(super) fn pin(path: &Path, source: PinError) -> Self {
        Self::of(format!("pin `{}`", path.display()), &source)
    }

    pub(super) fn object(name: &str, source: EbpfError) -> Self {
        Self::of(format!("make the maps of `{name}`"), &source)
    }

    pub(super) fn program(name: &str, source: ProgramError) -> Self {
        match source {
            ProgramError::LoadError { io_error, .. } if io_error.raw_os_error() == Some(libc::EPERM) => {
                Self::NoPrivilege { what: format!("load the program `{name}`") }
            }
            ProgramError::LoadError { io_error, verifier_log } => {
                let log = verifier_log.to_string();
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n");
                Self::Refused { program: name.to_owned(), source: io_error, tail }
            }
            other => Self::of(format!("use the program `{name}`"), &other),
        }
    }

    /// An error with everything that stands behind it; lack of privilege is told apart.
    pub(super) fn of(what: String, source: &(dyn Error + 'static)) -> Self {
        let mut why = source.to_string();
        let mut errno = number(source);
        let mut next = source.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !why.contains(&text) {
                why = format!("{why}: {text}");
            }
            errno = errno.or_else(|| number(cause));
            next = cause.source();
        }
        match errno {
            Some(libc::EPERM) => Self::NoPrivilege { what },
            errno => Self::Kernel { what, why, errno },
        }
    }
}

fn number(error: &(dyn Error + 'static)) -> Option<i32> {
    let direct = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    direct.or_else(|| error.downcast_ref::<SyscallError>().and_then(|error| error.io_error.raw_os_error()))
}
