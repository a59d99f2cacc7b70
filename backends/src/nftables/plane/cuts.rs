//! Where the rules that a sender can meet divide the destinations.
//!
//! In: a [`Residue`] and a sender's address. Out: segments of the whole line, such that no rule that the sender can meet
//! divides one. What a packet meets is taken too widely rather than too narrowly; the walk checks each segment.

use super::residue::{Go, Residue, Step};
use super::walk::find;

/// The segments for a sender; without an address, those for all.
pub(super) fn segments(residue: &Residue, source: Option<u128>) -> Vec<(u128, u128)> {
    let mut search =
        Search { residue, source, seen: vec![false; residue.chains.len()], cuts: vec![0], open: Vec::new() };
    for &(chain, _) in &residue.bases {
        search.reach(Go::Jump(chain));
    }
    while let Some(chain) = search.open.pop() {
        for rule in residue.chains.get(chain).map_or(&[][..], |chain| &chain.rules) {
            search.rule(rule);
        }
    }
    let mut starts = search.cuts;
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([residue.last]);
    starts.iter().copied().zip(ends).collect()
}

struct Search<'r> {
    residue: &'r Residue,
    source: Option<u128>,
    seen: Vec<bool>,
    /// The first addresses of segments.
    cuts: Vec<u128>,
    /// Chains that are reached and not yet looked at.
    open: Vec<usize>,
}

impl Search<'_> {
    fn rule(&mut self, rule: &[Step]) {
        for step in rule {
            match step {
                Step::Source(set) if self.source.is_some_and(|source| !set.contains(source)) => return,
                Step::Destination(set) => set.ranges().iter().for_each(|&(start, end)| self.cut(start, end)),
                Step::BySource(hits) => match self.source {
                    Some(source) => find(hits, source).into_iter().for_each(|hit| self.reach(hit.go)),
                    None => hits.iter().for_each(|hit| self.reach(hit.go)),
                },
                Step::ByDestination(hits) => {
                    for hit in hits {
                        self.cut(hit.start, hit.end);
                        self.reach(hit.go);
                    }
                }
                Step::ByPorts(hits) => hits.iter().for_each(|(_, go)| self.reach(*go)),
                Step::ByRegister(_, hits) => hits.iter().for_each(|hit| self.reach(hit.go)),
                Step::Go(go) => self.reach(*go),
                Step::Source(_) | Step::Named(_) | Step::Ports(_) | Step::Holds(..) => {}
                Step::Mark { .. } | Step::Priority(_) | Step::Unclear(_) => {}
                Step::PacketMark { .. } | Step::ForgetPacketMark(_) => {}
            }
        }
    }

    fn cut(&mut self, start: u128, end: u128) {
        self.cuts.push(start);
        self.cuts.extend(end.checked_add(1).filter(|next| *next <= self.residue.last));
    }

    fn reach(&mut self, go: Go) {
        let (Go::Jump(chain) | Go::Goto(chain)) = go else { return };
        if let Some(seen) = self.seen.get_mut(chain)
            && !std::mem::replace(seen, true)
        {
            self.open.push(chain);
        }
    }
}
