//! Declares a name that is not known.
//!
//! In: a finding about its use. Out: a declaration above the one that uses it, for a person to correct: it lets nothing out
//! that anybody would want to reach, and its comment says so.

use super::delete::blamed;
use super::tree::item_at;
use super::{Draft, cut};
use crate::view::View;
use egress_compiler::{Diagnostic, Kind, Place};
use egress_lang::ast::{Claim, DestinationTerm, Item, PSet, PortTerm, Rule, WSet, WorkloadTerm};
use egress_lang::span::Span;
use std::net::{IpAddr, Ipv4Addr};

/// A declaration of the name that a finding blames.
pub(super) fn stub(view: &View<'_>, finding: &Diagnostic) -> Option<Draft> {
    let place = blamed(finding)?;
    let file = view.unit.file(place.source)?;
    let item = item_at(file, place.span)?;
    let name = place.span.text(&file.source.text);
    let (noun, line) = match used_as(item, place.span)? {
        Kind::Workloads => ("workloads", format!("workloads {name} = pods(app={name})  # correct this: a guess")),
        Kind::Destinations => {
            let line = format!("destinations {name} = 192.0.2.0/24  # correct this: an example (RFC 5737)");
            ("destinations", line)
        }
        Kind::Ports => ("ports", format!("ports {name} = 9/tcp  # correct this: what is sent there is discarded")),
        Kind::Gateway => {
            let address = free_address(view)?;
            let gateway = format!("gateway {name} {{ nodes(egress={name}) address {address} }}");
            ("gateway", format!("{gateway}  # correct this: an example (RFC 5737)"))
        }
        Kind::Cluster | Kind::Block | Kind::Control => return None,
    };
    // A name of this spelling may be none, or no label of Kubernetes.
    egress_lang::parse(&line).errors.is_empty().then_some(())?;
    let (span, text) = cut::above(&file.source.text, item.span(), &line);
    Some(Draft::one(format!("declare the {noun} `{name}`"), Place::new(place.source, span), text))
}

/// An address for documentation that no gateway has.
fn free_address(view: &View<'_>) -> Option<IpAddr> {
    let taken = |address: &IpAddr| {
        let gateways = super::tree::items(view.unit).filter_map(|(_, _, item)| match item {
            Item::Gateway(gateway) => Some(gateway),
            _ => None,
        });
        gateways.flat_map(|gateway| &gateway.addresses).any(|it| it.ip.node.as_ref() == Some(address))
    };
    (1..=254).map(|last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))).find(|address| !taken(address))
}

/// What the name at a span must stand for.
fn used_as(item: &Item, at: Span) -> Option<Kind> {
    let mut kind = None;
    for set in workload_sets(item) {
        set.each_term(&mut |term| {
            if matches!(term, WorkloadTerm::Name(name) if name.span == at) {
                kind = Some(Kind::Workloads);
            }
        });
    }
    for set in item.destination_sets() {
        set.each_term(&mut |term| {
            if matches!(term, DestinationTerm::Name(name) if name.span == at) {
                kind = Some(Kind::Destinations);
            }
        });
    }
    let is_here =
        |ports: &PSet| ports.terms.iter().any(|term| matches!(&term.node, PortTerm::Name(name) if name.span == at));
    let ports = || port_sets(item).any(is_here).then_some(Kind::Ports);
    let claimed = super::tree::asserts(item).iter().filter_map(|assert| match &assert.claim {
        Claim::OnlyVia(name) => Some(name),
        Claim::CannotReach | Claim::CanReach | Claim::OnlySources | Claim::OnlyDestinations => None,
    });
    let mut gateways = rules(item).iter().filter_map(|rule| rule.via.as_ref()).chain(claimed);
    kind.or_else(ports).or_else(|| gateways.any(|name| name.span == at).then_some(Kind::Gateway))
}

fn rules(item: &Item) -> &[Rule] {
    match item {
        Item::Policy(block) | Item::Guardrail(block) => &block.rules,
        _ => &[],
    }
}

fn workload_sets(item: &Item) -> Vec<&WSet> {
    match item {
        Item::Cluster(it) => it.dns.iter().collect(),
        Item::Workloads(it) => vec![&it.set],
        Item::Policy(it) | Item::Guardrail(it) => vec![&it.workloads],
        _ => super::tree::asserts(item).iter().map(|assert| &assert.workloads).collect(),
    }
}

fn port_sets(item: &Item) -> impl Iterator<Item = &PSet> {
    let declared = match item {
        Item::Ports(it) => Some(&it.set),
        _ => None,
    };
    let of_rules = rules(item).iter().filter_map(|rule| rule.ports.as_ref());
    let of_asserts = super::tree::asserts(item).iter().filter_map(|assert| assert.ports.as_ref());
    declared.into_iter().chain(of_rules).chain(of_asserts)
}
