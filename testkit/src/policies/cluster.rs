//! The company's cluster: applications in namespaces, and the inventory of what runs.

use super::PolicyShape;
use crate::kubernetes;
use crate::seed::Rng;
use egress_ir::{Inventory, Labels, Node, Pod, RunningPod, Service};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The cluster's declaration; its ranges hold a million pods.
pub(super) const HEADER: &str = "\
cluster prod {
  pods     10.32.0.0/12, fd00:42::/48
  services 10.96.0.0/16, fd00:43::/112
  nodes    192.168.0.0/20
  dns      pods(k8s-app=kube-dns) in namespace kube-system
}

";

/// What namespaces are called after.
const AREAS: [&str; 10] =
    ["checkout", "catalog", "payments", "search", "stock", "loyalty", "pricing", "delivery", "returns", "analytics"];

/// A deployment whose pods rules speak about.
#[derive(Clone, Debug, Default)]
pub(super) struct Application {
    pub(super) name: String,
    pub(super) namespace: String,
}

/// The applications, about eight in each namespace.
///
/// `batch` pods exist in every namespace, so each application and namespace counts twice as a kind of source.
pub(super) fn applications(shape: &PolicyShape) -> Vec<Application> {
    let count = (shape.sources * 4 / 9).max(3);
    let namespace = |number: usize| {
        let area = AREAS.iter().cycle().nth(number).copied().unwrap_or("area");
        format!("{area}-{number}")
    };
    (0..count).map(|n| Application { name: format!("app-{n}"), namespace: namespace(n / 8) }).collect()
}

/// Every workload set that rules may use, with its declaration.
pub(super) fn workload_sets(applications: &[Application]) -> Vec<(String, String)> {
    let mut sets = vec![
        ("batch".to_owned(), "pods(workload-kind in (batch, etl))".to_owned()),
        ("legacy-vms".to_owned(), "address 10.9.0.0/24, address fd00:9::/64".to_owned()),
    ];
    let mut namespaces: Vec<&str> = applications.iter().map(|app| app.namespace.as_str()).collect();
    namespaces.dedup();
    sets.extend(namespaces.into_iter().map(|name| (name.to_owned(), format!("pods in namespace {name}"))));
    for Application { name, namespace } in applications {
        sets.push((name.clone(), format!("pods(app={name}) in namespace {namespace}")));
    }
    sets
}

/// The inventory that belongs to [`super::generate`] with the same seed and shape, as `kubectl` prints it.
#[must_use]
pub fn generate_inventory(seed: u64, shape: &PolicyShape) -> String {
    let mut rng = Rng::new(seed, 1);
    let applications = applications(shape);
    let mut inventory = Inventory { nodes: nodes(shape), ..Inventory::default() };
    let replicas = shape.pods.div_ceil(applications.len());
    let mut address = 0u32;
    for application in &applications {
        let namespace = &application.namespace;
        let labels = Labels::from([("team".to_owned(), namespace.clone())]);
        inventory.namespaces.insert(namespace.clone(), labels.clone());
        let hash = format!("{:010x}", rng.bits() >> 24);
        for _ in 0..replicas {
            address += 1;
            inventory.pods.push(pod(&mut rng, application, &labels, &hash, address, &inventory.nodes));
        }
        let cluster_address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 1, 0).to_bits() + address);
        let selector = Labels::from([("app".to_owned(), application.name.clone())]);
        let (namespace, name) = (namespace.clone(), application.name.clone());
        inventory.services.push(Service { namespace, name, addresses: vec![cluster_address.into()], selector });
    }
    inventory.namespaces.insert("kube-system".to_owned(), Labels::new());
    for _ in 0..2 {
        address += 1;
        inventory.pods.push(resolver(&mut rng, address, &inventory.nodes));
    }
    kubernetes::to_json(&inventory)
}

fn pod(rng: &mut Rng, app: &Application, namespace: &Labels, hash: &str, number: u32, nodes: &[Node]) -> RunningPod {
    let mut labels: Labels =
        BTreeMap::from([("app".to_owned(), app.name.clone()), ("pod-template-hash".to_owned(), hash.to_owned())]);
    if rng.chance(20) {
        labels.insert("workload-kind".to_owned(), rng.pick(&["batch", "etl", "online"]).to_owned());
    }
    let identity = Pod {
        namespace: app.namespace.clone(),
        name: Some(format!("{}-{hash}-{:05x}", app.name, number)),
        namespace_labels: namespace.clone(),
        labels,
        service_account: app.name.clone(),
    };
    let mut addresses: Vec<IpAddr> = vec![Ipv4Addr::from_bits(Ipv4Addr::new(10, 32, 0, 0).to_bits() + number).into()];
    if rng.chance(60) {
        let bits = Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0).to_bits() + u128::from(number);
        addresses.push(Ipv6Addr::from_bits(bits).into());
    }
    RunningPod { identity, addresses, node: rng.choose(nodes).map(|node| node.name.clone()), host_network: false }
}

/// A pod that the cluster's `dns` names.
fn resolver(rng: &mut Rng, number: u32, nodes: &[Node]) -> RunningPod {
    let app = Application { name: "coredns".to_owned(), namespace: "kube-system".to_owned() };
    let mut pod = pod(rng, &app, &Labels::new(), "5d78c9869d", number, nodes);
    pod.identity.labels = Labels::from([("k8s-app".to_owned(), "kube-dns".to_owned())]);
    pod
}

/// One node for about 100 pods, three at least; each gateway's zone has one.
fn nodes(shape: &PolicyShape) -> Vec<Node> {
    let count = u32::try_from((shape.pods / 100).max(shape.gateways).clamp(3, 2000)).unwrap_or(3);
    let node = |number: u32| Node {
        name: format!("node-{number}"),
        labels: Labels::from([
            ("egress-zone".to_owned(), format!("zone-{number}")),
            ("kubernetes.io/hostname".to_owned(), format!("node-{number}")),
        ]),
        addresses: vec![Ipv4Addr::from_bits(Ipv4Addr::new(192, 168, 0, 10).to_bits() + number).into()],
    };
    (1..=count).map(node).collect()
}
