//! Addresses inside the cluster: everything that such an address may be.
//!
//! In: the rules that enforce on a sender. Out: one list for all identities together. The source lets whatever is inside
//! pass, so a port passes only if every identity may be reached on it, and is dropped as soon as one may not: that never
//! hides a difference from the source.

use std::collections::BTreeSet;

use egress_ir::classes::possible_sources;
use egress_ir::plane::{Entry, Guard, List, PortsId};
use egress_ir::{Outcome, PortSet, Unclear, Vocabulary, WorkloadSetId};

use super::outside::Ports;
use super::ports::of;
use super::rules::{Identity, Rule};
use super::{CLASSES, Enforced, ModelPlane, unclear};

/// What happens to flows to pods, nodes and endpoints of Cilium's own.
#[derive(Debug)]
pub(super) struct Inside {
    /// Ports that are denied to some of them.
    dropped: PortSet,
    /// Ports that are allowed to all of them.
    allowed: PortSet,
}

/// The identities of nodes and of Cilium's own endpoints.
pub(super) fn reserved() -> [Identity; 8] {
    [
        vec!["host"],
        vec!["host", "kube-apiserver"],
        vec!["remote-node"],
        vec!["remote-node", "kube-apiserver"],
        vec!["health"],
        vec!["ingress"],
        vec!["init"],
        vec!["unmanaged"],
    ]
    .map(|names| Identity::reserved(&names, None))
}

/// Everything inside that is not of the world.
pub(super) fn inside(plane: &ModelPlane<'_>, enforced: &Enforced<'_>) -> Result<Inside, Unclear> {
    let mut inside = pods(plane, enforced)?;
    for identity in reserved() {
        let ports = |rules: &[&Rule<'_>]| {
            of(rules.iter().filter(|rule| rule.matches(&identity)).map(|rule| rule.ports.clone()))
        };
        inside.meet(&ports(&enforced.denies), &ports(&enforced.allows));
    }
    Ok(inside)
}

impl Inside {
    fn meet(&mut self, denied: &PortSet, allowed: &PortSet) {
        self.dropped = self.dropped.union(denied);
        self.allowed = self.allowed.intersection(allowed);
    }
}

/// Pods with any labels in any namespace.
fn pods(plane: &ModelPlane<'_>, enforced: &Enforced<'_>) -> Result<Inside, Unclear> {
    let endpoints = &plane.compiled.endpoints;
    let to_every_pod = |rule: &&&Rule<'_>| rule.matches_every_pod(endpoints);
    let everywhere = of(enforced.allows.iter().filter(to_every_pod).map(|rule| rule.ports.clone()));
    // Some pod may give any port the name that a deny asks for, and some pod gives no port any name.
    let denied = |rule: &Rule<'_>| rule.ports.union(&rule.named_ports);
    let denied_everywhere = of(enforced.denies.iter().filter(to_every_pod).map(|rule| denied(rule)));
    let mut inside = Inside { dropped: denied_everywhere, allowed: PortSet::any() };
    let mut rules: Vec<(&Rule<'_>, bool, Vec<WorkloadSetId>)> = Vec::new();
    for rule in enforced.denies.iter().filter(|rule| !denied(rule).is_subset(&inside.dropped)) {
        rules.push((rule, true, rule.pods()?));
    }
    for rule in enforced.allows.iter().filter(|rule| enforced.default_deny && !rule.ports.is_subset(&everywhere)) {
        rules.push((rule, false, rule.pods()?));
    }
    let ids: BTreeSet<WorkloadSetId> = rules.iter().flat_map(|(_, _, sets)| sets.iter().copied()).collect();
    let classes = possible_sources(endpoints, &ids, CLASSES)
        .map_err(|error| unclear(format!("selectors of destinations: {error}")))?;
    for class in classes.iter().filter(|class| class.pod.is_some()) {
        let of_class = |deny| {
            let matching = rules.iter().filter(move |(_, denies, sets)| {
                *denies == deny && sets.iter().any(|set| class.sets.binary_search(set).is_ok())
            });
            of(matching.map(|(rule, deny, _)| if *deny { denied(rule) } else { rule.ports.clone() }))
        };
        inside.meet(&of_class(true), &of_class(false).union(&everywhere));
    }
    Ok(inside)
}

/// The list of an address inside: of what is not of the world, and of the world as it may be seen.
pub(super) fn combined(
    inside: &Inside,
    seen: &[Ports],
    named: &[(Guard, PortsId)],
    default_deny: bool,
    pass: Outcome,
    vocabulary: &mut Vocabulary,
) -> List {
    let (mut dropped, mut allowed) = (inside.dropped.clone(), PortSet::any());
    for ports in seen {
        let all = |ids: &[PortsId]| of(ids.iter().map(|&id| vocabulary.ports_at(id).clone()));
        dropped = dropped.union(&all(&ports.denied));
        allowed = allowed.intersection(&all(&ports.allowed));
    }
    let stop = (Guard::Always, dropped, Outcome::Dropped);
    let by_address = inside.allowed.intersection(&allowed);
    if !default_deny || by_address.is_any() {
        return List { entries: entries([stop], vocabulary), default: pass };
    }
    // A name opens an address of the world only; whatever else may be there must be allowed as well.
    let by_name = named.iter().map(|&(guard, ports)| (guard, inside.allowed.intersection(vocabulary.ports_at(ports))));
    let by_name: Vec<(Guard, PortSet)> = by_name.collect();
    let passing = std::iter::once((Guard::Always, by_address)).chain(by_name);
    let passing = passing.map(|(guard, ports)| (guard, ports, pass));
    List { entries: entries(std::iter::once(stop).chain(passing), vocabulary), default: Outcome::Dropped }
}

fn entries(all: impl IntoIterator<Item = (Guard, PortSet, Outcome)>, vocabulary: &mut Vocabulary) -> Vec<Entry> {
    let some = all.into_iter().filter(|(_, ports, _)| !ports.is_empty());
    let entry = |(guard, ports, outcome)| Entry { guard, ports: vocabulary.ports(&ports), outcome };
    some.map(entry).collect()
}
