//! What nft itself says about the loaded table.
//!
//! In: a namespace with the table loaded. Out: nft's JSON listing, and from it counters and objects.

use egress_testkit::lab::Namespace;
use serde_json::Value;
use std::collections::BTreeMap;

/// The objects of one kind in a listing of the table, such as `chain` or `rule`.
fn objects(node: &Namespace, arguments: &[&str], kind: &str) -> Vec<Value> {
    let text = node.nft_read(arguments).unwrap();
    let listing: Value = serde_json::from_str(&text).unwrap();
    let all = listing["nftables"].as_array().unwrap();
    all.iter().filter_map(|object| object.get(kind)).cloned().collect()
}

/// Packets by the name of the counter.
pub(crate) fn counters(node: &Namespace) -> BTreeMap<String, u64> {
    let listed = objects(node, &["-j", "list", "counters", "table", "inet", "egressc"], "counter");
    let count = |counter: &Value| Some((counter["name"].as_str()?.to_owned(), counter["packets"].as_u64()?));
    listed.iter().filter_map(count).collect()
}

/// Names of the chains of the table, each with the number of its rules.
pub(crate) fn rules_by_chain(node: &Namespace) -> BTreeMap<String, usize> {
    let table = ["-j", "list", "table", "inet", "egressc"];
    let name = |chain: &Value| chain["name"].as_str().unwrap().to_owned();
    let chains = objects(node, &table, "chain");
    let mut counts: BTreeMap<String, usize> = chains.iter().map(|chain| (name(chain), 0)).collect();
    for rule in objects(node, &table, "rule") {
        *counts.get_mut(rule["chain"].as_str().unwrap()).unwrap() += 1;
    }
    counts
}

/// Names of the maps and sets of the table.
pub(crate) fn sets(node: &Namespace) -> Vec<String> {
    let table = ["-j", "list", "table", "inet", "egressc"];
    let named = ["map", "set"].map(|kind| objects(node, &table, kind));
    named.iter().flatten().map(|object| object["name"].as_str().unwrap().to_owned()).collect()
}
