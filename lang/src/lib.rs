//! Text to tree and back: lexer, grammar, tree, formatter, syntax errors.
