//! The `egress-agent` command: brings snapshots into the kernel, and says what the kernel enforces.
//!
//! In: the command line, snapshots, the state folder. Out: what the kernel enforces, text and exit codes. It needs to run
//! only for as long as a verb takes: what it loaded stays enforced. Never reads policy, never decides a flow by itself.

mod arguments;
mod completions;
mod disk;
mod dump;
mod failure;
mod gateway;
mod generations;
mod load;
mod man;
mod names;
mod nft;
mod points;
mod rollback;
mod run;
mod state;
mod status;
mod terminal;
mod trace;
mod unload;
mod watch;
mod who;
mod words;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match arguments::Arguments::parse().verb {
        arguments::Verb::Load(options) => load::run(&options),
        arguments::Verb::Status(options) => status::run(&options),
        arguments::Verb::Dump(options) => dump::run(&options),
        arguments::Verb::Rollback(options) => rollback::run(&options),
        arguments::Verb::Unload(options) => unload::run(&options),
        arguments::Verb::Gateway(options) => gateway::run(&options),
        arguments::Verb::Names(options) => names::run(&options),
        arguments::Verb::Run(options) => run::run(&options),
        arguments::Verb::Watch(options) => watch::run(&options),
        arguments::Verb::Trace(options) => trace::run(&options),
        arguments::Verb::Completions(options) => completions::run(&options),
        arguments::Verb::Man(options) => man::run(&options),
    };
    outcome.unwrap_or_else(|failure| failure.report()).into()
}
