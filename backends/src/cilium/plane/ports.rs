//! The L4 part of rules as sets of ports.

use egress_ir::PortSet;

use super::super::model::{Numbers, PortMatch, Ports, Protocol};

/// The ports that match wherever no pod has given a port a name.
pub(super) fn numbered(ports: &Ports) -> PortSet {
    match ports {
        Ports::All => PortSet::any(),
        Ports::Any(matches) => of(matches.iter().map(one)),
    }
}

/// The ports for which names of ports may stand.
pub(super) fn named(ports: &Ports) -> PortSet {
    match ports {
        Ports::All => PortSet::empty(),
        Ports::Any(matches) => {
            let named = matches.iter().filter(|port| matches!(port.numbers, Numbers::Named(_)));
            of(named.map(|port| of(port.protocols.iter().map(|of| PortSet::protocol(of.number())))))
        }
    }
}

/// The ports of one entry, names left out.
pub(super) fn one(port: &PortMatch) -> PortSet {
    of(port.protocols.iter().map(|protocol| numbers(*protocol, &port.numbers)))
}

fn numbers(protocol: Protocol, numbers: &Numbers) -> PortSet {
    let number = protocol.number();
    match (numbers, protocol) {
        (Numbers::Every, _) => PortSet::protocol(number),
        (Numbers::Named(_), _) => PortSet::empty(),
        // There are no types above 255, so entries for them match nothing.
        (Numbers::Range(types), Protocol::Icmp | Protocol::Icmpv6) => {
            let last = u8::try_from(*types.end()).unwrap_or(u8::MAX);
            let types = u8::try_from(*types.start()).ok().map(|first| first..=last);
            of(types.into_iter().flatten().map(|kind| PortSet::icmp_type(number, kind)))
        }
        (Numbers::Range(range), _) => PortSet::numbers(number, *range.start(), *range.end()),
    }
}

/// The union of sets.
pub(super) fn of(sets: impl IntoIterator<Item = PortSet>) -> PortSet {
    let ranges: Vec<(u32, u32)> = sets.into_iter().flat_map(|set| set.line_ranges().to_vec()).collect();
    PortSet::from_line_ranges(ranges)
}
