//! Address sets as prefixes and groups of prefixes, with the fewest entries that mean the same.
//!
//! In: the addresses of a rule and those of the cluster. Out: [`Cidrs`], or references to [`Groups`]. What is inside the
//! cluster passes anyway, so an allow may cover it or not, whichever is shorter; a deny must spare it.

use std::collections::BTreeMap;

use egress_ir::{AddressSet, Prefix, Program};

use super::cover::{Cover, cover};
use super::names::Names;
use super::render::{Yaml, map, text};

/// Longest list of prefixes that stands in a rule; longer ones become groups.
const MAX_INLINE: usize = 16;
/// Most prefixes in one group: about 0.5 MiB, a third of what the API server stores.
const MAX_GROUP: usize = 20_000;

/// Prefixes of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cidrs {
    /// Prefixes, sorted, each with exceptions inside it.
    pub(super) entries: Vec<Cover>,
    /// Exactly the addresses that match.
    pub(super) matched: AddressSet,
}

/// The prefixes of an allow.
pub(super) fn allowed(set: &AddressSet, inside: &AddressSet) -> Cidrs {
    let outside = set.difference(inside);
    if outside.is_empty() {
        return Cidrs { entries: Vec::new(), matched: outside };
    }
    let exact = Cidrs { entries: cover(&outside), matched: outside };
    if cost(&exact.entries) == 1 {
        return exact;
    }
    let others = [set.clone(), set.union(inside)].map(|matched| Cidrs { entries: cover(&matched), matched });
    others.into_iter().fold(exact, |best, form| if cost(&form.entries) < cost(&best.entries) { form } else { best })
}

/// The prefixes of a deny.
pub(super) fn denied(set: &AddressSet, inside: &AddressSet) -> Cidrs {
    let matched = set.difference(inside);
    Cidrs { entries: cover(&matched), matched }
}

fn cost(entries: &[Cover]) -> usize {
    entries.iter().map(|(_, except)| 1 + except.len()).sum()
}

/// Groups of prefixes, shared by all rules with the same lists.
pub(super) struct Groups {
    /// Long declared lists outside the cluster: name and addresses, longest first.
    declared: Vec<(String, AddressSet)>,
    /// List to the names of the groups that hold it.
    known: BTreeMap<Vec<Prefix>, Vec<String>>,
    /// Name, what it is for, and prefixes, in order of creation.
    pub(super) made: Vec<(String, String, Vec<Prefix>)>,
}

impl Groups {
    /// Groups for the declared lists of a program.
    pub(super) fn new(program: &Program) -> Self {
        let outside = |id| program.destination_sets.at(id).addresses.difference(&program.cluster.inside);
        let all = program.destination_names.iter().map(|(name, id)| (name.clone(), outside(*id)));
        let mut declared: Vec<_> = all.filter(|(_, set)| cover(set).len() > MAX_INLINE).collect();
        declared.sort_by_key(|(_, set)| std::cmp::Reverse(set.v4.ranges().len() + set.v6.ranges().len()));
        Self { declared, known: BTreeMap::new(), made: Vec::new() }
    }

    /// `toCIDRSet` of these prefixes: in full where they are few, else by the declared lists that they are made of.
    pub(super) fn cidr_set(&mut self, cidrs: &Cidrs, inside: &AddressSet, names: &mut Names) -> Yaml {
        if cidrs.entries.len() <= MAX_INLINE {
            return in_full(&cidrs.entries);
        }
        let mut rest = cidrs.matched.difference(inside);
        let mut groups = Vec::new();
        for at in 0..self.declared.len() {
            let Some((name, set)) = self.declared.get(at).cloned() else { break };
            if set.overlaps(&rest) && set.is_subset(&cidrs.matched) {
                rest = rest.difference(&set);
                groups.extend(self.group(set.prefixes(), Some(&name), names));
            }
        }
        let entries = cover(&rest);
        if entries.len() > MAX_INLINE {
            groups.extend(self.group(rest.prefixes(), None, names));
        }
        let references = groups.into_iter().map(|name| map([("cidrGroupRef", text(name))]));
        let others = if entries.len() > MAX_INLINE { Vec::new() } else { entries };
        Yaml::list(references.chain(others.iter().map(one)))
    }

    fn group(&mut self, prefixes: Vec<Prefix>, list: Option<&str>, names: &mut Names) -> Vec<String> {
        if let Some(known) = self.known.get(&prefixes) {
            return known.clone();
        }
        let content: String = prefixes.iter().map(|prefix| format!("{prefix}\n")).collect();
        let base = list.map_or_else(|| format!("cidrs-{}", super::names::digest(&content)), str::to_owned);
        let parts = prefixes.len().div_ceil(MAX_GROUP);
        let mut groups = Vec::new();
        for (number, chunk) in prefixes.chunks(MAX_GROUP).enumerate() {
            let wanted = if parts == 1 { base.clone() } else { format!("{base}-{}-of-{parts}", number + 1) };
            let name = names.take(&wanted, &content);
            let what = list.map_or_else(|| "prefixes of rules".to_owned(), |list| format!("destinations {list}"));
            self.made.push((name.clone(), what, chunk.to_vec()));
            groups.push(name);
        }
        self.known.insert(prefixes, groups.clone());
        groups
    }
}

fn in_full(entries: &[Cover]) -> Yaml {
    Yaml::list(entries.iter().map(one))
}

fn one((prefix, except): &Cover) -> Yaml {
    let mut fields = vec![("cidr".to_owned(), text(prefix.to_string()))];
    if !except.is_empty() {
        fields.push(("except".to_owned(), Yaml::list(except.iter().map(|out| text(out.to_string())))));
    }
    Yaml::Map(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(prefixes: &[&str]) -> AddressSet {
        AddressSet::from_prefixes(prefixes.iter().map(|text| {
            let (address, length) = text.split_once('/').expect("a prefix");
            Prefix::containing(address.parse().expect("an address"), length.parse().expect("a length"))
        }))
    }

    fn shown(cidrs: &Cidrs) -> Vec<String> {
        let entry = |(prefix, except): &Cover| {
            let except: Vec<String> = except.iter().map(Prefix::to_string).collect();
            if except.is_empty() { prefix.to_string() } else { format!("{prefix} except {}", except.join(" ")) }
        };
        cidrs.entries.iter().map(entry).collect()
    }

    #[test]
    fn world_is_two_prefixes() {
        let inside = set(&["10.42.0.0/16", "10.43.0.0/16", "fd00:42::/56"]);
        let world = inside.complement();
        assert_eq!(shown(&allowed(&world, &inside)), ["0.0.0.0/0", "::/0"]);
        let expected = ["0.0.0.0/0 except 10.42.0.0/15", "::/0 except fd00:42::/56"];
        assert_eq!(shown(&denied(&world, &inside)), expected);
    }

    #[test]
    fn denies_spare_the_inside_and_what_is_inside_needs_no_allow() {
        let inside = set(&["10.42.0.0/16"]);
        assert_eq!(shown(&denied(&set(&["10.0.0.0/8"]), &inside)), ["10.0.0.0/8 except 10.42.0.0/16"]);
        assert_eq!(shown(&denied(&set(&["10.42.8.0/24"]), &inside)), [""; 0]);
        assert_eq!(shown(&allowed(&set(&["10.42.8.0/24"]), &inside)), [""; 0]);
        assert_eq!(shown(&allowed(&set(&["10.0.0.0/8"]), &inside)), ["10.0.0.0/8"]);
        assert_eq!(shown(&denied(&set(&["192.0.2.1/32"]), &inside)), ["192.0.2.1/32"]);
    }
}
