//! The options of `names`, and the policy that they name.

use crate::arguments::Folders;
use crate::disk;
use crate::failure::Failure;
use crate::generations;
use crate::state::State;
use clap::ValueEnum;
use egress_agent::kernel::{Learned, Place};
use egress_agent::learning::ebpf::Sets;
use egress_agent::learning::{Limits, Policy, RebindOk};
use egress_snapshot::names;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

/// The options of `names`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Names {
    #[command(subcommand)]
    pub(super) what: Option<What>,

    /// The policy: a file that `egressc compile --target nftables` wrote, and that nft has loaded [default: the snapshot
    /// that the kernel enforces]
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,

    #[command(flatten)]
    pub(super) learning: Learning,

    /// Only print something: nftables rules that bring queries to the addresses of `--listen`
    #[arg(long, value_enum)]
    pub(super) print: Option<Print>,

    #[command(flatten)]
    pub(super) folders: Folders,
}

/// How names are learned.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Learning {
    /// Resolvers that are asked, or whose answers are believed [default: those of the policy]
    #[arg(long, value_name = "ADDRESS[:PORT]", num_args = 1..)]
    pub(super) resolver: Vec<At>,

    /// Forward queries that come to this address, and hold each answer until the kernel knows it
    #[arg(long, value_name = "ADDRESS[:PORT]", num_args = 1..)]
    pub(super) listen: Vec<At>,

    /// Read the answers that leave through these interfaces towards workloads, without holding them
    #[arg(long, value_name = "IF", num_args = 1..)]
    pub(super) watch: Vec<String>,

    /// How many seconds an address stays known beyond its time
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(..=86_400))]
    pub(super) grace: u32,

    /// The least time that an answer counts for, whatever it says
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=86_400))]
    pub(super) min_ttl: u32,

    /// The longest time that an answer counts for, whatever it says
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=604_800))]
    pub(super) max_ttl: u32,

    /// How long after its last answer an address stays known while packets still go there
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u32).range(..=2_592_000))]
    pub(super) keep_used: u32,

    /// The most pairs of client and address that are known at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(super) most: u32,

    /// Names that may have private addresses, or addresses inside the cluster
    #[arg(long, value_name = "PATTERN[=PREFIX]", num_args = 1..)]
    pub(super) rebind_ok: Vec<RebindOk>,

    /// The mark of the packets by which the agent asks resolvers, so that rules can let them alone; 0: none
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(super) mark: u32,
}

/// What else can be done about names.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum What {
    /// Load an nftables file with what the kernel knows of names, in one transaction
    Load(super::load::Load),
    /// Say what is known and why, as the agent that learns has it
    Status(super::status::Status),
}

/// What can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Print {
    /// An nftables table
    Rules,
}

/// An address with or without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At(pub(super) SocketAddr);

/// DNS's port.
pub(super) const PORT: u16 = 53;

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let address = bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT)).or_else(|_| text.parse());
        match address {
            Ok(address) if address.ip().is_unspecified() => {
                Err("name one address: answers must come from where the client asked".to_owned())
            }
            Ok(address) => Ok(Self(address)),
            Err(_) => Err("not an address, such as `10.42.0.10`, `10.42.0.10:53` or `[fd00::10]:53`".to_owned()),
        }
    }
}

/// A policy and its resolvers.
pub(super) struct Read {
    pub(super) policy: Policy,
    pub(super) resolvers: Vec<SocketAddr>,
    /// The sets of names of the snapshot that is enforced.
    pub(super) sets: Sets,
}

/// Which policy it is; another one wants to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// The file as of then.
    File(SystemTime),
    /// This generation, at this place.
    Generation(Place, u64),
}

impl Names {
    /// As by the command line, for the snapshot in force.
    pub(crate) fn of_snapshot(learning: Learning, folders: Folders) -> Self {
        Self { what: None, policy: None, learning, print: None, folders }
    }

    pub(super) fn limits(&self) -> Limits {
        let milliseconds = |seconds: u32| u64::from(seconds) * 1000;
        Limits {
            least: milliseconds(self.learning.min_ttl),
            greatest: milliseconds(self.learning.max_ttl.max(self.learning.min_ttl)),
            grace: milliseconds(self.learning.grace),
            in_use: milliseconds(self.learning.keep_used),
            most: self.learning.most as usize,
        }
    }

    /// Which policy it is now; nothing where that cannot be said.
    pub(super) fn version(&self) -> Option<Version> {
        match &self.policy {
            Some(file) => std::fs::metadata(file).and_then(|meta| meta.modified()).ok().map(Version::File),
            None => {
                let kernel = generations::look(&self.folders.bpffs).ok()?;
                let place = kernel.active().ok()?;
                let generation = kernel.generation(place).ok()??;
                Some(Version::Generation(place, generation.number()))
            }
        }
    }

    /// What the kernel's programs know of names.
    pub(super) fn learned(&self) -> Result<Learned, Failure> {
        Ok(generations::look(&self.folders.bpffs)?.learned()?)
    }

    /// The names of the policy as it is now, what it is called, and its sets of names.
    fn names(&self) -> Result<(names::Names, PathBuf, Sets), Failure> {
        if let Some(file) = &self.policy {
            return Ok((names_of(file, &disk::read_text(file)?)?, file.clone(), Sets::new()));
        }
        let kernel = generations::look(&self.folders.bpffs)?;
        let loaded = generations::active(&kernel, &State::at(&self.folders.state))?;
        let meta = &loaded.known()?.meta;
        let called = format!("generation {}", meta.generation);
        let names = meta.names.clone().ok_or_else(|| {
            Failure::new(format!("{called} has no rules on names"))
                .help("load a snapshot that has some, or name an nftables file with `--policy`")
        })?;
        let mut sets = Sets::new();
        for set in (0..).take(meta.name_sets.len()) {
            let (Some(id), Some(hosts)) = (meta.id_of(set), meta.hosts_of(set)) else { continue };
            for host in hosts {
                sets.entry(host.to_owned()).or_default().push(id);
            }
        }
        Ok((names, PathBuf::from(called), sets))
    }

    /// Reads the policy as it is now.
    pub(super) fn read(&self) -> Result<Read, Failure> {
        let (names, called, sets) = self.names()?;
        let resolvers = match self.learning.resolver.as_slice() {
            [] => names.resolvers.iter().map(|address| SocketAddr::new(*address, PORT)).collect(),
            given => given.iter().map(|at| at.0).collect::<Vec<_>>(),
        };
        if resolvers.is_empty() {
            return Err(Failure::new("no resolver is known").help("name them with `--resolver ADDRESS…`"));
        }
        Ok(Read { policy: policy_of(&called, &names, self.learning.rebind_ok.clone())?, resolvers, sets })
    }
}

/// The names of a policy's file.
pub(super) fn names_of(path: &Path, text: &str) -> Result<names::Names, Failure> {
    let again = "compile the policy with `egressc compile --target nftables`";
    let read = names::Names::from_text(text)
        .map_err(|error| Failure::new(format!("`{}`: its names are damaged: {error}", path.display())).help(again))?;
    read.ok_or_else(|| Failure::new(format!("`{}` has no rules on names", path.display())).help(again))
}

pub(super) fn policy_of(path: &Path, names: &names::Names, rebind_ok: Vec<RebindOk>) -> Result<Policy, Failure> {
    Policy::new(names, rebind_ok)
        .map_err(|error| Failure::new(format!("`{}`: {error}", path.display())).help("compile the policy again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_port() {
        let read = |text: &str| text.parse::<At>().map(|at| at.0.to_string());
        assert_eq!(read("10.0.0.1"), Ok("10.0.0.1:53".to_owned()));
        assert_eq!(read("10.0.0.1:5353"), Ok("10.0.0.1:5353".to_owned()));
        assert_eq!(read("fd00::1"), Ok("[fd00::1]:53".to_owned()));
        assert_eq!(read("[fd00::1]:54"), Ok("[fd00::1]:54".to_owned()));
        assert!(read("0.0.0.0").is_err() && read("x").is_err());
    }
}
