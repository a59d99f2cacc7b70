//! The corpus: texts with the trees that they are, in the form that `tree-sitter test` reads.
//!
//! With `UPDATE=1` the trees are written anew; what changed is then read as a reviewer reads.

use crate::support::{files, here, parse};
use std::fmt::Write;
use std::fs;
use tree_sitter::Node;

struct Case {
    name: String,
    /// Whether it says `:error`: the text is broken, and the tree shows how much of it is still understood.
    error: bool,
    text: String,
    tree: String,
}

#[test]
fn every_case_is_the_tree_beside_it() {
    let mut cases = 0;
    for path in files(&here().join("test/corpus"), "txt") {
        let written = fs::read_to_string(&path).unwrap();
        let mut made = String::new();
        for case in read(&written) {
            let tree = parse(&case.text);
            assert_eq!(tree.root_node().has_error(), case.error, "{}: {}", path.display(), tree.root_node());
            write_case(&mut made, &case, tree.root_node());
            if std::env::var_os("UPDATE").is_none() {
                let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
                assert_eq!(words(&pretty(tree.root_node())), words(&case.tree), "{}: {}", path.display(), case.name);
            }
            cases += 1;
        }
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, made).unwrap();
        }
    }
    assert!(cases >= 30, "only {cases} cases");
}

fn read(written: &str) -> Vec<Case> {
    let rule = "=".repeat(80);
    let mut parts = written.split(rule.as_str());
    assert_eq!(parts.next(), Some(""), "a file of the corpus starts with a rule of 80 `=`");
    let mut cases = Vec::new();
    while let (Some(head), Some(body)) = (parts.next(), parts.next()) {
        let mut lines = head.trim().lines();
        let name = lines.next().unwrap().to_owned();
        let (text, tree) = body.split_once(&format!("\n{}\n", "-".repeat(80))).unwrap();
        let text = text.trim_matches('\n').to_owned() + "\n";
        cases.push(Case { name, error: lines.any(|line| line == ":error"), text, tree: tree.trim().to_owned() });
    }
    cases
}

fn write_case(out: &mut String, case: &Case, root: Node<'_>) {
    let (rule, line) = ("=".repeat(80), "-".repeat(80));
    let mark = if case.error { "\n:error" } else { "" };
    write!(out, "{rule}\n{}{mark}\n{rule}\n\n{}\n{line}\n\n{}\n\n", case.name, case.text, pretty(root)).unwrap();
}

/// The named nodes of a tree, one a line.
fn pretty(root: Node<'_>) -> String {
    let mut out = String::new();
    print(root, None, 0, &mut out);
    out.trim().to_owned()
}

fn print(node: Node<'_>, field: Option<&str>, depth: usize, out: &mut String) {
    let name = field.map(|field| format!("{field}: ")).unwrap_or_default();
    let kind = if node.is_missing() { format!("MISSING {}", node.kind()) } else { node.kind().to_owned() };
    write!(out, "\n{}{name}({kind}", "  ".repeat(depth)).unwrap();
    let mut cursor = node.walk();
    let mut more = cursor.goto_first_child();
    while more {
        let child = cursor.node();
        if child.is_named() || child.is_missing() {
            print(child, cursor.field_name(), depth + 1, out);
        }
        more = cursor.goto_next_sibling();
    }
    out.push(')');
}
