//! Workloads, and sets of them: what `for` and the left side of an assertion speak about.

use crate::address::{AddressSet, Prefix};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// Labels as Kubernetes keeps them: key to value.
pub type Labels = BTreeMap<String, String>;

/// The label that every namespace carries with its own name as value.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Where a flow comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Workload {
    /// A pod with an identity of its own. A pod on the host's network is not one: it is its node.
    Pod(Pod),
    /// A source that is known only by its address.
    Address(IpAddr),
}

/// The identity of a pod: everything a workload set can ask about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pod {
    /// The namespace's name.
    pub namespace: String,
    /// The pod's name where one is known; never part of the meaning.
    pub name: Option<String>,
    /// The namespace's labels, without [`NAMESPACE_NAME_LABEL`], which is implied.
    pub namespace_labels: Labels,
    /// The pod's own labels.
    pub labels: Labels,
    /// The service account's name.
    pub service_account: String,
}

impl fmt::Display for Workload {
    /// `shop/checkout-7d9f`, or `shop/{app=checkout}` for a pod without a name, or the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Pod(pod) => match &pod.name {
                Some(name) => write!(f, "{}/{name}", pod.namespace),
                None => write_nameless(f, pod),
            },
        }
    }
}

fn write_nameless(f: &mut fmt::Formatter<'_>, pod: &Pod) -> fmt::Result {
    let pairs = |labels: &Labels| labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
    write!(f, "{}/{{{}}}", pod.namespace, pairs(&pod.labels))?;
    if !pod.namespace_labels.is_empty() {
        write!(f, " (namespace {})", pairs(&pod.namespace_labels))?;
    }
    // Kubernetes gives `default` to every pod that asks for none.
    let unremarkable = ["", "default"].contains(&pod.service_account.as_str());
    if unremarkable { Ok(()) } else { write!(f, " as serviceaccount {}", pod.service_account) }
}

/// A set of workloads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkloadSet {
    /// Every pod and every address.
    All,
    /// Pods by labels, namespace and service account.
    Pods(PodSelector),
    /// Workloads that are known by their address alone; never a pod.
    Address(Prefix),
    /// Members of any of these; no set: empty.
    Union(Vec<WorkloadSet>),
    /// Members of the first that are not in the second.
    Except(Box<WorkloadSet>, Box<WorkloadSet>),
}

impl WorkloadSet {
    /// Whether the workload is a member.
    #[must_use]
    pub fn contains(&self, workload: &Workload) -> bool {
        match (self, workload) {
            (Self::All, _) => true,
            (Self::Pods(selector), Workload::Pod(pod)) => selector.matches(pod),
            (Self::Address(prefix), Workload::Address(address)) => prefix.contains(*address),
            (Self::Pods(_), Workload::Address(_)) | (Self::Address(_), Workload::Pod(_)) => false,
            (Self::Union(sets), _) => sets.iter().any(|set| set.contains(workload)),
            (Self::Except(set, out), _) => set.contains(workload) && !out.contains(workload),
        }
    }

    /// Whether membership depends on what only a cluster knows about a pod.
    #[must_use]
    pub fn names_pods(&self) -> bool {
        match self {
            Self::Pods(_) => true,
            Self::All | Self::Address(_) => false,
            Self::Union(sets) => sets.iter().any(Self::names_pods),
            Self::Except(set, out) => set.names_pods() || out.names_pods(),
        }
    }

    /// The addresses that are members as address workloads.
    #[must_use]
    pub fn addresses(&self) -> AddressSet {
        match self {
            Self::All => AddressSet::full(),
            Self::Pods(_) => AddressSet::empty(),
            Self::Address(prefix) => AddressSet::from_prefixes([*prefix]),
            Self::Union(sets) => {
                AddressSet::from_ranges(sets.iter().flat_map(|s| s.addresses().ranges().collect::<Vec<_>>()))
            }
            Self::Except(set, out) => set.addresses().difference(&out.addresses()),
        }
    }
}

/// Chooses pods; every part must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodSelector {
    /// The pods' own labels.
    pub labels: Selector,
    /// Their namespace.
    pub namespace: NamespaceSelector,
    /// Their service account's name, if it matters.
    pub service_account: Option<String>,
}

impl PodSelector {
    /// Whether the pod is chosen.
    #[must_use]
    pub fn matches(&self, pod: &Pod) -> bool {
        self.labels.matches(&pod.labels)
            && self.namespace.matches(&pod.namespace, &pod.namespace_labels)
            && self.service_account.as_ref().is_none_or(|account| *account == pod.service_account)
    }
}

/// Chooses namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NamespaceSelector {
    /// Every namespace.
    #[default]
    Any,
    /// The namespace of this name.
    Named(String),
    /// Namespaces by their labels, [`NAMESPACE_NAME_LABEL`] included.
    Labels(Selector),
}

impl NamespaceSelector {
    /// Whether the namespace is chosen; `labels` need not hold [`NAMESPACE_NAME_LABEL`].
    #[must_use]
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        match self {
            Self::Any => true,
            Self::Named(wanted) => wanted == name,
            Self::Labels(selector) => selector.0.iter().all(|requirement| {
                let own_name = requirement.key == NAMESPACE_NAME_LABEL;
                let value = if own_name { Some(name) } else { labels.get(&requirement.key).map(String::as_str) };
                requirement.operator.holds(value)
            }),
        }
    }
}

/// A Kubernetes label selector: every requirement must hold; none chooses everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector(pub Vec<Requirement>);

impl Selector {
    /// Whether every requirement holds for `labels`.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|r| r.operator.holds(labels.get(&r.key).map(String::as_str)))
    }
}

/// One condition on one label key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What its value must satisfy.
    pub operator: Operator,
}

/// What a label's value must satisfy, as Kubernetes' set-based selectors define it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    /// Present, with one of these values (`=`, `==`, `in`).
    In(BTreeSet<String>),
    /// Absent, or with none of these values (`!=`, `notin`).
    NotIn(BTreeSet<String>),
    /// Present (`key`).
    Exists,
    /// Absent (`!key`).
    DoesNotExist,
}

impl Operator {
    /// Whether a label's value, or its absence, satisfies the operator.
    #[must_use]
    pub fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::In(values) => value.is_some_and(|v| values.contains(v)),
            Self::NotIn(values) => value.is_none_or(|v| !values.contains(v)),
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
        }
    }
}
