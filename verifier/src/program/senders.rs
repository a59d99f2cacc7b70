//! Everybody who can send, parted by the workload sets of programs.
//!
//! In: workload sets, and an inventory if there is one. Out: a [`Sender`] for each combination of sets that a pod or an
//! address can satisfy, and the lemma that no pod satisfies another combination. Labels are finite values there: each
//! value that some set mentions, any other value, and none.

use crate::compare::Fault;
use crate::lists::Lemma;
use crate::prover::Prover;
use crate::solver::{Formula, Variable};
use egress_ir::classes::{Keys, possible_sources_unless, sweep};
use egress_ir::{
    AddressSet, Arena, Inventory, NAMESPACE_NAME_LABEL, NamespaceSelector, Operator, Pod, PodSelector, Point, Program,
    RangeSet, Requirement, Sender, Workload, WorkloadSet, WorkloadSetId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A sender with the sets that contain its members, sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The sets.
    pub sets: Vec<WorkloadSetId>,
    /// The sender.
    pub sender: Sender,
}

/// Everybody who can send, parted by `wanted`; that nobody is left out becomes a lemma.
///
/// # Errors
/// [`Fault::Unclear`] when the sets overlap in more ways than the prover's limit; [`Fault::Cancelled`].
pub fn possible_senders(
    sets: &Arena<WorkloadSetId, WorkloadSet>,
    wanted: &BTreeSet<WorkloadSetId>,
    inventory: Option<&Inventory>,
    prover: &mut Prover,
) -> Result<Vec<Class>, Fault> {
    let scratch = Program { workload_sets: sets.clone(), ..Program::default() };
    let limit = prover.limits().source_classes;
    let sources = possible_sources_unless(&scratch, wanted, limit, || prover.go_on())?;
    let ids: Vec<WorkloadSetId> = wanted.iter().copied().collect();
    let pods: BTreeMap<Vec<WorkloadSetId>, Pod> =
        sources.into_iter().filter_map(|class| Some((class.sets, class.pod?))).collect();
    prover.require(no_other_pods(sets, &ids, pods.keys()));
    let mut running = running_pods(sets, &ids, inventory);
    let mut addresses = address_classes(sets, &ids);
    let mut classes: Vec<Class> = Vec::new();
    for (members, pod) in pods {
        let pods = running.remove(&members).unwrap_or_default();
        let workload = Workload::Pod(pods.first().cloned().unwrap_or(pod));
        let addresses = addresses.remove(&members).unwrap_or_default();
        classes.push(Class { sets: members, sender: Sender { workload, v4: true, v6: true, pods, addresses } });
    }
    for (sets, addresses) in addresses {
        classes.extend(of_addresses(&addresses).map(|sender| Class { sets: sets.clone(), sender }));
    }
    classes.sort_by(|one, two| one.sets.cmp(&two.sets));
    Ok(classes)
}

impl Class {
    /// Those of the class that are there: pods that run, and addresses.
    #[must_use]
    pub fn there(self) -> Vec<Self> {
        if !self.sender.pods.is_empty() {
            return vec![self];
        }
        of_addresses(&self.sender.addresses).map(|sender| Self { sets: self.sets.clone(), sender }).collect()
    }
}

/// A sender for each family.
fn of_addresses(addresses: &AddressSet) -> impl Iterator<Item = Sender> + use<> {
    let v4 = AddressSet { v4: addresses.v4.clone(), ..AddressSet::default() };
    let v6 = AddressSet { v6: addresses.v6.clone(), ..AddressSet::default() };
    [v4, v6].into_iter().filter_map(|addresses| {
        let first = addresses.first()?;
        let workload = Workload::Address(first);
        Some(Sender { workload, v4: first.is_ipv4(), v6: first.is_ipv6(), pods: Vec::new(), addresses })
    })
}

fn running_pods(
    sets: &Arena<WorkloadSetId, WorkloadSet>,
    ids: &[WorkloadSetId],
    inventory: Option<&Inventory>,
) -> BTreeMap<Vec<WorkloadSetId>, Vec<Pod>> {
    let mut running: BTreeMap<Vec<WorkloadSetId>, Vec<Pod>> = BTreeMap::new();
    for pod in inventory.into_iter().flat_map(|known| &known.pods).filter(|pod| !pod.host_network) {
        let workload = Workload::Pod(pod.identity.clone());
        let members = ids.iter().copied().filter(|&id| sets.at(id).contains(&workload)).collect();
        running.entry(members).or_default().push(pod.identity.clone());
    }
    running
}

fn address_classes(
    sets: &Arena<WorkloadSetId, WorkloadSet>,
    ids: &[WorkloadSetId],
) -> BTreeMap<Vec<WorkloadSetId>, AddressSet> {
    let addresses: Vec<AddressSet> = ids.iter().map(|&id| sets.at(id).addresses()).collect();
    let mut ranges: BTreeMap<Vec<WorkloadSetId>, Vec<(IpAddr, IpAddr)>> = BTreeMap::new();
    let mut note = |members: Vec<WorkloadSetId>, first: IpAddr, last: IpAddr| {
        ranges.entry(members).or_default().push((first, last));
    };
    let v4 = |bits| IpAddr::V4(Ipv4Addr::from_bits(bits));
    let v6 = |bits| IpAddr::V6(Ipv6Addr::from_bits(bits));
    each_segment(ids, addresses.iter().map(|set| &set.v4), |members, start, end| note(members, v4(start), v4(end)));
    each_segment(ids, addresses.iter().map(|set| &set.v6), |members, start, end| note(members, v6(start), v6(end)));
    ranges.into_iter().map(|(members, ranges)| (members, AddressSet::from_ranges(ranges))).collect()
}

fn each_segment<'s, A: Point + 's>(
    ids: &[WorkloadSetId],
    sets: impl Iterator<Item = &'s RangeSet<A>>,
    mut visit: impl FnMut(Vec<WorkloadSetId>, A, A),
) {
    let sets: Vec<&RangeSet<A>> = sets.collect();
    let mut keys = Keys::default();
    for segment in sweep(&sets, &RangeSet::empty(), &mut keys) {
        let members = keys.list(segment.key).iter().filter_map(|&index| ids.get(index as usize).copied());
        visit(members.collect(), segment.start, segment.end);
    }
}

/// Every pod satisfies one of the combinations.
fn no_other_pods<'c>(
    sets: &Arena<WorkloadSetId, WorkloadSet>,
    ids: &[WorkloadSetId],
    combinations: impl Iterator<Item = &'c Vec<WorkloadSetId>>,
) -> Lemma {
    let mut pods = Pods::mentioned(ids.iter().map(|&id| sets.at(id)));
    let flag = |place: usize| Formula::Flag(u32::try_from(place).unwrap_or(u32::MAX));
    // A flag for each set says whether the pod is a member, so that the combinations stay short.
    let mut parts: Vec<Formula> = Vec::new();
    for (place, &id) in ids.iter().enumerate() {
        let member = pods.formula(sets.at(id));
        parts.push(Formula::Any(vec![flag(place).negated(), member.clone()]));
        parts.push(Formula::Any(vec![flag(place), member.negated()]));
    }
    for combination in combinations {
        let differs = ids.iter().enumerate().map(|(place, id)| match combination.binary_search(id) {
            Ok(_) => flag(place).negated(),
            Err(_) => flag(place),
        });
        parts.push(Formula::Any(differs.collect()));
    }
    Lemma::never(Formula::All(parts))
}

/// Something that sets ask of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Attribute {
    Namespace,
    ServiceAccount,
    NamespaceLabel(String),
    Label(String),
}

/// The value of a label that is absent; any number that no mentioned value has stands for any other value.
const ABSENT: u128 = 0;

/// The attributes of a pod as numbers.
struct Pods {
    /// A number for each attribute, and one for each of its values, from 1.
    known: BTreeMap<Attribute, (u32, BTreeMap<String, u128>)>,
}

impl Pods {
    /// Numbers everything that these sets mention.
    fn mentioned<'s>(sets: impl Iterator<Item = &'s WorkloadSet>) -> Self {
        let mut pods = Self { known: BTreeMap::new() };
        sets.for_each(|set| drop(pods.formula(set)));
        pods
    }

    /// Whether a pod is a member.
    fn formula(&mut self, set: &WorkloadSet) -> Formula {
        match set {
            WorkloadSet::All => Formula::Constant(true),
            WorkloadSet::Address(_) => Formula::Constant(false),
            WorkloadSet::Pods(selector) => self.selected(selector),
            WorkloadSet::Union(sets) => Formula::Any(sets.iter().map(|set| self.formula(set)).collect()),
            WorkloadSet::Except(set, out) => Formula::All(vec![self.formula(set), self.formula(out).negated()]),
        }
    }

    fn selected(&mut self, selector: &PodSelector) -> Formula {
        let mut parts: Vec<Formula> = Vec::new();
        for Requirement { key, operator } in &selector.labels.0 {
            parts.push(self.test(Attribute::Label(key.clone()), operator));
        }
        match &selector.namespace {
            NamespaceSelector::Any => {}
            NamespaceSelector::Named(name) => parts.push(self.equals(Attribute::Namespace, name)),
            NamespaceSelector::Labels(labels) => parts.extend(labels.0.iter().map(|Requirement { key, operator }| {
                let own_name = key == NAMESPACE_NAME_LABEL;
                let attribute = if own_name { Attribute::Namespace } else { Attribute::NamespaceLabel(key.clone()) };
                self.test(attribute, operator)
            })),
        }
        parts.extend(selector.service_account.as_ref().map(|account| self.equals(Attribute::ServiceAccount, account)));
        Formula::All(parts)
    }

    fn equals(&mut self, attribute: Attribute, value: &str) -> Formula {
        self.test(attribute, &Operator::In([value.to_owned()].into()))
    }

    fn test(&mut self, attribute: Attribute, operator: &Operator) -> Formula {
        let always_there = matches!(attribute, Attribute::Namespace | Attribute::ServiceAccount);
        match operator {
            Operator::In(values) => self.one_of(attribute, values),
            Operator::NotIn(values) => self.one_of(attribute, values).negated(),
            Operator::Exists if always_there => Formula::Constant(true),
            Operator::DoesNotExist if always_there => Formula::Constant(false),
            Operator::Exists => self.absent(attribute).negated(),
            Operator::DoesNotExist => self.absent(attribute),
        }
    }

    fn one_of(&mut self, attribute: Attribute, values: &BTreeSet<String>) -> Formula {
        let next = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        let (number, known) = self.known.entry(attribute).or_insert_with(|| (next, BTreeMap::new()));
        let numbers = values.iter().map(|value| {
            let next = known.len() as u128 + 1;
            *known.entry(value.clone()).or_insert(next)
        });
        let numbers: RangeSet<u128> = RangeSet::from_ranges(numbers.map(|number| (number, number)));
        Formula::Within(variable(*number), Arc::from(numbers.ranges()))
    }

    fn absent(&mut self, attribute: Attribute) -> Formula {
        let next = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        let (number, _) = self.known.entry(attribute).or_insert_with(|| (next, BTreeMap::new()));
        Formula::Within(variable(*number), Arc::from([(ABSENT, ABSENT)]))
    }
}

/// An attribute as a number wide enough for all values that files of any size mention.
fn variable(number: u32) -> Variable {
    Variable { number: number.saturating_add(1), bits: 32 }
}
