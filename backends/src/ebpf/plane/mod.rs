//! A snapshot as a plane: what the kernel program does with every flow of everybody, by the tables' bytes.
//!
//! In: a [`Decoded`] snapshot (ours, changed by hand, or dumped from a kernel), the program and the inventory that say who
//! sends. Out: a [`SnapshotPlane`], which shares no code with the emitter.
//!
//! What is assumed: the agent gives each attach point the row of its identity by [`egress_snapshot::Meta::row_of`], and
//! those without one the default row; that packets with the mark of a gateway leave with its first address of their family,
//! or not at all, as the table for which [`egress_snapshot::gateway`] has the text sees to. An address in the pods' ranges that the snapshot does not know belongs to a pod that
//! nobody knows; where such pods are stopped ([`egress_snapshot::meta::Unknown::Deny`]), they are no senders. Later
//! fragments have no ports and are no flows; replies of inbound connections pass without being asked here. A destination is
//! of a set of names exactly where the agent has learned it by a name of the set: what it learns, and when, is its business.

mod gateways;
mod names;
mod senders;
mod sets;

use super::decode::Decoded;
use egress_ir::address::from_bits;
use egress_ir::plane::{Entry, Guard, List, ListId};
use egress_ir::{
    AddressSet, Exemption, Flow, HostPattern, Inventory, Outcome, Piece, Plane, PortSet, Program, RangeSet, Sender,
    Unclear, Vocabulary, Workload, protocol,
};
use egress_snapshot::meta::Unknown;
use gateways::Ways;
use names::{Deciding, Sets};
use rustc_hash::FxHashMap;
use senders::Placed;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What a snapshot does with all flows.
#[derive(Debug)]
pub struct SnapshotPlane<'d> {
    decoded: &'d Decoded,
    senders: Vec<Sender>,
    placed: Vec<Placed>,
    /// Runs of destinations of both families: first and last address, class.
    destinations: [Vec<(u128, u128, u32)>; 2],
    /// Ranges of the port line with their classes.
    ports: Vec<(u32, u32, u32)>,
    ways: Ways,
    /// The ports by what happens there, by profile and family.
    done: RefCell<FxHashMap<(u32, bool), Done>>,
    /// The same, by what happens to each port class.
    known: RefCell<FxHashMap<Vec<Deciding>, Done>>,
    sets: Sets,
}

/// Ports by what happens there, where that is not that the flow is stopped; sorted, and each way once.
type Done = Rc<BTreeMap<Deciding, PortSet>>;

/// The plane of a snapshot.
///
/// # Errors
/// [`Unclear`] when sets overlap in too many ways or cannot be read, when something is attached as somebody else than its
/// identity says, when those who are unknown are let through although the snapshot says that
/// they are stopped, or when two gateways of the program have the address of one of the snapshot's.
pub fn plane<'d>(
    decoded: &'d Decoded,
    program: &Program,
    inventory: Option<&Inventory>,
) -> Result<SnapshotPlane<'d>, Unclear> {
    attachments(decoded)?;
    let placed = senders::senders(decoded, program, inventory)?;
    let tables = &decoded.tables;
    let v4 = tables.destinations_v4().into_iter().map(|(first, last, class)| (first.into(), last.into(), class));
    let plane = SnapshotPlane {
        decoded,
        senders: placed.iter().map(|placed| placed.sender.clone()).collect(),
        placed,
        destinations: [v4.collect(), tables.destinations_v6()],
        ports: port_ranges(decoded),
        ways: Ways::of(decoded, program)?,
        sets: Sets::of(decoded)?,
        done: RefCell::default(),
        known: RefCell::default(),
    };
    plane.strangers(program)?;
    Ok(plane)
}

/// Whether everything that the agent attached has the row of its identity.
fn attachments(decoded: &Decoded) -> Result<(), Unclear> {
    let default = decoded.tables.layout().default_row;
    for attachment in &decoded.meta.attachments {
        let expected = attachment.identity.as_ref().map(|identity| decoded.meta.row_of(identity).unwrap_or(default));
        if attachment.row != expected {
            let shown = |row: Option<u32>| row.map_or("its source address".to_owned(), |row| format!("row {row}"));
            return Err(unclear(format!(
                "`{}` is judged by {}, but its identity has {}",
                attachment.point,
                shown(attachment.row),
                shown(expected)
            )));
        }
    }
    Ok(())
}

/// Protocols with 65,536 numbers; all others have number 0 only.
const NUMBERED: [u8; 5] = [protocol::ICMP, protocol::TCP, protocol::UDP, protocol::ICMPV6, protocol::SCTP];

/// The whole port line in ranges of one class.
fn port_ranges(decoded: &Decoded) -> Vec<(u32, u32, u32)> {
    let mut ranges: Vec<(u32, u32, u32)> = Vec::new();
    for of in 0..=u8::MAX {
        let start = u32::from(of) << 16;
        if !NUMBERED.contains(&of) {
            ranges.push((start, start | 0xffff, decoded.tables.port_class(of, 0)));
            continue;
        }
        for number in 0..=u16::MAX {
            let (at, class) = (start | u32::from(number), decoded.tables.port_class(of, number));
            match ranges.last_mut() {
                Some((_, last, known)) if *known == class && *last + 1 == at => *last = at,
                _ => ranges.push((at, at, class)),
            }
        }
    }
    ranges
}

impl SnapshotPlane<'_> {
    /// The row by which a sender's flows are judged.
    #[must_use]
    pub fn row(&self, sender: usize) -> Option<u32> {
        self.placed.get(sender).map(|placed| placed.row)
    }

    /// What happens to flows of an outcome in a family, whatever their names are.
    fn deciding(&self, outcome: u32, v6: bool) -> Result<Deciding, Unclear> {
        match self.decoded.tables.by_name(outcome) {
            None => Ok(Deciding::always(self.way(outcome, v6))),
            Some(by_name) => self.sets.deciding(&by_name, |outcome| self.way(outcome, v6)),
        }
    }

    /// What happens to flows of an outcome in a family, which is not one that depends on names.
    fn way(&self, outcome: u32, v6: bool) -> Outcome {
        match self.decoded.passes(outcome) {
            false => Outcome::Dropped,
            true => self.ways.way(self.decoded.gateway(outcome), v6),
        }
    }

    /// The ports by what happens there under a profile.
    fn done(&self, profile: u32, v6: bool) -> Result<Done, Unclear> {
        if let Some(known) = self.done.borrow().get(&(profile, v6)) {
            return Ok(Rc::clone(known));
        }
        let tables = &self.decoded.tables;
        let classes = 0..tables.layout().port_class_count;
        let ways = classes.map(|class| self.deciding(tables.outcome(profile, class), v6));
        let ways: Vec<Deciding> = ways.collect::<Result<_, _>>()?;
        let done = Rc::clone(self.known.borrow_mut().entry(ways).or_insert_with_key(|ways| Rc::new(self.by_way(ways))));
        self.done.borrow_mut().insert((profile, v6), Rc::clone(&done));
        Ok(done)
    }

    /// The ports of each way, from what happens to each port class.
    fn by_way(&self, ways: &[Deciding]) -> BTreeMap<Deciding, PortSet> {
        let all: BTreeSet<&Deciding> = ways.iter().filter(|way| **way != Deciding::always(Outcome::Dropped)).collect();
        let ports = |way: &Deciding| {
            let done = self.ports.iter().filter(|(_, _, class)| ways.get(*class as usize) == Some(way));
            PortSet::from_line_ranges(done.map(|&(first, last, _)| (first, last)))
        };
        all.into_iter().map(|way| (way.clone(), ports(way))).filter(|(_, ports)| !ports.is_empty()).collect()
    }

    /// The one way of writing down what happens on which ports.
    fn list_of(&self, done: &BTreeMap<Deciding, PortSet>, vocabulary: &mut Vocabulary) -> ListId {
        let always = |(way, ports): (&Deciding, &PortSet)| way.whatever_names().filter(|_| ports.is_any());
        if let Some(whole) = done.iter().find_map(always) {
            return vocabulary.list(&List { entries: Vec::new(), default: whole });
        }
        let mut entries = Vec::new();
        for (way, ports) in done {
            let ports = vocabulary.ports(ports);
            for (guard, outcome) in self.sets.guards(way, vocabulary) {
                entries.push(Entry { guard, ports, outcome });
            }
            entries.extend((way.last != Outcome::Dropped).then_some(Entry {
                guard: Guard::Always,
                ports,
                outcome: way.last,
            }));
        }
        vocabulary.list(&List { entries, default: Outcome::Dropped })
    }

    /// Whether those who are unknown are stopped everywhere but inside, if the snapshot says so.
    fn strangers(&self, program: &Program) -> Result<(), Unclear> {
        if self.decoded.meta.unknown == Unknown::Pass {
            return Ok(());
        }
        let row = self.decoded.tables.layout().default_row;
        for (runs, v6) in self.destinations.iter().zip([false, true]) {
            let inside = program.cluster.inside.of_family(v6);
            for &(first, last, class) in runs {
                let done = self.done(self.decoded.tables.profile(row, class), v6)?;
                if let Some(passing) = done.values().next()
                    && !RangeSet::range(first, last).is_subset(&inside)
                {
                    let (first, last) = (from_bits(v6, first), from_bits(v6, last));
                    return Err(unclear(format!(
                        "those who are unknown are let through to {first}-{last} on {passing}, but should be stopped"
                    )));
                }
            }
        }
        Ok(())
    }
}

impl Plane for SnapshotPlane<'_> {
    fn senders(&self) -> &[Sender] {
        &self.senders
    }

    fn hosts(&self) -> BTreeSet<HostPattern> {
        self.sets.hosts()
    }

    /// Neighbour discovery on the link (RFC 4861), which the kernel program lets pass before it looks at the tables.
    fn exemptions(&self) -> Vec<Exemption> {
        let link = |first: u128, bits: u32| (first << 112, first << 112 | u128::MAX >> bits);
        let addresses =
            AddressSet { v4: RangeSet::empty(), v6: RangeSet::from_ranges([link(0xfe80, 10), link(0xff02, 16)]) };
        let ports = PortSet::numbers(protocol::ICMPV6, 133 << 8, 136 << 8 | 0xff);
        vec![Exemption { addresses, ports, why: "neighbour discovery always passes" }]
    }

    fn pieces(&self, sender: usize, v6: bool, vocabulary: &mut Vocabulary) -> Result<Vec<Piece>, Unclear> {
        let row = self.row(sender).ok_or_else(|| unclear("there is no such sender"))?;
        let [v4, six] = &self.destinations;
        let mut of_class: Vec<Option<ListId>> = vec![None; self.decoded.tables.layout().class_count as usize];
        let mut of_profile: FxHashMap<u32, ListId> = FxHashMap::default();
        let mut pieces: Vec<Piece> = Vec::new();
        for &(start, end, class) in if v6 { six } else { v4 } {
            let known = of_class.get_mut(class as usize).ok_or_else(|| unclear("there is no such class"))?;
            let list = match *known {
                Some(list) => list,
                None => {
                    let profile = self.decoded.tables.profile(row, class);
                    match of_profile.get(&profile) {
                        Some(&list) => list,
                        None => {
                            let list = self.list_of(&*self.done(profile, v6)?, vocabulary);
                            of_profile.insert(profile, list);
                            list
                        }
                    }
                }
            };
            *known = Some(list);
            match pieces.last_mut() {
                Some(last) if last.list == list => last.end = end,
                _ => pieces.push(Piece { start, end, list }),
            }
        }
        Ok(pieces)
    }

    /// By the tables' own walk, from the identity or the address of the flow's workload.
    fn replay(&self, sender: usize, flow: &Flow) -> Result<Outcome, Unclear> {
        let placed = self.placed.get(sender).ok_or_else(|| unclear("there is no such sender"))?;
        let row = match (&flow.workload, placed.by) {
            (_, Some(address)) => self.decoded.tables.source(address),
            (Workload::Pod(pod), None) => senders::row_of(self.decoded, pod),
            (Workload::Address(address), None) => self.decoded.tables.source(*address),
        };
        let of = (row, flow.destination.address, flow.port.protocol(), flow.port.number(), false);
        let outcome = self.decoded.tables.decide_named(of, |set| self.sets.holds(set, &flow.destination.names));
        Ok(self.way(outcome, flow.destination.address.is_ipv6()))
    }
}

fn unclear(reason: impl Into<String>) -> Unclear {
    Unclear { reason: reason.into() }
}
