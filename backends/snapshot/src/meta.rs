//! The meta part: who is who, which rule decided, and what the tables were made from. JSON, with every key sorted as here.
//!
//! Nothing here is read by the kernel. The agent finds the row of an identity by [`Meta::row_of`]; people and verifiers
//! read the rest.

use crate::gateway::Gateway;
use crate::names::{Names, set_id};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Everything that is known beside the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// The generation, which the tables and the header repeat.
    pub generation: u64,
    /// The compiler that wrote the snapshot, such as `egressc 0.1.0`.
    pub compiler: String,
    /// The digest of the whole source, such as `sha256:9f2c…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_digest: Option<String>,
    /// Why the compiler could not prove that the tables decide as the source does; nothing: it is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unproved: Option<String>,
    /// The cluster's declared name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What happens to flows of attach points whose identity is unknown.
    pub unknown: Unknown,
    /// The workload sets that tell sources apart; named by their places.
    pub sets: Vec<Set>,
    /// The row of each combination of sets that a pod can be in, sorted by combination.
    pub combinations: Vec<Combination>,
    /// Addresses of the inventory's pods, sorted, with their rows: what the tree of sources says of them, for people.
    pub pods: Vec<PodAddress>,
    /// Gateways that rules name, by their numbers, which are counted from 1 in the order of names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<Gateway>,
    /// What must be known to learn names; nothing where no rule is about names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Names>,
    /// Sets of names that outcomes ask for, named by their places: patterns by their places among those of
    /// [`Meta::names`], sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub name_sets: Vec<Vec<u32>>,
    /// What each outcome of the tables means, named by its place.
    pub outcomes: Vec<Outcome>,
    /// The rules, named by their places.
    pub rules: Vec<Rule>,
    /// Flows with what must become of them, which are asked of the kernel before a switch.
    pub vectors: Vec<Vector>,
    /// What the agent attached and as whom; only in dumps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
}

/// What happens to flows of those who are unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// They are stopped.
    #[default]
    Deny,
    /// They pass.
    Pass,
}

/// A pod's identity, as far as sets ask for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// The namespace's name.
    pub namespace: String,
    /// The pod's name; never part of the meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace's labels; `kubernetes.io/metadata.name` is implied.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespace_labels: BTreeMap<String, String>,
    /// The pod's own labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The service account's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_account: String,
}

/// A set of workloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Set {
    /// Every pod and every address.
    All,
    /// Pods for which every condition holds.
    Pods(Vec<Condition>),
    /// Workloads that are known by their address alone: a prefix such as `10.0.0.0/8`. Never a pod.
    Address(String),
    /// Members of any of these.
    Union(Vec<Set>),
    /// Members of the first that are not in the second.
    Except(Box<Set>, Box<Set>),
}

/// One condition on a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// What is asked about.
    pub of: Attribute,
    /// What must hold.
    pub is: Test,
}

/// What a condition asks about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Attribute {
    /// The namespace's name.
    Namespace,
    /// A label of the namespace, by its key; `kubernetes.io/metadata.name` is the namespace's name.
    NamespaceLabel(String),
    /// A label of the pod, by its key.
    Label(String),
    /// The service account's name.
    ServiceAccount,
}

/// What must hold of a value, as Kubernetes' set-based selectors define it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Test {
    /// Present, and one of these.
    In(Vec<String>),
    /// Absent, or none of these.
    NotIn(Vec<String>),
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
}

/// A combination of sets that some pod is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Combination {
    /// The sets that contain the pod, sorted; every other set does not.
    pub sets: Vec<u32>,
    /// The row by which its flows are decided.
    pub row: u32,
}

/// An address of a pod of the inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodAddress {
    /// The address.
    pub address: IpAddr,
    /// Who has it.
    pub identity: Identity,
    /// The row of its flows.
    pub row: u32,
}

/// What an outcome means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// What happens.
    pub verdict: Verdict,
    /// The rules that make it so, by their places, sorted; none for a default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<u32>,
    /// What would happen if audit-mode blocks were enforced, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Verdict>,
    /// Whether a rule asks for a record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub log: bool,
    /// Whether it is only for fragments, whose ports nobody knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fragment: bool,
    /// Which outcome holds in its place, where that depends on names; else nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_name: Option<ByName>,
}

/// What happens where it depends on the names by which a destination was learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByName {
    /// The sets that are asked for, by their places among [`Meta::name_sets`]; set `i` of them counts `1 << i`.
    pub sets: Vec<u32>,
    /// The outcome of each sum.
    pub outcomes: Vec<u32>,
}

/// What happens to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The destination is inside the cluster: it passes.
    Inside,
    /// No policy governs the workload: it passes.
    Ungoverned,
    /// It passes.
    Allowed,
    /// It passes, and leaves through the gateway of this number.
    Via(u32),
    /// Rules allow it through different gateways, so that it is stopped.
    Conflict,
    /// It is stopped.
    Denied,
    /// Nobody knows who sends: what [`Meta::unknown`] says.
    Unknown,
}

/// A rule, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its stable name, such as `shop#2`.
    pub name: String,
    /// The file it stands in.
    pub file: String,
    /// Its line, counted from 1.
    pub line: u32,
    /// First byte of its text.
    pub start: u32,
    /// The byte after its text.
    pub end: u32,
    /// Whether it allows; else it denies.
    pub allow: bool,
    /// `owner "…"` of its block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// `because "…"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// `ticket "…"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// `until`, as `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// A flow with the outcome that the source says it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// Who sends.
    pub row: u32,
    /// To where.
    pub destination: IpAddr,
    /// The IP protocol.
    pub protocol: u8,
    /// The destination port, `type << 8 | code` for ICMP, or 0.
    pub number: u16,
    /// Whether it is a fragment that is not the first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fragment: bool,
    /// The sets of names, by their places, in which some name is by which the destination was learned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub name_sets: Vec<u32>,
    /// What must become of it.
    pub outcome: u32,
}

/// Something that the agent attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// Where, such as `cgroup /sys/fs/cgroup/x` or `iface veth1`.
    pub point: String,
    /// As whom; nothing: by source address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The row that the kernel has for it; nothing: by source address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u32>,
}

impl Meta {
    /// The row of an identity; nothing when no combination is its, so that it is unknown.
    #[must_use]
    pub fn row_of(&self, identity: &Identity) -> Option<u32> {
        let members = (0u32..).zip(&self.sets).filter(|(_, set)| set.contains(identity)).map(|(place, _)| place);
        let members: Vec<u32> = members.collect();
        let found = self.combinations.binary_search_by(|known| known.sets.cmp(&members)).ok()?;
        self.combinations.get(found).map(|combination| combination.row)
    }
}

impl Meta {
    /// The patterns of a set of names; nothing where it does not exist.
    #[must_use]
    pub fn hosts_of(&self, set: u32) -> Option<Vec<&str>> {
        let hosts = &self.names.as_ref()?.hosts;
        let places = self.name_sets.get(set as usize)?;
        places.iter().map(|place| hosts.get(*place as usize).map(String::as_str)).collect()
    }

    /// The id of a set of names, as the tables have it.
    #[must_use]
    pub fn id_of(&self, set: u32) -> Option<u64> {
        self.hosts_of(set).map(set_id)
    }
}

impl Set {
    /// Whether a pod is a member.
    #[must_use]
    pub fn contains(&self, pod: &Identity) -> bool {
        match self {
            Self::All => true,
            Self::Pods(conditions) => conditions.iter().all(|condition| condition.holds(pod)),
            Self::Address(_) => false,
            Self::Union(sets) => sets.iter().any(|set| set.contains(pod)),
            Self::Except(set, out) => set.contains(pod) && !out.contains(pod),
        }
    }
}

/// The label that every namespace carries with its own name as value.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

impl Condition {
    fn holds(&self, pod: &Identity) -> bool {
        let value = match &self.of {
            Attribute::Namespace => Some(&pod.namespace),
            Attribute::NamespaceLabel(key) if key == NAMESPACE_NAME => Some(&pod.namespace),
            Attribute::NamespaceLabel(key) => pod.namespace_labels.get(key),
            Attribute::Label(key) => pod.labels.get(key),
            Attribute::ServiceAccount => Some(&pod.service_account),
        };
        match &self.is {
            Test::In(values) => value.is_some_and(|value| values.contains(value)),
            Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Test::Exists => value.is_some(),
            Test::DoesNotExist => value.is_none(),
        }
    }
}
