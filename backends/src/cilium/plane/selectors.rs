//! Selectors of endpoints as sets of pods.
//!
//! In: a [`LabelSelector`]. Out: exactly the pods whose identity it matches, as a set of the language. Labels that
//! Cilium leaves out of identities are absent on every pod, and a pod's own labels under Cilium's keys never count.

use std::collections::BTreeSet;

use egress_ir::{NAMESPACE_NAME_LABEL, NamespaceSelector, Operator, PodSelector, Requirement, Selector, WorkloadSet};

use super::super::labels::{
    CLUSTER, LabelRequirement, LabelSelector, NAMESPACE, NAMESPACE_LABELS, SERVICE_ACCOUNT, Source, is_identity_key,
    is_set_by_cilium,
};

/// The pods that a selector matches.
///
/// # Errors
/// Why it cannot be said, to stand after the object's name.
pub(super) fn pods(selector: &LabelSelector) -> Result<WorkloadSet, String> {
    let mut conditions = Conditions::default();
    for requirement in &selector.requirements {
        if !conditions.add(requirement)? {
            return Ok(nobody());
        }
    }
    Ok(conditions.finish())
}

/// Whether the set, made by [`pods`], is written as every pod.
pub(super) fn is_every_pod(set: &WorkloadSet) -> bool {
    *set == WorkloadSet::Pods(PodSelector::default())
}

fn nobody() -> WorkloadSet {
    WorkloadSet::Union(Vec::new())
}

#[derive(Default)]
struct Conditions {
    labels: Vec<Requirement>,
    namespace: Vec<Requirement>,
    /// Service accounts, if only some will do; the empty name stands for none.
    accounts: Option<BTreeSet<String>>,
    /// Service accounts that will not do.
    other_accounts: BTreeSet<String>,
}

impl Conditions {
    /// Adds a requirement; false if no pod can satisfy it.
    fn add(&mut self, LabelRequirement { source, key, operator }: &LabelRequirement) -> Result<bool, String> {
        let of_pods = matches!(source, Source::Any | Source::K8s) && is_identity_key(key);
        let requirement = |key: &str| Requirement { key: key.to_owned(), operator: operator.clone() };
        match key.as_str() {
            _ if !of_pods => return Ok(operator.holds(None)),
            NAMESPACE => match operator {
                Operator::Exists => {}
                Operator::DoesNotExist => return Ok(false),
                Operator::In(_) | Operator::NotIn(_) => self.namespace.push(requirement(NAMESPACE_NAME_LABEL)),
            },
            SERVICE_ACCOUNT => self.account(operator),
            CLUSTER => match operator {
                Operator::Exists => {}
                Operator::DoesNotExist => return Ok(false),
                Operator::In(_) | Operator::NotIn(_) => {
                    return Err(format!("asks by `{CLUSTER}` for the name of a cluster, which only its agents know"));
                }
            },
            _ => match key.strip_prefix(NAMESPACE_LABELS).and_then(|rest| rest.strip_prefix('.')) {
                Some(of_namespace) => self.namespace.push(requirement(of_namespace)),
                None if is_set_by_cilium(key) => return Ok(operator.holds(None)),
                None => self.labels.push(requirement(key)),
            },
        }
        Ok(true)
    }

    /// A pod without a service account has no label for it, so the empty name never equals a value.
    fn account(&mut self, operator: &Operator) {
        let none = || BTreeSet::from([String::new()]);
        let named = |values: &BTreeSet<String>| values.difference(&none()).cloned().collect::<BTreeSet<String>>();
        let only = match operator {
            Operator::In(values) => named(values),
            Operator::DoesNotExist => none(),
            Operator::NotIn(values) => return self.other_accounts.extend(named(values)),
            Operator::Exists => return self.other_accounts.extend(none()),
        };
        self.accounts = Some(match &self.accounts {
            Some(known) => known.intersection(&only).cloned().collect(),
            None => only,
        });
    }

    fn finish(self) -> WorkloadSet {
        let namespace = match self.namespace.is_empty() {
            true => NamespaceSelector::Any,
            false => NamespaceSelector::Labels(Selector(self.namespace)),
        };
        let all = PodSelector { labels: Selector(self.labels), namespace, service_account: None };
        let with =
            |account: &String| WorkloadSet::Pods(PodSelector { service_account: Some(account.clone()), ..all.clone() });
        match self.accounts {
            Some(accounts) => WorkloadSet::Union(accounts.difference(&self.other_accounts).map(with).collect()),
            None if self.other_accounts.is_empty() => WorkloadSet::Pods(all),
            None => {
                let out = WorkloadSet::Union(self.other_accounts.iter().map(with).collect());
                WorkloadSet::Except(Box::new(WorkloadSet::Pods(all)), Box::new(out))
            }
        }
    }
}
