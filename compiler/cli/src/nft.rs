//! nft: has it check a ruleset without loading it, and list what the kernel holds.
//!
//! In: the bytes of an artifact, or nothing. Out: what nft says, or why it was not asked. Nothing is changed: `nft -c`
//! loads nothing, and it runs in a network namespace of its own wherever one can be made, so that neither it nor the
//! machine's rules can meet; listing only reads.

use crate::exit::Failure;
use crate::progress;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What became of the dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DryRun {
    /// nft and the kernel took the ruleset; the text says which nft and where.
    Passed(String),
    /// nft was not asked, and why.
    NotDone(String),
    /// nft refused the ruleset, and what it said.
    Refused(String),
}

/// The ways to run nft, the best first: with what, and where that is.
const WAYS: [(&[&str], &str); 3] = [
    (&["unshare", "-n"], "in a network namespace of its own"),
    (&["unshare", "-rn"], "in user and network namespaces of its own"),
    (&[], "against this machine's network namespace, changing nothing"),
];

/// Asks nft.
pub(crate) fn dry_run(ruleset: &[u8]) -> DryRun {
    let Some(nft) = located("nft") else {
        return DryRun::NotDone("there is no `nft` on this machine".into());
    };
    let version = version(&nft);
    let mut reason = "no way to run it was found".to_owned();
    for (prefix, place) in WAYS {
        let Some(command) = command(prefix, &nft) else { continue };
        match progress::during("nft checks the ruleset", || run(command, ruleset)) {
            Ok(output) if output.status.success() => return DryRun::Passed(format!("{version} {place}")),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                if !is_about_privilege(&said) {
                    return DryRun::Refused(first_lines(&said));
                }
                reason = format!("it may not run here: {}", said.lines().next().unwrap_or("no reason given"));
            }
            Err(error) => reason = format!("it cannot be run: {error}"),
        }
    }
    DryRun::NotDone(reason)
}

/// What the kernel of this machine holds, in this network namespace: JSON, see libnftables-json(5).
///
/// # Errors
/// There is no nft, or it may not ask.
pub(crate) fn list_ruleset() -> Result<Vec<u8>, Failure> {
    let cannot = |why: String| {
        Failure::new(format!("what the kernel holds cannot be listed: {why}"))
            .help("run it as root on the host, or give the output of `nft -j list ruleset` to `--artifact`")
    };
    let nft = located("nft").ok_or_else(|| cannot("there is no `nft` on this machine".into()))?;
    let output = Command::new(nft)
        .args(["-j", "list", "ruleset"])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| cannot(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(output.stdout) } else { Err(cannot(first_lines(&said))) }
}

/// Whether the message is about what this process may do, and not about the ruleset.
fn is_about_privilege(said: &str) -> bool {
    let signs = ["unshare:", "Operation not permitted", "Permission denied", "Message too long"];
    signs.iter().any(|sign| said.contains(sign))
}

fn command(prefix: &[&str], nft: &Path) -> Option<Command> {
    let mut command = match prefix.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(located(program)?);
            command.args(arguments).arg(nft);
            command
        }
        None => Command::new(nft),
    };
    command.args(["-c", "-f", "-"]).env("LC_ALL", "C");
    Some(command)
}

fn run(mut command: Command, input: &[u8]) -> std::io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        // A program that stops reading ends with a message of its own, which says more than the broken pipe.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        child.wait_with_output()
    })
}

/// Where a program is; system folders count even where a user's `PATH` leaves them out.
fn located(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn version(nft: &Path) -> String {
    let output = Command::new(nft).arg("--version").stdin(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let mut words = text.split_whitespace().skip(1);
    words.next().map_or_else(|| "nft".to_owned(), |version| format!("nft {}", version.trim_start_matches('v')))
}

fn first_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().take(6).map(str::trim_end).collect();
    if lines.is_empty() { "it gave no reason".to_owned() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_rulesets_are_refused_and_right_ones_pass() {
        if located("nft").is_none() {
            eprintln!("SKIPPED: nft is not installed");
            return;
        }
        let right = dry_run(b"table inet egressc {\n\tchain c {\n\t}\n}\n");
        if let DryRun::NotDone(why) = &right {
            eprintln!("SKIPPED: {why}");
            return;
        }
        assert!(matches!(right, DryRun::Passed(_)), "{right:?}");
        let wrong = dry_run(b"table inet egressc { chain c { nonsense } }\n");
        assert!(matches!(&wrong, DryRun::Refused(said) if said.contains("nonsense")), "{wrong:?}");
    }

    #[test]
    fn what_this_process_may_not_do_is_no_verdict() {
        assert!(is_about_privilege("unshare: unshare failed: Operation not permitted"));
        assert!(is_about_privilege("Error: Could not process rule: Operation not permitted (you must be root)"));
        assert!(!is_about_privilege("Error: syntax error, unexpected string"));
    }
}
