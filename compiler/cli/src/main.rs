//! The `egressc` command: reads the arguments, runs one verb, ends with its exit code.
//!
//! In: the command line, files, standard input, the clock. Out: text and exit code. All decisions are taken in the
//! libraries; nothing but this package (and the node agent) touches files, clocks or the terminal.

mod arguments;
mod artifact;
mod check;
mod clock;
mod codes;
mod compile;
mod completions;
mod diagnose;
mod diff;
mod disk;
mod exit;
mod explain;
mod fmt;
mod lint;
mod lsp;
mod man;
mod nft;
mod progress;
mod prove;
mod render;
mod snapshot;
mod terminal;
mod unit;
mod verify;
mod write;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    let colour = arguments.color;
    let outcome = match arguments.verb {
        arguments::Verb::Check(check) => check::run(&check, colour),
        arguments::Verb::Explain(explain) => explain::run(&explain, colour),
        arguments::Verb::Compile(compile) => compile::run(&compile, colour),
        arguments::Verb::Verify(verify) => verify::run(&verify, colour),
        arguments::Verb::Diff(diff) => diff::run(&diff, colour),
        arguments::Verb::Lint(lint) => lint::run(&lint, colour),
        arguments::Verb::Lsp(lsp) => lsp::run(&lsp),
        arguments::Verb::Snapshot(snapshot) => snapshot::run(&snapshot),
        arguments::Verb::Fmt(fmt) => fmt::run(&fmt, colour),
        arguments::Verb::Completions(completions) => completions::run(&completions),
        arguments::Verb::Man(man) => man::run(&man),
    };
    outcome.unwrap_or_else(|failure| failure.report()).into()
}
