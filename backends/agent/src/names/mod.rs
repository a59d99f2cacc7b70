//! `egress-agent names`: the kernel comes to know names from the DNS answers that this node's workloads get.
//!
//! In: a policy's names, DNS messages that it forwards or watches. Out: elements of the kernel's sets, what it knows on a
//! socket in the state folder. What is learned, and why, is [`egress_agent::learning`]'s matter; here are sockets, threads
//! and the clock.
//!
//! Never: answering by itself, changing an answer, or keeping what the kernel forgets. When this program ends, however it
//! ends, what it learned ends by itself.

mod datagrams;
mod fellow;
mod load;
mod log;
mod options;
mod rules;
mod serve;
mod shared;
mod status;
mod streams;
mod watch;

pub(crate) use options::{Learning, Names};

use crate::failure::{Failure, Outcome};
use crate::terminal;
use options::{Print, What};

/// Runs it.
pub(crate) fn run(options: &Names) -> Result<Outcome, Failure> {
    match (&options.what, options.print) {
        (Some(What::Load(load)), _) => load::run(load),
        (Some(What::Status(status)), _) => status::run(status),
        (None, Some(Print::Rules)) => {
            terminal::print(rules::text(options)?.as_bytes())?;
            Ok(Outcome::Done)
        }
        (None, None) => serve::run(options),
    }
}
