//! What names cost: packets that an address decides, with and without rules about names beside it, packets that a name
//! decides, and telling the kernel one learned address.
//!
//! In: random bits. Out: lines of the table. One packet again and again, asked of the agent's program by a test run; the
//! policies take turns.

use crate::prefixes;
use crate::scene::{Scene, snapshot};
use crate::table::{Figure, Goal, single};
use crate::{median, thread_nanos};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use egress_agent::kernel::{Fact, Generation, Kernel, Lease, New};
use egress_agent::packet::{Flow, of_flow};
use egress_snapshot::Snapshot;
use egress_testkit::seed::Rng;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const PREFIXES: usize = 1_000;
const RUNS: usize = 9;
const PACKETS: u32 = 100_000;
/// So many addresses are learned besides the one that is asked about.
const LEARNED: u32 = 100_000;
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
/// Neither of a prefix nor learned, and one that is learned.
const STRANGE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
const NAMED: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2));
const LASTS: Lease = Lease { until: Duration::from_secs(1 << 30), used: Duration::ZERO };

/// A test run's context: `cb` begins at this byte, and holds a row given directly, 14 bytes of a link header, and that
/// marks count.
const CONTROL: usize = 48;
const CONTEXT: usize = 192;
const DIRECT_ROW: u32 = 1 << 31;

/// Measures.
pub(crate) fn measure(scene: &Scene, rng: &mut Rng) {
    let all = prefixes::draw(rng, PREFIXES);
    let listed: Vec<String> = all.iter().copied().map(prefixes::written).collect();
    let known = IpAddr::V4(Ipv4Addr::from(prefixes::inside(rng, all[0])));
    let policy =
        |names: &str| format!("policy all {{\n  for all\n  allow {} on 443/tcp\n{names}}}\n", listed.join(", "));
    let plain = snapshot(1, &policy(""));
    let named = snapshot(2, &policy("  allow host api.example.com, host *.example.net on 443/tcp\n"));
    let set = named.meta.id_of(0).unwrap();
    put(&scene.kernel, set);
    let [mut by_address, mut beside_names, mut by_name, mut unknown, mut denied] = <[Vec<f64>; 5]>::default();
    for _ in 0..RUNS {
        with(scene, &plain, |generation| {
            by_address.push(cost(scene, generation, known, true));
            denied.push(cost(scene, generation, STRANGE, false));
        });
        with(scene, &named, |generation| {
            beside_names.push(cost(scene, generation, known, true));
            by_name.push(cost(scene, generation, NAMED, true));
            unknown.push(cost(scene, generation, STRANGE, false));
        });
    }
    let [by_address, beside_names, by_name, unknown, denied] =
        [by_address, beside_names, by_name, unknown, denied].map(median);
    single("passed by its address, no rule about names", Goal::None(Figure::Nanos(by_address)));
    single("the same beside rules about names", Goal::None(Figure::Nanos(beside_names)));
    let ratio = Figure::Times(beside_names / by_address);
    single("  of the one without", Goal::AtMost(ratio, Figure::Times(1.02)));
    single("passed by a name, 100,000 addresses learned", Goal::None(Figure::Nanos(by_name)));
    single("denied, no rule about names", Goal::None(Figure::Nanos(denied)));
    single("denied, names asked for and not learned", Goal::None(Figure::Nanos(unknown)));
}

/// Fills the map, and says what one address takes.
fn put(kernel: &Kernel, set: u64) {
    let mut learned = kernel.learned().unwrap();
    let mut times = Vec::new();
    for place in 0..LEARNED {
        let destination = IpAddr::V4(Ipv4Addr::from(0xc612_0000 + place));
        let before = thread_nanos();
        learned.put(&Fact { set, client: CLIENT, destination }, LASTS).unwrap();
        times.push((thread_nanos() - before) as f64 / 1e9);
    }
    learned.put(&Fact { set, client: CLIENT, destination: NAMED }, LASTS).unwrap();
    let last = times.split_off(times.len() - 1000);
    single(
        "telling the kernel one more of 100,000 learned addresses (CPU)",
        Goal::AtMost(Figure::Seconds(median(last)), Figure::Seconds(1e-3)),
    );
}

fn with(scene: &Scene, snapshot: &Snapshot, measure: impl FnOnce(&Generation)) {
    let generation = scene.kernel.prepare(&New { tables: snapshot.tables.bytes(), endpoints: &[] }).unwrap();
    measure(&generation);
    scene.kernel.abandon(generation).unwrap();
}

/// Nanoseconds of processor time a packet.
fn cost(scene: &Scene, generation: &Generation, destination: IpAddr, passes: bool) -> f64 {
    let row = 0;
    let flow = Flow { source: CLIENT, destination, protocol: 6, number: 443, fragment: false };
    let answer = generation.run(egress_agent::kernel::Hook::Tc, row, 0x0800, &of_flow(&flow)).unwrap();
    assert_eq!(answer.passes, passes, "{destination}");
    let program = SchedClassifier::from_pin(scene.bpffs.path().join("egressc/place-1-new/policy_tc")).unwrap();
    let mut frame = vec![0; 12];
    frame.extend([8, 0]);
    frame.extend(of_flow(&flow));
    let mut context = vec![0; CONTROL];
    context.extend([DIRECT_ROW | row, 14, 0, 1].into_iter().flat_map(u32::to_ne_bytes));
    context.resize(CONTEXT, 0);
    let options =
        TestRunOptions { data_in: Some(&frame), ctx_in: Some(&context), repeat: PACKETS, ..TestRunOptions::default() };
    let before = thread_nanos();
    program.test_run(options).unwrap();
    (thread_nanos() - before) as f64 / f64::from(PACKETS)
}
