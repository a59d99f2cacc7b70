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
#[path = "cilium_support/resolver.rs"]
mod resolver;

use std::collections::BTreeMap;

use cilium_support::{options, program, round_trip};
use egress_backends::cilium::model::Ports;
use egress_backends::cilium::{Model, Verdict};
use egress_ir::eval;
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::seed::{Rng, cases, seed};
use resolver::resolver;

const FLOWS: usize = 100;

/// Changes one thing in a model; nothing where there is nothing to change.
fn mutate(rng: &mut Rng, model: &Model) -> Option<(&'static str, Model)> {
    let mut model = model.clone();
    let specs: Vec<(usize, usize)> = (0..model.policies.len())
        .flat_map(|at| (0..model.policies[at].specs.len()).map(move |of| (at, of)).collect::<Vec<_>>())
        .collect();
    let (policy, at) = *rng.choose(&specs)?;
    let spec = &mut model.policies[policy].specs[at];
    let what = match rng.below(5) {
        0 => {
            spec.allows.remove(rng.below(spec.allows.len().checked_sub(1)? + 1));
            "an allow is missing"
        }
        1 => {
            spec.denies.remove(rng.below(spec.denies.len().checked_sub(1)? + 1));
            "a deny is missing"
        }
        2 => {
            spec.default_deny = !spec.default_deny;
            "default deny is the other way round"
        }
        3 => {
            let ports = spec.allows.iter_mut().chain(&mut spec.denies).find(|rule| rule.ports != Ports::All)?;
            ports.ports = Ports::All;
            "a rule has lost its ports"
        }
        _ => {
            model.policies[policy].specs.remove(at);
            "a specification is missing"
        }
    };
    Some((what, model))
}

/// The comparison finds artifacts that do not mean what their source says. Some changes change nothing, such as a missing
/// rule that another one covers, so not every one is found.
#[test]
fn changed_artifacts_are_found_out() {
    // A thousand flows each: more cases than these would only take time.
    let (seed, cases, resolver) = (seed(), cases(300).min(300), resolver());
    let mut found = BTreeMap::<&str, (u64, u64)>::new();
    for case in 0..cases {
        let mut rng = Rng::new(seed, case);
        let program = program(&mut rng);
        let (model, _) = round_trip(&program, &options(case)).expect("a program that can be said");
        let Some((what, mutant)) = mutate(&mut rng, &model) else { continue };
        let differs = (0..10 * FLOWS).any(|_| {
            let flow = biased_flow(&mut rng, &program, Sources::Pods);
            let ours = mutant.judge_program_flow(&flow, Some(&resolver)).expect("a pod");
            (ours.verdict == Verdict::Allowed) != eval(&program, &flow).verdict.passes()
        });
        let count = found.entry(what).or_default();
        count.0 += u64::from(differs);
        count.1 += 1;
    }
    println!("seed {seed}: found out, of tried: {found:?}");
    let (differing, tried) = found.values().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    assert!(tried > 0 || cases < 20, "nothing was tried");
    assert!(differing * 3 > tried || tried < 50, "{found:?}");
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
