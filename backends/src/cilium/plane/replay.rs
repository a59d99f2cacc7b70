//! One flow, decided by [`Model::judge`] for everything that its destination may be, and by its own look-up of gateways.
//!
//! In: a flow of a pod. Out: what happens to it. Shares no rule, set or list with the pieces: only who resolves names
//! and which identities an address may have.

use std::collections::{BTreeMap, BTreeSet};

use egress_ir::classes::possible_sources;
use egress_ir::{Flow, Outcome, Pod, Unclear, Workload, WorkloadSetId};

use super::super::environment::{Environment, Identity, KnownPod};
use super::super::judge::{CiliumFlow, Verdict};
use super::super::model::{Numbers, PortMatch, Ports, Protocol};
use super::super::program::{cilium_flow, cluster_of, identity, known};
use super::outside::world_identities;
use super::{CLASSES, ModelPlane, inside, rules, unclear};

/// What happens to a flow.
pub(super) fn replay(plane: &ModelPlane<'_>, flow: &Flow) -> Result<Outcome, Unclear> {
    let Workload::Pod(from) = &flow.workload else {
        return Err(unclear(format!("`{}` is no pod, and Cilium enforces on pods alone", flow.workload)));
    };
    let is_inside = plane.inside.contains(flow.destination.address);
    let mut verdicts = of_world(plane, from, flow)?;
    if is_inside {
        verdicts.extend(of_reserved(plane, from, flow));
        verdicts.extend(of_pods(plane, from, flow)?);
    } else if verdicts.len() > 1 {
        return Err(unclear("it depends on whether the destination is an API server, or on who resolves its names"));
    }
    if verdicts.contains(&false) {
        return Ok(Outcome::Dropped);
    }
    let routed = plane.gateways.replay(plane.model, &plane.declared, from, flow.destination.address)?;
    Ok(routed.unwrap_or(Outcome::Passes(None)))
}

/// Verdicts if the destination is of the world, for everyone who may have resolved its names.
fn of_world(plane: &ModelPlane<'_>, from: &Pod, flow: &Flow) -> Result<BTreeSet<bool>, Unclear> {
    let resolvers = plane.resolvers.as_ref().map_err(Clone::clone)?;
    let resolvers = resolvers.iter().map(Some).chain(resolvers.is_empty().then_some(None));
    let mut verdicts = BTreeSet::new();
    for resolver in resolvers {
        let environment = plane.model.environment_of(flow, from, resolver);
        let v6 = flow.destination.address.is_ipv6();
        for identity in world_identities(v6) {
            verdicts.insert(judged(plane, &environment, from, flow, identity));
        }
    }
    Ok(verdicts)
}

fn of_reserved(plane: &ModelPlane<'_>, from: &Pod, flow: &Flow) -> BTreeSet<bool> {
    let environment = cluster_of(from);
    inside::reserved().into_iter().map(|identity| judged(plane, &environment, from, flow, identity)).collect()
}

fn judged(
    plane: &ModelPlane<'_>,
    environment: &Environment,
    from: &Pod,
    flow: &Flow,
    identity: rules::Identity,
) -> bool {
    let identity = Identity { labels: identity.labels, in_world: identity.world.is_some() };
    let judged = plane.model.judge_as(environment, &known(from, None), &cilium_flow(flow), identity);
    judged.verdict == Verdict::Allowed
}

/// Verdicts if the destination is a pod: one of each kind, without names for ports, and with every name for this one.
fn of_pods(plane: &ModelPlane<'_>, from: &Pod, flow: &Flow) -> Result<BTreeSet<bool>, Unclear> {
    let endpoints = &plane.compiled.endpoints;
    let sender = Workload::Pod(from.clone());
    let specs = plane.compiled.specs.iter();
    let enforced = specs.filter(|spec| spec.subject.as_ref().is_ok_and(|subject| subject.contains(&sender)));
    let mut ids: BTreeSet<WorkloadSetId> = BTreeSet::new();
    for rule in enforced.flat_map(|spec| spec.allows.iter().chain(&spec.denies)) {
        ids.extend(rule.pods()?);
    }
    let classes = possible_sources(endpoints, &ids, CLASSES).map_err(|error| unclear(error.to_string()))?;
    let to = cilium_flow(flow);
    let names = port_names(plane, &to);
    let mut verdicts = BTreeSet::new();
    for pod in classes.into_iter().filter_map(|class| class.pod) {
        for named_ports in [BTreeMap::new(), names.clone()] {
            let mut environment = cluster_of(from);
            environment.pods.push(KnownPod { named_ports, ..known(&pod, Some(flow.destination.address)) });
            let judged = plane.model.judge_as(&environment, &known(from, None), &to, identity(&pod));
            verdicts.insert(judged.verdict == Verdict::Allowed);
        }
    }
    Ok(verdicts)
}

/// Every name of a port in the model, for the port of this flow.
fn port_names(plane: &ModelPlane<'_>, to: &CiliumFlow) -> BTreeMap<String, (Protocol, u16)> {
    let specs = plane.model.policies.iter().flat_map(|policy| &policy.specs);
    let entries = specs.flat_map(|spec| spec.allows.iter().chain(&spec.denies)).flat_map(|rule| match &rule.ports {
        Ports::All => [].iter(),
        Ports::Any(entries) => entries.iter(),
    });
    let name = |entry: &PortMatch| match &entry.numbers {
        Numbers::Named(name) => Some((name.clone(), (to.protocol, to.number))),
        Numbers::Every | Numbers::Range(_) => None,
    };
    entries.filter_map(name).collect()
}
