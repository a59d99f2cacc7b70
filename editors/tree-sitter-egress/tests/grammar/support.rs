//! What the tests share: the parser, the folders, the files.

use std::fs;
use std::path::{Path, PathBuf};
use tree_sitter::{Node, Parser, Tree};

/// The folder of the grammar.
pub(crate) fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The tree of `text`.
pub(crate) fn parse(text: &str) -> Tree {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_egress::LANGUAGE.into()).unwrap();
    parser.parse(text, None).unwrap()
}

/// The places of what the parser could not read, as `line:column tree`.
pub(crate) fn errors(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let mut nodes = vec![tree.root_node()];
    while let Some(node) = nodes.pop() {
        if node.is_error() || node.is_missing() {
            let at = node.start_position();
            found.push(format!("{}:{} {}", at.row + 1, at.column + 1, node.to_sexp()));
        }
        nodes.extend(children(node));
    }
    found
}

/// The children of a node, tokens included.
pub(crate) fn children(node: Node<'_>) -> Vec<Node<'_>> {
    node.children(&mut node.walk()).collect()
}

/// Every file below `folder` whose name ends in `ending`, sorted.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
