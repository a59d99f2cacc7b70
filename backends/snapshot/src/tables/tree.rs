//! The check of trees. In: a start entry. Out: that every walk ends within the tables at a value that exists.
//!
//! Depth is bounded by the key's bits, so a block that leads to itself is refused, and each node is checked once for each
//! depth at which it stands, so that shared nodes cost nothing. How many ranges a tree describes is counted on the way.

use super::check::Checker;
use super::raw::{line, offset};
use super::walk::last_key;
use super::{MOST_RANGES, TableError, Tree};
use crate::layout::{Entry, Kind};
use std::collections::BTreeMap;

/// Checks a tree over IPv4 addresses.
pub(super) fn check_v4(checker: &mut Checker<'_>, tree: Tree, name: &'static str) -> Result<(), TableError> {
    Check::new(name, 32, tree.count, &[]).start(checker, tree.start).map(drop)
}

/// Checks a tree over the upper halves of IPv6 addresses, and the low trees first. Names: of the tree, of a low tree and
/// of the part that holds their starts.
pub(super) fn check_v6(checker: &mut Checker<'_>, tree: Tree, names: [&'static str; 3]) -> Result<(), TableError> {
    let [name, low_name, part] = names;
    let mut lows = Vec::new();
    if tree.low_count > 0 {
        let start = checker.whole(part, tree.lows_line, u64::from(tree.low_count) * 4)?;
        debug_assert_eq!(start, line(tree.lows_line));
        let mut check = Check::new(low_name, 64, tree.count, &[]);
        for low in 0..tree.low_count as usize {
            let entry = checker.raw.entry(start, low).unwrap_or(Entry(u32::MAX));
            lows.push(check.start(checker, entry)?);
        }
    }
    Check::new(name, 64, tree.count, &lows).start(checker, tree.start).map(drop)
}

/// The check of one tree, or of many that share their nodes.
struct Check<'a> {
    name: &'static str,
    /// How many bits keys have; an IPv4 key has 32, the upper half.
    bits: u32,
    /// How many values there are.
    count: u32,
    /// The ranges of each low tree that a value may name.
    lows: &'a [u64],
    /// Blocks that were checked, by place and bits used.
    known: BTreeMap<(u32, u32), Below>,
}

/// What is below an entry.
#[derive(Clone, Copy)]
struct Below {
    /// How many ranges.
    ranges: u64,
    /// The only first bits at which it is right, where starts are whole keys.
    only_at: Option<u64>,
}

/// An entry and the way to it.
#[derive(Clone, Copy)]
struct Node {
    entry: Entry,
    used: u32,
    prefix: u64,
}

impl<'a> Check<'a> {
    fn new(name: &'static str, bits: u32, count: u32, lows: &'a [u64]) -> Self {
        Self { name, bits, count, lows, known: BTreeMap::new() }
    }

    /// How many ranges a tree has that begins with an entry.
    fn start(&mut self, checker: &mut Checker<'_>, entry: Entry) -> Result<u64, TableError> {
        let ranges = self.node(checker, Node { entry, used: 0, prefix: 0 })?.ranges;
        if ranges > MOST_RANGES { Err(TableError::Ranges { tree: self.name }) } else { Ok(ranges) }
    }

    fn node(&mut self, checker: &mut Checker<'_>, node: Node) -> Result<Below, TableError> {
        let Some(kind) = node.entry.kind() else { return Err(self.wrong(node, "an entry of no kind")) };
        match kind {
            Kind::Leaf(value) => {
                let ranges = self.value(value, node.prefix, last_key(node.used, node.prefix))?;
                Ok(Below { ranges, only_at: None })
            }
            Kind::Root(at) if node.used == 0 => self.nodes(checker, node, at, 16),
            Kind::Root(_) => Err(self.wrong(node, "a root that is not the start")),
            Kind::Block(at) => self.block(checker, node, at),
            Kind::Chunk4(at) => self.chunk(checker, node, kind, (at, 1)),
            Kind::Chunk8(at) => self.chunk(checker, node, kind, (at, 2)),
            Kind::Chunk16(at) => self.chunk(checker, node, kind, (at, 4)),
            Kind::Line(at) => {
                self.aligned(node, at, 4)?;
                self.ranges(checker, node, kind)
            }
        }
    }

    fn block(&mut self, checker: &mut Checker<'_>, node: Node, at: u32) -> Result<Below, TableError> {
        if let Some(known) = self.known.get(&(at, node.used)) {
            return match known.only_at {
                Some(prefix) if prefix != node.prefix => {
                    Err(self.wrong(node, "a block that stands at two places, with ranges that fit only one"))
                }
                _ => Ok(*known),
            };
        }
        let below = self.nodes(checker, node, at, 8)?;
        self.known.insert((at, node.used), below);
        Ok(below)
    }

    /// Checks all entries that the next bits choose from.
    fn nodes(&mut self, checker: &mut Checker<'_>, node: Node, at: u32, bits: u32) -> Result<Below, TableError> {
        let used = node.used + bits;
        if used > self.bits {
            return Err(self.wrong(node, "a block below the end of the key"));
        }
        self.aligned(node, at, 4)?;
        checker.read(self.name, offset(at), 4 << bits)?;
        let mut sum = Below { ranges: 0, only_at: None };
        for place in 0..1u64 << bits {
            let entry = checker.raw.entry(offset(at), place as usize).unwrap_or(Entry(u32::MAX));
            let prefix = node.prefix | place << (64 - used);
            let below = self.node(checker, Node { entry, used, prefix })?;
            sum.ranges = sum.ranges.saturating_add(below.ranges);
            sum.only_at = sum.only_at.or(below.only_at.map(|_| node.prefix));
        }
        Ok(sum)
    }

    fn chunk(
        &self,
        checker: &mut Checker<'_>,
        node: Node,
        kind: Kind,
        (at, multiple): (u32, u32),
    ) -> Result<Below, TableError> {
        if checker.raw.wide {
            return Err(self.wrong(node, "a chunk in wide tables"));
        }
        if self.bits != 32 || !(16..32).contains(&node.used) {
            return Err(self.wrong(node, "a chunk where there are not one to sixteen bits left"));
        }
        self.aligned(node, at, multiple)?;
        self.ranges(checker, node, kind)
    }

    /// Checks ranges: from the cover's first key upwards, then the last one repeated.
    fn ranges(&self, checker: &mut Checker<'_>, node: Node, kind: Kind) -> Result<Below, TableError> {
        let Some(ranges) = checker.raw.ranges(kind) else { return Err(self.wrong(node, "an entry without ranges")) };
        checker.read(self.name, ranges.start, ranges.length(checker.raw))?;
        let cover_end = last_key(node.used, node.prefix);
        let mut found: Vec<(u64, u32)> = Vec::with_capacity(ranges.places);
        for place in 0..ranges.places {
            let Some(range) = checker.raw.range(ranges, place, node.prefix) else {
                return Err(self.wrong(node, "ranges beyond the end"));
            };
            self.follows(node, &mut found, (place, range), cover_end)?;
        }
        let lasts = found.iter().skip(1).map(|(start, _)| start - 1).chain([cover_end]);
        let mut sum = 0u64;
        for ((first, value), last) in found.iter().zip(lasts) {
            sum = sum.saturating_add(self.value(*value, *first, last)?);
        }
        Ok(Below { ranges: sum, only_at: ranges.by_whole_key().then_some(node.prefix) })
    }

    /// Adds a range that is right behind those found, unless it repeats the last one.
    fn follows(
        &self,
        node: Node,
        found: &mut Vec<(u64, u32)>,
        (place, range): (usize, (u64, u32)),
        end: u64,
    ) -> Result<(), TableError> {
        let start = range.0;
        if self.bits == 32 && start & 0xffff_ffff != 0 {
            return Err(self.wrong(node, "a start that is no address"));
        }
        match found.last() {
            None if start != node.prefix => Err(self.wrong(node, "a first range that does not start where it should")),
            Some(last) if *last == range => Ok(()),
            Some((last, _)) if start <= *last => Err(self.wrong(node, "ranges that are not in order")),
            Some(_) if start > end => Err(self.wrong(node, "a range that starts behind its entry's end")),
            Some(_) if place > found.len() => Err(self.wrong(node, "a range behind an unused place")),
            None | Some(_) => {
                found.push(range);
                Ok(())
            }
        }
    }

    /// Checks a value and says how many ranges the keys from `first` to `last` with it are.
    fn value(&self, value: u32, first: u64, last: u64) -> Result<u64, TableError> {
        if value < self.count {
            return Ok(1);
        }
        let known = (value - self.count) as usize;
        match self.lows.get(known) {
            Some(ranges) => Ok((last - first).saturating_add(1).saturating_mul(*ranges)),
            None => Err(TableError::Id { part: self.name, found: value, count: self.count }),
        }
    }

    fn aligned(&self, node: Node, at: u32, multiple: u32) -> Result<(), TableError> {
        if at.is_multiple_of(multiple) { Ok(()) } else { Err(self.wrong(node, "a place that is not aligned")) }
    }

    fn wrong(&self, node: Node, what: &'static str) -> TableError {
        TableError::Node { tree: self.name, what, entry: node.entry.0, used: node.used }
    }
}
