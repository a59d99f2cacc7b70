//! Which gateway Cilium takes for a flow, given a [`Model`].
//!
//! In: a model, an [`Environment`], a pod, a destination. Out: a [`GatewayLookup`]. Ports, protocols, names and verdicts play
//! no part: every policy whose selectors match the pod puts its prefixes into one table for that pod, and the longest
//! prefix around the destination decides. Where policies put different things under one prefix, the last writer wins,
//! which depends on the order of a map: that is [`GatewayAction::Ambiguous`], and never guessed.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use egress_ir::Prefix;

use super::environment::{Environment, KnownInterface, KnownNode, KnownPod};
use super::labels::Label;
use super::model::{GatewayAddress, GatewayNode, GatewayPolicy, Model, ObjectName};

/// What was found for a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayLookup {
    /// What happens.
    pub action: GatewayAction,
    /// The prefix that decides; nothing if none was asked or none contains the destination.
    pub prefix: Option<Prefix>,
    /// The policies that have an entry for that prefix.
    pub policies: BTreeSet<ObjectName>,
}

/// What becomes of a flow's source address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GatewayAction {
    /// No policy has an entry for the destination: the flow leaves by its own node.
    None,
    /// The destination is a pod or a node, where gateways are not asked.
    SkipInCluster,
    /// A policy leaves the destination out: the flow leaves by its own node.
    Excluded,
    /// No node is chosen: the flow is dropped.
    DropNoGateway,
    /// The flow leaves through a node.
    Redirect {
        /// The node's address.
        gateway: IpAddr,
        /// The source address there; nothing if the node does not have it, and then the flow is dropped.
        address: Option<IpAddr>,
        /// The interface with that address, as far as one is known.
        interface: Option<String>,
    },
    /// Policies say different things under one prefix, and which of them holds may change at every reconcile.
    Ambiguous,
}

/// What one policy says about a destination.
#[derive(Clone, Copy, Debug)]
pub(super) struct Match<'m> {
    pub(super) policy: &'m GatewayPolicy,
    pub(super) prefix: Prefix,
    /// It leaves the destination out.
    pub(super) excluded: bool,
}

impl GatewayPolicy {
    /// Whether some entry of `selectors` matches a pod by its labels.
    #[must_use]
    pub fn selects(&self, identity: &[Label]) -> bool {
        self.sources.iter().any(|source| source.pods.matches(identity))
    }

    /// Whether it holds for pods on a node with these labels.
    fn holds_on(&self, node: Option<&KnownNode>) -> bool {
        let mut selectors = self.sources.iter().filter_map(|source| source.nodes.as_ref()).peekable();
        selectors.peek().is_none() || node.is_some_and(|node| selectors.any(|selector| selector.matches(&node.labels)))
    }

    /// Its entries around a destination.
    fn entries(&self, to: IpAddr) -> impl Iterator<Item = Match<'_>> {
        let destinations = self.destinations.iter().map(|placed| (placed.value, false));
        let excluded = self.excluded.iter().map(|placed| (placed.value, true));
        let all = destinations.chain(excluded).filter(move |(prefix, _)| prefix.contains(to));
        all.map(|(prefix, excluded)| Match { policy: self, prefix, excluded })
    }
}

impl Model {
    /// Looks up the gateway of a pod's flows to an address.
    #[must_use]
    pub fn look_up_gateway(&self, environment: &Environment, from: &KnownPod, to: IpAddr) -> GatewayLookup {
        let in_cluster = environment.pods.iter().any(|pod| pod.addresses.contains(&to))
            || environment.nodes.iter().any(|node| node.addresses.contains(&to));
        let without = |action| GatewayLookup { action, prefix: None, policies: BTreeSet::new() };
        if in_cluster {
            return without(GatewayAction::SkipInCluster);
        }
        let node = environment.nodes.iter().find(|node| node.name == from.node);
        let identity = environment.pod_labels(from);
        let matches = self.gateway_matches(&identity, to, |policy| policy.holds_on(node));
        let Some(first) = matches.first() else { return without(GatewayAction::None) };
        let actions: BTreeSet<GatewayAction> =
            matches.iter().map(|found| found.action(environment, from, to.is_ipv6())).collect();
        let mut actions = actions.into_iter();
        let action = match (actions.next(), actions.next()) {
            (Some(only), None) => only,
            _ => GatewayAction::Ambiguous,
        };
        let policies = matches.iter().map(|found| found.policy.object.clone()).collect();
        GatewayLookup { action, prefix: Some(first.prefix), policies }
    }

    /// The entries under the longest prefix around a destination, of the policies that select the pod and that `holds`.
    pub(super) fn gateway_matches<'m>(
        &'m self,
        identity: &[Label],
        to: IpAddr,
        holds: impl Fn(&GatewayPolicy) -> bool,
    ) -> Vec<Match<'m>> {
        let selecting = self.gateways.iter().filter(|policy| policy.selects(identity) && holds(policy));
        let mut all: Vec<Match<'m>> = selecting.flat_map(|policy| policy.entries(to)).collect();
        let longest = all.iter().map(|found| found.prefix.length()).max();
        all.retain(|found| Some(found.prefix.length()) == longest);
        all
    }
}

impl Match<'_> {
    fn action(&self, environment: &Environment, from: &KnownPod, v6: bool) -> GatewayAction {
        if self.excluded {
            return GatewayAction::Excluded;
        }
        let Some((gateway, node)) = self.policy.gateway_of(environment, &from.uid) else {
            return GatewayAction::DropNoGateway;
        };
        let Some(&address) = node.addresses.first() else { return GatewayAction::DropNoGateway };
        let families = |v6: bool| self.policy.destinations.iter().any(|placed| placed.value.address().is_ipv6() == v6);
        let (source, interface) = gateway.address.on(node, v6, families(!v6));
        GatewayAction::Redirect { gateway: address, address: source, interface }
    }
}

impl GatewayPolicy {
    /// The gateway that pods with this UID have, and its node. Of several gateways only those with a node count, in the
    /// order of the nodes' addresses; which one a pod has depends on a hash of its UID.
    fn gateway_of<'e>(&self, environment: &'e Environment, uid: &str) -> Option<(&GatewayNode, &'e KnownNode)> {
        let node = |gateway: &GatewayNode| {
            let selected = environment.nodes.iter().filter(|node| gateway.nodes.matches(&node.labels));
            selected.min_by(|one, other| one.name.cmp(&other.name))
        };
        let mut found: Vec<(&GatewayNode, &KnownNode)> =
            self.gateways.iter().filter_map(|gateway| Some((gateway, node(gateway)?))).collect();
        found.sort_by_key(|(_, node)| node.addresses.first().copied());
        let place = usize::try_from(hash(uid)).ok()?.checked_rem(found.len())?;
        found.into_iter().nth(place)
    }
}

/// FNV-1a of 32 bits (draft-eastlake-fnv), by which pods are spread over gateways.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

impl GatewayAddress {
    /// The source address of flows of a family on a node, and its interface. `other_too`: the policy also has
    /// destinations of the other family. Then an `egressIP` counts only if its interface has addresses of both.
    fn on(&self, node: &KnownNode, v6: bool, other_too: bool) -> (Option<IpAddr>, Option<String>) {
        let first = |interface: &KnownInterface, v6: bool| {
            let mut addresses = interface.addresses.iter().filter(|address| address.is_ipv6() == v6);
            addresses.next().copied()
        };
        let named = |name: &str| {
            let interface = node.interfaces.iter().find(|interface| interface.name == name);
            (interface.and_then(|interface| first(interface, v6)), Some(name.to_owned()))
        };
        match self {
            Self::Interface(name) => named(name),
            Self::DefaultRoute => named(&node.default_interface),
            Self::Fixed(address) => {
                let holder = node.interfaces.iter().find(|interface| interface.addresses.contains(address));
                let Some(interface) = holder else { return (None, None) };
                let of_flow = if address.is_ipv6() == v6 { Some(*address) } else { first(interface, v6) };
                let complete = !other_too || first(interface, !v6).is_some();
                (of_flow.filter(|_| complete), Some(interface.name.clone()))
            }
        }
    }
}

impl GatewayAction {
    /// The source address that Cilium's table shows: zero where a node does not have the wanted one.
    #[must_use]
    pub fn table_address(&self, v6: bool) -> Option<IpAddr> {
        let zero: IpAddr = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        match self {
            Self::Redirect { address, .. } => Some(address.unwrap_or(zero)),
            Self::None | Self::SkipInCluster | Self::Excluded | Self::DropNoGateway | Self::Ambiguous => None,
        }
    }
}
