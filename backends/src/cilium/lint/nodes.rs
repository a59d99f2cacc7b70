//! What the nodes of an inventory show about a policy.

use egress_ir::{Inventory, Node};

use super::super::model::{GatewayAddress, GatewayPolicy};
use super::finding;
use crate::lint::{Finding, Level};

pub(super) fn look(policy: &GatewayPolicy, inventory: &Inventory, found: &mut Vec<Finding>) {
    for gateway in &policy.gateways {
        let mut selected: Vec<&Node> =
            inventory.nodes.iter().filter(|node| gateway.nodes.matches(&node.labels)).collect();
        selected.sort_by(|one, other| one.name.cmp(&other.name));
        let mut say = |what, texts| found.push(finding(policy, what, &gateway.place, texts));
        let Some(first) = selected.first() else {
            say(
                ("CG005", Level::Error),
                [
                    "no node matches `nodeSelector`".to_owned(),
                    "Cilium drops what should leave there".to_owned(),
                    "label nodes, or correct the selector".to_owned(),
                ],
            );
            continue;
        };
        if selected.len() == 1 && policy.gateways.len() == 1 {
            say(
                ("CG006", Level::Warning),
                [
                    format!("`{}` is the only node that matches", first.name),
                    "while it is down, Cilium drops what should leave there; nobody looks whether it is well"
                        .to_owned(),
                    "label another node, and let the address move with it".to_owned(),
                ],
            );
        }
        let GatewayAddress::Fixed(address) = gateway.address else { continue };
        if first.addresses.contains(&address) {
            continue;
        }
        let elsewhere = inventory.nodes.iter().find(|node| node.addresses.contains(&address));
        match elsewhere {
            Some(node) => say(
                ("CG007", Level::Error),
                [
                    format!(
                        "`{address}` is an address of `{}`, and the first node that matches is `{}`",
                        node.name, first.name
                    ),
                    "Cilium takes the first node by name; that one does not have the address, so it drops the flows"
                        .to_owned(),
                    format!("select `{}` alone, or move the address", node.name),
                ],
            ),
            None => say(
                ("CG007", Level::Note),
                [
                    format!("`{address}` is not among the addresses that `{}` reports", first.name),
                    "if no interface of that node has it, Cilium drops the flows".to_owned(),
                    format!("see on `{}` that it is there: `ip address show to {address}`", first.name),
                ],
            ),
        }
    }
}
