//! Text to tree and back: lexer, grammar, tree, formatter, syntax errors.
//!
//! In: the text of one `.egress` file. Out: its tree with every syntax error found, or the
//! same program in canonical style. Knows nothing of other files, of meaning, or of the
//! world outside the text it is handed.
//!
//! ```
//! let parse = egress_lang::parse("policy lockdown { for all }");
//! assert!(parse.errors.is_empty());
//! assert_eq!(parse.file.items.len(), 1);
//! ```

pub mod ast;
mod error;
mod format;
mod grammar;
mod lexer;
mod source;
pub mod span;
mod string;
pub mod suggest;
pub mod value;

pub use error::{SelectorProblem, SyntaxError};
pub use format::format;
pub use grammar::{Parse, parse};
pub use lexer::{Comment, Kind as TokenKind, Token, Trivia, is_word, tokens};
pub use source::source_text;

/// How deep parentheses may nest in a set expression.
pub const MAX_NESTING: usize = 64;

/// The largest file that is read, in bytes: 64 MiB. Offsets are `u32`.
pub const MAX_BYTES: usize = 64 << 20;
