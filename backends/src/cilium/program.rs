//! Flows of the language, judged by a decoded artifact.
//!
//! In: a [`Model`] and a flow of a pod. Out: what Cilium does with it, in a cluster that holds nothing else than the pod and
//! the resolver. Against [`egress_ir::eval`] this shows whether an artifact means what its source says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use egress_ir::{Flow, Pod, Workload};

use super::environment::{Environment, Identity, KnownPod};
use super::judge::{CiliumFlow, Judgement};
use super::labels::pod_identity;
use super::model::{Model, Protocol};

impl Model {
    /// Judges a flow whose destination is no pod and no node. Nothing for a workload that is an address: Cilium enforces on
    /// pods alone.
    ///
    /// The names of the destination count only as far as the pod can learn them: its queries to `resolver` must go through
    /// the DNS proxy, and the proxy must forward them.
    ///
    /// ```
    /// # use egress_backends::cilium::{Model, Verdict};
    /// # use egress_ir::{Destination, Flow, Pod, Port, Workload};
    /// let workload = Workload::Pod(Pod { namespace: "shop".into(), ..Pod::default() });
    /// let destination = Destination::unnamed("192.0.2.1".parse().expect("an address"));
    /// let flow = Flow { workload, destination, port: Port::tcp(443) };
    /// let judged = Model::default().judge_program_flow(&flow, None).expect("a pod");
    /// assert_eq!(judged.verdict, Verdict::Allowed);
    /// ```
    #[must_use]
    pub fn judge_program_flow(&self, flow: &Flow, resolver: Option<&Pod>) -> Option<Judgement> {
        let Workload::Pod(pod) = &flow.workload else { return None };
        let environment = self.environment_of(flow, pod, resolver);
        Some(self.judge(&environment, &known(pod, None), &cilium_flow(flow)))
    }

    /// The pod's cluster, in which the destination has the names that the pod learns from the resolver.
    pub(super) fn environment_of(&self, flow: &Flow, pod: &Pod, resolver: Option<&Pod>) -> Environment {
        let mut environment = cluster_of(pod);
        let learned = resolver.map(|resolver| self.learned(&environment, pod, resolver, flow)).unwrap_or_default();
        let to = flow.destination.address;
        environment.names = learned.into_iter().map(|name| (name, BTreeSet::from([to]))).collect();
        environment
    }

    /// The names of the flow's destination that the pod learns from the resolver.
    fn learned(&self, environment: &Environment, from: &Pod, resolver: &Pod, flow: &Flow) -> Vec<String> {
        let from = known(from, None);
        let query = CiliumFlow { to: RESOLVER.into(), protocol: Protocol::Udp, number: 53 };
        if !self.judge_as(environment, &from, &query, identity(resolver)).dns_proxy {
            return Vec::new();
        }
        let forwards = |name: &&String| self.forwards_query_as(environment, &from, &query, identity(resolver), name);
        flow.destination.names.iter().filter(forwards).cloned().collect()
    }
}

/// Where the resolver is. Rules match it by what it is and never by its address.
const RESOLVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);

/// What a pod is to rules, in a cluster as [`cluster_of`] makes it.
pub(super) fn identity(pod: &Pod) -> Identity {
    let labels = pod_identity(CLUSTER_NAME, &pod.namespace, &pod.namespace_labels, &pod.labels, &pod.service_account);
    Identity { labels, in_world: false }
}

const CLUSTER_NAME: &str = "default";

/// A cluster of both families with the pod's namespace alone.
pub(super) fn cluster_of(pod: &Pod) -> Environment {
    Environment {
        cluster_name: CLUSTER_NAME.to_owned(),
        local_node: "local".to_owned(),
        dual_stack: true,
        namespaces: BTreeMap::from([(pod.namespace.clone(), pod.namespace_labels.clone())]),
        ..Environment::default()
    }
}

/// The flow as Cilium sees it: of ICMP messages only their type.
pub(super) fn cilium_flow(flow: &Flow) -> CiliumFlow {
    let protocol = Protocol::from_number(flow.port.protocol());
    let number = match protocol {
        Protocol::Icmp | Protocol::Icmpv6 => flow.port.number() >> 8,
        _ => flow.port.number(),
    };
    CiliumFlow { to: flow.destination.address, protocol, number }
}

/// The pod at an address.
pub(super) fn known(pod: &Pod, address: Option<IpAddr>) -> KnownPod {
    KnownPod {
        namespace: pod.namespace.clone(),
        name: pod.name.clone().unwrap_or_default(),
        labels: pod.labels.clone(),
        service_account: pod.service_account.clone(),
        addresses: address.into_iter().collect(),
        ..KnownPod::default()
    }
}
