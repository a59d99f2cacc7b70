//! The shortest list of prefixes with exclusions by which a gateway takes what it must and nothing that it must not.
//!
//! In: the addresses of one family that it must take, those that others take, those that nobody may take. Out: prefixes;
//! addresses of none of these sets may be in or out, whichever is shorter. A prefix never holds what another gateway
//! must take, so that the prefixes of two gateways are disjoint, and an exclusion lies inside its own prefix.

use egress_ir::address::from_bits;
use egress_ir::{Prefix, RangeSet};

use super::super::cover::{Cover, has_mapped};

/// Most prefixes and exclusions by which a gateway takes exactly what it must, before it also takes more to need fewer.
const MAX_EXACT: usize = 32;

/// The prefixes, in order: exactly what must be taken where that is short, so that the policy reads like its source.
pub(super) fn shortest(
    must: &RangeSet<u128>,
    others: &RangeSet<u128>,
    nobody: &RangeSet<u128>,
    v6: bool,
) -> Vec<Cover> {
    let cost = |covers: &[Cover]| covers.iter().map(|(_, except)| 1 + except.len()).sum::<usize>();
    let exact = cover(must, others, &must.complement(), v6);
    if cost(&exact) <= MAX_EXACT {
        return exact;
    }
    let wider = cover(must, others, nobody, v6);
    if cost(&wider) < cost(&exact) { wider } else { exact }
}

/// The prefixes for these sets, in order.
fn cover(must: &RangeSet<u128>, others: &RangeSet<u128>, nobody: &RangeSet<u128>, v6: bool) -> Vec<Cover> {
    Line { must, others, nobody, v6, width: if v6 { 128 } else { 32 } }.node(0, 0).members
}

struct Line<'s> {
    must: &'s RangeSet<u128>,
    others: &'s RangeSet<u128>,
    nobody: &'s RangeSet<u128>,
    v6: bool,
    width: u8,
}

/// What a node of the tree of prefixes needs.
#[derive(Default)]
struct Node {
    members: Vec<Cover>,
    /// Prefixes and exclusions of `members`.
    cost: usize,
    /// What must be excluded if the whole node is taken.
    out: Vec<Prefix>,
}

impl Line<'_> {
    /// The node of `length` bits that starts at `start`. Recursion is as deep as addresses have bits.
    fn node(&self, start: u128, length: u8) -> Node {
        let size_less_one = u128::MAX.checked_shr(u32::from(128 - self.width) + u32::from(length)).unwrap_or(0);
        let last = start | size_less_one;
        let prefix = || Prefix::containing(from_bits(self.v6, start), length);
        let (nobody, others) = (self.nobody.meets(start, last), self.others.meets(start, last));
        if !self.must.meets(start, last) {
            return Node { out: if nobody { vec![prefix()] } else { Vec::new() }, ..Node::default() };
        }
        if (!nobody && !others) || length >= self.width {
            return Node { members: vec![(prefix(), Vec::new())], cost: 1, out: Vec::new() };
        }
        let half = size_less_one / 2 + 1;
        let (mut low, high) = (self.node(start, length + 1), self.node(start | half, length + 1));
        low.out.extend(high.out);
        let out = low.out;
        // IPv4-mapped prefixes are refused, so a cover without them is better than a shorter one with them.
        if !others && 1 + out.len() < low.cost + high.cost && !has_mapped(&out) {
            return Node { cost: 1 + out.len(), members: vec![(prefix(), out.clone())], out };
        }
        low.members.extend(high.members);
        Node { cost: low.cost + high.cost, members: low.members, out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_ir::address::to_bits;
    use egress_testkit::seed::{Rng, cases, seed};

    fn random(rng: &mut Rng, width: u64) -> RangeSet<u128> {
        let last = (1_u128 << width) - 1;
        let mut end = || u128::from(rng.between(0, u64::MAX)) & last;
        let pairs: Vec<(u128, u128)> = (0..3).map(|_| (end(), end())).map(|(a, b)| (a.min(b), a.max(b))).collect();
        RangeSet::from_ranges(pairs)
    }

    fn within(prefix: &Prefix) -> RangeSet<u128> {
        RangeSet::range(to_bits(prefix.address()), to_bits(prefix.last()))
    }

    #[test]
    fn covers_take_what_they_must_and_nothing_that_they_must_not() {
        let (seed, mut spared) = (seed(), 0);
        for case in 0..cases(1500) {
            let mut rng = Rng::new(seed, case);
            let width = rng.between(4, 32);
            let must = random(&mut rng, width);
            let others = random(&mut rng, width).difference(&must);
            let nobody = random(&mut rng, width).difference(&must).difference(&others);
            let covers = cover(&must, &others, &nobody, false);
            let mut taken = RangeSet::empty();
            for (prefix, out) in &covers {
                let whole = within(prefix);
                assert!(!whole.overlaps(&others), "seed {seed}, case {case}: {prefix} holds what others take");
                assert!(!whole.overlaps(&taken), "seed {seed}, case {case}: {prefix} overlaps one before it");
                let out = out.iter().fold(RangeSet::empty(), |sum, out| {
                    assert!(within(out).is_subset(&whole) && within(out) != whole, "seed {seed}, case {case}: {out}");
                    sum.union(&within(out))
                });
                taken = taken.union(&whole.difference(&out));
            }
            assert!(must.is_subset(&taken) && !taken.overlaps(&nobody), "seed {seed}, case {case}");
            spared += usize::from(taken != must);
        }
        assert!(spared > 0, "nothing was spared");
    }
}
