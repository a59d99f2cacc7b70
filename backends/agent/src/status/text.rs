//! A status for people.

use super::facts::{Count, Facts, Held};
use std::fmt::Write;

/// Lines; the last ends too.
pub(super) fn text(facts: &Facts) -> String {
    let mut out = String::new();
    match (&facts.active, facts.points.is_empty() && facts.strays.is_empty()) {
        (Some(active), _) => enforced(&mut out, active),
        (None, true) => out.push_str("nothing is loaded\n"),
        (None, false) => out.push_str("no generation is enforced, so attached points deny everything\n"),
    }
    if let Some(other) = &facts.other {
        let digest = other.digest.as_deref().unwrap_or("an unknown snapshot");
        let _ = writeln!(out, "kept          generation {} ({digest}), for `rollback`", other.generation);
    }
    if facts.active.is_some() && facts.points.is_empty() {
        out.push_str("\nno attach points: nothing is judged\n");
    } else if !facts.points.is_empty() {
        out.push_str("\nattach points\n");
    }
    for point in &facts.points {
        let early = match point.connect {
            None => "",
            Some("attached") => ", fails early",
            Some(_) => ", should fail early and does not",
        };
        let _ = writeln!(out, "  {:<9} {}: {}, judged by {}{early}", point.state, point.point, point.who, point.judged);
    }
    for slot in &facts.strays {
        let _ = writeln!(out, "  slot {slot} is attached, but not in the state folder; it is judged as unknown");
    }
    if let Some(active) = &facts.active {
        counted(&mut out, active, facts.lost_records);
    }
    if let Some(gateways) = &facts.gateways {
        gateways.text(&mut out);
    }
    out
}

fn enforced(out: &mut String, active: &Held) {
    let unknown = "the state folder does not know".to_owned();
    let memory = &active.memory;
    let lines = [
        ("generation", format!("{}, at place {}", active.generation, active.place)),
        ("digest", active.digest.clone().unwrap_or(unknown)),
        ("signed by", active.signer.clone().unwrap_or_else(|| "nobody".to_owned())),
        ("proved", active.unproved.as_ref().map_or("yes".to_owned(), |why| format!("no: {why}"))),
        (
            "memory",
            format!("{} bytes, {} predicted, {} of them tables", memory.charged, memory.predicted, memory.tables),
        ),
    ];
    for (name, value) in lines {
        let _ = writeln!(out, "{name:<14}{value}");
    }
    if let Some(cluster) = &active.cluster {
        let _ = writeln!(out, "{:<14}{cluster}", "cluster");
    }
}

fn counted(out: &mut String, active: &Held, lost: u64) {
    out.push_str("\n     packets           bytes\n");
    let mut line = |name: &str, count: Count| {
        let _ = writeln!(out, "{:>12}  {:>14}  {name}", count.packets, count.bytes);
    };
    for rule in &active.rules {
        line(&format!("{} {}", if rule.allow { "allow" } else { "deny " }, rule.name), rule.count);
    }
    let sum = active.outcomes.iter().fold(Count::default(), |sum, count| Count {
        packets: sum.packets + count.packets,
        bytes: sum.bytes + count.bytes,
    });
    line("judged in all", sum);
    line("replies to connections from outside", active.replies);
    line("neighbour discovery", active.exempt);
    line("malformed, denied", active.malformed);
    line("seen too late for their gateway, denied", active.late);
    let _ = writeln!(out, "{lost:>12}                  records lost");
}
