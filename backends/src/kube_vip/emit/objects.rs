//! The objects as YAML, with what people said about the rules, and what is taken for granted.

use super::super::annotations as name;
use super::super::settings::Settings;
use super::selector::shown;
use super::{Options, Planned};
use crate::cilium::emit::render::{Yaml, document, map, text};
use egress_ir::{Origin, Prefix, Program, RuleId, protocol};
use std::net::IpAddr;

/// The port of a Service, which must have one: that of the discard protocol (RFC 863), where nothing listens.
const UNUSED_PORT: u32 = 9;

/// The whole file.
pub(super) fn file(program: &Program, options: &Options, services: &[Planned<'_>]) -> Vec<u8> {
    let mut out = String::from("# Written by egressc; change the source instead.\n");
    for line in assumed(program) {
        out.push_str(&format!("# {line}\n"));
    }
    for service in services {
        out.push_str(&document(&comments(program, service), &object(program, options, service)));
    }
    out.into_bytes()
}

/// What must hold for these objects to do what they say.
fn assumed(program: &Program) -> Vec<String> {
    let settings = Settings::assumed(program);
    let mut lines = vec![
        "kube-vip only chooses source addresses: another artifact must drop what the policy denies.".to_owned(),
        "It must run with svc_enable=true and svc_election=true on every node that has one of these pods, and with"
            .to_owned(),
    ];
    let cidrs = [(name::ENV_POD_CIDR, settings.pod_cidr), (name::ENV_SERVICE_CIDR, settings.service_cidr)];
    lines.extend(cidrs.into_iter().filter_map(|(key, value)| Some(format!("  {key}={}", value?))));
    lines.push(
        "No other chain that translates sources at priority 100, such as a CNI's masquerade, may be registered after"
            .to_owned(),
    );
    lines.push(
        "its own: the last one decides. A pod that starts leaves with its node's address until its rules are there."
            .to_owned(),
    );
    lines
}

fn comments(program: &Program, service: &Planned<'_>) -> Vec<String> {
    let gateway = program.origins.entries.at(service.gateway.origin);
    let mut lines =
        vec![format!("gateway {} ({}), pod {}", service.gateway.name, place(program, gateway), shown(service.pod))];
    lines.extend(service.rules.iter().map(|&rule| remark(program, rule, true)));
    lines
}

fn object(program: &Program, options: &Options, service: &Planned<'_>) -> Yaml {
    let selector = service.selector.iter().map(|(key, value)| (key.clone(), text(value)));
    let metadata = metadata(&service.name, &service.pod.identity.namespace, annotations(program, options, service));
    service_object(metadata, service.address, "Local", Yaml::Map(selector.collect()))
}

/// A Service that brings one address up.
pub(super) fn service_object(metadata: Yaml, address: IpAddr, policy: &str, selector: Yaml) -> Yaml {
    let (family, nobody) = if address.is_ipv6() { ("IPv6", "::1/128") } else { ("IPv4", "127.0.0.1/32") };
    let port = map([
        ("name", text("unused")),
        ("protocol", text("TCP")),
        ("port", Yaml::Number(UNUSED_PORT)),
        ("targetPort", Yaml::Number(UNUSED_PORT)),
    ]);
    let spec = map([
        ("type", text("LoadBalancer")),
        ("loadBalancerClass", text(name::CLASS)),
        ("externalTrafficPolicy", text(policy)),
        ("ipFamilyPolicy", text("SingleStack")),
        ("ipFamilies", Yaml::list([text(family)])),
        // The address is for sending: nobody comes in by it.
        ("loadBalancerSourceRanges", Yaml::list([text(nobody)])),
        ("allocateLoadBalancerNodePorts", Yaml::Bool(false)),
        ("selector", selector),
        ("ports", Yaml::list([port])),
    ]);
    map([("apiVersion", text("v1")), ("kind", text("Service")), ("metadata", metadata), ("spec", spec)])
}

pub(super) fn metadata(own: &str, namespace: &str, annotations: Vec<(String, Yaml)>) -> Yaml {
    map([
        ("name", text(own)),
        ("namespace", text(namespace)),
        ("labels", map([("app.kubernetes.io/managed-by", text("egressc"))])),
        ("annotations", Yaml::Map(annotations)),
    ])
}

fn annotations(program: &Program, options: &Options, service: &Planned<'_>) -> Vec<(String, Yaml)> {
    let lists = &service.lists;
    let mut pairs = vec![
        (name::ADDRESSES, service.address.to_string()),
        (name::EGRESS, "true".to_owned()),
        (name::INTERNAL, "true".to_owned()),
        // kube-vip then leaves out no ranges but those that are denied here, whatever it believes of the cluster.
        (name::NO_INTERNAL_TRAFFIC, "true".to_owned()),
    ];
    if service.address.is_ipv6() {
        pairs.push((name::IPV6, "true".to_owned()));
    }
    let ports = lists.ports.iter().map(|(protocol, number)| format!("{}:{number}", protocol_name(*protocol)));
    let prefixes = |prefixes: &[Prefix]| prefixes.iter().map(Prefix::to_string).collect::<Vec<_>>();
    let of = [
        (name::DESTINATION_PORTS, ports.collect::<Vec<_>>()),
        (name::ALLOWED_NETWORKS, prefixes(&lists.allowed)),
        (name::DENIED_NETWORKS, prefixes(&lists.denied)),
    ];
    pairs.extend(of.into_iter().filter(|(_, list)| !list.is_empty()).map(|(key, list)| (key, list.join(","))));
    let rules = service.rules.iter().map(|&rule| remark(program, rule, false)).collect::<Vec<_>>().join("\n");
    pairs.extend([("egressc/gateway", service.gateway.name.clone()), ("egressc/rules", rules)]);
    finished(pairs, options)
}

/// The annotations with the digest of the source, if there is one.
pub(super) fn finished(pairs: Vec<(&str, String)>, options: &Options) -> Vec<(String, Yaml)> {
    let digest = Some(("egressc/source-digest", options.source_digest.clone())).filter(|(_, value)| !value.is_empty());
    pairs.into_iter().chain(digest).map(|(key, value)| (key.to_owned(), text(value))).collect()
}

fn protocol_name(number: u8) -> &'static str {
    match number {
        protocol::TCP => "tcp",
        protocol::UDP => "udp",
        // INVARIANT: `choice` names ports of these three only.
        _ => "sctp",
    }
}

/// `shop#2 (shop.egress:12): card payments [SEC-1042] until 2027-03-31`.
fn remark(program: &Program, rule: RuleId, with_place: bool) -> String {
    let origin = program.origins.entries.at(program.rules.at(rule).origin);
    let mut remark = origin.name.clone();
    if with_place {
        remark.push_str(&format!(" ({})", place(program, origin)));
    }
    let because = origin.because.as_ref().map(|because| format!(": {because}"));
    let ticket = origin.ticket.as_ref().map(|ticket| format!(" [{ticket}]"));
    let until = origin.until.map(|until| format!(" until {until}"));
    [because, ticket, until].into_iter().flatten().for_each(|part| remark.push_str(&part));
    remark
}

/// `shop.egress:12`.
pub(super) fn place(program: &Program, origin: &Origin) -> String {
    format!("{}:{}", program.origins.sources.at(origin.source), origin.line)
}
