//! Where a packet's field has some value: a condition on what a plane speaks about.
//!
//! In: a field and values. Out: a [`Domain`]. Follows nft(8): a field that a packet lacks matches nothing.

use super::super::model::Field;
use egress_ir::address::last_bits;
use egress_ir::{Port, PortSet, RangeSet, protocol};

/// What the kernel's `NF_CT_STATE_BIT(IP_CT_NEW)` is.
const NEW: u128 = 8;
/// The hop limit of the packets in question: that of hosts' own, and not the 255 of neighbour discovery.
const HOP_LIMIT: u128 = 64;

/// Packets by one of their properties.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Domain {
    /// All packets or none.
    Always(bool),
    /// By the sender's address.
    Source(RangeSet<u128>),
    /// By the destination.
    Destination(RangeSet<u128>),
    /// By protocol and port.
    Ports(PortSet),
    /// By what rules have set before.
    Register(Register, RangeSet<u128>),
    /// Not known where packets are judged: only once they are routed.
    Later,
}

/// What rules can set and ask for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Register {
    /// These bits of the connection's mark.
    Mark(u32),
    /// The packet's priority.
    Priority,
    /// These bits of the packet's own mark.
    PacketMark(u32),
}

/// The packets whose field has one of the values; nothing where no packet of the family has the field.
pub(super) fn domain(field: Field, values: &RangeSet<u128>, v6: bool) -> Option<Domain> {
    let constant = |value: u128| Some(Domain::Always(values.contains(value)));
    let line = || values.intersection(&RangeSet::range(0, last_bits(v6)));
    match field {
        Field::SourceV4 | Field::SourceV6 => (v6 == (field == Field::SourceV6)).then(|| Domain::Source(line())),
        Field::DestinationV4 | Field::DestinationV6 => {
            (v6 == (field == Field::DestinationV6)).then(|| Domain::Destination(line()))
        }
        Field::DestinationType => Some(Domain::Destination(of_type(values, v6))),
        Field::HopLimit if v6 => constant(HOP_LIMIT),
        Field::HopLimit => None,
        Field::Family => constant(if v6 { 10 } else { 2 }),
        Field::State => constant(NEW),
        Field::Direction => constant(0),
        Field::Mark(mask) => Some(Domain::Register(Register::Mark(mask), values.clone())),
        Field::Priority => Some(Domain::Register(Register::Priority, values.clone())),
        Field::PacketMark(mask) => Some(Domain::Register(Register::PacketMark(mask), values.clone())),
        Field::Status | Field::Label | Field::SourceType | Field::NextHopV4 | Field::NextHopV6 => Some(Domain::Later),
        Field::Protocol | Field::Port(_) | Field::IcmpType(_) | Field::IcmpCode(_) => {
            Some(Domain::Ports(ports(field, values)?.intersection(&those_with(field, v6)?)))
        }
        // Interfaces are compared by name.
        Field::Input | Field::Output => None,
    }
}

/// The packets that have the field and are not in the domain.
pub(super) fn without(field: Field, domain: Domain, v6: bool) -> Domain {
    let line = RangeSet::range(0, last_bits(v6));
    match domain {
        Domain::Always(holds) => Domain::Always(!holds),
        Domain::Source(set) => Domain::Source(line.difference(&set)),
        Domain::Destination(set) => Domain::Destination(line.difference(&set)),
        Domain::Ports(set) => Domain::Ports(those_with(field, v6).unwrap_or_default().difference(&set)),
        Domain::Register(register, set) => Domain::Register(register, set.complement()),
        Domain::Later => Domain::Later,
    }
}

/// The ports of packets of the family that have the field.
fn those_with(field: Field, v6: bool) -> Option<PortSet> {
    match field {
        Field::Protocol => Some(PortSet::any()),
        Field::Port(protocol) => Some(PortSet::protocol(protocol)),
        // nft asks for the family before it looks at a message's type or code.
        Field::IcmpType(of) | Field::IcmpCode(of) => ((of == protocol::ICMP) != v6).then(|| PortSet::protocol(of)),
        _ => None,
    }
}

/// The ports with these values of the field, in any family.
fn ports(field: Field, values: &RangeSet<u128>) -> Option<PortSet> {
    let largest = if matches!(field, Field::Port(_)) { u16::MAX } else { u8::MAX.into() };
    let values = values.intersection(&RangeSet::range(0, largest.into()));
    let mut lines = Vec::new();
    for &(start, end) in values.ranges() {
        let (start, end) = (u32::try_from(start).ok()?, u32::try_from(end).ok()?);
        match field {
            Field::Protocol => lines.push((start << 16, end << 16 | 0xffff)),
            Field::Port(of) => lines.push((base(of) | start, base(of) | end)),
            Field::IcmpType(of) => lines.push((base(of) | start << 8, base(of) | end << 8 | 0xff)),
            Field::IcmpCode(of) => {
                let types = (0..=u32::from(u8::MAX)).map(|kind| base(of) | kind << 8);
                lines.extend(types.map(|kind| (kind | start, kind | end)));
            }
            _ => return None,
        }
    }
    Some(PortSet::from_line_ranges(lines))
}

/// Where a protocol begins on the line of ports.
fn base(protocol: u8) -> u32 {
    Port::new(protocol, 0).line()
}

/// The destinations whose `fib` type is one of these, as rtnetlink(7) numbers them. None is the host's own.
fn of_type(types: &RangeSet<u128>, v6: bool) -> RangeSet<u128> {
    let of = |kind: u128, set: &RangeSet<u128>| {
        if types.contains(kind) { set.clone() } else { RangeSet::empty() }
    };
    let (broadcast, multicast) = if v6 {
        (RangeSet::empty(), RangeSet::range(0xff << 120, u128::MAX))
    } else {
        (RangeSet::range(0xffff_ffff, 0xffff_ffff), RangeSet::range(0xe000_0000, 0xefff_ffff))
    };
    let unicast = RangeSet::range(0, last_bits(v6)).difference(&broadcast).difference(&multicast);
    of(1, &unicast).union(&of(3, &broadcast)).union(&of(5, &multicast))
}
