//! What is wrong with a Service as a whole: whom it selects, where its address is, and what nobody can write better.

use super::super::annotations as name;
use super::super::lists::addresses;
use super::super::model::Service;
use super::{Mistake, Work, short};
use crate::lint::Level;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

/// Looks at a Service that asks for egress.
pub(super) fn check(work: &mut Work<'_>, service: &Service) {
    no_firewall(work, service);
    policy(work, service);
    pods(work, service);
    always(work, service);
}

/// KV001: the lists read like those of a firewall.
fn no_firewall(work: &mut Work<'_>, service: &Service) {
    let ours = service.labels.get("app.kubernetes.io/managed-by").is_some_and(|by| by == "egressc");
    let lists = [name::DENIED_NETWORKS, name::ALLOWED_NETWORKS, name::DESTINATION_PORTS];
    let Some((key, list)) = lists.into_iter().find_map(|key| Some((key, service.annotations.get(key)?))) else {
        return;
    };
    if ours {
        return;
    }
    let mistake = Mistake {
        code: "KV001",
        level: Level::Warning,
        message: format!("{} stops nothing", short(key)),
        happens: "kube-vip is no firewall: what its lists leave out is not dropped, it leaves with the address of the pod's node",
        fix: "let kube-vip choose the source address only, and drop what must not leave by another target: compile a policy \
              for nftables, ebpf or cilium",
    };
    work.find(service, list.span.clone(), mistake);
}

/// KV002: the address and the pod must be on one node.
fn policy(work: &mut Work<'_>, service: &Service) {
    if service.is_local() {
        return;
    }
    let (span, message) = match &service.policy {
        Some(policy) => (policy.span.clone(), format!("`externalTrafficPolicy` is `{}`", policy.value)),
        None => (service.name.span.clone(), "there is no `externalTrafficPolicy`, which means `Cluster`".to_owned()),
    };
    let mistake = Mistake {
        code: "KV002",
        level: Level::Error,
        message,
        happens: "the node that holds the address is any node, and rewrites only what passes through it: a pod on another node \
                  leaves with that node's address",
        fix: "write `externalTrafficPolicy: Local`",
    };
    work.find(service, span, mistake);
}

/// KV003: one pod is rewritten.
fn pods(work: &mut Work<'_>, service: &Service) {
    let span = service.selector_span.clone().unwrap_or(service.name.span.clone());
    let (level, message, happens) = match work.inventory {
        _ if service.selector.is_empty() => (Level::Error, "it selects no pods".to_owned(), NOBODY),
        None => return,
        Some(inventory) => {
            let pods = inventory.pods.iter().filter(|pod| service.selects(pod));
            let names: Vec<String> = pods.filter_map(|pod| pod.identity.name.clone()).collect();
            match names.as_slice() {
                [_] => return,
                [] => (Level::Warning, "its selector matches no pod of the inventory".to_owned(), NOBODY),
                [one, two, ..] => {
                    let message = format!("its selector matches {} pods, such as `{one}` and `{two}`", names.len());
                    (Level::Error, message, SOMEBODY)
                }
            }
        }
    };
    let fix = "select one pod by labels that no other pod of the namespace has, with a Service and an address for each pod; \
               or use a CiliumEgressGatewayPolicy, which takes any number";
    work.find(service, span, Mistake { code: "KV003", level, message, happens, fix });
}

const NOBODY: &str = "kube-vip brings the address up for Services that have a pod, so nothing is rewritten";
const SOMEBODY: &str =
    "only the first pod that kube-vip sees on its node is rewritten; every other pod leaves with its node's address";

/// KV013 and KV016: what no manifest can prevent.
fn always(work: &mut Work<'_>, service: &Service) {
    let span = service.annotations.get(name::EGRESS).map_or(service.name.span.clone(), |text| text.span.clone());
    let happens = if work.by_nftables(service) {
        "its chain has priority 100, as the masquerade of a CNI has. Of chains of one priority the kernel asks the one \
         registered last first, and the first that translates decides: when the CNI starts again after kube-vip, its \
         masquerade wins"
    } else {
        "its rule is put first in the chain POSTROUTING of the table nat; a CNI that puts its own there later comes before it"
    };
    let mistake = Mistake {
        code: "KV013",
        level: Level::Note,
        message: "another translation of sources can come before kube-vip's".to_owned(),
        happens,
        fix: "exempt the pod from the CNI's masquerade, or restart kube-vip whenever the CNI was restarted",
    };
    work.find(service, span.clone(), mistake);
    let mistake = Mistake {
        code: "KV016",
        level: Level::Note,
        message: "a pod that starts is not rewritten at once".to_owned(),
        happens: "kube-vip installs its rules when it sees the pod ready: until then the pod leaves with its node's address, and \
                  connections opened then keep it",
        fix: "let a filter drop what must leave through the gateway until the rules are there, or use a target that fails closed: \
              cilium, nftables or ebpf",
    };
    work.find(service, span, mistake);
}

/// The virtual addresses of a Service, with their places.
fn virtual_addresses(work: &Work<'_>, service: &Service) -> Vec<(IpAddr, Range<usize>)> {
    let Some(text) = service.annotations.get(name::ADDRESSES).or(service.address.as_ref()) else { return Vec::new() };
    let entries = addresses(&text.value).into_iter();
    entries.filter_map(|entry| Some((entry.value.ok()?, work.part(text, &entry.span)))).collect()
}

/// KV015: two Services with one address.
pub(super) fn shared_addresses(work: &mut Work<'_>) {
    let mut first: BTreeMap<IpAddr, &Service> = BTreeMap::new();
    let model = work.model;
    for service in model.services.iter().filter(|service| service.load_balancer) {
        for (address, span) in virtual_addresses(work, service) {
            let other = *first.entry(address).or_insert(service);
            if std::ptr::eq(other, service) || !(other.has_egress() || service.has_egress()) {
                continue;
            }
            let mistake = Mistake {
                code: "KV015",
                level: Level::Error,
                message: format!("`{address}` is the address of {} too", other.object()),
                happens: "each Service elects its own node: two nodes claim one address, and answers reach the wrong one",
                fix: "give each Service an address of its own",
            };
            work.find(service, span, mistake);
        }
    }
}

/// KV014: in iptables mode all Services share one chain.
pub(super) fn shared_chain(work: &mut Work<'_>) {
    let model = work.model;
    let by_iptables: Vec<&Service> =
        model.services.iter().filter(|service| service.has_egress() && !work.by_nftables(service)).collect();
    for service in &by_iptables {
        let Some(denied) = service.annotations.get(name::DENIED_NETWORKS).filter(|_| by_iptables.len() > 1) else {
            continue;
        };
        let mistake = Mistake {
            code: "KV014",
            level: Level::Warning,
            message: "in iptables mode these networks are denied to every Service".to_owned(),
            happens: "all Services share the chain KUBE-VIP-EGRESS, where a denied network ends the way of every packet: the \
                      other Services' pods are not rewritten there either",
            fix: "write `kube-vip.io/egress-internal: \"true\"` on every Service, which gives each a chain of its own",
        };
        work.find(service, denied.span.clone(), mistake);
    }
}
