//! How a command ends: exit codes, and failures with what to do about them.
//!
//! In: what went wrong. Out: lines on standard error and an exit code.

use crate::terminal;
use egress_agent::kernel::KernelError;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was done: exit code 0.
    Done,
    /// Something was found to be wrong: exit code 1.
    Found,
    /// The command line, an input or the system could not be used: exit code 2.
    Unusable,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Found => 1,
            Outcome::Unusable => 2,
        })
    }
}

/// Why a command did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// What went wrong: lower case, no final period, the user's text in back-ticks.
    message: String,
    /// What to do about it.
    help: Option<String>,
    outcome: Outcome,
}

impl Failure {
    /// A usage, input or system error.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, outcome: Outcome::Unusable }
    }

    /// Something that was found to be wrong with what was asked for.
    pub(crate) fn found(message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Found, ..Self::new(message) }
    }

    /// With advice.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With more that went wrong, when the way back failed too.
    pub(crate) fn and(mut self, undone: Result<(), Self>) -> Self {
        if let Err(more) = undone {
            self.message = format!("{}; and then: {}", self.message, more.message);
        }
        self
    }

    /// Says it on standard error.
    pub(crate) fn report(&self) -> Outcome {
        let help = self.help.as_ref().map(|help| format!("\n  help: {help}")).unwrap_or_default();
        terminal::complain(&format!("egress-agent: {}{help}\n", self.message));
        self.outcome
    }
}

impl From<KernelError> for Failure {
    /// What stands behind the first semicolon of the kernel module's messages is advice; it gets a line of its own.
    fn from(error: KernelError) -> Self {
        let text = error.to_string();
        match (&error, text.split_once("; ")) {
            (KernelError::Kernel { .. } | KernelError::Refused { .. }, _) | (_, None) => Self::new(text),
            (_, Some((message, help))) => Self::new(message).help(help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_of_the_kernel_module_becomes_help() {
        let failure = Failure::from(KernelError::NoBpffs { path: "/x".into() });
        assert_eq!(failure.to_string(), "`/x` is not a BPF file system");
        assert_eq!(failure.help.as_deref(), Some("mount one with `mount -t bpf bpf /x`"));
        let failure = Failure::new("a").and(Err(Failure::new("b")));
        assert_eq!(failure.to_string(), "a; and then: b");
    }
}
