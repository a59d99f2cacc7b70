//! Egress gateway policies: checked as the API server and the agent check them, but not modelled.

use super::super::yaml::Node;
use super::reader::{Fields, Reader};
use super::{Stage, peer, selector};

/// Checks the `spec` of a `CiliumEgressGatewayPolicy`.
pub(super) fn check(reader: &mut Reader, fields: &Fields<'_>) {
    reader.field(fields, "spec", |reader, node| {
        let known = ["selectors", "destinationCIDRs", "excludedCIDRs", "egressGateway", "egressGateways"];
        let spec = reader.map(node, &known)?;
        for required in ["selectors", "destinationCIDRs", "egressGateway"] {
            if !spec.has(required) {
                reader.problem(Stage::Schema, node, format!("`{required}` is required"));
            }
        }
        reader.field(&spec, "selectors", |reader, node| reader.list(node, source));
        reader.field(&spec, "destinationCIDRs", |reader, node| reader.list(node, peer::prefix));
        reader.field(&spec, "excludedCIDRs", |reader, node| reader.list(node, peer::prefix));
        reader.field(&spec, "egressGateway", gateway);
        reader.field(&spec, "egressGateways", |reader, node| reader.list(node, gateway));
        Some(())
    });
}

fn source(reader: &mut Reader, node: &Node) -> Option<()> {
    let fields = reader.map(node, &["namespaceSelector", "nodeSelector", "podSelector"])?;
    for key in ["namespaceSelector", "nodeSelector", "podSelector"] {
        reader.field(&fields, key, labels);
    }
    if !fields.has("namespaceSelector") && !fields.has("podSelector") {
        reader.problem(Stage::Agent, node, "a selector needs a namespace selector or a pod selector");
    }
    Some(())
}

fn gateway(reader: &mut Reader, node: &Node) -> Option<()> {
    let fields = reader.map(node, &["nodeSelector", "interface", "egressIP"])?;
    if !fields.has("nodeSelector") {
        reader.problem(Stage::Schema, node, "`nodeSelector` is required");
    }
    reader.field(&fields, "nodeSelector", labels);
    let interface = reader.field(&fields, "interface", Reader::text).unwrap_or_default();
    let address = reader.field(&fields, "egressIP", |reader, node| {
        let text = reader.text(node)?;
        // The API's own rule: empty, or an address.
        if !text.is_empty() && text.parse::<std::net::IpAddr>().is_err() {
            reader.problem(Stage::Schema, node, format!("`{text}` is not an address"));
        }
        Some(text)
    });
    if !interface.is_empty() && !address.unwrap_or_default().is_empty() {
        reader.problem(Stage::Agent, node, "a gateway cannot have both an interface and an egress address");
    }
    Some(())
}

fn labels(reader: &mut Reader, node: &Node) -> Option<()> {
    selector::read(reader, node, selector::Keys::Kubernetes).map(|_| ())
}
