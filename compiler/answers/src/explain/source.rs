//! Senders as people type them: a pod of the inventory, a declared set, labels, or an address.
//!
//! In: `--from` or `--labels` and their like. Out: a workload, and what had to be assumed to make one. Never guesses
//! between workloads that policies tell apart.

use super::Refused;
use egress_ir::{
    Inventory, Labels, NamespaceSelector, Operator, Pod, PodSelector, Program, RunningPod, Workload, WorkloadSet,
};
use std::net::IpAddr;

/// Who sends, as people type it: by `from`, or by `labels` and what belongs to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct From {
    /// `NAMESPACE/POD`, `NAMESPACE/SET` or `NAMESPACE/APP`, a declared set of workloads, or an address.
    pub from: Option<String>,
    /// The labels of the pod that sends.
    pub labels: Option<Labels>,
    /// The namespace of the pod that sends; `default` if none is given.
    pub namespace: Option<String>,
    /// The labels of its namespace; those of the inventory if none are given.
    pub namespace_labels: Option<Labels>,
    /// Its service account; `default` if none is given.
    pub service_account: Option<String>,
}

/// A workload and how it was come by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    /// Who sends.
    pub(super) workload: Workload,
    /// What was not said and so taken for granted, a sentence each.
    pub(super) assumptions: Vec<String>,
}

/// Finds the sender.
///
/// # Errors
/// Nobody was named, there is nobody of that name, or several who are not alike.
pub(super) fn find(from: &From, program: &Program, inventory: Option<&Inventory>) -> Result<Sender, Refused> {
    let finder = Finder { from, program, inventory };
    match (&from.from, &from.labels) {
        (Some(text), _) => match text.parse::<IpAddr>() {
            Ok(address) => finder.address(address),
            Err(_) => match text.split_once('/') {
                Some((namespace, name)) => finder.named(namespace, name),
                None => finder.declared(text),
            },
        },
        (None, Some(labels)) => Ok(finder.labelled(from.namespace.as_deref(), labels)),
        (None, None) => Err(Refused::new("explain needs `--from` or `--labels`: who sends?")
            .help("such as `--from shop/checkout`, `--labels app=checkout --namespace shop` or `--from 10.9.0.7`")),
    }
}

struct Finder<'a> {
    from: &'a From,
    program: &'a Program,
    inventory: Option<&'a Inventory>,
}

impl Finder<'_> {
    /// An address is the pod that has it, where the inventory knows one.
    fn address(&self, address: IpAddr) -> Result<Sender, Refused> {
        let mut pods = self.inventory.iter().flat_map(|inventory| &inventory.pods);
        match pods.find(|pod| !pod.host_network && pod.addresses.contains(&address)) {
            Some(pod) => Ok(Sender {
                assumptions: vec![format!("{address} is the pod {} of the inventory", shown(pod))],
                workload: Workload::Pod(pod.identity.clone()),
            }),
            None => Ok(Sender { workload: Workload::Address(address), assumptions: Vec::new() }),
        }
    }

    /// A pod of the inventory, by its whole name or the start of it; or else a declared set, or the label `app`.
    fn named(&self, namespace: &str, name: &str) -> Result<Sender, Refused> {
        if let Some(inventory) = self.inventory {
            let here: Vec<&RunningPod> =
                inventory.pods.iter().filter(|pod| pod.identity.namespace == namespace).collect();
            let whole = here.iter().copied().find(|pod| pod.identity.name.as_deref() == Some(name));
            if let Some(pod) = whole {
                return self.running(&[pod], name);
            }
            let start = format!("{name}-");
            let starts = |pod: &&RunningPod| pod.identity.name.as_deref().is_some_and(|pod| pod.starts_with(&start));
            let found: Vec<&RunningPod> = here.iter().copied().filter(starts).collect();
            if !found.is_empty() {
                return self.running(&found, name);
            }
        }
        let sender = match self.member_of(name, Some(namespace)) {
            Some(sender) => sender,
            None => self.by_app_label(namespace, name),
        };
        Ok(self.noting_absence(sender, namespace, name))
    }

    /// The first of these pods, if no policy tells them apart.
    fn running(&self, pods: &[&RunningPod], name: &str) -> Result<Sender, Refused> {
        let own_network: Vec<&RunningPod> = pods.iter().copied().filter(|pod| !pod.host_network).collect();
        let Some(first) = own_network.first() else {
            let node = pods.first().and_then(|pod| pod.node.as_deref()).unwrap_or("its node");
            return Err(Refused::new(format!("`{name}` uses the network of {node}, so it is no workload of its own"))
                .help("explain the node's address instead"));
        };
        let spoken_of = |pod: &RunningPod| {
            let workload = Workload::Pod(pod.identity.clone());
            let sets = self.program.workload_sets.values();
            sets.map(|set| set.contains(&workload)).collect::<Vec<bool>>()
        };
        let like_first = spoken_of(first);
        if let Some(other) = own_network.iter().find(|pod| spoken_of(pod) != like_first) {
            let message = format!("`{name}` could be {} or {}, which policies tell apart", shown(first), shown(other));
            return Err(Refused::new(message).help("give the pod's whole name"));
        }
        let mut assumptions = Vec::new();
        if first.identity.name.as_deref() != Some(name) {
            let alike = own_network.len();
            let others = if alike > 1 { format!(", like all {alike} pods of that name") } else { String::new() };
            assumptions.push(format!("{name} is the pod {}{others}", shown(first)));
        }
        Ok(Sender { workload: Workload::Pod(first.identity.clone()), assumptions })
    }

    /// A member of a declared set that was named without a namespace.
    fn declared(&self, name: &str) -> Result<Sender, Refused> {
        self.member_of(name, None).ok_or_else(|| {
            let message = format!("`{name}` is neither an address nor a declared set with a member to be found");
            Refused::new(message).help("give NAMESPACE/POD, or `--labels` with `--namespace`")
        })
    }

    /// A workload of a declared set, made from what its declaration asks for.
    fn member_of(&self, name: &str, namespace: Option<&str>) -> Option<Sender> {
        let set = self.program.workload_sets.get(*self.program.workload_names.get(name)?)?;
        let mut selectors = Vec::new();
        selectors_of(set, &mut selectors);
        let pods = selectors.into_iter().map(|selector| Workload::Pod(self.pod_for(selector, namespace)));
        let addresses = set.addresses().first().map(Workload::Address).filter(|_| namespace.is_none());
        let mut candidates = pods.chain(addresses);
        let workload = candidates.find(|workload| set.contains(workload))?;
        Some(Sender { assumptions: vec![format!("{workload} stands for the declared set `{name}`")], workload })
    }

    fn by_app_label(&self, namespace: &str, name: &str) -> Sender {
        let labels = Labels::from([("app".to_owned(), name.to_owned())]);
        let mut sender = self.labelled(Some(namespace), &labels);
        sender.assumptions.insert(0, format!("{namespace}/{name} is a pod with the label app={name}"));
        sender
    }

    fn labelled(&self, namespace: Option<&str>, labels: &Labels) -> Sender {
        let mut assumptions = Vec::new();
        if namespace.is_none() {
            assumptions.push("no namespace was given: default".to_owned());
        }
        let namespace = namespace.unwrap_or("default").to_owned();
        if self.from.namespace_labels.is_none() && self.known_labels(&namespace).is_none() {
            assumptions.push(format!("the namespace {namespace} has no labels but its name"));
        }
        let pod = self.identity(namespace, labels.clone(), None);
        if self.from.service_account.is_none() {
            assumptions.push("the service account is default".to_owned());
        }
        Sender { workload: Workload::Pod(pod), assumptions }
    }

    fn pod_for(&self, selector: &PodSelector, namespace: Option<&str>) -> Pod {
        let own = match &selector.namespace {
            NamespaceSelector::Named(name) => Some(name.clone()),
            NamespaceSelector::Any | NamespaceSelector::Labels(_) => None,
        };
        let namespace = namespace.map(str::to_owned).or(own).unwrap_or_else(|| "default".to_owned());
        let mut pod = self.identity(namespace, satisfying(&selector.labels), selector.service_account.clone());
        if let NamespaceSelector::Labels(wanted) = &selector.namespace
            && self.from.namespace_labels.is_none()
            && self.known_labels(&pod.namespace).is_none()
        {
            pod.namespace_labels = satisfying(wanted);
        }
        pod
    }

    fn identity(&self, namespace: String, labels: Labels, service_account: Option<String>) -> Pod {
        let given = self.from.namespace_labels.as_ref();
        let namespace_labels = given.or_else(|| self.known_labels(&namespace)).cloned().unwrap_or_default();
        let account = self.from.service_account.clone().or(service_account);
        let service_account = account.unwrap_or_else(|| "default".to_owned());
        Pod { namespace, name: None, namespace_labels, labels, service_account }
    }

    fn known_labels(&self, namespace: &str) -> Option<&Labels> {
        self.inventory?.namespaces.get(namespace)
    }

    fn noting_absence(&self, mut sender: Sender, namespace: &str, name: &str) -> Sender {
        if self.inventory.is_some() {
            sender.assumptions.insert(0, format!("the inventory has no pod {namespace}/{name}"));
        }
        sender
    }
}

/// The selectors from which a set is put together, those that are taken away left out.
fn selectors_of<'s>(set: &'s WorkloadSet, found: &mut Vec<&'s PodSelector>) {
    match set {
        WorkloadSet::Pods(selector) => found.push(selector),
        WorkloadSet::Union(sets) => sets.iter().for_each(|set| selectors_of(set, found)),
        WorkloadSet::Except(set, _) => selectors_of(set, found),
        WorkloadSet::All | WorkloadSet::Address(_) => {}
    }
}

/// The fewest labels that satisfy a selector, if one value for each key does.
fn satisfying(selector: &egress_ir::Selector) -> Labels {
    let wanted = selector.0.iter().filter_map(|requirement| {
        let value = match &requirement.operator {
            Operator::In(values) => values.first()?.clone(),
            Operator::Exists => "any".to_owned(),
            Operator::NotIn(_) | Operator::DoesNotExist => return None,
        };
        Some((requirement.key.clone(), value))
    });
    wanted.collect()
}

fn shown(pod: &RunningPod) -> String {
    format!("{}/{}", pod.identity.namespace, pod.identity.name.as_deref().unwrap_or("?"))
}
