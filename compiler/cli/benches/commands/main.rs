//! Whole commands, loads and packets, measured side by side in one run.
//!
//! In: `cargo bench --package egressc --bench commands [-- SECTION…]`. Out: a table of processor times, memory and
//! ratios, each with the goal it is held against; `docs/benchmarks.md` says what every line means. Ends with an error
//! when something does not work, and never because something is slow.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a table is what this program is for")]

mod linear;
mod load;
mod measure;
mod packets;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod verbs;

use std::process::ExitCode;
use support::Outcome;

/// A part of the table.
type Section = (&'static str, fn() -> Outcome<()>);

/// The parts in the order in which they run.
const SECTIONS: [Section; 5] = [
    ("check", verbs::check),
    ("compile", verbs::compile),
    ("fmt", verbs::fmt),
    ("load", load::measure),
    ("packets", packets::measure),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == measure::AS_PARENT) {
        println!("{}", measure::be_parent(arguments.get(1..).unwrap_or_default())?);
        return Ok(());
    }
    // Cargo says `--bench` to every bench, and `cargo test` says nothing: then there is nothing to do.
    let benching = arguments.iter().any(|argument| argument == "--bench");
    arguments.retain(|argument| argument != "--bench");
    let known = |name: &String| SECTIONS.iter().any(|(section, _)| section == name);
    if let Some(unknown) = arguments.iter().find(|name| !known(name)) {
        let names = SECTIONS.map(|(name, _)| name).join(", ");
        return Err(format!("there is no section `{unknown}`, only {names}").into());
    }
    let chosen = |name: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == name);
    SECTIONS.iter().filter(|(name, _)| benching && chosen(name)).try_for_each(|(_, section)| section())
}
