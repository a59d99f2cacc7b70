//! The inventory: what runs in a cluster, as far as egress control needs it.

use crate::workload::{Labels, Pod};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Pods, namespaces, nodes and services of one cluster; each list is sorted by namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Namespaces by name, with their labels.
    pub namespaces: BTreeMap<String, Labels>,
    /// Pods that run or are about to; finished ones are left out.
    pub pods: Vec<RunningPod>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Services.
    pub services: Vec<Service>,
}

/// A pod with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningPod {
    /// Its identity, with its name and the labels of its namespace.
    pub identity: Pod,
    /// Its addresses, at most one of each family; none while it is pending.
    pub addresses: Vec<IpAddr>,
    /// The node it runs on.
    pub node: Option<String>,
    /// Whether it uses its node's network: then it has no address, and so no identity, of its own.
    pub host_network: bool,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its internal and external addresses.
    pub addresses: Vec<IpAddr>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its cluster addresses; none for a headless service.
    pub addresses: Vec<IpAddr>,
    /// The labels of the pods behind it; empty when it has no selector.
    pub selector: Labels,
}
