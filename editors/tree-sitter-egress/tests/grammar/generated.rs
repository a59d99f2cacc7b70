//! What is committed in `src/` is what the grammar generates; `./dev tree-sitter` writes it anew.

use crate::support::here;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tree_sitter_generate::{OptLevel, generate_parser_in_directory};

/// As in `examples/generate.rs`.
const ABI: usize = 14;

/// Generates from a grammar in a copy of the folder; the folder that holds its `src`.
fn generate(grammar: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("src")).unwrap();
    for file in ["tree-sitter.json", "package.json", "grammar.js", "src/grammar.json"] {
        fs::copy(here().join(file), copy.path().join(file)).unwrap();
    }
    let made = generate_parser_in_directory(
        copy.path(),
        None::<PathBuf>,
        Some(copy.path().join(grammar)),
        ABI,
        None,
        Some("node"),
        true,
        OptLevel::default(),
        &mut Vec::new(),
    );
    made.unwrap_or_else(|error| panic!("{error}"));
    copy
}

fn assert_committed(made: &Path, file: &str) {
    let same = fs::read(here().join(file)).unwrap() == fs::read(made.join(file)).unwrap();
    assert!(same, "{file} is not what the grammar generates: run ./dev tree-sitter");
}

#[test]
fn the_parser_is_what_grammar_json_generates() {
    let made = generate("src/grammar.json");
    for file in ["src/parser.c", "src/node-types.json", "src/tree_sitter/parser.h"] {
        assert_committed(made.path(), file);
    }
}

#[test]
fn grammar_json_is_what_grammar_js_says() {
    if Command::new("node").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "node is missing");
        println!("SKIPPED: node is missing, so nothing can read grammar.js");
        return;
    }
    let made = generate("grammar.js");
    assert_committed(made.path(), "src/grammar.json");
}
