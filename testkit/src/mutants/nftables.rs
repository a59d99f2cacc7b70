//! nftables files with one thing broken.
//!
//! In: the text of a file for `nft -f`, one statement a line, rules behind two tabs. Out: its mutants, of which some
//! are no longer a file that nft would take.

use super::lines::Lines;
use super::{Mutant, spread};

/// Words and what somebody might have written instead.
const WORDS: [(&str, &str, &str); 20] = [
    ("swap-verdict", "accept", "drop"),
    ("swap-verdict", "accept", "return"),
    ("swap-verdict", "drop", "accept"),
    ("swap-verdict", "drop", "return"),
    ("swap-verdict", "return", "accept"),
    ("swap-jump", "goto", "jump"),
    ("swap-jump", "jump", "goto"),
    ("wrong-family", "ip daddr", "ip6 daddr"),
    ("wrong-family", "ip6 daddr", "ip daddr"),
    ("wrong-family", "nfproto ipv4", "nfproto ipv6"),
    ("wrong-family", "nfproto ipv6", "nfproto ipv4"),
    ("wrong-field", "ip daddr", "ip saddr"),
    ("wrong-field", "ip saddr", "ip daddr"),
    ("wrong-field", "tcp dport", "udp dport"),
    ("wrong-field", "udp dport", "tcp dport"),
    ("wrong-field", "sctp dport", "tcp dport"),
    ("wrong-field", "icmp type", "icmpv6 type"),
    ("wrong-field", "icmpv6 type", "icmp type"),
    ("wrong-hook", "hook prerouting", "hook output"),
    ("turn-round", "daddr", "daddr !="),
];

/// Every mutant of a file.
#[must_use]
pub fn nftables(text: &str) -> Vec<Mutant<String>> {
    let mut lines = Lines::of(text);
    for place in 0..lines.lines.len() {
        if lines.at(place).starts_with("\t\t") {
            of_rule(&mut lines, place);
        } else if lines.at(place).starts_with("\tmap") || lines.at(place).starts_with("\tset") {
            of_elements(&mut lines, place);
            lines.nudge(place, &SEPARATORS);
        }
    }
    lines.found
}

const SEPARATORS: [char; 5] = [',', '{', '}', ';', '"'];

fn of_rule(lines: &mut Lines<'_>, place: usize) {
    let line = lines.at(place);
    let is_base = line.trim_start().starts_with("type ");
    lines.replace(if is_base { "drop-hook" } else { "drop-rule" }, place..place + 1, &[]);
    if is_base {
        lines.reword("swap-policy", place, "policy accept", "policy drop");
        lines.reword("swap-policy", place, "policy drop", "policy accept");
    }
    for (kind, from, to) in WORDS {
        if is_base == (kind == "wrong-hook") {
            lines.reword(kind, place, from, to);
        }
    }
    let next = lines.at(place + 1);
    if next.starts_with("\t\t") && next != line {
        lines.replace("swap-rules", place..place + 2, &[next, line]);
    }
    if !is_base {
        lines.nudge(place, &SEPARATORS);
        of_elements(lines, place);
        without_matches(lines, place);
        other_target(lines, place);
    }
}

/// Each element of a set or map gone, and some of a long one.
fn of_elements(lines: &mut Lines<'_>, place: usize) {
    let line = lines.at(place);
    // The elements of a map stand in the inner braces.
    let Some((start, end)) = line.rfind('{').zip(line.find('}')) else { return };
    let elements: Vec<&str> = line.get(start + 1..end).unwrap_or("").split(',').map(str::trim).collect();
    for gone in spread(&(0..elements.len()).collect::<Vec<_>>(), 8) {
        let rest = elements.iter().enumerate().filter(|(other, _)| *other != gone).map(|(_, element)| *element);
        let rest = rest.collect::<Vec<&str>>().join(", ");
        lines.splice("drop-element", place, start + 1..end, &format!(" {rest} "));
    }
}

/// The rule without each of its comparisons of an address, a port or a protocol.
fn without_matches(lines: &mut Lines<'_>, place: usize) {
    let line = lines.at(place);
    for field in ["ip daddr ", "ip6 daddr ", "ip saddr ", "tcp dport ", "udp dport ", "sctp dport ", "meta l4proto "] {
        let Some(start) = line.find(field) else { continue };
        let value = line.get(start + field.len()..).unwrap_or("");
        let length = match value.starts_with('{') {
            true => value.find('}').map(|end| end + 1),
            false => value.find(' '),
        };
        let Some(length) = length.filter(|_| !value.starts_with("vmap")) else { continue };
        let end = start + field.len() + length;
        lines.splice("drop-match", place, start..(end + 1).min(line.len()), "");
    }
}

/// The jump goes to the chain that is declared next, or to the first.
fn other_target(lines: &mut Lines<'_>, place: usize) {
    let line = lines.at(place);
    let Some(start) = ["goto ", "jump "].into_iter().find_map(|word| line.find(word).map(|at| at + word.len())) else {
        return;
    };
    let target = line.get(start..).and_then(|rest| rest.split_whitespace().next()).unwrap_or("");
    let name = |line: &&str| {
        line.trim().strip_prefix("chain ").and_then(|rest| rest.split_whitespace().next().map(str::to_owned))
    };
    let mut chains: Vec<String> = lines.lines.iter().filter_map(name).collect();
    chains.dedup();
    let own = chains.iter().position(|chain| chain == target);
    let next = own.and_then(|own| chains.get(own + 1).or(chains.first())).filter(|next| *next != target);
    if let Some(next) = next.cloned() {
        lines.splice("wrong-target", place, start..start + target.len(), &next);
    }
}
