//! What is wrong with one policy by itself.

use egress_ir::Prefix;

use super::super::labels::is_identity_key;
use super::super::model::{GatewayAddress, GatewayPolicy};
use super::{Known, finding};
use crate::lint::{Finding, Level};

pub(super) fn look(known: &Known<'_>, found: &mut Vec<Finding>) {
    let policy = known.policy;
    leaking_nodes(policy, found);
    unmatched_labels(policy, found);
    spread(policy, found);
    mixed_families(policy, found);
    idle_exclusions(policy, found);
    unnamed_addresses(policy, found);
}

/// Node selectors of all entries make one list for the whole policy.
fn leaking_nodes(policy: &GatewayPolicy, found: &mut Vec<Finding>) {
    let Some(first) = policy.sources.iter().find(|source| source.nodes.is_some()) else { return };
    if policy.sources.iter().all(|source| source.nodes == first.nodes) {
        return;
    }
    found.push(finding(policy, ("CG004", Level::Error), &first.place, [
        "`nodeSelector` stands in some entries of `selectors` and not alike in all".to_owned(),
        "Cilium mixes them: a pod that any entry matches counts if it runs on a node that any `nodeSelector` matches, and \
         entries without one are held to those of the others"
            .to_owned(),
        "make one policy of each entry".to_owned(),
    ]));
}

/// Labels that Cilium keeps out of identities are absent on every pod.
fn unmatched_labels(policy: &GatewayPolicy, found: &mut Vec<Finding>) {
    for source in &policy.sources {
        let never = |key: &str| !is_identity_key(key);
        for requirement in source.pods.requirements.iter().filter(|one| never(&one.key)) {
            let holds = requirement.operator.holds(None);
            let what = if holds { "every pod" } else { "no pod" };
            found.push(finding(
                policy,
                ("CG012", Level::Error),
                &source.place,
                [
                    format!("`{}` is no part of a pod's identity", requirement.key),
                    format!("the condition holds for {what}, whatever labels it has"),
                    "select by another label".to_owned(),
                ],
            ));
        }
    }
}

/// Several gateways are chosen from by a hash.
fn spread(policy: &GatewayPolicy, found: &mut Vec<Finding>) {
    let Some((first, others)) = policy.gateways.split_first() else { return };
    if let Some(other) = others.iter().find(|other| other.address != first.address) {
        found.push(finding(
            policy,
            ("CG008", Level::Warning),
            &other.place,
            [
                "gateways of one policy have different addresses".to_owned(),
                "each pod has one of them by a hash of its UID, and another one when a gateway's node comes or goes"
                    .to_owned(),
                "let the other side admit all of the addresses, or name one gateway".to_owned(),
            ],
        ));
    }
}

fn mixed_families(policy: &GatewayPolicy, found: &mut Vec<Finding>) {
    let has = |v6: bool| policy.destinations.iter().any(|placed| placed.value.address().is_ipv6() == v6);
    let fixed = policy.gateways.iter().find(|gateway| matches!(gateway.address, GatewayAddress::Fixed(_)));
    let (Some(gateway), true) = (fixed, has(false) && has(true)) else { return };
    found.push(finding(policy, ("CG009", Level::Warning), &gateway.place, [
        "`destinationCIDRs` holds both families, and `egressIP` is of one".to_owned(),
        "flows of the other family leave with the first address on the same interface, and where it has none Cilium may drop \
         the flows of both"
            .to_owned(),
        "make one policy for each family".to_owned(),
    ]));
}

/// An exclusion outside all destinations does nothing for its own policy.
fn idle_exclusions(policy: &GatewayPolicy, found: &mut Vec<Finding>) {
    for out in &policy.excluded {
        if !policy.destinations.iter().any(|placed| holds(placed.value, out.value)) {
            found.push(finding(
                policy,
                ("CG010", Level::Warning),
                &out.place,
                [
                    format!("`{}` is excluded and lies in no destination of the policy", out.value),
                    "it changes nothing here, and takes the addresses away from other policies for the same pods"
                        .to_owned(),
                    "leave it out".to_owned(),
                ],
            ));
        }
    }
}

fn unnamed_addresses(policy: &GatewayPolicy, found: &mut Vec<Finding>) {
    for gateway in &policy.gateways {
        let what = match &gateway.address {
            GatewayAddress::Fixed(_) => continue,
            GatewayAddress::Interface(name) => format!("the first address of `{name}`"),
            GatewayAddress::DefaultRoute => "the first address on the interface with the default route".to_owned(),
        };
        found.push(finding(
            policy,
            ("CG011", Level::Note),
            &gateway.place,
            [
                "no `egressIP` says which address the other side sees".to_owned(),
                format!("it is {what}, which differs from node to node"),
                "name the address with `egressIP`".to_owned(),
            ],
        ));
    }
}

/// Whether the whole of the second prefix is in the first.
pub(super) fn holds(outer: Prefix, inner: Prefix) -> bool {
    outer.length() <= inner.length() && outer.contains(inner.address())
}
