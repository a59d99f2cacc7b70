//! From a Service to its chain, step by step as kube-vip goes, with every way in which it goes wrong.

use super::super::annotations as name;
use super::super::lists::{self, Network, NoNetwork};
use super::super::model::Service;
use super::super::settings::Settings;
use super::{Chain, MAX_EXPRESSIONS, SnatRule};
use egress_ir::{Family, Inventory, RunningPod, protocol};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Why there is no chain.
pub(super) enum Stop {
    /// There is none.
    Nothing(String),
    /// Nobody can say.
    Unclear(String),
}

type Range = (IpAddr, IpAddr);

fn nothing<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Nothing(why.into()))
}

fn unclear<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Unclear(why.into()))
}

/// The chain of a Service that asks for egress.
pub(super) fn chain(service: &Service, inventory: &Inventory, settings: &Settings) -> Result<Chain, Stop> {
    if service.class.as_deref().is_some_and(|class| class != name::CLASS) {
        return nothing("its `loadBalancerClass` is not kube-vip's");
    }
    if service.annotation(name::INTERNAL).is_empty() && !settings.nftables {
        return unclear(
            "it is enforced by iptables, which is not modelled: give it `kube-vip.io/egress-internal: \"true\"`",
        );
    }
    let v6 = service.annotation(name::IPV6) == "true";
    let addresses = virtual_addresses(service, v6)?;
    let source = endpoint(service, inventory, v6)?;
    let mut rules = Vec::new();
    for &to in &addresses {
        rules.extend(rules_to(service, settings, source, to)?);
    }
    let name = format!("kube_vip_snat_{}_{}", service.namespace.as_deref().unwrap_or_default(), service.name.value);
    Ok(Chain { v6, table: settings.table(v6), name, rules })
}

/// The virtual addresses of the one family that is rewritten: IPv6 needs its annotation, and with it IPv4 is left out.
fn virtual_addresses(service: &Service, v6: bool) -> Result<Vec<IpAddr>, Stop> {
    let named: Vec<IpAddr> = match (service.annotations.get(name::ADDRESSES), &service.address) {
        (Some(list), _) => lists::addresses(&list.value).into_iter().filter_map(|entry| entry.value.ok()).collect(),
        (None, Some(address)) => {
            address.value.parse().map(|address: IpAddr| address.to_canonical()).into_iter().collect()
        }
        (None, None) => return unclear("its address is chosen by whoever hands out addresses of Services"),
    };
    if named.iter().any(|address| address.is_unspecified()) {
        return unclear("its address comes from DHCP");
    }
    let addresses: Vec<IpAddr> = named.into_iter().filter(|address| address.is_ipv6() == v6).collect();
    let family = if v6 { "IPv6" } else { "IPv4" };
    if addresses.is_empty() { nothing(format!("it has no {family} address")) } else { Ok(addresses) }
}

/// The address of the one pod that is rewritten.
fn endpoint(service: &Service, inventory: &Inventory, v6: bool) -> Result<IpAddr, Stop> {
    let family = if v6 { Family::V6 } else { Family::V4 };
    if service.namespace.is_none() {
        return unclear("it has no namespace, so that nobody knows its pods");
    }
    match (service.families.is_empty(), service.dual_stack, v6) {
        (false, _, _) if !service.families.contains(&family) => {
            return nothing("its `ipFamilies` leave out the family of its address, so that it has no pods of it");
        }
        (true, false, true) => return unclear("without `ipFamilies` nobody knows whether it has IPv6 pods"),
        _ => {}
    }
    let address_of = |pod: &RunningPod| pod.addresses.iter().copied().find(|address| address.is_ipv6() == v6);
    let pods = inventory.pods.iter().filter(|pod| service.selects(pod));
    let behind: Vec<(String, IpAddr)> = pods.filter_map(|pod| Some((shown(pod), address_of(pod)?))).collect();
    match behind.as_slice() {
        [] => nothing("no pod is behind it"),
        [_] if !service.is_local() => unclear(
            "its `externalTrafficPolicy` is not `Local`, so that its rules may be on a node that its pod does not use",
        ),
        [(_, address)] => Ok(*address),
        [(one, _), (two, _), ..] => {
            unclear(format!("{} pods are behind it, such as {one} and {two}, and one is rewritten", behind.len()))
        }
    }
}

fn shown(pod: &RunningPod) -> String {
    format!("{}/{}", pod.identity.namespace, pod.identity.name.as_deref().unwrap_or("?"))
}

/// The rules towards one virtual address. They are sent to the kernel at once, so one that is refused refuses all.
fn rules_to(service: &Service, settings: &Settings, source: IpAddr, to: IpAddr) -> Result<Vec<SnatRule>, Stop> {
    let v6 = to.is_ipv6();
    let except = except(service, settings, source, to)?;
    let within = within(service, v6)?;
    let ports = ports(service);
    if !ports.is_empty() && within.len() > 1 {
        return nothing("with destination ports and several allowed networks the kernel refuses its rules (EBUSY)");
    }
    let ports: Vec<_> = if ports.is_empty() { vec![None] } else { ports.into_iter().map(Some).collect() };
    let mut rules = Vec::new();
    for ports in ports {
        for &within in &within {
            rules.push(SnatRule { source, ports: ports.clone(), except: except.clone(), within, to });
        }
    }
    if rules.iter().any(|rule| rule.expressions() > MAX_EXPRESSIONS) {
        return nothing(format!("a rule has more than {MAX_EXPRESSIONS} expressions, and the kernel refuses it"));
    }
    Ok(rules)
}

/// The ports of each protocol that has any, in the order in which rules are made. None at all means every port.
fn ports(service: &Service) -> BTreeMap<u8, BTreeSet<u16>> {
    let mut ports: BTreeMap<u8, BTreeSet<u16>> = BTreeMap::new();
    let value = service.annotation(name::DESTINATION_PORTS);
    for (protocol, number) in lists::ports(value).into_iter().filter_map(|entry| entry.value.ok()) {
        ports.entry(protocol).or_default().insert(number);
    }
    debug_assert!(ports.keys().all(|protocol| protocol::WITH_PORTS.contains(protocol)));
    ports
}

/// The allowed networks; an empty entry, such as after a comma at the end, stands for every destination.
fn within(service: &Service, v6: bool) -> Result<Vec<Option<Range>>, Stop> {
    let entries = lists::networks(service.annotation(name::ALLOWED_NETWORKS));
    if entries.is_empty() {
        return Ok(vec![None]);
    }
    let range = |entry: lists::Entry<Result<Network, NoNetwork>>| match entry.value {
        Ok(network) => in_rule(network, v6).map(Some),
        Err(NoNetwork::Empty) => Ok(None),
        Err(_) => nothing("an entry of its allowed networks is no network, so that it has no rule at all"),
    };
    entries.into_iter().map(range).collect()
}

/// The destinations that are left out, in the order in which rules name them.
fn except(service: &Service, settings: &Settings, source: IpAddr, to: IpAddr) -> Result<Vec<Range>, Stop> {
    let v6 = to.is_ipv6();
    let mut ranges = Vec::new();
    let said = service.annotation(name::NO_INTERNAL_TRAFFIC);
    let keeps_inside = said.is_empty() || said == "false" || settings.internal_snat;
    for (list, address) in [(&settings.pod_cidr, source), (&settings.service_cidr, to)] {
        let chosen = match list {
            Some(list) => Some(of_same_family(list, address)),
            None if keeps_inside || v6 => {
                return unclear(
                    "without `egress_podcidr` and `egress_servicecidr` in kube-vip's environment nobody knows which ranges are left out",
                );
            }
            None => None,
        };
        match chosen {
            Some(Some(network)) if network.is_v6() == v6 => {
                ranges.extend(keeps_inside.then(|| in_rule(network, v6)).transpose()?)
            }
            Some(_) => return nothing("the ranges in kube-vip's environment are not of its family"),
            None => {}
        }
    }
    for entry in lists::networks(service.annotation(name::DENIED_NETWORKS)) {
        match entry.value {
            Ok(network) => ranges.push(in_rule(network, v6)?),
            Err(_) => return nothing("an entry of its denied networks is no network, so that it has no rule at all"),
        }
    }
    ranges.extend(api_server(service, settings, v6)?);
    Ok(ranges)
}

/// The API server, which any text at all leaves out, `false` included.
fn api_server(service: &Service, settings: &Settings, v6: bool) -> Result<Option<Range>, Stop> {
    match settings.api_server.map(|address| address.to_canonical()) {
        _ if service.annotation(name::DETECT_API_SERVER).is_empty() => Ok(None),
        None => unclear("it leaves out the API server, whose address only a running kube-vip knows"),
        Some(IpAddr::V6(_)) => Ok(None),
        Some(address) => in_rule(Network { first: address, last: address }, v6).map(Some),
    }
}

/// The one prefix of a list that is used for an address: one that contains it, or else one of its family, or the first.
fn of_same_family(list: &str, address: IpAddr) -> Option<Network> {
    let v6 = lists::is_v6(address);
    let all: Vec<Network> = list.split(',').filter_map(lists::cidr).collect();
    let of_family = || all.iter().filter(|network| network.is_v6() == v6);
    let holds = |network: &&Network| network.first <= address && address <= network.last;
    of_family().find(holds).or_else(|| of_family().next()).or_else(|| all.first()).copied()
}

fn in_rule(network: Network, v6: bool) -> Result<Range, Stop> {
    let refused =
        || Stop::Nothing("an IPv6 network in a rule for IPv4 makes the kernel refuse all its rules".to_owned());
    network.in_rule(v6).ok_or_else(refused)
}
