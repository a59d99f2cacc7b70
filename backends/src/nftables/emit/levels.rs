//! Which lengths of prefixes the levels of a look-up have: what a packet asks weighed against what is to be loaded.
//!
//! In: the ranges of a table. Out: the lengths, long ones first; none where a few plain rules do as well.

use super::lookup::{Family, Held};

/// A range that spans more buckets than this goes to a later level.
const SPAN: u128 = 8;

/// The lengths that are tried.
const V4: [&[u8]; 18] = [
    &[],
    &[32],
    &[32, 28],
    &[32, 24],
    &[32, 28, 16],
    &[32, 28, 24, 16],
    &[16],
    &[20],
    &[24],
    &[28],
    &[24, 16],
    &[28, 16],
    &[28, 20],
    &[24, 16, 10],
    &[28, 20, 14],
    &[32, 24, 16],
    &[28, 24, 16],
    &[28, 22, 16, 10],
];
const V6: [&[u8]; 8] = [&[], &[32], &[48], &[64], &[64, 32], &[64, 48], &[64, 48, 32], &[128, 64, 32]];

/// How many expressions a look-up is: family, address and mask, and the map.
const ASK: f64 = 5.0;

/// What one microsecond of loading for each range counts, in expressions that a packet meets.
const LOADING: f64 = 0.25;

/// Whether a range spans few enough buckets of `2^shift` addresses.
pub(super) fn fits(held: &Held, shift: u32) -> bool {
    (held.end >> shift) - (held.start >> shift) < SPAN
}

/// The best lengths for sorted ranges.
pub(super) fn choose(ranges: &[Held], family: Family) -> &'static [u8] {
    let candidates: &[&'static [u8]] = match family {
        Family::V4 => &V4,
        Family::V6 => &V6,
    };
    let mut best: (f64, &'static [u8]) = (f64::INFINITY, &[]);
    for lengths in candidates {
        let cost = score(ranges, family, lengths, best.0);
        if cost < best.0 {
            best = (cost, lengths);
        }
    }
    best.1
}

/// One level while it is weighed.
struct Weighed {
    shift: u32,
    /// The last bucket that has something in it, and how much.
    last: Option<(u128, f64)>,
    elements: f64,
}

/// What the lengths cost: expressions that packets to each of the ranges meet, with a share for loading; anything
/// above `best` where they cost more than that.
/// Figures are from kernel 6.18 with nft 1.0.6, see `docs/benchmarks.md`.
fn score(ranges: &[Held], family: Family, lengths: &[u8], best: f64) -> f64 {
    let weighed = |length: &u8| Weighed { shift: u32::from(family.bits() - length), last: None, elements: 0.0 };
    let mut levels: Vec<Weighed> = lengths.iter().map(weighed).collect();
    let (mut load, mut packet, mut wide) = (0.0, 0.0, 0.0);
    for held in ranges {
        let mut asked = 0.0;
        let mut taken = false;
        for level in &mut levels {
            asked += ASK;
            if fits(held, level.shift) {
                let (partial, met) = level.take(held);
                load += 26.0 * partial;
                packet += asked + met;
                taken = true;
                break;
            }
        }
        if !taken {
            wide += 1.0;
        }
        if packet + LOADING * load > best {
            return f64::INFINITY;
        }
    }
    let count = wide + 1.0;
    let tree = 4.0 * (f64::min(count, 5.0) / 2.0 + 2.5 * (f64::max(count / 5.0, 1.0).log2() / 2.0));
    let all_asked = levels.iter().map(|_| ASK).sum::<f64>();
    packet += wide * (all_asked + tree);
    load += wide * 28.0 + levels.iter().map(|level| 45.0 + 4.5 * level.elements).sum::<f64>();
    packet + LOADING * load
}

impl Weighed {
    /// Puts a range in; how many of its ends lie within buckets, and how many expressions a packet to it meets there.
    fn take(&mut self, held: &Held) -> (f64, f64) {
        let (first, last) = (held.start >> self.shift, held.end >> self.shift);
        let low = |address: u128| address & ((1_u128 << self.shift) - 1);
        let starts_within = low(held.start) != 0;
        let ends_within = low(held.end.wrapping_add(1)) != 0;
        let partial = match (starts_within || ends_within, first == last) {
            (false, _) => 0.0,
            (true, true) => 1.0,
            (true, false) => f64::from(u8::from(starts_within)) + f64::from(u8::from(ends_within)),
        };
        let before = match self.last {
            Some((bucket, before)) if bucket == first => before,
            _ => 0.0,
        };
        let fresh = match self.last {
            Some((bucket, _)) if bucket >= first => last.saturating_sub(bucket),
            _ => last - first + 1,
        };
        self.elements += f64::from(u32::try_from(fresh).unwrap_or(u32::MAX));
        self.last = Some((last, if first == last { before + 1.0 } else { 1.0 }));
        // Each rule that came before is met by packets to this one, and this one by packets to them.
        (partial, if partial > 0.0 { 4.0 } else { 1.0 } + 4.5 * before)
    }
}
