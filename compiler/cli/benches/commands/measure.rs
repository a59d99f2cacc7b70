//! Processor time and memory of one process, whatever else the machine does.
//!
//! In: a program and its arguments. Out: what the kernel charged it with. The process is started by a copy of this
//! program which starts nothing else: the kernel reports the largest child that a process ever had, and it counts the
//! memory of whoever called `exec`, so a large parent would be measured in place of a small child.

use crate::support::Outcome;
use egress_testkit::lab::Namespace;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::env;
use std::process::{Command, Output, Stdio};

/// The first argument of the copy that starts one process.
pub(crate) const AS_PARENT: &str = "--parent-of";

/// What a process used, its own children included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// Seconds of processor time, in user space and in the kernel.
    pub(crate) cpu: f64,
    /// The most memory it had resident, in bytes.
    pub(crate) peak: f64,
}

/// Runs a program that must end with one of these exit codes.
///
/// # Errors
/// It cannot be started, or ends otherwise.
pub(crate) fn run(program: &str, arguments: &[&str], codes: &[i32]) -> Outcome<Usage> {
    let output = Command::new(env::current_exe()?).arg(AS_PARENT).arg(program).args(arguments).output()?;
    understood(program, &output, codes)
}

/// The same inside a network namespace; the program must succeed.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_in(namespace: &Namespace, program: &str, arguments: &[&str]) -> Outcome<Usage> {
    let this = env::current_exe()?;
    let this = this.to_str().ok_or("the path of this program is not UTF-8")?;
    let arguments: Vec<&str> = [AS_PARENT, program].into_iter().chain(arguments.iter().copied()).collect();
    understood(program, &namespace.command(this, &arguments, "")?, &[0])
}

/// The run of median processor time.
///
/// # Errors
/// The first error of a run.
pub(crate) fn median(rounds: usize, mut run: impl FnMut() -> Outcome<Usage>) -> Outcome<Usage> {
    let mut runs = (0..rounds).map(|_| run()).collect::<Outcome<Vec<Usage>>>()?;
    runs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    runs.get(rounds / 2).copied().ok_or_else(|| "no rounds".into())
}

/// The middle one of some figures.
pub(crate) fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What the copy does: starts the process, waits, prints microseconds, kibibytes and the exit code.
///
/// # Errors
/// The process cannot be started.
pub(crate) fn be_parent(arguments: &[String]) -> Outcome<String> {
    let (program, arguments) = arguments.split_first().ok_or("no program")?;
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(format!("{micros} {} {}", usage.max_rss(), status.code().unwrap_or(-1)))
}

fn understood(program: &str, output: &Output, codes: &[i32]) -> Outcome<Usage> {
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<i32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers.as_slice() {
        [micros, kibibytes, code] if codes.contains(code) => {
            Ok(Usage { cpu: f64::from(*micros) / 1e6, peak: f64::from(*kibibytes) * 1024.0 })
        }
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said: Vec<&str> = said.lines().take(12).collect();
            Err(format!("`{program}` failed ({}): {}", text.trim(), said.join("\n")).into())
        }
    }
}
