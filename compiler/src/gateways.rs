//! Gateways as they are declared: addresses that the outside can tell apart, and nodes that can hold them.
//!
//! In: a unit, its program and, if there is one, an inventory. Out: `egress::gateway::address` and
//! `egress::gateway::nodes`. Which rules use a gateway, and whether two of them disagree, is found by [`crate::check`];
//! what a target needs beyond this, by the target.

use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::source::Place;
use crate::unit::Unit;
use egress_ir::{Inventory, Program};
use egress_lang::ast::{Gateway, Item};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Something wrong with a gateway.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GatewayError {
    /// No host can send with this source address.
    #[error("the gateway `{gateway}` cannot have the address `{address}`, which {why}")]
    Address {
        /// The gateway's name.
        gateway: String,
        /// The address.
        address: IpAddr,
        /// What is wrong with it.
        why: &'static str,
        /// The address.
        place: Place,
    },
    /// Two gateways look the same from outside.
    #[error("the gateways `{first}` and `{second}` have the same address `{address}`")]
    Shared {
        /// The gateway that comes first in the unit.
        first: String,
        /// The other; the same one where an address is written twice.
        second: String,
        /// The address.
        address: IpAddr,
        /// Where the first has it.
        known: Place,
        /// Where the other has it.
        place: Place,
    },
    /// Too few nodes for a fail-over.
    #[error("{} of the inventory {} the nodes of the gateway `{gateway}`", counted(*.matching), if *.matching == 1 { "is among" } else { "are among" })]
    Nodes {
        /// The gateway's name.
        gateway: String,
        /// How many nodes match: none, or one.
        matching: usize,
        /// The gateway's name where it is declared.
        place: Place,
    },
}

fn counted(nodes: usize) -> String {
    match nodes {
        0 => "no nodes".to_owned(),
        1 => "only 1 node".to_owned(),
        nodes => format!("{nodes} nodes"),
    }
}

/// Finds what is wrong with the gateways of a unit.
pub(crate) fn check(unit: Unit<'_>, program: &Program, inventory: Option<&Inventory>) -> Vec<GatewayError> {
    let mut errors = Vec::new();
    let mut known: BTreeMap<IpAddr, (String, Place)> = BTreeMap::new();
    for (source, item) in unit.items() {
        let Item::Gateway(gateway) = item else { continue };
        let at = |span| Place::new(source, span);
        for written in &gateway.addresses {
            let Some(address) = written.ip.node else { continue };
            let (name, place) = (gateway.name.text.clone(), at(written.ip.span));
            if let Some(why) = unusable(address) {
                errors.push(GatewayError::Address { gateway: name, address, why, place });
            } else if let Some((first, known)) = known.get(&address) {
                let (first, known) = (first.clone(), *known);
                errors.push(GatewayError::Shared { first, second: name, address, known, place });
            } else {
                known.insert(address, (name, place));
            }
        }
        // An inventory without any node was taken of pods alone.
        if let Some(inventory) = inventory.filter(|inventory| !inventory.nodes.is_empty()) {
            errors.extend(nodes(gateway, at(gateway.name.span), program, inventory));
        }
    }
    errors
}

/// Why nobody can be seen with this address.
fn unusable(address: IpAddr) -> Option<&'static str> {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    match address {
        _ if address.is_unspecified() => Some("is no address of a host"),
        _ if address.is_multicast() || broadcast => Some("stands for many hosts"),
        _ if address.is_loopback() => Some("never leaves a host"),
        _ => None,
    }
}

/// Whether enough nodes can hold a gateway that names its nodes.
fn nodes(written: &Gateway, place: Place, program: &Program, inventory: &Inventory) -> Option<GatewayError> {
    let gateway = program.gateways.values().find(|gateway| gateway.name == written.name.text)?;
    let selector = gateway.nodes.as_ref()?;
    let matching = inventory.nodes.iter().filter(|node| selector.matches(&node.labels)).count();
    (matching < 2).then(|| GatewayError::Nodes { gateway: gateway.name.clone(), matching, place })
}

impl GatewayError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } | Self::Shared { .. } => "egress::gateway::address",
            Self::Nodes { .. } => "egress::gateway::nodes",
        }
    }
}

impl From<GatewayError> for Diagnostic {
    fn from(error: GatewayError) -> Self {
        let severity = match error {
            GatewayError::Address { .. } | GatewayError::Shared { .. } => Severity::Error,
            GatewayError::Nodes { .. } => Severity::Warning,
        };
        let diagnostic = Diagnostic::new(error.code(), severity, error.to_string());
        match error {
            GatewayError::Address { place, .. } => diagnostic
                .label(Label::primary(place, "not a source address"))
                .help("name an address that the outside can answer to"),
            GatewayError::Shared { known, place, .. } => diagnostic
                .label(Label::primary(place, "the outside cannot tell which one a flow left through"))
                .label(Label::context(known, "first named here"))
                .help("give each gateway addresses of its own, or use one gateway in both places"),
            GatewayError::Nodes { matching, place, .. } => {
                let (what, help) = if matching == 0 {
                    (
                        "nobody can hold it",
                        "compare the selector with the labels of the nodes, or take a newer inventory",
                    )
                } else {
                    ("no other node can take over", "label a second node, so that flows survive the loss of the first")
                };
                diagnostic.label(Label::primary(place, what)).help(help)
            }
        }
    }
}
