//! Generated policies of many rules: how large their snapshots are, and how long they take.
//!
//! `EGRESS_RULES` says how many rules, such as `1000,100000`.

use egress_backends::ebpf::{Options, decode, emit, plane};
use egress_compiler::{Input, MemoryFiles, SourceText};
use egress_ir::{Inventory, Plane, Program, Vocabulary, eval};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::policies::{PolicyShape, generate, generate_inventory};
use egress_testkit::seed::{Rng, seed};
use std::time::Instant;

fn unit(rules: usize) -> (Program, Inventory) {
    let shape = PolicyShape::of(rules);
    let sources = vec![SourceText { path: "policy.egress".into(), bytes: generate(seed(), &shape).into_bytes() }];
    let input = Input { sources, root: ".".into() };
    let compiled = egress_compiler::compile(input, &MemoryFiles::default(), &egress_compiler::Options::default());
    let program = compiled.program.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let inventory = generate_inventory(seed(), &shape);
    (program, egress_compiler::inventory::read(inventory.as_bytes()).unwrap())
}

#[test]
fn policies_of_many_rules_have_snapshots() {
    let rules = std::env::var("EGRESS_RULES").unwrap_or_else(|_| "1000,10000".to_owned());
    for rules in rules.split(',').map(|rules| rules.parse().unwrap()) {
        let (program, inventory) = unit(rules);
        let begin = Instant::now();
        let artifact =
            emit(&program, Some(&inventory), &Options::default()).unwrap_or_else(|errors| panic!("{errors:?}"));
        let emitted = begin.elapsed();
        let decoded = decode(&artifact.bytes).unwrap();
        let read = begin.elapsed() - emitted;
        let plane = plane(&decoded, &program, Some(&inventory)).unwrap();
        let mut vocabulary = Vocabulary::default();
        let mut count = 0;
        for sender in 0..plane.senders().len() {
            for v6 in [false, true].into_iter().filter(|v6| plane.senders()[sender].sends(*v6)) {
                count += plane.pieces(sender, v6, &mut vocabulary).unwrap().len();
            }
        }
        let planed = begin.elapsed() - emitted - read;
        println!(
            "{rules} rules: {} bytes, {} vectors, emitted in {emitted:?}, read in {read:?}, {} senders with {count} pieces in \
             {planed:?}\n  {}",
            artifact.bytes.len(),
            decoded.meta.vectors.len(),
            plane.senders().len(),
            artifact.notices.iter().map(|notice| notice.message.as_str()).collect::<Vec<_>>().join("\n  "),
        );
        check(&program, &inventory, &decoded);
    }
}

fn check(program: &Program, inventory: &Inventory, decoded: &egress_backends::ebpf::Decoded) {
    let mut rng = Rng::new(seed(), 0);
    for _ in 0..300 {
        let flow = biased_flow(&mut rng, program, Sources::Inventory(inventory));
        let egress_ir::Workload::Pod(pod) = &flow.workload else { continue };
        let row = decoded.meta.row_of(&crate::common::identity(pod)).unwrap();
        let decision = eval(program, &flow);
        let (outcome, passes) = decoded.decide(row, flow.destination.address, flow.port);
        assert_eq!(passes, decision.verdict.passes(), "{flow}");
        assert_eq!(decoded.outcome(outcome).unwrap().rules.len(), decision.rules.len(), "{flow}");
    }
}
