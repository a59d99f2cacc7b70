//! Rules and outcomes in words.

use egress_snapshot::Meta;
use egress_snapshot::meta::{Outcome, Rule};

/// The rules that make an outcome what it is.
pub(crate) fn rules<'a>(meta: &'a Meta, outcome: &'a Outcome) -> impl Iterator<Item = &'a Rule> {
    outcome.rules.iter().filter_map(|place| meta.rules.get(*place as usize))
}

/// `shop#2 (shop.egress:14, owner "team-shop", ticket "SEC-1042", because "card payments")`.
pub(crate) fn rule(rule: &Rule) -> String {
    let notes = [("owner", &rule.owner), ("ticket", &rule.ticket), ("because", &rule.because)];
    let notes = notes.iter().filter_map(|(name, note)| Some(format!(", {name} \"{}\"", note.as_ref()?.escape_debug())));
    format!("{} ({}:{}{})", rule.name, rule.file, rule.line, notes.collect::<String>())
}

/// `443/tcp`, `icmp/8/0`, `protocol/47`; later fragments have no number.
pub(crate) fn port(protocol: u8, number: u16, fragment: bool) -> String {
    let [kind, code] = number.to_be_bytes();
    let name = match protocol {
        6 => "tcp",
        17 => "udp",
        132 => "sctp",
        1 => "icmp",
        58 => "icmpv6",
        _ => "",
    };
    match (protocol, fragment) {
        (6 | 17 | 132, false) => format!("{number}/{name}"),
        (1 | 58, false) => format!("{name}/{kind}/{code}"),
        (6 | 17 | 132 | 1 | 58, true) => format!("a later fragment of {name}"),
        (_, false) => format!("protocol/{protocol}"),
        (_, true) => format!("a later fragment of protocol/{protocol}"),
    }
}
