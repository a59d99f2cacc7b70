//! Destinations: which addresses no row tells apart, and what each row does at each class of them.
//!
//! In: the rows and the destination sets of rules. Out: classes along both lines, and the matrix from row and class to
//! profile. Rules of blocks that speak about every row are looked at once for each way of being governed; others only
//! for the rows that they are about.

use super::check::TooLarge;
use super::intern::{Interner, place};
use super::matrix::{Matrix, Row, Span};
use super::names::Heard;
use super::outcomes::{Governance, Outcome};
use super::profiles::Profiles;
use super::sources::{Sources, Spoken};
use egress_ir::address::last_bits;
use egress_ir::classes::{Key, Keys, Segment, sweep};
use egress_ir::{AddressSet, BlockId, DestinationSetId, Program, RangeSet, RuleId};
use egress_snapshot::meta::Verdict;
use std::collections::{BTreeMap, BTreeSet};

/// Classes of destinations, and what is done there.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    /// First addresses of runs with their classes, along both lines.
    pub(super) lines: [Vec<(u128, u32)>; 2],
    /// From row and class to profile. The last row is that of those who are unknown.
    pub(super) matrix: Matrix,
    /// The row for each row of the sources; equal ones are one.
    pub(super) row_of: Vec<u32>,
}

/// What is done at a class: a profile for each way of being governed, and other ones for some rows, sorted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Column {
    own: Vec<(u32, u32)>,
    bases: [u32; BASES],
}

/// Ways of being governed, and being unknown.
const BASES: usize = Governance::ALL.len() + 1;

/// Which rows a block speaks about.
enum Audience {
    All,
    /// Sorted; blocks with the same audience have the same number.
    Some(u32),
}

/// Makes the columns of keys.
struct Columns<'a, 'p> {
    rows: Vec<&'a Spoken>,
    /// The ways in which some row is governed.
    governed: BTreeSet<Governance>,
    audiences: BTreeMap<BlockId, Audience>,
    lists: Interner<Vec<u32>>,
    profiles: &'a mut Profiles<'p>,
    unknown: u32,
    left: usize,
}

impl Destinations {
    /// Cuts both lines and decides for each row and class. `rules_of` are the live rules of each destination set.
    pub(super) fn new<'p>(
        program: &'p Program,
        sources: &Sources<'_>,
        rules_of: &BTreeMap<DestinationSetId, Vec<RuleId>>,
        profiles: &mut Profiles<'p>,
        cells: usize,
    ) -> Result<Self, TooLarge> {
        let sets: Vec<&AddressSet> = rules_of.keys().map(|set| &program.destination_sets.at(*set).addresses).collect();
        let rules: Vec<&[RuleId]> = rules_of.values().map(Vec::as_slice).collect();
        // What names may open is open everywhere outside.
        let has_names = |set: &DestinationSetId| !program.destination_sets.at(*set).hosts.is_empty();
        let named: Vec<(u32, &[RuleId])> = (0..)
            .zip(rules_of)
            .filter(|(_, (set, _))| has_names(set))
            .map(|(number, (_, rules))| (number, rules.as_slice()))
            .collect();
        let swept = Swept::new(&sets, &program.cluster.inside, cells)?;
        let unknown = profiles.constant(Outcome::plain(Verdict::Unknown));
        let has_inside = !program.cluster.inside.is_empty();
        let inside = has_inside.then(|| profiles.constant(Outcome::plain(Verdict::Inside)));
        let mut columns = Columns::new(sources, profiles, unknown, cells);
        let mut known: Interner<Column> = Interner::default();
        let mut numbers = Vec::with_capacity(swept.keys.len());
        for (_, list) in swept.keys.lists() {
            let heard = |by_name| move |rule: &RuleId| Heard { rule: *rule, by_name };
            let covering = list.iter().filter_map(|set| rules.get(*set as usize)).flat_map(|rules| rules.iter());
            let others = named.iter().filter(|(set, _)| !list.contains(set)).flat_map(|(_, rules)| rules.iter());
            let covering: Vec<Heard> = covering.map(heard(false)).chain(others.map(heard(true))).collect();
            numbers.push(known.number(columns.column(program, &covering)?));
        }
        let inside = inside.map(|inside| known.number(Column { own: Vec::new(), bases: [inside; BASES] }));
        let rows: Vec<usize> = columns.rows.iter().map(|row| base_of(row.governance)).collect();
        let (order, matrix, row_of) = arranged(&known, &rows);
        let class = |number: u32| order.get(number as usize).copied().unwrap_or_default();
        let of_key = |key: Key| class(numbers.get(key.index()).copied().unwrap_or_default());
        let lines = [false, true].map(|v6| swept.line(v6, of_key, inside.map(class).unwrap_or_default()));
        Ok(Self { lines, matrix, row_of })
    }
}

/// Both lines in segments.
struct Swept {
    keys: Keys,
    segments: [Vec<Segment<u128>>; 2],
    /// Where the lines end.
    last: [u128; 2],
}

impl Swept {
    fn new(sets: &[&AddressSet], inside: &AddressSet, cells: usize) -> Result<Self, TooLarge> {
        let mut keys = Keys::default();
        let mut segments = [Vec::new(), Vec::new()];
        for (v6, segments) in [false, true].into_iter().zip(&mut segments) {
            let sets: Vec<RangeSet<u128>> = sets.iter().map(|set| set.of_family(v6)).collect();
            let beyond = RangeSet::range(0, last_bits(v6)).complement();
            if depth(&sets) > cells {
                return Err(TooLarge::Overlaps);
            }
            *segments = sweep(&sets.iter().collect::<Vec<_>>(), &inside.of_family(v6).union(&beyond), &mut keys);
        }
        Ok(Self { keys, segments, last: [last_bits(false), last_bits(true)] })
    }

    /// First addresses of runs with their classes; what no segment covers is inside.
    fn line(&self, v6: bool, of_key: impl Fn(Key) -> u32, inside: u32) -> Vec<(u128, u32)> {
        let [v4, six] = &self.segments;
        let [last4, last6] = self.last;
        let (segments, last) = if v6 { (six, last6) } else { (v4, last4) };
        let mut line: Vec<(u128, u32)> = Vec::with_capacity(segments.len() + 1);
        let mut push = |start: u128, class: u32| {
            if line.last().is_none_or(|before| before.1 != class) {
                line.push((start, class));
            }
        };
        let mut next = Some(0);
        for segment in segments {
            if let Some(next) = next.filter(|next| *next < segment.start) {
                push(next, inside);
            }
            push(segment.start, of_key(segment.key));
            next = segment.end.checked_add(1);
        }
        if let Some(next) = next.filter(|next| *next <= last) {
            push(next, inside);
        }
        line
    }
}

/// How many sets cover segments, summed up over all segments.
fn depth(sets: &[RangeSet<u128>]) -> usize {
    let mut edges: Vec<(u128, bool)> = Vec::new();
    for &(start, end) in sets.iter().flat_map(RangeSet::ranges) {
        edges.push((start, true));
        edges.extend(end.checked_add(1).map(|after| (after, false)));
    }
    edges.sort_unstable();
    let (mut open, mut sum) = (0_usize, 0_usize);
    for (_, begins) in edges {
        open = if begins { open + 1 } else { open.saturating_sub(1) };
        sum = sum.saturating_add(open);
    }
    sum
}

/// The place of a way of being governed among the bases.
fn base_of(governance: Governance) -> usize {
    Governance::ALL.iter().position(|one| *one == governance).unwrap_or_default()
}

impl<'a, 'p> Columns<'a, 'p> {
    fn new(sources: &'a Sources<'_>, profiles: &'a mut Profiles<'p>, unknown: u32, left: usize) -> Self {
        let rows: Vec<&Spoken> = sources.rows.values().collect();
        let mut heard: BTreeMap<BlockId, Vec<u32>> = BTreeMap::new();
        for (number, row) in rows.iter().enumerate() {
            row.blocks.iter().for_each(|block| heard.entry(*block).or_default().push(place(number)));
        }
        let mut lists = Interner::default();
        let audiences = heard.into_iter().map(|(block, heard)| {
            let is_all = heard.len() == rows.len();
            (block, if is_all { Audience::All } else { Audience::Some(lists.number(heard)) })
        });
        let audiences = audiences.collect();
        let governed = rows.iter().map(|row| row.governance).collect();
        Self { rows, governed, audiences, lists, profiles, unknown, left }
    }

    /// What is done where exactly these rules cover the destination.
    fn column(&mut self, program: &Program, covering: &[Heard]) -> Result<Column, TooLarge> {
        let mut common: Vec<Heard> = Vec::new();
        let mut special: BTreeMap<u32, Vec<Heard>> = BTreeMap::new();
        for &rule in covering {
            match self.audiences.get(&program.rules.at(rule.rule).block) {
                Some(Audience::All) => common.push(rule),
                Some(Audience::Some(list)) => special.entry(*list).or_default().push(rule),
                // A block that nobody is spoken to by decides nothing.
                None => {}
            }
        }
        common.sort_unstable();
        let mut bases = [self.unknown; BASES];
        for (base, governance) in bases.iter_mut().zip(Governance::ALL) {
            if self.governed.contains(&governance) {
                *base = self.profiles.of(governance, &common)?;
            }
        }
        let heard = special.keys().filter_map(|list| self.lists.at(*list)).map(Vec::len).sum::<usize>();
        self.left = self.left.checked_sub(heard + covering.len()).ok_or(TooLarge::Cells)?;
        let own = if special.len() == 1 { self.of_one(&special, &common)? } else { self.of_many(&special, &common)? };
        let differs = |(row, profile): &(u32, u32)| {
            let base = self.rows.get(*row as usize).and_then(|row| bases.get(base_of(row.governance)));
            base != Some(profile)
        };
        Ok(Column { own: own.into_iter().filter(differs).collect(), bases })
    }

    /// The profiles of rows that all hear the same rules.
    fn of_one(&mut self, special: &BTreeMap<u32, Vec<Heard>>, common: &[Heard]) -> Result<Vec<(u32, u32)>, TooLarge> {
        let mut own = Vec::new();
        for (list, rules) in special {
            let mut rules = [common, rules].concat();
            rules.sort_unstable();
            let mut known = [None; BASES];
            for &row in self.lists.at(*list).into_iter().flatten() {
                let Some(governance) = self.rows.get(row as usize).map(|row| row.governance) else { continue };
                let Some(known) = known.get_mut(base_of(governance)) else { continue };
                let profile = match *known {
                    Some(profile) => profile,
                    None => self.profiles.of(governance, &rules)?,
                };
                *known = Some(profile);
                own.push((row, profile));
            }
        }
        Ok(own)
    }

    /// The profiles of rows that hear several groups of blocks.
    fn of_many(&mut self, special: &BTreeMap<u32, Vec<Heard>>, common: &[Heard]) -> Result<Vec<(u32, u32)>, TooLarge> {
        let mut heard: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for list in special.keys() {
            for &row in self.lists.at(*list).into_iter().flatten() {
                heard.entry(row).or_default().push(*list);
            }
        }
        let mut known: BTreeMap<(usize, Vec<u32>), u32> = BTreeMap::new();
        let mut own = Vec::with_capacity(heard.len());
        for (row, lists) in heard {
            let Some(governance) = self.rows.get(row as usize).map(|row| row.governance) else { continue };
            let question = (base_of(governance), lists);
            let profile = match known.get(&question) {
                Some(&profile) => profile,
                None => {
                    let heard = question.1.iter().filter_map(|list| special.get(list)).flatten();
                    let mut rules: Vec<Heard> = common.iter().chain(heard).copied().collect();
                    rules.sort_unstable();
                    let profile = self.profiles.of(governance, &rules)?;
                    known.insert(question, profile);
                    profile
                }
            };
            own.push((row, profile));
        }
        Ok(own)
    }
}

/// Classes in an order in which those stand together that the same rows tell apart: the class of each column, the
/// matrix, and the row of each row, equal ones being one.
fn arranged(columns: &Interner<Column>, base_of_row: &[usize]) -> (Vec<u32>, Matrix, Vec<u32>) {
    let mut sorted: Vec<(&Column, usize)> = columns.values().zip(0..).collect();
    sorted.sort_unstable();
    let mut order = vec![0; sorted.len()];
    let mut bases: Vec<Vec<u32>> = vec![Vec::new(); BASES];
    // Rows that are governed differently and do the same all the same will have one base.
    let mut rows: Vec<Row> = vec![Row::default(); base_of_row.len()];
    for (class, (column, number)) in (0u32..).zip(sorted) {
        order.get_mut(number).into_iter().for_each(|place| *place = class);
        bases.iter_mut().zip(column.bases).for_each(|(base, profile)| base.push(profile));
        for &(row, profile) in &column.own {
            let span = Span { first: class, last: class, value: profile };
            rows.get_mut(row as usize).into_iter().for_each(|row| row.push(span));
        }
    }
    let same = |base: usize| bases.iter().position(|other| Some(other) == bases.get(base)).unwrap_or(base);
    let mut distinct: Interner<Row> = Interner::default();
    let based = base_of_row.iter().zip(rows).map(|(base, row)| Row { base: place(same(*base)), ..row });
    let row_of = based.map(|row| distinct.number(row)).collect();
    // INVARIANT: nobody else has the row of those who are unknown, whatever the program is.
    let mut rows: Vec<Row> = distinct.values().cloned().collect();
    rows.push(Row { base: place(BASES - 1), own: Vec::new() });
    (order, Matrix { columns: columns.len(), bases, rows }, row_of)
}
