//! Flows and places as objects, in the stable form that `docs/json.md` describes.
//!
//! In: a flow, or a stretch of a file. Out: what serialises, with keys in a fixed order.

use crate::place::{Index, Position};
use egress_compiler::source::Place;
use egress_ir::{Flow, Labels, Workload, protocol};
use serde::Serialize;
use std::collections::BTreeSet;

/// A flow as an object.
#[must_use]
pub fn flow(flow: &Flow) -> FlowObject<'_> {
    let number = flow.port.number();
    let (port, icmp) = match flow.port.protocol() {
        protocol::TCP | protocol::UDP | protocol::SCTP => (Some(number), None),
        protocol::ICMP | protocol::ICMPV6 => (None, Some(Icmp { kind: number >> 8, code: number & 0xff })),
        _ => (None, None),
    };
    FlowObject {
        text: flow.to_string(),
        from: match &flow.workload {
            Workload::Address(address) => From::Address { address: address.to_string() },
            Workload::Pod(pod) => From::Pod {
                namespace: &pod.namespace,
                name: pod.name.as_deref(),
                labels: &pod.labels,
                namespace_labels: &pod.namespace_labels,
                service_account: &pod.service_account,
            },
        },
        address: flow.destination.address.to_string(),
        names: &flow.destination.names,
        protocol: flow.port.protocol(),
        port,
        icmp,
    }
}

/// A stretch of a file as an object, if the file is of this unit.
#[must_use]
pub fn place<'s>(index: &Index<'s>, place: Place) -> Option<PlaceObject<'s>> {
    let lines = index.file(place.source)?;
    let (start, end) = (lines.position(place.span.start), lines.position(place.span.end));
    Some(PlaceObject { file: &lines.source.path, start, end })
}

/// A stretch of a file.
#[derive(Serialize)]
pub struct PlaceObject<'r> {
    file: &'r str,
    start: Position,
    end: Position,
}

/// A flow.
#[derive(Serialize)]
pub struct FlowObject<'f> {
    text: String,
    from: From<'f>,
    address: String,
    names: &'f BTreeSet<String>,
    protocol: u8,
    port: Option<u16>,
    icmp: Option<Icmp>,
}

#[derive(Serialize)]
struct Icmp {
    #[serde(rename = "type")]
    kind: u16,
    code: u16,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum From<'f> {
    Address {
        address: String,
    },
    Pod {
        namespace: &'f str,
        name: Option<&'f str>,
        labels: &'f Labels,
        namespace_labels: &'f Labels,
        service_account: &'f str,
    },
}
