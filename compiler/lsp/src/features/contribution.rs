//! What a rule contributes beyond the others.
//!
//! In: a rule of a program. Out: its destinations and ports without those that other rules of the same verdict already
//! decide for at least the same workloads, and which denies cut it. Whether one set of workloads holds another is decided
//! by their form alone, so a rule may contribute less than is said here; it never contributes more. The work is bounded.

use egress_ir::{Action, AddressSet, HostPattern, PortSet, Program, RuleId, WorkloadSet};
use std::collections::BTreeSet;

/// How many ranges are looked at before the answer is cut short.
const MOST_RANGES: usize = 200_000;
/// How many boxes of addresses and ports are kept.
const MOST_BOXES: usize = 64;

/// What is left of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contribution {
    /// Addresses outside of the cluster with ports that no other rule decides the same.
    pub boxes: Vec<(AddressSet, PortSet)>,
    /// Host patterns that no other rule has.
    pub hosts: BTreeSet<HostPattern>,
    /// The rules that take part of it, in order.
    pub covers: Vec<RuleId>,
    /// The denies that cut an allow for all of its workloads.
    pub denies: Vec<RuleId>,
    /// Whether the work was cut short, so that less may be left.
    pub is_cut_short: bool,
}

/// What a rule contributes.
#[must_use]
pub fn of(program: &Program, id: RuleId) -> Contribution {
    let rule = program.rules.at(id);
    let destinations = program.destination_sets.at(rule.destinations);
    let ports = program.port_sets.at(rule.ports);
    let outside = destinations.addresses.difference(&program.cluster.inside);
    let mut left = Contribution { hosts: destinations.hosts.clone(), ..Contribution::default() };
    if !outside.is_empty() {
        left.boxes.push((outside, ports.clone()));
    }
    let own = program.blocks.at(rule.block);
    let mut work = 0;
    for (other, by) in program.rules.iter().filter(|(other, _)| *other != id) {
        let block = program.blocks.at(by.block);
        let speaks =
            block.audit == own.audit && (by.block == rule.block || holds(program, block.workloads, own.workloads));
        if !speaks || (by.action == Action::Allow && rule.action == Action::Deny) {
            continue;
        }
        // A rule without the gateway, or without the record, does not do the same.
        let same = by.action != rule.action
            || ((rule.gateway.is_none() || by.gateway == rule.gateway) && (by.log || !rule.log));
        let (theirs, their_ports) = (program.destination_sets.at(by.destinations), program.port_sets.at(by.ports));
        work += theirs.addresses.v4.ranges().len() + theirs.addresses.v6.ranges().len() + 1;
        if work > MOST_RANGES || left.boxes.len() > MOST_BOXES {
            left.is_cut_short = true;
            break;
        }
        let took = same && left.take(&theirs.addresses, their_ports);
        let named = by.action == rule.action && same && ports.difference(their_ports).is_empty();
        let fewer = named && left.lose(&theirs.hosts);
        match by.action {
            Action::Deny if rule.action == Action::Allow && took => left.denies.push(other),
            _ if took || fewer => left.covers.push(other),
            _ => {}
        }
    }
    left
}

/// Whether a set holds another, as far as their forms show.
fn holds(program: &Program, large: egress_ir::WorkloadSetId, small: egress_ir::WorkloadSetId) -> bool {
    if large == small {
        return true;
    }
    let (large, small) = (program.workload_sets.at(large), program.workload_sets.at(small));
    let has = |part: &WorkloadSet| match large {
        WorkloadSet::All => true,
        WorkloadSet::Union(sets) => sets.contains(part),
        _ => large == part,
    };
    match small {
        WorkloadSet::Union(parts) => !parts.is_empty() && parts.iter().all(has),
        WorkloadSet::Except(base, _) => has(base) || has(small),
        _ => has(small),
    }
}

impl Contribution {
    /// Whether nothing is left, for certain.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.boxes.is_empty() && self.hosts.is_empty()
    }

    /// Takes addresses on ports away; whether anything was there.
    fn take(&mut self, addresses: &AddressSet, ports: &PortSet) -> bool {
        let mut took = false;
        let mut boxes = Vec::with_capacity(self.boxes.len());
        for (held, on) in std::mem::take(&mut self.boxes) {
            if !on.overlaps(ports) || !held.overlaps(addresses) {
                boxes.push((held, on));
                continue;
            }
            took = true;
            let (rest, other_ports) = (held.difference(addresses), on.difference(ports));
            if !other_ports.is_empty() {
                boxes.push((held.intersection(addresses), other_ports));
            }
            if !rest.is_empty() {
                boxes.push((rest, on));
            }
        }
        self.boxes = boxes;
        took
    }

    fn lose(&mut self, hosts: &BTreeSet<HostPattern>) -> bool {
        let before = self.hosts.len();
        self.hosts.retain(|host| !hosts.contains(host));
        before != self.hosts.len()
    }
}
