//! The addresses that the CIDR parts of rules match, each distinct list once.
//!
//! In: peers of rules. Out: indices of address sets, equal for equal lists. A set says which addresses match *if they
//! are of the world*; pods and nodes are never matched by address.

use std::collections::{BTreeMap, HashMap};

use egress_ir::classes::segments::{Keys, sweep};
use egress_ir::{AddressSet, Labels, Point, Prefix, RangeSet};

use super::super::labels::{Label, LabelSelector, Source};
use super::super::model::{CidrGroup, Model, Peer};

/// Distinct sets of addresses.
#[derive(Debug)]
pub(super) struct Cidrs<'m> {
    model: &'m Model,
    /// The sets, by index.
    pub(super) sets: Vec<AddressSet>,
    known: HashMap<Vec<One<'m>>, usize>,
    groups: HashMap<&'m str, AddressSet>,
    selected: HashMap<String, AddressSet>,
    labelled: Option<Labelled>,
}

/// One way to name addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum One<'m> {
    Cidr(Prefix, &'m [Prefix]),
    Group(&'m str, &'m [Prefix]),
    Selected(String, &'m [Prefix]),
}

/// Addresses with the labels that groups give them.
#[derive(Debug)]
struct Labelled {
    v4: Vec<(u32, u32, Vec<Label>)>,
    v6: Vec<(u128, u128, Vec<Label>)>,
}

impl<'m> Cidrs<'m> {
    pub(super) fn new(model: &'m Model) -> Self {
        let (sets, known) = (Vec::new(), HashMap::new());
        Self { model, sets, known, groups: HashMap::new(), selected: HashMap::new(), labelled: None }
    }

    /// The index of the set of addresses that these peers match, if some of them do.
    pub(super) fn intern(&mut self, peers: &'m [Peer]) -> Option<usize> {
        let mut key = Vec::new();
        for peer in peers {
            key.push(match peer {
                Peer::Cidr { cidr, except } => One::Cidr(*cidr, except),
                Peer::Group { name, except } => One::Group(name, except),
                Peer::Groups { selector, except } => {
                    let shown = format!("{selector:?}");
                    if !self.selected.contains_key(&shown) {
                        let set = self.select(selector);
                        self.selected.insert(shown.clone(), set);
                    }
                    One::Selected(shown, except)
                }
                Peer::Endpoints(_) | Peer::LocalEndpoints(_) | Peer::Entity(_) | Peer::Name(_) => continue,
            });
        }
        if key.is_empty() {
            return None;
        }
        key.sort_unstable();
        key.dedup();
        if let Some(&known) = self.known.get(&key) {
            return Some(known);
        }
        let set = self.union(&key);
        self.sets.push(set);
        self.known.insert(key, self.sets.len() - 1);
        Some(self.sets.len() - 1)
    }

    fn union(&mut self, key: &[One<'m>]) -> AddressSet {
        let parts: Vec<AddressSet> = key.iter().map(|one| self.one(one)).collect();
        match <[AddressSet; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => AddressSet::from_ranges(parts.iter().flat_map(AddressSet::ranges)),
        }
    }

    fn one(&mut self, one: &One<'m>) -> AddressSet {
        let (set, except) = match one {
            One::Cidr(cidr, except) => (AddressSet::from_prefixes([*cidr]), except),
            One::Group(name, except) => (self.group(name), except),
            One::Selected(shown, except) => (self.selected.get(shown).cloned().unwrap_or_default(), except),
        };
        if except.is_empty() { set } else { set.difference(&AddressSet::from_prefixes(except.iter().copied())) }
    }

    fn group(&mut self, name: &'m str) -> AddressSet {
        let prefixes = self.model.groups.get(name).map(|group| group.prefixes.as_slice()).unwrap_or_default();
        let of = || AddressSet::from_prefixes(prefixes.iter().copied());
        self.groups.entry(name).or_insert_with(of).clone()
    }

    /// The addresses of the world with labels that the selector matches; an empty selector matches everything.
    fn select(&mut self, selector: &LabelSelector) -> AddressSet {
        if selector.requirements.is_empty() {
            return AddressSet::full();
        }
        let groups = &self.model.groups;
        let labelled = self
            .labelled
            .get_or_insert_with(|| Labelled { v4: labelled(groups, |set| set.v4), v6: labelled(groups, |set| set.v6) });
        AddressSet { v4: matching(&labelled.v4, selector), v6: matching(&labelled.v6, selector) }
    }
}

fn matching<A: Point>(labelled: &[(A, A, Vec<Label>)], selector: &LabelSelector) -> RangeSet<A> {
    let matching = labelled.iter().filter(|(_, _, labels)| selector.matches(labels));
    RangeSet::from_ranges(matching.map(|(start, end, _)| (*start, *end)))
}

/// Cuts the line where a prefix of a group begins or ends, with the labels in between.
fn labelled<A: Point>(
    groups: &BTreeMap<String, CidrGroup>,
    family: impl Fn(AddressSet) -> RangeSet<A>,
) -> Vec<(A, A, Vec<Label>)> {
    // One set for each group and length: the longest prefix around an address decides.
    let mut parts: Vec<(u8, &Labels, RangeSet<A>)> = Vec::new();
    for group in groups.values() {
        let mut by_length: BTreeMap<u8, Vec<Prefix>> = BTreeMap::new();
        group.prefixes.iter().for_each(|prefix| by_length.entry(prefix.length()).or_default().push(*prefix));
        for (length, prefixes) in by_length {
            parts.push((length, &group.labels, family(AddressSet::from_prefixes(prefixes))));
        }
    }
    let sets: Vec<&RangeSet<A>> = parts.iter().map(|(_, _, set)| set).collect();
    let mut keys = Keys::default();
    let segments = sweep(&sets, &RangeSet::empty(), &mut keys);
    let labels: Vec<Vec<Label>> = keys
        .lists()
        .map(|(_, list)| labels(list.iter().filter_map(|&part| parts.get(part as usize)).map(|part| (part.0, part.1))))
        .collect();
    let of = |key: egress_ir::classes::Key| labels.get(key.index()).cloned().unwrap_or_default();
    segments.into_iter().map(|segment| (segment.start, segment.end, of(segment.key))).collect()
}

/// The labels of several groups; of two with one key, the longer prefix wins, and then the group that comes first.
fn labels<'g>(groups: impl Iterator<Item = (u8, &'g Labels)>) -> Vec<Label> {
    let mut found: BTreeMap<&str, (u8, &str)> = BTreeMap::new();
    for (length, labels) in groups {
        for (key, value) in labels {
            let entry = found.entry(key).or_insert((length, value));
            if length > entry.0 {
                *entry = (length, value);
            }
        }
    }
    let label = |(key, (_, value)): (&str, (u8, &str))| Label {
        source: Source::CidrGroup,
        key: key.to_owned(),
        value: value.to_owned(),
    };
    found.into_iter().map(label).collect()
}
