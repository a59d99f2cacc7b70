//! The labels by which a Service finds the one pod whose address is rewritten.
//!
//! In: the workload set of a rule, the inventory. Out: the pod, and labels that it has and no other pod of its
//! namespace, or why there are none. Services know equality only, so labels come from the requirements of the rule's
//! own selectors that say `=`.

use egress_ir::{Inventory, Labels, Operator, RunningPod, Workload, WorkloadSet};

/// Why there is no such pod, or no such labels.
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) help: String,
}

/// The only pod of a set.
pub(super) fn only_pod<'i>(set: &WorkloadSet, inventory: &'i Inventory) -> Result<&'i RunningPod, Refusal> {
    if !set.addresses().is_empty() {
        return Err(Refusal {
            reason: "it speaks about workloads that are known by their address, and kube-vip rewrites pods only"
                .to_owned(),
            help: "give these workloads a policy of their own, for a target on the gateway that they use".to_owned(),
        });
    }
    let member = |pod: &&RunningPod| !pod.host_network && set.contains(&Workload::Pod(pod.identity.clone()));
    let pods: Vec<&RunningPod> = inventory.pods.iter().filter(member).collect();
    match pods.as_slice() {
        [pod] => Ok(pod),
        [] => Err(Refusal {
            reason: "no pod of the inventory is among its workloads, and kube-vip rewrites pods that it can name"
                .to_owned(),
            help: "take the inventory again while the pod runs".to_owned(),
        }),
        many => Err(Refusal {
            reason: format!(
                "kube-vip rewrites one pod of a Service, and {} pods are among its workloads: {}",
                many.len(),
                listed(many)
            ),
            help:
                "run one pod, give each pod a policy and an address of its own, or use the target cilium, nftables or \
                   ebpf, which route any number of pods"
                    .to_owned(),
        }),
    }
}

/// Labels that tell the pod from all others of its namespace.
pub(super) fn labels(set: &WorkloadSet, pod: &RunningPod, inventory: &Inventory) -> Result<Labels, Refusal> {
    let mut found = Vec::new();
    equalities(set, pod, &mut found);
    let namespace = &pod.identity.namespace;
    let others = |labels: &Labels| {
        let has = |other: &&RunningPod| labels.iter().all(|(key, value)| other.identity.labels.get(key) == Some(value));
        let neighbours = inventory.pods.iter().filter(|other| other.identity.namespace == *namespace);
        neighbours.filter(has).filter(|other| other.identity != pod.identity).collect::<Vec<_>>()
    };
    let chosen = found.iter().find(|labels| !labels.is_empty() && others(labels).is_empty());
    let help = || {
        let name = shown(pod);
        format!(
            "give the pod `{name}` a label that no other pod of its namespace has, and name it in the policy as `pods(key=value)`"
        )
    };
    chosen.cloned().ok_or_else(|| match found.iter().find(|labels| !labels.is_empty()) {
        Some(labels) => {
            let pairs = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
            let reason = format!(
                "a Service finds pods by labels that are equal, and `{pairs}` is on these pods too: {}",
                listed(&others(labels))
            );
            Refusal { reason, help: help() }
        }
        None => Refusal {
            reason: "a Service finds pods by labels that are equal, and its selector names none with `=`".to_owned(),
            help: help(),
        },
    })
}

/// The `=` of every selector of the set that chooses the pod.
fn equalities(set: &WorkloadSet, pod: &RunningPod, found: &mut Vec<Labels>) {
    match set {
        WorkloadSet::All | WorkloadSet::Address(_) => {}
        WorkloadSet::Pods(selector) if !selector.matches(&pod.identity) => {}
        WorkloadSet::Pods(selector) => {
            let equal = selector.labels.0.iter().filter_map(|requirement| match &requirement.operator {
                Operator::In(values) if values.len() == 1 => Some((requirement.key.clone(), values.first()?.clone())),
                _ => None,
            });
            found.push(equal.collect());
        }
        WorkloadSet::Union(sets) => sets.iter().for_each(|set| equalities(set, pod, found)),
        WorkloadSet::Except(set, _) => equalities(set, pod, found),
    }
}

/// `shop/a`, `shop/b` and 3 more.
fn listed(pods: &[&RunningPod]) -> String {
    let mut names: Vec<String> = pods.iter().take(5).map(|pod| format!("`{}`", shown(pod))).collect();
    if pods.len() > names.len() {
        names.push(format!("and {} more", pods.len() - names.len()));
    }
    names.join(", ")
}

/// `namespace/name`.
pub(super) fn shown(pod: &RunningPod) -> String {
    format!("{}/{}", pod.identity.namespace, pod.identity.name.as_deref().unwrap_or("?"))
}
