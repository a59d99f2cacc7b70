//! Every flow that a program and an artifact can tell apart, one for each cell between borders.
//!
//! In: where ranges begin and end. Out: addresses and ports, each the first of its cell.

use egress_ir::{AddressSet, Port, PortSet, Program, protocol};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// First values of cells.
#[derive(Clone, Debug)]
pub(crate) struct Borders {
    v4: BTreeSet<u32>,
    v6: BTreeSet<u128>,
    protocols: BTreeSet<u8>,
    numbers: BTreeSet<u16>,
    kinds: BTreeSet<u8>,
    codes: BTreeSet<u8>,
}

impl Borders {
    /// What every packet can be told apart by.
    pub(crate) fn new() -> Self {
        Self {
            v4: BTreeSet::from([0]),
            v6: BTreeSet::from([0]),
            protocols: [0, 1, 2, 6, 7, 17, 18, 58, 59, 132, 133].into(),
            numbers: BTreeSet::from([0]),
            kinds: BTreeSet::from([0]),
            codes: BTreeSet::from([0]),
        }
    }

    /// The borders of what a program says of destinations.
    pub(crate) fn of_destinations(program: &Program) -> Self {
        let mut borders = Self::new();
        for rule in program.rules.values() {
            borders.addresses(&program.destination_sets.at(rule.destinations).addresses);
            borders.ports(program.port_sets.at(rule.ports));
        }
        borders.addresses(&program.cluster.inside);
        borders
    }

    pub(crate) fn addresses(&mut self, set: &AddressSet) {
        set.v4.ranges().iter().for_each(|&(first, last)| self.v4_range(first, last));
        set.v6.ranges().iter().for_each(|&(first, last)| self.v6_range(first, last));
    }

    pub(crate) fn v4_range(&mut self, first: u32, last: u32) {
        self.v4.extend([Some(first), last.checked_add(1)].into_iter().flatten());
    }

    pub(crate) fn v6_range(&mut self, first: u128, last: u128) {
        self.v6.extend([Some(first), last.checked_add(1)].into_iter().flatten());
    }

    pub(crate) fn ports(&mut self, set: &PortSet) {
        for (protocol, first, last) in set.per_protocol().filter(|_| !set.is_any()) {
            self.protocol_range(protocol, protocol);
            match protocol {
                protocol::ICMP | protocol::ICMPV6 => {
                    let [kind, code] = first.to_be_bytes();
                    let [last_kind, last_code] = last.to_be_bytes();
                    self.kind_range(kind, last_kind);
                    self.kind_range(last_kind, last_kind);
                    self.kind_range(kind, kind);
                    self.code_range(code, last_code);
                }
                _ => self.number_range(first, last),
            }
        }
    }

    pub(crate) fn protocol_range(&mut self, first: u8, last: u8) {
        self.protocols.extend([Some(first), last.checked_add(1)].into_iter().flatten());
    }

    pub(crate) fn number_range(&mut self, first: u16, last: u16) {
        self.numbers.extend([Some(first), last.checked_add(1)].into_iter().flatten());
    }

    pub(crate) fn kind_range(&mut self, first: u8, last: u8) {
        self.kinds.extend([Some(first), last.checked_add(1)].into_iter().flatten());
    }

    pub(crate) fn code_range(&mut self, first: u8, last: u8) {
        let (first, last) = (first.min(last), first.max(last));
        self.codes.extend([Some(first), first.checked_add(1), Some(last), last.checked_add(1)].into_iter().flatten());
    }

    /// The addresses of a family.
    pub(crate) fn places(&self, v6: bool) -> Vec<IpAddr> {
        match v6 {
            false => self.v4.iter().map(|&bits| Ipv4Addr::from_bits(bits).into()).collect(),
            true => self.v6.iter().map(|&bits| Ipv6Addr::from_bits(bits).into()).collect(),
        }
    }

    /// The ports that a packet of the family can have.
    pub(crate) fn doors(&self, v6: bool) -> Vec<Port> {
        let (own, foreign) = if v6 { (protocol::ICMPV6, protocol::ICMP) } else { (protocol::ICMP, protocol::ICMPV6) };
        let mut found = Vec::new();
        for &number in self.protocols.iter().filter(|number| **number != foreign) {
            if protocol::WITH_PORTS.contains(&number) {
                found.extend(self.numbers.iter().map(|&port| Port::new(number, port)));
            } else if number == own {
                let messages = self.kinds.iter().flat_map(|&kind| self.codes.iter().map(move |&code| (kind, code)));
                found.extend(messages.map(|(kind, code)| Port::icmp(own, kind, code)));
            } else {
                found.push(Port::new(number, 0));
            }
        }
        found
    }
}
