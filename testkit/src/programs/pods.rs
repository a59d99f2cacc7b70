//! Pods and the selectors that choose them: each made so that it often, and only just, fits the other.

use crate::seed::Rng;
use crate::vocabulary::{NAMESPACE_LABELS, NAMESPACES, POD_LABELS, SERVICE_ACCOUNTS};
use egress_ir::{
    Labels, NAMESPACE_NAME_LABEL, NamespaceSelector, Operator, Pod, PodSelector, Requirement, Selector, WorkloadSet,
};
use std::collections::BTreeSet;

type Vocabulary = [(&'static str, &'static [&'static str])];

/// A random choice of pods.
pub(crate) fn random_selector(rng: &mut Rng) -> PodSelector {
    let namespace = match rng.between(0, 99) {
        0..35 => NamespaceSelector::Any,
        35..70 => NamespaceSelector::Named(rng.pick(&NAMESPACES).to_owned()),
        70..78 => {
            let names = BTreeSet::from([rng.pick(&NAMESPACES).to_owned(), rng.pick(&NAMESPACES).to_owned()]);
            let key = NAMESPACE_NAME_LABEL.to_owned();
            let operator = if rng.chance(50) { Operator::In(names) } else { Operator::NotIn(names) };
            NamespaceSelector::Labels(Selector(vec![Requirement { key, operator }]))
        }
        _ => NamespaceSelector::Labels(requirements(rng, &NAMESPACE_LABELS, 1)),
    };
    let least = u64::from(namespace == NamespaceSelector::Any);
    let labels = requirements(rng, &POD_LABELS, least);
    let service_account = rng.chance(12).then(|| rng.pick(&SERVICE_ACCOUNTS).to_owned());
    PodSelector { labels, namespace, service_account }
}

fn requirements(rng: &mut Rng, words: &Vocabulary, least: u64) -> Selector {
    let count = if rng.chance(25) { 2 } else { rng.between(least, 1) };
    Selector((0..count).filter_map(|_| requirement(rng, words)).collect())
}

fn requirement(rng: &mut Rng, words: &Vocabulary) -> Option<Requirement> {
    let (key, values) = *rng.choose(words)?;
    let mut chosen = BTreeSet::from([rng.pick(values).to_owned()]);
    if rng.chance(30) {
        chosen.insert(rng.pick(values).to_owned());
    }
    let operator = match rng.between(0, 99) {
        0..60 => Operator::In(chosen),
        60..78 => Operator::NotIn(chosen),
        78..90 => Operator::Exists,
        _ => Operator::DoesNotExist,
    };
    Some(Requirement { key: key.to_owned(), operator })
}

/// A pod without a name that is a member of the set, as far as one pass over it can tell, and then sometimes changed in
/// one place.
pub(crate) fn pod_for(rng: &mut Rng, set: &WorkloadSet, miss: u64) -> Pod {
    let mut pod = random_pod(rng);
    fit(rng, set, &mut pod);
    if rng.chance(miss) {
        change(rng, &mut pod);
    }
    pod
}

/// Any pod of the vocabulary.
pub(crate) fn random_pod(rng: &mut Rng) -> Pod {
    Pod {
        namespace: rng.pick(&NAMESPACES).to_owned(),
        name: None,
        namespace_labels: labels(rng, &NAMESPACE_LABELS, 50),
        labels: labels(rng, &POD_LABELS, 40),
        service_account: rng.pick(&SERVICE_ACCOUNTS).to_owned(),
    }
}

fn labels(rng: &mut Rng, words: &Vocabulary, percent: u64) -> Labels {
    let mut labels = Labels::new();
    for (key, values) in words {
        if rng.chance(percent) {
            labels.insert((*key).to_owned(), rng.pick(values).to_owned());
        }
    }
    labels
}

/// Changes one part of a pod's identity.
fn change(rng: &mut Rng, pod: &mut Pod) {
    let other = random_pod(rng);
    match rng.below(4) {
        0 => pod.namespace = other.namespace,
        1 => pod.namespace_labels = other.namespace_labels,
        2 => pod.labels = other.labels,
        _ => pod.service_account = other.service_account,
    }
}

/// Makes the pod a member of the set where a single pass can: the second part of a difference is left to chance.
fn fit(rng: &mut Rng, set: &WorkloadSet, pod: &mut Pod) {
    match set {
        WorkloadSet::All | WorkloadSet::Address(_) => {}
        WorkloadSet::Pods(selector) => fit_selector(rng, selector, pod),
        WorkloadSet::Union(sets) => {
            if let Some(set) = rng.choose(sets) {
                fit(rng, set, pod);
            }
        }
        WorkloadSet::Except(set, out) => {
            let target = if rng.chance(80) { set } else { out };
            fit(rng, target, pod);
        }
    }
}

fn fit_selector(rng: &mut Rng, selector: &PodSelector, pod: &mut Pod) {
    fit_labels(rng, &selector.labels, &mut pod.labels);
    match &selector.namespace {
        NamespaceSelector::Any => {}
        NamespaceSelector::Named(name) => pod.namespace.clone_from(name),
        NamespaceSelector::Labels(labels) => {
            fit_labels(rng, labels, &mut pod.namespace_labels);
            if let Some(name) = pod.namespace_labels.remove(NAMESPACE_NAME_LABEL) {
                pod.namespace = name;
            }
        }
    }
    if let Some(account) = &selector.service_account {
        pod.service_account.clone_from(account);
    }
}

fn fit_labels(rng: &mut Rng, selector: &Selector, labels: &mut Labels) {
    for Requirement { key, operator } in &selector.0 {
        match operator {
            Operator::In(values) => {
                let values: Vec<&String> = values.iter().collect();
                if let Some(value) = rng.choose(&values) {
                    labels.insert(key.clone(), (*value).clone());
                }
            }
            Operator::Exists => {
                labels.entry(key.clone()).or_insert_with(|| "any".to_owned());
            }
            Operator::NotIn(values) => {
                if labels.get(key).is_some_and(|value| values.contains(value)) {
                    labels.remove(key);
                }
            }
            Operator::DoesNotExist => {
                labels.remove(key);
            }
        }
    }
}
