//! The table that sees to the source addresses of marked packets, as `nft` loads it and tells about it.
//!
//! In: gateways. Out: `table inet egressc_gateways` in the kernel of this network namespace. The text is
//! [`egress_snapshot::gateway::table`]'s; each load is one transaction.

use crate::failure::Failure;
use egress_snapshot::gateway::{Gateway, TABLE, table};
use serde_json::Value;
use std::collections::BTreeMap;

/// Loads the table of these gateways, over whatever it was before.
pub(crate) fn load(gateways: &[Gateway], mask: u32) -> Result<(), Failure> {
    let text = table(gateways, mask)
        .map_err(|error| Failure::new(error.to_string()).help("compile the policy again; nothing was changed"))?;
    nft(&["-f", "-"], &text).map(drop)
}

/// Removes it; one that is not there is no error.
pub(crate) fn remove() -> Result<(), Failure> {
    nft(&["-f", "-"], &format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")).map(drop)
}

/// What its guard stopped, by the names of its counters; nothing where there is no such table.
pub(crate) fn dropped() -> Result<Option<BTreeMap<String, u64>>, Failure> {
    let Ok(text) = nft(&["-j", "list", "counters", "table", "inet", TABLE], "") else { return Ok(None) };
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("`nft` lists no counters that can be read: {error}")))?;
    let listed = value.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let counter = |entry: &Value| {
        let counter = entry.get("counter")?;
        Some((counter.get("name")?.as_str()?.to_owned(), counter.get("packets")?.as_u64()?))
    };
    Ok(Some(listed.filter_map(counter).collect()))
}

fn nft(arguments: &[&str], input: &str) -> Result<String, Failure> {
    crate::nft::nft(arguments, input, "flows through gateways need nftables (package `nftables`) on the node")
}
