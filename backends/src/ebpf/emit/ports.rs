//! Port classes: which numbers of which protocols no rule tells apart, and what a fragment of a protocol may be.
//!
//! In: the port sets of rules. Out: a class for each protocol and number, and the tables that say so.

use super::intern::{Interner, place};
use egress_ir::classes::port_cells;
use egress_ir::{PortSet, protocol};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// A page of port classes.
type Page = Vec<u16>;

/// Classes of ports and of fragments.
#[derive(Debug, Default)]
pub(super) struct Ports {
    /// The classes that hold each port set together, by the sets' places, in sorted runs.
    pub(super) of_set: Vec<Vec<(u32, u32)>>,
    /// How many classes of ports there are; those of fragments come behind.
    pub(super) plain: u32,
    /// The classes of ports that a fragment may be of, for each class of fragments, in sorted runs; two at least.
    pub(super) fragments: Interner<Vec<(u32, u32)>>,
    /// One port of each class of ports.
    pub(super) examples: Vec<Vec<(u8, u16)>>,
    /// `root << 16 | fragment class` for each protocol.
    pub(super) protocols: Vec<u32>,
    /// Pages of each root.
    pub(super) roots: Interner<Page>,
    pub(super) pages: Interner<Page>,
}

/// Protocols with 65,536 numbers; all others have number 0 only.
pub(super) const NUMBERED: [u8; 5] = [protocol::ICMP, protocol::TCP, protocol::UDP, protocol::ICMPV6, protocol::SCTP];

/// Protocols that in IPv6 are headers before the protocol (RFC 8200, section 4): no packet of IPv6 has one of them.
pub(super) const HEADERS: [u8; 4] = [0, 43, 44, 60];

/// So many classes fit the tables' 16 bits, the fragments' included.
pub(super) const MOST: u32 = 0xff00;

/// So many examples of a class are kept.
const EXAMPLES: usize = 6;

/// A cell of the port line: protocol, first and last number, and class.
type Cell = (u8, u16, u16, u32);

impl Ports {
    /// Cuts the line of ports; nothing when there are more classes than fit.
    pub(super) fn new(sets: &[&PortSet]) -> Option<Self> {
        let mut known: FxHashMap<Vec<u32>, u32> = FxHashMap::default();
        let mut cells: Vec<Cell> = Vec::new();
        port_cells(sets.iter().copied(), |first, last, members| {
            for protocol in first >> 16..=last >> 16 {
                let from = first.max(protocol << 16) & 0xffff;
                let to = last.min(protocol << 16 | 0xffff) & 0xffff;
                let protocol = u8::try_from(protocol).unwrap_or(u8::MAX);
                if from == 0 || NUMBERED.contains(&protocol) {
                    let next = place(known.len());
                    let class = *known.entry(members.to_vec()).or_insert(next);
                    cells.push((protocol, from as u16, to as u16, class));
                }
            }
        });
        let plain = place(known.len());
        let mut ports = Self { plain, of_set: vec![Vec::new(); sets.len()], ..Self::default() };
        ports.examples = vec![Vec::new(); known.len()];
        if plain >= MOST {
            return None;
        }
        let mut by_class: Vec<(u32, Vec<u32>)> = known.into_iter().map(|(members, class)| (class, members)).collect();
        by_class.sort_unstable();
        for (class, members) in by_class {
            for member in members {
                lengthen(ports.of_set.get_mut(member as usize)?, class);
            }
        }
        for protocol in 0..=u8::MAX {
            let from = cells.partition_point(|cell| cell.0 < protocol);
            let to = cells.partition_point(|cell| cell.0 <= protocol);
            ports.add(protocol, cells.get(from..to)?);
        }
        Some(ports)
    }

    /// How many classes there are.
    pub(super) fn count(&self) -> u32 {
        self.plain + place(self.fragments.len())
    }

    fn add(&mut self, protocol: u8, cells: &[Cell]) {
        let numbered = NUMBERED.contains(&protocol);
        // The numbers that stand for all others of a protocol without numbers are never asked for.
        let mut numbers = vec![0; if numbered { 1 << 16 } else { 1 << 8 }];
        for &(_, first, last, class) in cells {
            let last = if numbered { last } else { u16::from(u8::MAX) };
            if let Some(of) = numbers.get_mut(usize::from(first)..=usize::from(last)) {
                // INVARIANT: there are fewer classes than `MOST`.
                of.fill(class as u16);
            }
            if let Some(examples) = self.examples.get_mut(class as usize) {
                let ends = [(protocol, first), (protocol, last)];
                let ends = ends.get(..if numbered { 2 } else { 1 }).unwrap_or_default();
                let of_protocol = examples.iter().filter(|(known, _)| *known == protocol).count();
                let in_both = |protocol: &u8| !NUMBERED.contains(protocol) && !HEADERS.contains(protocol);
                let first_in_both = in_both(&protocol) && !examples.iter().any(|(known, _)| in_both(known));
                // Some of each protocol with numbers and one of all others, because not all exist in both families.
                if of_protocol == 0 && numbered || first_in_both || examples.len() < EXAMPLES {
                    examples.extend(ends);
                }
            }
        }
        let pages: Page = numbers.chunks(256).map(|page| self.pages.number(page.to_vec()) as u16).collect();
        let root = if numbered { pages } else { pages.repeat(256) };
        let classes: BTreeSet<u32> = cells.iter().map(|cell| cell.3).collect();
        let fragment = self.fragment(&classes);
        self.protocols.push(self.roots.number(root) << 16 | fragment);
    }

    /// The class of a fragment that may be of these classes.
    fn fragment(&mut self, classes: &BTreeSet<u32>) -> u32 {
        let mut runs = Vec::new();
        classes.iter().for_each(|class| lengthen(&mut runs, *class));
        match *runs {
            [(first, last)] if first == last => first,
            _ => self.plain + self.fragments.number(runs),
        }
    }
}

/// Adds a class to runs that end before it.
fn lengthen(runs: &mut Vec<(u32, u32)>, class: u32) {
    match runs.last_mut() {
        Some((_, last)) if *last + 1 == class => *last = class,
        _ => runs.push((class, class)),
    }
}
