//! `egress-agent names status`: what the agent that learns knows, and why. It tells on a socket in the state folder.

use super::shared::Shared;
use crate::disk;
use crate::failure::{Failure, Outcome};
use crate::terminal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The options of `names status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,

    /// The folder of the agent's own state
    #[arg(long, value_name = "DIR", default_value = "/var/lib/egressc")]
    state: PathBuf,
}

/// All that is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    process: u32,
    patterns: usize,
    /// The most pairs that there may be.
    most: usize,
    counts: BTreeMap<String, u64>,
    known: Vec<Pair>,
}

/// A pair that the kernel knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pair {
    pattern: String,
    client: IpAddr,
    address: IpAddr,
    /// By which it was learned, the latest last; none if only the kernel knew it when the agent began.
    names: Vec<String>,
    seconds: u64,
    learned: u64,
    extended: u64,
}

fn path(state: &Path) -> PathBuf {
    state.join("names.sock")
}

/// Opens the socket, in place of that of an agent that is gone: the lock says that there is no other.
pub(super) fn open(state: &Path) -> Result<UnixListener, Failure> {
    let path = path(state);
    disk::remove(&path)?;
    let fails = |error: io::Error| disk::cannot("make", &path, &error);
    let listener = UnixListener::bind(&path).map_err(fails)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(fails)?;
    Ok(listener)
}

pub(super) fn remove(state: &Path) {
    // What stays is taken away by the next agent.
    let _stays = disk::remove(&path(state));
}

/// Tells everyone who connects.
pub(super) fn serve(shared: &Shared, listener: &UnixListener) -> io::Result<()> {
    loop {
        let Ok((mut stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        let told = tell(shared);
        // Who does not read must not keep others waiting.
        stream.set_write_timeout(Some(Duration::from_secs(2)))?;
        let _gone = stream.write_all(&serde_json::to_vec(&told)?);
    }
}

fn tell(shared: &Shared) -> Told {
    let now = shared.now();
    let mut learner = shared.learner();
    let counts = learner.counts().iter().map(|(reason, count)| (reason.words().to_owned(), count)).collect();
    let pairs = learner.memory().iter().filter(|(_, known)| known.ends > now);
    let pair = |(element, known): (&egress_agent::learning::Element, &egress_agent::learning::Known)| Pair {
        pattern: learner.policy().host(element.host).unwrap_or_default().to_owned(),
        client: element.client,
        address: element.to,
        names: known.names.clone(),
        seconds: known.ends.saturating_sub(now).div_ceil(1000),
        learned: known.times,
        extended: known.extended,
    };
    Told {
        process: std::process::id(),
        patterns: learner.policy().hosts().len(),
        most: learner.memory().limits().most,
        known: pairs.map(pair).collect(),
        counts,
    }
}

/// Prints what the agent tells.
pub(super) fn run(options: &Status) -> Result<Outcome, Failure> {
    let told = ask(&options.state)?;
    let text = if options.json {
        let json = serde_json::to_string_pretty(&told);
        json.map_err(|error| Failure::new(format!("the status cannot be written: {error}")))? + "\n"
    } else {
        text(&told)
    };
    terminal::print(text.as_bytes())?;
    Ok(Outcome::Done)
}

fn ask(state: &Path) -> Result<Told, Failure> {
    let path = path(state);
    let mut stream = match UnixStream::connect(&path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Err(Failure::new("nobody learns names here")
                .help("run `egress-agent names`; what the kernel still knows, `nft list table inet egressc` says"));
        }
        connected => connected.map_err(|error| disk::cannot("read", &path, &error))?,
    };
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(|error| disk::cannot("read", &path, &error))?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::new(format!("the agent's answer is damaged: {error}")))
}

/// Lines for people.
fn text(told: &Told) -> String {
    let mut out = format!(
        "{} addresses by {} patterns, at most {} (process {})\n",
        told.known.len(),
        told.patterns,
        told.most,
        told.process
    );
    for pair in &told.known {
        let names =
            if pair.names.is_empty() { "a name before the agent began".to_owned() } else { pair.names.join(", ") };
        let _ = writeln!(out, "  {} → {} ({}): {names}; {} s", pair.client, pair.address, pair.pattern, pair.seconds);
    }
    out.push_str("counted\n");
    for (what, count) in &told.counts {
        let _ = writeln!(out, "  {what}: {count}");
    }
    out
}
