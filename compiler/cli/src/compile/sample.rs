//! Sample flows at the borders of a program's sets, for checking an artifact against its source.
//!
//! In: a program and an inventory. Out: flows, the same for the same input. Borders are where emitters go wrong: the
//! first and last address of each range and their neighbours, the first and last port, and senders of every kind.

use egress_ir::classes::possible_sources;
use egress_ir::{
    AddressSet, Destination, Flow, HostPattern, Inventory, Port, PortSet, Program, RuleId, RunningPod, Workload,
    WorkloadSetId,
};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most senders.
const SENDERS: usize = 48;
/// The most flows of one sender.
const FLOWS: usize = 48;
/// The most kinds of senders that are looked for.
pub(super) const CLASSES: usize = 4096;

/// A sender with the addresses it sends from, where they are known.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    /// Who.
    pub(super) workload: Workload,
    /// From which addresses, at most one of each family.
    pub(super) addresses: Vec<IpAddr>,
}

/// A flow and its sender's address, of the destination's family.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// The flow.
    pub(super) flow: Flow,
    /// The address on the wire; nothing when the sender is only known by its labels.
    pub(super) source: Option<IpAddr>,
}

/// Senders: pods of the inventory, or else one pod of each kind that policies tell apart; and address workloads.
pub(super) fn senders(program: &Program, inventory: Option<&Inventory>) -> Vec<Sender> {
    let sets: BTreeSet<WorkloadSetId> = program.blocks.values().map(|block| block.workloads).collect();
    let classes = possible_sources(program, &sets, CLASSES).unwrap_or_default();
    let running: Vec<Sender> = inventory.iter().flat_map(|known| &known.pods).filter_map(pod).collect();
    let outside = |address: &IpAddr| !program.cluster.contains(*address);
    let addresses = classes.iter().flat_map(|class| [class.v4.map(IpAddr::V4), class.v6.map(IpAddr::V6)]);
    let addresses: Vec<Sender> = addresses.flatten().filter(outside).map(Sender::address).collect();
    let possible = classes.iter().filter_map(|class| class.pod.clone());
    let pods = if running.is_empty() { possible.map(Sender::unplaced).collect() } else { running };
    let half = SENDERS / 2;
    thinned(addresses, half).into_iter().chain(thinned(pods, half)).collect()
}

/// Flows of one sender, sorted and each once.
pub(super) fn flows(program: &Program, sender: &Sender, seed: u64) -> Vec<Sample> {
    let mut dice = Dice(seed);
    let rules: Vec<RuleId> = rules_about(program, &sender.workload);
    let mut flows = BTreeSet::new();
    for _ in 0..FLOWS {
        let rule = dice.pick(&rules).map(|rule| program.rules.at(*rule));
        // Now and then the port of one rule meets the address of another.
        let other = if dice.below(4) == 0 { dice.pick(&rules).map(|rule| program.rules.at(*rule)) } else { rule };
        let address = rule.and_then(|rule| dice.address(&program.destination_sets.at(rule.destinations).addresses));
        let port = other.and_then(|rule| dice.port(program.port_sets.at(rule.ports)));
        let names = rule.and_then(|rule| dice.name(&program.destination_sets.at(rule.destinations).hosts));
        let address = address.unwrap_or_else(|| dice.anywhere());
        let destination = Destination { address, names: names.into_iter().collect() };
        let flow = Flow { workload: sender.workload.clone(), destination, port: port.unwrap_or(Port::tcp(443)) };
        if flow.is_well_formed() {
            flows.insert(flow);
        }
    }
    flows.into_iter().filter_map(|flow| sender.sample(flow)).collect()
}

impl Sender {
    fn address(address: IpAddr) -> Self {
        Self { workload: Workload::Address(address), addresses: vec![address] }
    }

    fn unplaced(pod: egress_ir::Pod) -> Self {
        Self { workload: Workload::Pod(pod), addresses: Vec::new() }
    }

    /// The flow, unless the sender is known to have no address of the family.
    fn sample(&self, flow: Flow) -> Option<Sample> {
        let family = flow.destination.address.is_ipv4();
        let source = self.addresses.iter().copied().find(|address| address.is_ipv4() == family);
        (source.is_some() || self.addresses.is_empty()).then_some(Sample { flow, source })
    }
}

fn pod(pod: &RunningPod) -> Option<Sender> {
    let placed = !pod.host_network && !pod.addresses.is_empty();
    placed.then(|| Sender { workload: Workload::Pod(pod.identity.clone()), addresses: pod.addresses.clone() })
}

fn rules_about(program: &Program, workload: &Workload) -> Vec<RuleId> {
    let blocks = program.blocks.values().filter(|block| program.workloads_of(block).contains(workload));
    blocks.flat_map(|block| block.rules.iter().copied()).collect()
}

/// At most `most` entries, evenly spread.
fn thinned<T>(entries: Vec<T>, most: usize) -> Vec<T> {
    let every = entries.len().div_ceil(most).max(1);
    entries.into_iter().step_by(every).collect()
}

/// A small generator (SplitMix64), so that the same program is always checked on the same flows.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.roll() % end).unwrap_or(0)
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> Option<&'t T> {
        let place = self.below(from.len());
        from.get(place)
    }

    /// The first or last address of a range, or one just outside.
    fn address(&mut self, set: &AddressSet) -> Option<IpAddr> {
        let (v4, v6) = (set.v4.ranges(), set.v6.ranges());
        let place = self.below(v4.len() + v6.len());
        if let Some(&(first, last)) = v4.get(place) {
            let choices = [first, last, first.saturating_sub(1), last.saturating_add(1)];
            return self.pick(&choices).map(|bits| Ipv4Addr::from_bits(*bits).into());
        }
        let &(first, last) = v6.get(place.checked_sub(v4.len())?)?;
        let choices = [first, last, first.saturating_sub(1), last.saturating_add(1)];
        self.pick(&choices).map(|bits| Ipv6Addr::from_bits(*bits).into())
    }

    fn port(&mut self, set: &PortSet) -> Option<Port> {
        let ranges: Vec<(u8, u16, u16)> = set.per_protocol().collect();
        let &(protocol, first, last) = self.pick(&ranges)?;
        let choices = [first, last, first.saturating_sub(1), last.saturating_add(1)];
        self.pick(&choices).map(|number| Port::new(protocol, *number))
    }

    /// A name that a pattern matches.
    fn name(&mut self, hosts: &BTreeSet<HostPattern>) -> Option<String> {
        let hosts: Vec<&HostPattern> = hosts.iter().collect();
        self.pick(&hosts).map(|host| match host {
            HostPattern::Exact(name) => name.clone(),
            HostPattern::OneLabel(suffix) => format!("one.{suffix}"),
            HostPattern::AnyLabels(suffix) => format!("one.more.{suffix}"),
        })
    }

    fn anywhere(&mut self) -> IpAddr {
        let bits = self.roll();
        if bits & 1 == 0 {
            Ipv4Addr::from_bits(u32::try_from(bits >> 32).unwrap_or(0)).into()
        } else {
            Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | u128::from(bits)).into()
        }
    }
}
