//! Random programs in the real kernel: a probe arrives exactly if `egress_ir::eval` lets its flow pass.
//!
//! Every probe is one packet of a flow at the borders of its program. Left out, and counted, are the destinations that
//! no such network delivers to whatever the rules; a first run without rules shows that all others are delivered to.

use crate::observed::counters;
use egress_backends::nftables::{Hook, Options, emit};
use egress_ir::{
    BlockKind, Decision, Flow, Id, Inventory, Prefix, Program, RuleId, Verdict, Workload, WorkloadSet, WorkloadSetId,
    eval, protocol,
};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::lab::{Homes, Lab, NODE_V4, NODE_V6, Outcome, Place, Probe, SILENT, probe_of, protocol_name};
use egress_testkit::programs::{Presence, Shape, random_inventory, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Flows drawn for each program.
const FLOWS: usize = 170;

/// How often each kind of flow, and each reason to leave one out, occurred.
type Tally = BTreeMap<&'static str, usize>;

/// One program, ready to be loaded, and the flows that are sent under it.
struct Case {
    name: String,
    program: Program,
    file: String,
    flows: Vec<Sent>,
}

/// A flow, its packet, and what the program says about it.
struct Sent {
    flow: Flow,
    probe: Probe,
    decision: Decision,
}

#[test]
fn a_probe_arrives_exactly_if_its_flow_passes() {
    let name = "a_probe_arrives_exactly_if_its_flow_passes";
    let map = Homes::default();
    let Some(lab) = Lab::for_test(name, &map.topology()).unwrap() else { return };
    for pod in 0..2 {
        lab.namespace(Place::Pod(pod)).unwrap().nft(SILENT).unwrap();
    }
    let (seed, count) = (seed(), cases(24));
    let (mut seen, mut left_out) = (Tally::new(), Tally::new());
    let mut sent = BTreeSet::new();
    let cases: Vec<Case> =
        (0..count).map(|number| prepare(seed, number, &map, &mut sent, &mut seen, &mut left_out)).collect();
    for case in &cases {
        arrive_without_rules(&lab, case);
    }
    for case in &cases {
        check(&lab, case, &map);
    }
    let probes: usize = cases.iter().map(|case| case.flows.len()).sum();
    println!("{probes} probes over {count} programs: {seen:?}; left out: {left_out:?}");
    assert!(probes >= cases.len() * FLOWS / 3, "hardly any probe was sent: {left_out:?}");
    if count >= 24 {
        assert!(probes >= 2_000, "{probes} probes only");
        for kind in KINDS {
            assert!(seen.get(kind).is_some_and(|&count| count > 2), "too few flows of kind `{kind}`: {seen:?}");
        }
    }
}

const KINDS: [&str; 17] = [
    "tcp",
    "udp",
    "sctp",
    "icmp",
    "icmpv6",
    "other protocol",
    "ipv4",
    "ipv6",
    "from a pod",
    "from an unknown pod",
    "from an address",
    "from the node",
    "inside",
    "ungoverned",
    "allowed",
    "denied",
    "audit",
];

fn prepare(
    seed: u64,
    number: u64,
    map: &Homes,
    sent: &mut BTreeSet<(IpAddr, IpAddr, u8)>,
    seen: &mut Tally,
    left_out: &mut Tally,
) -> Case {
    let mut rng = Rng::new(seed, number);
    let (has_inventory, has_cluster) = (!number.is_multiple_of(4), number % 8 < 6);
    let mut program = random_program(&mut rng, &shape(has_inventory, has_cluster));
    if rng.chance(50) {
        govern_the_node(&mut program);
    }
    let inventory = random_inventory(&mut rng, &program);
    let known = has_inventory.then_some(&inventory);
    // A mark of its own for each program, because connections outlive it.
    let epoch = number.is_multiple_of(3).then(|| u32::try_from(number % 255 + 1).unwrap());
    let interfaces = if number.is_multiple_of(2) { vec!["pod*".to_owned()] } else { Vec::new() };
    let options = Options { hooks: vec![Hook::Prerouting, Hook::Output], epoch, interfaces, ..Options::default() };
    let name = format!("seed {seed} case {number}");
    let artifact = emit(&program, known, &options).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
    let mut flows = Vec::new();
    for _ in 0..FLOWS {
        let flow = draw(&mut rng, &program, known);
        let probe = probe_of(&flow, known).unwrap();
        let answer = (probe.to, probe.from, flow.port.protocol());
        let again = !protocol::WITH_PORTS.contains(&flow.port.protocol())
            && (sent.contains(&answer) || !sent.insert((probe.from, probe.to, flow.port.protocol())));
        if let Some(reason) = map.obstacle(&probe).or(again.then_some("same connection as an earlier one")) {
            *left_out.entry(reason).or_default() += 1;
            continue;
        }
        let decision = eval(&program, &flow);
        for kind in kinds(&program, &flow, probe.from, &decision) {
            *seen.entry(kind).or_default() += 1;
        }
        flows.push(Sent { flow, probe, decision });
    }
    Case { name, program, file: String::from_utf8(artifact.bytes).unwrap(), flows }
}

/// What the target can say, and nothing less.
fn shape(pods: bool, cluster: bool) -> Shape {
    let cluster = if cluster { Presence::Always } else { Presence::Never };
    Shape { cluster, hosts: false, gateways: 0, pods, ..Shape::everything() }
}

/// Moves most address workloads to where the node's own addresses are.
fn govern_the_node(program: &mut Program) {
    fn moved(set: &mut WorkloadSet) {
        match set {
            WorkloadSet::All | WorkloadSet::Pods(_) => {}
            WorkloadSet::Union(sets) => sets.iter_mut().for_each(moved),
            WorkloadSet::Except(set, out) => {
                moved(set);
                moved(out);
            }
            WorkloadSet::Address(prefix) => match prefix.length() {
                0 => {}
                length if prefix.address().is_ipv4() => *prefix = Prefix::containing(NODE_V4, length),
                length => *prefix = Prefix::containing(NODE_V6, length),
            },
        }
    }
    let count = u32::try_from(program.workload_sets.len()).unwrap();
    for id in (0..count).map(WorkloadSetId::from_index) {
        moved(program.workload_sets.get_mut(id).unwrap());
    }
}

/// A flow.
fn draw(rng: &mut Rng, program: &Program, known: Option<&Inventory>) -> Flow {
    let sources = known.map_or(Sources::Addresses, Sources::Inventory);
    let mut flow = biased_flow(rng, program, sources);
    let is_v4 = flow.destination.address.is_ipv4();
    match rng.between(0, 99) {
        0..8 => flow.workload = Workload::Address(unknown_pod(rng, program, known, is_v4)),
        8..22 => flow.workload = Workload::Address(if is_v4 { NODE_V4 } else { NODE_V6 }),
        _ => {}
    }
    flow
}

/// An address in the pods' range that no pod of the inventory has.
fn unknown_pod(rng: &mut Rng, program: &Program, known: Option<&Inventory>, is_v4: bool) -> IpAddr {
    let pods = program.cluster.pods.ranges().find(|(first, _)| first.is_ipv4() == is_v4);
    let (first, last) = match pods {
        Some((IpAddr::V4(first), IpAddr::V4(last))) => (first.to_bits().into(), last.to_bits().into()),
        Some((IpAddr::V6(first), IpAddr::V6(last))) => (first.to_bits(), last.to_bits()),
        _ if is_v4 => (0x0a2a_0000, 0x0a2a_ffff),
        _ => (0xfd00_0042 << 96, 0xfd00_0042 << 96 | 0xffff),
    };
    let is_known =
        |address: &IpAddr| known.is_some_and(|known| known.pods.iter().any(|pod| pod.addresses.contains(address)));
    loop {
        let bits = rng.between_wide(first, last);
        let address = u32::try_from(bits).ok().filter(|_| is_v4).map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
        let address = address.unwrap_or(IpAddr::V6(Ipv6Addr::from_bits(bits)));
        if !is_known(&address) {
            return address;
        }
    }
}

fn kinds(program: &Program, flow: &Flow, from: IpAddr, decision: &Decision) -> Vec<&'static str> {
    let protocol = protocol_name(flow.port);
    let verdict = match decision.verdict {
        Verdict::Inside => "inside",
        Verdict::Ungoverned => "ungoverned",
        Verdict::Allowed(_) => "allowed",
        Verdict::Denied | Verdict::Conflict(_) => "denied",
    };
    let source = match &flow.workload {
        Workload::Pod(_) => "from a pod",
        Workload::Address(_) if from == NODE_V4 || from == NODE_V6 => "from the node",
        Workload::Address(_) if program.cluster.pods.contains(from) => "from an unknown pod",
        Workload::Address(_) => "from an address",
    };
    let family = if from.is_ipv4() { "ipv4" } else { "ipv6" };
    let mut kinds = vec![protocol, verdict, source, family];
    kinds.extend(decision.audit.is_some().then_some("audit"));
    kinds
}

/// What the lab itself does not deliver would pass for denied.
fn arrive_without_rules(lab: &Lab, case: &Case) {
    let probes: Vec<Probe> = case.flows.iter().map(|sent| sent.probe).collect();
    let outcomes = lab.probe_all(&probes).unwrap();
    for (probe, outcome) in probes.iter().zip(outcomes) {
        assert!(outcome.arrived(), "{}: {probe:?} does not arrive without rules either", case.name);
    }
}

/// Sends a case's probes under its rules; compares arrivals with the meaning, and the counters with both.
fn check(lab: &Lab, case: &Case, map: &Homes) {
    lab.node().nft(&case.file).unwrap_or_else(|error| panic!("{}: {error}\n{}", case.name, case.file));
    let before = counters(lab.node());
    let probes: Vec<Probe> = case.flows.iter().map(|sent| sent.probe).collect();
    let outcomes = lab.probe_all(&probes).unwrap();
    let mut wrong = Vec::new();
    for (sent, outcome) in case.flows.iter().zip(outcomes) {
        let at = map.holder(sent.probe.to).map_or(Place::Outside, Place::Pod);
        let arrived = Outcome::Arrived { at, source: Some(sent.probe.from) };
        let expected = if sent.decision.verdict.passes() { arrived } else { Outcome::NotArrived };
        if outcome != expected {
            wrong.push(format!("{} from {}: {outcome:?}, but {:?}", sent.flow, sent.probe.from, sent.decision));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}\n{}", case.name, wrong.join("\n"), case.file);
    let mut counted = counters(lab.node());
    counted.retain(|name, _| name.starts_with("rule_") || name.starts_with("default_"));
    for (name, count) in &mut counted {
        *count -= before.get(name).copied().unwrap_or(0);
    }
    check_counts(case, &counted);
}

/// Each policy counts what it denies by default. Of the rules that decide a flow together at least one counts it, and
/// no other rule does.
fn check_counts(case: &Case, counted: &BTreeMap<String, u64>) {
    let program = &case.program;
    let mut at_least: BTreeMap<String, u64> = BTreeMap::new();
    let mut at_most: BTreeMap<String, u64> = BTreeMap::new();
    let mut decided_by_rules = 0;
    for Sent { flow, decision, .. } in &case.flows {
        let name = |rule: &RuleId| format!("rule_{}", program.rule_name(*rule).replace('#', "."));
        let mut names: Vec<String> = decision.rules.iter().map(name).collect();
        decided_by_rules += u64::from(!names.is_empty());
        if let [only] = names.as_slice() {
            *at_least.entry(only.clone()).or_default() += 1;
        }
        if decision.verdict == Verdict::Denied && names.is_empty() {
            let enforced = program.blocks.values().filter(|block| block.kind == BlockKind::Policy && !block.audit);
            let governing = enforced.filter(|block| program.workloads_of(block).contains(&flow.workload));
            names.extend(governing.map(|block| format!("default_{}", block.name)));
            names.iter().for_each(|name| *at_least.entry(name.clone()).or_default() += 1);
        }
        names.into_iter().for_each(|name| *at_most.entry(name).or_default() += 1);
    }
    let of = |counts: &BTreeMap<String, u64>, name: &str| counts.get(name).copied().unwrap_or(0);
    for (name, &count) in counted {
        let bounds = of(&at_least, name)..=of(&at_most, name);
        assert!(bounds.contains(&count), "{}: `{name}` counted {count}, not {bounds:?}\n{}", case.name, case.file);
    }
    assert!(at_most.keys().all(|name| counted.contains_key(name)), "{}: {counted:?}", case.name);
    let by_rules: u64 = counted.iter().filter(|(name, _)| name.starts_with("rule_")).map(|(_, count)| count).sum();
    assert!(by_rules >= decided_by_rules, "{}: {by_rules} of {decided_by_rules}\n{}", case.name, case.file);
}
