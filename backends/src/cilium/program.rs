//! Flows of the language, judged by a decoded artifact.
//!
//! In: a [`Model`] and a flow of a pod. Out: what Cilium does with it, in a cluster that holds nothing else than the pod and
//! the resolver. Against [`egress_ir::eval`] this shows whether an artifact means what its source says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use egress_ir::{Flow, Pod, Workload};

use super::environment::{Environment, KnownPod};
use super::judge::{CiliumFlow, Judgement};
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
        let from = known(pod, None);
        let mut environment = Environment {
            cluster_name: "default".to_owned(),
            local_node: "local".to_owned(),
            dual_stack: true,
            namespaces: BTreeMap::from([(pod.namespace.clone(), pod.namespace_labels.clone())]),
            ..Environment::default()
        };
        let to = flow.destination.address;
        let learned =
            resolver.map(|resolver| self.learned(&mut environment, &from, resolver, flow)).unwrap_or_default();
        environment.names = learned.into_iter().map(|name| (name, BTreeSet::from([to]))).collect();
        let protocol = Protocol::from_number(flow.port.protocol());
        let number = match protocol {
            Protocol::Icmp | Protocol::Icmpv6 => flow.port.number() >> 8,
            _ => flow.port.number(),
        };
        Some(self.judge(&environment, &from, &CiliumFlow { to, protocol, number }))
    }

    /// The names of the flow's destination that the pod learns from the resolver, which joins the environment.
    fn learned(&self, environment: &mut Environment, from: &KnownPod, resolver: &Pod, flow: &Flow) -> Vec<String> {
        let own = [Ipv4Addr::new(192, 0, 2, 53), Ipv4Addr::new(192, 0, 2, 54)].map(IpAddr::from);
        let Some(at) = own.into_iter().find(|address| *address != flow.destination.address) else { return Vec::new() };
        let of_resolver = environment.namespaces.entry(resolver.namespace.clone());
        of_resolver.or_insert_with(|| resolver.namespace_labels.clone());
        environment.pods.push(known(resolver, Some(at)));
        let query = CiliumFlow { to: at, protocol: Protocol::Udp, number: 53 };
        if !self.judge(environment, from, &query).dns_proxy {
            return Vec::new();
        }
        let names = flow.destination.names.iter();
        names.filter(|name| self.forwards_query(environment, from, &query, name)).cloned().collect()
    }
}

fn known(pod: &Pod, address: Option<IpAddr>) -> KnownPod {
    KnownPod {
        namespace: pod.namespace.clone(),
        name: pod.name.clone().unwrap_or_default(),
        labels: pod.labels.clone(),
        service_account: pod.service_account.clone(),
        addresses: address.into_iter().collect(),
        named_ports: BTreeMap::new(),
    }
}
