//! How kube-vip itself is set up, which no Service says.
//!
//! In: a program, or the environment of a kube-vip found among manifests. Out: [`Settings`].

use super::annotations as name;
use super::model::Daemon;
use egress_ir::{Program, RangeSet};
use std::net::IpAddr;

/// What kube-vip's environment says about egress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// nftables even where a Service does not ask for it.
    pub nftables: bool,
    /// `egress_podcidr`: prefixes, joined by commas. Without it, kube-vip asks the API, and falls back to 10.0.0.0/16.
    pub pod_cidr: Option<String>,
    /// `egress_servicecidr`: prefixes, joined by commas. Without it, kube-vip falls back to 10.96.0.0/12.
    pub service_cidr: Option<String>,
    /// The ranges of pods and services are left out whatever a Service says.
    pub internal_snat: bool,
    /// The address of the API server, as pods of the host's network know it.
    pub api_server: Option<IpAddr>,
    /// The name of the instance, empty for none.
    pub instance: String,
}

impl Settings {
    /// What emitted artifacts ask for in their comments: the cluster's first prefix of pods and of services in each
    /// family, and everything else as kube-vip has it by default.
    #[must_use]
    pub fn assumed(program: &Program) -> Self {
        let first = |set: &egress_ir::AddressSet| {
            let v4 = egress_ir::AddressSet { v4: set.v4.clone(), v6: RangeSet::empty() };
            let v6 = egress_ir::AddressSet { v4: RangeSet::empty(), v6: set.v6.clone() };
            let of_each = [v4, v6].map(|set| set.prefixes().first().map(ToString::to_string));
            let joined = of_each.into_iter().flatten().collect::<Vec<_>>().join(",");
            Some(joined).filter(|joined| !joined.is_empty())
        };
        let (pod_cidr, service_cidr) = (first(&program.cluster.pods), first(&program.cluster.services));
        Self { pod_cidr, service_cidr, ..Self::default() }
    }

    /// What the environment of a container says.
    #[must_use]
    pub fn of(daemon: &Daemon) -> Self {
        let value = |key: &str| daemon.environment.get(key).map(|text| text.value.clone()).filter(|v| !v.is_empty());
        // As Go's strconv.ParseBool.
        let is_on =
            |key: &str| value(key).is_some_and(|v| ["1", "t", "T", "true", "TRUE", "True"].contains(&v.as_str()));
        Self {
            nftables: is_on(name::ENV_NFTABLES),
            pod_cidr: value(name::ENV_POD_CIDR),
            service_cidr: value(name::ENV_SERVICE_CIDR),
            internal_snat: is_on(name::ENV_INTERNAL_SNAT),
            api_server: None,
            instance: value(name::ENV_INSTANCE).unwrap_or_default(),
        }
    }

    /// The name of the table that holds the chains of a family.
    #[must_use]
    pub fn table(&self, v6: bool) -> String {
        let family = if v6 { "v6" } else { "v4" };
        if self.instance.is_empty() {
            format!("kube_vip_{family}")
        } else {
            format!("kube_vip_{}_{family}", self.instance)
        }
    }
}
