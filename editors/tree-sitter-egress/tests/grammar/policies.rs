//! What the compiler accepts parses without an error here, and what is broken does not.

use crate::support::{errors, files, here, parse};
use egress_testkit::policies::{PolicyShape, generate};
use std::fs;

#[test]
fn files_that_the_compiler_accepts_parse_clean() {
    let mut accepted = 0;
    for path in files(&here().join("../../testdata"), "egress") {
        let text = fs::read_to_string(&path).unwrap();
        if egress_lang::parse(&text).errors.is_empty() {
            let found = errors(&parse(&text));
            assert!(found.is_empty(), "{}: {found:?}", path.display());
            accepted += 1;
        }
    }
    assert!(accepted > 40, "only {accepted} files were accepted");
}

#[test]
fn broken_files_have_errors() {
    // What is wrong with the others is their values, which the grammar does not judge, or that something is there twice.
    let names = [
        "assertions",
        "characters",
        "commas",
        "except",
        "guardrail",
        "missing",
        "selectors",
        "stray",
        "strings",
        "unclosed",
    ];
    for name in names {
        let path = here().join(format!("../../testdata/syntax/err/{name}.egress"));
        let tree = parse(&fs::read_to_string(&path).unwrap());
        assert!(!errors(&tree).is_empty(), "{} has no error", path.display());
    }
}

#[test]
fn an_error_does_not_hide_what_follows() {
    let text = "policy p {\n  for all\n  allow 10.0.0.0/8 onn 443/tcp\n  deny world\n}\n\nworkloads a = pods(app=x)\n";
    let tree = parse(text);
    assert!(tree.root_node().has_error());
    let written = tree.root_node().to_sexp();
    assert!(written.contains("(deny ") && written.contains("(workloads name: (name)"), "{written}");
}

#[test]
fn random_policies_parse_clean() {
    for seed in 0..24 {
        let mut shape = PolicyShape::of(20 + 15 * usize::try_from(seed).unwrap());
        shape.hosts = seed % 2 == 0;
        shape.gateways = usize::try_from(seed % 4).unwrap();
        shape.address_workloads = seed % 3 == 0;
        shape.clean = seed % 5 != 0;
        let text = generate(seed, &shape);
        assert_eq!(egress_lang::parse(&text).errors, [], "seed {seed}");
        let tree = parse(&text);
        assert!(errors(&tree).is_empty(), "seed {seed}: {:?}", errors(&tree));
        let rules = text.lines().filter(|line| line.trim_start().starts_with(['a', 'd'])).count();
        assert!(tree.root_node().named_child_count() > 0 && rules > 0, "seed {seed} says nothing");
    }
}
