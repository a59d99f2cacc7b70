//! Address workloads and the cluster's ranges: what must not overlap.

use super::LowerError;
use super::sets::Sets;
use crate::source::Place;
use crate::unit::{Unit, workload_sets};
use egress_ir::{AddressSet, Cluster, SourceId};
use egress_lang::ast::{self, SetNode, WSet, WorkloadTerm};
use egress_lang::span::Value;
use egress_lang::value;

/// An `address` workload among the pods' or services' addresses is an error: what comes from there is a pod, or nothing.
pub(super) fn check(unit: Unit<'_>, cluster: &Cluster, sets: &Sets<'_>) -> Vec<LowerError> {
    let taken = [("pods", &cluster.pods), ("services", &cluster.services)];
    let mut errors = Vec::new();
    for (source, item) in unit.items() {
        for set in workload_sets(item) {
            walk(set, &AddressSet::empty(), sets, &mut |prefix, away| {
                let Some(addresses) = prefix.node.map(|it| AddressSet::from_prefixes([super::prefix(it)])) else {
                    return;
                };
                let left = addresses.difference(away);
                let found = taken.iter().find(|(_, range)| left.overlaps(range));
                errors.extend(found.zip(prefix.node).map(|((part, _), prefix_value)| LowerError::WorkloadInside {
                    text: prefix_value.to_string(),
                    part,
                    place: Place::new(source, prefix.span),
                }));
            });
        }
    }
    errors
}

/// Visits the `address` terms that a set contains, each with what is taken away from it.
fn walk<'a>(
    set: &'a WSet,
    away: &AddressSet,
    sets: &Sets<'_>,
    visit: &mut impl FnMut(&'a Value<value::Prefix>, &AddressSet),
) {
    match &set.node {
        SetNode::Term(WorkloadTerm::Address(prefix)) => visit(prefix, away),
        SetNode::Term(WorkloadTerm::All | WorkloadTerm::Name(_) | WorkloadTerm::Pods(_)) | SetNode::Error => {}
        SetNode::Union(all) => all.iter().for_each(|set| walk(set, away, sets, visit)),
        SetNode::Except { base, minus } => {
            let minus = sets.workload_value(minus).map(|set| set.addresses()).unwrap_or_default();
            walk(base, &away.union(&minus), sets, visit);
        }
        SetNode::Group(set) => walk(set, away, sets, visit),
    }
}

/// The first overlap between two parts of the cluster, which is allowed but seldom meant.
pub(super) fn overlap(source: SourceId, cluster: &ast::Cluster) -> Option<LowerError> {
    let parts = [("pods", &cluster.pods), ("services", &cluster.services), ("nodes", &cluster.nodes)];
    let pairs = [(0, 1), (0, 2), (1, 2)];
    pairs.into_iter().find_map(|(left, right)| {
        let ((left, lefts), (right, rights)) = (parts.get(left)?, parts.get(right)?);
        let (a, b) = first_pair(lefts, rights)?;
        let places = [Place::new(source, a.span), Place::new(source, b.span)];
        Some(LowerError::ClusterOverlap { parts: [left, right], places })
    })
}

type Written = Value<value::Prefix>;

fn first_pair<'a>(lefts: &'a [Written], rights: &'a [Written]) -> Option<(&'a Written, &'a Written)> {
    let set = |written: &Written| AddressSet::from_prefixes(written.node.map(super::prefix));
    let all_rights = AddressSet::from_prefixes(rights.iter().filter_map(|it| it.node).map(super::prefix));
    let left = lefts.iter().find(|left| set(left).overlaps(&all_rights))?;
    let right = rights.iter().find(|right| set(right).overlaps(&set(left)))?;
    Some((left, right))
}
