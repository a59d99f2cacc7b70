//! No bytes make the decoder panic, and what it accepts can be judged.
//!
//! `EGRESS_SEED` and `EGRESS_CASES` choose the run.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "recordings that cannot be read must stop the test"
)]

mod cilium_support;
#[path = "cilium_support/resolver.rs"]
mod resolver;

use std::path::Path;

use cilium_support::{options, program, round_trip};
use egress_backends::cilium::decode::Admission;
use egress_backends::cilium::decode::decode_as;
use egress_backends::cilium::{Model, decode};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::seed::{Rng, cases, seed};
use resolver::resolver;
use serde_json::Value;

/// Texts of recorded and emitted objects.
fn texts() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cilium/verdicts");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("recordings");
    let field = |text: String, field: &str| -> Vec<String> {
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.map(|object| object[field].as_str().expect("text").to_owned()).collect()
    };
    let mut texts = field(read("cases-0.jsonl"), "policies");
    texts.extend(field(read("rejected/objects.jsonl"), "yaml"));
    for case in 0..20 {
        texts.extend(round_trip(&program(&mut Rng::new(1, case)), &options(case)).map(|(_, text)| text));
    }
    texts
}

/// Words that turn a field into another one, or a value into one at a border.
const SPLICES: [&str; 40] = [
    "{}",
    "[]",
    "null",
    "~",
    "*a",
    "&a ",
    "!!binary ",
    "<<: ",
    "---\n",
    "...\n",
    "\t",
    "\r",
    "\u{0}",
    "\u{feff}",
    "yes",
    "0",
    "-1",
    "65536",
    "99999999999999999999",
    "0x",
    "'",
    "\"",
    "|\n",
    ">-\n",
    "- ",
    ": ",
    "? ",
    "#",
    "%YAML 1.2\n",
    "\u{85}",
    "egress:",
    "toCIDR:",
    "toFQDNs:",
    "spec:",
    "specs:",
    "ports:",
    "icmps:",
    "'*'",
    "k8s:",
    "::ffff:10.0.0.0/104",
];

fn mutate(rng: &mut Rng, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.between(1, 2) {
        let at = rng.below(bytes.len().max(1));
        let end = at + rng.below(40).min(bytes.len().saturating_sub(at));
        match rng.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..at, rng.pick(&SPLICES).bytes())),
            2 if at < bytes.len() => bytes[at] = rng.bits().to_le_bytes()[0],
            3 => {
                let copy = bytes[at..end].to_vec();
                let to = rng.below(bytes.len().max(1));
                bytes.splice(to..to, copy);
            }
            4 => drop(bytes.splice(at..end, rng.pick(&SPLICES).bytes())),
            _ => bytes.truncate(bytes.len() - rng.below(20).min(bytes.len())),
        }
    }
    bytes
}

#[test]
fn mutated_objects_never_panic() {
    let texts = texts();
    let (seed, cases) = (seed(), cases(20_000));
    let (mut accepted, mut refused) = (0_u64, 0_u64);
    for case in 0..cases {
        let mut rng = Rng::new(seed, case);
        let text = rng.choose(&texts).expect("texts").clone();
        let bytes = mutate(&mut rng, &text);
        let admission = if rng.chance(50) { Admission::ApiServer } else { Admission::AgentOnly };
        match decode_as(&bytes, admission) {
            Ok(model) => {
                accepted += 1;
                judge_something(&mut rng, &model);
            }
            Err(error) => {
                refused += 1;
                assert!(!error.problems.is_empty() && !error.to_string().is_empty());
            }
        }
    }
    println!("seed {seed}: {cases} mutated texts, {accepted} accepted, {refused} refused");
    assert!(accepted + refused > 0, "nothing was tried");
    assert!((accepted > 0 && refused > 0) || cases < 1000, "only one answer was seen");
}

fn judge_something(rng: &mut Rng, model: &Model) {
    let program = program(rng);
    let flow = biased_flow(rng, &program, Sources::Pods);
    assert!(model.judge_program_flow(&flow, Some(&resolver())).is_some());
}

#[test]
fn random_bytes_never_panic() {
    const SYMBOLS: &[u8] = b"-:{}[],&*#?|>!%@`'\" \n\ta0~<.y8";
    let (seed, cases) = (seed(), cases(20_000));
    let mut refused = 0_u64;
    for case in 0..cases {
        let mut rng = Rng::new(seed ^ 1, case);
        let length = rng.below(200);
        let bytes: Vec<u8> = if rng.chance(30) {
            (0..length).map(|_| rng.bits().to_le_bytes()[0]).collect()
        } else {
            (0..length).map(|_| *rng.choose(SYMBOLS).expect("symbols")).collect()
        };
        refused += u64::from(decode(&bytes).is_err());
    }
    println!("seed {seed}: {cases} random texts, {refused} refused");
    assert!(refused > 0 || cases < 20, "nothing was tried");
}
