//! Random programs as snapshots, and every flow the same as in their meaning, `egress_ir::eval`.

use crate::common::{assert_same, outcome, shape, snapshot, with_addresses};
use egress_backends::ebpf::Options;
use egress_ir::{Flow, Inventory, Port, PortSet, Program, eval, protocol};
use egress_snapshot::{Snapshot, meta};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::programs::{random_inventory, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

const FLOWS: u64 = 60;
const FRAGMENTS: u64 = 6;

/// How often each kind of flow was judged.
type Seen = BTreeMap<String, u64>;

#[test]
fn snapshots_mean_what_their_programs_mean() {
    let (seed, cases) = (seed(), cases(400));
    let mut seen = Seen::new();
    for case in 0..cases {
        let mut rng = Rng::new(seed, case);
        let program = with_addresses(random_program(&mut rng, &shape(case)));
        let inventory = random_inventory(&mut rng, &program);
        let known = (!case.is_multiple_of(3)).then_some(&inventory);
        let at = format!("seed {seed} case {case}");
        let snapshot = snapshot(&program, known, &Options { generation: case, ..Options::default() });
        check_vectors(&snapshot, &at);
        check_flows(&mut rng, &program, known, &snapshot, &at, &mut seen);
        check_fragments(&mut rng, &program, known, &snapshot, &at, &mut seen);
        check_unknown(&mut rng, &program, &snapshot, &at);
    }
    println!("{cases} programs: {seen:?}");
    if cases >= 200 {
        let verdicts = ["Inside", "Ungoverned", "Allowed", "Via", "Conflict", "Denied"];
        let others = ["audit", "log", "named", "fragment: mixed", "fragment: passes", "fragment: via"];
        for kind in verdicts.into_iter().chain(others) {
            assert!(seen.get(kind).is_some_and(|&count| count > 30), "too few flows of kind {kind}: {seen:?}");
        }
    }
}

/// Where another target routes, the same flows pass, and none through a gateway.
#[test]
fn what_another_target_routes_is_only_filtered() {
    let mut seen = 0;
    for case in 0..cases(100) {
        let mut rng = Rng::new(seed() ^ 0x907e, case);
        // Without addresses of IPv6 for all gateways: they do not matter.
        let program = random_program(&mut rng, &shape(case));
        let options = Options { routing: egress_backends::Routing::Elsewhere, ..Options::default() };
        let snapshot = snapshot(&program, None, &options);
        assert!(snapshot.meta.gateways.is_empty() && snapshot.tables.layout().gateway_mask == 0);
        for _ in 0..20 {
            let flow = biased_flow(&mut rng, &program, Sources::Anyone);
            if !exists(&flow, &program, None) {
                continue;
            }
            let expected = match eval(&program, &flow).verdict {
                egress_ir::Verdict::Allowed(gateway) => {
                    seen += u64::from(gateway.is_some());
                    meta::Verdict::Allowed
                }
                other => crate::common::verdict(&program, &snapshot, &other),
            };
            assert_eq!(outcome(&snapshot, &flow, false).verdict, expected, "case {case}: {flow}");
        }
    }
    assert!(cases(100) < 100 || seen > 50, "only {seen} flows through gateways");
}

/// There are enough vectors, and they reach every row and every class of destinations.
fn check_vectors(snapshot: &Snapshot, at: &str) {
    let (vectors, layout) = (&snapshot.meta.vectors, snapshot.tables.layout());
    assert!(vectors.len() >= 256, "{at}: {} vectors", vectors.len());
    let rows: BTreeSet<u32> = vectors.iter().map(|vector| vector.row).collect();
    let classes: BTreeSet<u32> = vectors.iter().map(|vector| snapshot.tables.destination(vector.destination)).collect();
    assert_eq!((rows.len(), classes.len()), (layout.row_count as usize, layout.class_count as usize), "{at}");
    for vector in vectors.iter().filter(|vector| !vector.fragment) {
        assert!(has_packets(vector.destination, vector.protocol), "{at}: {vector:?}");
    }
}

/// Whether a packet of a protocol can be sent there: in IPv6 some are headers before the protocol.
fn has_packets(destination: IpAddr, protocol: u8) -> bool {
    destination.is_ipv4() || ![0, 43, 44, 60].contains(&protocol)
}

fn sources(inventory: Option<&Inventory>) -> Sources<'_> {
    inventory.map_or(Sources::Anyone, Sources::Inventory)
}

/// An address that the inventory's pods have is no workload of its own, so that these flows do not exist.
fn exists(flow: &Flow, program: &Program, inventory: Option<&Inventory>) -> bool {
    let egress_ir::Workload::Address(address) = flow.workload else { return true };
    let mut pods = inventory.iter().flat_map(|inventory| &inventory.pods).filter(|pod| !pod.host_network);
    !program.cluster.pods.contains(address) && !pods.any(|pod| pod.addresses.contains(&address))
}

fn check_flows(
    rng: &mut Rng,
    program: &Program,
    inventory: Option<&Inventory>,
    snapshot: &Snapshot,
    at: &str,
    seen: &mut Seen,
) {
    for _ in 0..FLOWS {
        let flow = biased_flow(rng, program, sources(inventory));
        if !exists(&flow, program, inventory) {
            continue;
        }
        let decision = eval(program, &flow);
        let found = outcome(snapshot, &flow, false);
        assert_same(program, found, snapshot, &decision, &format!("{at}: {flow}"));
        let is_tried =
            snapshot.meta.vectors.iter().any(|vector| snapshot.meta.outcomes[vector.outcome as usize] == *found);
        let is_tried = is_tried || !has_packets(flow.destination.address, flow.port.protocol());
        assert!(is_tried, "{at}: no vector has the outcome of {flow}: {found:?}");
        let verdict = format!("{:?}", found.verdict);
        *seen.entry(verdict.split('(').next().unwrap().to_owned()).or_default() += 1;
        *seen.entry("audit".to_owned()).or_default() += u64::from(found.audit.is_some());
        *seen.entry("log".to_owned()).or_default() += u64::from(found.log);
        *seen.entry("named".to_owned()).or_default() += u64::from(is_by_name(program, &flow, &decision));
    }
}

/// Whether a name makes the difference.
fn is_by_name(program: &Program, flow: &Flow, decision: &egress_ir::Decision) -> bool {
    let mut unnamed = flow.clone();
    unnamed.destination.names.clear();
    eval(program, &unnamed).verdict != decision.verdict
}

/// A fragment passes exactly if every number of its protocol passes, and all through one gateway or none; ports are tried where some set changes, and at
/// random.
fn check_fragments(
    rng: &mut Rng,
    program: &Program,
    inventory: Option<&Inventory>,
    snapshot: &Snapshot,
    at: &str,
    seen: &mut Seen,
) {
    for _ in 0..FRAGMENTS {
        let mut flow = biased_flow(rng, program, sources(inventory));
        if !exists(&flow, program, inventory) {
            continue;
        }
        let of = flow.port.protocol();
        let found = outcome(snapshot, &flow, true);
        let (mut decisions, mut gateways) = (BTreeSet::new(), BTreeSet::new());
        let mut passes = true;
        // Who decides is another thing where names decide.
        let exactly = snapshot.meta.names.is_none();
        for number in numbers(rng, program, of) {
            flow.port = Port::new(of, number);
            let decision = eval(program, &flow);
            passes &= decision.verdict.passes();
            gateways.insert(gateway(&decision.verdict));
            decisions.insert(format!("{decision:?}"));
            if decisions.len() == 1 && !found.fragment {
                assert_same(program, found, snapshot, &decision, &format!("{at}: fragment, {flow}"));
            }
        }
        passes &= gateways.len() == 1;
        let found_passes =
            !matches!(found.verdict, meta::Verdict::Denied | meta::Verdict::Conflict | meta::Verdict::Unknown);
        // What depends on names and on ports at once stops fragments.
        assert!(
            found_passes == passes || (!exactly && !found_passes),
            "{at}: fragment of protocol {of}, {flow}: {decisions:?}"
        );
        assert!(
            !exactly || found.fragment == (decisions.len() > 1),
            "{at}: fragment of protocol {of}, {flow}: {decisions:?}"
        );
        let kind = match (found.fragment, passes) {
            (_, true) if matches!(found.verdict, meta::Verdict::Via(_)) => "fragment: via",
            (true, _) => "fragment: mixed",
            (false, true) => "fragment: passes",
            (false, false) => "fragment: denied",
        };
        *seen.entry(kind.to_owned()).or_default() += 1;
    }
}

/// The gateway that a verdict names.
fn gateway(verdict: &egress_ir::Verdict) -> Option<egress_ir::GatewayId> {
    match verdict {
        egress_ir::Verdict::Allowed(gateway) => *gateway,
        _ => None,
    }
}

/// The numbers of a protocol at which some port set begins or ends, and some others.
fn numbers(rng: &mut Rng, program: &Program, of: u8) -> BTreeSet<u16> {
    let numbered = PortSet::possible(of == protocol::ICMPV6).contains(Port::new(of, 1));
    if !numbered {
        return BTreeSet::from([0]);
    }
    let sets = program.port_sets.values().flat_map(PortSet::per_protocol).filter(|range| range.0 == of);
    let mut numbers: BTreeSet<u16> = sets.flat_map(|(_, first, last)| [first, last, last.saturating_add(1)]).collect();
    numbers.extend([0, u16::MAX]);
    numbers.extend((0..200).map(|_| u16::try_from(rng.below(1 << 16)).unwrap()));
    numbers
}

/// Those who are unknown reach the inside only.
fn check_unknown(rng: &mut Rng, program: &Program, snapshot: &Snapshot, at: &str) {
    let stranger = snapshot.tables.layout().default_row;
    for _ in 0..5 {
        let flow = biased_flow(rng, program, Sources::Anyone);
        let (to, port) = (flow.destination.address, flow.port);
        let id = snapshot.tables.decide(stranger, to, port.protocol(), port.number(), false);
        let expected = if program.cluster.contains(to) { meta::Verdict::Inside } else { meta::Verdict::Unknown };
        assert_eq!(snapshot.meta.outcomes[id as usize].verdict, expected, "{at}: {flow}");
    }
    let first = program.cluster.pods.first();
    let free = first.filter(|address| snapshot.meta.pods.iter().all(|pod| pod.address != *address));
    if let Some(address) = free {
        assert_eq!(snapshot.tables.source(address), stranger, "{at}: {address}");
    }
}
