//! Records for people, one line each.

use super::meaning::Meaning;
use crate::words;
use egress_agent::kernel::Event;
use egress_snapshot::show;
use jiff::Timestamp;

/// Such as `2027-01-02T03:04:05Z denied  shop/till 10.0.0.1 → 1.2.3.4 443/tcp by never#1 (…), at iface veth1`.
pub(super) fn line(time: &Timestamp, event: &Event, meaning: &Meaning<'_>) -> String {
    let does = match (event.passed, meaning.outcome.and_then(|outcome| outcome.audit)) {
        (false, _) => "denied",
        (true, Some(_)) => "audit",
        (true, None) => "passed",
    };
    let sender = meaning.sender.map(|identity| format!("{} ", show::identity(identity))).unwrap_or_default();
    let flow = match (event.source, event.destination) {
        (Some(source), Some(destination)) => {
            let from = if event.source_number == 0 { String::new() } else { format!(" {}", event.source_number) };
            let port = words::port(event.protocol, event.number, event.fragment);
            format!("{source}{from} → {destination} {port}")
        }
        _ => "a malformed packet".to_owned(),
    };
    let mut text = format!("{time} {does:<7} {sender}{flow}");
    match (meaning.rules.as_slice(), meaning.outcome) {
        ([], Some(outcome)) => text.push_str(&format!(" ({})", show::verdict(outcome.verdict))),
        ([], None) => {}
        (rules, _) => {
            let rules: Vec<String> = rules.iter().map(|rule| words::rule(rule)).collect();
            text.push_str(&format!(" by {}", rules.join(" and ")));
        }
    }
    if event.late {
        text.push_str(", seen too late for its gateway");
    }
    if let Some(audit) = meaning.outcome.and_then(|outcome| outcome.audit) {
        text.push_str(&format!(", would be {}", show::verdict(audit)));
    }
    let point = meaning.point.clone().unwrap_or_else(|| format!("slot {}", event.slot));
    text.push_str(&format!(", at {point}"));
    if let (Some(pid), command) = (event.pid, event.command.as_deref().unwrap_or("?")) {
        text.push_str(&format!(", process {pid} `{}`", command.escape_debug()));
    }
    if event.left_out > 0 {
        text.push_str(&format!(", {} like it left out", event.left_out));
    }
    text + "\n"
}
