//! Snapshots are proved to decide as their programs do, and what is changed in one is refuted by a flow.
//!
//! In: seeded programs with their snapshots, and snapshots of which one thing was changed: a word of a tree, a cell, an
//! outcome, a port, the row of a combination, the row of those who are unknown. Out: nothing, where each change is refused,
//! refuted by a flow that the evaluator and the tables' own walk decide differently, or proved and then no flow differs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking, as tests do"
)]

#[path = "second/units.rs"]
mod units;

use egress_backends::ebpf::{Decoded, Options, decode, emit, plane};
use egress_ir::{
    Flow, GatewayAddress, GatewayId, Inventory, Outcome, Plane, Program, Unclear, Workload, eval, protocol,
};
use egress_snapshot::layout::WORDS;
use egress_snapshot::meta::{Identity, Verdict};
use egress_snapshot::{Entry, Kind, Meta, Tables, file};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::programs::{Presence, Shape, random_inventory, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use egress_verifier::{Answer, Block, Cache, Fault, Limits, Prover, against_source};
use std::collections::BTreeMap;

fn unit(case: u64) -> (Program, Inventory) {
    let mut rng = Rng::new(seed() ^ 0xebf, case);
    let cluster = if case % 4 == 3 { Presence::Never } else { Presence::Always };
    let shape =
        Shape { blocks: 1..=4, rules: 1..=4, cluster, hosts: case % 2 == 1, host_denies: false, ..Shape::everything() };
    let mut program = random_program(&mut rng, &shape);
    let ids: Vec<GatewayId> = program.gateways.ids().collect();
    for (id, last) in ids.into_iter().zip(1..) {
        let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0xfffe, 0, 0, 0, 0, last).into();
        let gateway = program.gateways.get_mut(id).unwrap();
        gateway.addresses.push(GatewayAddress { address, managed: false });
    }
    let inventory = random_inventory(&mut rng, &program);
    (program, inventory)
}

fn snapshot(program: &Program, inventory: Option<&Inventory>) -> Decoded {
    let artifact = emit(program, inventory, &Options::default()).unwrap_or_else(|errors| panic!("{errors:?}"));
    decode(&artifact.bytes).unwrap()
}

/// Where a snapshot differs from its program; nothing clear: why.
fn blocks(
    decoded: &Decoded,
    program: &Program,
    inventory: Option<&Inventory>,
    at: &str,
) -> Result<Vec<Block>, Unclear> {
    let plane = plane(decoded, program, inventory)?;
    let mut prover = Prover::new(Limits::default(), Cache::default());
    let found = match against_source(program, &plane, &mut prover) {
        Ok(found) => found,
        Err(Fault::Unclear(unclear)) => return Err(unclear),
        Err(fault) => panic!("{at}: {fault}"),
    };
    let blocks = match found.answer {
        Answer::Proved => Vec::new(),
        Answer::Refuted(blocks) => blocks,
        Answer::Unknown(reason) => panic!("{at}: {reason}"),
    };
    for Block { senders, witness, .. } in &blocks {
        let done = plane.replay(senders[0], witness).unwrap();
        assert_ne!(meant(program, witness), done, "{at}: {witness} does not differ");
    }
    Ok(blocks)
}

/// What the meaning says of a flow.
fn meant(program: &Program, flow: &Flow) -> Outcome {
    match eval(program, flow).verdict {
        egress_ir::Verdict::Allowed(gateway) => Outcome::Passes(gateway),
        verdict if verdict.passes() => Outcome::Passes(None),
        _ => Outcome::Dropped,
    }
}

#[test]
fn snapshots_are_proved_to_mean_their_programs() {
    let count = cases(60);
    for case in 0..count {
        let (program, inventory) = unit(case);
        let inventory = (!case.is_multiple_of(3)).then_some(&inventory);
        let decoded = snapshot(&program, inventory);
        let found = blocks(&decoded, &program, inventory, &format!("case {case}")).unwrap();
        assert!(found.is_empty(), "case {case}: {found:?}");
    }
    println!("{count} snapshots proved");
}

#[test]
fn snapshots_of_the_units_in_testdata_are_proved() {
    let (mut proved, mut refused, mut ranges) = (0, 0, 0);
    for (name, program) in units::all() {
        let Ok(artifact) = emit(&program, None, &Options::default()) else {
            refused += 1;
            continue;
        };
        let found = blocks(&decode(&artifact.bytes).unwrap(), &program, None, &name).unwrap();
        assert!(found.is_empty(), "{name}: {found:?}");
        proved += 1;
        ranges += units::ranges(&program);
    }
    println!("{proved} units with {ranges} ranges of destinations proved, {refused} with names or gateways refused");
    assert!(proved >= 5 && ranges >= 5, "{proved} {ranges}");
}

/// What becomes of mutants of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Fates {
    /// Not readable any more, or not understood.
    refused: u64,
    refuted: u64,
    proved: u64,
}

/// The kinds of changes.
const KINDS: [&str; 11] =
    ["tree", "cell", "action", "outcome", "port", "combination", "stranger", "source", "number", "address", "swap"];

#[test]
fn what_is_changed_in_a_snapshot_is_refuted() {
    let count = cases(40);
    let mut fates: BTreeMap<&str, Fates> = BTreeMap::new();
    for case in 0..count {
        let (program, inventory) = unit(case);
        let whole = snapshot(&program, Some(&inventory));
        for (number, kind) in (0..).zip(KINDS.into_iter().cycle().take(KINDS.len() * 3)) {
            let mut rng = Rng::new(seed() ^ 0x3117, case * 1000 + number);
            let fate = fates.entry(kind).or_default();
            let Some(mutant) = changed(&whole, kind, &mut rng) else {
                fate.refused += 1;
                continue;
            };
            let at = format!("case {case} {kind} {number}");
            match blocks(&mutant, &program, Some(&inventory), &at) {
                Err(_) => fate.refused += 1,
                Ok(blocks) if blocks.is_empty() => {
                    fate.proved += 1;
                    check_same(&mut rng, &mutant, &program, &inventory, &at);
                }
                Ok(_) => fate.refuted += 1,
            }
        }
    }
    println!("{count} programs: {fates:?}");
    if count >= 40 {
        for kind in KINDS.into_iter().filter(|kind| *kind != "stranger") {
            assert!(fates[kind].refuted > 0, "no change of a {kind} is refuted: {fates:?}");
        }
        assert!(fates["stranger"].refused > 0, "{fates:?}");
    }
}

/// Flows at the borders: none differs, neighbour discovery apart.
fn check_same(rng: &mut Rng, mutant: &Decoded, program: &Program, inventory: &Inventory, at: &str) {
    for _ in 0..150 {
        let flow = biased_flow(rng, program, Sources::Inventory(inventory));
        let row = match &flow.workload {
            Workload::Pod(pod) => mutant.meta.row_of(&identity(pod)).unwrap(),
            Workload::Address(address) => mutant.tables.source(*address),
        };
        let of = (row, flow.destination.address, flow.port.protocol(), flow.port.number(), false);
        let is_named = |set: u64| {
            let hosts = mutant.hosts_of(set).unwrap();
            hosts.iter().any(|host| flow.destination.names.iter().any(|name| host.matches(name)))
        };
        let outcome = mutant.tables.decide_named(of, is_named);
        let done = match (mutant.passes(outcome), mutant.gateway(outcome)) {
            (false, _) => Outcome::Dropped,
            (true, 0) => Outcome::Passes(None),
            (true, number) => {
                let gateway = &mutant.meta.gateways[number as usize - 1];
                let source = gateway.address(flow.destination.address.is_ipv6()).unwrap().address;
                let has = |of: &egress_ir::Gateway| of.addresses.iter().any(|one| one.address == source);
                let owner = program.gateways.iter().find(|(_, of)| has(of));
                owner.map_or(Outcome::Misrouted, |(id, _)| Outcome::Passes(Some(id)))
            }
        };
        assert!(done == meant(program, &flow) || is_discovery(&flow), "{at}: proved, but {flow} differs");
    }
}

fn identity(pod: &egress_ir::Pod) -> Identity {
    Identity {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        namespace_labels: pod.namespace_labels.clone(),
        labels: pod.labels.clone(),
        service_account: pod.service_account.clone(),
    }
}

fn is_discovery(flow: &Flow) -> bool {
    flow.port.protocol() == protocol::ICMPV6 && (133..=136).contains(&(flow.port.number() >> 8))
}

/// The snapshot with one thing changed, signed off again as if it had been made so; nothing where that is no snapshot.
fn changed(whole: &Decoded, kind: &str, rng: &mut Rng) -> Option<Decoded> {
    let mut meta = Meta { vectors: Vec::new(), ..whole.meta.clone() };
    let mut bytes = whole.tables.bytes().to_vec();
    let layout = *whole.tables.layout();
    let line = |line: u32| line as usize * 64;
    // A reader refuses it where it says otherwise than the matrices; without it, they alone are read.
    if layout.direct_line > 0 {
        let lines = layout.row_count * layout.port_class_count * layout.direct_stride();
        bytes[line(layout.direct_line)..line(layout.direct_line + lines)].fill(0);
        let at = WORDS.iter().position(|word| *word == "direct_line")? * 4;
        bytes[at..at + 4].fill(0);
    }
    let below = |rng: &mut Rng, count: u32| rng.below(count as usize) as u32;
    match kind {
        "tree" => {
            let from = line(layout.destination_lows_line) + layout.destination_low_count as usize * 4;
            let at = from + rng.below(bytes.len() - from);
            bytes[at] ^= 1 << rng.below(3);
        }
        "cell" => {
            let (row, class) = (below(rng, layout.row_count), below(rng, layout.class_count));
            let at = line(layout.decisions_line + row * layout.decisions_stride) + class as usize * 2;
            put(&mut bytes, at, below(rng, layout.profile_count));
        }
        "action" => {
            let (profile, class) = (below(rng, layout.profile_count), below(rng, layout.port_class_count));
            let at = line(layout.actions_line + profile * layout.actions_stride) + class as usize * 2;
            put(&mut bytes, at, below(rng, layout.outcome_count));
        }
        "outcome" => {
            let outcome = rng.below(meta.outcomes.len());
            let told = &mut meta.outcomes[outcome];
            let passes = matches!(told.verdict, Verdict::Denied | Verdict::Conflict);
            told.verdict = if passes { Verdict::Allowed } else { Verdict::Denied };
            let at = line(layout.outcomes_line) + outcome * 4;
            bytes[at] = bytes[at] & !0b11 | u8::from(passes);
            bytes[at + 1..at + 4].fill(0);
        }
        "number" => {
            let passing: Vec<usize> = (0..meta.outcomes.len())
                .filter(|place| matches!(meta.outcomes[*place].verdict, Verdict::Via(_) | Verdict::Allowed))
                .collect();
            let outcome = *rng.choose(&passing)?;
            let other = below(rng, meta.gateways.len() as u32 + 1);
            meta.outcomes[outcome].verdict = if other == 0 { Verdict::Allowed } else { Verdict::Via(other) };
            bytes[line(layout.outcomes_line) + outcome * 4 + 1] = other as u8;
        }
        "address" => {
            let gateway = rng.below(meta.gateways.len().max(1));
            let addresses = &mut meta.gateways.get_mut(gateway)?.addresses;
            let place = rng.below(addresses.len());
            addresses[place].address = "203.0.113.99".parse().unwrap();
        }
        "swap" => {
            let [one, other, ..] = meta.gateways.as_mut_slice() else { return None };
            std::mem::swap(&mut one.addresses, &mut other.addresses);
        }
        "port" => {
            let at = line(layout.port_pages_line) + rng.below(layout.port_page_count as usize * 256) * 2;
            put(&mut bytes, at, below(rng, layout.port_class_count));
        }
        "combination" => {
            let place = rng.below(meta.combinations.len());
            meta.combinations[place].row = below(rng, layout.row_count);
        }
        "stranger" => {
            let at = WORDS.iter().position(|word| *word == "default_row")? * 4;
            put(&mut bytes, at, below(rng, layout.row_count));
        }
        "source" => {
            let start = if rng.chance(50) { layout.source_v4 } else { layout.source_v6 };
            let word = if start == layout.source_v4 { "source_v4" } else { "source_v6" };
            let at = match Entry(start).kind()? {
                Kind::Leaf(_) => WORDS.iter().position(|known| *known == word)? * 4,
                Kind::Line(at) => at as usize * 16 + 48 + rng.below(6) * 2,
                Kind::Chunk4(at) => at as usize * 16 + rng.below(4) * 4,
                Kind::Chunk8(at) => at as usize * 16 + rng.below(8) * 4,
                Kind::Chunk16(at) => at as usize * 16 + rng.below(16) * 4,
                Kind::Block(at) => at as usize * 16 + rng.below(256) * 4,
                Kind::Root(at) => at as usize * 16 + rng.below(1 << 16) * 4,
            };
            put(&mut bytes, at, below(rng, layout.row_count));
        }
        other => panic!("{other}"),
    }
    settle(&mut meta, &bytes)?;
    let bytes = file::write(&meta, &bytes, None).ok()?;
    decode(&bytes).ok()
}

/// Says of the pods what the tables say, so that only the policy is wrong.
fn settle(meta: &mut Meta, bytes: &[u8]) -> Option<()> {
    let tables = Tables::new(bytes.to_vec()).ok()?;
    meta.pods.iter_mut().for_each(|pod| pod.row = tables.source(pod.address));
    Some(())
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes()[..2]);
}
