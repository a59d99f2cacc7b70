//! Managed addresses without routing: a Service for each, and pods that hold its place on the gateway's nodes.
//!
//! In: the gateways that rules name. Out: for each managed address the Service that makes kube-vip bring it up, and a
//! DaemonSet of pods that do nothing. kube-vip elects, for a Service with `externalTrafficPolicy: Local`, among the nodes
//! that have a pod behind it; so the pods decide on which nodes the address may be, and a node that fails loses its pod
//! and the address moves. The elected node bears the label that [`super::node_label`] names.

use super::super::annotations as name;
use super::objects::{finished, metadata, place, service_object};
use super::{Emitter, Options, service_name};
use crate::cilium::emit::render::{Yaml, document, map, text};
use egress_ir::{Gateway, GatewayId, Operator, Requirement, Selector};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The whole file.
pub(super) fn write(emitter: &mut Emitter<'_>, options: &Options) -> Vec<u8> {
    let used: BTreeSet<GatewayId> = emitter.rules().map(|(_, _, gateway)| gateway).collect();
    let mut out = String::from("# Written by egressc; change the source instead.\n");
    for line in ASSUMED {
        out.push_str(&format!("# {line}\n"));
    }
    nothing_managed(emitter, &used);
    let Some(image) = &options.image else {
        emitter.needs_image();
        return Vec::new();
    };
    for id in used {
        let gateway = emitter.program.gateways.at(id);
        let addresses = [false, true].map(|v6| first_managed(gateway, v6));
        let addresses: Vec<IpAddr> = addresses.into_iter().flatten().collect();
        let fits = |address: &IpAddr| {
            let name = service_name(&gateway.name, address.is_ipv6());
            emitter.fits(&format!("{name}.{}", options.namespace), gateway.origin)
        };
        if addresses.is_empty() || !addresses.iter().all(fits) {
            continue;
        }
        let comment = format!(
            "gateway {} ({})",
            gateway.name,
            place(emitter.program, emitter.program.origins.entries.at(gateway.origin))
        );
        out.push_str(&document(&[comment], &holders(gateway, image, options)));
        for address in addresses {
            out.push_str(&document(&[], &service(gateway, address, options)));
        }
    }
    out.into_bytes()
}

const ASSUMED: [&str; 4] = [
    "kube-vip must run on the nodes of these gateways with svc_enable=true, svc_election=true, vip_arp=true and",
    "enable_node_labeling=true. It elects a node among those that have a pod of the DaemonSet, brings the address up there,",
    "and labels that node; the CiliumEgressGatewayPolicy of the same compile chooses its node by that label.",
    "Nothing here rewrites or filters traffic.",
];

/// Refuses to write a file without objects: somebody expects the addresses to be brought up.
fn nothing_managed(emitter: &mut Emitter<'_>, used: &BTreeSet<GatewayId>) {
    let gateways = used.iter().map(|id| emitter.program.gateways.at(*id));
    let managed = gateways.clone().any(|gateway| gateway.addresses.iter().any(|address| address.managed));
    if let Some(first) = gateways.clone().next().filter(|_| !managed) {
        let (origin, name) = (first.origin, &first.name);
        let message =
            format!("no address of gateway `{name}` or any other is `managed`, so that kube-vip has nothing to do");
        emitter.refuse(origin, message, "write `address … managed`, or leave kube-vip out of the targets");
    }
}

pub(super) fn first_managed(gateway: &Gateway, v6: bool) -> Option<IpAddr> {
    let mut managed = gateway.addresses.iter().filter(|it| it.managed).map(|it| it.address);
    managed.find(|address| address.is_ipv6() == v6)
}

fn service(gateway: &Gateway, address: IpAddr, options: &Options) -> Yaml {
    let pairs = vec![(name::ADDRESSES, address.to_string()), ("egressc/gateway", gateway.name.clone())];
    let metadata =
        metadata(&service_name(&gateway.name, address.is_ipv6()), &options.namespace, finished(pairs, options));
    service_object(metadata, address, "Local", label(gateway))
}

fn label(gateway: &Gateway) -> Yaml {
    map([("egressc/gateway", text(&gateway.name))])
}

/// The pods that hold the place of the addresses.
fn holders(gateway: &Gateway, image: &str, options: &Options) -> Yaml {
    let container = map([
        ("name", text("place")),
        ("image", text(image)),
        ("resources", map([("requests", map([("cpu", text("1m")), ("memory", text("4Mi"))]))])),
        (
            "securityContext",
            map([
                ("allowPrivilegeEscalation", Yaml::Bool(false)),
                ("readOnlyRootFilesystem", Yaml::Bool(true)),
                ("runAsNonRoot", Yaml::Bool(true)),
                ("runAsUser", Yaml::Number(65_535)),
            ]),
        ),
    ]);
    let mut pod = vec![
        ("automountServiceAccountToken".to_owned(), Yaml::Bool(false)),
        ("containers".to_owned(), Yaml::list([container])),
    ];
    pod.extend(
        gateway
            .nodes
            .as_ref()
            .filter(|nodes| !nodes.0.is_empty())
            .map(|nodes| ("affinity".to_owned(), affinity(nodes))),
    );
    let template = map([("metadata", map([("labels", label(gateway))])), ("spec", Yaml::Map(pod))]);
    let spec = map([("selector", map([("matchLabels", label(gateway))])), ("template", template)]);
    let own = format!("egress-{}", gateway.name);
    let metadata =
        metadata(&own, &options.namespace, finished(vec![("egressc/gateway", gateway.name.clone())], options));
    map([("apiVersion", text("apps/v1")), ("kind", text("DaemonSet")), ("metadata", metadata), ("spec", spec)])
}

/// The gateway's nodes and no others.
fn affinity(nodes: &Selector) -> Yaml {
    let expressions = Yaml::list(nodes.0.iter().map(expression));
    let terms = Yaml::list([map([("matchExpressions", expressions)])]);
    let required = map([("requiredDuringSchedulingIgnoredDuringExecution", map([("nodeSelectorTerms", terms)]))]);
    map([("nodeAffinity", required)])
}

fn expression(requirement: &Requirement) -> Yaml {
    let listed = |values: &BTreeSet<String>| Some(Yaml::list(values.iter().map(text)));
    let (operator, values) = match &requirement.operator {
        Operator::In(values) => ("In", listed(values)),
        Operator::NotIn(values) => ("NotIn", listed(values)),
        Operator::Exists => ("Exists", None),
        Operator::DoesNotExist => ("DoesNotExist", None),
    };
    let mut fields = vec![("key".to_owned(), text(&requirement.key)), ("operator".to_owned(), text(operator))];
    fields.extend(values.map(|values| ("values".to_owned(), values)));
    Yaml::Map(fields)
}
