//! What is wrong with switches: annotations that are read by presence, by exact text, or the wrong way round.

use super::super::annotations as name;
use super::super::lists::addresses;
use super::super::model::Service;
use super::{Mistake, Work, short};
use crate::lint::{Finding, Level};

/// KV008 for the switch of egress itself, which other checks need on.
pub(super) fn egress(work: &mut Work<'_>, service: &Service) {
    let Some(text) = service.annotations.get(name::EGRESS) else { return };
    let meant = ["true", "yes", "on", "1", "enabled"].contains(&text.value.trim().to_ascii_lowercase().as_str());
    if service.load_balancer && meant && text.value != "true" {
        let mistake = Mistake {
            code: "KV008",
            level: Level::Error,
            message: format!("`egress` is `{}`, and only `true` switches it on", text.value),
            happens: "kube-vip compares the exact text: egress stays off, and nothing is rewritten",
            fix: "write `kube-vip.io/egress: \"true\"`",
        };
        work.find(service, text.span.clone(), mistake);
    }
}

/// Looks at the switches of a Service that asks for egress.
pub(super) fn check(work: &mut Work<'_>, service: &Service) {
    by_presence(work, service);
    internal_traffic(work, service);
    source_ports(work, service);
    families(work, service);
}

/// KV008: any text switches these on.
fn by_presence(work: &mut Work<'_>, service: &Service) {
    for key in [name::INTERNAL, name::DETECT_API_SERVER] {
        let Some(text) = service.annotations.get(key).filter(|text| !text.value.is_empty() && text.value != "true")
        else {
            continue;
        };
        let happens = if key == name::INTERNAL {
            "any text at all switches nftables mode on"
        } else {
            "any text at all adds the address of the API server to the denied networks"
        };
        let mistake = Mistake {
            code: "KV008",
            level: Level::Error,
            message: format!("{} is `{}`, which switches it on", short(key), text.value),
            happens,
            fix: "leave the annotation out to switch it off, and write `\"true\"` to switch it on",
        };
        work.find(service, text.span.clone(), mistake);
    }
}

/// KV009: it does the opposite of its name.
fn internal_traffic(work: &mut Work<'_>, service: &Service) {
    let Some(text) = service.annotations.get(name::NO_INTERNAL_TRAFFIC) else { return };
    let rewrites_inside = !text.value.is_empty() && text.value != "false";
    if rewrites_inside && service.annotation(name::DENIED_NETWORKS).is_empty() {
        let mistake = Mistake {
            code: "KV009",
            level: Level::Error,
            message: format!("{} is `{}`", short(name::NO_INTERNAL_TRAFFIC), text.value),
            happens: "it does the opposite of its name: the ranges of pods and services are no longer left out, so that traffic \
                      inside the cluster is rewritten too",
            fix: "leave it out, or name the cluster's ranges in `kube-vip.io/egress-denied-networks`",
        };
        work.find(service, text.span.clone(), mistake);
    }
}

/// KV010: it has no effect.
fn source_ports(work: &mut Work<'_>, service: &Service) {
    let Some(text) = service.annotations.get(name::SOURCE_PORTS) else { return };
    let mistake = Mistake {
        code: "KV010",
        level: Level::Warning,
        message: format!("{} does not limit what is rewritten", short(name::SOURCE_PORTS)),
        happens: "kube-vip reads it only where it forgets old connections: traffic is rewritten from every source port",
        fix: "leave it out",
    };
    work.find(service, text.span.clone(), mistake);
}

/// KV011: one family or the other, never both.
fn families(work: &mut Work<'_>, service: &Service) {
    let switch = service.annotations.get(name::IPV6);
    let v6 = service.annotation(name::IPV6) == "true";
    if let Some(text) =
        switch.filter(|text| !text.value.is_empty() && !["true", "false"].contains(&text.value.as_str()))
    {
        let mistake = Mistake {
            code: "KV011",
            level: Level::Error,
            message: format!("{} is `{}`, and only `true` switches it on", short(name::IPV6), text.value),
            happens: "kube-vip compares the exact text: IPv4 is rewritten, and IPv6 is not",
            fix: "write `kube-vip.io/egress-ipv6: \"true\"`",
        };
        return work.find(service, text.span.clone(), mistake);
    }
    let Some(text) = service.annotations.get(name::ADDRESSES).or(service.address.as_ref()) else { return };
    let (own, other) = if v6 { ("IPv6", "IPv4") } else { ("IPv4", "IPv6") };
    let happens = format!(
        "a Service rewrites one family: {own} here. What the pod sends by {other} leaves with its node's address, and a node that \
         is labelled with two addresses is refused its label"
    );
    for entry in addresses(&text.value).iter().filter(|entry| entry.value.is_ok_and(|address| address.is_ipv6() != v6))
    {
        let written = text.value.get(entry.span.clone()).unwrap_or_default().trim();
        let mistake = Mistake {
            code: "KV011",
            level: Level::Error,
            message: format!("the {other} address `{written}` is never used for sending"),
            happens: &happens,
            fix: "make two Services, one of each family, the one for IPv6 with `kube-vip.io/egress-ipv6: \"true\"` and `ipFamilies: [IPv6]`",
        };
        work.find(service, work.part(text, &entry.span), mistake);
    }
}

/// KV012: the ranges that are left out are not said.
pub(super) fn environment(work: &mut Work<'_>) {
    let model = work.model;
    let relies = |service: &&Service| {
        let said = service.annotation(name::NO_INTERNAL_TRAFFIC);
        let keeps_inside = said.is_empty() || said == "false" || !work.by_nftables(service);
        service.has_egress() && keeps_inside
    };
    let relying: Vec<&Service> = model.services.iter().filter(relies).collect();
    let happens = "kube-vip leaves out what it believes to be the cluster: the range of the pod's own node as the API has it, or else \
                   10.0.0.0/16 and 10.96.0.0/12. What it is wrong about is rewritten inside the cluster, or not rewritten outside of it";
    let fix = "set `egress_podcidr` and `egress_servicecidr` in kube-vip's environment";
    for daemon in &model.daemons {
        let missing = [name::ENV_POD_CIDR, name::ENV_SERVICE_CIDR];
        let missing =
            missing.into_iter().filter(|key| daemon.environment.get(*key).is_none_or(|text| text.value.is_empty()));
        let missing: Vec<String> = missing.map(|key| format!("`{key}`")).collect();
        if missing.is_empty() || relying.is_empty() {
            continue;
        }
        work.findings.push(Finding {
            code: "KV012",
            level: Level::Warning,
            span: daemon.span.clone(),
            object: daemon.object.clone(),
            message: format!("kube-vip is not told {}", missing.join(" and ")),
            happens: happens.to_owned(),
            fix: fix.to_owned(),
        });
    }
    if model.daemons.is_empty() {
        for service in relying {
            let span =
                service.annotations.get(name::EGRESS).map_or(service.name.span.clone(), |text| text.span.clone());
            let message =
                "which ranges are left out depends on kube-vip's environment, which is not in this file".to_owned();
            work.find(service, span, Mistake { code: "KV012", level: Level::Note, message, happens, fix });
        }
    }
}
