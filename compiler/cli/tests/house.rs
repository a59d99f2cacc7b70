//! The house: which package may know which, and how source files look.
#![expect(clippy::unwrap_used, reason = "a case that cannot be read must stop the test")]

#[cfg(test)]
mod support;

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use support::repository;

/// Which packages of the workspace each package is built with. All may use the testkit in tests.
const MAY_KNOW: [(&str, &[&str]); 11] = [
    ("egress-lang", &[]),
    ("egress-ir", &[]),
    ("egress-answers", &["egress-compiler", "egress-ir", "egress-lang", "egress-verifier"]),
    ("egress-compiler", &["egress-ir", "egress-lang"]),
    ("egress-lsp", &["egress-answers", "egress-compiler", "egress-ir", "egress-lang", "egress-verifier"]),
    ("egress-backends", &["egress-ir", "egress-snapshot"]),
    ("egress-agent", &["egress-ir", "egress-snapshot"]),
    ("egress-snapshot", &[]),
    (
        "egressc",
        &[
            "egress-answers",
            "egress-backends",
            "egress-compiler",
            "egress-ir",
            "egress-lang",
            "egress-lsp",
            "egress-snapshot",
            "egress-verifier",
        ],
    ),
    ("egress-testkit", &["egress-ir"]),
    ("egress-verifier", &["egress-ir"]),
];

/// What tests of a package may use besides: the testkit, and what is compared in them.
const TESTS_MAY_KNOW: [(&str, &[&str]); 5] = [
    ("egress-agent", &["egress-backends", "egress-compiler"]),
    ("egress-compiler", &["egress-testkit"]),
    ("egress-backends", &["egress-testkit", "egress-compiler"]),
    ("egress-testkit", &["egress-compiler", "egress-lang"]),
    ("egress-verifier", &["egress-testkit", "egress-compiler", "egress-backends", "egress-snapshot"]),
];

fn known(table: &[(&str, &[&str])], package: &str) -> BTreeSet<String> {
    let row = table.iter().find(|(name, _)| *name == package);
    row.map(|(_, known)| known.iter().map(|name| (*name).to_owned()).collect()).unwrap_or_default()
}

#[test]
fn packages_know_only_whom_they_may() {
    let metadata = MetadataCommand::new().manifest_path(repository().join("Cargo.toml")).no_deps().exec().unwrap();
    let ours: BTreeSet<String> = metadata.workspace_packages().iter().map(|p| p.name.to_string()).collect();
    let listed: BTreeSet<String> = MAY_KNOW.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(ours, listed, "the table lists every package of the workspace");
    for package in metadata.workspace_packages() {
        let of = |tests: bool| {
            let kind = move |d: &&cargo_metadata::Dependency| (d.kind == DependencyKind::Development) == tests;
            let names = package.dependencies.iter().filter(kind).map(|d| d.name.clone());
            names.filter(|name| ours.contains(name)).collect::<BTreeSet<String>>()
        };
        let name = package.name.as_str();
        assert_eq!(of(false), known(&MAY_KNOW, name), "{name} knows others than the table says");
        let in_tests: BTreeSet<String> = of(true).difference(&of(false)).cloned().collect();
        let allowed: BTreeSet<String> =
            known(&TESTS_MAY_KNOW, name).into_iter().chain(["egress-testkit".to_owned()]).collect();
        assert!(in_tests.is_subset(&allowed), "tests of {name} know {in_tests:?}, and may know {allowed:?}");
    }
}

#[test]
fn pure_packages_never_touch_the_world() {
    let words =
        ["std::fs", "std::env::", "std::process", "std::net::Tcp", "std::net::Udp", "SystemTime", "Instant::now"];
    let mut looked_at = 0;
    for folder in [
        "lang/src",
        "compiler/src",
        "compiler/answers/src",
        "compiler/lsp/src",
        "compiler/ir/src",
        "backends/src",
        "backends/snapshot/src",
        "verifier/src",
    ] {
        for file in rust_files(&repository().join(folder)) {
            let text = std::fs::read_to_string(&file).unwrap();
            // Tests may touch files; they stand at the end of a file, or in files of their own.
            let code = text.split("#[cfg(test)]").next().unwrap();
            if file.file_name().is_some_and(|name| name == "tests.rs") {
                continue;
            }
            looked_at += 1;
            for word in words {
                assert!(!code.contains(word), "{} uses `{word}`", file.display());
            }
        }
    }
    assert!(looked_at > 30, "only {looked_at} files were found");
}

#[test]
fn every_module_opens_with_its_page_and_none_is_too_long() {
    let files = rust_files(&repository());
    assert!(files.len() > 40, "only {} files were found", files.len());
    let mut wrong = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let opening = text.lines().find(|line| !line.is_empty() && !line.starts_with("#!"));
        if !opening.is_some_and(|line| line.starts_with("//!")) {
            wrong.insert(file.clone(), "does not open with `//!`".to_owned());
        }
        let lines = text.lines().count();
        if lines > 800 {
            wrong.insert(file, format!("has {lines} lines, more than 800"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn main_stays_under_sixty_lines() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs")).unwrap();
    assert!(text.lines().count() < 60);
}

/// Every `.rs` file of the repository below a folder, build output apart.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
