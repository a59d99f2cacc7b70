//! The meta part: who is who, which rule decided, and what the tables were made from.
//!
//! In: program, sources and outcomes. Out: [`Meta`] without test vectors.

use super::outcomes::Outcomes;
use super::sources::Sources;
use crate::ebpf::options::Options;
use egress_ir::{
    Action, NamespaceSelector, Operator, Pod, PodSelector, Program, Requirement, Rule, RuleId, WorkloadSet,
};
use egress_snapshot::Meta;
use egress_snapshot::meta::{self, Attribute, Condition, Identity, Set, Test};

/// All that is said beside the tables. `row_of` is the tables' row of each row of the sources; the default row is the
/// row of those who have none.
pub(super) fn meta(
    program: &Program,
    sources: &Sources<'_>,
    outcomes: &Outcomes,
    row_of: impl Fn(u32) -> u32,
    options: &Options,
) -> Meta {
    let combination = |combination: &super::sources::Combination| meta::Combination {
        sets: combination.sets.clone(),
        row: row_of(combination.row),
    };
    let pod = |placed: &super::sources::Placed<'_>| meta::PodAddress {
        address: placed.address,
        identity: identity(placed.pod),
        row: row_of(placed.row),
    };
    Meta {
        generation: options.generation,
        compiler: options.compiler.clone(),
        source_digest: options.source_digest.clone(),
        cluster: program.cluster.name.clone(),
        unknown: options.unknown,
        sets: sources.sets.iter().map(|id| set(program.workload_sets.at(*id))).collect(),
        combinations: sources.combinations.iter().map(combination).collect(),
        pods: sources.pods.iter().map(pod).collect(),
        outcomes: outcomes.values().map(super::outcomes::Outcome::meta).collect(),
        rules: program.rules.iter().map(|(id, rule)| said(program, id, rule)).collect(),
        ..Meta::default()
    }
}

fn said(program: &Program, id: RuleId, rule: &Rule) -> meta::Rule {
    let origin = program.origins.entries.at(rule.origin);
    let block = program.origins.entries.at(program.blocks.at(rule.block).origin);
    meta::Rule {
        name: program.rule_name(id).to_owned(),
        file: program.origins.sources.get(origin.source).cloned().unwrap_or_default(),
        line: origin.line,
        start: origin.start,
        end: origin.end,
        allow: rule.action == Action::Allow,
        owner: origin.owner.clone().or_else(|| block.owner.clone()),
        because: origin.because.clone(),
        ticket: origin.ticket.clone(),
        until: origin.until.map(|date| date.to_string()),
    }
}

fn identity(pod: &Pod) -> Identity {
    Identity {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        namespace_labels: pod.namespace_labels.clone(),
        labels: pod.labels.clone(),
        service_account: pod.service_account.clone(),
    }
}

fn set(of: &WorkloadSet) -> Set {
    match of {
        WorkloadSet::All => Set::All,
        WorkloadSet::Pods(selector) => Set::Pods(conditions(selector)),
        WorkloadSet::Address(prefix) => Set::Address(prefix.to_string()),
        WorkloadSet::Union(sets) => Set::Union(sets.iter().map(set).collect()),
        WorkloadSet::Except(of, out) => Set::Except(Box::new(set(of)), Box::new(set(out))),
    }
}

fn conditions(selector: &PodSelector) -> Vec<Condition> {
    let mut conditions = Vec::new();
    let mut all = |requirements: &[Requirement], attribute: fn(String) -> Attribute| {
        let one = |one: &Requirement| Condition { of: attribute(one.key.clone()), is: test(&one.operator) };
        conditions.extend(requirements.iter().map(one));
    };
    all(&selector.labels.0, Attribute::Label);
    match &selector.namespace {
        NamespaceSelector::Any => {}
        NamespaceSelector::Labels(labels) => all(&labels.0, Attribute::NamespaceLabel),
        NamespaceSelector::Named(name) => {
            conditions.push(Condition { of: Attribute::Namespace, is: Test::In(vec![name.clone()]) });
        }
    }
    if let Some(account) = &selector.service_account {
        conditions.push(Condition { of: Attribute::ServiceAccount, is: Test::In(vec![account.clone()]) });
    }
    conditions
}

fn test(operator: &Operator) -> Test {
    match operator {
        Operator::In(values) => Test::In(values.iter().cloned().collect()),
        Operator::NotIn(values) => Test::NotIn(values.iter().cloned().collect()),
        Operator::Exists => Test::Exists,
        Operator::DoesNotExist => Test::DoesNotExist,
    }
}
