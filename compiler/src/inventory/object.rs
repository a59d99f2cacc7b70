//! The parts of Kubernetes objects (core/v1) that egress control needs; everything else is ignored.

use super::error::Subject;
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
    #[serde(default)]
    pub(super) namespace: Option<String>,
    #[serde(default)]
    pub(super) labels: Option<Labels>,
}

/// `spec` of a pod.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec {
    #[serde(default)]
    pub(super) service_account_name: Option<String>,
    #[serde(default)]
    pub(super) node_name: Option<String>,
    #[serde(default)]
    pub(super) host_network: Option<bool>,
}

/// `status` of a pod.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodStatus {
    #[serde(default)]
    pub(super) phase: Option<String>,
    #[serde(default, rename = "podIP")]
    pub(super) pod_ip: Option<String>,
    #[serde(default, rename = "podIPs")]
    pub(super) pod_ips: Option<Vec<PodIp>>,
}

/// One of `podIPs`.
#[derive(Deserialize)]
pub(super) struct PodIp {
    pub(super) ip: String,
}

/// `status` of a node.
#[derive(Deserialize, Default)]
pub(super) struct NodeStatus {
    #[serde(default)]
    pub(super) addresses: Option<Vec<NodeAddress>>,
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
    #[serde(default, rename = "clusterIP")]
    pub(super) cluster_ip: Option<String>,
    #[serde(default, rename = "clusterIPs")]
    pub(super) cluster_ips: Option<Vec<String>>,
    #[serde(default)]
    pub(super) selector: Option<Labels>,
}

#[derive(Deserialize)]
struct Raw<S: Default, T: Default> {
    metadata: Metadata,
    #[serde(default)]
    spec: Option<S>,
    #[serde(default)]
    status: Option<T>,
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
            "Namespace" => typed::<Raw<Ignored, Ignored>>(json).map(|raw| Self::Namespace(raw.metadata)),
            "Pod" => typed::<Raw<PodSpec, PodStatus>>(json)
                .map(|raw| Self::Pod(raw.metadata, raw.spec.unwrap_or_default(), raw.status.unwrap_or_default())),
            "Node" => typed::<Raw<Ignored, NodeStatus>>(json)
                .map(|raw| Self::Node(raw.metadata, raw.status.unwrap_or_default())),
            "Service" => typed::<Raw<ServiceSpec, Ignored>>(json)
                .map(|raw| Self::Service(raw.metadata, raw.spec.unwrap_or_default())),
            _ => return Ok(None),
        };
        object.map(Some).map_err(|(path, reason)| (subject(kind, json), path, reason))
    }
}

/// What can be said about an object that does not fit its type.
fn subject(kind: &str, json: &str) -> Subject {
    let metadata = serde_json::from_str::<Named>(json).ok().and_then(|named| named.metadata);
    let text = |key: &str| metadata.as_ref()?.get(key)?.as_str().map(str::to_owned);
    Subject { kind: kind.to_owned(), namespace: text("namespace"), name: text("name") }
}
