//! What a pod's flows ask of gateways, address by address.
//!
//! In: a program, a pod, a family. Out: [`Cell`]s that cover the family's addresses: on which ports flows may have to
//! leave through which gateway, and on which they may have to leave by the node. Flows that no policy lets pass are in
//! neither set: what filters drops them, so it does not matter how they would leave.
//!
//! Names count against every address, because whoever controls a name chooses its address. So a port may be in several
//! sets of one cell; never is one missing in a set that it belongs to.

use egress_ir::address::{from_bits, last_bits};
use egress_ir::{Action, Block, BlockKind, GatewayId, PortSet, Program, Rule, RunningPod, Workload};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Adjacent addresses that ask for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// The first address as a number.
    pub(super) start: u128,
    /// The last address as a number.
    pub(super) end: u128,
    /// The ports on which some flow leaves through the gateway.
    pub(super) through: BTreeMap<GatewayId, PortSet>,
    /// The ports on which some flow leaves by the node.
    pub(super) plain: PortSet,
}

impl Cell {
    /// The ports on which flows must not be sent through the gateway.
    pub(super) fn avoids(&self, gateway: GatewayId) -> PortSet {
        let others = self.through.iter().filter(|(id, _)| **id != gateway);
        others.fold(self.plain.clone(), |sum, (_, ports)| sum.union(ports))
    }

    /// The ports on which flows must be sent through the gateway.
    pub(super) fn needs(&self, gateway: GatewayId) -> PortSet {
        self.through.get(&gateway).cloned().unwrap_or_default()
    }
}

/// The cells of a pod in a family, in order, without a gap.
pub(super) fn cells(program: &Program, pod: &RunningPod, v6: bool) -> Vec<Cell> {
    let workload = Workload::Pod(pod.identity.clone());
    let speaks = |block: &&Block| !block.audit && program.workloads_of(block).contains(&workload);
    let blocks: Vec<&Block> = program.blocks.values().filter(speaks).collect();
    let governed = blocks.iter().any(|block| block.kind == BlockKind::Policy);
    let rules: Vec<&Rule> = blocks.iter().flat_map(|block| &block.rules).map(|&rule| program.rules.at(rule)).collect();
    let mut starts: BTreeSet<u128> = BTreeSet::from([0]);
    let destinations = rules.iter().map(|rule| &program.destination_sets.at(rule.destinations).addresses);
    for set in destinations.chain([&program.cluster.inside]) {
        for &(first, last) in set.of_family(v6).ranges() {
            starts.insert(first);
            starts.extend(last.checked_add(1).filter(|next| *next <= last_bits(v6)));
        }
    }
    let ends: Vec<u128> = starts.iter().skip(1).map(|next| next - 1).chain([last_bits(v6)]).collect();
    let mut cells: Vec<Cell> = Vec::new();
    for (start, end) in starts.into_iter().zip(ends) {
        let (through, plain) = asks(program, &rules, governed, from_bits(v6, start));
        match cells.last_mut() {
            Some(last) if last.through == through && last.plain == plain => last.end = end,
            _ => cells.push(Cell { start, end, through, plain }),
        }
    }
    cells
}

/// What is asked at one address.
fn asks(program: &Program, rules: &[&Rule], governed: bool, at: IpAddr) -> (BTreeMap<GatewayId, PortSet>, PortSet) {
    let possible = PortSet::possible(at.is_ipv6());
    if program.cluster.contains(at) {
        return (BTreeMap::new(), possible.clone());
    }
    let set = |rule: &Rule| program.destination_sets.at(rule.destinations);
    let by_address = |rule: &&&Rule| set(rule).addresses.contains(at);
    let may_match = |rule: &&&Rule| by_address(rule) || !set(rule).hosts.is_empty();
    let ports = |rules: &mut dyn Iterator<Item = &&Rule>| {
        rules.fold(PortSet::empty(), |sum, rule| sum.union(program.port_sets.at(rule.ports)))
    };
    let denied = ports(&mut rules.iter().filter(|rule| rule.action == Action::Deny).filter(by_address));
    let free = possible.difference(&denied);
    if !governed {
        return (BTreeMap::new(), free);
    }
    let allows = || rules.iter().filter(|rule| rule.action == Action::Allow);
    // A rule that matches by address always matches; its gateway then is the only one that a flow can have.
    let fixed_elsewhere = |gateway: Option<GatewayId>| {
        ports(&mut allows().filter(by_address).filter(|rule| rule.gateway.is_some() && rule.gateway != gateway))
    };
    let leaving = |gateway: Option<GatewayId>| {
        let some = ports(&mut allows().filter(may_match).filter(|rule| rule.gateway == gateway));
        some.intersection(&free).difference(&fixed_elsewhere(gateway))
    };
    let gateways: BTreeSet<GatewayId> = allows().filter_map(|rule| rule.gateway).collect();
    let through = gateways.into_iter().map(|id| (id, leaving(Some(id)))).filter(|(_, ports)| !ports.is_empty());
    (through.collect(), leaving(None))
}
