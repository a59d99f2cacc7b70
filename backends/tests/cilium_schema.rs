//! Everything that is emitted is valid under the API server's schemas, and those schemas do refuse things.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "schemas or recordings that cannot be read must stop the test"
)]

mod cilium_support;
#[path = "cilium_support/schema.rs"]
mod schema;

use std::collections::BTreeMap;
use std::path::Path;

use cilium_support::{options, program, round_trip};
use egress_testkit::seed::{Rng, cases, seed};
use schema::Schemas;
use serde_json::Value;

#[test]
fn random_programs_become_valid_objects() {
    let schemas = Schemas::read();
    let (seed, cases) = (seed(), cases(150));
    let mut objects = 0;
    for case in 0..cases {
        let program = program(&mut Rng::new(seed, case));
        let (_, text) = round_trip(&program, &options(case)).expect("a program that can be said");
        let (count, wrong) = schemas.check(&text);
        assert!(wrong.is_empty(), "seed {seed}, case {case}: {wrong:?}\n{text}");
        objects += count;
    }
    println!("seed {seed}: {objects} objects of {cases} programs are valid");
    assert!(objects > 0, "nothing was checked");
}

/// The schemas and the recordings of the real API server agree, so the test above means something.
#[test]
fn the_schemas_refuse_what_the_api_server_refuses() {
    let schemas = Schemas::read();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cilium/verdicts/rejected/objects.jsonl");
    let text = std::fs::read_to_string(path).expect("recordings");
    let mut counts = BTreeMap::<&str, usize>::new();
    for line in text.lines() {
        let object: Value = serde_json::from_str(line).expect("JSON");
        let stage = object["stage"].as_str().unwrap_or("accepted").to_owned();
        let yaml = object["yaml"].as_str().expect("text");
        let (_, wrong) = match stage.as_str() {
            // No YAML, and rules that are not part of the schema proper.
            "yaml" | "cel" | "decode" => continue,
            _ => schemas.check(yaml),
        };
        let refused = matches!(stage.as_str(), "schema" | "unknown-field");
        assert_eq!(!wrong.is_empty(), refused, "{stage}: {wrong:?}\n{yaml}");
        *counts.entry(if refused { "refused" } else { "accepted" }).or_default() += 1;
    }
    println!("{counts:?}");
    assert!(counts.len() == 2, "nothing was checked: {counts:?}");
}
