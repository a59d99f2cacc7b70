//! Inventories as `kubectl get pods,namespaces,nodes,services -A -o json` prints them.
//!
//! In: an [`Inventory`]. Out: the JSON of a `List`. Only the fields that identify things and those that readers use are
//! there; what is common to every real object (kinds, phases, conditions of readiness) is in its real place and shape.

use egress_ir::{Inventory, Labels, NAMESPACE_NAME_LABEL, Node, RunningPod, Service};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// The text of a `List` with every object of the inventory.
#[must_use]
pub fn to_json(inventory: &Inventory) -> String {
    list_text(items(inventory))
}

/// The text of a `List` of these objects, indented as kubectl does.
#[must_use]
pub fn list_text(items: Vec<Value>) -> String {
    let list = json!({ "apiVersion": "v1", "items": items, "kind": "List", "metadata": { "resourceVersion": "" } });
    format!("{list:#}\n")
}

/// Pods, namespaces, nodes and services as objects, in this order.
#[must_use]
pub fn items(inventory: &Inventory) -> Vec<Value> {
    let pods = inventory.pods.iter().map(|found| pod(found, &inventory.nodes));
    let namespaces = inventory.namespaces.iter().map(|(name, labels)| namespace(name, labels));
    let (nodes, services) = (inventory.nodes.iter().map(node), inventory.services.iter().map(service));
    pods.chain(namespaces).chain(nodes).chain(services).collect()
}

/// A pod: on its node's network with the node's addresses, running with its own, or pending with none.
#[must_use]
pub fn pod(pod: &RunningPod, nodes: &[Node]) -> Value {
    let identity = &pod.identity;
    let name = identity.name.as_deref().unwrap_or("nameless");
    let home = pod.node.as_ref().and_then(|name| nodes.iter().find(|node| node.name == *name));
    let host_addresses = home.map_or(&[][..], |node| &node.addresses);
    let addresses = if pod.host_network { host_addresses } else { &pod.addresses };
    let mut spec = json!({
        "containers": [{ "image": format!("registry.example/{}:1", identity.namespace), "name": "main" }],
        "restartPolicy": "Always",
        "serviceAccountName": identity.service_account,
    });
    let mut status = json!({ "phase": if addresses.is_empty() { "Pending" } else { "Running" } });
    set(&mut spec, "nodeName", pod.node.as_ref().map(|name| json!(name)));
    set(&mut spec, "hostNetwork", pod.host_network.then_some(json!(true)));
    set(&mut status, "podIP", addresses.first().map(|address| json!(address)));
    set(&mut status, "podIPs", (!addresses.is_empty()).then(|| json!(ips(addresses))));
    let placed = host_addresses.first().filter(|_| !addresses.is_empty());
    set(&mut status, "hostIP", placed.map(|address| json!(address)));
    let metadata = metadata(name, Some(&identity.namespace), &identity.labels);
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status })
}

/// A namespace, with the label that the API server adds.
#[must_use]
pub fn namespace(name: &str, labels: &Labels) -> Value {
    let mut labels = labels.clone();
    labels.insert(NAMESPACE_NAME_LABEL.to_owned(), name.to_owned());
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": metadata(name, None, &labels),
        "spec": { "finalizers": ["kubernetes"] },
        "status": { "phase": "Active" },
    })
}

/// A node with its internal addresses.
#[must_use]
pub fn node(node: &Node) -> Value {
    let mut addresses: Vec<Value> =
        node.addresses.iter().map(|address| json!({ "address": address, "type": "InternalIP" })).collect();
    addresses.push(json!({ "address": node.name, "type": "Hostname" }));
    let ready = json!({ "reason": "KubeletReady", "status": "True", "type": "Ready" });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata(&node.name, None, &node.labels),
        "spec": {},
        "status": { "addresses": addresses, "conditions": [ready] },
    })
}

/// A service with cluster addresses, or a headless one.
#[must_use]
pub fn service(service: &Service) -> Value {
    let headless = service.addresses.is_empty();
    let addresses: Vec<Value> =
        if headless { vec![json!("None")] } else { service.addresses.iter().map(|a| json!(a)).collect() };
    let mut spec = json!({
        "clusterIP": addresses.first(),
        "clusterIPs": addresses,
        "ports": [{ "name": "main", "port": 80, "protocol": "TCP", "targetPort": 8080 }],
        "type": "ClusterIP",
    });
    set(&mut spec, "selector", (!service.selector.is_empty()).then(|| json!(service.selector)));
    let metadata = metadata(&service.name, Some(&service.namespace), &Labels::new());
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": { "loadBalancer": {} } })
}

fn metadata(name: &str, namespace: Option<&str>, labels: &Labels) -> Value {
    let mut metadata = json!({ "creationTimestamp": "2026-05-04T09:12:31Z", "name": name });
    set(&mut metadata, "namespace", namespace.map(|name| json!(name)));
    set(&mut metadata, "labels", (!labels.is_empty()).then(|| json!(labels)));
    metadata
}

fn ips(addresses: &[IpAddr]) -> Vec<Value> {
    addresses.iter().map(|address| json!({ "ip": address })).collect()
}

/// Adds a field where there is something to say.
fn set(object: &mut Value, key: &str, value: Option<Value>) {
    let fields: Option<&mut Map<String, Value>> = object.as_object_mut();
    if let (Some(fields), Some(value)) = (fields, value) {
        fields.insert(key.to_owned(), value);
    }
}
