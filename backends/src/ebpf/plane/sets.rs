//! Workload sets and identities of a snapshot in the words of the meaning.
//!
//! In: sets of the meta part. Out: sets of [`egress_ir`] with the same members. Read from the schema's own words alone.

use super::unclear;
use egress_ir::{
    NAMESPACE_NAME_LABEL, NamespaceSelector, Operator, Pod, PodSelector, Prefix, Requirement, Selector, Unclear,
    WorkloadSet,
};
use egress_snapshot::meta::{Attribute, Condition, Identity, Set, Test};
use std::net::IpAddr;

/// The set with the same members.
pub(super) fn set(of: &Set) -> Result<WorkloadSet, Unclear> {
    Ok(match of {
        Set::All => WorkloadSet::All,
        Set::Pods(conditions) => pods(conditions),
        Set::Address(text) => WorkloadSet::Address(prefix(text)?),
        Set::Union(sets) => WorkloadSet::Union(sets.iter().map(set).collect::<Result<_, _>>()?),
        Set::Except(of, out) => WorkloadSet::Except(Box::new(set(of)?), Box::new(set(out)?)),
    })
}

/// As [`Identity`] has it.
pub(super) fn identity(pod: &Pod) -> Identity {
    Identity {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        namespace_labels: pod.namespace_labels.clone(),
        labels: pod.labels.clone(),
        service_account: pod.service_account.clone(),
    }
}

/// As [`Pod`] has it.
pub(super) fn pod(identity: &Identity) -> Pod {
    Pod {
        namespace: identity.namespace.clone(),
        name: identity.name.clone(),
        namespace_labels: identity.namespace_labels.clone(),
        labels: identity.labels.clone(),
        service_account: identity.service_account.clone(),
    }
}

fn prefix(text: &str) -> Result<Prefix, Unclear> {
    let parsed = text.split_once('/').and_then(|(address, length)| {
        let (address, length) = (address.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?);
        let prefix = Prefix::containing(address, length);
        (prefix.address() == address && prefix.length() == length).then_some(prefix)
    });
    parsed.ok_or_else(|| unclear(format!("`{text}` is no prefix")))
}

/// The pods for which every condition holds.
fn pods(conditions: &[Condition]) -> WorkloadSet {
    let mut selector = PodSelector::default();
    let mut namespaces: Vec<Requirement> = Vec::new();
    let mut accounts: Vec<&Test> = Vec::new();
    for Condition { of, is } in conditions {
        let requirement = |key: &str| Requirement { key: key.to_owned(), operator: operator(is) };
        match of {
            Attribute::Label(key) => selector.labels.0.push(requirement(key)),
            Attribute::NamespaceLabel(key) => namespaces.push(requirement(key)),
            Attribute::Namespace => namespaces.push(requirement(NAMESPACE_NAME_LABEL)),
            Attribute::ServiceAccount => accounts.push(is),
        }
    }
    let named = match (namespaces.as_slice(), conditions) {
        ([_], conditions) => conditions.iter().find_map(|condition| match (&condition.of, &condition.is) {
            (Attribute::Namespace, Test::In(values)) => match values.as_slice() {
                [name] => Some(name.clone()),
                _ => None,
            },
            _ => None,
        }),
        _ => None,
    };
    selector.namespace = match named {
        Some(name) => NamespaceSelector::Named(name),
        None if namespaces.is_empty() => NamespaceSelector::Any,
        None => NamespaceSelector::Labels(Selector(namespaces)),
    };
    if let [Test::In(values)] = accounts.as_slice()
        && let [account] = values.as_slice()
    {
        selector.service_account = Some(account.clone());
        return WorkloadSet::Pods(selector);
    }
    accounts.into_iter().fold(WorkloadSet::Pods(selector), |set, test| both(set, of_account(test)))
}

fn operator(test: &Test) -> Operator {
    match test {
        Test::In(values) => Operator::In(values.iter().cloned().collect()),
        Test::NotIn(values) => Operator::NotIn(values.iter().cloned().collect()),
        Test::Exists => Operator::Exists,
        Test::DoesNotExist => Operator::DoesNotExist,
    }
}

/// The pods whose service account satisfies the test; every pod has one, if only the empty one.
fn of_account(test: &Test) -> WorkloadSet {
    let every = || WorkloadSet::Pods(PodSelector::default());
    let named = |values: &[String]| {
        let account = |name: &String| PodSelector { service_account: Some(name.clone()), ..PodSelector::default() };
        WorkloadSet::Union(values.iter().map(account).map(WorkloadSet::Pods).collect())
    };
    match test {
        Test::In(values) => named(values),
        Test::NotIn(values) => WorkloadSet::Except(Box::new(every()), Box::new(named(values))),
        Test::Exists => every(),
        Test::DoesNotExist => WorkloadSet::Union(Vec::new()),
    }
}

/// Members of both.
fn both(one: WorkloadSet, other: WorkloadSet) -> WorkloadSet {
    let outside = WorkloadSet::Except(Box::new(one.clone()), Box::new(other));
    WorkloadSet::Except(Box::new(one), Box::new(outside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_ir::Workload;

    fn condition(of: Attribute, is: Test) -> Condition {
        Condition { of, is }
    }

    #[test]
    fn sets_have_the_members_that_the_snapshot_gives_them() {
        let list = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let tests = [
            Test::In(list(&["a"])),
            Test::In(list(&["a", "b"])),
            Test::NotIn(list(&["a"])),
            Test::NotIn(Vec::new()),
            Test::Exists,
            Test::DoesNotExist,
        ];
        let attributes = [
            Attribute::Namespace,
            Attribute::NamespaceLabel("team".into()),
            Attribute::NamespaceLabel(NAMESPACE_NAME_LABEL.into()),
            Attribute::Label("app".into()),
            Attribute::ServiceAccount,
        ];
        let conditions: Vec<Condition> =
            attributes.iter().flat_map(|of| tests.iter().map(|is| condition(of.clone(), is.clone()))).collect();
        let mut identities = Vec::new();
        for value in ["", "a", "b", "c"] {
            for other in ["a", "c"] {
                let labels = |key: &str| [(key.to_owned(), value.to_owned())].into();
                identities.push(Identity {
                    namespace: value.into(),
                    service_account: other.into(),
                    ..Identity::default()
                });
                let labelled =
                    Identity { namespace: other.into(), service_account: value.into(), ..Identity::default() };
                identities.push(Identity { labels: labels("app"), namespace_labels: labels("team"), ..labelled });
            }
        }
        let mut members = 0;
        for one in &conditions {
            for other in &conditions {
                let of = Set::Pods(vec![one.clone(), other.clone()]);
                let same = set(&of).unwrap();
                for identity in &identities {
                    let contains = same.contains(&Workload::Pod(pod(identity)));
                    assert_eq!(contains, of.contains(identity), "{of:?} {identity:?}");
                    members += usize::from(contains);
                }
            }
        }
        assert!(members > 1000, "{members}");
    }

    #[test]
    fn what_is_no_prefix_is_unclear() {
        for text in ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0", "x/8", "::/129"] {
            assert!(set(&Set::Address(text.into())).is_err(), "{text}");
        }
        assert!(set(&Set::Address("10.0.0.0/8".into())).is_ok());
    }
}
