//! Trees from keys to values, in the smallest form for each part of the key space.
//!
//! In: runs of equal values along all keys. Out: nodes in pools, which become bytes once it is known where the pools
//! stand. The forms are those of [`egress_snapshot::layout`]; a root of 65,536 entries saves two steps of a walk and is
//! taken as soon as blocks would be about as large.

use super::intern::{Interner, place};
use egress_snapshot::{Entry, Kind, LINE};

/// Keys from `start` to the next run's start, or to the end, have the value. The first run starts at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) value: u32,
}

/// Above so many bytes of blocks, a root is taken instead.
const ROOT_FROM: usize = 96 * 1024;

/// What kind of keys a tree has, and how wide its values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// IPv4: the key is the address in the upper half.
    pub(super) v4: bool,
    /// Values have 32 bits.
    pub(super) wide: bool,
}

/// The nodes of trees: the numbers in kinds are places in these pools.
#[derive(Debug, Default)]
pub(super) struct Forest {
    roots: Vec<Vec<Kind>>,
    blocks: Vec<Vec<Kind>>,
    lines: Vec<[u8; LINE]>,
    chunks16: Interner<[u32; 16]>,
    chunks8: Interner<[u32; 8]>,
    chunks4: Interner<[u32; 4]>,
}

/// Runs within what a node covers: `2^span` keys from `start` on.
#[derive(Clone, Copy)]
struct Cover<'r> {
    runs: &'r [Run],
    start: u64,
    span: u32,
}

impl Forest {
    /// Plants a tree: its start.
    pub(super) fn plant(&mut self, runs: &[Run], form: Form) -> Kind {
        let whole = Cover { runs, start: 0, span: 64 };
        if let Some(small) = self.small(whole, form) {
            return small;
        }
        if size(whole, form) <= ROOT_FROM {
            return self.node(whole, form);
        }
        let entries = whole.parts(16).map(|part| self.node(part, form)).collect();
        self.roots.push(entries);
        Kind::Root(place(self.roots.len() - 1))
    }

    fn node(&mut self, cover: Cover<'_>, form: Form) -> Kind {
        if let Some(small) = self.small(cover, form) {
            return small;
        }
        let entries = cover.parts(8).map(|part| self.node(part, form)).collect();
        self.blocks.push(entries);
        Kind::Block(place(self.blocks.len() - 1))
    }

    /// A form within one line; nothing where there are too many runs.
    fn small(&mut self, cover: Cover<'_>, form: Form) -> Option<Kind> {
        Some(match small_size(cover, form)? {
            0 => Kind::Leaf(cover.runs.first()?.value),
            16 => Kind::Chunk4(self.chunks4.number(cover.words())),
            32 => Kind::Chunk8(self.chunks8.number(cover.words())),
            _ if is_chunk(cover, form) => Kind::Chunk16(self.chunks16.number(cover.words())),
            _ => {
                self.lines.push(cover.line(form.wide));
                Kind::Line(place(self.lines.len() - 1))
            }
        })
    }

    /// How many lines all nodes take.
    pub(super) fn line_count(&self) -> usize {
        self.ends().into_iter().next_back().unwrap_or(0).div_ceil(LINE)
    }

    /// Where the pools end, in bytes from the first: roots, blocks, lines, chunks of 16, 8 and 4.
    fn ends(&self) -> [usize; 6] {
        let mut end = 0;
        [
            self.roots.len() << 18,
            self.blocks.len() << 10,
            self.lines.len() * LINE,
            self.chunks16.len() * 64,
            self.chunks8.len() * 32,
            self.chunks4.len() * 16,
        ]
        .map(|size| {
            end += size;
            end
        })
    }

    /// The entry of a node when the pools begin at this line.
    pub(super) fn entry(&self, node: Kind, first_line: u32) -> Entry {
        let [roots, blocks, lines, chunks16, chunks8, _] = self.ends();
        let at = |begin: usize, number: u32, size: usize| {
            place((first_line as usize * LINE + begin + number as usize * size) / 16)
        };
        Entry::new(match node {
            Kind::Leaf(value) => Kind::Leaf(value),
            Kind::Root(number) => Kind::Root(at(0, number, 1 << 18)),
            Kind::Block(number) => Kind::Block(at(roots, number, 1 << 10)),
            Kind::Line(number) => Kind::Line(at(blocks, number, LINE)),
            Kind::Chunk16(number) => Kind::Chunk16(at(lines, number, 64)),
            Kind::Chunk8(number) => Kind::Chunk8(at(chunks16, number, 32)),
            Kind::Chunk4(number) => Kind::Chunk4(at(chunks8, number, 16)),
        })
    }

    /// Appends all nodes, which begin at this line.
    pub(super) fn write(&self, bytes: &mut Vec<u8>, first_line: u32) {
        for node in self.roots.iter().chain(&self.blocks).flatten() {
            bytes.extend(self.entry(*node, first_line).0.to_le_bytes());
        }
        self.lines.iter().for_each(|line| bytes.extend(line));
        let chunks = self.chunks16.values().flatten().chain(self.chunks8.values().flatten());
        for word in chunks.chain(self.chunks4.values().flatten()) {
            bytes.extend(word.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(LINE), 0);
    }
}

/// Whether ranges by the lower half of an IPv4 address can say it.
fn is_chunk(cover: Cover<'_>, form: Form) -> bool {
    form.v4 && !form.wide && cover.span <= 48
}

/// The bytes of a form within one line; nothing where there are too many runs.
fn small_size(cover: Cover<'_>, form: Form) -> Option<usize> {
    let most_in_line = if form.wide { 5 } else { 6 };
    match (cover.runs.len(), is_chunk(cover, form)) {
        (0 | 1, _) => Some(0),
        (2..=4, true) => Some(16),
        (5..=8, true) => Some(32),
        (9..=16, true) => Some(64),
        (count, false) if count <= most_in_line => Some(LINE),
        _ => None,
    }
}

/// The bytes of a node that is no root.
fn size(cover: Cover<'_>, form: Form) -> usize {
    small_size(cover, form).unwrap_or_else(|| 1024 + cover.parts(8).map(|part| size(part, form)).sum::<usize>())
}

impl<'r> Cover<'r> {
    /// The runs of each of `2^bits` equal parts.
    fn parts(self, bits: u32) -> impl Iterator<Item = Cover<'r>> {
        let span = self.span - bits;
        let mut rest = self.runs;
        (0..1_u64 << bits).map(move |number| {
            let start = self.start | number << span;
            let last = start | ((1 << span) - 1);
            // Runs that end before the part begins are behind; a run that goes on beyond it is kept for the next one.
            while rest.get(1).is_some_and(|next| next.start <= start) {
                rest = rest.get(1..).unwrap_or_default();
            }
            let within = rest.iter().take_while(|run| run.start <= last).count();
            Cover { runs: rest.get(..within).unwrap_or_default(), start, span }
        })
    }

    /// Starts and values, the last repeated, as far as there are places.
    fn padded(self) -> impl Iterator<Item = (u64, u32)> {
        let runs = self.runs.iter().map(move |run| (run.start.max(self.start), run.value));
        let last = runs.clone().next_back().unwrap_or_default();
        runs.chain(std::iter::repeat(last))
    }

    fn words<const N: usize>(self) -> [u32; N] {
        let mut words = [0; N];
        for (word, (start, value)) in words.iter_mut().zip(self.padded()) {
            *word = ((start >> 32) as u32) << 16 | value & 0xffff;
        }
        words
    }

    fn line(self, wide: bool) -> [u8; LINE] {
        let mut bytes = Vec::with_capacity(LINE);
        let count = if wide { 5 } else { 6 };
        self.padded().take(count).for_each(|(start, _)| bytes.extend(start.to_le_bytes()));
        for (_, value) in self.padded().take(count) {
            let value = value.to_le_bytes();
            bytes.extend(if wide { &value[..] } else { &value[..2] });
        }
        bytes.resize(LINE, 0);
        bytes.try_into().unwrap_or([0; LINE])
    }
}

/// A line of IPv6 addresses as a tree over the upper halves and low trees over the lower ones.
#[derive(Debug, Default)]
pub(super) struct Halves {
    /// Over the upper halves; values of `count` and more name low trees.
    pub(super) upper: Vec<Run>,
    /// Over the lower halves.
    pub(super) lows: Interner<Vec<Run>>,
}

impl Halves {
    /// Parts runs of IPv6 addresses (first address and value, the first at 0); `count` is the number of values.
    pub(super) fn new(runs: &[(u128, u32)], count: u32) -> Self {
        let halves = |address: u128| ((address >> 64) as u64, address as u64);
        let mut lows = Interner::default();
        let mut upper: std::collections::BTreeMap<u64, u32> = std::collections::BTreeMap::new();
        let mut parted: Vec<(u64, u32)> = Vec::new();
        let mut rest = runs;
        while let Some((&(start, value), after)) = rest.split_first() {
            let (high, low) = halves(start);
            let within = after.iter().take_while(|(start, _)| halves(*start).0 == high).count();
            let (inside, beyond) = after.split_at_checked(within).unwrap_or_default();
            if low == 0 && inside.is_empty() {
                upper.insert(high, value);
            } else {
                // What covers the first address of the half is the run before, unless one starts there.
                let before = parted_value(runs, high);
                let first = Run { start: 0, value: before };
                let inside = inside.iter().map(|&(start, value)| Run { start: halves(start).1, value });
                let own = (low != 0).then_some(Run { start: low, value });
                let tree: Vec<Run> = [first].into_iter().chain(own).chain(inside).collect();
                let last = tree.last().map_or(value, |run| run.value);
                parted.push((high, lows.number(tree)));
                if let Some(next) = high.checked_add(1) {
                    upper.insert(next, last);
                }
            }
            rest = beyond;
        }
        upper.extend(parted.into_iter().map(|(high, low)| (high, count + low)));
        Self { upper: upper.into_iter().map(|(start, value)| Run { start, value }).collect(), lows }
    }
}

/// The value of the first address with this upper half.
fn parted_value(runs: &[(u128, u32)], high: u64) -> u32 {
    let first = u128::from(high) << 64;
    let after = runs.partition_point(|(start, _)| *start <= first);
    after.checked_sub(1).and_then(|at| runs.get(at)).map_or(0, |(_, value)| *value)
}
