//! Coverage: workloads that no policy governs, and sets that nothing is in.
//!
//! In: a program and, if there is one, an inventory. Out: `egress::coverage::unmatched` and
//! `egress::coverage::ungoverned`. With an inventory its pods are judged one by one; address workloads, and without an
//! inventory also pods, are judged by examples built from the declared sets: each finding shows one that `contains`
//! confirms, but a set whose ungoverned members no example hits is not reported. Says nothing about rules.

use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::names::Names;
use crate::source::Place;
use crate::unit::Unit;
use crate::{Kind, example};
use egress_ir::{
    AddressSet, Block, BlockKind, Inventory, Program, RunningPod, SourceId, Workload, WorkloadSet, WorkloadSetId,
};
use egress_lang::ast::{Item, SetNode, WSet, WorkloadTerm};
use egress_lang::span::Span;
use std::collections::BTreeMap;

/// How many pods of a namespace are named.
const MOST_NAMED: usize = 5;

/// Why a pod that matches does not count.
const ON_HOST: &str = "but on its node's network, where it cannot be told from the node";

/// Something that is not covered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CoverageError {
    /// A workload set that is empty in the inventory.
    #[error("{what} match{} no pod of the inventory", if *.one { "es" } else { "" })]
    Unmatched {
        /// The set, as a person would name it.
        what: String,
        /// Whether that is one thing, for grammar.
        one: bool,
        /// How many pods match that are on their node's network, and so have no identity of their own.
        on_host: usize,
        /// Where it is written.
        place: Place,
    },
    /// Pods of a namespace that no policy governs.
    #[error("{} of namespace `{namespace}` {} governed by no policy: {}", counted(*.count), if *.count == 1 { "is" } else { "are" }, listed(.named, *.count))]
    Pods {
        /// The namespace.
        namespace: String,
        /// How many.
        count: usize,
        /// The first of them, as `shop/checkout`.
        named: Vec<String>,
    },
    /// A declared set with members that no policy governs.
    #[error("some of the workloads `{name}` are governed by no policy, such as `{example}`")]
    Declared {
        /// Its name.
        name: String,
        /// A member that is not governed.
        example: Workload,
        /// Its name where it is declared.
        place: Place,
    },
}

fn counted(count: usize) -> String {
    if count == 1 { "1 pod".to_owned() } else { format!("{count} pods") }
}

fn listed(named: &[String], count: usize) -> String {
    let quoted: Vec<String> = named.iter().map(|name| format!("`{name}`")).collect();
    let rest = count.saturating_sub(named.len());
    let rest = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    format!("{}{rest}", quoted.join(", "))
}

/// Finds what is not covered.
pub(crate) fn check(
    unit: Unit<'_>,
    names: &Names<'_>,
    program: &Program,
    inventory: Option<&Inventory>,
) -> Vec<CoverageError> {
    let mut errors = Vec::new();
    if let Some(inventory) = inventory {
        errors.extend(unmatched(unit, names, program, inventory));
        errors.extend(ungoverned_pods(program, inventory));
    }
    errors.extend(ungoverned_sets(names, program, inventory.is_none()));
    errors
}

/// The sets of enforced policies: their members are governed.
fn governing(program: &Program) -> Vec<&WorkloadSet> {
    let governs = |block: &&Block| block.kind == BlockKind::Policy && !block.audit;
    let mut ids: Vec<WorkloadSetId> = program.blocks.values().filter(governs).map(|block| block.workloads).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(|id| program.workload_sets.at(id)).collect()
}

fn ungoverned_pods(program: &Program, inventory: &Inventory) -> Vec<CoverageError> {
    let governing = governing(program);
    let mut by_namespace: BTreeMap<&str, Vec<&RunningPod>> = BTreeMap::new();
    for pod in inventory.pods.iter().filter(|pod| !pod.host_network) {
        let workload = Workload::Pod(pod.identity.clone());
        if !governing.iter().any(|set| set.contains(&workload)) {
            by_namespace.entry(&pod.identity.namespace).or_default().push(pod);
        }
    }
    let error = |(namespace, pods): (&str, Vec<&RunningPod>)| {
        let named = pods.iter().take(MOST_NAMED).map(|pod| Workload::Pod(pod.identity.clone()).to_string());
        CoverageError::Pods { namespace: namespace.to_owned(), count: pods.len(), named: named.collect() }
    };
    by_namespace.into_iter().map(error).collect()
}

/// Declared sets with a member that no policy governs; `pods` says whether pods are looked at too.
fn ungoverned_sets(names: &Names<'_>, program: &Program, pods: bool) -> Vec<CoverageError> {
    let governing = governing(program);
    let governed =
        AddressSet::from_ranges(governing.iter().flat_map(|set| set.addresses().ranges().collect::<Vec<_>>()));
    let mut errors = Vec::new();
    for declared in names.declared.iter().filter(|declared| declared.kind == Kind::Workloads) {
        let set = program.workload_names.get(declared.name).map(|&id| program.workload_sets.at(id));
        let example = set.and_then(|set| {
            let address = set.addresses().difference(&governed).first().map(Workload::Address);
            let pod = || example::pods(set).find(|pod| !governing.iter().any(|governing| governing.contains(pod)));
            address.or_else(|| if pods { pod() } else { None })
        });
        errors.extend(example.map(|example| CoverageError::Declared {
            name: declared.name.to_owned(),
            example,
            place: declared.place,
        }));
    }
    errors
}

/// Sets of pods, declared or written out in a block or the cluster, that are empty in the inventory.
fn unmatched(unit: Unit<'_>, names: &Names<'_>, program: &Program, inventory: &Inventory) -> Vec<CoverageError> {
    let pods: Vec<(Workload, bool)> =
        inventory.pods.iter().map(|pod| (Workload::Pod(pod.identity.clone()), pod.host_network)).collect();
    let mut errors = Vec::new();
    let mut judge = |what: String, one: bool, place: Place, set: Option<WorkloadSetId>| {
        let Some(set) = set.map(|id| program.workload_sets.at(id)).filter(|set| set.addresses().is_empty()) else {
            return;
        };
        let members = || pods.iter().filter(|(workload, _)| set.contains(workload));
        if members().all(|(_, on_host)| *on_host) {
            errors.push(CoverageError::Unmatched { what, one, on_host: members().count(), place });
        }
    };
    for declared in names.declared.iter().filter(|declared| declared.kind == Kind::Workloads) {
        let set = program.workload_names.get(declared.name).copied();
        judge(format!("the workloads `{}`", declared.name), false, declared.place, set);
    }
    let blocks: BTreeMap<&str, WorkloadSetId> =
        program.blocks.values().map(|block| (block.name.as_str(), block.workloads)).collect();
    for (source, item) in unit.items() {
        if let Some((what, one, set, id)) = written_out(item, &blocks, program) {
            judge(what, one, place(source, set.span), id);
        }
    }
    errors
}

fn place(source: SourceId, span: Span) -> Place {
    Place::new(source, span)
}

type WrittenOut<'a> = (String, bool, &'a WSet, Option<WorkloadSetId>);

/// The set of a block or of the cluster's resolver, unless it is only names: those have been judged where declared.
fn written_out<'a>(
    item: &'a Item,
    blocks: &BTreeMap<&str, WorkloadSetId>,
    program: &Program,
) -> Option<WrittenOut<'a>> {
    let (what, one, set, id) = match item {
        Item::Policy(it) | Item::Guardrail(it) => {
            let id = blocks.get(it.name.text.as_str()).copied();
            (format!("the workloads of `{}`", it.name.text), false, &it.workloads, id)
        }
        Item::Cluster(it) => ("the cluster's `dns`".to_owned(), true, it.dns.as_ref()?, program.cluster.dns),
        Item::Workloads(_)
        | Item::Destinations(_)
        | Item::Ports(_)
        | Item::Gateway(_)
        | Item::Assert(_)
        | Item::Control(_)
        | Item::Error(_) => return None,
    };
    (!only_names(set)).then_some((what, one, set, id))
}

fn only_names(set: &WSet) -> bool {
    match &set.node {
        SetNode::Term(WorkloadTerm::Name(_)) => true,
        SetNode::Union(sets) => sets.iter().all(only_names),
        SetNode::Group(set) => only_names(set),
        SetNode::Term(_) | SetNode::Except { .. } | SetNode::Error => false,
    }
}

impl CoverageError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unmatched { .. } => "egress::coverage::unmatched",
            Self::Pods { .. } | Self::Declared { .. } => "egress::coverage::ungoverned",
        }
    }

    /// As a diagnostic; `strict` makes ungoverned workloads an error.
    #[must_use]
    pub fn diagnostic(&self, strict: bool) -> Diagnostic {
        let ungoverned = if strict { Severity::Error } else { Severity::Warning };
        match self {
            Self::Unmatched { on_host, place, .. } => {
                let diagnostic = Diagnostic::warning(self.code(), self.to_string())
                    .label(Label::primary(*place, "matches nothing"))
                    .help("compare the selector with the labels in the cluster, or take a newer inventory");
                match on_host {
                    0 => diagnostic,
                    1 => diagnostic.fact(format!("{} matches, {ON_HOST}", counted(1))),
                    n => diagnostic.fact(format!("{} match, {ON_HOST}", counted(*n))),
                }
            }
            Self::Pods { .. } => Diagnostic::new(self.code(), ungoverned, self.to_string())
                .help("`policy lockdown { for all }` governs everybody: what nothing allows is then denied"),
            Self::Declared { place, .. } => Diagnostic::new(self.code(), ungoverned, self.to_string())
                .label(Label::primary(*place, "declared here"))
                .help("name the set in the `for` of a policy, or add `policy lockdown { for all }`"),
        }
    }
}
