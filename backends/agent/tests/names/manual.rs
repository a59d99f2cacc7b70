//! The manual's table of guarantees: each row names the tests that stand behind it.

use std::collections::BTreeSet;

const SOURCES: [&str; 7] = [
    include_str!("holding.rs"),
    include_str!("lives.rs"),
    include_str!("poison.rs"),
    include_str!("programs.rs"),
    include_str!("refusals.rs"),
    include_str!("views.rs"),
    include_str!("watching.rs"),
];

#[test]
fn every_row_of_the_manual_is_a_test() {
    let manual = include_str!("../../../../docs/names.md");
    let rows = manual.lines().filter(|line| line.starts_with("| ") && line.contains("`names/"));
    let mut named = BTreeSet::new();
    for row in rows {
        for name in row.split('`').filter_map(|word| word.strip_prefix("names/")) {
            let begins = format!("fn {name}()");
            assert!(SOURCES.iter().any(|source| source.contains(&begins)), "no test is called {name}: {row}");
            named.insert(name.to_owned());
        }
    }
    let all: BTreeSet<String> = SOURCES
        .iter()
        .flat_map(|source| source.split("#[test]\nfn ").skip(1))
        .filter_map(|rest| rest.split_once('('))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert!(!all.is_empty());
    assert_eq!(named, all, "left: the manual; right: the tests");
}
