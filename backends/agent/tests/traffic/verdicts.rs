//! Random programs in the real kernel: a probe from a pod arrives exactly if `egress_ir::eval` lets its flow pass.
//!
//! Pods are known by their addresses. Left out, and counted, are probes that no such network delivers whatever the rules;
//! a first run without a program shows that all others are delivered.

use crate::scene::{Scene, emitted};
use egress_agent::kernel::{Endpoint, Kernel, Point, Side, TcKind};
use egress_ir::{AddressSet, Flow, Inventory, Port, Prefix, Program, Workload, eval, protocol};
use egress_snapshot::Snapshot;
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::lab::{Place, Probe, ProbeKind, Range, Topology, obstacle, pod_link};
use egress_testkit::programs::{Presence, Shape, random_inventory, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Flows drawn for each program.
const FLOWS: usize = 400;

/// Swallows probes, which bear this mark, as the outside does: answers would be traffic of their own.
const SILENT: &str = "table inet silent {\n chain pre { type filter hook prerouting priority raw; policy accept;\n\
                      ip dscp 11 drop\n ip6 dscp 11 drop\n }\n}\n";

type Tally = BTreeMap<&'static str, usize>;

/// A program with its probes, and whether each must arrive.
struct Case {
    name: String,
    snapshot: Snapshot,
    flows: Vec<(Flow, Probe, bool)>,
}

#[test]
fn a_probe_arrives_exactly_if_its_flow_passes() {
    let map = AddressMap::new();
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

fn draw(seed: u64, number: u64, map: &AddressMap, seen: &mut Tally, left_out: &mut Tally) -> Case {
    let mut rng = Rng::new(seed, number);
    let cluster = if number % 4 == 3 { Presence::Never } else { Presence::Always };
    let program = random_program(&mut rng, &Shape { cluster, hosts: false, gateways: 0, ..Shape::everything() });
    let inventory = random_inventory(&mut rng, &program);
    let known = (number % 4 != 2).then_some(&inventory);
    let name = format!("seed {seed} case {number}");
    let mut flows = Vec::new();
    for _ in 0..FLOWS {
        let (flow, from) = flow(&mut rng, &program, known);
        let probe = Probe { from, to: flow.destination.address, kind: kind_of(flow.port) };
        if let Some(reason) = map.obstacle(&probe).or_else(|| obstacle(&probe)) {
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

fn flow(rng: &mut Rng, program: &Program, known: Option<&Inventory>) -> (Flow, IpAddr) {
    let sources = known.map_or(Sources::Addresses, Sources::Inventory);
    let mut flow = biased_flow(rng, program, sources);
    let v4 = flow.destination.address.is_ipv4();
    if rng.chance(10) {
        // Often nobody's in the inventory.
        let text = if v4 { "10.42.0.77" } else { "fd00:42::77" };
        flow.workload = Workload::Address(text.parse().unwrap());
    }
    let from = match &flow.workload {
        Workload::Address(address) => *address,
        Workload::Pod(identity) => {
            let pod = known.unwrap().pods.iter().find(|pod| pod.identity == *identity).unwrap();
            *pod.addresses.iter().find(|address| address.is_ipv4() == v4).unwrap()
        }
    };
    (flow, from)
}

/// Whether a source is in the pods' ranges, and so a pod, but none that is known.
fn is_stranger(program: &Program, workload: &Workload) -> bool {
    let Workload::Address(address) = workload else { return false };
    program.cluster.pods.contains(*address)
}

fn kind_of(port: Port) -> ProbeKind {
    let [high, low] = port.number().to_be_bytes();
    match port.protocol() {
        protocol::TCP => ProbeKind::Tcp(port.number()),
        protocol::UDP => ProbeKind::Udp(port.number()),
        protocol::SCTP => ProbeKind::Sctp(port.number()),
        protocol::ICMP | protocol::ICMPV6 => ProbeKind::Icmp(high, low),
        other => ProbeKind::Other(other),
    }
}

fn kinds(flow: &Flow, stranger: bool, passes: bool) -> [&'static str; 4] {
    let protocol = match flow.port.protocol() {
        protocol::TCP => "tcp",
        protocol::UDP => "udp",
        protocol::SCTP => "sctp",
        protocol::ICMP => "icmp",
        protocol::ICMPV6 => "icmpv6",
        _ => "other protocol",
    };
    let source = match &flow.workload {
        Workload::Pod(_) => "from a pod",
        Workload::Address(_) if stranger => "from an unknown pod",
        Workload::Address(_) => "from an address",
    };
    let family = if flow.destination.address.is_ipv4() { "ipv4" } else { "ipv6" };
    [protocol, source, family, if passes { "passes" } else { "denied" }]
}

/// Which addresses the two pods of the lab hold: together all that random inventories and policies give to sources.
struct AddressMap([AddressSet; 2]);

impl AddressMap {
    /// The cluster's ranges are split between both, so that pods can send to each other.
    fn new() -> Self {
        let set = |texts: &[&str]| {
            AddressSet::from_prefixes(texts.iter().map(|text| {
                let (address, length) = text.split_once('/').unwrap();
                Prefix::containing(address.parse().unwrap(), length.parse().unwrap())
            }))
        };
        let first = set(&["10.42.0.0/24", "10.42.128.0/17", "100.64.0.0/11", "fd00:42::/113", "fd00:42:0:80::/57"])
            .union(&set(&["fd00:42:0:8000::/49"]));
        let second = set(&["10.42.0.0/16", "100.64.0.0/10", "fd00:42::/48"]).difference(&first);
        Self([first.union(&set(&["10.8.0.0/15", "fd00:8::/31"])), second])
    }

    fn topology(&self) -> Topology {
        let range = |prefix: Prefix| Range { network: prefix.address(), length: prefix.length() };
        Topology { pods: self.0.iter().map(|set| set.prefixes().into_iter().map(range).collect()).collect() }
    }

    fn holder(&self, address: IpAddr) -> Option<usize> {
        self.0.iter().position(|set| set.contains(address))
    }

    fn obstacle(&self, probe: &Probe) -> Option<&'static str> {
        match self.holder(probe.from) {
            None => Some("source outside of the lab"),
            home if home == self.holder(probe.to) => Some("to the sender itself"),
            Some(_) => None,
        }
    }
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
