//! The options of `compile`, and what they mean for each target.
//!
//! In: the command line. Out: the backends' own options. Refuses options of targets that were not chosen, because an
//! option without effect is a misunderstanding.

use super::facets::Plan;
use super::replaces::Replaced;
use crate::arguments::{FindingsArguments, UnitArguments, WorldArguments};
use crate::disk;
use crate::exit::Failure;
use crate::prove::ProofArguments;
use clap::ValueEnum;
use egress_backends::cilium::VipService;
use egress_backends::{cilium, ebpf, kube_vip, nftables};
use egress_ir::Program;
use egress_snapshot::SigningKey;
use egress_snapshot::sign::KeyError;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// The most bytes that a key may have.
const KEY_LIMIT: u64 = 1 << 16;

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
    /// The number of the artifact; for nftables and ebpf [default: 1]
    #[arg(long, value_name = "N")]
    pub(super) generation: Option<u64>,
    /// The bits of a packet's mark that say through which gateway it leaves; for nftables and ebpf [default: 0x00ff0000]
    #[arg(long, value_name = "MASK", value_parser = mask)]
    pub(super) gateway_mask: Option<u32>,
    /// Write artifacts that are not proved equal to their source too; they say so themselves
    #[arg(long)]
    pub(super) unproved: bool,
    #[command(flatten)]
    pub(super) nftables: NftablesOptions,
    #[command(flatten)]
    pub(super) cilium: CiliumOptions,
    #[command(flatten)]
    pub(super) ebpf: EbpfOptions,
    #[command(flatten)]
    pub(super) kube_vip: KubeVipOptions,
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
    /// A snapshot for `egress-agent load`
    Ebpf,
    /// Services that kube-vip gives addresses; routes only, beside a target that filters
    KubeVip,
}

impl Target {
    /// The name as it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Cilium => "cilium",
            Self::Ebpf => "ebpf",
            Self::KubeVip => "kube-vip",
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

/// Options of the target ebpf.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of the target ebpf")]
pub(super) struct EbpfOptions {
    /// What happens to flows of workloads that the agent does not know [default: deny]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(super) unknown: Option<Unknown>,
    /// Sign the snapshot with this Ed25519 key: PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` makes it
    #[arg(long, value_name = "FILE")]
    pub(super) sign_key: Option<String>,
}

/// Options of the target kube-vip.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of the target kube-vip")]
pub(super) struct KubeVipOptions {
    /// With cilium: the namespace of the Services that hold the gateways' addresses [default: kube-system]
    #[arg(long, value_name = "NAMESPACE")]
    pub(super) vip_namespace: Option<String>,
    /// With cilium: the image of the pods that hold the place of these addresses and do nothing, such as the pause image
    /// that the nodes run
    #[arg(long, value_name = "IMAGE")]
    pub(super) vip_image: Option<String>,
}

/// What happens to flows of workloads that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Unknown {
    /// They are stopped
    Deny,
    /// They pass
    Pass,
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
        let on_nodes = targets.contains(&Target::Nftables) || targets.contains(&Target::Ebpf);
        let given = [(self.generation.is_some(), "--generation"), (self.gateway_mask.is_some(), "--gateway-mask")];
        if let Some((_, option)) = given.into_iter().find(|(given, _)| *given && !on_nodes) {
            return Err(Failure::new(format!("`{option}` is for the targets nftables and ebpf")));
        }
        let given = [
            (Target::Nftables, self.nftables.given()),
            (Target::Cilium, self.cilium.given()),
            (Target::Ebpf, self.ebpf.given()),
            (Target::KubeVip, self.kube_vip.given()),
        ];
        let foreign = given.into_iter().find(|(target, option)| option.is_some() && !targets.contains(target));
        match foreign {
            Some((target, Some(option))) => {
                Err(Failure::new(format!("`{option}` is for the target {}", target.name())))
            }
            _ => Ok(()),
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
            (self.no_nft_check, "--no-nft-check"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, option)| option)
    }

    /// The backend's options; those not given follow the replaced artifact, or else the backend's defaults.
    pub(super) fn resolved(
        &self,
        generation: Option<u64>,
        gateway_mask: Option<u32>,
        replaced: Option<Replaced>,
        plan: Plan,
        digest: &str,
    ) -> nftables::Options {
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
            gateway_mask: gateway_mask.unwrap_or(default.gateway_mask),
            generation: generation.or_else(counted_on).unwrap_or(default.generation),
            source_digest: Some(format!("sha256:{digest}")),
            routing: plan.routing(),
        }
    }
}

impl KubeVipOptions {
    /// Some option that was given.
    fn given(&self) -> Option<&'static str> {
        let given = [(self.vip_namespace.is_some(), "--vip-namespace"), (self.vip_image.is_some(), "--vip-image")];
        given.into_iter().find(|(given, _)| *given).map(|(_, option)| option)
    }

    /// The managed addresses that kube-vip brings up for Cilium, each with its Service; none where it routes itself.
    pub(super) fn vips(&self, plan: Plan, program: &Program, digest: &str) -> BTreeMap<IpAddr, VipService> {
        let namespace = self.resolved(plan, digest).namespace;
        let of = |(gateway, address): (&str, IpAddr)| {
            let name = kube_vip::service_name(gateway, address.is_ipv6());
            (address, VipService { namespace: namespace.clone(), name })
        };
        let managed = (plan == Plan::Paired).then(|| kube_vip::managed(program).map(of));
        managed.into_iter().flatten().collect()
    }

    /// The backend's options.
    pub(super) fn resolved(&self, plan: Plan, digest: &str) -> kube_vip::Options {
        let default = kube_vip::Options::default();
        kube_vip::Options {
            vip_only: plan == Plan::Paired,
            namespace: self.vip_namespace.clone().unwrap_or(default.namespace),
            image: self.vip_image.clone(),
            source_digest: format!("sha256:{digest}"),
        }
    }
}

impl CiliumOptions {
    /// Some option that was given.
    fn given(&self) -> Option<&'static str> {
        self.namespaced.then_some("--namespaced")
    }

    /// The backend's options.
    pub(super) fn resolved(&self, plan: Plan, managed: BTreeMap<IpAddr, VipService>, digest: &str) -> cilium::Options {
        cilium::Options {
            namespaced: self.namespaced,
            source_digest: format!("sha256:{digest}"),
            routing: plan.routing(),
            managed_by_kube_vip: managed,
        }
    }
}

impl EbpfOptions {
    /// Some option that was given.
    fn given(&self) -> Option<&'static str> {
        let given = [(self.unknown.is_some(), "--unknown"), (self.sign_key.is_some(), "--sign-key")];
        given.into_iter().find(|(given, _)| *given).map(|(_, option)| option)
    }

    /// The key to sign with, if one is named.
    ///
    /// # Errors
    /// It cannot be read, or is no such key.
    pub(super) fn key(&self) -> Result<Option<SigningKey>, Failure> {
        let Some(path) = &self.sign_key else { return Ok(None) };
        let bytes = disk::read_named(path, KEY_LIMIT)?;
        let key = SigningKey::from_pem(&String::from_utf8_lossy(&bytes));
        let refused = |error: KeyError| Failure::new(format!("`{path}` cannot sign: {error}")).help(error.help());
        key.map(Some).map_err(refused)
    }

    /// The backend's options; those not given are its defaults.
    pub(super) fn resolved(
        &self,
        generation: Option<u64>,
        gateway_mask: Option<u32>,
        plan: Plan,
        digest: &str,
    ) -> ebpf::Options {
        let default = ebpf::Options::default();
        ebpf::Options {
            generation: generation.unwrap_or(default.generation),
            source_digest: Some(format!("sha256:{digest}")),
            compiler: concat!("egressc ", env!("CARGO_PKG_VERSION")).to_owned(),
            unknown: match self.unknown {
                Some(Unknown::Deny) => egress_snapshot::meta::Unknown::Deny,
                Some(Unknown::Pass) => egress_snapshot::meta::Unknown::Pass,
                None => default.unknown,
            },
            routing: plan.routing(),
            gateway_mask: gateway_mask.unwrap_or(default.gateway_mask),
            ..default
        }
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
