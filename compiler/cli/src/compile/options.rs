//! The options of `compile`, and what they mean for each target.
//!
//! In: the command line. Out: the backends' own options. Refuses options of targets that were not chosen, because an
//! option without effect is a misunderstanding.

use super::replaces::Replaced;
use crate::arguments::{FindingsArguments, UnitArguments, WorldArguments};
use crate::exit::Failure;
use crate::prove::ProofArguments;
use clap::ValueEnum;
use egress_backends::{cilium, nftables};
use std::path::PathBuf;

/// The options of `compile`.
#[derive(Debug, clap::Args)]
pub(crate) struct Compile {
    #[command(flatten)]
    pub(super) unit: UnitArguments,
    #[command(flatten)]
    pub(super) world: WorldArguments,
    #[command(flatten)]
    pub(super) findings: FindingsArguments,
    /// What to compile to; several are joined by commas
    #[arg(long, value_enum, value_delimiter = ',', required = true, value_name = "TARGET")]
    pub(super) target: Vec<Target>,
    /// Write the artifact to this file; - is standard output
    #[arg(short, long, value_name = "FILE", conflicts_with = "out_dir")]
    pub(super) output: Option<PathBuf>,
    /// Write each artifact to a file of its usual name in this folder
    #[arg(long, value_name = "FOLDER")]
    pub(super) out_dir: Option<PathBuf>,
    /// Write artifacts that are not proved equal to their source too; they say so themselves
    #[arg(long)]
    pub(super) unproved: bool,
    #[command(flatten)]
    pub(super) nftables: NftablesOptions,
    #[command(flatten)]
    pub(super) cilium: CiliumOptions,
    #[command(flatten)]
    pub(super) proof: ProofArguments,
}

/// What to compile to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Target {
    /// A file for `nft -f`
    Nftables,
    /// Objects for `kubectl apply`
    Cilium,
}

impl Target {
    /// The name as it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Cilium => "cilium",
        }
    }
}

/// Options of the target nftables.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of the target nftables")]
pub(super) struct NftablesOptions {
    /// Where packets are judged [default: prerouting; on a host without a cluster, output too]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "HOOK")]
    pub(super) hooks: Vec<HookName>,
    /// Judge only what arrives by this interface; a final * stands for any ending; may be given again
    #[arg(long, value_name = "NAME")]
    pub(super) interface: Vec<String>,
    /// Log to this nflog group [default: 5]
    #[arg(long, value_name = "N", conflicts_with = "log_kernel")]
    pub(super) log_group: Option<u16>,
    /// Log to the kernel's own log
    #[arg(long)]
    pub(super) log_kernel: bool,
    /// How many log lines a second each place may write [default: 10]
    #[arg(long, value_name = "N")]
    pub(super) log_rate: Option<u32>,
    /// Let flows pass that carry this policy epoch in their connection's mark; a new epoch cuts running flows
    #[arg(long, value_name = "N")]
    pub(super) epoch: Option<u32>,
    /// The bits of the connection mark that hold the epoch [default: 0x00ff0000]
    #[arg(long, value_name = "MASK", value_parser = mask)]
    pub(super) ct_mark_mask: Option<u32>,
    /// The artifact that this one replaces: its generation and its epoch are counted on
    #[arg(long, value_name = "FILE", conflicts_with = "generation")]
    pub(super) replaces: Option<String>,
    /// The number of the artifact [default: 1]
    #[arg(long, value_name = "N")]
    pub(super) generation: Option<u64>,
    /// Do not have nft check the artifact
    #[arg(long)]
    pub(super) no_nft_check: bool,
}

/// Options of the target cilium.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of the target cilium")]
pub(super) struct CiliumOptions {
    /// Make a CiliumNetworkPolicy where a policy stays in one namespace
    #[arg(long)]
    pub(super) namespaced: bool,
}

/// Where packets are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookName {
    /// What is forwarded for others
    Prerouting,
    /// What the host itself sends
    Output,
}

impl Compile {
    /// The chosen targets, each once.
    pub(super) fn targets(&self) -> Vec<Target> {
        let mut targets = self.target.clone();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    /// Refuses options that do not go together.
    ///
    /// # Errors
    /// An option belongs to a target that was not chosen, or several artifacts would go to one place.
    pub(super) fn validate(&self) -> Result<(), Failure> {
        let targets = self.targets();
        if targets.len() > 1 && self.out_dir.is_none() {
            return Err(Failure::new("several targets make several files").help("give a folder with `--out-dir`"));
        }
        let foreign = self.nftables.given().filter(|_| !targets.contains(&Target::Nftables));
        let foreign = foreign.map(|option| (option, Target::Nftables));
        let namespaced = (self.cilium.namespaced && !targets.contains(&Target::Cilium)).then_some("--namespaced");
        match foreign.or(namespaced.map(|option| (option, Target::Cilium))) {
            Some((option, target)) => Err(Failure::new(format!("`{option}` is for the target {}", target.name()))),
            None => Ok(()),
        }
    }
}

impl NftablesOptions {
    /// Some option that was given.
    fn given(&self) -> Option<&'static str> {
        let given = [
            (!self.hooks.is_empty(), "--hooks"),
            (!self.interface.is_empty(), "--interface"),
            (self.log_group.is_some(), "--log-group"),
            (self.log_kernel, "--log-kernel"),
            (self.log_rate.is_some(), "--log-rate"),
            (self.epoch.is_some(), "--epoch"),
            (self.ct_mark_mask.is_some(), "--ct-mark-mask"),
            (self.replaces.is_some(), "--replaces"),
            (self.generation.is_some(), "--generation"),
            (self.no_nft_check, "--no-nft-check"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, option)| option)
    }

    /// The backend's options; those not given follow the replaced artifact, or else the backend's defaults.
    pub(super) fn resolved(&self, replaced: Option<Replaced>, digest: &str) -> nftables::Options {
        let default = nftables::Options::default();
        let old_mask = replaced.and_then(|replaced| replaced.epoch).map(|epoch| epoch.mask);
        let ct_mark_mask = self.ct_mark_mask.or(old_mask).unwrap_or(default.ct_mark_mask);
        let next_epoch = || replaced.and_then(|replaced| replaced.epoch).map(|epoch| epoch.next(ct_mark_mask));
        let log = match (self.log_kernel, self.log_group) {
            (true, _) => nftables::LogTarget::Kernel,
            (false, Some(group)) => nftables::LogTarget::Group(group),
            (false, None) => default.log,
        };
        let counted_on = || replaced.map(|replaced| replaced.generation.saturating_add(1));
        nftables::Options {
            hooks: self.hooks.iter().map(|hook| hook.into_backend()).collect(),
            interfaces: self.interface.clone(),
            log,
            log_rate: self.log_rate.unwrap_or(default.log_rate),
            epoch: self.epoch.or_else(next_epoch),
            ct_mark_mask,
            generation: self.generation.or_else(counted_on).unwrap_or(default.generation),
            source_digest: Some(format!("sha256:{digest}")),
        }
    }
}

impl CiliumOptions {
    /// The backend's options.
    pub(super) fn resolved(&self, digest: &str) -> cilium::Options {
        cilium::Options { namespaced: self.namespaced, source_digest: format!("sha256:{digest}") }
    }
}

impl HookName {
    /// As the backend knows it.
    pub(crate) fn into_backend(self) -> nftables::Hook {
        match self {
            Self::Prerouting => nftables::Hook::Prerouting,
            Self::Output => nftables::Hook::Output,
        }
    }
}

fn mask(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "a mask is a number of 32 bits, such as `0x00ff0000`".into())
}
