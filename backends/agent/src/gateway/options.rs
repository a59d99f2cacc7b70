//! The options of `gateway`, and whether they fit the gateways that there are.

use super::keep::managed;
use super::source::{Gateways, Reached, Source};
use crate::arguments::Folders;
use crate::failure::Failure;
use clap::ValueEnum;
use std::path::PathBuf;

/// The options of `gateway`.
#[derive(Debug, clap::Args)]
pub(crate) struct Gateway {
    /// Take the gateways from this snapshot [default: the generation that is enforced]
    #[arg(long, value_name = "FILE", conflicts_with = "artifact")]
    snapshot: Option<PathBuf>,

    /// Take the gateways from this file that `egressc compile --target nftables` wrote, and that nft has loaded
    #[arg(long, value_name = "FILE")]
    artifact: Option<PathBuf>,

    /// The interface by which this node and those that hold gateways reach each other without a router
    #[arg(long, value_name = "IF")]
    pub(super) interface: Option<String>,

    /// Hold these gateways on this node, or all that are managed; at once, or with `--lease` while it is this node's turn
    #[arg(long, value_name = "NAME", num_args = 0.., requires = "interface")]
    hold: Option<Vec<String>>,

    /// The Kubernetes Lease by which nodes agree who holds
    #[cfg(feature = "kubernetes")]
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "identity", requires = "hold")]
    pub(super) lease: Option<String>,

    /// What this node is called in the Lease
    #[cfg(feature = "kubernetes")]
    #[arg(long, value_name = "NAME", requires = "lease")]
    pub(super) identity: Option<String>,

    /// How to reach Kubernetes [default: as kubectl does, or by the pod's service account]
    #[cfg(feature = "kubernetes")]
    #[arg(long, value_name = "FILE", requires = "lease")]
    pub(super) kubeconfig: Option<PathBuf>,

    /// After how many seconds without a renewal another node takes over
    #[cfg(feature = "kubernetes")]
    #[arg(long, value_name = "SECONDS", default_value_t = 15, requires = "lease", value_parser = clap::value_parser!(u32).range(2..=3600))]
    pub(super) lease_seconds: u32,

    /// Others move the addresses by VRRP, as `--print keepalived` has it
    #[arg(long, conflicts_with = "hold")]
    vrrp: bool,

    /// Hold only while this command, run by `sh` once a second, succeeds within two seconds
    #[arg(long, value_name = "COMMAND", requires = "hold")]
    pub(super) check: Option<String>,

    /// Load the table and set rules and routes for what is so now, and end
    #[arg(long, conflicts_with_all = ["hold", "remove"])]
    pub(super) once: bool,

    /// Take the table and the routing rules away again
    #[arg(long, conflicts_with = "hold")]
    pub(super) remove: bool,

    /// Only print something: the table of gateways, or a configuration of keepalived
    #[arg(long, value_enum, conflicts_with_all = ["hold", "remove", "once"])]
    pub(super) print: Option<Print>,

    /// The priority of this node in the configuration of keepalived
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(super) priority: u8,

    #[command(flatten)]
    pub(super) folders: Folders,
}

/// What can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Print {
    /// The nftables table that sees to source addresses
    Table,
    /// What keepalived needs to move the gateways' addresses
    Keepalived,
}

impl Gateway {
    pub(super) fn source(&self) -> Source {
        match (&self.snapshot, &self.artifact) {
            (Some(path), _) => Source::Snapshot(path.clone()),
            (None, Some(path)) => Source::Artifact(path.clone()),
            (None, None) => Source::Running(self.folders.bpffs.clone(), self.folders.state.clone()),
        }
    }

    /// The gateways, and how those who hold them are reached.
    pub(super) fn read(&self) -> Result<Gateways, Failure> {
        let mut gateways = self.source().read()?;
        if self.vrrp && gateways.reached == Reached::Own {
            gateways.reached = Reached::Vrrp;
        }
        Ok(gateways)
    }

    /// Whether this node may hold a gateway, when it leads.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.hold.as_ref().is_some_and(|names| names.is_empty() || names.iter().any(|known| known == name))
    }

    /// Whether anything is to be held.
    pub(super) fn wants_to_hold(&self) -> bool {
        self.hold.is_some()
    }

    /// Whether the options make sense for these gateways.
    pub(super) fn check(&self, gateways: &Gateways) -> Result<(), Failure> {
        for name in self.hold.iter().flatten() {
            let Some(gateway) = gateways.all.iter().find(|gateway| gateway.name == *name) else {
                return Err(Failure::new(format!("there is no gateway `{name}`"))
                    .help("`egressc snapshot show` lists gateways; only those that rules name are there"));
            };
            if managed(gateway).next().is_none() {
                return Err(Failure::new(format!("no address of gateway `{name}` is managed")).help(
                    "somebody brings it up by hand: leave `--hold` out, or write `address … managed` in the policy",
                ));
            }
        }
        let needs = gateways.all.iter().find(|one| one.nodes.is_some() || managed(one).next().is_some());
        match needs {
            Some(gateway) if self.interface.is_none() && !self.remove && self.print != Some(Print::Table) => {
                Err(Failure::new(format!("gateway `{}` is on other nodes, or managed", gateway.name))
                    .help("give `--interface IF`, by which the nodes reach each other without a router"))
            }
            _ => Ok(()),
        }
    }
}
