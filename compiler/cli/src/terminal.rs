//! The terminal: writes text to standard output and standard error, and knows whether to colour it.
//!
//! A reader that goes away (a broken pipe) is no error. Never formats anything.

use crate::exit::Failure;
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};

/// When to colour output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colour {
    /// Whether standard output is to be coloured (<https://no-color.org>).
    pub(crate) fn on_stdout(self) -> bool {
        self.decide(stdout().is_terminal())
    }

    /// Whether standard error is to be coloured.
    pub(crate) fn on_stderr(self) -> bool {
        self.decide(stderr().is_terminal())
    }

    fn decide(self, is_terminal: bool) -> bool {
        let refused = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_terminal && !refused() && !dumb(),
        }
    }
}

/// Writes to standard output.
///
/// # Errors
/// Writing failed for another reason than a reader that went away.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// Writes bytes to standard output; see [`print`].
///
/// # Errors
/// As [`print`].
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes to standard error; if even that fails, nobody is left to tell.
pub(crate) fn complain(text: &str) {
    let mut out = stderr().lock();
    let _nobody_is_left_to_tell = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
