//! Mutants of nftables files, with every flow judged packet by packet as the ground truth.

use crate::judged::{Ground, Truth, is_discovery};
use crate::tally::{self, Tally, some};
use crate::units;
use egress_backends::nftables::{Options, Packet, Ruleset, decode, emit, plane};
use egress_ir::{Inventory, Program, eval};
use egress_testkit::mutants::{self, Mutant};
use egress_testkit::programs::{Presence, Shape, random_inventory, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use egress_verifier::Block;

/// Files, and the most mutants of each.
const FILES: u64 = 16;
const OF_A_FILE: usize = 26;

#[test]
fn every_mutant_of_a_file_is_refuted_or_refused_or_means_the_same() {
    let (seed, count) = (seed(), cases(FILES));
    let (mut tally, mut judged, mut files_seen) = (Tally::default(), 0, 0);
    let random = files(seed).take(usize::try_from(count).unwrap());
    for (case, program, inventory, text) in random.chain(of_units(seed)) {
        let ground = Ground::new(&program, &inventory);
        let context = format!("seed {seed} case {case}");
        files_seen += 1;
        let whole = Mutant { kind: "none", what: "nothing".to_owned(), changed: text.clone() };
        let mutants = some(&mut Rng::new(seed, case), mutants::nftables(&text), OF_A_FILE);
        for mutant in [whole].into_iter().chain(mutants) {
            judged += hold(&ground, &mutant, &context, &mut tally);
        }
    }
    tally.print("nftables");
    println!("nftables: {judged} flows judged");
    let (none, sum) = (*tally.at("none"), tally.sum());
    assert_eq!(none.proved, files_seen, "an artifact without a fault is not proved: {none:?}");
    if count >= FILES {
        assert!(sum.refuted >= 80 && sum.proved >= 80 && tally.0.len() >= 15, "{sum:?}");
    }
}

/// Small programs that the target can say, each with an inventory and its artifact.
pub(crate) fn files(seed: u64) -> impl Iterator<Item = (u64, Program, Inventory, String)> {
    (0..1_000_000).filter_map(move |case| {
        let (program, inventory) = unit(seed, case);
        file(case, program, inventory)
    })
}

/// Whether a program has rules about names, which `tests/names.rs` is about.
fn has_names(program: &Program) -> bool {
    program.destination_sets.values().any(|set| !set.hosts.is_empty())
}

/// The same of the units of `testdata/` that are small enough for every flow to be tried; without gateways, whose mutants
/// have tests of their own.
fn of_units(seed: u64) -> impl Iterator<Item = (u64, Program, Inventory, String)> {
    let small = units::all().into_iter().filter(|(_, program)| units::ranges(program) <= 60 && !has_names(program));
    small.zip(1_000_000..).filter_map(move |((_, program), case)| {
        let mut inventory = random_inventory(&mut Rng::new(seed, case), &program);
        inventory.pods.truncate(5);
        file(case, program.without_gateways(), inventory)
    })
}

fn file(case: u64, program: Program, inventory: Inventory) -> Option<(u64, Program, Inventory, String)> {
    let artifact = emit(&program, Some(&inventory), &Options::default()).ok()?;
    Some((case, program, inventory, String::from_utf8(artifact.bytes).unwrap()))
}

fn unit(seed: u64, case: u64) -> (Program, Inventory) {
    let mut rng = Rng::new(seed ^ 0xf11e, case);
    let cluster = if case % 4 == 3 { Presence::Never } else { Presence::Always };
    let shape = Shape { blocks: 1..=2, rules: 1..=2, cluster, hosts: false, gateways: 0, ..Shape::everything() };
    let program = random_program(&mut rng, &shape);
    let mut inventory = random_inventory(&mut rng, &program);
    inventory.pods.truncate(5);
    (program, inventory)
}

/// Proves or refutes a mutant, and holds the answer against the packets; how many flows were tried.
fn hold(ground: &Ground<'_>, mutant: &Mutant<String>, context: &str, tally: &mut Tally) -> usize {
    let fates = tally.at(mutant.kind);
    let Ok(ruleset) = decode(mutant.changed.as_bytes()) else {
        fates.refused += 1;
        return 0;
    };
    let context = format!("{context}, {}: {}", mutant.kind, mutant.what);
    let (truth, tried) = ground.truth(&ruleset);
    match (blocks(ground, &ruleset, &context), truth) {
        (None, _) => fates.unclear += 1,
        (Some(blocks), Truth::Different(flow)) => {
            assert!(!blocks.is_empty(), "{context}: proved, but {flow} is judged otherwise\n{}", mutant.changed);
            fates.refuted += 1;
        }
        (Some(blocks), Truth::Same) => {
            assert!(blocks.is_empty(), "{context}: no packet confirms {blocks:?}\n{}", mutant.changed);
            fates.proved += 1;
        }
        (Some(blocks), Truth::OnTheLinkOnly) if blocks.is_empty() => fates.proved += 1,
        (Some(blocks), Truth::OnTheLinkOnly) => {
            let on_link = blocks.iter().all(|block| is_discovery(&block.witness));
            assert!(on_link, "{context}: no packet confirms {blocks:?}\n{}", mutant.changed);
            fates.beyond += 1;
        }
        (Some(_), Truth::Unsure) => fates.beyond += 1,
    }
    tried
}

/// Where the ruleset differs from the program, each block confirmed by judge and evaluator; nothing where it is unclear.
pub(crate) fn blocks(ground: &Ground<'_>, ruleset: &Ruleset, context: &str) -> Option<Vec<Block>> {
    let plane = plane::plane(ruleset, ground.program, Some(ground.inventory)).ok()?;
    let blocks = tally::blocks(ground.program, &plane, context)?;
    for Block { senders, left, right, witness, .. } in &blocks {
        let (hook, _) = plane.place(senders[0]).unwrap();
        let source = ground.source(&witness.workload, witness.destination.address.is_ipv6()).unwrap();
        let passes = ruleset.judge(&Packet::new(hook, source, witness.destination.address, witness.port)).passes;
        let said = (left.passes(), right.passes());
        assert_eq!(said, (eval(ground.program, witness).verdict.passes(), passes), "{context}: {witness}");
        assert_ne!(said.0, said.1, "{context}: {witness}");
    }
    Some(blocks)
}
