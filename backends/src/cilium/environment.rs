//! The cluster in which an artifact is judged.
//!
//! In: what the caller knows about pods, nodes and names. Out: which identity an address has. Cilium decides by
//! identities, so an address of a pod or node is never an address of the world, whatever a CIDR rule says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use egress_ir::Labels;

use super::labels::{Label, pod_identity};
use super::model::Protocol;

/// Everything outside the artifact that a verdict depends on.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The cluster's name, usually `default`.
    pub cluster_name: String,
    /// The node whose view is judged: its addresses are `host`, those of others `remote-node`.
    pub local_node: String,
    /// Both families are on: the world then has one identity per family.
    pub dual_stack: bool,
    /// Namespaces and their labels; `kubernetes.io/metadata.name` is implied.
    pub namespaces: BTreeMap<String, Labels>,
    /// Pods.
    pub pods: Vec<KnownPod>,
    /// Nodes.
    pub nodes: Vec<KnownNode>,
    /// Addresses of the API servers.
    pub api_servers: BTreeSet<IpAddr>,
    /// Names and the addresses to which the DNS proxy saw them resolve.
    pub names: BTreeMap<String, BTreeSet<IpAddr>>,
}

/// A pod.
#[derive(Clone, Debug, Default)]
pub struct KnownPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its service account.
    pub service_account: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Ports by name.
    pub named_ports: BTreeMap<String, (Protocol, u16)>,
    /// The node it runs on; empty where nobody asks for it.
    pub node: String,
    /// Its UID, by which it gets one of several gateways; empty where nobody asks for it.
    pub uid: String,
}

/// A node.
#[derive(Clone, Debug, Default)]
pub struct KnownNode {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its addresses; by the first of them other nodes reach it.
    pub addresses: Vec<IpAddr>,
    /// Its interfaces.
    pub interfaces: Vec<KnownInterface>,
    /// The interface with the default route; empty where nobody asks for it.
    pub default_interface: String,
}

/// An interface of a node.
#[derive(Clone, Debug, Default)]
pub struct KnownInterface {
    /// Its name.
    pub name: String,
    /// Its addresses, in their order.
    pub addresses: Vec<IpAddr>,
}

/// Who an address is.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// Labels of the identity, without those of CIDR groups.
    pub labels: Vec<Label>,
    /// Outside the cluster: CIDR and FQDN rules may match.
    pub in_world: bool,
}

impl Environment {
    /// The identity of an address.
    pub(super) fn identity(&self, address: IpAddr) -> Identity {
        if let Some(pod) = self.pods.iter().find(|pod| pod.addresses.contains(&address)) {
            return Identity { labels: self.pod_labels(pod), in_world: false };
        }
        let api_server = self.api_servers.contains(&address).then(|| Label::reserved("kube-apiserver"));
        let node = self.nodes.iter().find(|node| node.addresses.contains(&address));
        let place = match node {
            Some(node) if node.name == self.local_node => "host",
            Some(_) => "remote-node",
            None if !self.dual_stack => "world",
            None if address.is_ipv4() => "world-ipv4",
            None => "world-ipv6",
        };
        let labels = [Label::reserved(place)].into_iter().chain(api_server).collect();
        Identity { labels, in_world: node.is_none() }
    }

    /// The identity's labels of a pod.
    pub(super) fn pod_labels(&self, pod: &KnownPod) -> Vec<Label> {
        let none = Labels::new();
        let of_namespace = self.namespaces.get(&pod.namespace).unwrap_or(&none);
        pod_identity(&self.cluster_name, &pod.namespace, of_namespace, &pod.labels, &pod.service_account)
    }

    /// Whether the pod at an address gives this port this name. Pods with other named ports have other identities.
    pub(super) fn names_port(&self, address: IpAddr, name: &str, port: (Protocol, u16)) -> bool {
        let pod = self.pods.iter().find(|pod| pod.addresses.contains(&address));
        pod.is_some_and(|pod| pod.named_ports.get(name) == Some(&port))
    }

    /// The names that resolved to an address.
    pub(super) fn names_of(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        self.names.iter().filter(move |(_, seen)| seen.contains(&address)).map(|(name, _)| name.as_str())
    }
}
