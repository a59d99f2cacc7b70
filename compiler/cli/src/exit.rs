//! How a command ends: the exit codes, and the failures that stop a command before it has an answer.
//!
//! In: what a verb found or what went wrong. Out: the process's exit code, and a line on standard error.

use crate::terminal;
use egress_answers::Refused;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything asked for holds or was done: exit code 0.
    Holds,
    /// There are findings: exit code 1.
    Findings,
    /// The command line or an input could not be used: exit code 2.
    Unusable,
    /// The answer is unknown, which is never success: exit code 3.
    Unknown,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Holds => 0,
            Outcome::Findings => 1,
            Outcome::Unusable => 2,
            Outcome::Unknown => 3,
        })
    }
}

/// Why a command has no answer: a usage or input error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// What went wrong: lower case, no final period, the user's text in back-ticks.
    message: String,
    /// What to do about it.
    help: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    /// With advice.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says it on standard error.
    pub(crate) fn report(&self) -> Outcome {
        let help = self.help.as_ref().map(|help| format!("\n  help: {help}")).unwrap_or_default();
        terminal::complain(&format!("egressc: {}{help}\n", self.message));
        Outcome::Unusable
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self { message: refused.message, help: refused.help }
    }
}
