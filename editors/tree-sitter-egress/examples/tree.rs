//! Prints the trees of files, as the corpus writes them.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut parser = tree_sitter::Parser::new();
    if parser.set_language(&tree_sitter_egress::LANGUAGE.into()).is_err() {
        return ExitCode::FAILURE;
    }
    for path in std::env::args().skip(1) {
        match std::fs::read_to_string(&path).map(|text| parser.parse(&text, None)) {
            Ok(Some(tree)) => println!("{}", tree.root_node().to_sexp()),
            other => eprintln!("{path}: {other:?}"),
        }
    }
    ExitCode::SUCCESS
}
