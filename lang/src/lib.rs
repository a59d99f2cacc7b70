//! Text to tree and back: lexer, grammar, tree, formatter, syntax errors.
//!
//! In: the text of one `.egress` file. Out: its tree with every syntax error found, or the
//! same program in canonical style. Knows nothing of other files, of meaning, or of the
//! world outside the text it is handed.

pub mod ast;
pub mod span;
pub mod value;

/// How deep parentheses may nest in a set expression.
pub const MAX_NESTING: usize = 64;
