//! Programs by test run: a no-op, parsing alone, the verdict, and longest-prefix tries in the shape of a well-known data path.
//!
//! In: tables, and the prefixes that they were made of. Out: nanoseconds a packet. Every program runs in this process on the
//! same shuffled flows: 1,024 of them, so that all is in the caches, or 65,536. The programs take turns.

use crate::prefixes::{self, Prefix};
use crate::{median, thread_nanos};
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use egress_agent::kernel::{Endpoint, Kernel, New, constants};
use egress_agent::packet::{Flow, of_flow};
use egress_snapshot::layout::{Layout, WORDS};
use egress_testkit::seed::Rng;
use std::net::Ipv4Addr;
use std::path::Path;

const PROGRAMS: [&str; 6] =
    ["bench_nothing", "bench_parse", "bench_verdict", "bench_trie", "bench_tries", "bench_tries_twice"];
const FLOWS: [u32; 2] = [1024, 65_536];
const RUNS: usize = 15;
const PACKETS: u32 = 100_000;
const SENDER: u32 = 0x0a00_0001;
const PORTS: [u16; 4] = [443, 443, 80, 53];

/// Nanoseconds of processor time a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// A program that only writes the next flow into the packet, as all do.
    pub(crate) nothing: f64,
    /// The agent's own parser.
    pub(crate) parse: f64,
    /// The agent's program: identity by slot, parser, tables, counters.
    pub(crate) verdict: f64,
    /// Parser, address by trie, and nothing more.
    pub(crate) trie: f64,
    /// Parser, sender by hash, address by trie, policy by trie.
    pub(crate) once: f64,
    /// The same with two look-ups of the policy.
    pub(crate) twice: f64,
}

impl Costs {
    /// In the order of what they do.
    pub(crate) fn each(&self) -> [f64; 6] {
        [self.nothing, self.parse, self.verdict, self.trie, self.once, self.twice]
    }
}

/// Costs with few flows (hot) and with many (cold).
pub(crate) fn measure(bpffs: &Path, kernel: &Kernel, tables: &[u8], prefixes: &[Prefix], rng: &mut Rng) -> [Costs; 2] {
    let endpoints = [(0, Endpoint::Row(7))];
    let generation = kernel.prepare(&New { tables, endpoints: &endpoints }).unwrap();
    let mut object = load(bpffs, tables);
    fill_tries(&mut object, prefixes);
    let costs = FLOWS.map(|flows| {
        fill_flows(&mut object, rng, prefixes, flows);
        let [nothing, parse, verdict, trie, once, twice] = run(&object);
        Costs { nothing, parse, verdict, trie, once, twice }
    });
    kernel.abandon(generation).unwrap();
    costs
}

/// The bench's programs, with the maps of a generation that the agent's own loader prepared.
fn load(folder: &Path, tables: &[u8]) -> Ebpf {
    let layout = Layout::read(tables).unwrap();
    let words = layout.bytes();
    let object = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/bpf/bench.bpf.o")).unwrap();
    let object = constants::write(&object, tables).unwrap();
    let mut loader = EbpfLoader::new();
    loader.btf(None).override_global("layout", &words[..WORDS.len() * 4], true);
    for map in ["tables", "endpoints", "counters"] {
        loader.map_pin_path(map, folder.join("egressc/place-1-new").join(map));
    }
    let mut object = loader.load(&object).unwrap();
    for name in PROGRAMS {
        let program: &mut SchedClassifier = object.program_mut(name).unwrap().try_into().unwrap();
        program.load().unwrap();
    }
    object
}

fn fill_tries(object: &mut Ebpf, prefixes: &[Prefix]) {
    let mut senders: HashMap<_, u32, u32> = object.map_mut("senders").unwrap().try_into().unwrap();
    for sender in 0..256 {
        senders.insert((SENDER + sender).to_be(), sender, 0).unwrap();
    }
    let mut addresses: LpmTrie<_, u32, u32> = object.map_mut("addresses").unwrap().try_into().unwrap();
    for (place, (address, length)) in prefixes.iter().enumerate() {
        addresses.insert(&Key::new(*length, address.to_be()), 256 + place as u32, 0).unwrap();
    }
    let mut policy: LpmTrie<_, [u8; 8], u32> = object.map_mut("policy").unwrap().try_into().unwrap();
    for place in 0..prefixes.len() as u32 {
        let mut key = [0; 8];
        key[..4].copy_from_slice(&(256 + place).to_ne_bytes());
        key[4..6].copy_from_slice(&[1, 6]);
        key[6..].copy_from_slice(&443u16.to_be_bytes());
        policy.insert(&Key::new(64, key), 1, 0).unwrap();
    }
}

/// Nine of ten flows go to an address of a prefix.
fn fill_flows(object: &mut Ebpf, rng: &mut Rng, prefixes: &[Prefix], count: u32) {
    let mut flows: Array<_, [u32; 4]> = object.map_mut("flows").unwrap().try_into().unwrap();
    for place in 0..count {
        let prefix = prefixes[rng.between(0, prefixes.len() as u64 - 1) as usize];
        let to = if rng.between(0, 9) == 0 { rng.bits() as u32 } else { prefixes::inside(rng, prefix) };
        let port = PORTS[rng.between(0, 3) as usize];
        let ports = u32::from_ne_bytes([0xc0, 1, (port >> 8) as u8, port as u8]);
        flows.set(place, [SENDER.to_be(), to.to_be(), ports, 0], 0).unwrap();
    }
    let mut turn: Array<_, [u32; 2]> = object.map_mut("turn").unwrap().try_into().unwrap();
    turn.set(0, [0, count - 1], 0).unwrap();
}

/// Medians, the programs taking turns.
fn run(object: &Ebpf) -> [f64; 6] {
    let flow = Flow {
        source: Ipv4Addr::from(SENDER).into(),
        destination: Ipv4Addr::new(20, 0, 0, 1).into(),
        protocol: 6,
        number: 443,
        fragment: false,
    };
    let mut frame = vec![0; 12];
    frame.extend([8, 0]);
    frame.extend(of_flow(&flow));
    let mut figures: [Vec<f64>; 6] = Default::default();
    for _ in 0..RUNS {
        for (name, figures) in PROGRAMS.iter().zip(&mut figures) {
            let program: &SchedClassifier = object.program(name).unwrap().try_into().unwrap();
            let options = TestRunOptions { data_in: Some(&frame), repeat: PACKETS, ..TestRunOptions::default() };
            let before = thread_nanos();
            program.test_run(options).unwrap();
            figures.push((thread_nanos() - before) as f64 / f64::from(PACKETS));
        }
    }
    figures.map(median)
}
