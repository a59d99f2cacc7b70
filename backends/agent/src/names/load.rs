//! `egress-agent names load`: loads a policy's nftables file with what the kernel knows of names, in one transaction.
//!
//! In: a file, the kernel's sets. Out: one `nft -f -`. What the new policy does not let a client use, or has no set for, is
//! left behind.

use super::options::{names_of, policy_of};
use crate::disk;
use crate::failure::{Failure, Outcome};
use crate::nft::nft;
use crate::terminal;
use egress_agent::learning::nft::TABLE;
use egress_agent::learning::{Nftables, Policy, Present, Sink};
use egress_snapshot::names::set_name;
use std::fmt::Write as _;
use std::path::PathBuf;

/// The most elements that are taken along of one set.
const MOST: usize = 1_000_000;

/// The options of `names load`.
#[derive(Debug, clap::Args)]
pub(crate) struct Load {
    /// The file that `egressc compile --target nftables` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Loads it.
pub(super) fn run(options: &Load) -> Result<Outcome, Failure> {
    let mut text = disk::read_text(&options.file)?;
    let names = names_of(&options.file, &text)?;
    let policy = policy_of(&options.file, &names, Vec::new())?;
    let fails = |error: std::io::Error| Failure::new(format!("the kernel's sets cannot be read: {error}"));
    let mut sink = Nftables::open().map_err(fails)?;
    let mut count = 0;
    text.push('\n');
    for (place, host) in (0..).zip(policy.hosts()) {
        for v6 in [false, true] {
            let Some(set) = set_name(host, v6) else { continue };
            let known = sink.list(host, v6, MOST).map_err(fails)?;
            count += add(&mut text, &set, &still(&policy, place, known));
        }
    }
    nft(&["-f", "-"], &text, "nothing was changed")?;
    terminal::print(format!("loaded, with {count} addresses that were known by names\n").as_bytes())?;
    Ok(Outcome::Done)
}

/// What the policy still lets its client use, and does not end at this instant.
fn still(policy: &Policy, host: u32, known: Vec<Present>) -> Vec<Present> {
    known.into_iter().filter(|one| one.remains >= 1 && policy.may_use(one.client, host)).collect()
}

/// The command that adds elements, with the time that each has left.
fn add(text: &mut String, set: &str, known: &[Present]) -> usize {
    if known.is_empty() {
        return 0;
    }
    let _ = write!(text, "add element inet {TABLE} {set} {{ ");
    for one in known {
        let _ = write!(text, "{} . {} timeout {}ms, ", one.client, one.to, one.remains);
    }
    text.push_str("}\n");
    known.len()
}
