//! Labels as Cilium sees them: keys with a source, the labels that make up an identity, and selectors over them.
//!
//! In: Kubernetes labels. Out: identities (sets of [`Label`]) and whether a [`LabelSelector`] matches one.
//! A key may name its source (`k8s:app`, `reserved:host`); without one, or with `any:`, every source will do.

use egress_ir::{Labels, Operator};

/// The key of the namespace's name in an identity.
pub const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// What keys of namespace labels start with in an identity.
pub const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels";
/// The key of the service account's name in an identity.
pub const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";
/// The key of the cluster's name in an identity.
pub const CLUSTER: &str = "io.cilium.k8s.policy.cluster";

/// Where a label comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// In a selector: any source.
    Any,
    /// Kubernetes.
    K8s,
    /// Cilium itself: nodes, the world, API servers.
    Reserved,
    /// CIDR groups.
    CidrGroup,
}

/// A label of an identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// Where it comes from; never [`Source::Any`].
    pub source: Source,
    /// Its key, without the source.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Chooses identities: every requirement must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelSelector {
    /// The requirements.
    pub requirements: Vec<LabelRequirement>,
}

/// One condition on one key.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelRequirement {
    /// The key's source.
    pub source: Source,
    /// The key.
    pub key: String,
    /// What must hold for its value.
    pub operator: Operator,
}

impl Label {
    /// A label of Kubernetes.
    #[must_use]
    pub fn k8s(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { source: Source::K8s, key: key.into(), value: value.into() }
    }

    /// A label of Cilium's own identities.
    #[must_use]
    pub fn reserved(name: impl Into<String>) -> Self {
        Self { source: Source::Reserved, key: name.into(), value: String::new() }
    }
}

impl LabelSelector {
    /// Whether every requirement holds.
    #[must_use]
    pub fn matches(&self, identity: &[Label]) -> bool {
        self.requirements.iter().all(|requirement| requirement.holds(identity))
    }

    /// Whether some requirement is about this key of this very source.
    #[must_use]
    pub fn has_key(&self, source: Source, key: &str) -> bool {
        self.requirements.iter().any(|requirement| requirement.source == source && requirement.key == key)
    }

    /// Adds `key = value`. A value that was asked for before with `matchLabels` is replaced, as Cilium does.
    pub fn require(&mut self, source: Source, key: &str, operator: Operator) {
        self.requirements.push(LabelRequirement { source, key: key.to_owned(), operator });
    }
}

impl LabelRequirement {
    fn holds(&self, identity: &[Label]) -> bool {
        let same_source = |label: &&Label| self.source == Source::Any || self.source == label.source;
        let found = identity.iter().filter(same_source).find(|label| label.key == self.key);
        self.operator.holds(found.map(|label| label.value.as_str()))
    }
}

/// The labels that make up a pod's identity, filtered as Cilium filters by default.
///
/// A pod's own labels under the keys that Cilium sets itself do not count, also where Cilium sets none.
#[must_use]
pub fn pod_identity(
    cluster: &str,
    namespace: &str,
    namespace_labels: &Labels,
    labels: &Labels,
    service_account: &str,
) -> Vec<Label> {
    let own = labels.iter().filter(|(key, _)| !is_set_by_cilium(key)).map(|(key, value)| Label::k8s(key, value));
    let of_namespace = namespace_labels
        .iter()
        .filter(|(key, _)| *key != egress_ir::NAMESPACE_NAME_LABEL)
        .map(|(key, value)| Label::k8s(format!("{NAMESPACE_LABELS}.{key}"), value));
    let implied = [
        Label::k8s(format!("{NAMESPACE_LABELS}.{}", egress_ir::NAMESPACE_NAME_LABEL), namespace),
        Label::k8s(NAMESPACE, namespace),
        Label::k8s(CLUSTER, cluster),
    ];
    let account = (!service_account.is_empty()).then(|| Label::k8s(SERVICE_ACCOUNT, service_account));
    let all = implied.into_iter().chain(account).chain(of_namespace).chain(own);
    all.filter(|label| is_identity_key(&label.key)).collect()
}

/// What the keys start with that only Cilium itself gives to pods.
const OWN: &str = "io.cilium.k8s";

/// Whether a pod's own label with this key never counts, because only Cilium itself gives pods such labels.
#[must_use]
pub fn is_set_by_cilium(key: &str) -> bool {
    key == NAMESPACE || key.starts_with(OWN)
}

/// Prefixes of keys that Cilium leaves out of identities unless a longer prefix of [`KEPT`] matches.
const IGNORED: [&str; 13] = [
    "io.kubernetes",
    "kubernetes.io",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/controller-uid",
    "k8s.io",
    "pod-template-generation",
    "pod-template-hash",
    "controller-revision-hash",
    "annotation",
    "controller-uid",
    "etcd_node",
];

/// Prefixes of keys that Cilium keeps where they are longer than the prefix that is ignored.
const KEPT: [&str; 4] = [NAMESPACE, NAMESPACE_LABELS, "app.kubernetes.io", CLUSTER];

/// Whether a label with this key is part of an identity under Cilium's default label filter.
///
/// A selector on any other key sees the label as absent on every pod.
#[must_use]
pub fn is_identity_key(key: &str) -> bool {
    const ANYWHERE: &str = "beta.kubernetes.io";
    // The pattern `annotation.*` swallows the whole key; the shortest match counts among the ignored.
    let prefix = IGNORED
        .iter()
        .filter(|prefix| key.starts_with(**prefix))
        .map(|prefix| if *prefix == "annotation" { key.len() } else { prefix.len() });
    let beta = key.rfind(ANYWHERE).map(|start| start + ANYWHERE.len());
    let ignored = prefix.chain(beta).min().unwrap_or(0);
    let kept = KEPT.iter().filter(|prefix| key.starts_with(**prefix)).map(|prefix| prefix.len()).max().unwrap_or(0);
    ignored == 0 || kept > ignored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_cannot_give_themselves_what_cilium_gives() {
        let own = [NAMESPACE, SERVICE_ACCOUNT, "io.cilium.k8s.namespace.labels.team", "app"];
        let own: Labels = own.map(|key| (key.to_owned(), "forged".to_owned())).into();
        let identity = pod_identity("default", "shop", &Labels::new(), &own, "");
        let forged: Vec<&str> =
            identity.iter().filter(|label| label.value == "forged").map(|label| label.key.as_str()).collect();
        assert_eq!(forged, ["app"]);
    }

    #[test]
    fn infrastructure_keys_are_no_identity() {
        let kept = [
            "app",
            "app.kubernetes.io/name",
            "example.com/zone",
            "io.kubernetes.pod.namespace",
            "io.cilium.k8s.policy.serviceaccount",
            "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name",
            "my-k8s.io/x",
        ];
        let dropped = [
            "kubernetes.io/hostname",
            "k8s.io/x",
            "pod-template-hash",
            "controller-revision-hash",
            "io.kubernetes.other",
            "node.beta.kubernetes.io/x",
            "annotation.x",
            "statefulset.kubernetes.io/pod-name",
        ];
        assert_eq!(kept.map(is_identity_key), [true; 7]);
        assert_eq!(dropped.map(is_identity_key), [false; 8]);
    }
}
