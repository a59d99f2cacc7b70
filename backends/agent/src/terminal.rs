//! The terminal: writes text to standard output and standard error. A reader that goes away is no error.

use crate::failure::Failure;
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};

/// Writes to standard output; false when nobody reads it any more.
pub(crate) fn print(bytes: &[u8]) -> Result<bool, Failure> {
    let mut out = stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(format!("standard output cannot be written: {error}"))),
    }
}

/// Writes to standard error; if even that fails, nobody is left to tell.
pub(crate) fn complain(text: &str) {
    let mut out = stderr().lock();
    let _nobody_is_left_to_tell = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Says something that is no failure.
pub(crate) fn note(text: &str) {
    complain(&format!("egress-agent: {text}\n"));
}

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    stdout().is_terminal()
}
