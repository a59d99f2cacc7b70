//! Senders: the pods that could exist, parted by everything that the program or the artifact can ask of one.
//!
//! In: a program, an inventory, the specifications, the egress gateway policies. Out: senders, and which of these select
//! each. Addresses are no senders here: Cilium enforces on pods alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use egress_ir::classes::possible_sources;
use egress_ir::{
    AddressSet, Inventory, NamespaceSelector, Pod, Program, Selector, Sender, Unclear, Workload, WorkloadSet,
    WorkloadSetId,
};

use super::gateways::Policy;
use super::rules::Spec;
use super::{CLASSES, unclear};

/// The senders, with what selects each of them.
pub(super) struct Senders {
    pub(super) senders: Vec<Sender>,
    /// For each the places of the specifications that enforce on it, sorted.
    pub(super) enforced: Vec<Vec<usize>>,
    /// For each the places of the egress gateway policies that select it, sorted.
    pub(super) routed: Vec<Vec<usize>>,
}

/// Parts the pods.
pub(super) fn senders(
    program: &Program,
    inventory: Option<&Inventory>,
    specs: &[Spec<'_>],
    gateways: &[Policy<'_>],
) -> Result<Senders, Unclear> {
    let mut sets = Sets::default();
    for block in program.blocks.values() {
        sets.intern(program.workloads_of(block));
    }
    let mut subjects: Subjects = BTreeMap::new();
    for (place, spec) in specs.iter().enumerate() {
        let set = spec.subject.as_ref().map_err(|why| unclear(format!("`{}` {why}", spec.object)))?;
        subjects.entry(sets.intern(set)).or_default().push(place);
    }
    let mut sources: Subjects = BTreeMap::new();
    for (place, policy) in gateways.iter().enumerate() {
        let set = policy.pods.as_ref().map_err(|why| unclear(format!("`{}` {why}", policy.name())))?;
        sources.entry(sets.intern(set)).or_default().push(place);
    }
    let ids: BTreeSet<WorkloadSetId> = sets.scratch.workload_sets.ids().collect();
    let classes = possible_sources(&sets.scratch, &ids, CLASSES).map_err(|error| unclear(error.to_string()))?;
    let mut running = sets.running(inventory);
    let mut found = Senders { senders: Vec::new(), enforced: Vec::new(), routed: Vec::new() };
    for class in classes {
        let Some(pod) = class.pod else { continue };
        let pods = running.remove(&class.sets).unwrap_or_default();
        let workload = Workload::Pod(pod);
        found.senders.push(Sender { workload, v4: true, v6: true, pods, addresses: AddressSet::empty() });
        found.enforced.push(selecting(&subjects, &class.sets));
        found.routed.push(selecting(&sources, &class.sets));
    }
    Ok(found)
}

/// What has a set as its subject, by place.
type Subjects = BTreeMap<WorkloadSetId, Vec<usize>>;

fn selecting(subjects: &Subjects, sets: &[WorkloadSetId]) -> Vec<usize> {
    let mut places: Vec<usize> = sets.iter().filter_map(|id| subjects.get(id)).flatten().copied().collect();
    places.sort_unstable();
    places
}

/// Distinct workload sets in a program of their own.
#[derive(Default)]
struct Sets {
    scratch: Program,
    known: HashMap<WorkloadSet, WorkloadSetId>,
}

impl Sets {
    fn intern(&mut self, set: &WorkloadSet) -> WorkloadSetId {
        if let Some(&known) = self.known.get(set) {
            return known;
        }
        let id = self.scratch.workload_sets.push(set.clone());
        self.known.insert(set.clone(), id);
        id
    }

    /// The running pods by the sets that hold them. A pod on its node's network is its node.
    fn running(&self, inventory: Option<&Inventory>) -> HashMap<Vec<WorkloadSetId>, Vec<Pod>> {
        let mut keys = Keys::default();
        self.scratch.workload_sets.values().for_each(|set| keys.mention(set));
        // Pods of one owner differ in labels that no set asks for.
        let mut alike: HashMap<Pod, Vec<WorkloadSetId>> = HashMap::new();
        let mut running: HashMap<Vec<WorkloadSetId>, Vec<Pod>> = HashMap::new();
        let pods = inventory.iter().flat_map(|inventory| &inventory.pods).filter(|pod| !pod.host_network);
        for pod in pods.map(|pod| &pod.identity) {
            let members = alike.entry(keys.kept(pod)).or_insert_with_key(|kept| self.members(kept));
            running.entry(members.clone()).or_default().push(pod.clone());
        }
        running
    }

    fn members(&self, pod: &Pod) -> Vec<WorkloadSetId> {
        let workload = Workload::Pod(pod.clone());
        self.scratch.workload_sets.iter().filter(|(_, set)| set.contains(&workload)).map(|(id, _)| id).collect()
    }
}

/// The keys of labels that sets ask for.
#[derive(Default)]
struct Keys {
    of_pods: BTreeSet<String>,
    of_namespaces: BTreeSet<String>,
}

impl Keys {
    fn mention(&mut self, set: &WorkloadSet) {
        let keys = |selector: &Selector| selector.0.iter().map(|one| one.key.clone()).collect::<Vec<_>>();
        match set {
            WorkloadSet::All | WorkloadSet::Address(_) => {}
            WorkloadSet::Pods(selector) => {
                self.of_pods.extend(keys(&selector.labels));
                if let NamespaceSelector::Labels(labels) = &selector.namespace {
                    self.of_namespaces.extend(keys(labels));
                }
            }
            WorkloadSet::Union(sets) => sets.iter().for_each(|set| self.mention(set)),
            WorkloadSet::Except(set, out) => {
                self.mention(set);
                self.mention(out);
            }
        }
    }

    /// The pod without its name and the labels that no set asks for.
    fn kept(&self, pod: &Pod) -> Pod {
        let mut kept = Pod { name: None, ..pod.clone() };
        kept.labels.retain(|key, _| self.of_pods.contains(key));
        kept.namespace_labels.retain(|key, _| self.of_namespaces.contains(key));
        kept
    }
}
