//! The parts of Kubernetes objects (core/v1) that egress control needs; everything else is ignored.

use super::error::Subject;
use super::strict::Strict;
use super::typed;
use egress_ir::Labels;
use serde::Deserialize;

/// An object of a kind that matters.
pub(super) enum Object {
    Namespace(Metadata),
    Pod(Metadata, PodSpec, PodStatus),
    Node(Metadata, NodeStatus),
    Service(Metadata, ServiceSpec),
}

/// `metadata`
#[derive(Deserialize, Default)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) labels: Option<Labels>,
}

/// `spec` of a pod.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) service_account_name: Option<String>,
    pub(super) node_name: Option<String>,
    pub(super) host_network: Option<bool>,
}

/// `status` of a pod.
#[derive(Deserialize, Default)]
pub(super) struct PodStatus {
    pub(super) phase: Option<String>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pub(super) pod_ips: Option<Vec<Strict<PodIp>>>,
}

/// One of `podIPs`.
#[derive(Deserialize)]
pub(super) struct PodIp {
    pub(super) ip: String,
}

/// `status` of a node.
#[derive(Deserialize, Default)]
pub(super) struct NodeStatus {
    pub(super) addresses: Option<Vec<Strict<NodeAddress>>>,
}

/// One of a node's `addresses`.
#[derive(Deserialize)]
pub(super) struct NodeAddress {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) address: String,
}

/// `spec` of a service.
#[derive(Deserialize, Default)]
pub(super) struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    pub(super) cluster_ips: Option<Vec<String>>,
    pub(super) selector: Option<Labels>,
}

/// An object whose kind is known.
#[derive(Deserialize)]
struct Raw<S, T> {
    metadata: Strict<Metadata>,
    spec: Option<Strict<S>>,
    status: Option<Strict<T>>,
}

/// Only as much as an error needs to name an object that cannot be read.
#[derive(Deserialize)]
struct Named {
    metadata: Option<serde_json::Value>,
}

/// For the parts of an object that are not looked at.
#[derive(Deserialize, Default)]
struct Ignored {}

impl Object {
    /// Reads an object of this kind; nothing for kinds that do not matter. The error names the object, the JSON path
    /// within it, and the reason.
    pub(super) fn read(kind: &str, json: &str) -> Result<Option<Self>, (Subject, String, String)> {
        let object = match kind {
            "Namespace" => {
                typed::<Strict<Raw<Ignored, Ignored>>>(json).map(|Strict(raw)| Self::Namespace(raw.metadata.0))
            }
            "Pod" => typed::<Strict<Raw<PodSpec, PodStatus>>>(json)
                .map(|Strict(raw)| Self::Pod(raw.metadata.0, plain(raw.spec), plain(raw.status))),
            "Node" => typed::<Strict<Raw<Ignored, NodeStatus>>>(json)
                .map(|Strict(raw)| Self::Node(raw.metadata.0, plain(raw.status))),
            "Service" => typed::<Strict<Raw<ServiceSpec, Ignored>>>(json)
                .map(|Strict(raw)| Self::Service(raw.metadata.0, plain(raw.spec))),
            _ => return Ok(None),
        };
        object.map(Some).map_err(|(path, reason)| (subject(kind, json), path, reason))
    }
}

fn plain<T: Default>(part: Option<Strict<T>>) -> T {
    part.map(|part| part.0).unwrap_or_default()
}

/// What can be said about an object that does not fit its type.
fn subject(kind: &str, json: &str) -> Subject {
    let metadata = serde_json::from_str::<Named>(json).ok().and_then(|named| named.metadata);
    let text = |key: &str| metadata.as_ref()?.get(key)?.as_str().map(str::to_owned);
    Subject { kind: kind.to_owned(), namespace: text("namespace"), name: text("name") }
}

/// An object of any kind, with the fields of all kinds that matter: a document of such objects is read in one go.
#[derive(Deserialize)]
pub(super) struct AnyObject {
    kind: Option<String>,
    metadata: Option<Strict<Metadata>>,
    spec: Option<Strict<AnySpec>>,
    status: Option<Strict<AnyStatus>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct AnySpec {
    service_account_name: Option<String>,
    node_name: Option<String>,
    host_network: Option<bool>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<String>>,
    selector: Option<Labels>,
}

#[derive(Deserialize, Default)]
struct AnyStatus {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<Strict<PodIp>>>,
    addresses: Option<Vec<Strict<NodeAddress>>>,
}

impl AnyObject {
    /// The object as its kind, or as the kind that its list implies; `Ok(None)` for kinds that do not matter, `Err`
    /// where something is missing.
    pub(super) fn object(self, implied: Option<&str>) -> Result<Option<Object>, ()> {
        let (spec, status) = (plain(self.spec), plain(self.status));
        let metadata = self.metadata.map(|metadata| metadata.0).ok_or(());
        Ok(Some(match self.kind.as_deref().or(implied).ok_or(())? {
            "Namespace" => Object::Namespace(metadata?),
            "Pod" => {
                let AnySpec { service_account_name, node_name, host_network, .. } = spec;
                let AnyStatus { phase, pod_ip, pod_ips, .. } = status;
                let spec = PodSpec { service_account_name, node_name, host_network };
                Object::Pod(metadata?, spec, PodStatus { phase, pod_ip, pod_ips })
            }
            "Node" => Object::Node(metadata?, NodeStatus { addresses: status.addresses }),
            "Service" => {
                let AnySpec { cluster_ip, cluster_ips, selector, .. } = spec;
                Object::Service(metadata?, ServiceSpec { cluster_ip, cluster_ips, selector })
            }
            _ => return Ok(None),
        }))
    }
}
