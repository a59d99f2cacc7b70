//! Whatever bytes come in, the compiler answers: policies, lists and inventories of garbage and of near misses.
//! `EGRESS_SEED` and `EGRESS_CASES` choose the cases.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use egress_compiler::{Input, MemoryFiles, Options, SourceText, compile, inventory};
use egress_ir::Date;
use egress_testkit::seed::{cases, seed};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestRunner};
use std::cell::Cell;

/// Pieces that bring random text close to the forms that are read.
const PIECES: &[&str] = &[
    "\n",
    " ",
    ",",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    "#",
    "..",
    "/",
    "except",
    "policy p ",
    "for all ",
    "allow ",
    "deny ",
    "destinations a = ",
    "a",
    "b",
    "list \"l\" ",
    "(key=x)",
    "host *.example.com",
    "private",
    "world",
    "any",
    "workloads a = ",
    "workloads b = ",
    "pods(a=b)",
    "address 10.0.0.0/8",
    "10.0.0.0/8",
    "10.0.0.1/8",
    "::/0",
    "0.0.0.0/0",
    "10.0.0.9-10.0.0.1",
    "until 2026-02-30",
    "until 2026-01-01",
    "cluster c { pods ::/0 } ",
    "gateway g { address ",
    "\"prefixes\"",
    "\"ip_prefix\"",
    "\"values\"",
    "\"properties\"",
    "\"addressPrefixes\"",
    "\"kind\"",
    "\"List\"",
    "\"items\"",
    "\"Pod\"",
    "\"metadata\"",
    "\"name\"",
    "\"namespace\"",
    "\"status\"",
    "\"podIPs\"",
    "\"ip\"",
    "null",
    "1e9",
    "\u{feff}",
    "\u{0}",
    "é",
    "assert all can reach only ",
    "via g ",
    "on 1-2/tcp ",
    "control \"a\" \"b\" { ",
];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let raw = prop::collection::vec(any::<u8>(), 0..80);
    let near = prop::collection::vec(prop::sample::select(PIECES), 0..60).prop_map(|all| all.concat().into_bytes());
    let broken = (near.clone(), any::<u8>(), any::<prop::sample::Index>()).prop_map(|(mut bytes, byte, at)| {
        let at = at.index(bytes.len() + 1);
        bytes.insert(at, byte);
        bytes
    });
    prop_oneof![raw, near, broken]
}

fn run(test: impl Fn(Vec<u8>, Vec<u8>)) {
    let count = u32::try_from(cases(2000)).expect("a sensible number of cases");
    let config = Config {
        cases: count,
        rng_seed: RngSeed::Fixed(seed()),
        rng_algorithm: RngAlgorithm::ChaCha,
        failure_persistence: None,
        ..Config::default()
    };
    let tried = Cell::new(0);
    let both = (bytes(), bytes());
    TestRunner::new(config)
        .run(&both, |(first, second)| {
            tried.set(tried.get() + 1);
            test(first, second);
            Ok(())
        })
        .expect("no input may panic");
    assert!(tried.get() >= count.min(1), "nothing was tried");
}

#[test]
fn units_of_any_bytes_are_answered() {
    run(|first, second| {
        let source = |path: &str, bytes: Vec<u8>| SourceText { path: path.to_owned(), bytes };
        let sources = vec![source("b.egress", second.clone()), source("a.egress", first)];
        let input = Input { sources, root: ".".to_owned() };
        let files = MemoryFiles([("l".to_owned(), second)].into());
        let as_of = Some(Date { year: 2026, month: 8, day: 22 });
        let compiled = compile(input, &files, &Options { as_of, ..Options::default() });
        assert_eq!(compiled.sources.len(), 2);
        assert!(compiled.program.is_some() || compiled.has_errors(), "no meaning, and nobody said why");
        for label in compiled.diagnostics.iter().flat_map(|found| &found.labels) {
            let text = &compiled.sources.at(label.source).text;
            assert!(text.get(label.span.start as usize..label.span.end as usize).is_some(), "{label:?}");
        }
    });
}

#[test]
fn lists_of_any_bytes_are_answered() {
    run(|first, _| {
        let text = b"policy p {\n for all\n deny list \"l\"\n allow list \"l\" (key=x)\n}\n".to_vec();
        let sources = vec![SourceText { path: "a.egress".to_owned(), bytes: text }];
        let files = MemoryFiles([("l".to_owned(), first)].into());
        let compiled = compile(Input { sources, root: ".".to_owned() }, &files, &Options::default());
        assert!(compiled.program.is_some() || compiled.has_errors(), "no meaning, and nobody said why");
        assert!(compiled.diagnostics.iter().all(|found| found.code.starts_with("egress::list::")));
    });
}

#[test]
fn inventories_of_any_bytes_are_answered() {
    run(|first, second| {
        if let Err(errors) = inventory::read(&first) {
            assert!(!errors.is_empty());
        }
        if let Err(errors) = inventory::read_all([first.as_slice(), second.as_slice()]) {
            assert!(!errors.is_empty());
        }
    });
}
