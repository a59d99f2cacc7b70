//! What a file of manifests says, as far as kube-vip looks at it.
//!
//! In: nothing; [`decode`](super::decode()) fills it. Out: Services, with the bytes each part stands in, and what is
//! known of kube-vip's own environment. Meaning is not given to anything here.

use super::annotations as name;
use egress_ir::{Family, Labels, RunningPod};
use std::collections::BTreeMap;
use std::ops::Range;

/// A file of manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// The Services, in the order of the text.
    pub services: Vec<Service>,
    /// The containers that seem to be kube-vip, in the order of the text.
    pub daemons: Vec<Daemon>,
}

/// Text and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The value, as the API server has it.
    pub value: String,
    /// The bytes of the file that it takes up, with its quotes.
    pub span: Range<usize>,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its namespace; nothing where the file leaves it to whoever applies it.
    pub namespace: Option<String>,
    /// Its name.
    pub name: Text,
    /// Its annotations.
    pub annotations: BTreeMap<String, Text>,
    /// Its labels.
    pub labels: Labels,
    /// Whether it is of type LoadBalancer.
    pub load_balancer: bool,
    /// Its class, if it names one.
    pub class: Option<String>,
    /// `externalTrafficPolicy`; the API server takes `Cluster` where there is none.
    pub policy: Option<Text>,
    /// `loadBalancerIP`, which is deprecated and still read.
    pub address: Option<Text>,
    /// The labels of its pods.
    pub selector: Labels,
    /// Where the selector stands, if there is one.
    pub selector_span: Option<Range<usize>>,
    /// `ipFamilies`.
    pub families: Vec<Family>,
    /// Whether `ipFamilyPolicy` asks for both families.
    pub dual_stack: bool,
}

/// A container of kube-vip, with its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// `Kind/namespace/name` of the object that holds it.
    pub object: String,
    /// Where its image is named.
    pub span: Range<usize>,
    /// The variables that have plain values.
    pub environment: BTreeMap<String, Text>,
}

impl Service {
    /// `Service/namespace/name`.
    #[must_use]
    pub fn object(&self) -> String {
        format!("Service/{}/{}", self.namespace.as_deref().unwrap_or("default"), self.name.value)
    }

    /// The value of an annotation; empty where there is none, as kube-vip reads it.
    #[must_use]
    pub fn annotation(&self, key: &str) -> &str {
        self.annotations.get(key).map_or("", |text| &text.value)
    }

    /// Whether kube-vip is asked to rewrite anything for it.
    #[must_use]
    pub fn has_egress(&self) -> bool {
        self.load_balancer && self.annotation(name::EGRESS) == "true" && self.annotation(name::IGNORE) != "true"
    }

    /// Whether `externalTrafficPolicy` is `Local`.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.value == "Local")
    }

    /// Whether the pod is behind it. A Service without a selector has no pods.
    #[must_use]
    pub fn selects(&self, pod: &RunningPod) -> bool {
        let in_namespace = self.namespace.as_ref().is_none_or(|namespace| *namespace == pod.identity.namespace);
        let labels = &pod.identity.labels;
        in_namespace
            && !self.selector.is_empty()
            && self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}
