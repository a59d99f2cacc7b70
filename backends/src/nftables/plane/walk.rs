//! Walks what is left of a ruleset with all ports of one segment of destinations at once.
//!
//! In: a [`Residue`], a sender's address, a segment. Out: what passes, by ports and marks. Follows `nft_do_chain`: base chains one
//! after the other, `accept` for this base chain only, jump and goto with return to the last jump. Every question about
//! the destination must have one answer for the whole segment: that is what shows that the segments are right.

use super::branches::{Branches, UNNAMED, Way};
use super::ports::{Algebra, NONE};
use super::regions::{PacketMark, Region, Regions};
use super::residue::{Go, Hit, Residue, Step};
use egress_ir::{RangeSet, Unclear};

/// The kernel's `NFT_JUMP_STACK_SIZE`.
const DEEPEST: usize = 16;

/// A walk from one sender.
pub(super) struct Walk<'r> {
    residue: &'r Residue,
    /// The sender's address. Without one, packets vanish when a rule asks for it.
    source: Option<u128>,
    pub(super) algebra: Algebra<'r>,
    segment: (u128, u128),
    /// What the present base chain has accepted.
    accepted: Regions,
    /// The names that packets were found to have.
    pub(super) branches: Branches,
    /// What was dropped because of a name, by way.
    pub(super) stopped: Vec<(Way, u32)>,
}

impl<'r> Walk<'r> {
    pub(super) fn new(residue: &'r Residue, source: Option<u128>) -> Self {
        let algebra = Algebra::over(&residue.ports);
        Self {
            residue,
            source,
            algebra,
            segment: (0, 0),
            accepted: Regions::default(),
            branches: Branches::default(),
            stopped: Vec::new(),
        }
    }

    /// Those of the ports that pass to every destination of the segment; the others are dropped there.
    pub(super) fn passing(&mut self, segment: (u128, u128), ports: u32) -> Result<u32, Unclear> {
        let regions = self.through(segment, ports)?;
        let whatever_the_name = regions.iter().filter(|region| region.way == UNNAMED);
        Ok(whatever_the_name.fold(NONE, |all, region| self.algebra.join(all, region.ports)))
    }

    /// The packets with these ports that pass to every destination of the segment.
    pub(super) fn through(&mut self, segment: (u128, u128), ports: u32) -> Result<Regions, Unclear> {
        self.segment = segment;
        self.branches = Branches::default();
        self.stopped = Vec::new();
        let mut regions =
            Regions::from(Region { ports, mark: 0, priority: 0, packet_mark: PacketMark::default(), way: UNNAMED });
        for &(chain, drops) in &self.residue.bases {
            let fallen = self.chain(chain, regions, 0)?;
            regions = std::mem::take(&mut self.accepted);
            if drops {
                self.stop(&fallen);
            } else {
                regions.add(fallen, &mut self.algebra);
            }
        }
        Ok(regions)
    }

    /// Takes packets through a chain; gives back those that return from it.
    fn chain(&mut self, chain: usize, mut regions: Regions, depth: usize) -> Result<Regions, Unclear> {
        if depth > DEEPEST {
            return Err(unclear("chains are nested deeper than the kernel takes"));
        }
        let mut returned = Regions::default();
        for rule in self.residue.chains.get(chain).map_or(&[][..], |chain| &chain.rules) {
            if regions.is_empty() {
                break;
            }
            // Most rules are about other destinations, so that this is asked first and once more.
            let misses = match rule.first() {
                Some(Step::Destination(set)) => !self.destination_is_in(set)?,
                _ => false,
            };
            if !misses {
                self.rule(rule, &mut regions, &mut returned, depth)?;
            }
        }
        if returned.is_empty() {
            return Ok(regions);
        }
        returned.add(regions, &mut self.algebra);
        Ok(returned)
    }

    /// Takes packets through a rule; those that go on to the next one are left in `regions`.
    fn rule(
        &mut self,
        rule: &'r [Step],
        regions: &mut Regions,
        returned: &mut Regions,
        depth: usize,
    ) -> Result<(), Unclear> {
        let mut rest = Regions::default();
        for (place, step) in rule.iter().enumerate() {
            if regions.is_empty() {
                break;
            }
            let holds = match step {
                Step::Source(set) => match self.source {
                    Some(source) => set.contains(source),
                    None => {
                        *regions = Regions::default();
                        true
                    }
                },
                Step::Destination(set) => self.destination_is_in(set)?,
                Step::Named(host) => {
                    let after = rule.get(place + 1..).unwrap_or_default();
                    self.named(*host, after, (&mut *regions, &mut *returned), &mut rest, depth)?;
                    true
                }
                Step::Ports(ports) => {
                    self.part(regions, *ports, &mut rest);
                    true
                }
                Step::Holds(register, set) => {
                    for region in std::mem::take(regions).iter() {
                        let value = region.value(*register).ok_or_else(unknown)?;
                        let side = if set.contains(value) { &mut *regions } else { &mut rest };
                        side.add_one(*region, &mut self.algebra);
                    }
                    true
                }
                Step::Mark { and, or } => {
                    self.change(regions, |region| region.mark = region.mark & and | or);
                    true
                }
                Step::Priority(priority) => {
                    self.change(regions, |region| region.priority = *priority);
                    true
                }
                Step::PacketMark { and, or } => {
                    self.change(regions, |region| region.packet_mark = region.packet_mark.set(*and, *or));
                    true
                }
                Step::ForgetPacketMark(bits) => {
                    self.change(regions, |region| region.packet_mark = region.packet_mark.forget(*bits));
                    true
                }
                Step::Unclear(reason) => return Err(unclear(reason.clone())),
                end => {
                    self.end(end, regions, &mut rest, returned, depth)?;
                    true
                }
            };
            if !holds {
                break;
            }
        }
        if !rest.is_empty() {
            regions.add(rest, &mut self.algebra);
        }
        Ok(())
    }

    /// Takes those of the packets that have a name of the pattern through what is left of the rule; the others go on to the
    /// next rule, unless they are on a way on which all have one.
    fn named(
        &mut self,
        host: usize,
        after: &'r [Step],
        (regions, returned): (&mut Regions, &mut Regions),
        rest: &mut Regions,
        depth: usize,
    ) -> Result<(), Unclear> {
        let all = std::mem::take(regions);
        if self.source.is_none() {
            return Ok(());
        }
        for &region in all.iter() {
            if self.branches.hosts(region.way).contains(&host) {
                regions.add_one(region, &mut self.algebra);
                continue;
            }
            let mut having = Regions::from(Region { way: self.branches.leave(region.way, host), ..region });
            self.rule(after, &mut having, returned, depth)?;
            // Whoever has such a name and goes on to the next rule as if there had been no question goes on with the others.
            for onward in having.iter().filter(|onward| !onward.is_set_like(region)) {
                rest.add_one(*onward, &mut self.algebra);
            }
            rest.add_one(region, &mut self.algebra);
        }
        Ok(())
    }

    /// Notes what is dropped because of a name.
    fn stop(&mut self, regions: &Regions) {
        let named = regions.iter().filter(|region| region.way != UNNAMED);
        self.stopped.extend(named.map(|region| (region.way, region.ports)));
    }

    /// The last step of a rule.
    fn end(
        &mut self,
        step: &'r Step,
        regions: &mut Regions,
        rest: &mut Regions,
        returned: &mut Regions,
        depth: usize,
    ) -> Result<(), Unclear> {
        match step {
            Step::Go(go) => self.go(*go, regions, returned, depth),
            Step::BySource(hits) => match self.source.map(|source| find(hits, source)) {
                Some(Some(hit)) => self.go(hit.go, regions, returned, depth),
                Some(None) => Ok(()),
                None => {
                    *regions = Regions::default();
                    Ok(())
                }
            },
            Step::ByDestination(hits) => match self.destination_among(hits)? {
                Some(go) => self.go(go, regions, returned, depth),
                None => Ok(()),
            },
            Step::ByPorts(hits) => {
                for (ports, go) in hits {
                    let mut others = Regions::default();
                    self.part(regions, *ports, &mut others);
                    self.go(*go, regions, returned, depth)?;
                    rest.add(std::mem::replace(regions, others), &mut self.algebra);
                }
                Ok(())
            }
            Step::ByRegister(register, hits) => {
                for region in std::mem::take(regions).iter() {
                    let mut one = Regions::from(*region);
                    let value = region.value(*register).ok_or_else(unknown)?;
                    if let Some(hit) = find(hits, value) {
                        self.go(hit.go, &mut one, returned, depth)?;
                    }
                    rest.add(one, &mut self.algebra);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Carries a verdict out; those that go on to the next rule are left in `regions`.
    fn go(&mut self, go: Go, regions: &mut Regions, returned: &mut Regions, depth: usize) -> Result<(), Unclear> {
        match go {
            Go::Accept => self.accepted.add(std::mem::take(regions), &mut self.algebra),
            Go::Drop => self.stop(&std::mem::take(regions)),
            Go::Return => returned.add(std::mem::take(regions), &mut self.algebra),
            Go::Continue => {}
            Go::Jump(chain) => *regions = self.chain(chain, std::mem::take(regions), depth + 1)?,
            Go::Goto(chain) => {
                let fallen = self.chain(chain, std::mem::take(regions), depth + 1)?;
                returned.add(fallen, &mut self.algebra);
            }
        }
        Ok(())
    }

    /// Keeps those of the ports, and puts the others beside.
    fn part(&mut self, regions: &mut Regions, ports: u32, others: &mut Regions) {
        for region in std::mem::take(regions).iter() {
            let (inside, outside) = self.algebra.part(region.ports, ports);
            regions.add_one(Region { ports: inside, ..*region }, &mut self.algebra);
            others.add_one(Region { ports: outside, ..*region }, &mut self.algebra);
        }
    }

    /// Changes what is set in every region.
    fn change(&mut self, regions: &mut Regions, change: impl Fn(&mut Region)) {
        for region in std::mem::take(regions).iter() {
            let mut region = *region;
            change(&mut region);
            regions.add_one(region, &mut self.algebra);
        }
    }

    fn destination_is_in(&self, set: &RangeSet<u128>) -> Result<bool, Unclear> {
        let ranges = set.ranges();
        let (start, end) = self.segment;
        match ranges.get(ranges.partition_point(|range| range.1 < start)) {
            Some(range) if range.0 <= start && end <= range.1 => Ok(true),
            Some(range) if range.0 <= end => Err(divided()),
            _ => Ok(false),
        }
    }

    fn destination_among(&self, hits: &[Hit]) -> Result<Option<Go>, Unclear> {
        let (start, end) = self.segment;
        match hits.get(hits.partition_point(|hit| hit.end < start)) {
            Some(hit) if hit.start <= start && end <= hit.end => Ok(Some(hit.go)),
            Some(hit) if hit.start <= end => Err(divided()),
            _ => Ok(None),
        }
    }
}

/// The hit that holds a value.
pub(super) fn find(hits: &[Hit], value: u128) -> Option<&Hit> {
    hits.get(hits.partition_point(|hit| hit.end < value)).filter(|hit| hit.start <= value)
}

fn unknown() -> Unclear {
    unclear("a rule asks for bits of the packet's mark that nothing has set before")
}

fn divided() -> Unclear {
    unclear("a rule divides destinations that were taken together")
}

pub(super) fn unclear(reason: impl Into<String>) -> Unclear {
    Unclear { reason: reason.into() }
}
