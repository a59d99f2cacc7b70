//! Which targets of one call filter, which choose source addresses, and what is held against the source together.
//!
//! In: the chosen targets. Out: a [`Plan`], or the finding that the targets do not do together what a policy says.

use super::options::Target;
use egress_backends::Routing;
use egress_compiler::Diagnostic;

/// How the targets of one call share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Each artifact filters and routes by itself.
    Apart,
    /// The other artifacts filter; kube-vip routes what they let pass.
    Routed,
    /// Cilium filters and routes; kube-vip brings the gateways' addresses up.
    Paired,
}

impl Plan {
    /// The plan for these targets, each there once.
    ///
    /// # Errors
    /// Nobody would filter, or two would route.
    pub(super) fn of(targets: &[Target]) -> Result<Self, Box<Diagnostic>> {
        let has = |target| targets.contains(&target);
        let refused =
            |message: &str, help: &str| Err(Box::new(Diagnostic::error("egress::target::facets", message).help(help)));
        match (has(Target::KubeVip), has(Target::Cilium), has(Target::Nftables) || has(Target::Ebpf)) {
            (false, ..) => Ok(Self::Apart),
            (true, false, true) => Ok(Self::Routed),
            (true, true, false) => Ok(Self::Paired),
            (true, true, true) => refused(
                "kube-vip cannot both route for one target and follow Cilium's own gateways",
                "compile `cilium,kube-vip` and the others in two calls",
            ),
            (true, false, false) => refused(
                "kube-vip only chooses source addresses: nothing would stop what the policy denies",
                "add a target that filters: `--target nftables,kube-vip`, `ebpf,kube-vip` or `cilium,kube-vip`",
            ),
        }
    }

    /// Who chooses the source addresses of what an artifact that filters lets pass.
    pub(super) fn routing(self) -> Routing {
        match self {
            Self::Apart | Self::Paired => Routing::Own,
            Self::Routed => Routing::Elsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_filters_and_one_routes() {
        use Target::{Cilium, Ebpf, KubeVip, Nftables};
        assert_eq!(Plan::of(&[Nftables, Cilium, Ebpf]), Ok(Plan::Apart));
        assert_eq!(Plan::of(&[Nftables, KubeVip]), Ok(Plan::Routed));
        assert_eq!(Plan::of(&[Ebpf, KubeVip]), Ok(Plan::Routed));
        assert_eq!(Plan::of(&[Cilium, KubeVip]), Ok(Plan::Paired));
        assert!(Plan::of(&[KubeVip]).is_err());
        assert!(Plan::of(&[Cilium, Ebpf, KubeVip]).is_err());
    }
}
