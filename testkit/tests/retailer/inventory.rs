//! The objects of the retailer's cluster, in the order in which kubectl lists them.

use crate::apps::{APPS, App, Kind, NAMESPACES};
use egress_ir::{Inventory, Labels, Node, Pod, RunningPod, Service};
use egress_testkit::kubernetes;
use egress_testkit::seed::Rng;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The letters of which Kubernetes makes random names.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The text of `inventory.json`.
pub(crate) fn text() -> String {
    let mut cluster = Cluster::new();
    for app in &APPS {
        cluster.run(app);
    }
    cluster.waiting_pods();
    let mut items = cluster.pods;
    items.extend(finished_jobs());
    items.sort_by_key(|item| (text_at(item, "namespace"), text_at(item, "name")));
    items.extend(kubernetes::items(&cluster.inventory));
    items.extend(special_services());
    kubernetes::list_text(items)
}

fn text_at(item: &Value, key: &str) -> String {
    item["metadata"][key].as_str().unwrap_or_default().to_owned()
}

/// What was placed so far.
struct Cluster {
    rng: Rng,
    inventory: Inventory,
    pods: Vec<Value>,
    /// How many addresses of each node's range are used.
    used: Vec<u8>,
    next: usize,
}

impl Cluster {
    fn new() -> Self {
        let namespaces = NAMESPACES.iter().map(|(name, own)| {
            let mut labels = labels(own);
            let level = if *name == "kube-system" { "privileged" } else { "baseline" };
            labels.insert("pod-security.kubernetes.io/enforce".into(), level.into());
            ((*name).to_owned(), labels)
        });
        let nodes = nodes();
        let used = vec![3; nodes.len()];
        let inventory = Inventory { namespaces: namespaces.collect(), nodes, ..Inventory::default() };
        Self { rng: Rng::new(20_260_504, 0), inventory, pods: Vec::new(), used, next: 0 }
    }

    fn run(&mut self, app: &App) {
        let hash = self.letters(10);
        let workers = 1..self.inventory.nodes.len();
        let homes: Vec<usize> = match app.kind {
            Kind::DaemonSet => workers.collect(),
            Kind::HostDaemonSet => (0..self.inventory.nodes.len()).collect(),
            Kind::Static => vec![0],
            Kind::Deployment | Kind::StatefulSet => (0..app.replicas).map(|_| self.next_worker()).collect(),
        };
        for (number, home) in homes.into_iter().enumerate() {
            let name = self.pod_name(app, &hash, number, home);
            self.place(app, name, &hash, home);
        }
        if app.port != 0 {
            self.inventory.services.push(self.service(app));
        }
    }

    fn pod_name(&mut self, app: &App, hash: &str, number: usize, home: usize) -> String {
        match app.kind {
            Kind::Deployment => format!("{}-{hash}-{}", app.name, self.letters(5)),
            Kind::StatefulSet => format!("{}-{number}", app.name),
            Kind::DaemonSet | Kind::HostDaemonSet => format!("{}-{}", app.name, self.letters(5)),
            Kind::Static => format!("{}-{}", app.name, self.inventory.nodes[home].name),
        }
    }

    fn place(&mut self, app: &App, name: String, hash: &str, home: usize) {
        let host_network = matches!(app.kind, Kind::HostDaemonSet | Kind::Static);
        let addresses = if host_network { Vec::new() } else { self.addresses(home) };
        let node = Some(self.inventory.nodes[home].name.clone());
        let running = RunningPod { identity: identity(app, name, hash), addresses, node, host_network };
        let pod = kubernetes::pod(&running, &self.inventory.nodes);
        self.pods.push(as_owned(pod, app, hash));
    }

    /// Two pods for which there is no room, and one whose image is still being pulled.
    fn waiting_pods(&mut self) {
        let runner = APPS.iter().find(|app| app.name == "runner").unwrap();
        let trainer = APPS.iter().find(|app| app.name == "recommender-train").unwrap();
        for (app, node) in [(runner, None), (trainer, None), (runner, Some("prod-worker-02"))] {
            let hash = self.letters(10);
            let name = format!("{}-{hash}-{}", app.name, self.letters(5));
            let (identity, node) = (identity(app, name, &hash), node.map(str::to_owned));
            let waiting = RunningPod { identity, addresses: Vec::new(), node, host_network: false };
            self.pods.push(as_owned(kubernetes::pod(&waiting, &self.inventory.nodes), app, &hash));
        }
    }

    fn service(&self, app: &App) -> Service {
        let number = u16::try_from(self.inventory.services.len()).unwrap() + 16;
        let headless = app.kind == Kind::StatefulSet;
        let last = if app.name == "coredns" { 10 } else { number };
        let v4 = Ipv4Addr::from_bits(Ipv4Addr::new(10, 43, 0, 0).to_bits() + u32::from(last) * 37 % 4096);
        let v4 = if app.name == "coredns" { Ipv4Addr::new(10, 43, 0, 10) } else { v4 };
        let v6 = Ipv6Addr::new(0xfd00, 0x43, 0, 0, 0, 0, 0, last);
        let addresses = if headless { Vec::new() } else { vec![IpAddr::from(v4), IpAddr::from(v6)] };
        let name = if app.name == "coredns" { "kube-dns" } else { app.name };
        let selector = labels(&app.labels[..1]);
        Service { namespace: app.namespace.into(), name: name.into(), addresses, selector }
    }

    /// The next addresses of the node's ranges: 10.42.N.0/24 and fd00:42:0:N::/64.
    fn addresses(&mut self, home: usize) -> Vec<IpAddr> {
        self.used[home] += 1;
        let (node, last) = (u8::try_from(home).unwrap(), self.used[home]);
        let v6 = Ipv6Addr::new(0xfd00, 0x42, 0, u16::from(node), 0, 0, 0, 0x1000 + u16::from(last));
        vec![Ipv4Addr::new(10, 42, node, last).into(), v6.into()]
    }

    fn next_worker(&mut self) -> usize {
        self.next += 1;
        1 + self.next % (self.inventory.nodes.len() - 1)
    }

    fn letters(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(LETTERS[self.rng.below(LETTERS.len())])).collect()
    }
}

fn identity(app: &App, name: String, hash: &str) -> Pod {
    let mut pod_labels = labels(app.labels);
    match app.kind {
        Kind::Deployment => pod_labels.insert("pod-template-hash".into(), hash.into()),
        Kind::StatefulSet => pod_labels.insert("statefulset.kubernetes.io/pod-name".into(), name.clone()),
        Kind::DaemonSet | Kind::HostDaemonSet => pod_labels.insert("controller-revision-hash".into(), hash.into()),
        Kind::Static => pod_labels.insert("tier".into(), "control-plane".into()),
    };
    Pod {
        namespace: app.namespace.into(),
        name: Some(name),
        namespace_labels: Labels::new(),
        labels: pod_labels,
        service_account: app.account.into(),
    }
}

fn labels(pairs: &[&str]) -> Labels {
    pairs.iter().filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
}

/// With the owner that made it, and its image and port.
fn as_owned(mut pod: Value, app: &App, hash: &str) -> Value {
    let (kind, owner) = match app.kind {
        Kind::Deployment => ("ReplicaSet", format!("{}-{hash}", app.name)),
        Kind::StatefulSet => ("StatefulSet", app.name.to_owned()),
        Kind::DaemonSet | Kind::HostDaemonSet => ("DaemonSet", app.name.to_owned()),
        Kind::Static => ("Node", pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()),
    };
    let api = if kind == "Node" { "v1" } else { "apps/v1" };
    pod["metadata"]["ownerReferences"] =
        json!([{ "apiVersion": api, "controller": true, "kind": kind, "name": owner }]);
    let image = format!("registry.retailer.example/{}/{}:2026.18", app.namespace, app.name);
    let mut container = json!({ "image": image, "name": app.name });
    if app.port != 0 {
        container["ports"] = json!([{ "containerPort": app.port, "protocol": "TCP" }]);
    }
    pod["spec"]["containers"] = json!([container]);
    pod
}

/// Six nodes; the first is the control plane, two carry fixed addresses for partners.
fn nodes() -> Vec<Node> {
    let node = |number: u8| {
        let name = if number == 0 { "prod-control-01".to_owned() } else { format!("prod-worker-{number:02}") };
        let zone = format!("eu-central-1{}", ["a", "b", "c"][usize::from(number) % 3]);
        let mut node_labels = labels(&["kubernetes.io/arch=amd64", "kubernetes.io/os=linux"]);
        node_labels.insert("kubernetes.io/hostname".into(), name.clone());
        node_labels.insert("topology.kubernetes.io/region".into(), "eu-central-1".into());
        node_labels.insert("topology.kubernetes.io/zone".into(), zone);
        match number {
            0 => node_labels.insert("node-role.kubernetes.io/control-plane".into(), String::new()),
            1 | 2 => node_labels.insert("egress-zone".into(), "eu".into()),
            3 | 4 => node_labels.insert("egress-zone".into(), "partners".into()),
            _ => None,
        };
        let v6 = Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, 0x10 + u16::from(number));
        let addresses = vec![Ipv4Addr::new(192, 168, 10, 10 + number).into(), v6.into()];
        Node { name, labels: node_labels, addresses }
    };
    (0..6).map(node).collect()
}

/// Pods of jobs that have ended; their addresses are no longer theirs.
fn finished_jobs() -> Vec<Value> {
    let job = |name: &str, phase: &str, last: u8| {
        let address = format!("10.42.2.{last}");
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "creationTimestamp": "2026-05-04T02:00:03Z",
                "labels": { "app": "nightly-export", "job-name": name.rsplit_once('-').map(|(job, _)| job), "tier": "etl" },
                "name": name,
                "namespace": "data",
            },
            "spec": {
                "containers": [{ "image": "registry.retailer.example/data/nightly-export:2026.18", "name": "export" }],
                "nodeName": "prod-worker-02",
                "restartPolicy": "Never",
                "serviceAccountName": "etl",
            },
            "status": {
                "hostIP": "192.168.10.12",
                "phase": phase,
                "podIP": address,
                "podIPs": [{ "ip": address }],
            },
        })
    };
    vec![
        job("nightly-export-29631960-4xkq2", "Succeeded", 4),
        job("nightly-export-29633400-zb7m9", "Succeeded", 5),
        job("nightly-export-29634840-dw28t", "Failed", 6),
    ]
}

/// The API server's service, which has no selector, and one that is only a name.
fn special_services() -> Vec<Value> {
    let metadata = |name: &str, namespace: &str| json!({ "name": name, "namespace": namespace });
    let ports = json!([{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443 }]);
    vec![
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata("kubernetes", "default"),
            "spec": { "clusterIP": "10.43.0.1", "clusterIPs": ["10.43.0.1"], "ports": ports, "type": "ClusterIP" },
        }),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata("erp", "logistics"),
            "spec": { "externalName": "erp.retailer.example", "type": "ExternalName" },
        }),
    ]
}
