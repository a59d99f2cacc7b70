//! Gateways: which number each has, and which flows would leave through one that has no address for them.
//!
//! In: a program and who routes. Out: [`Gateways`], and every refusal with the rule and the way out. Of several addresses
//! of one family a gateway uses the first. For targets that mark packets; nothing here knows how.

use crate::target::{EmitError, Routing};
use egress_ir::{
    AddressSet, Gateway, GatewayId, Operator, OriginId, Program, Requirement, Rule, Selector, WorkloadSet,
};
use egress_snapshot::gateway;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The gateways that rules name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gateways {
    /// By number, from 1, in the order of names.
    numbers: BTreeMap<GatewayId, u32>,
}

impl Gateways {
    /// Numbers them; there are none where another target routes.
    pub(crate) fn of(program: &Program, routing: Routing) -> Self {
        if routing == Routing::Elsewhere {
            return Self::default();
        }
        let named: BTreeSet<GatewayId> = program.rules.values().filter_map(|rule| rule.gateway).collect();
        let mut named: Vec<(&str, GatewayId)> =
            named.into_iter().map(|id| (program.gateways.at(id).name.as_str(), id)).collect();
        named.sort_unstable();
        Self { numbers: named.into_iter().zip(1..).map(|((_, id), number)| (id, number)).collect() }
    }

    /// The number of a gateway; nothing where another target routes.
    pub(crate) fn number(&self, gateway: GatewayId) -> Option<u32> {
        self.numbers.get(&gateway).copied()
    }

    /// The bits that an artifact needs for them: those of the mask, or none.
    pub(crate) fn mask(&self, mask: u32) -> u32 {
        if self.numbers.is_empty() { 0 } else { mask }
    }

    /// As nodes know them.
    pub(crate) fn listed(&self, program: &Program) -> Vec<gateway::Gateway> {
        let mut all: Vec<gateway::Gateway> =
            self.numbers.iter().map(|(id, number)| meta(program.gateways.at(*id), *number)).collect();
        all.sort_by_key(|gateway| gateway.number);
        all
    }

    /// Everything about gateways that cannot be said.
    pub(crate) fn refusals(&self, program: &Program, mask: u32) -> Vec<EmitError> {
        let mut errors = Vec::new();
        if !self.numbers.is_empty() {
            errors.extend(self.check_mask(program, mask));
        }
        self.check_addresses(program, &mut errors);
        for (id, rule) in program.rules.iter() {
            let named = rule.gateway.filter(|gateway| self.numbers.contains_key(gateway));
            if let Some(gateway) = named.and_then(|id| program.gateways.get(id)) {
                let name = program.rule_name(id);
                errors.extend([false, true].into_iter().filter_map(|v6| unreachable(program, rule, name, gateway, v6)));
            }
        }
        errors
    }

    /// Whether the mask holds every number.
    fn check_mask(&self, program: &Program, mask: u32) -> Option<EmitError> {
        let refuse = |origin: Option<OriginId>, message: String, help: &str| EmitError {
            code: "egress::target::gateway",
            origin,
            message,
            help: help.to_owned(),
        };
        let Some(most) = gateway::largest(mask) else {
            let message = format!("`{mask:#010x}` is not one run of bits, so it cannot hold the numbers of gateways");
            return Some(refuse(None, message, "give a mask such as `0x00ff0000`"));
        };
        let (id, _) = self.numbers.iter().find(|(_, number)| **number > most)?;
        let (count, gateway) = (self.numbers.len(), program.gateways.at(*id));
        let message =
            format!("rules name {count} gateways, and the mask `{mask:#010x}` holds the numbers of {most} only");
        Some(refuse(Some(gateway.origin), message, "give a mask of more bits, or let rules share gateways"))
    }

    /// Whether an address says which gateway it is.
    fn check_addresses(&self, program: &Program, errors: &mut Vec<EmitError>) {
        let mut owners: BTreeMap<IpAddr, &Gateway> = BTreeMap::new();
        let declared = program.gateways.iter().filter(|(id, _)| self.numbers.contains_key(id));
        for (_, gateway) in declared {
            for address in gateway.addresses.iter().map(|one| one.address) {
                let Some(other) = owners.insert(address, gateway).filter(|other| other.name != gateway.name) else {
                    continue;
                };
                errors.push(EmitError {
                    code: "egress::target::gateway",
                    origin: Some(gateway.origin),
                    message: format!(
                        "the gateways `{}` and `{}` both have the address `{address}`",
                        other.name, gateway.name
                    ),
                    help: "give each gateway addresses of its own, or let rules share one gateway".to_owned(),
                });
            }
        }
    }
}

/// The refusal of flows of a rule in a family that its gateway has no address of; nothing where there are no such flows.
fn unreachable(program: &Program, rule: &Rule, name: &str, gateway: &Gateway, v6: bool) -> Option<EmitError> {
    let has_address = gateway.addresses.iter().any(|one| one.address.is_ipv6() == v6);
    let workloads = program.workload_sets.at(program.blocks.at(rule.block).workloads);
    let destinations = &program.destination_sets.at(rule.destinations).addresses;
    let outside = destinations.difference(&program.cluster.inside);
    if has_address || !reaches(&outside, v6) || !sends(workloads, v6) || program.port_sets.at(rule.ports).is_empty() {
        return None;
    }
    let family = if v6 { "IPv6" } else { "IPv4" };
    Some(EmitError {
        code: "egress::target::gateway",
        origin: Some(rule.origin),
        message: format!(
            "`{name}` sends to {family} destinations via `{}`, which has no {family} address to leave with",
            gateway.name
        ),
        help: format!("give `{}` an {family} address, or name destinations of the other family only", gateway.name),
    })
}

fn reaches(destinations: &AddressSet, v6: bool) -> bool {
    !destinations.of_family(v6).is_empty()
}

/// Whether a member can send in a family. Pods can in both; where a set may hold pods, it is taken to hold some.
fn sends(set: &WorkloadSet, v6: bool) -> bool {
    may_hold_pods(set) || reaches(&set.addresses(), v6)
}

fn may_hold_pods(set: &WorkloadSet) -> bool {
    match set {
        WorkloadSet::All | WorkloadSet::Pods(_) => true,
        WorkloadSet::Address(_) => false,
        WorkloadSet::Union(sets) => sets.iter().any(may_hold_pods),
        WorkloadSet::Except(set, _) => may_hold_pods(set),
    }
}

fn meta(gateway: &Gateway, number: u32) -> gateway::Gateway {
    let address = |one: &egress_ir::GatewayAddress| gateway::Address { address: one.address, managed: one.managed };
    gateway::Gateway {
        name: gateway.name.clone(),
        number,
        nodes: gateway.nodes.as_ref().map(selector),
        addresses: gateway.addresses.iter().map(address).collect(),
    }
}

/// A selector as Kubernetes writes it in one line (`kubectl get -l`).
fn selector(of: &Selector) -> String {
    of.0.iter().map(requirement).collect::<Vec<String>>().join(",")
}

fn requirement(of: &Requirement) -> String {
    let key = &of.key;
    let list = |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<&str>>().join(",");
    match &of.operator {
        Operator::In(values) if values.len() == 1 => format!("{key}={}", list(values)),
        Operator::In(values) => format!("{key} in ({})", list(values)),
        Operator::NotIn(values) if values.len() == 1 => format!("{key}!={}", list(values)),
        Operator::NotIn(values) => format!("{key} notin ({})", list(values)),
        Operator::Exists => key.clone(),
        Operator::DoesNotExist => format!("!{key}"),
    }
}
