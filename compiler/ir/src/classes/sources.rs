//! Source classes: the combinations of workload sets that some workload satisfies.
//!
//! In: the workload sets in use. Out: each satisfiable combination once, with a witness. A label takes the values that
//! some set mentions, one *other* value, or none; attributes are decided one after the other, and equal residues are
//! walked once, so that the work follows the number of combinations rather than the product of all values.

use super::formula::{Attribute, FALSE, Formulas, Node, TRUE, Value};
use super::segments::{Keys, sweep};
use crate::address::AddressSet;
use crate::arena::WorkloadSetId;
use crate::program::Program;
use crate::range::{Point, RangeSet};
use crate::workload::{Pod, Workload};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Workloads that no set can tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceClass {
    /// The sets that contain them, sorted.
    pub sets: Vec<WorkloadSetId>,
    /// A pod of the class, if there can be one; its attributes are the fewest that make it a member.
    pub pod: Option<Pod>,
    /// The lowest IPv4 address that, as a workload of its own, is of the class.
    pub v4: Option<Ipv4Addr>,
    /// The lowest IPv6 address that, as a workload of its own, is of the class.
    pub v6: Option<Ipv6Addr>,
}

impl SourceClass {
    /// A member that can send to IPv4 (`v6` false) or IPv6 destinations; a pod where there is one.
    #[must_use]
    pub fn witness(&self, v6: bool) -> Option<Workload> {
        let address = if v6 { self.v6.map(IpAddr::V6) } else { self.v4.map(IpAddr::V4) };
        self.pod.clone().map(Workload::Pod).or(address.map(Workload::Address))
    }
}

/// The sets overlap in more ways than the limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyClasses {
    /// The limit that was passed.
    pub limit: usize,
}

impl fmt::Display for TooManyClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the workload sets overlap in more than {} different ways", self.limit)
    }
}

impl std::error::Error for TooManyClasses {}

/// Every combination of `sets` that a workload can satisfy, sorted by combination, the empty one included.
///
/// # Errors
/// [`TooManyClasses`] when more than `limit` combinations of pods, or sixteen times as many intermediate steps, are met.
pub fn possible_sources(
    program: &Program,
    sets: &BTreeSet<WorkloadSetId>,
    limit: usize,
) -> Result<Vec<SourceClass>, TooManyClasses> {
    possible_sources_unless(program, sets, limit, || Ok(()))
}

/// The same, unless `go_on`, which is asked at each step, ends it.
///
/// # Errors
/// As for [`possible_sources`], and those of `go_on`.
pub fn possible_sources_unless<E: From<TooManyClasses>>(
    program: &Program,
    sets: &BTreeSet<WorkloadSetId>,
    limit: usize,
    go_on: impl Fn() -> Result<(), E>,
) -> Result<Vec<SourceClass>, E> {
    let mut classes: BTreeMap<Vec<WorkloadSetId>, SourceClass> = BTreeMap::new();
    let ids: Vec<WorkloadSetId> = sets.iter().copied().collect();
    let mut class_of = |members: Vec<WorkloadSetId>, fill: &dyn Fn(&mut SourceClass)| {
        let empty = SourceClass { sets: members.clone(), pod: None, v4: None, v6: None };
        fill(classes.entry(members).or_insert(empty));
    };
    for (members, pod) in pods(program, &ids, limit, go_on)? {
        class_of(members, &|class| class.pod = Some(pod.clone()));
    }
    let addresses: Vec<AddressSet> = ids.iter().map(|&id| program.workload_sets.at(id).addresses()).collect();
    for (members, first) in lowest(&ids, addresses.iter().map(|a| &a.v4)) {
        class_of(members, &|class| class.v4 = Some(Ipv4Addr::from_bits(first)));
    }
    for (members, first) in lowest(&ids, addresses.iter().map(|a| &a.v6)) {
        class_of(members, &|class| class.v6 = Some(Ipv6Addr::from_bits(first)));
    }
    Ok(classes.into_values().collect())
}

/// The lowest address of each combination of address sets.
fn lowest<'s, A: Point + 's>(
    ids: &[WorkloadSetId],
    sets: impl Iterator<Item = &'s RangeSet<A>>,
) -> BTreeMap<Vec<WorkloadSetId>, A> {
    let sets: Vec<&RangeSet<A>> = sets.collect();
    let mut keys = Keys::default();
    let mut first = BTreeMap::new();
    for segment in sweep(&sets, &RangeSet::empty(), &mut keys) {
        let list = keys.list(segment.key).iter();
        let members = list.filter_map(|&index| ids.get(index as usize).copied()).collect();
        first.entry(members).or_insert(segment.start);
    }
    first
}

/// Every combination that a pod can satisfy, with the pod that was found first.
fn pods<E: From<TooManyClasses>>(
    program: &Program,
    ids: &[WorkloadSetId],
    limit: usize,
    go_on: impl Fn() -> Result<(), E>,
) -> Result<BTreeMap<Vec<WorkloadSetId>, Pod>, E> {
    let mut formulas = Formulas::new();
    let live: Vec<(WorkloadSetId, Node)> =
        ids.iter().map(|&id| (id, formulas.of_set(program.workload_sets.at(id)))).collect();
    let mentioned = mentioned_values(&formulas, &live);
    let mut walk = Walk { formulas, mentioned, limit, seen: HashSet::new(), found: BTreeMap::new() };
    walk.run(State { live, members: Vec::new() }.settled(), go_on)?;
    Ok(walk.found)
}

fn mentioned_values(formulas: &Formulas, live: &[(WorkloadSetId, Node)]) -> BTreeMap<Attribute, BTreeSet<String>> {
    let mut mentioned: BTreeMap<Attribute, BTreeSet<String>> = BTreeMap::new();
    for (attribute, values) in live.iter().filter_map(|(_, node)| formulas.mentions(*node)).flatten() {
        mentioned.entry(attribute.clone()).or_default().extend(values.iter().cloned());
    }
    mentioned
}

/// What is decided, and what is left to decide, once some attributes are known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// Sets that are neither certain nor impossible yet, sorted.
    live: Vec<(WorkloadSetId, Node)>,
    /// Sets that are certain, sorted.
    members: Vec<WorkloadSetId>,
}

impl State {
    /// Moves decided sets out of `live`.
    fn settled(mut self) -> Self {
        self.members.extend(self.live.iter().filter(|(_, node)| *node == TRUE).map(|(id, _)| *id));
        self.members.sort_unstable();
        self.live.retain(|(_, node)| *node != TRUE && *node != FALSE);
        self
    }
}

/// A walk over all residues.
struct Walk {
    formulas: Formulas,
    mentioned: BTreeMap<Attribute, BTreeSet<String>>,
    limit: usize,
    seen: HashSet<State>,
    found: BTreeMap<Vec<WorkloadSetId>, Pod>,
}

impl Walk {
    /// Walks from `start`, in the order of values, with a stack of its own: selectors may have thousands of labels.
    fn run<E: From<TooManyClasses>>(&mut self, start: State, go_on: impl Fn() -> Result<(), E>) -> Result<(), E> {
        let mut path: Vec<(Attribute, Value)> = Vec::new();
        let mut stack = vec![(0, None, start)];
        while let Some((depth, step, state)) = stack.pop() {
            go_on()?;
            path.truncate(depth);
            path.extend(step);
            if self.seen.contains(&state) {
                continue;
            }
            let Some(attribute) = self.next_attribute(&state) else {
                let pod = self.witness(&path);
                self.found.entry(state.members).or_insert(pod);
                continue;
            };
            let successors = self.successors(&state, &attribute);
            self.seen.insert(state);
            if self.found.len() > self.limit || self.seen.len() > self.limit.saturating_mul(16) {
                return Err(TooManyClasses { limit: self.limit }.into());
            }
            for (value, next) in successors.into_iter().rev() {
                stack.push((path.len(), Some((attribute.clone(), value)), next));
            }
        }
        if self.found.len() > self.limit { Err(TooManyClasses { limit: self.limit }.into()) } else { Ok(()) }
    }

    /// The least attribute that some live set depends on: names of namespaces first, because they part most sets.
    fn next_attribute(&self, state: &State) -> Option<Attribute> {
        let firsts = state.live.iter().filter_map(|(_, node)| self.formulas.mentions(*node)?.keys().next());
        firsts.min().cloned()
    }

    /// The state for each value of the attribute; a value that no live set mentions acts as `Other`.
    fn successors(&mut self, state: &State, attribute: &Attribute) -> Vec<(Value, State)> {
        let mut by_value: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, (_, node)) in state.live.iter().enumerate() {
            for value in self.formulas.mentions(*node).and_then(|m| m.get(attribute)).into_iter().flatten() {
                by_value.entry(value.clone()).or_default().push(place);
            }
        }
        let mut successors = Vec::with_capacity(by_value.len() + 2);
        if attribute.may_be_absent() {
            successors.push((Value::Absent, self.restricted(state, attribute, &Value::Absent)));
        }
        let other = self.restricted(state, attribute, &Value::Other);
        for (text, mentioning) in by_value {
            let value = Value::Is(text);
            let mut next = other.clone();
            for (id, node) in mentioning.into_iter().filter_map(|place| state.live.get(place).copied()) {
                let node = self.formulas.restrict(node, attribute, &value);
                next.replace(id, node);
            }
            successors.push((value, next.settled()));
        }
        successors.push((Value::Other, other));
        successors
    }

    fn restricted(&mut self, state: &State, attribute: &Attribute, value: &Value) -> State {
        let live = state.live.iter().map(|&(id, node)| (id, self.formulas.restrict(node, attribute, value))).collect();
        State { live, members: state.members.clone() }.settled()
    }

    /// The pod with exactly the attributes of the path.
    fn witness(&self, path: &[(Attribute, Value)]) -> Pod {
        let mut pod = Pod { namespace: self.other(&Attribute::Namespace), ..Pod::default() };
        for (attribute, value) in path {
            let text = match value {
                Value::Absent => continue,
                Value::Is(text) => text.clone(),
                Value::Other => self.other(attribute),
            };
            match attribute {
                Attribute::Namespace => pod.namespace = text,
                Attribute::ServiceAccount => pod.service_account = text,
                Attribute::NamespaceLabel(key) => drop(pod.namespace_labels.insert(key.clone(), text)),
                Attribute::Label(key) => drop(pod.labels.insert(key.clone(), text)),
            }
        }
        pod
    }

    /// A value of the attribute that no set mentions.
    fn other(&self, attribute: &Attribute) -> String {
        let mentioned = self.mentioned.get(attribute);
        let mut text = String::from("other");
        while mentioned.is_some_and(|values| values.contains(&text)) {
            text.push_str("-x");
        }
        text
    }
}

impl State {
    /// Gives a set another residue, whatever it had become.
    fn replace(&mut self, id: WorkloadSetId, node: Node) {
        if let Ok(place) = self.members.binary_search(&id) {
            self.members.remove(place);
        }
        match self.live.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(place) => {
                if let Some(entry) = self.live.get_mut(place) {
                    entry.1 = node;
                }
            }
            Err(place) => self.live.insert(place, (id, node)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{NamespaceSelector, Operator, PodSelector, Requirement, Selector, WorkloadSet};
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned)
    }

    fn requirement() -> impl Strategy<Value = Requirement> {
        let operator = prop_oneof![
            prop::collection::btree_set(value(), 1..3).prop_map(Operator::In),
            prop::collection::btree_set(value(), 1..3).prop_map(Operator::NotIn),
            Just(Operator::Exists),
            Just(Operator::DoesNotExist),
        ];
        let key = prop::sample::select(vec!["app", "tier", "kubernetes.io/metadata.name"]).prop_map(str::to_owned);
        (key, operator).prop_map(|(key, operator)| Requirement { key, operator })
    }

    fn selector() -> impl Strategy<Value = Selector> {
        prop::collection::vec(requirement(), 0..3).prop_map(Selector)
    }

    fn set() -> impl Strategy<Value = WorkloadSet> {
        let namespace = prop_oneof![
            Just(NamespaceSelector::Any),
            value().prop_map(NamespaceSelector::Named),
            selector().prop_map(NamespaceSelector::Labels)
        ];
        let pods =
            (selector(), namespace, prop::option::of(value())).prop_map(|(labels, namespace, service_account)| {
                WorkloadSet::Pods(PodSelector { labels, namespace, service_account })
            });
        let leaf = prop_oneof![4 => pods, 1 => Just(WorkloadSet::All)];
        leaf.prop_recursive(2, 6, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(WorkloadSet::Union),
                (inner.clone(), inner).prop_map(|(a, b)| WorkloadSet::Except(Box::new(a), Box::new(b))),
            ]
        })
    }

    fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
        let key = prop::sample::select(vec!["app", "tier"]).prop_map(str::to_owned);
        prop::collection::btree_map(key, prop_oneof![value(), Just("z".to_owned())], 0..3)
    }

    fn pod() -> impl Strategy<Value = Pod> {
        (value(), labels(), labels(), prop_oneof![value(), Just("z".to_owned())]).prop_map(
            |(namespace, namespace_labels, labels, service_account)| Pod {
                namespace,
                name: None,
                namespace_labels,
                labels,
                service_account,
            },
        )
    }

    fn members(program: &Program, workload: &Workload) -> Vec<WorkloadSetId> {
        program.workload_sets.iter().filter(|(_, set)| set.contains(workload)).map(|(id, _)| id).collect()
    }

    proptest! {
        #[test]
        fn every_pod_is_of_a_listed_class_and_witnesses_are_members(
            sets in prop::collection::vec(set(), 1..5), pods in prop::collection::vec(pod(), 1..60)
        ) {
            let mut program = Program::default();
            sets.into_iter().for_each(|set| { program.workload_sets.push(set); });
            let ids = program.workload_sets.ids().collect();
            let classes = possible_sources(&program, &ids, 10_000).unwrap();
            for class in &classes {
                for v6 in [false, true] {
                    if let Some(witness) = class.witness(v6) {
                        prop_assert_eq!(&members(&program, &witness), &class.sets);
                    }
                }
            }
            for pod in pods {
                let of = members(&program, &Workload::Pod(pod));
                prop_assert!(classes.iter().any(|class| class.pod.is_some() && class.sets == of));
            }
        }
    }

    #[test]
    fn too_many_classes_are_an_answer_of_their_own() {
        let mut program = Program::default();
        for key in 0..20 {
            let requirement = Requirement { key: format!("k{key}"), operator: Operator::Exists };
            let labels = Selector(vec![requirement]);
            program.workload_sets.push(WorkloadSet::Pods(PodSelector { labels, ..PodSelector::default() }));
        }
        let ids = program.workload_sets.ids().collect();
        assert_eq!(possible_sources(&program, &ids, 1000), Err(TooManyClasses { limit: 1000 }));
    }
}
