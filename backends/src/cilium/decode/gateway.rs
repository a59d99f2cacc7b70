//! Egress gateway policies.
//!
//! In: the `spec` of a `CiliumEgressGatewayPolicy`. Out: the policy, or nothing after a problem was noted. Checked as the
//! API server and the agent check it.

use std::net::IpAddr;

use egress_ir::{Operator, Requirement, Selector};

use super::super::labels::{LabelRequirement, NAMESPACE, NAMESPACE_LABELS, Source};
use super::super::model::{GatewayAddress, GatewayNode, GatewayPolicy, GatewaySource, ObjectName, Placed};
use super::super::yaml::Node;
use super::reader::{Fields, Reader};
use super::selector::{self, RawSelector};
use super::{Stage, peer};

/// Most entries of `egressGateways`.
const MAX_GATEWAYS: usize = 64;

/// Reads a `CiliumEgressGatewayPolicy`.
pub(super) fn read(reader: &mut Reader, fields: &Fields<'_>, object: ObjectName) -> Option<GatewayPolicy> {
    if !fields.has("spec") {
        reader.problem(Stage::Schema, fields.node, "`spec` is required");
    }
    let place = fields.node.span.clone();
    reader.field(fields, "spec", |reader, node| {
        let known = ["selectors", "destinationCIDRs", "excludedCIDRs", "egressGateway", "egressGateways"];
        let spec = reader.map(node, &known)?;
        for required in ["selectors", "destinationCIDRs", "egressGateway"] {
            if !spec.has(required) {
                reader.problem(Stage::Schema, node, format!("`{required}` is required"));
            }
        }
        let sources = reader.field(&spec, "selectors", |reader, node| reader.list(node, source));
        let destinations = reader.field(&spec, "destinationCIDRs", |reader, node| reader.list(node, prefix));
        let excluded = reader.field(&spec, "excludedCIDRs", |reader, node| reader.list(node, prefix));
        let single = reader.field(&spec, "egressGateway", gateway);
        let several = reader.field(&spec, "egressGateways", |reader, node| {
            let entries = reader.list(node, gateway)?;
            if entries.len() > MAX_GATEWAYS {
                reader.problem(Stage::Schema, node, format!("has more than {MAX_GATEWAYS} entries"));
            }
            Some(entries)
        });
        let gateways = several.filter(|several| !several.is_empty()).or(single.map(|single| vec![single]))?;
        let (sources, destinations) = (sources?, destinations?);
        Some(GatewayPolicy { object, place, sources, destinations, excluded: excluded.unwrap_or_default(), gateways })
    })
}

fn prefix(reader: &mut Reader, node: &Node) -> Option<Placed<egress_ir::Prefix>> {
    peer::prefix(reader, node).map(|value| Placed { value, place: node.span.clone() })
}

/// An entry of `selectors`: both selectors become one over the labels of identities.
fn source(reader: &mut Reader, node: &Node) -> Option<GatewaySource> {
    let fields = reader.map(node, &["namespaceSelector", "nodeSelector", "podSelector"])?;
    let namespaces = reader.field(&fields, "namespaceSelector", kubernetes);
    let pods = reader.field(&fields, "podSelector", kubernetes);
    let nodes = reader.field(&fields, "nodeSelector", kubernetes).map(plain);
    if !fields.has("namespaceSelector") && !fields.has("podSelector") {
        reader.problem(Stage::Agent, node, "a selector needs a namespace selector or a pod selector");
        return None;
    }
    let mut both = RawSelector::default();
    if let Some(namespaces) = namespaces {
        let of_namespace = |mut requirement: LabelRequirement| {
            requirement.key = format!("{NAMESPACE_LABELS}.{}", requirement.key);
            requirement
        };
        both.labels.extend(namespaces.labels.into_iter().map(of_namespace));
        both.expressions.extend(namespaces.expressions.into_iter().map(of_namespace));
        if both.labels.is_empty() && both.expressions.is_empty() {
            let (source, key, operator) = (Source::K8s, NAMESPACE.to_owned(), Operator::Exists);
            both.expressions.push(LabelRequirement { source, key, operator });
        }
    }
    if let Some(pods) = pods {
        // The two maps of labels are laid over each other, and what the pods' one says holds.
        for label in pods.labels {
            both.labels.retain(|known| known.key != label.key);
            both.labels.push(label);
        }
        both.expressions.extend(pods.expressions);
    }
    Some(GatewaySource { pods: both.finish(), nodes, place: node.span.clone() })
}

fn gateway(reader: &mut Reader, node: &Node) -> Option<GatewayNode> {
    let fields = reader.map(node, &["nodeSelector", "interface", "egressIP"])?;
    if !fields.has("nodeSelector") {
        reader.problem(Stage::Schema, node, "`nodeSelector` is required");
    }
    let nodes = reader.field(&fields, "nodeSelector", kubernetes).map(plain);
    let interface = reader.field(&fields, "interface", Reader::text).unwrap_or_default();
    let address = reader.field(&fields, "egressIP", |reader, node| {
        let text = reader.text(node)?;
        let address = text.parse::<IpAddr>().ok();
        // The API's own rule: empty, or an address.
        if !text.is_empty() && address.is_none() {
            reader.problem(Stage::Schema, node, format!("`{text}` is not an address"));
        }
        address
    });
    let address = match (interface, address) {
        ("", None) => GatewayAddress::DefaultRoute,
        ("", Some(address)) => GatewayAddress::Fixed(address),
        (interface, None) => GatewayAddress::Interface(interface.to_owned()),
        (_, Some(_)) => {
            reader.problem(Stage::Agent, node, "a gateway cannot have both an interface and an egress address");
            return None;
        }
    };
    Some(GatewayNode { nodes: nodes?, address, place: node.span.clone() })
}

fn kubernetes(reader: &mut Reader, node: &Node) -> Option<RawSelector> {
    selector::read(reader, node, selector::Keys::Kubernetes)
}

/// A selector of nodes: all their labels count, under their own keys.
fn plain(raw: RawSelector) -> Selector {
    let requirement = |LabelRequirement { key, operator, .. }| Requirement { key, operator };
    Selector(raw.finish().requirements.into_iter().map(requirement).collect())
}
