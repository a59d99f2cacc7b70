//! Cilium policies with one thing broken.
//!
//! In: the text of a multi-document YAML artifact in block style. Out: its mutants, of which some are no longer objects
//! that a cluster would take. What only describes an object is left alone.

use super::Mutant;
use super::lines::Lines;

/// Words and what somebody might have written instead.
const WORDS: [(&str, &str, &str); 17] = [
    ("wrong-protocol", "TCP", "UDP"),
    ("wrong-protocol", "UDP", "TCP"),
    ("wrong-protocol", "SCTP", "TCP"),
    ("wrong-protocol", "ANY", "TCP"),
    ("lost-default-deny", "egress: true", "egress: false"),
    ("swap-action", "egressDeny:", "egress:"),
    ("swap-action", "egress:", "egressDeny:"),
    ("other-selector", "operator: In", "operator: NotIn"),
    ("other-selector", "operator: NotIn", "operator: In"),
    ("other-selector", "operator: Exists", "operator: DoesNotExist"),
    ("other-selector", "operator: DoesNotExist", "operator: Exists"),
    ("wrong-peer", "host", "world"),
    ("wrong-peer", "health", "all"),
    ("wrong-peer", "toCIDRSet", "toCIDR"),
    ("wrong-family", "IPv4", "IPv6"),
    ("wrong-family", "IPv6", "IPv4"),
    ("other-name", "matchName", "matchPattern"),
];

/// Every mutant of an artifact.
#[must_use]
pub fn cilium(text: &str) -> Vec<Mutant<String>> {
    let mut lines = Lines::of(text);
    let mut described = None;
    for place in 0..lines.lines.len() {
        let (line, indent) = (lines.at(place), indent(lines.at(place)));
        if described.is_some_and(|outer| indent <= outer) {
            described = None;
        }
        let is_text = line.trim().is_empty() || line.trim_start().starts_with('#') || line.starts_with("---");
        let is_kind = line.starts_with("apiVersion:") || line.starts_with("kind:");
        if line.trim() == "metadata:" {
            described = Some(indent);
        }
        if described.is_none() && !is_text && !is_kind {
            of_line(&mut lines, place);
        }
    }
    lines.found
}

fn of_line(lines: &mut Lines<'_>, place: usize) {
    let line = lines.at(place);
    lines.replace("drop-entry", place..end_of(lines, place), &[]);
    lines.nudge(place, &[',', '[', ']', '"', '\'']);
    for (kind, from, to) in WORDS {
        let is_bare_list = line.trim() == from;
        if from != "egress:" || is_bare_list {
            lines.reword(kind, place, from, to);
        }
    }
    // A label or a name with another value.
    let is_named = ["k8s:", "matchName:", "matchPattern:"].iter().any(|word| line.contains(word));
    let is_value = line.trim_start().starts_with("- ") && !line.contains(": ");
    if is_named || is_value {
        let end = line.trim_end_matches('"').len();
        if !line.ends_with(':') {
            lines.splice("other-value", place, end..end, "x");
        }
    }
    if let Some(at) = line.find("\"**.") {
        lines.splice("other-name", place, at + 1..at + 3, "*");
    } else if let Some(at) = line.find("\"*.") {
        lines.splice("other-name", place, at + 1..at + 2, "**");
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The place behind everything that belongs to a line.
fn end_of(lines: &Lines<'_>, place: usize) -> usize {
    let own = indent(lines.at(place));
    let belongs = |line: &&&str| indent(line) > own && !line.starts_with("---");
    place + 1 + lines.lines.iter().skip(place + 1).take_while(belongs).count()
}
