//! Which gateway the flows of a sender leave by.
//!
//! In: egress gateway policies, and the gateways that a program declares. Out: for each sender and family the addresses that
//! some gateway takes, with the outcome. Cilium knows source addresses and no names, so an address that no declared
//! gateway has is [`Outcome::Misrouted`].
//!
//! That a chosen node exists and has the address is assumed: where it does not, Cilium drops the flow. What depends on
//! anything else (the order of two policies, a pod's UID or node, the addresses of an interface) is said to be unclear.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use egress_ir::{
    AddressSet, Gateway, GatewayId, Operator, Outcome, Pod, Prefix, Program, Requirement, Selector, Unclear,
    WorkloadSet,
};

use super::super::gateways::Match;
use super::super::model::{GatewayAddress, GatewayNode, GatewayPolicy, Model};
use super::super::program::identity;
use super::{selectors, unclear};

/// Egress gateway policies, each made ready once for all senders.
#[derive(Debug)]
pub(super) struct Gateways<'m> {
    policies: Vec<Policy<'m>>,
}

/// An egress gateway policy.
#[derive(Debug)]
pub(super) struct Policy<'m> {
    policy: &'m GatewayPolicy,
    /// Whose flows it is about, or why that cannot be said.
    pub(super) pods: Result<WorkloadSet, String>,
    /// What becomes of flows over IPv4, or why that cannot be said.
    v4: Result<Outcome, String>,
    /// The same over IPv6.
    v6: Result<Outcome, String>,
}

/// What policies say under one prefix, and whether they leave it out.
type Entries<'p, 'm> = Vec<(&'p Policy<'m>, bool)>;

/// What happens to the source addresses of flows to some destinations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Route {
    /// They leave through a gateway.
    Through(Outcome),
    /// It cannot be said: why.
    Unclear(String),
}

/// Makes the policies of a model ready.
pub(super) fn compile<'m>(model: &'m Model, program: &Program) -> Gateways<'m> {
    let ready = |policy: &'m GatewayPolicy| {
        let pods = pods_of(policy);
        let through = |v6| through(program, policy, v6);
        Policy { policy, pods, v4: through(false), v6: through(true) }
    };
    Gateways { policies: model.gateways.iter().map(ready).collect() }
}

/// The pods that some entry of a policy matches, or why that cannot be said.
pub(super) fn pods_of(policy: &GatewayPolicy) -> Result<WorkloadSet, String> {
    let sets = policy.sources.iter().map(|source| selectors::pods(&source.pods));
    sets.collect::<Result<Vec<_>, _>>().map(WorkloadSet::Union)
}

impl<'m> Gateways<'m> {
    pub(super) fn policies(&self) -> &[Policy<'m>] {
        &self.policies
    }

    /// The destinations of one family that a gateway takes from pods that these policies select, by what happens there;
    /// the sets are disjoint.
    pub(super) fn routes(&self, selecting: &[usize], v6: bool) -> Vec<(Route, AddressSet)> {
        let mut table: BTreeMap<u8, BTreeMap<Prefix, Entries<'_, 'm>>> = BTreeMap::new();
        for policy in selecting.iter().filter_map(|&place| self.policies.get(place)) {
            let destinations = policy.policy.destinations.iter().map(|placed| (placed.value, false));
            let excluded = policy.policy.excluded.iter().map(|placed| (placed.value, true));
            for (prefix, excluded) in destinations.chain(excluded) {
                if prefix.address().is_ipv6() == v6 {
                    let of_length = table.entry(prefix.length()).or_default();
                    of_length.entry(prefix).or_default().push((policy, excluded));
                }
            }
        }
        let mut routes: BTreeMap<Route, AddressSet> = BTreeMap::new();
        let mut decided = AddressSet::empty();
        for of_length in table.into_values().rev() {
            let mut by_route: BTreeMap<Route, Vec<Prefix>> = BTreeMap::new();
            for (prefix, entries) in &of_length {
                if let Some(route) = route(*prefix, entries, v6) {
                    by_route.entry(route).or_default().push(*prefix);
                }
            }
            for (route, prefixes) in by_route {
                let here = AddressSet::from_prefixes(prefixes).difference(&decided);
                let known = routes.entry(route).or_default();
                *known = known.union(&here);
            }
            decided = decided.union(&AddressSet::from_prefixes(of_length.into_keys()));
        }
        routes.into_iter().collect()
    }

    /// What happens to the flows of a pod to an address, found by the evaluator of look-ups; nothing without a gateway.
    pub(super) fn replay(
        &self,
        model: &Model,
        declared: &[(GatewayId, Gateway)],
        pod: &Pod,
        to: IpAddr,
    ) -> Result<Option<Outcome>, Unclear> {
        let matches = model.gateway_matches(&identity(pod).labels, to, |_| true);
        let Some((first, others)) = matches.split_first() else { return Ok(None) };
        let differs = |other: &&Match<'_>| {
            other.excluded != first.excluded
                || (!first.excluded && !same(&other.policy.gateways, &first.policy.gateways))
        };
        if let Some(rival) = others.iter().find(differs) {
            return Err(unclear(rivals(first.policy, rival.policy, first.prefix)));
        }
        if first.excluded {
            return Ok(None);
        }
        let ready = self.policies.iter().find(|ready| std::ptr::eq(ready.policy, first.policy));
        if let Some(Err(why)) = ready.map(|ready| ready.outcome(to.is_ipv6())) {
            return Err(unclear(format!("`{}` {why}", first.policy.object)));
        }
        let found: BTreeSet<Option<Outcome>> =
            first.policy.gateways.iter().map(|gateway| seen(declared, &gateway.address)).collect();
        match found.first() {
            Some(Some(outcome)) if found.len() == 1 => Ok(Some(*outcome)),
            _ => Err(unclear(format!("`{}` does not say which address flows have", first.policy.object))),
        }
    }
}

/// What others see of flows with this source address; nothing if they may see different things.
fn seen(declared: &[(GatewayId, Gateway)], address: &GatewayAddress) -> Option<Outcome> {
    let GatewayAddress::Fixed(address) = address else { return None };
    let has = |gateway: &Gateway| gateway.addresses.iter().any(|known| known.address == *address);
    let mut holders = declared.iter().filter(|(_, gateway)| has(gateway)).map(|(id, _)| *id);
    match (holders.next(), holders.next()) {
        (None, _) => Some(Outcome::Misrouted),
        (Some(id), None) => Some(Outcome::Passes(Some(id))),
        (Some(_), Some(_)) => None,
    }
}

impl Policy<'_> {
    /// Why it cannot be said for which pods it holds.
    pub(super) fn depends_on_nodes(&self) -> Option<Unclear> {
        let mut selectors = self.policy.sources.iter().filter_map(|source| source.nodes.as_ref()).peekable();
        let depends = selectors.peek().is_some() && selectors.all(|selector| !selector.0.is_empty());
        depends.then(|| {
            unclear(format!("`{}` holds for pods on some nodes only, and pods run on any node", self.policy.object))
        })
    }

    fn outcome(&self, v6: bool) -> &Result<Outcome, String> {
        if v6 { &self.v6 } else { &self.v4 }
    }

    pub(super) fn name(&self) -> String {
        self.policy.object.to_string()
    }
}

/// What entries under one prefix say; nothing if they leave it out.
fn route(prefix: Prefix, entries: &[(&Policy<'_>, bool)], v6: bool) -> Option<Route> {
    let ((first, excluded), others) = entries.split_first()?;
    let differs = |(other, out): &&(&Policy<'_>, bool)| {
        *out != *excluded || (!*out && !same(&other.policy.gateways, &first.policy.gateways))
    };
    if let Some((rival, _)) = others.iter().find(differs) {
        return Some(Route::Unclear(rivals(first.policy, rival.policy, prefix)));
    }
    if *excluded {
        return None;
    }
    Some(match first.outcome(v6) {
        Ok(outcome) => Route::Through(*outcome),
        Err(why) => Route::Unclear(format!("`{}` {why}", first.policy.object)),
    })
}

fn rivals(one: &GatewayPolicy, other: &GatewayPolicy, prefix: Prefix) -> String {
    format!(
        "`{}` and `{}` say different things about {prefix} for the same pods, and which of them holds may change at every \
         reconcile",
        one.object, other.object
    )
}

/// Whether two policies write the same values.
fn same(one: &[GatewayNode], other: &[GatewayNode]) -> bool {
    let equal = |(one, other): (&GatewayNode, &GatewayNode)| one.nodes == other.nodes && one.address == other.address;
    one.len() == other.len() && one.iter().zip(other).all(equal)
}

/// What becomes of the flows of one family that a policy takes, or why that cannot be said, to stand after its name.
fn through(program: &Program, policy: &GatewayPolicy, v6: bool) -> Result<Outcome, String> {
    let mut found: Option<Outcome> = None;
    for gateway in &policy.gateways {
        let outcome = leaves(program, policy, gateway, v6)?;
        if found.is_some_and(|known| known != outcome) {
            return Err(
                "has gateways with different addresses, and which of them a pod has depends on its UID".to_owned()
            );
        }
        found = Some(outcome);
    }
    found.ok_or_else(|| "names no gateway".to_owned())
}

fn leaves(program: &Program, policy: &GatewayPolicy, gateway: &GatewayNode, v6: bool) -> Result<Outcome, String> {
    let GatewayAddress::Fixed(address) = gateway.address else {
        return Err("sends flows out with an address of an interface, and policies do not say which that is".to_owned());
    };
    let family = if v6 { "IPv6" } else { "IPv4" };
    if address.is_ipv6() != v6 {
        return Err(format!(
            "gives flows over {family} whatever address is the first on the interface that has {address}"
        ));
    }
    if policy.destinations.iter().any(|placed| placed.value.address().is_ipv6() != v6) {
        return Err(format!(
            "has destinations of both families, and then {address} counts only if its interface has addresses of both"
        ));
    }
    let holder =
        |(id, known): (GatewayId, &Gateway)| known.addresses.iter().any(|known| known.address == address).then_some(id);
    let mut holders = program.gateways.iter().filter_map(holder);
    let Some(id) = holders.next() else { return Ok(Outcome::Misrouted) };
    if holders.next().is_some() {
        return Err(format!("sends flows out with {address}, which several gateways have"));
    }
    let declared = program.gateways.at(id);
    match &declared.nodes {
        Some(nodes) if !is_within(&gateway.nodes, nodes) => {
            Err(format!("may take nodes that the gateway `{}` does not name", declared.name))
        }
        _ => Ok(Outcome::Passes(Some(id))),
    }
}

/// Whether every node that one selector matches surely is one of the other: each of its requirements follows from one.
fn is_within(one: &Selector, other: &Selector) -> bool {
    let follows = |wanted: &Requirement| {
        one.0.iter().any(|known| known.key == wanted.key && implies(&known.operator, &wanted.operator))
    };
    other.0.iter().all(follows)
}

fn implies(known: &Operator, wanted: &Operator) -> bool {
    match (known, wanted) {
        (Operator::In(known), Operator::In(wanted)) => known.is_subset(wanted),
        (Operator::In(known), Operator::NotIn(out)) => known.is_disjoint(out),
        (Operator::In(_) | Operator::Exists, Operator::Exists) => true,
        (Operator::NotIn(known), Operator::NotIn(wanted)) => wanted.is_subset(known),
        (Operator::DoesNotExist, Operator::NotIn(_) | Operator::DoesNotExist) => true,
        _ => false,
    }
}
