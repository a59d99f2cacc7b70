//! The plane of recorded policies against the verdicts of the real engine.
//!
//! `CILIUM_VERDICTS` names the folder, as for the decoder's own test. Flows to the world must have the recorded verdict;
//! what passes inside the cluster must have passed. A recording may also be unclear; that is counted, with the reason.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a recording that cannot be read must stop the test, and the counts are its result"
)]

#[path = "cilium_support/plane.rs"]
mod pieces;
#[path = "cilium_support/recordings.rs"]
mod recordings;

use std::collections::{BTreeMap, BTreeSet};

use egress_backends::cilium::decode::decode_as;
use egress_backends::cilium::model::Protocol;
use egress_backends::cilium::{CiliumFlow, Environment, KnownPod, Model, Verdict};
use egress_ir::{
    AddressSet, Cluster, Destination, Flow, NamespaceSelector, Operator, Outcome, Pod, PodSelector, Port, Prefix,
    Program, Requirement, Selector, Workload, WorkloadSet,
};
use pieces::Pieces;
use recordings::{admission, cases, environment, find, flow, text};

/// A program of the recorded cluster alone: its pods and nodes are inside, and one pod resolves names.
fn program(environment: &Environment) -> Program {
    let hosts = |addresses: &mut dyn Iterator<Item = &std::net::IpAddr>| {
        AddressSet::from_prefixes(addresses.map(|address| Prefix::host(*address)))
    };
    let pods = hosts(&mut environment.pods.iter().flat_map(|pod| &pod.addresses));
    let nodes = hosts(&mut environment.nodes.iter().flat_map(|node| &node.addresses));
    let mut program = Program { cluster: Cluster::new(None, pods, AddressSet::empty(), nodes), ..Program::default() };
    let dns = Operator::In(BTreeSet::from(["kube-dns".to_owned()]));
    let labels = Selector(vec![Requirement { key: "k8s-app".to_owned(), operator: dns }]);
    let namespace = NamespaceSelector::Named("kube-system".to_owned());
    program.cluster.dns =
        Some(program.intern_workloads(WorkloadSet::Pods(PodSelector { labels, namespace, service_account: None })));
    program
}

fn pod(environment: &Environment, known: &KnownPod) -> Pod {
    Pod {
        namespace: known.namespace.clone(),
        name: Some(known.name.clone()),
        namespace_labels: environment.namespaces.get(&known.namespace).cloned().unwrap_or_default(),
        labels: known.labels.clone(),
        service_account: known.service_account.clone(),
    }
}

/// The flow in the language, without names.
fn of_language(from: &Pod, flow: &CiliumFlow) -> Flow {
    let port = match flow.protocol {
        Protocol::Icmp | Protocol::Icmpv6 => {
            Port::icmp(flow.protocol.number(), u8::try_from(flow.number).expect("a type"), 0)
        }
        other => Port::new(other.number(), flow.number),
    };
    Flow { workload: Workload::Pod(from.clone()), destination: Destination::unnamed(flow.to), port }
}

#[derive(Debug, Default)]
struct Count {
    world: usize,
    allowed: usize,
    by_name: usize,
    /// Recorded as learned without a question; the plane says what holds where names must be learned.
    not_learned: usize,
    inside: usize,
    unclear: BTreeMap<String, usize>,
}

impl Count {
    fn unclear(&mut self, reason: &str, flows: usize) {
        // Reasons begin with the object, which differs from case to case.
        let reason = reason.rsplit_once("` ").map_or(reason, |(_, rest)| rest);
        *self.unclear.entry(reason.to_owned()).or_default() += flows;
    }
}

#[test]
fn recorded_verdicts_are_those_of_the_plane() {
    let (mut count, mut wrong) = (Count::default(), Vec::new());
    for case in cases() {
        let flows = case["flows"].as_array().expect("flows");
        let Ok(mut model) = decode_as(text(&case, "policies").as_bytes(), admission(&case)) else {
            count.unclear("not decoded", flows.len());
            continue;
        };
        // Gateways never change a verdict.
        model.gateways.clear();
        let environment = environment(&case);
        let program = program(&environment);
        let mut pieces = match Pieces::new(&model, &program, None) {
            Ok(pieces) => pieces,
            Err(why) => {
                count.unclear(&why.reason, flows.len());
                continue;
            }
        };
        for recorded in flows {
            let allowed = text(recorded, "verdict") == "allowed";
            let from = pod(&environment, find(&environment, text(recorded, "from")));
            let flow = of_language(&from, &flow(&environment, recorded));
            if !agrees(&mut pieces, &model, &environment, flow, allowed, &mut count) {
                wrong.push(format!("{} {recorded}", text(&case, "id")));
            }
        }
    }
    println!("{count:#?}, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    assert!(count.allowed > 0 && count.allowed < count.world && count.by_name > 0 && count.inside > 0, "{count:?}");
}

/// Whether the plane says what was recorded of one flow, as far as it says anything.
fn agrees(
    pieces: &mut Pieces<'_>,
    model: &Model,
    environment: &Environment,
    mut flow: Flow,
    allowed: bool,
    count: &mut Count,
) -> bool {
    let to = flow.destination.address;
    let inside = environment.pods.iter().any(|pod| pod.addresses.contains(&to))
        || environment.nodes.iter().any(|node| node.addresses.contains(&to));
    if !inside {
        let names = environment.names.iter().filter(|(_, seen)| seen.contains(&to)).map(|(name, _)| name.clone());
        flow.destination.names = names.collect();
    }
    let outcome = match pieces.decide(&flow) {
        Ok(outcome) => outcome,
        Err(why) => {
            count.unclear(&why.reason, 1);
            return true;
        }
    };
    if inside {
        count.inside += usize::from(outcome.passes());
        return allowed || outcome == Outcome::Dropped;
    }
    count.world += 1;
    count.allowed += usize::from(allowed);
    if outcome.passes() == allowed {
        let unnamed = Flow { destination: Destination::unnamed(to), ..flow };
        count.by_name += usize::from(pieces.decide(&unnamed) != Ok(outcome));
        return true;
    }
    // The recording counts every name as learned.
    let resolver = environment.pods.iter().find(|pod| pod.labels.get("k8s-app").is_some_and(|app| app == "kube-dns"));
    let resolver = pod(environment, resolver.expect("a resolver"));
    let judged = model.judge_program_flow(&flow, Some(&resolver)).expect("a pod");
    let not_learned = allowed && !flow.destination.names.is_empty() && judged.verdict == Verdict::Denied;
    count.not_learned += usize::from(not_learned);
    not_learned
}
