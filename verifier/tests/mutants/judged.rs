//! Rulesets, judged packet by packet: the ground truth for mutants of nftables files.
//!
//! In: a decoded ruleset, the program and the inventory. Out: whether some first packet of a flow is judged unlike its
//! flow is decided, over every cell of sources, destinations and ports.

use crate::borders::Borders;
use egress_backends::nftables::model::{Field, Statement, Values};
use egress_backends::nftables::{Hook, Judge, Packet, Ruleset};
use egress_ir::{Destination, Flow, Inventory, Program, Speaking, Workload, protocol};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

/// What packets say of a ruleset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    /// Every flow is judged as the program decides.
    Same,
    /// Only neighbour discovery passes besides, which a target may let pass.
    OnTheLinkOnly,
    /// A mask is no prefix, so that cells have no first value.
    Unsure,
    /// This flow is not.
    Different(Box<Flow>),
}

/// A program with its inventory, ready to be held against rulesets.
pub(crate) struct Ground<'g> {
    pub(crate) program: &'g Program,
    pub(crate) inventory: &'g Inventory,
    destinations: Borders,
    sources: Borders,
}

impl<'g> Ground<'g> {
    pub(crate) fn new(program: &'g Program, inventory: &'g Inventory) -> Self {
        let mut sources = Borders::new();
        for block in program.blocks.values() {
            sources.addresses(&program.workloads_of(block).addresses());
        }
        for address in inventory.pods.iter().filter(|pod| !pod.host_network).flat_map(|pod| &pod.addresses) {
            one(&mut sources, *address);
        }
        Self { program, inventory, destinations: Borders::of_destinations(program), sources }
    }

    /// The address from which a workload sends in a family.
    pub(crate) fn source(&self, workload: &Workload, v6: bool) -> Option<IpAddr> {
        match workload {
            Workload::Address(address) => Some(*address),
            Workload::Pod(pod) => {
                let pod = self.inventory.pods.iter().find(|known| known.identity == *pod)?;
                pod.addresses.iter().copied().find(|address| address.is_ipv6() == v6)
            }
        }
    }

    /// Who sends with an address.
    fn workload(&self, address: IpAddr) -> Workload {
        let pod = self.inventory.pods.iter().find(|pod| !pod.host_network && pod.addresses.contains(&address));
        pod.map_or(Workload::Address(address), |pod| Workload::Pod(pod.identity.clone()))
    }

    /// Tries every cell, and stops at the first that matters.
    pub(crate) fn truth(&self, ruleset: &Ruleset) -> (Truth, usize) {
        let (mut destinations, mut sources) = (self.destinations.clone(), self.sources.clone());
        let exact = borders_of(ruleset, &mut destinations, &mut sources);
        let mut hooks: BTreeSet<Hook> =
            ruleset.chains.values().filter_map(|chain| chain.base).map(|b| b.hook).collect();
        hooks.insert(Hook::Prerouting);
        if self.program.cluster.name.is_none() {
            hooks.insert(Hook::Output);
        }
        let judge = Judge::new(ruleset);
        let (mut truth, mut tried) = (if exact { Truth::Same } else { Truth::Unsure }, 0);
        for v6 in [false, true] {
            let (places, doors) = (destinations.places(v6), destinations.doors(v6));
            for source in sources.places(v6) {
                let workload = self.workload(source);
                let speaking = Speaking::about(self.program, &workload);
                let is_pod = matches!(workload, Workload::Pod(_));
                for (&address, &port) in places.iter().flat_map(|place| doors.iter().map(move |port| (place, port))) {
                    let flow = Flow { workload: workload.clone(), destination: Destination::unnamed(address), port };
                    let passes = speaking.decide(&flow, |_| true).verdict.passes();
                    tried += 1;
                    for &hook in hooks.iter().filter(|hook| !is_pod || **hook == Hook::Prerouting) {
                        if judge.judge(&Packet::new(hook, source, address, port)).passes == passes {
                            continue;
                        }
                        if passes || !is_discovery(&flow) {
                            return (Truth::Different(Box::new(flow)), tried);
                        }
                        truth = Truth::OnTheLinkOnly;
                    }
                }
            }
        }
        (truth, tried)
    }
}

/// Types 133 to 136 of ICMPv6 (RFC 4861) to the link.
pub(crate) fn is_discovery(flow: &Flow) -> bool {
    let IpAddr::V6(to) = flow.destination.address else { return false };
    let on_link = to.is_unicast_link_local() || to.segments()[0] == 0xff02;
    on_link && flow.port.protocol() == protocol::ICMPV6 && (133..=136).contains(&(flow.port.number() >> 8))
}

/// A border around one address.
fn one(borders: &mut Borders, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => borders.v4_range(v4.to_bits(), v4.to_bits()),
        IpAddr::V6(v6) => borders.v6_range(v6.to_bits(), v6.to_bits()),
    }
}

/// The borders of everything that a ruleset compares or looks up; whether there are no others.
fn borders_of(ruleset: &Ruleset, destinations: &mut Borders, sources: &mut Borders) -> bool {
    for (first, last) in [(0xfe80_u128 << 112, (0xfec0_u128 << 112) - 1), (0xff02 << 112, (0xff03 << 112) - 1)] {
        destinations.v6_range(first, last);
    }
    destinations.kind_range(133, 136);
    debug_assert!(Ipv6Addr::from_bits(0xfe80 << 112).is_unicast_link_local());
    let mut note = |field: Field, first: u128, last: u128| {
        let v4 = |value: u128| u32::try_from(value).unwrap_or(u32::MAX);
        let byte = |value: u128| u8::try_from(value).unwrap_or(u8::MAX);
        let number = |value: u128| u16::try_from(value).unwrap_or(u16::MAX);
        match field {
            Field::SourceV4 => sources.v4_range(v4(first), v4(last)),
            Field::SourceV6 => sources.v6_range(first, last),
            Field::DestinationV4 => destinations.v4_range(v4(first), v4(last)),
            Field::DestinationV6 => destinations.v6_range(first, last),
            Field::Protocol => destinations.protocol_range(byte(first), byte(last)),
            Field::Port(_) => destinations.number_range(number(first), number(last)),
            Field::IcmpType(_) => destinations.kind_range(byte(first), byte(last)),
            Field::IcmpCode(_) => destinations.code_range(byte(first), byte(last)),
            // First packets have one state, mark, priority and hop limit, and no local destination.
            Field::HopLimit | Field::Family | Field::State | Field::Direction | Field::Mark(_) => {}
            Field::DestinationType | Field::Priority | Field::Input | Field::Output => {}
            // These files have no gateways; `tests/gateways.rs` is about those that do.
            Field::PacketMark(_) | Field::Status | Field::Label | Field::SourceType => {}
            Field::NextHopV4 | Field::NextHopV6 => {}
        }
    };
    for set in ruleset.sets.values() {
        set.elements.iter().for_each(|&(first, last)| note(set.field, first, last));
    }
    let rules = ruleset.chains.values().flat_map(|chain| &chain.rules);
    let mut exact = true;
    for statement in rules.flat_map(|rule| &rule.statements) {
        match statement {
            Statement::Match(found) => {
                if let Values::Ranges(ranges) = &found.values {
                    ranges.iter().for_each(|&(first, last)| note(found.field, first, last));
                }
            }
            Statement::VerdictMap { field, mask, map } => {
                // What a mask leaves out: low bits, if it is a prefix.
                let highest = match field {
                    Field::SourceV6 | Field::DestinationV6 => u128::MAX,
                    Field::SourceV4 | Field::DestinationV4 => u32::MAX.into(),
                    _ => highest_of(*mask),
                };
                let free = !mask & highest;
                exact &= free & free.wrapping_add(1) == 0;
                for element in ruleset.maps.get(map).into_iter().flat_map(|map| &map.elements) {
                    note(*field, element.start, element.end | free);
                }
            }
            _ => {}
        }
    }
    exact
}

/// The highest value that a mask for a narrow field lets through.
fn highest_of(mask: u128) -> u128 {
    mask.checked_next_power_of_two().map_or(u128::MAX, |power| if power == mask { (mask << 1) - 1 } else { power - 1 })
}
