//! The recordings of the real engine, read.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use egress_backends::cilium::decode::Admission;
use egress_backends::cilium::model::Protocol;
use egress_backends::cilium::{CiliumFlow, Environment, KnownInterface, KnownNode, KnownPod};
use serde_json::Value;

/// `CILIUM_VERDICTS`, or the copy in `testdata`.
pub(crate) fn folder() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cilium/verdicts");
    std::env::var_os("CILIUM_VERDICTS").map_or_else(default, PathBuf::from)
}

pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

pub(crate) fn cases() -> Vec<Value> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the folder of recordings")
        .map(|file| file.expect("a file").path())
        .collect();
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("cases-") && name.ends_with(".jsonl")
    });
    files.sort();
    files.iter().flat_map(|file| lines(file)).collect()
}

pub(crate) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("`{key}` in {value}"))
}

pub(crate) fn labels(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), value.as_str().expect("a label").to_owned())).collect()
}

pub(crate) fn addresses(value: &Value) -> Vec<IpAddr> {
    let entries = value.as_array().into_iter().flatten();
    entries.map(|address| address.as_str().expect("text").parse().expect("an address")).collect()
}

pub(crate) fn protocol(name: &str) -> Protocol {
    match name {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        "ICMP" => Protocol::Icmp,
        "ICMPv6" => Protocol::Icmpv6,
        other => panic!("protocol {other}"),
    }
}

pub(crate) fn pod(value: &Value) -> KnownPod {
    let named = value["namedPorts"].as_object().into_iter().flatten();
    let named_port = |(name, port): (&String, &Value)| {
        let number = u16::try_from(port["port"].as_u64().expect("a number")).expect("a port");
        (name.clone(), (protocol(text(port, "protocol")), number))
    };
    KnownPod {
        namespace: text(value, "namespace").to_owned(),
        name: text(value, "name").to_owned(),
        labels: labels(&value["labels"]),
        service_account: text(value, "serviceAccount").to_owned(),
        addresses: addresses(&value["ips"]),
        named_ports: named.map(named_port).collect(),
        node: text(value, "node").to_owned(),
        uid: text(value, "uid").to_owned(),
    }
}

pub(crate) fn environment(case: &Value) -> Environment {
    let config = &case["config"];
    assert_eq!(text(config, "policyEnforcement"), "default");
    let namespaces = case["namespaces"].as_object().into_iter().flatten();
    let nodes = case["nodes"].as_array().into_iter().flatten();
    let interface =
        |value: &Value| KnownInterface { name: text(value, "name").to_owned(), addresses: addresses(&value["ips"]) };
    let node = |node: &Value| KnownNode {
        name: text(node, "name").to_owned(),
        labels: labels(&node["labels"]),
        addresses: addresses(&node["ips"]),
        interfaces: node["interfaces"].as_array().into_iter().flatten().map(interface).collect(),
        default_interface: text(node, "defaultInterface").to_owned(),
    };
    let names = case["dns"].as_object().into_iter().flatten();
    Environment {
        cluster_name: text(config, "clusterName").to_owned(),
        local_node: text(config, "localNode").to_owned(),
        dual_stack: config["ipv4"] == true && config["ipv6"] == true,
        namespaces: namespaces.map(|(name, value)| (name.clone(), labels(value))).collect(),
        pods: case["pods"].as_array().into_iter().flatten().map(pod).collect(),
        nodes: nodes.map(node).collect(),
        api_servers: addresses(&case["kubeAPIServers"]).into_iter().collect(),
        names: names.map(|(name, seen)| (name.clone(), addresses(seen).into_iter().collect())).collect(),
    }
}

pub(crate) fn find<'e>(environment: &'e Environment, name: &str) -> &'e KnownPod {
    let same = |pod: &&KnownPod| format!("{}/{}", pod.namespace, pod.name) == name;
    environment.pods.iter().find(same).unwrap_or_else(|| panic!("pod {name}"))
}

/// The flow as recorded; a pod is reached at the address that fits the protocol.
pub(crate) fn flow(environment: &Environment, recorded: &Value) -> CiliumFlow {
    let protocol = protocol(text(recorded, "protocol"));
    let to = match (recorded["to"]["ip"].as_str(), recorded["to"]["pod"].as_str()) {
        (Some(ip), _) => ip.parse().expect("an address"),
        (None, Some(name)) => {
            let pod = find(environment, name);
            let fits = |address: &&IpAddr| protocol != Protocol::Icmpv6 || address.is_ipv6();
            *pod.addresses.iter().find(fits).or(pod.addresses.first()).expect("an address")
        }
        _ => panic!("destination of {recorded}"),
    };
    let number = u16::try_from(recorded["port"].as_u64().expect("a number")).expect("a port");
    CiliumFlow { to, protocol, number }
}

pub(crate) fn admission(case: &Value) -> Admission {
    if case["schemaChecked"] == false { Admission::AgentOnly } else { Admission::ApiServer }
}
