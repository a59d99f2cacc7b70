//! The egress language for tree-sitter, and the queries that editors ask its trees.
//!
//! In: nothing. Out: [`LANGUAGE`] for any tree-sitter runtime, and queries as text. Reads no file and knows no editor.

use tree_sitter_language::LanguageFn;

#[expect(unsafe_code, reason = "the generated parser is C")]
unsafe extern "C" {
    fn tree_sitter_egress() -> *const ();
}

/// The language, for `tree_sitter::Parser::set_language`.
#[expect(unsafe_code, reason = "the runtime cannot check what a parser's function returns")]
// SAFETY: `tree_sitter_egress` is the function that tree-sitter generated: it returns its one static language.
pub const LANGUAGE: LanguageFn = unsafe { LanguageFn::from_raw(tree_sitter_egress) };

/// The kinds of node, as JSON.
pub const NODE_TYPES: &str = include_str!("../../src/node-types.json");

/// What is coloured how.
pub const HIGHLIGHTS_QUERY: &str = include_str!("../../queries/highlights.scm");

/// What can be folded.
pub const FOLDS_QUERY: &str = include_str!("../../queries/folds.scm");

/// What indents the lines in it.
pub const INDENTS_QUERY: &str = include_str!("../../queries/indents.scm");

/// What declares a name, and what refers to one.
pub const LOCALS_QUERY: &str = include_str!("../../queries/locals.scm");
