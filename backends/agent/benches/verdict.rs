//! What a verdict costs, beside nothing, parsing alone, and longest-prefix tries in the shape of a well-known data path.
//!
//! Every program runs in this process on the same shuffled flows: 1,024 of them, or 65,536 so that the tables are read
//! from memory. A figure is the median, over runs, of the thread's own processor time divided by the packets. Needs root.
#![expect(clippy::unwrap_used, reason = "a bench stops at what it cannot set up")]
#![expect(clippy::indexing_slicing, reason = "likewise")]
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

#[path = "../tests/kernel/tables.rs"]
#[expect(dead_code, reason = "the tests use what the bench does not")]
mod tables;

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use egress_agent::kernel::{Endpoint, Kernel, New};
use egress_agent::packet::{Flow, of_flow};
use egress_snapshot::layout::{Layout, WORDS};
use egress_testkit::seed::{Rng, seed};
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use tables::{Forms, Model, Ranges};

const PROGRAMS: [&str; 5] = ["bench_nothing", "bench_parse", "bench_verdict", "bench_tries", "bench_tries_twice"];
const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
const FLOWS: [u32; 2] = [1024, 65_536];
const RUNS: usize = 15;
const PACKETS: u32 = 100_000;
const CLASSES: u32 = 60;
const SENDER: u32 = 0x0a00_0001;
const PORTS: [u16; 4] = [443, 443, 80, 53];

/// A prefix: address and length.
type Prefix = (u32, u32);

fn main() {
    // `cargo test` runs benches too, without this word; there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("prefixes flows  nothing  parse verdict  tries  twice   verdict/parse tries/verdict  (ns a packet)");
    for size in SIZES {
        let mut rng = Rng::new(seed(), size as u64);
        let prefixes = prefixes(&mut rng, size);
        let model = model(&mut rng, &prefixes);
        let tables = model.tables_with(Forms::Smallest, &mut rng);
        let folder = Folder::new();
        let kernel = Kernel::open(&folder.0).unwrap();
        let endpoints = [(0, Endpoint::Row(7))];
        let generation = kernel.prepare(&New { tables: &tables, endpoints: &endpoints }).unwrap();
        let mut object = load(&folder.0, &tables);
        fill_tries(&mut object, &prefixes);
        for flows in FLOWS {
            fill_flows(&mut object, &mut rng, &prefixes, flows);
            let [nothing, parse, verdict, tries, twice] = measure(&mut object);
            println!(
                "{size:8} {flows:5} {nothing:8.1} {parse:6.1} {verdict:7.1} {tries:6.1} {twice:6.1}   {:13.2} {:13.2}",
                verdict / parse,
                tries / verdict
            );
        }
        kernel.abandon(generation).unwrap();
        load_and_switch(kernel, &tables);
    }
}

fn prefixes(rng: &mut Rng, count: usize) -> Vec<Prefix> {
    let mut all: BTreeMap<Prefix, ()> = BTreeMap::new();
    while all.len() < count {
        let length = [32, 32, 28, 24, 24, 24, 24, 22, 20, 16][rng.between(0, 9) as usize];
        // Public addresses, more or less.
        let address = rng.between(0x0b00_0000, 0xdfff_ffff) as u32 & (u32::MAX << (32 - length));
        all.insert((address, length), ());
    }
    all.into_keys().collect()
}

/// Ranges of classes: the longest prefix says which.
fn ranges(prefixes: &[Prefix]) -> Ranges {
    let known: std::collections::HashMap<Prefix, u32> =
        prefixes.iter().enumerate().map(|(place, prefix)| (*prefix, 1 + place as u32 % (CLASSES - 1))).collect();
    let mut starts: Vec<u64> = vec![0];
    for (address, length) in prefixes {
        starts.extend([u64::from(*address), u64::from(*address) + (1 << (32 - length))]);
    }
    starts.retain(|start| *start <= u64::from(u32::MAX));
    starts.sort_unstable();
    starts.dedup();
    let class = |address: u32| {
        let longest = (1..=32).rev().find_map(|length| known.get(&(address & (u32::MAX << (32 - length)), length)));
        longest.copied().unwrap_or(0)
    };
    let mut ranges: Ranges = starts.iter().map(|start| (u128::from(*start), class(*start as u32))).collect();
    ranges.dedup_by_key(|(_, class)| *class);
    ranges
}

fn model(rng: &mut Rng, prefixes: &[Prefix]) -> Model {
    let mut below = |count: u32| rng.between(0, u64::from(count) - 1) as u32;
    let ports: Vec<(u32, u32)> = vec![(0, 0), (53, 1), (54, 0), (80, 2), (81, 0), (443, 3), (444, 0)];
    Model {
        wide: false,
        paged: false,
        generation: 1,
        default_row: 0,
        sources: [vec![(0, 0)], vec![(0, 0)]],
        destinations: [ranges(prefixes), vec![(0, 0)]],
        ports: BTreeMap::from([(6, (0, ports.clone())), (17, (0, ports))]),
        decisions: (0..32).map(|_| (0..CLASSES).map(|_| below(16)).collect()).collect(),
        actions: (0..16).map(|_| (0..4).map(|_| below(4)).collect()).collect(),
        // What passes is what a data path spends its time on; denied packets make records besides.
        outcomes: vec![1; 4],
    }
}

/// The bench's programs, with the maps of a generation that the agent's own loader prepared.
fn load(folder: &Path, tables: &[u8]) -> Ebpf {
    let layout = Layout::read(tables).unwrap();
    let words = layout.bytes();
    let object = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/bpf/bench.bpf.o")).unwrap();
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
        let (address, length) = prefixes[rng.between(0, prefixes.len() as u64 - 1) as usize];
        let inside = (u64::from(rng.bits() as u32) & ((1 << (32 - length)) - 1)) as u32;
        let to = if rng.between(0, 9) == 0 { rng.bits() as u32 } else { address | inside };
        let port = PORTS[rng.between(0, 3) as usize];
        let ports = u32::from_ne_bytes([0xc0, 1, (port >> 8) as u8, port as u8]);
        flows.set(place, [SENDER.to_be(), to.to_be(), ports, 0], 0).unwrap();
    }
    let mut turn: Array<_, [u32; 2]> = object.map_mut("turn").unwrap().try_into().unwrap();
    turn.set(0, [0, count - 1], 0).unwrap();
}

/// Medians, the programs taking turns.
fn measure(object: &mut Ebpf) -> [f64; 5] {
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
    let mut figures: [Vec<f64>; 5] = Default::default();
    for _ in 0..RUNS {
        for (name, figures) in PROGRAMS.iter().zip(&mut figures) {
            let program: &SchedClassifier = object.program(name).unwrap().try_into().unwrap();
            let options = TestRunOptions { data_in: Some(&frame), repeat: PACKETS, ..TestRunOptions::default() };
            let before = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
            program.test_run(options).unwrap();
            let after = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
            let nanoseconds = (after.tv_sec() - before.tv_sec()) * 1_000_000_000 + after.tv_nsec() - before.tv_nsec();
            figures.push(nanoseconds as f64 / f64::from(PACKETS));
        }
    }
    figures.map(|mut runs| {
        runs.sort_by(f64::total_cmp);
        runs[runs.len() / 2]
    })
}

/// A BPF file system of its own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = Self(std::env::temp_dir().join(format!("egressc-bench-{}", std::process::id())));
        std::fs::create_dir_all(&folder.0).unwrap();
        let mounted = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&folder.0).status().unwrap();
        assert!(mounted.success(), "no BPF file system");
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ended = Command::new("umount").arg(&self.0).status();
        let _gone = std::fs::remove_dir(&self.0);
    }
}

/// What loading and switching take, and what the kernel charges.
fn load_and_switch(kernel: Kernel, tables: &[u8]) {
    let mut prepared = Vec::new();
    let mut committed = Vec::new();
    let mut switched = Vec::new();
    let mut last = String::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        let generation = kernel.prepare(&New { tables, endpoints: &[(0, Endpoint::Row(7))] }).unwrap();
        prepared.push(start.elapsed());
        last = format!(
            "{} bytes charged, verifier (walked, bytes) {:?}",
            generation.memory().unwrap(),
            generation.sizes()
        );
        let start = Instant::now();
        let place = kernel.commit(generation).unwrap();
        committed.push(start.elapsed());
        let start = Instant::now();
        kernel.switch(place).unwrap();
        switched.push(start.elapsed());
    }
    let median = |mut times: Vec<std::time::Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let [prepared, committed, switched] = [prepared, committed, switched].map(median);
    println!(
        "         {} bytes of tables: prepared in {prepared:.1?}, committed in {committed:.1?}, switched in {switched:.1?}; {last}",
        tables.len()
    );
    kernel.unload().unwrap();
}
