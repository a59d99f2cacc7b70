//! The command line: its verbs, and the options that verbs share. Parsed by clap; nothing is decided here.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Loads snapshots of egress policy into the kernel
///
/// What is loaded stays enforced when this program has ended, or was killed. Exit codes: 0 done, 1 refused because
/// something was found to be wrong with the snapshot in the kernel, 2 usage, input or system error.
#[derive(Debug, Parser)]
#[command(name = "egress-agent", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Enforce a snapshot at cgroups and interfaces
    Load(crate::load::Load),
    /// Say what is enforced, where, and what it counted
    Status(crate::status::Status),
    /// Write the kernel's live tables as a snapshot
    Dump(crate::dump::Dump),
    /// Enforce the previous generation again
    Rollback(crate::rollback::Rollback),
    /// Detach everything and remove it from the kernel, or only some attach points
    Unload(crate::unload::Unload),
    /// Let flows leave through gateways: their source addresses, routes to those who hold them, and holding
    Gateway(crate::gateway::Gateway),
    /// Learn names from DNS answers, so that the kernel knows which addresses rules on names mean
    Names(crate::names::Names),
    /// Enforce a snapshot, and learn names for it for as long as this runs
    Run(crate::run::Run),
    /// Print what is denied or recorded, as it happens
    Watch(crate::watch::Watch),
    /// Ask the kernel program what would become of a flow
    Trace(crate::trace::Trace),
    /// Print a script that completes commands in a shell
    Completions(crate::completions::Completions),
    /// Print a manual page
    Man(crate::man::Man),
}

/// Where things are kept.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Folders {
    /// The folder of the agent's own state
    #[arg(long, value_name = "DIR", default_value = "/var/lib/egressc")]
    pub(crate) state: PathBuf,

    /// The BPF file system to pin in; everything is below `DIR/egressc`
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/bpf")]
    pub(crate) bpffs: PathBuf,
}

/// Places in the system where packets are judged.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct At {
    /// A cgroup (version 2), by its folder: what its processes send
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) cgroup: Vec<PathBuf>,

    /// The host's end of a veth pair whose other end is the workload's: what comes in here was sent there
    #[arg(long, value_name = "IF", num_args = 1..)]
    pub(crate) iface: Vec<String>,

    /// An interface through which packets leave this machine or network namespace
    #[arg(long, value_name = "IF", num_args = 1..)]
    pub(crate) uplink: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
