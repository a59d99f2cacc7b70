//! The decoder against recordings of the real engine.
//!
//! `CILIUM_VERDICTS` names the folder (default: the copy in `testdata`): `cases-*.jsonl` with policies, clusters and
//! flows with their verdicts, and `rejected/objects.jsonl` with single objects that the engine accepts or refuses.
//! Every flow is judged; a wrong answer fails, a refusal is counted by the feature that was refused.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a recording that cannot be read must stop the test, and the counts are its result"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use egress_backends::cilium::decode::{Admission, decode_as};
use egress_backends::cilium::model::Protocol;
use egress_backends::cilium::{CiliumFlow, Environment, KnownNode, KnownPod, Model, Stage, Verdict};
use serde_json::Value;

fn folder() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cilium/verdicts");
    std::env::var_os("CILIUM_VERDICTS").map_or_else(default, PathBuf::from)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn cases() -> Vec<Value> {
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

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("`{key}` in {value}"))
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), value.as_str().expect("a label").to_owned())).collect()
}

fn addresses(value: &Value) -> Vec<IpAddr> {
    let entries = value.as_array().into_iter().flatten();
    entries.map(|address| address.as_str().expect("text").parse().expect("an address")).collect()
}

fn protocol(name: &str) -> Protocol {
    match name {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        "ICMP" => Protocol::Icmp,
        "ICMPv6" => Protocol::Icmpv6,
        other => panic!("protocol {other}"),
    }
}

fn pod(value: &Value) -> KnownPod {
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
    }
}

fn environment(case: &Value) -> Environment {
    let config = &case["config"];
    assert_eq!(text(config, "policyEnforcement"), "default");
    let namespaces = case["namespaces"].as_object().into_iter().flatten();
    let nodes = case["nodes"].as_array().into_iter().flatten();
    let node = |node: &Value| KnownNode { name: text(node, "name").to_owned(), addresses: addresses(&node["ips"]) };
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

fn find<'e>(environment: &'e Environment, name: &str) -> &'e KnownPod {
    let same = |pod: &&KnownPod| format!("{}/{}", pod.namespace, pod.name) == name;
    environment.pods.iter().find(same).unwrap_or_else(|| panic!("pod {name}"))
}

/// The flow as recorded; a pod is reached at the address that fits the protocol.
fn flow(environment: &Environment, recorded: &Value) -> CiliumFlow {
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

fn admission(case: &Value) -> Admission {
    if case["schemaChecked"] == false { Admission::AgentOnly } else { Admission::ApiServer }
}

/// What is wrong with our judgement of one recorded flow.
fn differences(model: &Model, environment: &Environment, recorded: &Value) -> Vec<String> {
    let from = find(environment, text(recorded, "from"));
    let flow = flow(environment, recorded);
    let ours = model.judge(environment, from, &flow);
    let mut wrong = Vec::new();
    let verdict = if text(recorded, "verdict") == "allowed" { Verdict::Allowed } else { Verdict::Denied };
    if ours.verdict != verdict {
        wrong.push(format!("verdict {:?}", ours.verdict));
    }
    if recorded["enforced"] != ours.enforced {
        wrong.push(format!("enforced {}", ours.enforced));
    }
    if (recorded["l7"] == "dns") != ours.dns_proxy {
        wrong.push(format!("DNS proxy {}", ours.dns_proxy));
    }
    if let (true, Some(query), Some(allowed)) =
        (ours.dns_proxy, recorded["dnsQuery"].as_str(), recorded["dnsQueryAllowed"].as_bool())
        && model.forwards_query(environment, from, &flow, query) != allowed
    {
        wrong.push(format!("query {query} {}", !allowed));
    }
    let ours: BTreeSet<String> = ours.objects.iter().map(ToString::to_string).collect();
    let theirs = recorded["rules"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for object in theirs.filter(|object| !object.starts_with("reserved/")) {
        if !ours.contains(object) {
            wrong.push(format!("{object} is not among the deciding {ours:?}"));
        }
    }
    wrong
}

#[test]
fn every_recorded_flow_is_judged_right() {
    let (mut judged, mut allowed, mut refused) = (0, 0, BTreeMap::<String, usize>::new());
    let mut wrong = Vec::new();
    let cases = cases();
    for case in &cases {
        let flows = case["flows"].as_array().expect("flows");
        let model = match decode_as(text(case, "policies").as_bytes(), admission(case)) {
            Ok(model) => model,
            Err(error) if error.is_unsupported() => {
                let features: BTreeSet<&str> = error.problems.iter().map(|problem| problem.message.as_str()).collect();
                for feature in features {
                    *refused.entry(feature.to_owned()).or_default() += flows.len();
                }
                continue;
            }
            Err(error) => panic!("{}: accepted by the engine: {error}", text(case, "id")),
        };
        let environment = environment(case);
        for recorded in flows {
            judged += 1;
            allowed += usize::from(text(recorded, "verdict") == "allowed");
            let found = differences(&model, &environment, recorded);
            if !found.is_empty() {
                wrong.push(format!(
                    "{} {}: {} in {recorded}",
                    text(case, "id"),
                    text(recorded, "id"),
                    found.join(", ")
                ));
            }
        }
    }
    let total: usize = refused.values().sum();
    println!(
        "{} cases, {judged} flows judged ({allowed} allowed), {total} refused, {} wrong",
        cases.len(),
        wrong.len()
    );
    for (feature, flows) in &refused {
        println!("  refused, {flows} flows: {feature}");
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.iter().take(40).cloned().collect::<Vec<_>>().join("\n")
    );
    assert!(judged > 0 && allowed > 0 && allowed < judged, "nothing was judged");
}

#[test]
fn objects_are_accepted_and_rejected_as_recorded() {
    let objects = lines(&folder().join("rejected/objects.jsonl"));
    let (mut agreed, mut unsupported, mut wrong) = (BTreeMap::<String, usize>::new(), Vec::new(), Vec::new());
    for object in &objects {
        let decoded = decode_as(text(object, "yaml").as_bytes(), Admission::ApiServer);
        let stage = object["stage"].as_str().unwrap_or("accepted");
        match (&decoded, object["accepted"] == true) {
            (Ok(_), true) => *agreed.entry("accepted".to_owned()).or_default() += 1,
            (Err(error), true) if error.is_unsupported() => {
                unsupported.push(format!("{}: {error}", text(object, "topic")))
            }
            (Err(error), false) if error.problems.iter().any(|problem| problem.stage != Stage::Unsupported) => {
                *agreed.entry(format!("rejected at {stage}")).or_default() += 1;
            }
            (Err(error), _) => wrong.push(format!("{} {stage}: {error}", text(object, "topic"))),
            (Ok(_), false) => wrong.push(format!("{} {stage}: accepted", text(object, "topic"))),
        }
    }
    println!("{} objects: {agreed:?}; refused by name {unsupported:?}", objects.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(agreed.values().sum::<usize>() > 0, "nothing was checked");
}
