//! The way out for each gateway and family: which nodes, with which address.
//!
//! In: the gateways that rules name, an inventory. Out: for each family of a gateway a [`Way`], or errors; notices where the
//! inventory shows that nodes are missing. What cannot be checked stands in the artifact as an assumption.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use egress_ir::{Gateway, GatewayAddress, GatewayId, Inventory, Node, Operator, Requirement, Selector};

use super::super::super::super::target::Level;
use super::super::names::{is_label_value, is_subdomain};
use super::super::{Emitter, VipService};
use crate::kube_vip;

/// How flows leave.
pub(super) struct Way {
    /// Which nodes.
    pub(super) nodes: Selector,
    /// With this address.
    pub(super) address: IpAddr,
    /// What must be so and is not known, for people.
    pub(super) assumes: Option<String>,
}

/// The ways of these gateways, each in a family in which it has an address.
pub(super) fn ways(
    emitter: &mut Emitter<'_>,
    inventory: Option<&Inventory>,
    used: &BTreeSet<(GatewayId, bool)>,
) -> BTreeMap<(GatewayId, bool), Way> {
    let mut ways = BTreeMap::new();
    for &(id, v6) in used {
        let gateway = emitter.program.gateways.at(id);
        let Some(address) = gateway.addresses.iter().find(|known| known.address.is_ipv6() == v6) else { continue };
        if let Some(way) = way(emitter, inventory, id, gateway, *address) {
            ways.insert((id, v6), way);
        }
        failover(emitter, inventory, gateway);
    }
    ways
}

fn way(
    emitter: &mut Emitter<'_>,
    inventory: Option<&Inventory>,
    id: GatewayId,
    gateway: &Gateway,
    GatewayAddress { address, managed }: GatewayAddress,
) -> Option<Way> {
    let shared = emitter
        .program
        .gateways
        .iter()
        .any(|(other, known)| other != id && known.addresses.iter().any(|known| known.address == address));
    if shared {
        let message = format!("`{}` shares the address {address} with another gateway", gateway.name);
        let help = "give each gateway addresses of its own: Cilium knows gateways by their addresses alone";
        emitter.error("egress::target::gateway", gateway.origin, message, help);
        return None;
    }
    let mut nodes = gateway.nodes.clone().unwrap_or_default();
    if managed {
        let holder = holder(emitter, gateway, address)?;
        nodes.0.push(holder);
    } else if gateway.nodes.is_none() {
        let message =
            format!("`{}` names no nodes, and Cilium sends flows to a node that it finds by labels", gateway.name);
        let help = "say which nodes have the address: `nodes(KEY=VALUE)`";
        emitter.error("egress::target::gateway", gateway.origin, message, help);
        return None;
    }
    for requirement in &nodes.0 {
        if let Some(why) = unsayable(requirement) {
            let message = format!("the nodes of `{}`: {why}", gateway.name);
            emitter.error("egress::target::label", gateway.origin, message, "choose the nodes by another label");
            return None;
        }
    }
    let assumes = if managed { Some(by_kube_vip(address)) } else { has_address(emitter, inventory, gateway, address) };
    Some(Way { nodes, address, assumes })
}

/// The label by which kube-vip marks the node that has the address of a Service.
fn holder(emitter: &mut Emitter<'_>, gateway: &Gateway, address: IpAddr) -> Option<Requirement> {
    let Some(VipService { namespace, name }) = emitter.options.managed_by_kube_vip.get(&address) else {
        let message = format!(
            "{address} of `{}` is managed, and Cilium brings no address up: it drops what should leave with one that no \
             node has",
            gateway.name
        );
        let help = "compile for kube-vip in the same call, or put the address on the nodes and leave `managed` out";
        emitter.error("egress::target::gateway", gateway.origin, message, help);
        return None;
    };
    let (key, value) = kube_vip::node_label(name, namespace, address);
    Some(Requirement { key, operator: Operator::In([value].into()) })
}

fn by_kube_vip(address: IpAddr) -> String {
    format!("kube-vip runs with `enable_node_labeling` and labels the node that has {address}")
}

/// What must be so for the chosen node to have the address, as far as the inventory does not say it.
fn has_address(
    emitter: &mut Emitter<'_>,
    inventory: Option<&Inventory>,
    gateway: &Gateway,
    address: IpAddr,
) -> Option<String> {
    let selected = inventory.map(|inventory| selected(inventory, gateway)).unwrap_or_default();
    let Some(first) = selected.first() else {
        return Some(format!("the first node by name that the selector matches has {address}"));
    };
    if first.addresses.contains(&address) {
        return None;
    }
    if let Some(other) = selected.iter().find(|node| node.addresses.contains(&address)) {
        let message = format!(
            "{address} of `{}` is on the node `{}`, and Cilium chooses `{}`, the first by name: it will drop what should \
             leave there",
            gateway.name, other.name, first.name
        );
        let help = "select the node that has the address alone, or put the address on the first node";
        emitter.notice(Level::Warning, "egress::target::gateway", Some(gateway.origin), message, help);
    }
    Some(format!("an interface of the node {} has {address}", first.name))
}

/// The nodes of a gateway in the order in which Cilium takes them.
fn selected<'i>(inventory: &'i Inventory, gateway: &Gateway) -> Vec<&'i Node> {
    let nodes = gateway.nodes.clone().unwrap_or_default();
    let mut selected: Vec<&Node> = inventory.nodes.iter().filter(|node| nodes.matches(&node.labels)).collect();
    selected.sort_by(|one, other| one.name.cmp(&other.name));
    selected
}

/// Says where no other node could take over, and that nobody watches the one that is taken.
fn failover(emitter: &mut Emitter<'_>, inventory: Option<&Inventory>, gateway: &Gateway) {
    let Some(inventory) = inventory else { return };
    let selected = selected(inventory, gateway);
    let name = &gateway.name;
    let (message, help) = match selected.as_slice() {
        [] => (
            format!("no node is one of `{name}`: Cilium drops what should leave there"),
            "label at least two nodes, or correct `nodes(…)`",
        ),
        [only] => (
            format!(
                "`{}` is the only node of `{name}`: while it is down, Cilium drops what should leave there",
                only.name
            ),
            "label another node, and let the address move with `managed` and kube-vip",
        ),
        _ => return,
    };
    emitter.notice(Level::Warning, "egress::target::gateway", Some(gateway.origin), message, help);
}

/// Why a requirement is no selector of Kubernetes.
fn unsayable(requirement: &Requirement) -> Option<String> {
    let key = requirement.key.as_str();
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if name.is_empty() || !is_label_value(name) || prefix.is_some_and(|prefix| !is_subdomain(prefix)) {
        return Some(format!("`{key}` is not a label key"));
    }
    let values = match &requirement.operator {
        Operator::In(values) | Operator::NotIn(values) => values,
        Operator::Exists | Operator::DoesNotExist => return None,
    };
    if values.is_empty() {
        return Some(format!("`{key}` is held against no value at all"));
    }
    let wrong = values.iter().find(|value| !is_label_value(value))?;
    Some(format!("`{wrong}` is not a label value"))
}
