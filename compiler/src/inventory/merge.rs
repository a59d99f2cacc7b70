//! One inventory from many objects: addresses read, labels of namespaces joined to pods, contradictions found.

use super::error::{InventoryError, Subject};
use super::join;
use super::object::{Metadata, NodeStatus, Object, PodSpec, PodStatus, ServiceSpec};
use egress_ir::{Family, Inventory, Labels, NAMESPACE_NAME_LABEL, Node, Pod, RunningPod, Service};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Objects by namespace and name, while documents are read.
#[derive(Default)]
pub(super) struct Merge {
    namespaces: BTreeMap<String, Labels>,
    pods: BTreeMap<(String, String), RunningPod>,
    nodes: BTreeMap<String, Node>,
    services: BTreeMap<(String, String), Service>,
    seen: BTreeMap<Subject, usize>,
    errors: Vec<InventoryError>,
}

impl Merge {
    pub(super) fn error(&mut self, error: InventoryError) {
        self.errors.push(error);
    }

    /// Adds an object that was read at `at` of its document.
    pub(super) fn add(&mut self, object: Object, at: &str) {
        let added = match object {
            Object::Namespace(metadata) => self.namespace(metadata),
            Object::Pod(metadata, spec, status) => self.pod(metadata, spec, status),
            Object::Node(metadata, status) => self.node(metadata, status),
            Object::Service(metadata, spec) => self.service(metadata, spec),
        };
        if let Err((subject, path, reason)) = added {
            self.errors.push(InventoryError::Malformed { subject, path: join(at, &path), reason });
        }
    }

    fn namespace(&mut self, metadata: Metadata) -> Result<(), Fault> {
        let subject = self.subject("Namespace", &metadata, false)?;
        let mut labels = metadata.labels.unwrap_or_default();
        if let Some(name) = labels.remove(NAMESPACE_NAME_LABEL)
            && name != metadata.name
        {
            let path = format!("metadata.labels[\"{NAMESPACE_NAME_LABEL}\"]");
            return Err((subject, path, format!("`{name}` is not the namespace's name")));
        }
        self.namespaces.insert(metadata.name, labels);
        Ok(())
    }

    fn pod(&mut self, metadata: Metadata, spec: PodSpec, status: PodStatus) -> Result<(), Fault> {
        let subject = self.subject("Pod", &metadata, true)?;
        if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            return Ok(());
        }
        let host_network = spec.host_network.unwrap_or(false);
        let addresses = pod_addresses(&status).map_err(|(path, reason)| (subject, path, reason))?;
        let namespace = metadata.namespace.unwrap_or_default();
        let key = (namespace.clone(), metadata.name.clone());
        let identity = Pod {
            namespace,
            name: Some(metadata.name),
            namespace_labels: Labels::new(),
            labels: metadata.labels.unwrap_or_default(),
            service_account: spec.service_account_name.unwrap_or_default(),
        };
        // The addresses of a pod on its node's network are the node's, never an identity of the pod.
        let addresses = if host_network { Vec::new() } else { addresses };
        self.pods.insert(key, RunningPod { identity, addresses, node: spec.node_name, host_network });
        Ok(())
    }

    fn node(&mut self, metadata: Metadata, status: NodeStatus) -> Result<(), Fault> {
        let subject = self.subject("Node", &metadata, false)?;
        let mut addresses = Vec::new();
        for (n, written) in status.addresses.unwrap_or_default().into_iter().map(|it| it.0).enumerate() {
            if matches!(written.kind.as_str(), "InternalIP" | "ExternalIP") {
                let path = || format!("status.addresses[{n}].address");
                addresses.push(address(&written.address).map_err(|reason| (subject.clone(), path(), reason))?);
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        let name = metadata.name;
        self.nodes.insert(name.clone(), Node { name, labels: metadata.labels.unwrap_or_default(), addresses });
        Ok(())
    }

    fn service(&mut self, metadata: Metadata, spec: ServiceSpec) -> Result<(), Fault> {
        let subject = self.subject("Service", &metadata, true)?;
        let (written, many) = match (spec.cluster_ips, spec.cluster_ip) {
            (Some(all), _) if !all.is_empty() => (all, true),
            (_, one) => (one.into_iter().collect(), false),
        };
        let mut addresses = Vec::new();
        for (n, text) in written.iter().enumerate().filter(|(_, text)| !text.is_empty() && *text != "None") {
            let path = || if many { format!("spec.clusterIPs[{n}]") } else { "spec.clusterIP".to_owned() };
            addresses.push(address(text).map_err(|reason| (subject.clone(), path(), reason))?);
        }
        addresses.sort_unstable();
        let (namespace, name) = (metadata.namespace.unwrap_or_default(), metadata.name);
        let key = (namespace.clone(), name.clone());
        self.services.insert(key, Service { namespace, name, addresses, selector: spec.selector.unwrap_or_default() });
        Ok(())
    }

    /// Counts the object, and sees to it that it has a name, and a namespace where it needs one.
    fn subject(&mut self, kind: &str, metadata: &Metadata, namespaced: bool) -> Result<Subject, Fault> {
        let namespace = metadata.namespace.clone().filter(|_| namespaced);
        let subject = Subject { kind: kind.to_owned(), namespace, name: Some(metadata.name.clone()) };
        if metadata.name.is_empty() {
            return Err((subject, "metadata.name".to_owned(), "it is empty".to_owned()));
        }
        if namespaced && subject.namespace.as_deref().is_none_or(str::is_empty) {
            return Err((subject, "metadata.namespace".to_owned(), "it is missing".to_owned()));
        }
        *self.seen.entry(subject.clone()).or_default() += 1;
        Ok(subject)
    }

    /// The inventory, if nothing in it is in doubt.
    pub(super) fn finish(mut self) -> Result<Inventory, Vec<InventoryError>> {
        let duplicates = self.seen.iter().filter(|(_, count)| **count > 1);
        let duplicates =
            duplicates.map(|(subject, &count)| InventoryError::Duplicate { subject: subject.clone(), count });
        self.errors.extend(duplicates);
        self.errors.extend(shared_addresses(&self.pods));
        let mut unknown: BTreeMap<&str, usize> = BTreeMap::new();
        for pod in self.pods.values_mut() {
            match self.namespaces.get(&pod.identity.namespace) {
                Some(labels) => pod.identity.namespace_labels.clone_from(labels),
                None => *unknown.entry(&pod.identity.namespace).or_default() += 1,
            }
        }
        let unknown = unknown.into_iter();
        self.errors.extend(unknown.map(|(name, pods)| InventoryError::Namespace { namespace: name.to_owned(), pods }));
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        Ok(Inventory {
            namespaces: self.namespaces,
            pods: self.pods.into_values().collect(),
            nodes: self.nodes.into_values().collect(),
            services: self.services.into_values().collect(),
        })
    }
}

/// The object, the JSON path within it, and what is wrong there.
type Fault = (Subject, String, String);

/// The addresses of a pod, at most one of each family; `podIP` counts only where `podIPs` says nothing.
fn pod_addresses(status: &PodStatus) -> Result<Vec<IpAddr>, (String, String)> {
    let many = status.pod_ips.iter().flatten().enumerate().map(|(n, it)| (format!("status.podIPs[{n}].ip"), &it.0.ip));
    let mut written: Vec<(String, &String)> = many.collect();
    if written.is_empty() {
        written.extend(status.pod_ip.iter().filter(|ip| !ip.is_empty()).map(|ip| ("status.podIP".to_owned(), ip)));
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    for (path, text) in written {
        let address = address(text).map_err(|reason| (path.clone(), reason))?;
        if addresses.iter().any(|known| Family::of(*known) == Family::of(address)) {
            return Err((path, format!("`{text}` is a second address of one family")));
        }
        addresses.push(address);
    }
    addresses.sort_unstable();
    Ok(addresses)
}

fn address(text: &str) -> Result<IpAddr, String> {
    egress_lang::value::address(text).map_err(|fault| fault.to_string())
}

fn shared_addresses(pods: &BTreeMap<(String, String), RunningPod>) -> Vec<InventoryError> {
    let mut owners: BTreeMap<IpAddr, String> = BTreeMap::new();
    let mut errors = Vec::new();
    for ((namespace, name), pod) in pods {
        for &address in &pod.addresses {
            let second = format!("{namespace}/{name}");
            if let Some(first) = owners.insert(address, second.clone()) {
                errors.push(InventoryError::SharedAddress { address, first, second });
            }
        }
    }
    errors
}
