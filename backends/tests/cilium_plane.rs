//! The plane of an artifact against the evaluators of the source and of the artifact, on random programs, on mutated
//! artifacts, and on every unit of `testdata` that has one.
//!
//! `EGRESS_SEED` and `EGRESS_CASES` (programs) choose the run.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a program that cannot be tried must stop the test"
)]

mod cilium_support;
#[path = "cilium_support/mutations.rs"]
mod mutations;
#[path = "cilium_support/plane.rs"]
mod pieces;
#[path = "cilium_support/resolver.rs"]
mod resolver;
#[path = "cilium_support/routed.rs"]
mod routed;
#[path = "cilium_support/schema.rs"]
mod schema;
#[path = "cilium_support/units.rs"]
mod units;

use std::collections::BTreeMap;

use cilium_support::{options, program, round_trip};
use egress_backends::cilium::{Model, Options, Verdict, decode};
use egress_ir::{Flow, Outcome, Plane, Pod, Program, eval};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::programs::random_inventory;
use egress_testkit::seed::{Rng, cases, seed};
use mutations::mutated;
use pieces::Pieces;
use resolver::resolver;

const FLOWS: usize = 120;

/// What was tried.
#[derive(Debug, Default)]
struct Count {
    flows: u64,
    passed: u64,
    inside: u64,
    by_name: u64,
}

impl Count {
    fn add(&mut self, program: &Program, flow: &Flow, outcome: Outcome) {
        let passes = outcome.passes();
        self.flows += 1;
        self.passed += u64::from(passes);
        self.inside += u64::from(program.cluster.contains(flow.destination.address));
        self.by_name += u64::from(passes && !flow.destination.names.is_empty());
    }
}

/// What the artifact's own evaluator says about flows to the world.
fn judged(model: &Model, flow: &Flow, resolver: &Pod) -> bool {
    model.judge_program_flow(flow, Some(resolver)).expect("a pod").verdict == Verdict::Allowed
}

#[test]
fn pieces_decide_as_both_evaluators_do() {
    let (seed, cases, resolver) = (seed(), cases(400), resolver());
    let (mut count, mut programs) = (Count::default(), 0);
    for case in 0..cases {
        let mut rng = Rng::new(seed, case);
        let program = program(&mut rng);
        let Ok((model, text)) = round_trip(&program, &options(case)) else { continue };
        programs += 1;
        let mut pieces = Pieces::new(&model, &program, None).expect("our own output is clear");
        for _ in 0..FLOWS {
            let flow = biased_flow(&mut rng, &program, Sources::Pods);
            let context = || format!("seed {seed}, case {case}: {flow}\n{text}");
            let outcome = pieces.decide(&flow).unwrap_or_else(|why| panic!("{why}: {}", context()));
            assert_eq!(outcome.passes(), eval(&program, &flow).verdict.passes(), "{}", context());
            assert_eq!(outcome.passes(), judged(&model, &flow, &resolver), "{}", context());
            let Flow { workload: egress_ir::Workload::Pod(pod), .. } = &flow else { panic!("an address") };
            let replayed = pieces.plane.replay(pieces.sender(pod), &flow);
            assert_eq!(replayed, Ok(outcome), "{}", context());
            count.add(&program, &flow, outcome);
        }
    }
    println!("seed {seed}: {programs} of {cases} programs, {count:?}");
    assert!(count.flows > 0, "nothing was tried");
    assert!(cases < 100 || (count.by_name > 0 && count.inside > 0 && count.passed < count.flows), "{count:?}");
}

/// Artifacts that were changed after they were written: the plane says what the evaluator says, or that it is unclear.
#[test]
fn pieces_of_changed_artifacts_decide_as_the_evaluator_does() {
    let (seed, cases, resolver) = (seed(), cases(400), resolver());
    let mut unclear = BTreeMap::<String, u64>::new();
    let (mut count, mut tried, mut differing) = (Count::default(), 0, 0);
    for case in 0..cases {
        let mut rng = Rng::new(seed ^ 0xc111, case);
        let program = program(&mut rng);
        let Ok((model, text)) = round_trip(&program, &options(case)) else { continue };
        let Some((what, mutant)) = mutated(&mut rng, &model, &text) else { continue };
        tried += 1;
        let mut differs = false;
        let mut pieces = match Pieces::new(&mutant, &program, None) {
            Ok(pieces) => pieces,
            Err(why) => {
                *unclear.entry(why.reason).or_default() += 1;
                continue;
            }
        };
        for _ in 0..FLOWS {
            let flow = biased_flow(&mut rng, &program, Sources::Pods);
            let context = || format!("seed {seed}, case {case}, {what}: {flow}\n{mutant:#?}");
            let outcome = match pieces.decide(&flow) {
                Ok(outcome) => outcome,
                Err(why) => {
                    *unclear.entry(why.reason).or_default() += 1;
                    continue;
                }
            };
            let Flow { workload: egress_ir::Workload::Pod(pod), .. } = &flow else { panic!("an address") };
            assert_eq!(pieces.plane.replay(pieces.sender(pod), &flow), Ok(outcome), "{}", context());
            if !program.cluster.contains(flow.destination.address) {
                assert_eq!(outcome.passes(), judged(&mutant, &flow, &resolver), "{}", context());
            }
            differs |= outcome.passes() != eval(&program, &flow).verdict.passes();
            count.add(&program, &flow, outcome);
        }
        differing += u64::from(differs);
    }
    println!("seed {seed}: {tried} artifacts, {differing} seen to differ from their source, {count:?}");
    for (why, times) in &unclear {
        println!("  unclear {times} times: {why}");
    }
    assert!(count.flows > 0, "nothing was tried");
    assert!(cases < 100 || differing * 4 > tried, "only {differing} of {tried} differ");
}

#[test]
fn every_unit_with_an_artifact_is_clear_and_decides_as_its_source() {
    let (mut compiled, mut refused, mut count) = (0, 0, Count::default());
    for (name, program, inventory) in units::all() {
        let Ok(artifact) = egress_backends::cilium::emit(&program, None, &Options::default()) else {
            refused += 1;
            continue;
        };
        compiled += 1;
        let model = decode(&artifact.bytes).expect("our own output");
        let mut pieces = Pieces::new(&model, &program, Some(&inventory)).expect("our own output is clear");
        let pods: usize = pieces.plane.senders().iter().map(|sender| sender.pods.len()).sum();
        assert_eq!(pods, inventory.pods.iter().filter(|pod| !pod.host_network).count(), "{name}");
        for sender in 0..pieces.plane.senders().len() {
            for v6 in [false, true] {
                pieces.pieces(sender, v6).unwrap_or_else(|why| panic!("{name}: {why}"));
            }
        }
        let mut rng = Rng::new(seed(), compiled);
        for _ in 0..1000 {
            let sources = if rng.chance(50) { Sources::Inventory(&inventory) } else { Sources::Pods };
            let flow = biased_flow(&mut rng, &program, sources);
            let egress_ir::Workload::Pod(pod) = &flow.workload else { continue };
            let outcome = pieces.decide(&flow).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(outcome.passes(), eval(&program, &flow).verdict.passes(), "{name}: {flow}");
            assert_eq!(pieces.plane.replay(pieces.sender(pod), &flow), Ok(outcome), "{name}: {flow}");
            count.add(&program, &flow, outcome);
        }
    }
    println!("{compiled} units, {refused} refused by the target, {count:?}");
    assert!(compiled >= 3 && count.passed > 0 && count.passed < count.flows, "{compiled} units, {count:?}");
}

#[test]
fn running_pods_are_each_in_their_sender() {
    let (seed, cases) = (seed(), cases(100).min(100));
    let mut seen = 0;
    for case in 0..cases {
        let mut rng = Rng::new(seed ^ 0x90d, case);
        let program = program(&mut rng);
        let inventory = random_inventory(&mut rng, &program);
        let Ok((model, _)) = round_trip(&program, &options(case)) else { continue };
        let pieces = Pieces::new(&model, &program, Some(&inventory)).expect("our own output is clear");
        let mut placed = 0;
        for (place, sender) in pieces.plane.senders().iter().enumerate() {
            assert!(sender.pods.iter().all(|pod| pieces.sender(pod) == place), "seed {seed}, case {case}");
            placed += sender.pods.len();
        }
        assert_eq!(placed, inventory.pods.iter().filter(|pod| !pod.host_network).count());
        seen += placed;
    }
    assert!(seen > 0, "nothing was tried");
}
