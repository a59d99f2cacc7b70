//! Assertions and coverage: each form by example, and all of it against every flow that a small program can tell apart.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod brute;
mod forms;
mod large;
mod pins;
mod random;

use egress_compiler::{Input, MemoryFiles, Options, SourceText, compile};
use egress_ir::Program;

/// The program that a text means.
fn program(text: &str) -> Program {
    let source = SourceText { path: "test.egress".into(), bytes: text.as_bytes().to_vec() };
    let input = Input { sources: vec![source], root: ".".into() };
    let compiled = compile(input, &MemoryFiles::default(), &Options::default());
    compiled.program.unwrap_or_else(|| panic!("{:#?}", compiled.diagnostics))
}
