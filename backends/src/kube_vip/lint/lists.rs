//! What is wrong with the lists of ports and networks.

use super::super::annotations as name;
use super::super::lists::{Dropped, Entry, Network, NoNetwork, networks, ports};
use super::super::model::{Service, Text};
use super::super::rules::MAX_EXPRESSIONS;
use super::{Mistake, Work};
use crate::lint::Level;

/// Looks at the lists of a Service that asks for egress.
pub(super) fn check(work: &mut Work<'_>, service: &Service) {
    destination_ports(work, service);
    for key in [name::ALLOWED_NETWORKS, name::DENIED_NETWORKS] {
        if let Some(text) = service.annotations.get(key) {
            for entry in networks(&text.value) {
                network(work, service, key, text, &entry);
            }
        }
    }
    refused(work, service);
}

/// KV004: entries that are dropped.
fn destination_ports(work: &mut Work<'_>, service: &Service) {
    let Some(text) = service.annotations.get(name::DESTINATION_PORTS).filter(|text| !text.value.is_empty()) else {
        return;
    };
    let entries = ports(&text.value);
    let none_left = entries.iter().all(|entry| entry.value.is_err());
    let level = if none_left { Level::Error } else { Level::Warning };
    let happens = match (work.by_nftables(service), none_left) {
        (true, true) => "every entry is dropped, and without ports every port is rewritten",
        (true, false) => "the entry is dropped: this port leaves with the address of the pod's node",
        (false, _) => {
            "iptables gets the entry as it is and may refuse it; and where there is no colon, kube-vip then ends with an index \
             out of range while it looks for old connections"
        }
    };
    for entry in &entries {
        let Err(dropped) = entry.value else { continue };
        let written = text.value.get(entry.span.clone()).unwrap_or_default();
        let message = format!("`{written}` {}", why(dropped, written));
        let fix =
            "write each port as `tcp:443`, `udp:53` or `sctp:3868`, in lower case, without blanks, ranges one by one";
        work.find(service, work.part(text, &entry.span), Mistake { code: "KV004", level, message, happens, fix });
    }
}

fn why(dropped: Dropped, written: &str) -> &'static str {
    match dropped {
        Dropped::Form => "has no protocol before a colon",
        Dropped::Protocol if written.trim() != written => "has a blank before its protocol",
        Dropped::Protocol => "begins with none of `tcp`, `udp` and `sctp`",
        Dropped::Number if written.contains('-') => "is a range, which kube-vip does not know",
        Dropped::Number => "has no number for a port",
        Dropped::OutOfRange => "has a port that is not from 0 to 65535",
    }
}

/// KV005: what is no network; KV007: what is one of the other family.
fn network(work: &mut Work<'_>, service: &Service, key: &str, text: &Text, entry: &Entry<Result<Network, NoNetwork>>) {
    let written = text.value.get(entry.span.clone()).unwrap_or_default();
    let span = work.part(text, &entry.span);
    let v6 = service.annotation(name::IPV6) == "true";
    let all = "kube-vip gives the whole Service up: it has no rule at all, and the pod leaves with its node's address";
    let (message, happens) = match entry.value {
        Ok(network) => return family(work, service, span, (written, network), v6),
        Err(NoNetwork::Empty) if key == name::ALLOWED_NETWORKS => (
            "there is an entry without text".to_owned(),
            "it makes a rule without a network: every destination is rewritten",
        ),
        Err(NoNetwork::Empty) => ("there is an entry without text".to_owned(), all),
        Err(NoNetwork::Blank) => (format!("there is a blank in the entry `{written}`"), all),
        Err(NoNetwork::Bare) => (format!("`{written}` is an address without a length"), all),
        Err(NoNetwork::Malformed) => (format!("`{written}` is no network"), all),
    };
    let fix = "write networks as `ADDRESS/LENGTH`, single addresses with `/32` or `/128`, with commas and nothing else between them";
    work.find(service, span, Mistake { code: "KV005", level: Level::Error, message, happens, fix });
}

fn family(work: &mut Work<'_>, service: &Service, span: std::ops::Range<usize>, found: (&str, Network), v6: bool) {
    let (written, network) = found;
    if network.is_v6() == v6 {
        return;
    }
    let (message, happens) = if v6 {
        let happens = "compared as a mapped address, it matches no packet: the entry has no effect";
        (format!("`{written}` is IPv4, and the Service rewrites IPv6"), happens)
    } else {
        let happens = "the rule for IPv4 has no bytes to compare, the kernel refuses all rules of the Service, and nothing is rewritten";
        (format!("`{written}` is IPv6, and the Service rewrites IPv4"), happens)
    };
    let fix = "keep one family in the lists of a Service, and make a Service of its own for the other: with \
               `kube-vip.io/egress-ipv6: \"true\"` for IPv6";
    work.find(service, span, Mistake { code: "KV007", level: Level::Error, message, happens, fix });
}

/// KV006: rules that the kernel refuses as a whole.
fn refused(work: &mut Work<'_>, service: &Service) {
    if !work.by_nftables(service) {
        return;
    }
    let some_port = ports(service.annotation(name::DESTINATION_PORTS)).iter().any(|entry| entry.value.is_ok());
    let allowed = networks(service.annotation(name::ALLOWED_NETWORKS)).len();
    let text = |key| service.annotations.get(key).map(|text: &Text| text.span.clone());
    if let Some(span) = text(name::ALLOWED_NETWORKS).filter(|_| some_port && allowed > 1) {
        let mistake = Mistake {
            code: "KV006",
            level: Level::Error,
            message: format!("destination ports together with {allowed} allowed networks"),
            happens: "the rules share one anonymous set of ports, which may be bound once: the kernel refuses all of them (EBUSY), \
                      and nothing is rewritten",
            fix: "allow one network and deny what in it must not be rewritten, leave the ports out, or split the Service",
        };
        work.find(service, span, mistake);
    }
    let said = service.annotation(name::NO_INTERNAL_TRAFFIC);
    let own = said.is_empty() || said == "false";
    let ranges = networks(service.annotation(name::DENIED_NETWORKS)).len() + if own { 2 } else { 0 };
    let expressions = 4 + 4 * usize::from(some_port) + 2 * ranges + 2 * usize::from(allowed > 0);
    if let Some(span) = text(name::DENIED_NETWORKS).filter(|_| expressions > MAX_EXPRESSIONS) {
        let mistake = Mistake {
            code: "KV006",
            level: Level::Error,
            message: format!("{ranges} networks are left out, which makes a rule of {expressions} expressions"),
            happens: "the kernel takes 128 expressions in a rule and refuses all rules of the Service: nothing is rewritten",
            fix: "deny fewer and wider networks, or allow what is to be rewritten instead",
        };
        work.find(service, span, mistake);
    }
}
