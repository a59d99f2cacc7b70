//! A snapshot for people and programs. In: a checked snapshot. Out: text, or JSON. Decides nothing and prints nothing.

mod json;
mod words;

pub use json::json;
pub use words::{identity, set, verdict};

use crate::file::Snapshot;
use crate::meta::{Meta, Outcome, Rule, Unknown, Verdict};
use std::fmt::Write;

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Header, sizes, workloads, outcomes and rules, line by line; ends with a line break.
#[must_use]
pub fn text(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    head(&mut out, snapshot);
    sizes(&mut out, snapshot);
    senders(&mut out, &snapshot.meta);
    section(&mut out, "outcomes", snapshot.meta.outcomes.iter().map(|outcome| outcome_words(&snapshot.meta, outcome)));
    section(&mut out, "rules", snapshot.meta.rules.iter().map(rule_words));
    section(&mut out, "attachments", snapshot.meta.attachments.iter().map(words::attachment));
    out
}

fn head(out: &mut String, snapshot: &Snapshot) {
    let meta = &snapshot.meta;
    let signer = snapshot.signer.map_or("nobody".to_owned(), |key| format!("ed25519:{}", hex(&key)));
    let unknown = match meta.unknown {
        Unknown::Deny => "denied",
        Unknown::Pass => "passed",
    };
    let mut lines = vec![
        ("generation", meta.generation.to_string()),
        ("digest", format!("sha256:{}", hex(&snapshot.digest))),
        ("signed by", signer),
        ("compiler", meta.compiler.clone()),
    ];
    lines.extend(meta.source_digest.clone().map(|digest| ("source", digest)));
    lines.extend(meta.cluster.clone().map(|cluster| ("cluster", cluster)));
    lines.push(("proved", meta.unproved.as_ref().map_or("yes".to_owned(), |why| format!("no: {why}"))));
    lines.push(("unknown", format!("workloads nobody knows are {unknown}")));
    lines.push(("vectors", meta.vectors.len().to_string()));
    for (name, value) in lines {
        let _ = writeln!(out, "{name:<12}{value}");
    }
}

fn sizes(out: &mut String, snapshot: &Snapshot) {
    let layout = snapshot.tables.layout();
    let _ = writeln!(out, "\ntables: {} bytes, ids of {} bits", snapshot.tables.bytes().len(), json::id_bits(layout));
    for (name, count) in json::counts(layout) {
        let _ = writeln!(out, "  {count:>10}  {name}");
    }
    let _ = writeln!(out, "\nparts: bytes");
    for part in snapshot.tables.parts() {
        let forms: Vec<String> = part.forms.iter().map(|(form, count)| format!("{count} {form}")).collect();
        let _ =
            writeln!(out, "{}", format!("  {:>10}  {:<18}  {}", part.bytes, part.name, forms.join(", ")).trim_end());
    }
}

fn senders(out: &mut String, meta: &Meta) {
    section(out, "workload sets", meta.sets.iter().map(set));
    let combination = |sets: &[u32]| {
        let sets: Vec<String> = sets.iter().map(u32::to_string).collect();
        if sets.is_empty() { "in no set".to_owned() } else { format!("in the sets {}", sets.join(", ")) }
    };
    let lines = meta.combinations.iter().map(|known| format!("row {}: {}", known.row, combination(&known.sets)));
    section(out, "combinations", lines);
    let pods = meta.pods.iter().map(|pod| format!("row {}: {} {}", pod.row, pod.address, identity(&pod.identity)));
    section(out, "pods", pods);
    let gateways = meta.gateways.iter().map(|gateway| {
        let addresses: Vec<String> = gateway.addresses.iter().map(|one| one.address.to_string()).collect();
        let nodes = gateway.nodes.as_ref().map(|nodes| format!(" on nodes with {nodes}")).unwrap_or_default();
        format!("{} is {}{nodes}: {}", gateway.number, gateway.name, addresses.join(", "))
    });
    section(out, "gateways", gateways);
    let hosts = meta.names.iter().flat_map(|names| names.hosts.iter().cloned());
    section(out, "host patterns", hosts);
    let sets = (0..).zip(&meta.name_sets).map(|(set, _)| meta.hosts_of(set).unwrap_or_default().join(", "));
    section(out, "sets of names", sets);
}

/// A title and numbered lines; nothing when there is none.
fn section(out: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    for (place, line) in lines.enumerate() {
        if place == 0 {
            let _ = writeln!(out, "\n{title}");
        }
        let _ = writeln!(out, "  {place:>5}  {line}");
    }
}

/// A verdict in words, with the gateway's name where it has one.
#[must_use]
pub fn way(meta: &Meta, of: Verdict) -> String {
    let Verdict::Via(number) = of else { return verdict(of).to_owned() };
    match meta.gateways.iter().find(|gateway| gateway.number == number) {
        Some(gateway) => format!("allowed through gateway `{}`", gateway.name),
        None => verdict(of).to_owned(),
    }
}

fn outcome_words(meta: &Meta, outcome: &Outcome) -> String {
    let mut text = way(meta, outcome.verdict);
    let names = outcome.rules.iter().filter_map(|rule| meta.rules.get(*rule as usize)).map(|rule| rule.name.as_str());
    let names: Vec<&str> = names.collect();
    if !names.is_empty() {
        let _ = write!(text, " by {}", names.join(", "));
    }
    if outcome.fragment {
        text.push_str("; fragments");
    }
    if outcome.log {
        text.push_str("; recorded");
    }
    if let Some(audit) = outcome.audit {
        let _ = write!(text, "; would be {} if audit blocks were enforced", way(meta, audit));
    }
    if let Some(by_name) = &outcome.by_name {
        let set = |place: &u32| format!("{place}");
        let sets: Vec<String> = by_name.sets.iter().map(set).collect();
        let outcomes: Vec<String> = by_name.outcomes.iter().skip(1).map(u32::to_string).collect();
        let _ = write!(text, "; with names of set {} outcome {}", sets.join(", "), outcomes.join(", "));
    }
    text
}

fn rule_words(rule: &Rule) -> String {
    let does = if rule.allow { "allows" } else { "denies" };
    let mut text = format!("{} {does}, {}:{}", rule.name, rule.file, rule.line);
    let notes = [("owner", &rule.owner), ("because", &rule.because), ("ticket", &rule.ticket)];
    for (name, note) in notes {
        if let Some(note) = note {
            let _ = write!(text, ", {name} \"{}\"", note.escape_debug());
        }
    }
    if let Some(until) = &rule.until {
        let _ = write!(text, ", until {until}");
    }
    text
}
