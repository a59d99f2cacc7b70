//! Pieces of a filter, cut where kube-vip's rules begin and end, with their lists rewritten.

use super::super::rules::Chain;
use super::unclear;
use egress_ir::address::{from_bits, to_bits};
use egress_ir::plane::{Entry, Guard, List, ListId};
use egress_ir::{Outcome, Piece, PortSet, Unclear, Vocabulary};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// What becomes of packets to some place, by port: disjoint sets, each with its outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Rewriting {
    sets: Vec<(PortSet, Outcome)>,
    /// Ports for which two Services choose different addresses.
    ambiguous: PortSet,
}

/// The pieces of a sender that nobody rewrites.
pub(super) fn untouched(pieces: Vec<Piece>, vocabulary: &Vocabulary) -> Result<Vec<Piece>, Unclear> {
    let lists: BTreeSet<ListId> = pieces.iter().map(|piece| piece.list).collect();
    lists.into_iter().try_for_each(|list| check(vocabulary.list_at(list)))?;
    Ok(pieces)
}

/// The pieces of a sender that sends from one address.
pub(super) fn rewritten(
    pieces: &[Piece],
    chains: &[Chain],
    source: IpAddr,
    vocabulary: &mut Vocabulary,
    with_address: &dyn Fn(IpAddr) -> Result<Outcome, Unclear>,
) -> Result<Vec<Piece>, Unclear> {
    let cuts = cuts(chains, source);
    let mut lists: HashMap<(ListId, Rewriting), ListId> = HashMap::new();
    let mut all: Vec<Piece> = Vec::new();
    for piece in pieces {
        for (start, end) in parts(piece, &cuts) {
            let rewriting = rewriting(chains, source, from_bits(source.is_ipv6(), start), with_address)?;
            let key = (piece.list, rewriting);
            let list = match lists.get(&key) {
                Some(known) => *known,
                None => {
                    let made = rewrite(&vocabulary.list_at(piece.list).clone(), &key.1, vocabulary)?;
                    *lists.entry(key).or_insert(made)
                }
            };
            match all.last_mut() {
                Some(last) if last.list == list => last.end = end,
                _ => all.push(Piece { start, end, list }),
            }
        }
    }
    Ok(all)
}

/// The numbers of the addresses at which some rule begins to do something else.
fn cuts(chains: &[Chain], source: IpAddr) -> BTreeSet<u128> {
    let rules = chains.iter().flat_map(|chain| &chain.rules).filter(|rule| rule.source == source);
    let ranges = rules.flat_map(|rule| rule.except.iter().chain(&rule.within));
    ranges.flat_map(|&(first, last)| [Some(to_bits(first)), to_bits(last).checked_add(1)]).flatten().collect()
}

/// A piece, cut at the places within it.
fn parts(piece: &Piece, cuts: &BTreeSet<u128>) -> Vec<(u128, u128)> {
    let mut parts = Vec::new();
    let mut start = piece.start;
    // INVARIANT: a piece is never empty, so a cut after its start leaves something on both sides.
    if piece.start < piece.end {
        for &cut in cuts.range(piece.start + 1..=piece.end) {
            parts.push((start, cut - 1));
            start = cut;
        }
    }
    parts.push((start, piece.end));
    parts
}

/// What the rules do to packets to one address.
fn rewriting(
    chains: &[Chain],
    source: IpAddr,
    destination: IpAddr,
    with_address: &dyn Fn(IpAddr) -> Result<Outcome, Unclear>,
) -> Result<Rewriting, Unclear> {
    let mut sum = Rewriting::default();
    for chain in chains.iter().filter(|chain| chain.v6 == source.is_ipv6()) {
        // Within a chain the first rule decides; between chains nobody knows which is asked first.
        let mut left = PortSet::any();
        for rule in chain.rules.iter().filter(|rule| rule.source == source && rule.reaches(destination)) {
            let ports = rule.port_set().intersection(&left);
            left = left.difference(&ports);
            sum.add(ports, with_address(rule.to)?);
        }
    }
    Ok(sum)
}

impl Rewriting {
    fn add(&mut self, ports: PortSet, outcome: Outcome) {
        let mut fresh = ports;
        for (known, said) in &self.sets {
            let both = known.intersection(&fresh);
            if *said != outcome {
                self.ambiguous = self.ambiguous.union(&both);
            }
            fresh = fresh.difference(&both);
        }
        if !fresh.is_empty() {
            self.sets.push((fresh, outcome));
        }
    }
}

/// The list with the outcomes of what passes replaced.
fn rewrite(list: &List, rewriting: &Rewriting, vocabulary: &mut Vocabulary) -> Result<ListId, Unclear> {
    check(list)?;
    let mut entries = Vec::new();
    for entry in &list.entries {
        let ports = vocabulary.ports_at(entry.ports).clone();
        if entry.outcome == Outcome::Dropped {
            entries.push(*entry);
        } else {
            spread(entry.guard, &ports, rewriting, &mut entries, vocabulary)?;
        }
    }
    if list.default.passes() {
        let any = PortSet::any();
        spread(Guard::Always, &any, rewriting, &mut entries, vocabulary)?;
    }
    // The last entry of a list that lets everything pass says what the default says.
    let plain = |entry: &Entry| entry.guard == Guard::Always && entry.outcome == list.default;
    while entries.last().is_some_and(plain) {
        entries.pop();
    }
    Ok(vocabulary.list(&List { entries, default: list.default }))
}

/// Entries for the parts of a port set that are rewritten, and for what is left of it.
fn spread(
    guard: Guard,
    ports: &PortSet,
    rewriting: &Rewriting,
    entries: &mut Vec<Entry>,
    vocabulary: &mut Vocabulary,
) -> Result<(), Unclear> {
    if rewriting.ambiguous.overlaps(ports) {
        return Err(ambiguous());
    }
    let mut left = ports.clone();
    for (set, outcome) in &rewriting.sets {
        let both = set.intersection(ports);
        if !both.is_empty() {
            entries.push(Entry { guard, ports: vocabulary.ports(&both), outcome: *outcome });
            left = left.difference(&both);
        }
    }
    if !left.is_empty() {
        entries.push(Entry { guard, ports: vocabulary.ports(&left), outcome: Outcome::Passes(None) });
    }
    Ok(())
}

/// A filter must not choose gateways: its choice would come before kube-vip's, or after it.
fn check(list: &List) -> Result<(), Unclear> {
    let outcomes = list.entries.iter().map(|entry| entry.outcome).chain([list.default]);
    let chooses = |outcome| matches!(outcome, Outcome::Passes(Some(_)) | Outcome::Misrouted);
    if outcomes.into_iter().any(chooses) { Err(routes_itself()) } else { Ok(()) }
}

pub(super) fn routes_itself() -> Unclear {
    unclear("the filter chooses gateways itself, so that nobody knows which choice holds")
}

pub(super) fn ambiguous() -> Unclear {
    unclear("two Services rewrite one flow to different addresses, and which is asked first depends on which came last")
}
