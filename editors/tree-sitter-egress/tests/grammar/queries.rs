//! The queries: they fit the language, and colour a sample as the snapshot shows.

use crate::support::{files, here, parse};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use tree_sitter::{Language, Query, QueryCursor, StreamingIterator};

fn language() -> Language {
    tree_sitter_egress::LANGUAGE.into()
}

#[test]
fn every_query_fits_the_language() {
    let queries = files(&here().join("queries"), "scm");
    assert_eq!(queries.len(), 5);
    for path in queries {
        let text = fs::read_to_string(&path).unwrap();
        let query = Query::new(&language(), &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(query.pattern_count() > 0, "{} asks nothing", path.display());
    }
}

#[test]
fn a_sample_is_coloured() {
    let text = fs::read_to_string(here().join("tests/grammar/sample.egress")).unwrap();
    let settings = {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(here().join("tests/grammar"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings
    };
    settings.bind(|| insta::assert_snapshot!("sample", coloured(&text)));
}

/// Every file that the compiler accepts has a colour on each of its words.
#[test]
fn nothing_is_left_without_a_colour() {
    let mut bare = Vec::new();
    for path in files(&here().join("../../testdata"), "egress") {
        let text = fs::read_to_string(&path).unwrap();
        if !egress_lang::parse(&text).errors.is_empty() {
            continue;
        }
        let mut covered = vec![false; text.len()];
        for ((start, end), _) in captures(&text) {
            covered.iter_mut().take(end).skip(start).for_each(|byte| *byte = true);
        }
        let wrong = text.bytes().zip(&covered).position(|(byte, covered)| !byte.is_ascii_whitespace() && !covered);
        bare.extend(wrong.map(|at| format!("{}: {}", path.display(), text.get(at..).unwrap_or_default())));
    }
    assert!(bare.is_empty(), "{bare:#?}");
}

/// The colour of each piece of text that has one. No piece may have two: editors differ in which would win.
fn captures(text: &str) -> BTreeMap<(usize, usize), String> {
    let query = Query::new(&language(), tree_sitter_egress::HIGHLIGHTS_QUERY).unwrap();
    let tree = parse(text);
    let mut cursor = QueryCursor::new();
    let mut matches = cursor.matches(&query, tree.root_node(), text.as_bytes());
    let mut found = BTreeMap::new();
    while let Some(matched) = matches.next() {
        for capture in matched.captures() {
            let name = *query.capture_names().get(usize::try_from(capture.index).unwrap()).unwrap();
            let range = (capture.node.start_byte(), capture.node.end_byte());
            let other = found.insert(range, name.to_owned());
            assert_eq!(other, None, "{name} is not the only colour of `{}`", text.get(range.0..range.1).unwrap());
        }
    }
    found
}

/// Each line, and below it what is coloured in it.
fn coloured(text: &str) -> String {
    let captures = captures(text);
    let (mut out, mut offset) = (String::new(), 0);
    for line in text.lines() {
        writeln!(out, "{line}").unwrap();
        for ((start, end), colour) in captures.range((offset, 0)..(offset + line.len() + 1, 0)) {
            writeln!(out, "  {}  {colour}", text.get(*start..*end).unwrap()).unwrap();
        }
        offset += line.len() + 1;
    }
    out
}
