//! Workload sets as endpoint selectors.
//!
//! In: a [`WorkloadSet`]. Out: [`Conjunct`]s whose union holds exactly the set's pods; each becomes one selector. Unions,
//! differences and service accounts are brought into this form by set algebra over the values of each label.

use std::collections::{BTreeMap, BTreeSet};

use egress_ir::{AddressSet, NAMESPACE_NAME_LABEL, NamespaceSelector, Operator, Pod, PodSelector, WorkloadSet};

use super::super::labels::{NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT, is_identity_key, is_set_by_cilium};
use super::render::{Yaml, label_selector, map, text};

/// Most selectors that one set may need.
const MAX_CONJUNCTS: usize = 256;

/// What a condition is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The namespace's name, which every pod has.
    Namespace,
    /// A label of the namespace.
    NamespaceLabel(String),
    /// The service account's name, which every pod has.
    Account,
    /// A label of the pod.
    Label(String),
}

/// A set of values of one label, and whether its absence is a member.
///
/// INVARIANT: never both absence and a non-empty finite set, for no selector has such a requirement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Values {
    absent: bool,
    listed: BTreeSet<String>,
    /// The present values are all but the listed ones.
    inverted: bool,
}

/// Conditions that must hold together. None: every pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Conjunct(BTreeMap<Key, Values>);

/// A set needs more than [`MAX_CONJUNCTS`] selectors.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// Why a condition cannot be said; in words, and the way out.
pub(super) struct Unsayable {
    pub(super) message: String,
    pub(super) help: String,
}

/// The pods of a set.
pub(super) fn conjuncts(set: &WorkloadSet) -> Result<Vec<Conjunct>, TooMany> {
    let all = match set {
        WorkloadSet::All => vec![Conjunct::default()],
        WorkloadSet::Pods(selector) => pods(selector).into_iter().collect(),
        WorkloadSet::Address(_) => Vec::new(),
        WorkloadSet::Union(sets) => {
            let parts = sets.iter().map(conjuncts).collect::<Result<Vec<_>, _>>()?;
            parts.into_iter().flatten().collect()
        }
        WorkloadSet::Except(set, out) => {
            let mut left = conjuncts(set)?;
            for cut in conjuncts(out)? {
                left = without(&left, &cut)?;
            }
            left
        }
    };
    simplified(all)
}

/// Addresses that a set names itself, apart from those that `all` brings in.
pub(super) fn named_addresses(set: &WorkloadSet) -> AddressSet {
    match set {
        WorkloadSet::All | WorkloadSet::Pods(_) => AddressSet::empty(),
        WorkloadSet::Address(prefix) => AddressSet::from_prefixes([*prefix]),
        WorkloadSet::Union(sets) => sets.iter().fold(AddressSet::empty(), |sum, set| sum.union(&named_addresses(set))),
        WorkloadSet::Except(set, out) => named_addresses(set).difference(&out.addresses()),
    }
}

impl Conjunct {
    /// What satisfies both; nothing if nothing can.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let mut both = self.clone();
        for (key, values) in &other.0 {
            both.require(key.clone(), values.clone())?;
        }
        Some(both)
    }

    /// What satisfies this one and not the other, in parts that share nothing.
    pub(super) fn minus(&self, cut: &Self) -> Vec<Self> {
        if self.and(cut).is_none() {
            return vec![self.clone()];
        }
        let (mut parts, mut kept) = (Vec::new(), self.clone());
        for (key, values) in &cut.0 {
            for negated in values.negated() {
                let mut part = kept.clone();
                if part.require(key.clone(), negated).is_some() {
                    parts.push(part);
                }
            }
            if kept.require(key.clone(), values.clone()).is_none() {
                break;
            }
        }
        parts
    }

    /// Whether a pod satisfies it.
    pub(super) fn contains(&self, pod: &Pod) -> bool {
        let value = |key: &Key| match key {
            Key::Namespace => Some(&pod.namespace),
            Key::Account => Some(&pod.service_account),
            Key::NamespaceLabel(key) => pod.namespace_labels.get(key),
            Key::Label(key) => pod.labels.get(key),
        };
        self.0.iter().all(|(key, values)| values.contains(value(key).map(String::as_str)))
    }

    /// As an entry of `selectors` of an egress gateway policy: labels of namespaces apart, and keys without a source.
    pub(super) fn gateway_source(&self) -> Result<Yaml, Unsayable> {
        let (mut pods, mut namespaces) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        for (key, values) in &self.0 {
            let label = key.label()?;
            let label = label.strip_prefix("k8s:").unwrap_or(&label);
            values.check(key)?;
            let ((labels, expressions), label) = match key {
                Key::NamespaceLabel(own) => (&mut namespaces, own.as_str()),
                Key::Namespace | Key::Account | Key::Label(_) => (&mut pods, label),
            };
            values.requirements(key, label, labels, expressions);
        }
        let selector = |(labels, expressions)| label_selector(labels, expressions);
        // An empty selector of namespaces asks for a namespace, which every pod has.
        Ok(map([("namespaceSelector", selector(namespaces)), ("podSelector", selector(pods))]))
    }

    /// The one namespace that all its pods are in.
    pub(super) fn only_namespace(&self) -> Option<&str> {
        let values = self.0.get(&Key::Namespace)?;
        let mut listed = values.listed.iter();
        match (values.inverted, listed.next(), listed.next()) {
            (false, Some(name), None) => Some(name),
            _ => None,
        }
    }

    /// As a selector; within a namespaced object the namespace is implied.
    pub(super) fn selector(&self, namespaced: bool) -> Result<Yaml, Unsayable> {
        let (mut labels, mut expressions) = (Vec::new(), Vec::new());
        // A selector of absences alone would also match Cilium's own endpoints, which have no namespace.
        let mut anchored = namespaced;
        for (key, values) in &self.0 {
            if namespaced && *key == Key::Namespace {
                continue;
            }
            let label = key.label()?;
            values.check(key)?;
            anchored |= !values.inverted && !values.absent;
            values.requirements(key, &label, &mut labels, &mut expressions);
        }
        if !anchored {
            expressions.insert(0, expression(&namespace_key(), "Exists", None));
        }
        Ok(label_selector(labels, expressions))
    }

    fn require(&mut self, key: Key, values: Values) -> Option<()> {
        let mut values = match self.0.get(&key) {
            Some(known) => known.and(&values),
            None => values,
        };
        let always_there = matches!(key, Key::Namespace | Key::Account);
        values.absent &= !always_there;
        if values.is_empty() {
            return None;
        }
        if values.is_full() || (always_there && values.inverted && values.listed.is_empty()) {
            self.0.remove(&key);
        } else {
            self.0.insert(key, values);
        }
        Some(())
    }

    /// Both together as one, where they differ in the values of one key alone and a selector can say it.
    fn merged(&self, other: &Self) -> Option<Self> {
        if self.0.len() != other.0.len() {
            return None;
        }
        let mut pairs = self.0.iter().zip(&other.0).filter(|(own, others)| own != others);
        let ((key, own), (other_key, others)) = pairs.next()?;
        if key != other_key || pairs.next().is_some() {
            return None;
        }
        let either = own.or(others)?;
        let (mut merged, key) = (self.clone(), key.clone());
        merged.0.remove(&key);
        merged.require(key, either).map(|()| merged)
    }

    /// Whether every pod of this one is one of the other.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        other.0.iter().all(|(key, values)| self.0.get(key).is_some_and(|own| own.is_subset(values)))
    }
}

/// Every pod of the cluster, as an entry of `toEndpoints`.
pub(super) fn every_pod() -> Yaml {
    map([("matchExpressions", Yaml::list([expression(&namespace_key(), "Exists", None)]))])
}

fn namespace_key() -> String {
    format!("k8s:{NAMESPACE}")
}

fn pods(selector: &PodSelector) -> Option<Conjunct> {
    let mut conjunct = Conjunct::default();
    for requirement in &selector.labels.0 {
        conjunct.require(Key::Label(requirement.key.clone()), Values::of(&requirement.operator))?;
    }
    match &selector.namespace {
        NamespaceSelector::Any => {}
        NamespaceSelector::Named(name) => conjunct.require(Key::Namespace, Values::only(name))?,
        NamespaceSelector::Labels(labels) => {
            for requirement in &labels.0 {
                let own_name = requirement.key == NAMESPACE_NAME_LABEL;
                let key = if own_name { Key::Namespace } else { Key::NamespaceLabel(requirement.key.clone()) };
                conjunct.require(key, Values::of(&requirement.operator))?;
            }
        }
    }
    if let Some(account) = &selector.service_account {
        conjunct.require(Key::Account, Values::only(account))?;
    }
    Some(conjunct)
}

/// Takes the pods of `cut` out: one of its conditions must fail.
fn without(all: &[Conjunct], cut: &Conjunct) -> Result<Vec<Conjunct>, TooMany> {
    let mut left = Vec::new();
    for conjunct in all {
        for (key, values) in &cut.0 {
            for negated in values.negated() {
                let mut part = conjunct.clone();
                if part.require(key.clone(), negated).is_some() {
                    left.push(part);
                }
            }
        }
        if left.len() > MAX_CONJUNCTS * MAX_CONJUNCTS {
            return Err(TooMany);
        }
    }
    simplified(left)
}

/// Leaves out what lies within another one, and makes one of two that differ in the values of one key alone.
pub(super) fn simplified(all: Vec<Conjunct>) -> Result<Vec<Conjunct>, TooMany> {
    let mut kept: Vec<Conjunct> = Vec::new();
    for mut conjunct in all {
        // Each merge takes one away, so this ends.
        while let Some((at, merged)) =
            kept.iter().enumerate().find_map(|(at, known)| Some((at, conjunct.merged(known)?)))
        {
            kept.swap_remove(at);
            conjunct = merged;
        }
        if kept.iter().any(|known| conjunct.is_within(known)) {
            continue;
        }
        kept.retain(|known| !known.is_within(&conjunct));
        kept.push(conjunct);
        if kept.len() > MAX_CONJUNCTS {
            return Err(TooMany);
        }
    }
    Ok(kept)
}

impl Key {
    /// The key as Cilium knows it, if it knows it at all.
    fn label(&self) -> Result<String, Unsayable> {
        let key = match self {
            Self::Namespace => NAMESPACE.to_owned(),
            Self::Account => SERVICE_ACCOUNT.to_owned(),
            Self::NamespaceLabel(key) => format!("{NAMESPACE_LABELS}.{key}"),
            Self::Label(key) => key.clone(),
        };
        let unsayable = |why: &str| {
            let what = if matches!(self, Self::NamespaceLabel(_)) { "the namespace label" } else { "the label" };
            let shown = match self {
                Self::NamespaceLabel(shown) | Self::Label(shown) => shown,
                Self::Namespace | Self::Account => &key,
            };
            let message = format!("{what} `{shown}` {why}");
            Err(Unsayable { message, help: "select these workloads by another label, or by namespace".to_owned() })
        };
        if matches!(self, Self::Label(_)) && is_set_by_cilium(&key) {
            return unsayable("has a key that Cilium uses for something else");
        }
        if !is_identity_key(&key) {
            return unsayable("is not part of identities, so Cilium cannot select by it");
        }
        if !is_key_with_source(&key) {
            return unsayable("has a key that is too long or not valid once Cilium puts its source before it");
        }
        Ok(format!("k8s:{key}"))
    }
}

/// Whether the key is valid as the agent checks it: with `k8s.` before it.
fn is_key_with_source(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let (longest_prefix, longest_name) = (253 - 4, if prefix.is_some() { 63 } else { 63 - 4 });
    let prefix_ok = prefix.is_none_or(|prefix| super::names::is_subdomain(prefix) && prefix.len() <= longest_prefix);
    prefix_ok && name.len() <= longest_name && super::names::is_label_value(name) && !name.is_empty()
}

impl Values {
    fn of(operator: &Operator) -> Self {
        let none = BTreeSet::new;
        match operator {
            Operator::In(values) => Self { absent: false, listed: values.clone(), inverted: false },
            Operator::NotIn(values) => Self { absent: true, listed: values.clone(), inverted: true },
            Operator::Exists => Self { absent: false, listed: none(), inverted: true },
            Operator::DoesNotExist => Self { absent: true, listed: none(), inverted: false },
        }
    }

    fn only(value: &str) -> Self {
        Self { absent: false, listed: BTreeSet::from([value.to_owned()]), inverted: false }
    }

    fn contains(&self, value: Option<&str>) -> bool {
        value.map_or(self.absent, |value| self.listed.contains(value) != self.inverted)
    }

    fn is_empty(&self) -> bool {
        !self.absent && !self.inverted && self.listed.is_empty()
    }

    fn is_full(&self) -> bool {
        self.absent && self.inverted && self.listed.is_empty()
    }

    fn and(&self, other: &Self) -> Self {
        let listed = match (self.inverted, other.inverted) {
            (false, false) => self.listed.intersection(&other.listed).cloned().collect(),
            (false, true) => self.listed.difference(&other.listed).cloned().collect(),
            (true, false) => other.listed.difference(&self.listed).cloned().collect(),
            (true, true) => self.listed.union(&other.listed).cloned().collect(),
        };
        Self { absent: self.absent && other.absent, listed, inverted: self.inverted && other.inverted }
    }

    /// Values in either; nothing where that would break the invariant.
    fn or(&self, other: &Self) -> Option<Self> {
        let listed: BTreeSet<String> = match (self.inverted, other.inverted) {
            (false, false) => self.listed.union(&other.listed).cloned().collect(),
            (false, true) => other.listed.difference(&self.listed).cloned().collect(),
            (true, false) => self.listed.difference(&other.listed).cloned().collect(),
            (true, true) => self.listed.intersection(&other.listed).cloned().collect(),
        };
        let either = Self { absent: self.absent || other.absent, listed, inverted: self.inverted || other.inverted };
        let sayable = !either.absent || either.inverted || either.listed.is_empty();
        sayable.then_some(either)
    }

    fn is_subset(&self, other: &Self) -> bool {
        let present = match (self.inverted, other.inverted) {
            (false, false) => self.listed.is_subset(&other.listed),
            (false, true) => self.listed.is_disjoint(&other.listed),
            (true, false) => false,
            (true, true) => other.listed.is_subset(&self.listed),
        };
        present && (other.absent || !self.absent)
    }

    /// Everything else, as values that keep the invariant.
    fn negated(&self) -> Vec<Self> {
        let all = Self { absent: !self.absent, listed: self.listed.clone(), inverted: !self.inverted };
        if all.absent && !all.inverted && !all.listed.is_empty() {
            let absent = Self { absent: true, listed: BTreeSet::new(), inverted: false };
            return vec![absent, Self { absent: false, ..all }];
        }
        vec![all]
    }

    fn check(&self, key: &Key) -> Result<(), Unsayable> {
        match self.listed.iter().find(|value| !super::names::is_label_value(value)) {
            None => Ok(()),
            Some(value) => {
                let what = if *key == Key::Account { "the service account" } else { "the value" };
                let message = format!("{what} `{value}` is not a label value, and Cilium selects by labels alone");
                let help = "a label value has at most 63 letters, digits, `-`, `_` and `.`".to_owned();
                Err(Unsayable { message, help })
            }
        }
    }

    fn requirements(&self, key: &Key, label: &str, labels: &mut Vec<(String, Yaml)>, expressions: &mut Vec<Yaml>) {
        let always_there = matches!(key, Key::Namespace | Key::Account);
        let mut listed = self.listed.iter();
        match (self.inverted, self.absent) {
            (false, false) => match (listed.next(), listed.next()) {
                (Some(value), None) => labels.push((label.to_owned(), text(value))),
                _ => expressions.push(expression(label, "In", Some(&self.listed))),
            },
            (false, true) => expressions.push(expression(label, "DoesNotExist", None)),
            (true, _) => {
                if !self.absent && !always_there {
                    expressions.push(expression(label, "Exists", None));
                }
                if !self.listed.is_empty() {
                    expressions.push(expression(label, "NotIn", Some(&self.listed)));
                }
            }
        }
    }
}

pub(super) fn expression(key: &str, operator: &str, values: Option<&BTreeSet<String>>) -> Yaml {
    let mut fields = vec![("key".to_owned(), text(key)), ("operator".to_owned(), text(operator))];
    if let Some(values) = values {
        fields.push(("values".to_owned(), Yaml::list(values.iter().map(text))));
    }
    Yaml::Map(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_ir::{Requirement, Selector};

    fn pods(key: &str, operator: Operator) -> WorkloadSet {
        let labels = Selector(vec![Requirement { key: key.to_owned(), operator }]);
        WorkloadSet::Pods(PodSelector { labels, ..PodSelector::default() })
    }

    fn one(value: &str) -> Operator {
        Operator::In([value.to_owned()].into())
    }

    #[test]
    fn unions_on_one_label_become_one_selector() {
        let many = (0..1000).map(|number| pods("app", one(&format!("a{number}"))));
        let found = conjuncts(&WorkloadSet::Union(many.collect())).expect("few selectors");
        assert_eq!(found.len(), 1);
        let both =
            WorkloadSet::Union(vec![pods("app", one("a")), pods("app", Operator::NotIn(["a".to_owned()].into()))]);
        assert_eq!(conjuncts(&both), Ok(vec![Conjunct::default()]));
        let or_absent = WorkloadSet::Union(vec![pods("app", one("a")), pods("app", Operator::DoesNotExist)]);
        assert_eq!(conjuncts(&or_absent).map(|found| found.len()), Ok(2));
    }

    #[test]
    fn differences_that_explode_are_refused() {
        let pair = |number: u32| {
            let keys = [format!("a{number}"), format!("b{number}")];
            let labels = keys.map(|key| Requirement { key, operator: Operator::Exists });
            WorkloadSet::Pods(PodSelector { labels: Selector(labels.into()), ..PodSelector::default() })
        };
        let out = WorkloadSet::Union((0..20).map(pair).collect());
        assert_eq!(conjuncts(&WorkloadSet::Except(Box::new(WorkloadSet::All), Box::new(out))), Err(TooMany));
    }
}
