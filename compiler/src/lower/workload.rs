//! Workload terms: selectors as the meaning knows them, in one canonical order.

use egress_ir::{NamespaceSelector, Operator, PodSelector, Requirement, Selector, WorkloadSet};
use egress_lang::ast::{self, Namespace, Pods};
use std::collections::BTreeSet;

/// Which pods `pods …` chooses; nothing where a part was refused.
#[must_use]
pub fn pods(pods: &Pods) -> Option<PodSelector> {
    let labels = pods.selector.as_ref().map_or_else(|| Some(Selector::default()), selector)?;
    let namespace = match &pods.namespace {
        None => NamespaceSelector::Any,
        Some(Namespace::Named(name)) if name.node.is_empty() => return None,
        Some(Namespace::Named(name)) => NamespaceSelector::Named(name.node.clone()),
        Some(Namespace::Selected(written)) => NamespaceSelector::Labels(selector(written)?),
    };
    let service_account = match &pods.service_account {
        Some(account) if account.node.is_empty() => return None,
        account => account.as_ref().map(|account| account.node.clone()),
    };
    Some(PodSelector { labels, namespace, service_account })
}

/// A label selector, its requirements sorted; nothing where one was refused.
#[must_use]
pub fn selector(written: &ast::Selector) -> Option<Selector> {
    let requirements: Option<BTreeSet<Requirement>> = written.requirements.iter().map(requirement).collect();
    requirements.map(|requirements| Selector(requirements.into_iter().collect()))
}

/// A requirement; nothing where it was refused.
#[must_use]
pub fn requirement(written: &ast::Requirement) -> Option<Requirement> {
    let values = || written.values.iter().map(|value| value.node.clone()).collect::<BTreeSet<String>>();
    let operator = match written.operator {
        ast::Operator::Equals | ast::Operator::In => Operator::In(values()),
        ast::Operator::NotEquals | ast::Operator::NotIn => Operator::NotIn(values()),
        ast::Operator::Exists => Operator::Exists,
        ast::Operator::NotExists => Operator::DoesNotExist,
        ast::Operator::Error => return None,
    };
    Some(Requirement { key: written.key.node.clone(), operator })
}

/// The union, flat, sorted and without repeats, so that equal unions are equal values.
pub(super) fn union(sets: Vec<WorkloadSet>) -> WorkloadSet {
    let mut members = BTreeSet::new();
    for set in sets {
        match set {
            WorkloadSet::Union(inner) => members.extend(inner),
            other => {
                members.insert(other);
            }
        }
    }
    if members.contains(&WorkloadSet::All) {
        return WorkloadSet::All;
    }
    let mut members: Vec<WorkloadSet> = members.into_iter().collect();
    match (members.pop(), members.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            members.extend(last);
            WorkloadSet::Union(members)
        }
    }
}
