//! Who sends: every pod that two programs can tell apart is like one of the senders.
//!
//! In: programs and senders. Out: how many pods were tried. Pods are the product of all values of all attributes,
//! mentioned, another and none, as far as that stays small, and random ones besides.

use egress_ir::{
    NAMESPACE_NAME_LABEL, NamespaceSelector, Operator, Pod, Program, Requirement, Sender, Workload, WorkloadSet,
};
use egress_testkit::seed::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// The most pods that are tried.
pub(crate) const PODS: usize = 400;

/// Where in a pod a value stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum At {
    Namespace,
    Account,
    NamespaceLabel(String),
    Label(String),
}

pub(crate) fn each_has_its_sender(before: &Program, after: &Program, senders: &[Sender], context: &str) -> usize {
    let sets: Vec<&WorkloadSet> = [before, after]
        .into_iter()
        .flat_map(|program| {
            program.blocks.values().filter(|block| !block.audit).map(|block| program.workloads_of(block))
        })
        .collect();
    let of = |workload: &Workload| sets.iter().map(|set| set.contains(workload)).collect::<Vec<bool>>();
    let is_pod = |sender: &&Sender| matches!(sender.workload, Workload::Pod(_));
    let known: BTreeSet<Vec<bool>> = senders.iter().filter(is_pod).map(|sender| of(&sender.workload)).collect();
    assert_eq!(known.len(), senders.iter().filter(is_pod).count(), "{context}: two senders are alike");
    let pods = pods(&values(&sets, &[]));
    for pod in &pods {
        assert!(known.contains(&of(&Workload::Pod(pod.clone()))), "{context}: nobody is like {pod:?}");
    }
    pods.len()
}

/// The values that sets mention for each attribute, and these words.
pub(crate) fn values(sets: &[&WorkloadSet], words: &[String]) -> BTreeMap<At, BTreeSet<String>> {
    let mut values = BTreeMap::new();
    sets.iter().for_each(|set| mention(set, &mut values));
    values.values_mut().for_each(|known| known.extend(words.iter().cloned()));
    values
}

fn mention(set: &WorkloadSet, values: &mut BTreeMap<At, BTreeSet<String>>) {
    let mut note = |at: At, operator: &Operator| {
        let known = values.entry(at).or_default();
        if let Operator::In(mentioned) | Operator::NotIn(mentioned) = operator {
            known.extend(mentioned.iter().cloned());
        }
    };
    match set {
        WorkloadSet::All | WorkloadSet::Address(_) => {}
        WorkloadSet::Union(sets) => sets.iter().for_each(|set| mention(set, values)),
        WorkloadSet::Except(set, out) => {
            mention(set, values);
            mention(out, values);
        }
        WorkloadSet::Pods(selector) => {
            let one = |value: &String| Operator::In([value.clone()].into());
            selector.labels.0.iter().for_each(|r| note(At::Label(r.key.clone()), &r.operator));
            selector.service_account.iter().for_each(|account| note(At::Account, &one(account)));
            match &selector.namespace {
                NamespaceSelector::Any => {}
                NamespaceSelector::Named(name) => note(At::Namespace, &one(name)),
                NamespaceSelector::Labels(labels) => labels.0.iter().for_each(|Requirement { key, operator }| {
                    let own = key == NAMESPACE_NAME_LABEL;
                    note(if own { At::Namespace } else { At::NamespaceLabel(key.clone()) }, operator);
                }),
            }
        }
    }
}

/// All pods of these values, or a choice of them.
pub(crate) fn pods(values: &BTreeMap<At, BTreeSet<String>>) -> Vec<Pod> {
    let choices: Vec<(&At, Vec<Option<String>>)> = values
        .iter()
        .map(|(at, mentioned)| {
            let other = Some("something-else".to_owned());
            (at, mentioned.iter().cloned().map(Some).chain([other, None]).collect())
        })
        .collect();
    let count = choices.iter().try_fold(1_usize, |count, (_, values)| count.checked_mul(values.len()));
    match count.filter(|count| *count <= PODS) {
        Some(count) => (0..count).map(|number| pod(&choices, number, |rest, length| rest % length)).collect(),
        None => {
            let mut rng = Rng::new(1, 0);
            (0..PODS).map(|_| pod(&choices, 0, |_, length| rng.below(length))).collect()
        }
    }
}

fn pod(choices: &[(&At, Vec<Option<String>>)], number: usize, mut pick: impl FnMut(usize, usize) -> usize) -> Pod {
    let mut pod = Pod { namespace: "elsewhere".to_owned(), service_account: "default".to_owned(), ..Pod::default() };
    let mut rest = number;
    for (at, values) in choices {
        let value = values[pick(rest, values.len())].clone();
        rest /= values.len();
        let Some(value) = value else { continue };
        match at {
            At::Namespace => pod.namespace = value,
            At::Account => pod.service_account = value,
            At::NamespaceLabel(key) => drop(pod.namespace_labels.insert(key.clone(), value)),
            At::Label(key) => drop(pod.labels.insert(key.clone(), value)),
        }
    }
    pod
}
