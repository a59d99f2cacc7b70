//! Random flows at the borders of a program: where translations go wrong.
//!
//! In: an [`Rng`], a [`Program`] and who can send at all ([`Sources`]). Out: well-formed flows with every kind of
//! verdict: members of the rules' sets, their first and last values, and the values just outside of them.

mod destinations;
mod sources;

use crate::seed::Rng;
use egress_ir::{
    Action, Destination, DestinationSet, Family, Flow, Inventory, Port, PortSet, Program, Rule, WorkloadSet, protocol,
};

/// Who can send.
///
/// An address within the cluster's pod ranges is a pod, known or not, and so never an address workload.
#[derive(Clone, Copy, Debug)]
pub enum Sources<'i> {
    /// Every pod that could exist.
    Pods,
    /// Every address, as on a host or gateway without Kubernetes.
    Addresses,
    /// Every pod that could exist and every address.
    Anyone,
    /// The pods of the inventory that have an address, each within its families, and every address that is no pod's.
    Inventory(&'i Inventory),
}

/// A random flow, biased to the borders of the program's sets.
///
/// ```
/// use egress_testkit::{flows::{Sources, biased_flow}, programs::{Shape, random_program}, seed::Rng};
/// let mut rng = Rng::new(1, 0);
/// let program = random_program(&mut rng, &Shape::everything());
/// assert!(biased_flow(&mut rng, &program, Sources::Anyone).is_well_formed());
/// ```
#[must_use]
pub fn biased_flow(rng: &mut Rng, program: &Program, sources: Sources<'_>) -> Flow {
    let attempts = (0..64).filter_map(|_| attempt(rng, program, sources)).find(Flow::is_well_formed);
    attempts.unwrap_or_else(|| sources::any_flow(sources))
}

/// A flow near one rule, or near nothing; not always one that can exist.
fn attempt(rng: &mut Rng, program: &Program, sources: Sources<'_>) -> Option<Flow> {
    // Allows are what most other rules and the default cut down, so they are sought more often.
    let allows = rng.chance(50);
    let rules: Vec<&Rule> = program.rules.values().filter(|rule| !allows || rule.action == Action::Allow).collect();
    let rule = rng.choose(&rules).copied().filter(|_| rng.chance(85));
    let blocks: Vec<&WorkloadSet> = program.blocks.values().map(|block| program.workloads_of(block)).collect();
    let own = rule.and_then(|rule| program.blocks.get(rule.block)).map(|block| program.workloads_of(block));
    let workloads = own.filter(|_| rng.chance(85)).or_else(|| rng.choose(&blocks).copied());
    let destinations = rule.map(|rule| program.destination_sets.at(rule.destinations));
    let destination = destination(rng, program, destinations);
    let family = Family::of(destination.address);
    let ports = rule.map(|rule| program.port_sets.at(rule.ports)).filter(|_| rng.chance(85));
    let port = port(rng, program, ports, family);
    let workload = sources::workload(rng, program, workloads, sources, family)?;
    Some(Flow { workload, destination, port })
}

fn destination(rng: &mut Rng, program: &Program, set: Option<&DestinationSet>) -> Destination {
    let sets: Vec<&DestinationSet> = program.destination_sets.values().collect();
    let set = set.filter(|_| rng.chance(85)).or_else(|| rng.choose(&sets).copied());
    let address = destinations::address(rng, program, set);
    Destination { address, names: destinations::names(rng, program, set) }
}

/// A port in or just outside the set that can go with the family.
fn port(rng: &mut Rng, program: &Program, set: Option<&PortSet>, family: Family) -> Port {
    let sets: Vec<&PortSet> = program.port_sets.values().collect();
    let set = set.or_else(|| rng.choose(&sets).copied());
    let foreign = if family == Family::V4 { protocol::ICMPV6 } else { protocol::ICMP };
    let ranges: Vec<(u8, u16, u16)> = match set {
        Some(set) if !set.is_any() => set.per_protocol().filter(|range| range.0 != foreign).collect(),
        _ => Vec::new(),
    };
    match rng.choose(&ranges) {
        Some(&range) if rng.chance(92) => port_near(rng, range),
        _ => any_port(rng, family),
    }
}

fn port_near(rng: &mut Rng, (protocol, first, last): (u8, u16, u16)) -> Port {
    let number = match rng.below(8) {
        0 => first.saturating_sub(1),
        1 => last.saturating_add(1),
        2 | 3 => first,
        4 | 5 => last,
        _ => u16::try_from(rng.between(first.into(), last.into())).unwrap_or(first),
    };
    // A neighbour in another protocol: the same number must not match there.
    let other = rng.choose(&protocol::WITH_PORTS).copied().filter(|_| rng.chance(8));
    possible(other.unwrap_or(protocol), number)
}

/// A port that most programs do not name.
fn any_port(rng: &mut Rng, family: Family) -> Port {
    let icmp = if family == Family::V4 { protocol::ICMP } else { protocol::ICMPV6 };
    let number = [0, 1, 80, 443, 2048, 5432, 32768, 65535].get(rng.below(8)).copied().unwrap_or(0);
    match rng.between(0, 99) {
        0..50 => Port::tcp(number),
        50..70 => Port::udp(number),
        70..78 => Port::new(protocol::SCTP, number),
        78..90 => Port::icmp(icmp, [0, 3, 8, 128, 135, 255].get(rng.below(6)).copied().unwrap_or(8), 0),
        _ => possible([0, 2, 41, 47, 50, 133, 255].get(rng.below(7)).copied().unwrap_or(47), 0),
    }
}

/// The port, with number 0 where the protocol has none.
fn possible(protocol: u8, number: u16) -> Port {
    let numbered =
        matches!(protocol, protocol::ICMP | protocol::ICMPV6 | protocol::TCP | protocol::UDP | protocol::SCTP);
    Port::new(protocol, if numbered { number } else { 0 })
}

#[cfg(test)]
mod tests;
