//! The three lists of a Service: the destination ports, the allowed and the denied networks.
//!
//! In: what a pod asks of a gateway. Out: [`Lists`] by which kube-vip rewrites every flow that must leave through the
//! gateway and none that must not, in a combination that works: with ports at most one allowed network (the kernel
//! refuses more), every list of the Service's own family, no more denied networks than fit into a rule.

use super::demand::Cell;
use egress_ir::address::{from_bits, last_bits, to_bits};
use egress_ir::{AddressSet, GatewayId, PortSet, Prefix, protocol};
use std::net::IpAddr;

/// Most allowed networks: each is a rule of its own, which new connections go through one after the other.
const MOST_ALLOWED: usize = 500;
/// So many allowed networks are few enough to be named one by one, whatever else would do.
const FEW_ALLOWED: usize = 16;
/// Most denied networks: two expressions each, besides ten others, of at most 128.
const MOST_DENIED: usize = 59;
/// Most ports that are named where naming none would do as well.
const MOST_PORTS: usize = 64;
/// Most ports that are named at all: annotations of one object may have 256 KiB together.
const MOST_PORTS_NEEDED: usize = 4096;

/// What the annotations say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lists {
    /// Protocol and port; none for all.
    pub(super) ports: Vec<(u8, u16)>,
    /// The networks that are rewritten; none for all.
    pub(super) allowed: Vec<Prefix>,
    /// The networks that are not.
    pub(super) denied: Vec<Prefix>,
}

/// Why no lists will do.
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) help: String,
}

/// The lists for a gateway; `inside` are the cluster's own ranges of the family.
pub(super) fn lists(cells: &[Cell], gateway: GatewayId, v6: bool, inside: &AddressSet) -> Result<Lists, Refusal> {
    let needed = addresses(cells.iter().filter(|cell| !cell.needs(gateway).is_empty()), v6);
    let prefixes = needed.prefixes();
    let all = cells.iter().fold(PortSet::empty(), |sum, cell| sum.union(&cell.needs(gateway)));
    let ports = numbered(&all);
    let work = Work { cells, gateway, v6, inside, needed, prefixes };
    let few = ports.as_ref().ok().filter(|ports| ports.len() <= MOST_PORTS && work.prefixes.len() == 1);
    if let Some(lists) = few.and_then(|ports| work.with_ports(ports, &all)) {
        return Ok(lists);
    }
    if let Some(lists) = work.every_port() {
        return Ok(lists);
    }
    let ports = ports.map_err(|reason| work.refusal(&PortSet::any(), Some(reason)))?;
    work.with_ports(&ports, &all).ok_or_else(|| work.refusal(&all, None))
}

struct Work<'c> {
    cells: &'c [Cell],
    gateway: GatewayId,
    v6: bool,
    inside: &'c AddressSet,
    needed: AddressSet,
    prefixes: Vec<Prefix>,
}

impl Work<'_> {
    /// A place that asks for both, as far as these ports are concerned.
    fn torn(&self, ports: &PortSet) -> Option<&Cell> {
        let needs = |cell: &&Cell| !cell.needs(self.gateway).is_empty();
        self.cells.iter().filter(needs).find(|cell| cell.avoids(self.gateway).overlaps(ports))
    }

    /// Rewrites whatever the port: the networks that are needed, or, where these are many, all but a few others.
    fn every_port(&self) -> Option<Lists> {
        let any = PortSet::any();
        if self.torn(&any).is_some() {
            return None;
        }
        let denied = self.inside.prefixes();
        let exact = Lists { ports: vec![], allowed: self.prefixes.clone(), denied };
        let exact = Some(exact).filter(|it| it.allowed.len() <= MOST_ALLOWED && it.denied.len() <= MOST_DENIED);
        let covered = self.covered(vec![], &any);
        let shorter =
            |exact: &Lists, covered: &Lists| covered.allowed.len() + covered.denied.len() < exact.allowed.len();
        match (exact, covered) {
            (Some(exact), Some(covered)) if exact.allowed.len() > FEW_ALLOWED && shorter(&exact, &covered) => {
                Some(covered)
            }
            (exact, covered) => exact.or(covered),
        }
    }

    /// Rewrites some ports.
    fn with_ports(&self, ports: &[(u8, u16)], set: &PortSet) -> Option<Lists> {
        if self.torn(set).is_some() { None } else { self.covered(ports.to_vec(), set) }
    }

    /// Allows the narrowest network that holds all that is needed, and denies what in it must not be rewritten.
    fn covered(&self, ports: Vec<(u8, u16)>, set: &PortSet) -> Option<Lists> {
        let cover = cover(&self.needed, self.v6)?;
        let avoiding = self.cells.iter().filter(|cell| cell.avoids(self.gateway).overlaps(set));
        let within = AddressSet::from_prefixes([cover]);
        let denied = addresses(avoiding, self.v6).intersection(&within).union(self.inside).prefixes();
        let allowed = if cover.length() == 0 { vec![] } else { vec![cover] };
        (denied.len() <= MOST_DENIED).then_some(Lists { ports, allowed, denied })
    }

    fn refusal(&self, ports: &PortSet, unnumbered: Option<&'static str>) -> Refusal {
        let Some(cell) = self.torn(ports) else {
            let reason =
                format!("it would take more than {MOST_DENIED} denied networks, and the kernel refuses such rules");
            let help = "use fewer or wider destinations, or a target that has no such limit".to_owned();
            return Refusal { reason, help };
        };
        let first = from_bits(self.v6, cell.start);
        let place = AddressSet::from_ranges([(first, from_bits(self.v6, cell.end))]);
        let to = place.prefixes().first().map_or_else(|| first.to_string(), ToString::to_string);
        let (own, other) = (cell.needs(self.gateway), cell.avoids(self.gateway).intersection(ports));
        let why = match unnumbered {
            _ if own.overlaps(&other) => {
                "the name by which the address was learned decides, which kube-vip does not know"
            }
            Some(why) => why,
            None => "kube-vip has one list of ports for all networks of a Service",
        };
        let (own, other) = (shown(&own), shown(&other));
        Refusal {
            reason: format!("to {to}, {own} leaves through it and {other} does not, and {why}"),
            help: "send everything that the policy allows there through the gateway, or use a target that routes by \
                   ports and names"
                .to_owned(),
        }
    }
}

fn addresses<'c>(cells: impl Iterator<Item = &'c Cell>, v6: bool) -> AddressSet {
    AddressSet::from_ranges(cells.map(|cell| (from_bits(v6, cell.start), from_bits(v6, cell.end))))
}

/// The longest prefix that holds the whole set.
fn cover(set: &AddressSet, v6: bool) -> Option<Prefix> {
    let ranges: Vec<(IpAddr, IpAddr)> = set.ranges().collect();
    let (first, last) = (ranges.first()?.0, ranges.last()?.1);
    let width = last_bits(v6).count_ones();
    let differing = u128::BITS - (to_bits(first) ^ to_bits(last)).leading_zeros();
    Some(Prefix::containing(first, u8::try_from(width.saturating_sub(differing)).ok()?))
}

/// Every port by its number, or why that cannot be done.
fn numbered(set: &PortSet) -> Result<Vec<(u8, u16)>, &'static str> {
    let mut ports = Vec::new();
    for (protocol, first, last) in set.per_protocol() {
        if !protocol::WITH_PORTS.contains(&protocol) {
            return Err("kube-vip can name ports of TCP, UDP and SCTP only");
        }
        if ports.len() + usize::from(last - first) >= MOST_PORTS_NEEDED {
            return Err("kube-vip has no ranges of ports, and these are too many to name one by one");
        }
        ports.extend((first..=last).map(|number| (protocol, number)));
    }
    Ok(ports)
}

/// `443/tcp`, `6432-6440/tcp and more`, `everything`.
fn shown(set: &PortSet) -> String {
    let name = |protocol| match protocol {
        protocol::TCP => "tcp".to_owned(),
        protocol::UDP => "udp".to_owned(),
        protocol::SCTP => "sctp".to_owned(),
        protocol::ICMP => "icmp".to_owned(),
        protocol::ICMPV6 => "icmpv6".to_owned(),
        other => format!("protocol {other}"),
    };
    let mut parts = set.per_protocol();
    let Some((protocol, first, last)) = parts.next() else { return "nothing".to_owned() };
    let one = match (first, last) {
        _ if !protocol::WITH_PORTS.contains(&protocol) || (first, last) == (0, u16::MAX) => name(protocol),
        (first, last) if first == last => format!("{first}/{}", name(protocol)),
        (first, last) => format!("{first}-{last}/{}", name(protocol)),
    };
    if parts.next().is_some() { format!("{one} and more") } else { one }
}
