//! What the programs add to the whole way of a packet: pod, pair of interfaces, node, outside.
//!
//! In: a lab. Out: lines of the table. A packet is routed and delivered in the sender's own context, so the sending
//! thread's processor time is the whole way. It is sent in turn with nothing attached and with stub and policy attached to
//! the host's end of the pod's pair; every packet that is timed is one that arrives under both.

use crate::median;
use crate::prefixes::{self, Prefix};
use crate::scene::{SLOT, Scene, snapshot};
use crate::table::{Figure, Goal, heading, note, single};
use aya::programs::loaded_programs;
use aya::sys::{Stats, enable_stats};
use egress_agent::kernel::{Endpoint, TcKind};
use egress_testkit::lab::{Candidate, Lab, Outcome, Place, Probe, ProbeKind};
use egress_testkit::seed::Rng;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

const PREFIXES: usize = 1_000;
const FLOWS: usize = 256;
const PACKETS: usize = 16_384;
const ROUNDS: usize = 21;
/// One rule for each.
const PORTS: [u16; 4] = [443, 8443, 53, 123];

/// Sends packets with and without the programs.
pub(crate) fn measure(scene: &Scene, rng: &mut Rng) {
    heading("a packet of a pod through the node, 1,000 prefixes", [""; 7]);
    let prefixes = prefixes::draw(rng, PREFIXES);
    let probes = probes(&scene.lab, rng, &prefixes);
    scene.enforce(&snapshot(1, &policy(&prefixes)), &[(SLOT, Endpoint::ByAddress)]);
    check(scene, &probes);
    let (mut alone, mut judged) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(cost(&scene.lab, &probes));
        scene.attach(&Scene::pod_point(), SLOT, TcKind::Best);
        judged.push(cost(&scene.lab, &probes));
        scene.detach(&Scene::pod_point(), SLOT);
    }
    let added: Vec<f64> = judged.iter().zip(&alone).map(|(judged, alone)| judged - alone).collect();
    let [alone, judged, added] = [alone, judged, added].map(median);
    single("nothing attached (CPU)", Goal::None(Figure::Nanos(alone)));
    single("stub and policy at tcx, sender by its address (CPU)", Goal::None(Figure::Nanos(judged)));
    let goal = Goal::AtMost(Figure::Times(1.0 + added / alone), Figure::Times(1.05));
    single("to nothing attached, by the median of what a round adds", goal);
    note(&format!("a round adds {} in the median", Figure::Nanos(added)));
    single("of that the programs, by the kernel's own clock", Goal::None(Figure::Nanos(within(scene, &probes))));
}

/// Nanoseconds that the kernel itself counts from the stub's beginning to the policy's end, for a packet on this way.
fn within(scene: &Scene, probes: &[Probe]) -> f64 {
    let counting = enable_stats(Stats::RunTime).unwrap();
    scene.attach(&Scene::pod_point(), SLOT, TcKind::Best);
    let _ = cost(&scene.lab, probes);
    let stubs = loaded_programs().filter_map(Result::ok).filter(|program| program.name_as_str() == Some("stub_tc"));
    // Others may have stubs of their own on this machine; this one was loaded last of those that ran so often.
    let ours =
        stubs.filter(|program| program.run_count() >= PACKETS as u64).max_by_key(|program| program.id()).unwrap();
    scene.detach(&Scene::pod_point(), SLOT);
    drop(counting);
    ours.run_time().as_nanos() as f64 / ours.run_count() as f64
}

/// Four rules, each with a quarter of the prefixes and a port.
fn policy(prefixes: &[Prefix]) -> String {
    let mut text = String::from("policy all {\n  for all\n");
    for (prefixes, port) in prefixes.chunks(PREFIXES / PORTS.len()).zip(PORTS) {
        let written: Vec<String> = prefixes.iter().copied().map(prefixes::written).collect();
        let _ = writeln!(text, "  allow {} on {port}/udp", written.join(", "));
    }
    text + "}\n"
}

/// Flows that the policy allows, and that arrive where there is none.
fn probes(lab: &Lab, rng: &mut Rng, prefixes: &[Prefix]) -> Vec<Probe> {
    let mut drawn = Vec::new();
    for number in 0..FLOWS * 2 {
        let place = rng.between(0, PREFIXES as u64 - 1) as usize;
        let port = PORTS[place / (PREFIXES / PORTS.len())];
        let from = Ipv4Addr::new(10, 0, (number >> 8) as u8, number as u8 | 1).into();
        let to = Ipv4Addr::from(prefixes::inside(rng, prefixes[place])).into();
        drawn.push(Probe { from, to, kind: ProbeKind::Udp(port) });
    }
    let outcomes = lab.probe_all(&drawn).unwrap();
    // Loopback and its like never leave the pod.
    let leaves = |outcome: &Outcome| matches!(outcome, Outcome::Arrived { at: Place::Outside, .. });
    let arrived = drawn.into_iter().zip(outcomes).filter(|(_, outcome)| leaves(outcome)).map(|(probe, _)| probe);
    let arrived: Vec<Probe> = arrived.take(FLOWS).collect();
    assert_eq!(arrived.len(), FLOWS, "too few flows arrive");
    arrived
}

/// The programs do judge: what the policy allows arrives, and nothing on another port.
fn check(scene: &Scene, probes: &[Probe]) {
    scene.attach(&Scene::pod_point(), SLOT, TcKind::Best);
    let others: Vec<Probe> = probes.iter().map(|probe| Probe { kind: ProbeKind::Udp(9), ..*probe }).collect();
    for (probes, arrive) in [(probes, true), (&others, false)] {
        let outcomes = scene.lab.probe_all(probes).unwrap();
        let different = probes.iter().zip(outcomes).find(|(_, outcome)| outcome.arrived() != arrive);
        assert!(different.is_none(), "{different:?}, where it should be {arrive} that it arrives");
    }
    scene.detach(&Scene::pod_point(), SLOT);
}

/// Nanoseconds a packet.
fn cost(lab: &Lab, probes: &[Probe]) -> f64 {
    let nothing = [Candidate { name: "", ruleset: "" }];
    lab.compare_costs(&nothing, probes, PACKETS, 1).unwrap()[0].nanos
}
