//! Attach points: what the user names, checked before anything is touched.
//!
//! In: options. Out: points that exist, with the one name by which state and identities know them.

use crate::arguments::At;
use crate::disk::cannot;
use crate::failure::Failure;
use egress_agent::kernel::{KernelError, Point, Side, Target};
use nix::net::if_::if_nametoindex;
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A point by its name: the same whatever exists at the moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Name {
    /// A folder of the unified hierarchy, absolute and without links.
    Cgroup(String),
    /// The host's end of a pair.
    Iface(String),
    /// Where packets leave.
    Uplink(String),
}

impl Name {
    /// As people read it, and as [`egress_snapshot::meta::Attachment::point`] has it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Cgroup(path) => format!("cgroup {path}"),
            Self::Iface(name) => format!("iface {name}"),
            Self::Uplink(name) => format!("uplink {name}"),
        }
    }

    pub(crate) fn point(&self) -> Point {
        match self {
            Self::Cgroup(path) => Point::Cgroup(path.into()),
            Self::Iface(name) => Point::Interface { name: name.clone(), side: Side::Pod },
            Self::Uplink(name) => Point::Interface { name: name.clone(), side: Side::Uplink },
        }
    }

    /// What is there now: the target that a link to it has; nothing when there is no such cgroup or interface.
    pub(crate) fn target(&self) -> Option<Target> {
        match self {
            Self::Cgroup(path) => fs::metadata(path).ok().map(|about| Target::Cgroup(about.ino())),
            Self::Iface(name) | Self::Uplink(name) => if_nametoindex(name.as_str()).ok().map(Target::Interface),
        }
    }

    /// Whether packets can be judged there.
    fn check(&self) -> Result<(), Failure> {
        match self {
            Self::Cgroup(path) => check_cgroup(Path::new(path)),
            Self::Iface(name) | Self::Uplink(name) => match self.target() {
                Some(_) => Ok(()),
                None => Err(KernelError::NoInterface { name: name.clone() }.into()),
            },
        }
    }
}

/// The points that options name, in their order, each once.
pub(crate) fn named(at: &At) -> Result<Vec<Name>, Failure> {
    let mut names = Vec::new();
    for path in &at.cgroup {
        names.push(Name::Cgroup(cgroup(path)?));
    }
    names.extend(at.iface.iter().cloned().map(Name::Iface));
    names.extend(at.uplink.iter().cloned().map(Name::Uplink));
    let mut once: Vec<Name> = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    let both = at.iface.iter().find(|name| at.uplink.contains(name));
    match both {
        Some(name) => Err(Failure::new(format!("`{name}` is given both as `--iface` and as `--uplink`"))
            .help("the host's end of a workload's pair is `--iface`; the way out of the machine is `--uplink`")),
        None => Ok(once),
    }
}

/// The points that options name, all of which exist.
pub(crate) fn existing(at: &At) -> Result<Vec<Name>, Failure> {
    let names = named(at)?;
    names.iter().try_for_each(Name::check)?;
    Ok(names)
}

/// A cgroup's path as state and identities know it.
pub(crate) fn cgroup(path: &Path) -> Result<String, Failure> {
    let whole: PathBuf = match fs::canonicalize(path) {
        Ok(whole) => whole,
        // It may be gone and still be detached.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.is_absolute() => path.to_owned(),
        Err(error) => return Err(cannot("find", path, &error)),
    };
    let text = whole.to_str().map(str::to_owned);
    text.ok_or_else(|| Failure::new(format!("the path `{}` is not text in UTF-8", path.display())))
}

fn check_cgroup(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(_) => {}
        Err(error) => return Err(cannot("find", path, &error)),
    }
    let has = |file: &str| path.join(file).exists();
    if has("cgroup.controllers") {
        Ok(())
    } else if has("cgroup.procs") || has("tasks") {
        Err(KernelError::CgroupV1 { path: path.to_owned() }.into())
    } else {
        Err(KernelError::NoCgroup { path: path.to_owned() }.into())
    }
}
