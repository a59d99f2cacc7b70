//! A function over addresses as prefixes of which the longest match wins.
//!
//! In: disjoint segments with values; addresses in no segment do not matter. Out: the fewest such prefixes (Draves et
//! al., "Constructing Optimal IP Routing Tables", INFOCOM 1999). What is true of most of a wide prefix is said once,
//! and its exceptions stand beside it, so that few lengths need to be looked up.

/// What a segment maps to; smaller values win where several would do.
pub(super) type Value = u32;

/// A segment of addresses with one value; both ends are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Valued {
    pub(super) start: u128,
    pub(super) end: u128,
    pub(super) value: Value,
}

/// One prefix and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) length: u8,
    pub(super) address: u128,
    pub(super) value: Value,
}

/// The fewest entries, longest first and then by address, that together with `default` for addresses in no entry map
/// every address of a segment to its value. Segments are sorted and disjoint; `width` is 32 or 128.
pub(super) fn longest_match(segments: &[Valued], width: u8, default: Value) -> Vec<Entry> {
    let mut tree = Tree { nodes: Vec::new(), width };
    let root = tree.build(segments, 0, width);
    let mut entries = Vec::new();
    tree.assign(&root, 0, 0, default, &mut entries);
    entries.sort_unstable_by_key(|entry| (std::cmp::Reverse(entry.length), entry.address));
    entries
}

/// The values that the top of a subtree may take without costing an entry more than needed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Candidates {
    Any,
    One(Value),
    Many(Vec<Value>),
}

impl Candidates {
    fn has(&self, value: Value) -> bool {
        match self {
            Self::Any => true,
            Self::One(own) => *own == value,
            Self::Many(values) => values.binary_search(&value).is_ok(),
        }
    }

    fn values(&self) -> &[Value] {
        match self {
            Self::Any => &[],
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }

    /// What both sides may take, or else what either may.
    fn joined(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Any, known) | (known, Self::Any) => known.clone(),
            (Self::One(left), Self::One(right)) if left == right => Self::One(*left),
            _ => {
                let both: Vec<Value> = self.values().iter().copied().filter(|value| other.has(*value)).collect();
                match both.as_slice() {
                    [] => {
                        let mut either = [self.values(), other.values()].concat();
                        either.sort_unstable();
                        Self::Many(either)
                    }
                    [one] => Self::One(*one),
                    _ => Self::Many(both),
                }
            }
        }
    }
}

/// A subtree: its candidates, and its halves where they differ.
#[derive(Clone, Debug)]
struct Subtree {
    candidates: Candidates,
    halves: Option<u32>,
}

struct Tree {
    nodes: Vec<(Subtree, Subtree)>,
    width: u8,
}

impl Tree {
    /// The subtree of the prefix at `start` that leaves `height` bits free.
    fn build(&mut self, segments: &[Valued], start: u128, height: u8) -> Subtree {
        let last = start | low_bits(height);
        let leaf = |candidates| Subtree { candidates, halves: None };
        match segments {
            [] => return leaf(Candidates::Any),
            [only] if height == 0 || (only.start <= start && only.end >= last) => {
                return leaf(Candidates::One(only.value));
            }
            _ => {}
        }
        let middle = start | low_bits(height - 1);
        let (left, _) = segments.split_at(segments.partition_point(|segment| segment.start <= middle));
        let (_, right) = segments.split_at(segments.partition_point(|segment| segment.end <= middle));
        let left = self.build(left, start, height - 1);
        let right = self.build(right, middle + 1, height - 1);
        let candidates = left.candidates.joined(&right.candidates);
        if left.halves.is_none() && right.halves.is_none() && candidates.values().len() <= 1 {
            return leaf(candidates);
        }
        let halves = u32::try_from(self.nodes.len()).ok();
        self.nodes.push((left, right));
        Subtree { candidates, halves }
    }

    /// Emits an entry wherever the inherited value is none of the candidates.
    fn assign(&self, subtree: &Subtree, start: u128, length: u8, inherited: Value, entries: &mut Vec<Entry>) {
        let chosen = match subtree.candidates.values().first() {
            Some(&first) if !subtree.candidates.has(inherited) => {
                entries.push(Entry { length, address: start, value: first });
                first
            }
            _ => inherited,
        };
        let halves = subtree.halves.and_then(|halves| self.nodes.get(usize::try_from(halves).ok()?));
        if let Some((left, right)) = halves {
            let half = low_bits(self.width - length - 1) + 1;
            self.assign(left, start, length + 1, chosen, entries);
            self.assign(right, start + half, length + 1, chosen, entries);
        }
    }
}

/// As many one bits as given, from the lowest.
fn low_bits(count: u8) -> u128 {
    u128::MAX.checked_shr(128 - u32::from(count)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(entries: &[Entry], width: u8, address: u128, default: Value) -> Value {
        let covers = |entry: &&Entry| (entry.address ^ address) & !low_bits(width - entry.length) == 0;
        entries.iter().find(covers).map_or(default, |entry| entry.value)
    }

    proptest! {
        #[test]
        fn every_segment_keeps_its_value(cuts in prop::collection::btree_set(0u32..5000, 2..24), values in prop::collection::vec(0u32..5, 24)) {
            let cuts: Vec<u128> = cuts.into_iter().map(u128::from).collect();
            let segments: Vec<Valued> = cuts.windows(2).zip(&values).filter(|(_, value)| **value < 4)
                .map(|(pair, &value)| Valued { start: pair[0], end: pair[1] - 1, value }).collect();
            for width in [32, 128] {
                let entries = longest_match(&segments, width, 0);
                prop_assert!(entries.is_sorted_by_key(|entry| std::cmp::Reverse(entry.length)));
                for segment in &segments {
                    for address in [segment.start, segment.end, (segment.start + segment.end) / 2] {
                        prop_assert_eq!(find(&entries, width, address, 0), segment.value);
                    }
                }
            }
        }
    }

    #[test]
    fn an_exception_costs_one_entry() {
        let wide = |start, end, value| Valued { start, end, value };
        let segments = [
            wide(0, 0x09ff_ffff, 0),
            wide(0x0a00_0000, 0x0a14_62ff, 1),
            wide(0x0a14_6300, 0x0a14_63ff, 0),
            wide(0x0a14_6400, 0x0aff_ffff, 1),
            wide(0x0b00_0000, 0xffff_ffff, 0),
        ];
        let entries = longest_match(&segments, 32, 0);
        let expected =
            [Entry { length: 24, address: 0x0a14_6300, value: 0 }, Entry { length: 8, address: 0x0a00_0000, value: 1 }];
        assert_eq!(entries, expected);
    }

    #[test]
    fn what_does_not_matter_costs_nothing() {
        let whole = [Valued { start: 0, end: 0xffff, value: 3 }, Valued { start: 0x2_0000, end: u128::MAX, value: 3 }];
        assert_eq!(longest_match(&whole, 128, 0), [Entry { length: 0, address: 0, value: 3 }]);
        assert_eq!(longest_match(&whole, 128, 3), []);
        assert_eq!(longest_match(&[], 32, 3), []);
    }
}
