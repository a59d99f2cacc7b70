//! Runs `nft`. In: arguments, and what it reads. Out: what it says, or why it failed, in its own words.

use crate::failure::Failure;
use std::io::Write;
use std::process::{Command, Stdio};

/// Runs it with some input; `help` is what to do when that fails.
pub(crate) fn nft(arguments: &[&str], input: &str, help: &str) -> Result<String, Failure> {
    let fails = |why: &str| Failure::new(format!("`nft {}`: {why}", arguments.join(" "))).help(help);
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| fails(&error.to_string()))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that stops reading says why on its standard error.
        let _written = pipe.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| fails(&error.to_string()))?;
    if !output.status.success() {
        return Err(fails(String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
