//! The plane of a decoded artifact: what Cilium does with each flow of each pod that could exist.
//!
//! In: a [`Model`], the program that it is held against (for the cluster's ranges, its resolver and the workload sets
//! that must not be mixed up), an inventory. Out: a [`ModelPlane`], or [`Unclear`] with the object and the field that
//! cannot be said exactly. Nothing is compared here, and nothing is sampled.
//!
//! What is assumed about the cluster, because policies alone do not say it:
//! - The declared ranges cover every pod and node. An address outside them has the identity of the world, and is an API
//!   server or not: where that makes a difference, nothing is said about it.
//! - An address inside them may be any pod, the own node or another, an endpoint of Cilium's own, or nobody, which is
//!   the world again. The source lets all of these pass, so a port is dropped there as soon as *one* of them is refused.
//! - Pods ask for names over UDP at port 53 of the declared `dns` pods, and no other pod resolves names.
//! - Of the nodes that an egress gateway policy selects the first one exists and has the address that is asked for; where
//!   not, Cilium drops what should leave there.

mod cidrs;
mod gateways;
mod inside;
mod names;
mod outside;
mod ports;
mod replay;
mod rules;
mod selectors;
mod senders;

use std::collections::BTreeSet;

use egress_ir::{
    AddressSet, Flow, Gateway, GatewayId, HostPattern, Inventory, Outcome, Piece, Plane, Pod, Program, Sender, Unclear,
    Vocabulary, WorkloadSet, plane::Exemption,
};

use super::model::{GatewayPolicy, Model, Proxy};
use gateways::{Gateways, Route};
use rules::{Compiled, Rule, Spec};

/// How many kinds of pods are told apart before nothing is said any more.
const CLASSES: usize = 1 << 14;

/// What an artifact makes Cilium do, as a [`Plane`]. Made by [`plane`].
#[derive(Debug)]
pub struct ModelPlane<'m> {
    model: &'m Model,
    /// What is not governed.
    inside: AddressSet,
    compiled: Compiled<'m>,
    /// One pod of each kind that may resolve names; none if the program declares no `dns`.
    resolvers: Result<Vec<Pod>, Unclear>,
    senders: Vec<Sender>,
    /// For each sender the places in `compiled.specs` that enforce on it, sorted.
    enforced: Vec<Vec<usize>>,
    gateways: Gateways<'m>,
    /// For each sender the places in `gateways` of the policies that select it, sorted.
    routed: Vec<Vec<usize>>,
    /// The gateways that the program declares.
    declared: Vec<(GatewayId, Gateway)>,
}

/// The plane of a model within the cluster of a program.
///
/// # Errors
/// [`Unclear`] when a selector cannot be told from the pods' labels, or when selectors overlap in too many ways.
///
/// ```
/// # use egress_backends::cilium::{decode, plane::plane};
/// # use egress_ir::{Plane, Program};
/// let model = decode(b"").expect("no object at all");
/// let program = Program::default();
/// let plane = plane(&model, &program, None).expect("nothing is unclear");
/// assert_eq!(plane.senders().len(), 1);
/// ```
pub fn plane<'m>(
    model: &'m Model,
    program: &Program,
    inventory: Option<&Inventory>,
) -> Result<ModelPlane<'m>, Unclear> {
    let compiled = rules::compile(model);
    let gateways = gateways::compile(model, program);
    let senders::Senders { senders, enforced, routed } =
        senders::senders(program, inventory, &compiled.specs, gateways.policies())?;
    let resolvers = names::resolvers(program, &compiled);
    let inside = program.cluster.inside.clone();
    let declared = program.gateways.iter().map(|(id, gateway)| (id, gateway.clone())).collect();
    Ok(ModelPlane { model, inside, compiled, resolvers, senders, enforced, gateways, routed, declared })
}

impl Plane for ModelPlane<'_> {
    fn senders(&self) -> &[Sender] {
        &self.senders
    }

    fn hosts(&self) -> BTreeSet<HostPattern> {
        let rules = self.compiled.specs.iter().flat_map(|spec| &spec.allows);
        rules.flat_map(Rule::patterns).filter_map(names::host).collect()
    }

    fn exemptions(&self) -> Vec<Exemption> {
        Vec::new()
    }

    fn pieces(&self, sender: usize, v6: bool, vocabulary: &mut Vocabulary) -> Result<Vec<Piece>, Unclear> {
        let enforced = self.enforced_on(sender)?;
        let routes = self.gateways.routes(self.routed_from(sender, &enforced)?, v6);
        if v6 {
            outside::pieces(self, &enforced, &routes, true, |set| &set.v6, vocabulary)
        } else {
            outside::pieces(self, &enforced, &routes, false, |set| &set.v4, vocabulary)
        }
    }

    fn replay(&self, sender: usize, flow: &Flow) -> Result<Outcome, Unclear> {
        let enforced = self.enforced_on(sender)?;
        self.routed_from(sender, &enforced)?;
        replay::replay(self, flow)
    }
}

/// What the specifications that enforce on one sender say together.
struct Enforced<'p> {
    denies: Vec<&'p Rule<'p>>,
    allows: Vec<&'p Rule<'p>>,
    default_deny: bool,
}

impl ModelPlane<'_> {
    fn enforced_on(&self, sender: usize) -> Result<Enforced<'_>, Unclear> {
        let Some(places) = self.enforced.get(sender) else {
            return Err(unclear(format!("there is no sender {sender}")));
        };
        let specs: Vec<&Spec<'_>> = places.iter().filter_map(|&place| self.compiled.specs.get(place)).collect();
        let enforced = Enforced {
            denies: specs.iter().flat_map(|spec| &spec.denies).collect(),
            allows: specs.iter().flat_map(|spec| &spec.allows).collect(),
            default_deny: specs.iter().any(|spec| spec.default_deny),
        };
        match enforced.allows.iter().find(|rule| rule.http) {
            Some(rule) => Err(unclear(format!("`{}` has HTTP rules, which are not modelled", rule.object))),
            None => Ok(enforced),
        }
    }

    /// The egress gateway policies that select a sender.
    fn routed_from(&self, sender: usize, enforced: &Enforced<'_>) -> Result<&[usize], Unclear> {
        let places = self.routed.get(sender).map(Vec::as_slice).unwrap_or_default();
        let policies = || places.iter().filter_map(|&place| self.gateways.policies().get(place));
        if let Some(why) = policies().find_map(gateways::Policy::depends_on_nodes) {
            return Err(why);
        }
        let proxied = |rule: &&&Rule<'_>| rule.entries.iter().any(|entry| matches!(entry.proxy, Some(Proxy::Dns(_))));
        match (policies().next(), enforced.allows.iter().filter(|rule| names::leaves(rule)).find(proxied)) {
            (Some(policy), Some(rule)) => Err(unclear(format!(
                "`{}` sends questions outside through Cilium's proxy, and whether they take the gateway of `{}` then is not \
                 modelled",
                rule.object,
                policy.name()
            ))),
            _ => Ok(places),
        }
    }
}

/// The pods that some entry of an egress gateway policy matches by its labels.
pub(super) fn pods_of(policy: &GatewayPolicy) -> Result<WorkloadSet, Unclear> {
    gateways::pods_of(policy).map_err(|why| unclear(format!("`{}` {why}", policy.object)))
}

fn unclear(reason: impl Into<String>) -> Unclear {
    Unclear { reason: reason.into() }
}
