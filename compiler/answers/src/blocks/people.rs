//! Senders in words: the names that policies give them, and who of them runs.
//!
//! In: senders, and the workload sets that policies speak about. Out: the fewest names that say exactly who is in a
//! block; where names do not say it, examples.

use super::destinations::addresses;
use super::shortened;
use crate::counted;
use egress_ir::{
    AddressSet, NamespaceSelector, Operator, PodSelector, Program, Requirement, Selector, Sender, Workload, WorkloadSet,
};
use egress_verifier::Block;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Everybody who sends, with names.
pub struct People<'w> {
    senders: &'w [Sender],
    /// What each set is called, and which senders are in it.
    sets: Vec<(String, BTreeSet<usize>)>,
    /// What was said before: by senders, and whether it was about IPv4 and IPv6.
    said: RefCell<BTreeMap<Asked, String>>,
}

/// Senders, and the families of addresses.
type Asked = (Vec<usize>, bool, bool);

impl<'w> People<'w> {
    /// Senders, and the programs whose policies speak about them.
    pub fn new(senders: &'w [Sender], programs: &[&Program]) -> Self {
        let mut called: BTreeMap<&WorkloadSet, String> = BTreeMap::new();
        for program in programs {
            let declared: BTreeMap<_, _> = program.workload_names.iter().map(|(name, id)| (*id, name)).collect();
            for block in program.blocks.values() {
                let set = program.workloads_of(block);
                let name = || declared.get(&block.workloads).map_or_else(|| spoken(set), |name| (*name).clone());
                called.entry(set).or_insert_with(name);
            }
            let assertions = program.assertions.values().map(|assertion| assertion.workloads);
            for id in assertions {
                let set = program.workload_sets.at(id);
                let name = || declared.get(&id).map_or_else(|| spoken(set), |name| (*name).clone());
                called.entry(set).or_insert_with(name);
            }
        }
        let members = |set: &WorkloadSet| {
            let inside = senders.iter().enumerate().filter(|(_, sender)| set.contains(&sender.workload));
            inside.map(|(place, _)| place).collect::<BTreeSet<usize>>()
        };
        let sets = called.into_iter().filter(|(set, _)| **set != WorkloadSet::All);
        Self { senders, sets: sets.map(|(set, name)| (name, members(set))).collect(), said: RefCell::default() }
    }

    /// The senders of a block in words.
    pub fn who(&self, block: &Block) -> String {
        let asked = (block.senders.clone(), block.addresses.v4.is_empty(), block.addresses.v6.is_empty());
        if let Some(known) = self.said.borrow().get(&asked) {
            return known.clone();
        }
        let who = self.find(block);
        self.said.borrow_mut().insert(asked, who.clone());
        who
    }

    fn find(&self, block: &Block) -> String {
        let possible = self.possible(&block.addresses);
        let wanted: BTreeSet<usize> = block.senders.iter().copied().filter(|place| possible.contains(place)).collect();
        if wanted == possible {
            return "every workload".to_owned();
        }
        let sets: Vec<(&str, BTreeSet<usize>)> = self
            .sets
            .iter()
            .map(|(name, members)| (name.as_str(), members & &possible))
            .filter(|(_, members)| !members.is_empty())
            .collect();
        named(&sets, &wanted, &possible).unwrap_or_else(|| self.examples(&wanted))
    }

    /// Who of a block runs, sorted.
    pub fn pods(&self, block: &Block) -> Vec<String> {
        let senders = block.senders.iter().filter_map(|&place| self.senders.get(place));
        let pods = senders.flat_map(|sender| &sender.pods);
        let names: BTreeSet<String> = pods.map(|pod| Workload::Pod(pod.clone()).to_string()).collect();
        names.into_iter().collect()
    }

    /// Those who can send to some of the addresses.
    fn possible(&self, to: &AddressSet) -> BTreeSet<usize> {
        let can = |sender: &Sender| sender.v4 && !to.v4.is_empty() || sender.v6 && !to.v6.is_empty();
        self.senders.iter().enumerate().filter(|(_, sender)| can(sender)).map(|(place, _)| place).collect()
    }

    fn examples(&self, wanted: &BTreeSet<usize>) -> String {
        let senders = || wanted.iter().filter_map(|&place| self.senders.get(place));
        let pods: BTreeSet<String> =
            senders().filter(|sender| is_pod(sender)).map(|sender| sender.workload.to_string()).collect();
        let sent_from =
            senders().filter(|sender| !is_pod(sender)).fold(AddressSet::empty(), |all, one| all.union(&one.addresses));
        let mut parts = Vec::new();
        match (pods.len(), pods.first()) {
            (0, _) | (_, None) => {}
            (1, Some(only)) => parts.push(format!("pods such as {only}")),
            (several, Some(_)) => {
                let pods: Vec<String> = pods.into_iter().collect();
                parts.push(format!("{} of pods, such as {}", counted(several, "kind"), shortened(&pods)));
            }
        }
        if !sent_from.is_empty() {
            parts.push(format!("addresses {}", addresses(&sent_from, &[])));
        }
        if parts.is_empty() { "nobody".to_owned() } else { parts.join(", ") }
    }
}

fn is_pod(sender: &Sender) -> bool {
    matches!(sender.workload, Workload::Pod(_))
}

/// Names that say exactly who is wanted: a union of sets, what two sets have in common, or a set with exceptions.
fn named(sets: &[Named<'_>], wanted: &BTreeSet<usize>, all: &BTreeSet<usize>) -> Option<String> {
    let union = covered(sets, wanted, |members| members.is_subset(wanted));
    if let Some(names) = &union
        && names.len() <= 2
    {
        return Some(names.join(", "));
    }
    let around: Vec<&Named<'_>> = sets.iter().filter(|(_, members)| wanted.is_subset(members)).collect();
    let common = pairs(&around).find(|(one, other)| &one.1 & &other.1 == *wanted);
    if let Some((one, other)) = common {
        return Some(format!("{} that are in {} too", grouped(one.0), grouped(other.0)));
    }
    let everybody = [("every workload", all.clone())];
    let wider = around.into_iter().chain(&everybody);
    let except = wider.filter_map(|(name, members)| {
        let out = covered(sets, &(members - wanted), |out| out.is_disjoint(wanted))?;
        (out.len() <= 4).then_some((out.len(), members.len(), format!("{} except {}", grouped(name), out.join(", "))))
    });
    let except = except.min();
    match (union, except) {
        (Some(names), Some((exceptions, _, text))) if exceptions + 1 < names.len() => Some(text),
        (Some(names), _) => Some(shortened(&names)),
        (None, Some((_, _, text))) => Some(text),
        (None, None) => None,
    }
}

/// A name of several parts in parentheses, so that what follows is about all of it.
fn grouped(name: &str) -> String {
    let parts = name.contains("), ") || name.contains(" except ");
    if parts { format!("({name})") } else { name.to_owned() }
}

/// The fewest sets, found greedily, that hold everybody wanted, of those that may be used.
fn covered(
    sets: &[Named<'_>],
    wanted: &BTreeSet<usize>,
    usable: impl Fn(&BTreeSet<usize>) -> bool,
) -> Option<Vec<String>> {
    let usable: Vec<&Named<'_>> = sets.iter().filter(|(_, members)| usable(members)).collect();
    let mut rest = wanted.clone();
    let mut names = Vec::new();
    while !rest.is_empty() {
        let gain = |set: &Named<'_>| set.1.intersection(&rest).count();
        let better = |one: &&&Named<'_>, two: &&&Named<'_>| gain(one).cmp(&gain(two)).then_with(|| two.0.cmp(one.0));
        let best = usable.iter().max_by(better)?;
        let left: BTreeSet<usize> = &rest - &best.1;
        if left.len() == rest.len() {
            return None;
        }
        names.push(best.0.to_owned());
        rest = left;
    }
    Some(names)
}

/// A set's name and its members.
type Named<'s> = (&'s str, BTreeSet<usize>);

fn pairs<'s>(sets: &'s [&'s Named<'s>]) -> impl Iterator<Item = (&'s Named<'s>, &'s Named<'s>)> {
    // More pairs than this take longer than they help.
    let few = sets.get(..sets.len().min(64)).unwrap_or_default();
    few.iter().enumerate().flat_map(move |(place, one)| few.iter().skip(place + 1).map(move |other| (*one, *other)))
}

/// A set that has no name, as it would be written.
fn spoken(set: &WorkloadSet) -> String {
    match set {
        WorkloadSet::All => "every workload".to_owned(),
        WorkloadSet::Pods(selector) => pods(selector),
        WorkloadSet::Address(prefix) => format!("address {prefix}"),
        WorkloadSet::Union(sets) => shortened(&sets.iter().map(spoken).collect::<Vec<_>>()),
        WorkloadSet::Except(set, out) => format!("({}) except ({})", spoken(set), spoken(out)),
    }
}

fn pods(chosen: &PodSelector) -> String {
    let labels = if chosen.labels.0.is_empty() { String::new() } else { format!("({})", selector(&chosen.labels)) };
    let namespace = match &chosen.namespace {
        NamespaceSelector::Any => String::new(),
        NamespaceSelector::Named(name) => format!(" in namespace {name}"),
        NamespaceSelector::Labels(labels) => format!(" in namespaces({})", selector(labels)),
    };
    let account = chosen.service_account.iter().map(|name| format!(" as serviceaccount {name}"));
    format!("pods{labels}{namespace}{}", account.collect::<String>())
}

fn selector(selector: &Selector) -> String {
    selector.0.iter().map(requirement).collect::<Vec<_>>().join(",")
}

fn requirement(Requirement { key, operator }: &Requirement) -> String {
    let one_of = |values: &BTreeSet<String>| shortened(&values.iter().cloned().collect::<Vec<_>>());
    match operator {
        Operator::In(values) if values.len() == 1 => format!("{key}={}", one_of(values)),
        Operator::In(values) => format!("{key} in ({})", one_of(values)),
        Operator::NotIn(values) if values.len() == 1 => format!("{key}!={}", one_of(values)),
        Operator::NotIn(values) => format!("{key} notin ({})", one_of(values)),
        Operator::Exists => key.clone(),
        Operator::DoesNotExist => format!("!{key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sets: &[(&str, &[usize])], wanted: &[usize], all: usize) -> Option<String> {
        let sets: Vec<Named<'_>> = sets.iter().map(|(name, of)| (*name, of.iter().copied().collect())).collect();
        named(&sets, &wanted.iter().copied().collect(), &(0..all).collect())
    }

    #[test]
    fn the_fewest_names_say_who() {
        let sets: &[(&str, &[usize])] = &[("a", &[0, 1]), ("b", &[1, 2]), ("c", &[3]), ("d", &[4])];
        assert_eq!(told(sets, &[0, 1], 6).as_deref(), Some("a"));
        assert_eq!(told(sets, &[0, 1, 3], 6).as_deref(), Some("a, c"));
        assert_eq!(told(sets, &[1], 6).as_deref(), Some("a that are in b too"));
        assert_eq!(told(sets, &[0], 6).as_deref(), Some("a except b"));
        assert_eq!(told(sets, &[0, 1, 2, 5], 6).as_deref(), Some("every workload except c, d"));
        assert_eq!(told(&[("a", &[0, 1])], &[0], 3), None);
    }

    #[test]
    fn sets_without_a_name_read_as_they_are_written() {
        let requirement = Requirement { key: "app".into(), operator: Operator::In(["a".to_owned()].into()) };
        let selector = PodSelector {
            labels: Selector(vec![requirement]),
            namespace: NamespaceSelector::Named("shop".into()),
            service_account: Some("x".into()),
        };
        let set = WorkloadSet::Pods(selector);
        assert_eq!(spoken(&set), "pods(app=a) in namespace shop as serviceaccount x");
        let out = WorkloadSet::Except(Box::new(WorkloadSet::All), Box::new(set));
        assert_eq!(spoken(&out), "(every workload) except (pods(app=a) in namespace shop as serviceaccount x)");
    }
}
