//! The editor: how long people wait while they type, measured at the built command.
//!
//! In: `cargo bench --package egressc --bench editor [-- RULES]`, and the typing sessions of `testdata/typing`. Out: a
//! table of waits by the clock on the wall, as people feel them, and of memory; `docs/benchmarks.md` says what every line
//! means. Ends with an error when something does not work, and never because something is slow.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a table is what this program is for")]

mod client;
mod sessions;
mod workspace;

use client::Client;
use sessions::{Session, recorded};
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use workspace::Workspace;

/// What goes wrong in a bench ends it with a sentence.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// How many rules the workspace has unless the command line says otherwise.
const RULES: usize = 10_000;
/// How many rules are edited to see findings come and go.
const EDITS: usize = 30;

fn main() -> ExitCode {
    // `cargo test` runs benches without `--bench`: then there is nothing to do.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let rules = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(RULES);
    match measure(rules) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(rules: usize) -> Outcome<()> {
    let sessions = recorded()?;
    let keys: usize = sessions.iter().map(Session::keys).sum();
    println!("{rules} rules; {} sessions of {keys} edits; {EDITS} rules doubled and mended", sessions.len());
    for (shape, workspace) in [("50 files", Workspace::split(rules, 50)?), ("one file", Workspace::split(rules, 1)?)] {
        let mut client = Client::start(&workspace)?;
        line(shape, "start to first diagnostics", "1.5 s", &mut [client.wait_for_first_diagnostics()?]);
        client.wait_for_findings()?;
        let mut waits = Vec::new();
        for session in &sessions {
            waits.extend(session.play(&workspace, &mut client)?);
        }
        line(shape, "syntax and names after an edit", "30 ms", &mut waits);
        let mut found = Vec::new();
        for number in 0..EDITS {
            found.extend(workspace.double_a_rule(number, EDITS, &mut client)?);
        }
        line(shape, "findings after an edit of one rule", "300 ms", &mut found);
        println!("{shape:9}  {:36}  {:>8.0} MiB  (goal 500 MiB)", "most memory", client.peak()?);
        client.end()?;
    }
    Ok(())
}

/// One line: the middle, the 95th percentile and the longest of some waits.
fn line(shape: &str, what: &str, goal: &str, waits: &mut [Duration]) {
    waits.sort_unstable();
    let at = |share: usize| waits.get((waits.len().saturating_sub(1)) * share / 100).copied().unwrap_or_default();
    let milliseconds = |wait: Duration| wait.as_secs_f64() * 1e3;
    println!(
        "{shape:9}  {what:36}  {:>8.1} ms middle  {:>8.1} ms p95 (goal {goal})  {:>8.1} ms longest  n={}",
        milliseconds(at(50)),
        milliseconds(at(95)),
        milliseconds(at(100)),
        waits.len(),
    );
}
