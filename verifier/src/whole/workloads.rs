//! Who sends: one workload, any pod or any address, and what it takes to be a member of a set.
//!
//! In: workload sets. Out: formulas over a pod's attributes or an address, and the workload of an assignment. An
//! attribute is a number: 0 where it is absent, the place of a value that some set mentions, or anything else for any
//! other value.

use crate::solver::{Assignment, Formula, Variable};
use egress_ir::address::{from_bits, to_bits};
use egress_ir::{
    NAMESPACE_NAME_LABEL, NamespaceSelector, Operator, Pod, PodSelector, Prefix, Program, Requirement, Workload,
    WorkloadSet,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Who sends.
pub(super) enum Who {
    /// This workload.
    Is(Workload),
    /// Any pod, as far as sets can ask.
    AnyPod(Attributes),
    /// Any address of the family.
    AnyAddress,
}

/// The address of any address.
fn source(v6: bool) -> Variable {
    if v6 { Variable { number: 5, bits: 128 } } else { Variable { number: 4, bits: 32 } }
}

/// The number of the first attribute of a pod.
const FIRST_ATTRIBUTE: u32 = 8;

/// Something that sets ask of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Attribute {
    Namespace,
    NamespaceLabel(String),
    Label(String),
    ServiceAccount,
}

/// The attributes that some set asks for, each with the values that are mentioned.
#[derive(Debug, Default)]
pub(super) struct Attributes(BTreeMap<Attribute, BTreeSet<String>>);

impl Who {
    /// Any pod, with the attributes that the blocks of these programs ask for.
    pub(super) fn any_pod(programs: [&Program; 2]) -> Self {
        let mut attributes = Attributes::default();
        for program in programs {
            program.blocks.values().for_each(|block| attributes.mention(program.workloads_of(block)));
        }
        Self::AnyPod(attributes)
    }

    /// The sender is in the set.
    pub(super) fn is_member(&self, set: &WorkloadSet, v6: bool) -> Formula {
        match (set, self) {
            (_, Self::Is(workload)) => Formula::Constant(set.contains(workload)),
            (WorkloadSet::All, _) => Formula::Constant(true),
            (WorkloadSet::Pods(selector), Self::AnyPod(attributes)) => attributes.chosen(selector),
            (WorkloadSet::Address(prefix), Self::AnyAddress) => from(*prefix, v6),
            (WorkloadSet::Pods(_), Self::AnyAddress) | (WorkloadSet::Address(_), Self::AnyPod(_)) => {
                Formula::Constant(false)
            }
            (WorkloadSet::Union(sets), _) => Formula::Any(sets.iter().map(|set| self.is_member(set, v6)).collect()),
            (WorkloadSet::Except(set, out), _) => {
                Formula::All(vec![self.is_member(set, v6), self.is_member(out, v6).negated()])
            }
        }
    }

    /// The sender of an assignment.
    pub(super) fn workload(&self, v6: bool, found: &Assignment) -> Workload {
        match self {
            Self::Is(workload) => workload.clone(),
            Self::AnyPod(attributes) => Workload::Pod(attributes.pod(found)),
            Self::AnyAddress => {
                Workload::Address(from_bits(v6, found.numbers.get(&source(v6).number).copied().unwrap_or(0)))
            }
        }
    }
}

/// The sender's address has the prefix.
fn from(prefix: Prefix, v6: bool) -> Formula {
    if prefix.address().is_ipv6() != v6 {
        return Formula::Constant(false);
    }
    Formula::Within(source(v6), Arc::from([(to_bits(prefix.address()), to_bits(prefix.last()))]))
}

/// What a selector asks, one attribute at a time.
fn questions(selector: &PodSelector) -> Vec<(Attribute, Operator)> {
    let one = |value: &String| Operator::In([value.clone()].into());
    let label = |r: &Requirement| (Attribute::Label(r.key.clone()), r.operator.clone());
    let mut asked: Vec<(Attribute, Operator)> = selector.labels.0.iter().map(label).collect();
    match &selector.namespace {
        NamespaceSelector::Any => {}
        NamespaceSelector::Named(name) => asked.push((Attribute::Namespace, one(name))),
        NamespaceSelector::Labels(labels) => asked.extend(labels.0.iter().map(|r| match r.key.as_str() {
            NAMESPACE_NAME_LABEL => (Attribute::Namespace, r.operator.clone()),
            key => (Attribute::NamespaceLabel(key.to_owned()), r.operator.clone()),
        })),
    }
    asked.extend(selector.service_account.iter().map(|account| (Attribute::ServiceAccount, one(account))));
    asked
}

impl Attributes {
    fn mention(&mut self, set: &WorkloadSet) {
        match set {
            WorkloadSet::All | WorkloadSet::Address(_) => {}
            WorkloadSet::Union(sets) => sets.iter().for_each(|set| self.mention(set)),
            WorkloadSet::Except(set, out) => [set, out].into_iter().for_each(|set| self.mention(set)),
            WorkloadSet::Pods(selector) => questions(selector).into_iter().for_each(|(attribute, operator)| {
                let values = self.0.entry(attribute).or_default();
                if let Operator::In(mentioned) | Operator::NotIn(mentioned) = operator {
                    values.extend(mentioned);
                }
            }),
        }
    }

    fn chosen(&self, selector: &PodSelector) -> Formula {
        Formula::All(
            questions(selector).into_iter().map(|(attribute, operator)| self.holds(&attribute, &operator)).collect(),
        )
    }

    fn holds(&self, attribute: &Attribute, operator: &Operator) -> Formula {
        let place = self.0.keys().position(|known| known == attribute).and_then(|place| u32::try_from(place).ok());
        let variable = Variable { number: FIRST_ATTRIBUTE + place.unwrap_or(0), bits: 32 };
        let one_of = |wanted: &BTreeSet<String>| {
            let mentioned = (1_u128..).zip(self.0.get(attribute).into_iter().flatten());
            let numbers = mentioned.filter(|(_, value)| wanted.contains(*value)).map(|(number, _)| (number, number));
            Formula::Within(variable, numbers.collect())
        };
        // A pod has a namespace and a service account whatever the number says.
        let absent = match attribute {
            Attribute::Namespace | Attribute::ServiceAccount => Formula::Constant(false),
            Attribute::NamespaceLabel(_) | Attribute::Label(_) => Formula::Within(variable, Arc::from([(0, 0)])),
        };
        match operator {
            Operator::In(values) => one_of(values),
            Operator::NotIn(values) => one_of(values).negated(),
            Operator::Exists => absent.negated(),
            Operator::DoesNotExist => absent,
        }
    }

    fn pod(&self, found: &Assignment) -> Pod {
        let mut pod = Pod { namespace: "other".to_owned(), service_account: "default".to_owned(), ..Pod::default() };
        for (number, (attribute, mentioned)) in (FIRST_ATTRIBUTE..).zip(&self.0) {
            let number = found.numbers.get(&number).copied().unwrap_or(0);
            let known = number.checked_sub(1).and_then(|place| mentioned.iter().nth(usize::try_from(place).ok()?));
            let value = known.cloned().unwrap_or_else(|| unmentioned(mentioned));
            match attribute {
                Attribute::Namespace => pod.namespace = value,
                Attribute::ServiceAccount => pod.service_account = value,
                Attribute::NamespaceLabel(_) | Attribute::Label(_) if number == 0 => {}
                Attribute::NamespaceLabel(key) => drop(pod.namespace_labels.insert(key.clone(), value)),
                Attribute::Label(key) => drop(pod.labels.insert(key.clone(), value)),
            }
        }
        pod
    }
}

/// A value that no set mentions.
fn unmentioned(mentioned: &BTreeSet<String>) -> String {
    let mut value = String::from("other");
    while mentioned.contains(&value) {
        value.push('r');
    }
    value
}
