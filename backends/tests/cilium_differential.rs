//! `eval(source) == judge(decode(emit(source)))` on random programs and flows at their borders.
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
#[path = "cilium_support/resolver.rs"]
mod resolver;

use std::collections::BTreeMap;

use cilium_support::{options, program, round_trip};
use egress_backends::cilium::Verdict;
use egress_ir::eval;
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::seed::{Rng, cases, seed};
use mutations::mutated;
use resolver::resolver;

const FLOWS: usize = 100;

/// The comparison finds artifacts that do not mean what their source says. Some changes change nothing, such as a missing
/// rule that another one covers, so not every one is found.
#[test]
fn changed_artifacts_are_found_out() {
    // A thousand flows each: more cases than these would only take time.
    let (seed, cases, resolver) = (seed(), cases(300).min(300), resolver());
    let (mut differing, mut tried) = (0_u64, 0_u64);
    for case in 0..cases {
        let mut rng = Rng::new(seed, case);
        let program = program(&mut rng);
        let (model, text) = round_trip(&program, &options(case)).expect("a program that can be said");
        let Some((_, mutant)) = mutated(&mut rng, &model, &text) else { continue };
        let differs = (0..10 * FLOWS).any(|_| {
            let flow = biased_flow(&mut rng, &program, Sources::Pods);
            let ours = mutant.judge_program_flow(&flow, Some(&resolver)).expect("a pod");
            (ours.verdict == Verdict::Allowed) != eval(&program, &flow).verdict.passes()
        });
        differing += u64::from(differs);
        tried += 1;
    }
    println!("seed {seed}: {differing} of {tried} found out");
    assert!(tried > 0 || cases < 20, "nothing was tried");
    assert!(differing * 3 > tried || tried < 50, "only {differing} of {tried} differ");
}

#[test]
fn the_artifact_decides_as_the_source_does() {
    let (seed, cases, resolver) = (seed(), cases(600), resolver());
    let (mut judged, mut passed, mut by_name, mut emitted) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut refused = BTreeMap::<&str, u64>::new();
    for case in 0..cases {
        let mut rng = Rng::new(seed, case);
        let program = program(&mut rng);
        let (model, text) = match round_trip(&program, &options(case)) {
            Ok(artifact) => artifact,
            Err(codes) => {
                for code in codes {
                    *refused.entry(code).or_default() += 1;
                }
                continue;
            }
        };
        emitted += 1;
        for _ in 0..FLOWS {
            let flow = biased_flow(&mut rng, &program, Sources::Pods);
            let expected = eval(&program, &flow);
            let ours = model.judge_program_flow(&flow, Some(&resolver)).expect("a pod");
            assert_eq!(
                ours.verdict == Verdict::Allowed,
                expected.verdict.passes(),
                "seed {seed}, case {case}: {flow}: the source says {expected:?}, the artifact {ours:?}\n{text}"
            );
            judged += 1;
            passed += u64::from(expected.verdict.passes());
            by_name += u64::from(!flow.destination.names.is_empty() && expected.verdict.passes());
        }
    }
    println!(
        "seed {seed}: {emitted} of {cases} programs emitted, {judged} flows equal ({passed} pass, {by_name} of them with \
         names); refused {refused:?}"
    );
    assert!(judged > 0, "nothing was tried");
    assert!((passed > 0 && passed < judged) || cases < 20, "only one verdict was tried");
    assert!(emitted * 2 >= cases, "most programs should be sayable: {refused:?}");
}
