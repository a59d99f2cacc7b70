//! What a node must know to learn names for a program: the patterns, and who may use which.
//!
//! In: a program, an inventory, and who sends with the blocks that speak about them. Out: [`Names`], or nothing where no
//! rule is about names. Knows no target: whoever asks says how it groups those who send.

use crate::target::{Level, Notice};
use egress_ir::{AddressSet, BlockId, HostPattern, Inventory, Labels, Program, Workload};
use egress_snapshot::names::{Clients, Names};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Somebody who sends, and the blocks that speak about them.
#[derive(Clone, Debug)]
pub(crate) struct Client<'c> {
    pub(crate) who: Who,
    pub(crate) blocks: &'c [BlockId],
}

/// By which addresses somebody is known.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// A workload with all of its addresses.
    Workload(Vec<IpAddr>),
    /// Addresses each of which is a workload of its own. A workload's address counts for the workload only.
    Addresses(AddressSet),
}

/// What learning depends on; nothing where none of the clients may use a name.
pub(crate) fn names(program: &Program, inventory: Option<&Inventory>, clients: &[Client<'_>]) -> Option<Names> {
    let asked: Vec<BTreeSet<&HostPattern>> = clients.iter().map(|client| patterns(program, client.blocks)).collect();
    let all: BTreeSet<String> = asked.iter().flatten().map(ToString::to_string).collect();
    if all.is_empty() {
        return None;
    }
    let hosts: Vec<String> = all.into_iter().collect();
    let place = |host: &&HostPattern| {
        let found = hosts.binary_search(&host.to_string()).ok();
        found.and_then(|place| u32::try_from(place).ok())
    };
    let mut by_hosts: BTreeMap<Vec<u32>, (BTreeSet<Vec<IpAddr>>, AddressSet)> = BTreeMap::new();
    for (client, asked) in clients.iter().zip(&asked) {
        let mut places: Vec<u32> = asked.iter().filter_map(place).collect();
        places.sort_unstable();
        let (workloads, addresses) = by_hosts.entry(places).or_default();
        match &client.who {
            Who::Workload(own) => drop(workloads.insert(own.clone())),
            Who::Addresses(more) => *addresses = addresses.union(more),
        }
    }
    let by_address = by_hosts.iter().filter(|(hosts, _)| !hosts.is_empty());
    let by_address = by_address.fold(AddressSet::empty(), |all, (_, (_, addresses))| all.union(addresses));
    let clients = by_hosts.into_iter().filter_map(|(hosts, (workloads, addresses))| {
        // Who may use no name needs no mention, but where its address alone would say something else.
        let counts = |own: &Vec<IpAddr>| !hosts.is_empty() || own.iter().any(|address| by_address.contains(*address));
        let workloads: Vec<Vec<IpAddr>> = workloads.into_iter().filter(|own| counts(own)).collect();
        let prefixes = if hosts.is_empty() { Vec::new() } else { shown(&addresses) };
        (!workloads.is_empty() || !prefixes.is_empty()).then_some(Clients { workloads, prefixes, hosts })
    });
    let clients = clients.collect();
    let inside = shown(&program.cluster.inside);
    Some(Names { hosts, inside, resolvers: resolvers(program, inventory), clients })
}

/// What the user of a kernel that knows addresses only should know; nothing where no rule is about names.
pub(crate) fn notice(program: &Program) -> Option<Notice> {
    let mut rules = program.rules.values();
    rules.any(|rule| !program.destination_sets.at(rule.destinations).hosts.is_empty()).then(|| Notice {
        level: Level::Note,
        code: "egress::target::shared-address",
        origin: None,
        message: "names that share an address are allowed together, and none before a workload has looked it up"
            .to_owned(),
        help: Some(
            "`egress-agent names` must run on the node: it tells the kernel which addresses names have".to_owned(),
        ),
    })
}

/// The patterns that rules of some blocks ask for.
fn patterns<'p>(program: &'p Program, blocks: &[BlockId]) -> BTreeSet<&'p HostPattern> {
    let rules = blocks.iter().flat_map(|block| &program.blocks.at(*block).rules).map(|rule| program.rules.at(*rule));
    let asking = rules.filter(|rule| !program.port_sets.at(rule.ports).is_empty());
    asking.flat_map(|rule| &program.destination_sets.at(rule.destinations).hosts).collect()
}

fn shown(addresses: &AddressSet) -> Vec<String> {
    addresses.prefixes().iter().map(ToString::to_string).collect()
}

/// The addresses of the pods that resolve names, and of the services before them.
fn resolvers(program: &Program, inventory: Option<&Inventory>) -> Vec<IpAddr> {
    let (Some(dns), Some(inventory)) = (program.cluster.dns, inventory) else { return Vec::new() };
    let set = program.workload_sets.at(dns);
    let resolving = |pod: &&egress_ir::RunningPod| set.contains(&Workload::Pod(pod.identity.clone()));
    let pods: Vec<_> = inventory.pods.iter().filter(resolving).collect();
    let behind = |service: &&egress_ir::Service| {
        let chosen = |labels: &Labels| service.selector.iter().all(|(key, value)| labels.get(key) == Some(value));
        let of =
            |pod: &&egress_ir::RunningPod| pod.identity.namespace == service.namespace && chosen(&pod.identity.labels);
        !service.selector.is_empty() && pods.iter().any(of)
    };
    let services = inventory.services.iter().filter(behind).flat_map(|service| &service.addresses);
    let all: BTreeSet<IpAddr> = pods.iter().flat_map(|pod| &pod.addresses).chain(services).copied().collect();
    all.into_iter().collect()
}
