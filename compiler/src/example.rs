//! Example pods: members of a workload set, built from its selectors.
//!
//! In: a workload set. Out: some pods that are in it, the plainest first. What it yields is a member, because membership
//! is asked of the set itself; it need not find every kind of member, or any.

use egress_ir::{Labels, NamespaceSelector, Operator, Pod, PodSelector, Selector, Workload, WorkloadSet};

/// How many ways to satisfy one selector are tried.
const MOST_WAYS: usize = 64;

/// A value and a name that no policy is likely to mention.
const OTHER: &str = "other";

/// Members of the set.
pub(crate) fn pods(set: &WorkloadSet) -> impl Iterator<Item = Workload> {
    let mut selectors = Vec::new();
    positive(set, &mut selectors);
    let candidates = selectors.into_iter().flat_map(candidates).map(Workload::Pod);
    candidates.filter(|pod| set.contains(pod))
}

/// The selectors whose pods a set may contain.
fn positive<'s>(set: &'s WorkloadSet, into: &mut Vec<std::borrow::Cow<'s, PodSelector>>) {
    match set {
        WorkloadSet::All => into.push(std::borrow::Cow::Owned(PodSelector::default())),
        WorkloadSet::Pods(selector) => into.push(std::borrow::Cow::Borrowed(selector)),
        WorkloadSet::Address(_) => {}
        WorkloadSet::Union(sets) => sets.iter().for_each(|set| positive(set, into)),
        WorkloadSet::Except(set, _) => positive(set, into),
    }
}

fn candidates(selector: std::borrow::Cow<'_, PodSelector>) -> Vec<Pod> {
    let namespaces: Vec<(String, Labels)> = match &selector.namespace {
        NamespaceSelector::Any => vec![(OTHER.to_owned(), Labels::new())],
        NamespaceSelector::Named(name) => vec![(name.clone(), Labels::new())],
        NamespaceSelector::Labels(labels) => ways(labels).into_iter().map(namespace).collect(),
    };
    let service_account = selector.service_account.clone().unwrap_or_else(|| "default".to_owned());
    let pod = |(name, labels): &(String, Labels), own: &Labels| Pod {
        namespace: name.clone(),
        name: None,
        namespace_labels: labels.clone(),
        labels: own.clone(),
        service_account: service_account.clone(),
    };
    let labels = ways(&selector.labels);
    let pods = namespaces.iter().flat_map(|namespace| labels.iter().map(|own| pod(namespace, own)));
    pods.take(MOST_WAYS).collect()
}

/// A namespace's name is one of its labels.
fn namespace(mut labels: Labels) -> (String, Labels) {
    let name = labels.remove(egress_ir::NAMESPACE_NAME_LABEL);
    (name.unwrap_or_else(|| OTHER.to_owned()), labels)
}

/// Label sets that may satisfy a selector: each requirement is met in each of its ways in turn.
fn ways(selector: &Selector) -> Vec<Labels> {
    let mut all = vec![Labels::new()];
    for requirement in &selector.0 {
        let values: Vec<Option<&str>> = match &requirement.operator {
            Operator::In(values) => values.iter().map(|value| Some(value.as_str())).collect(),
            Operator::NotIn(_) => vec![None, Some(OTHER)],
            Operator::Exists => vec![Some(OTHER)],
            Operator::DoesNotExist => vec![None],
        };
        let extend = |labels: &Labels| {
            let labels = labels.clone();
            let key = &requirement.key;
            values
                .iter()
                .map(move |value| {
                    let mut labels = labels.clone();
                    labels.extend(value.map(|value| (key.clone(), value.to_owned())));
                    labels
                })
                .collect::<Vec<_>>()
        };
        all = all.iter().flat_map(extend).take(MOST_WAYS).collect();
    }
    all
}
