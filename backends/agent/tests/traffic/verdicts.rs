//! Random programs in the real kernel: a probe from a pod arrives exactly if `egress_ir::eval` lets its flow pass.
//!
//! Pods are known by their addresses. Left out, and counted, are probes that no such network delivers whatever the rules;
//! a first run without a program shows that all others are delivered.

use crate::scene::{Scene, emitted};
use egress_agent::kernel::{Endpoint, Kernel, Point, Side, TcKind};
use egress_ir::{Flow, Inventory, Program, Workload, eval};
use egress_snapshot::Snapshot;
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::lab::{Homes, Place, Probe, SILENT, pod_link, probe_of, protocol_name};
use egress_testkit::programs::{Presence, Shape, random_inventory, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use std::collections::BTreeMap;

/// Flows drawn for each program.
const FLOWS: usize = 400;

type Tally = BTreeMap<&'static str, usize>;

/// A program with its probes, and whether each must arrive.
struct Case {
    name: String,
    snapshot: Snapshot,
    flows: Vec<(Flow, Probe, bool)>,
}

#[test]
fn a_probe_arrives_exactly_if_its_flow_passes() {
    let map = Homes::default();
    let Some(mut scene) = Scene::with("a_probe_arrives_exactly_if_its_flow_passes", &map.topology()) else { return };
    for pod in 0..2 {
        scene.lab.namespace(Place::Pod(pod)).unwrap().nft(SILENT).unwrap();
    }
    let (seed, count) = (seed(), cases(10));
    let (mut seen, mut left_out) = (Tally::new(), Tally::new());
    let cases: Vec<Case> = (0..count).map(|number| draw(seed, number, &map, &mut seen, &mut left_out)).collect();
    for case in &cases {
        let probes: Vec<Probe> = case.flows.iter().map(|(_, probe, _)| *probe).collect();
        for (probe, outcome) in probes.iter().zip(scene.lab.probe_all(&probes).unwrap()) {
            assert!(outcome.arrived(), "{}: {probe:?} does not arrive without a program either", case.name);
        }
    }
    for (number, case) in cases.iter().enumerate() {
        let kind = if number % 3 == 2 { TcKind::Clsact } else { TcKind::Tcx };
        check(&scene, case, kind);
        scene.start_over();
    }
    let probes: usize = cases.iter().map(|case| case.flows.len()).sum();
    println!("{probes} probes over {count} programs: {seen:?}; left out: {left_out:?}");
    assert!(probes >= cases.len() * FLOWS / 4, "hardly any probe was sent: {left_out:?}");
    if count >= 10 {
        for kind in KINDS {
            assert!(seen.get(kind).is_some_and(|&count| count > 5), "too few flows of kind `{kind}`: {seen:?}");
        }
    }
}

const KINDS: [&str; 13] = [
    "tcp",
    "udp",
    "sctp",
    "icmp",
    "icmpv6",
    "other protocol",
    "ipv4",
    "ipv6",
    "from a pod",
    "from an address",
    "from an unknown pod",
    "passes",
    "denied",
];

fn draw(seed: u64, number: u64, map: &Homes, seen: &mut Tally, left_out: &mut Tally) -> Case {
    let mut rng = Rng::new(seed, number);
    let cluster = if number % 4 == 3 { Presence::Never } else { Presence::Always };
    let program = random_program(&mut rng, &Shape { cluster, hosts: false, gateways: 0, ..Shape::everything() });
    let inventory = random_inventory(&mut rng, &program);
    let known = (number % 4 != 2).then_some(&inventory);
    let name = format!("seed {seed} case {number}");
    let mut flows = Vec::new();
    for _ in 0..FLOWS {
        let flow = flow(&mut rng, &program, known);
        let probe = probe_of(&flow, known).unwrap();
        // What the node itself sends is not judged here.
        let sender = map.holder(probe.from).is_none().then_some("source that is no pod");
        if let Some(reason) = sender.or_else(|| map.obstacle(&probe)) {
            *left_out.entry(reason).or_default() += 1;
            continue;
        }
        let stranger = is_stranger(&program, &flow.workload);
        // Of those whom nobody knows, only what stays inside passes.
        let passes = if stranger { program.cluster.contains(probe.to) } else { eval(&program, &flow).verdict.passes() };
        for kind in kinds(&flow, stranger, passes) {
            *seen.entry(kind).or_default() += 1;
        }
        flows.push((flow, probe, passes));
    }
    Case { name, snapshot: emitted(number + 1, &program, known), flows }
}

fn flow(rng: &mut Rng, program: &Program, known: Option<&Inventory>) -> Flow {
    let sources = known.map_or(Sources::Addresses, Sources::Inventory);
    let mut flow = biased_flow(rng, program, sources);
    let v4 = flow.destination.address.is_ipv4();
    if rng.chance(10) {
        // Often nobody's in the inventory.
        let text = if v4 { "10.42.0.77" } else { "fd00:42::77" };
        flow.workload = Workload::Address(text.parse().unwrap());
    }
    flow
}

/// Whether a source is in the pods' ranges, and so a pod, but none that is known.
fn is_stranger(program: &Program, workload: &Workload) -> bool {
    let Workload::Address(address) = workload else { return false };
    program.cluster.pods.contains(*address)
}

fn kinds(flow: &Flow, stranger: bool, passes: bool) -> [&'static str; 4] {
    let protocol = protocol_name(flow.port);
    let source = match &flow.workload {
        Workload::Pod(_) => "from a pod",
        Workload::Address(_) if stranger => "from an unknown pod",
        Workload::Address(_) => "from an address",
    };
    let family = if flow.destination.address.is_ipv4() { "ipv4" } else { "ipv6" };
    [protocol, source, family, if passes { "passes" } else { "denied" }]
}

/// Both pods are judged at the host's ends of their pairs, by their addresses.
fn check(scene: &Scene, case: &Case, kind: TcKind) {
    let endpoints = [(0, Endpoint::ByAddress), (1, Endpoint::ByAddress)];
    scene.enforce(&case.snapshot, &endpoints);
    let points = [0, 1].map(|pod| Point::Interface { name: pod_link(pod as usize), side: Side::Pod });
    for (slot, point) in (0..).zip(&points) {
        scene.attach(point, slot, kind);
    }
    let probes: Vec<Probe> = case.flows.iter().map(|(_, probe, _)| *probe).collect();
    let outcomes = scene.lab.probe_all(&probes).unwrap();
    let wrong = case.flows.iter().zip(outcomes).filter(|((_, _, passes), outcome)| outcome.arrived() != *passes);
    let wrong: Vec<String> =
        wrong.map(|((flow, probe, _), outcome)| format!("{flow} from {}: {outcome:?}", probe.from)).collect();
    assert!(wrong.is_empty(), "{} under {kind:?}:\n{}", case.name, wrong.join("\n"));
    check_counts(&scene.kernel, case);
    for (slot, point) in (0..).zip(&points) {
        scene.detach(point, slot);
    }
}

/// Every probe was counted once, by an outcome of its kind; Linux's own traffic may add to those that deny.
fn check_counts(kernel: &Kernel, case: &Case) {
    let counters = kernel.generation(kernel.active().unwrap()).unwrap().unwrap().counters().unwrap();
    let mut counted = [0, 0];
    for (outcome, counter) in (0..).zip(&counters.outcomes) {
        let passes = case.snapshot.tables.word(outcome) & egress_snapshot::layout::outcome::VERDICT != 0;
        counted[usize::from(passes)] += counter.packets;
    }
    let passed = case.flows.iter().filter(|(_, _, passes)| *passes).count() as u64;
    assert!(counted[1] >= passed && counted[0] >= case.flows.len() as u64 - passed, "{}: {counted:?}", case.name);
    assert_eq!((counters.malformed.packets, counters.replies.packets), (0, 0), "{}", case.name);
}
