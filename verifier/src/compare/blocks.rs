//! What differs, as blocks that people can read.
//!
//! In: differing cells (a sender, addresses, names, ports). Out: as few blocks as joining addresses, ports and senders
//! gives, the widest first, each with a flow that both planes' evaluators decide as the block says.

use super::Fault;
use crate::witness;
use egress_ir::address::from_bits;
use egress_ir::{AddressSet, Destination, Flow, Outcome, PortSet, Sender};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

/// Flows that two planes decide differently, and alike among each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Places of the senders in [`egress_ir::Plane::senders`].
    pub senders: Vec<usize>,
    /// To where.
    pub addresses: AddressSet,
    /// By which names, if it takes any.
    pub names: Vec<String>,
    /// On which ports.
    pub ports: PortSet,
    /// What the plane does that should be.
    pub left: Outcome,
    /// What the plane does that is.
    pub right: Outcome,
    /// One of the flows, and how each plane's evaluator decides it.
    pub witness: Flow,
}

/// What evaluators say of a flow of a sender: what ought to happen, and what does.
pub(crate) type Replay<'r> = dyn Fn(usize, &Flow) -> Result<(Outcome, Outcome), Fault> + 'r;

/// A set of names, ports, and what happens on the left and on the right.
type Kind = (Rc<[String]>, Vec<(u32, u32)>, Outcome, Outcome);

/// Ranges of addresses by what differs there.
type Cells = BTreeMap<Kind, Vec<(u128, u128)>>;

/// Differing cells.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// By sender, and whether the addresses are IPv6.
    cells: BTreeMap<(usize, bool), Cells>,
}

impl Found {
    /// Notes that a cell differs.
    pub(crate) fn note(
        &mut self,
        sender: usize,
        v6: bool,
        addresses: (u128, u128),
        (names, ports): (&Rc<[String]>, &PortSet),
        (left, right): (Outcome, Outcome),
    ) {
        let kind = (names.clone(), ports.line_ranges().to_vec(), left, right);
        self.cells.entry((sender, v6)).or_default().entry(kind).or_default().push(addresses);
    }

    /// Whether nothing was noted.
    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The blocks, the widest first; `replay` says what ought to happen to a flow of a sender and what does.
    pub(crate) fn blocks(self, senders: &[Sender], replay: &Replay<'_>) -> Result<Vec<Block>, Fault> {
        let mut joined: BTreeMap<(AddressSet, Kind), BTreeSet<usize>> = BTreeMap::new();
        let mut by_sender: BTreeMap<usize, BTreeMap<Kind, Vec<(IpAddr, IpAddr)>>> = BTreeMap::new();
        for ((sender, v6), kinds) in self.cells {
            for (kind, ranges) in kinds {
                let ranges = ranges.into_iter().map(|(first, last)| (from_bits(v6, first), from_bits(v6, last)));
                by_sender.entry(sender).or_default().entry(kind).or_default().extend(ranges);
            }
        }
        for (sender, kinds) in by_sender {
            for (kind, ranges) in without_needless_names(kinds) {
                joined.entry((ranges, kind)).or_default().insert(sender);
            }
        }
        let blocks = joined.into_iter().map(|((addresses, (names, ports, ..)), places)| {
            let places: Vec<usize> = places.into_iter().collect();
            let sender = places.first().and_then(|&first| senders.get(first));
            block(sender, replay, places, addresses, &names, PortSet::from_line_ranges(ports))
        });
        let mut blocks = blocks.collect::<Result<Vec<Block>, Fault>>()?;
        blocks.sort_by_cached_key(|block| std::cmp::Reverse(width(block)));
        Ok(blocks)
    }
}

/// Leaves out what differs by names too where it already differs in the same way without them.
fn without_needless_names(kinds: BTreeMap<Kind, Vec<(IpAddr, IpAddr)>>) -> BTreeMap<Kind, AddressSet> {
    let sets: BTreeMap<Kind, AddressSet> =
        kinds.into_iter().map(|(kind, ranges)| (kind, AddressSet::from_ranges(ranges))).collect();
    let mut kept = BTreeMap::new();
    for ((names, ports, left, right), addresses) in &sets {
        let own = PortSet::from_line_ranges(ports.iter().copied());
        let simpler = sets.iter().filter(|((fewer, other, by_left, by_right), _)| {
            let subset = fewer.len() < names.len() && fewer.iter().all(|name| names.contains(name));
            subset
                && (by_left, by_right) == (left, right)
                && own.is_subset(&PortSet::from_line_ranges(other.iter().copied()))
        });
        let rest = simpler.fold(addresses.clone(), |rest, (_, covered)| rest.difference(covered));
        if !rest.is_empty() {
            kept.insert((names.clone(), ports.clone(), *left, *right), rest);
        }
    }
    kept
}

/// The block with a flow that was replayed.
fn block(
    sender: Option<&Sender>,
    replay: &Replay<'_>,
    senders: Vec<usize>,
    addresses: AddressSet,
    names: &[String],
    ports: PortSet,
) -> Result<Block, Fault> {
    let unconfirmed = |flow: String| Fault::Unconfirmed(flow);
    let first = senders.first().copied().unwrap_or_default();
    let sender = sender.ok_or_else(|| unconfirmed("a flow of nobody".into()))?;
    let (address, port) = witness::choose(&addresses, &ports).ok_or_else(|| unconfirmed("an empty block".into()))?;
    let destination = Destination { address, names: names.iter().cloned().collect() };
    let witness = Flow { workload: sender.workload.clone(), destination, port };
    let (by_left, by_right) = replay(first, &witness)?;
    if by_left == by_right || !witness.is_well_formed() {
        return Err(unconfirmed(witness.to_string()));
    }
    Ok(Block { senders, addresses, names: names.to_vec(), ports, left: by_left, right: by_right, witness })
}

/// How much a block is about: addresses first, then ports, then senders.
fn width(block: &Block) -> (bool, u128, u64, usize) {
    let v4: u128 = block.addresses.v4.ranges().iter().map(|&(first, last)| u128::from(last - first) + 1).sum();
    // Counted in networks of 64 bits, so that neither family hides the other.
    let v6: u128 = block.addresses.v6.ranges().iter().map(|&(first, last)| ((last - first) >> 64) + 1).sum();
    let ports = block.ports.line_ranges().iter().map(|&(first, last)| u64::from(last - first) + 1).sum();
    (block.names.is_empty(), v4.saturating_add(v6), ports, block.senders.len())
}
