//! kube-vip over a filter: what becomes of flows that the filter lets pass.
//!
//! In: a [`Model`], the plane of an artifact that filters and leaves routing to others, the program whose gateways have
//! the addresses, and the inventory. Out: a [`RoutedPlane`]. What the filter drops is dropped; what it lets pass and
//! kube-vip rewrites leaves through the gateway that has the virtual address; everything else leaves as it did.
//!
//! What is taken for granted, because no file says it: kube-vip is set up as [`Settings::assumed`] says, and of all
//! chains that translate sources at priority 100 its own is asked first. Where anything else cannot be said exactly, the
//! plane is [`Unclear`].
//!
//! kube-vip rewrites pods that run. So of workloads that rules send through gateways, this plane speaks of those of the
//! inventory alone, also where the filter knows pods by their labels and speaks of pods that may come.

mod pieces;
mod senders;

use super::model::Model;
use super::rules::{Chain, Installed, rules};
use super::settings::Settings;
use egress_ir::{
    Exemption, Flow, HostPattern, Inventory, Outcome, Piece, Plane, Program, Sender, Unclear, Vocabulary, Workload,
    WorkloadSet,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A filter's plane with kube-vip's rules behind it.
#[derive(Debug)]
pub struct RoutedPlane<P> {
    filter: P,
    chains: Vec<Chain>,
    /// What becomes of packets that leave with these addresses; nothing where two gateways have one.
    gateways: BTreeMap<IpAddr, Option<Outcome>>,
    senders: Vec<Sender>,
    /// The filter's sender that each of ours is a part of.
    parts: Vec<senders::Part>,
    /// The addresses of pods, for [`Plane::replay`].
    pods: BTreeMap<(String, Option<String>), Vec<IpAddr>>,
    /// The addresses of the node of each pod's address.
    nodes: BTreeMap<IpAddr, Vec<IpAddr>>,
}

/// The plane of a file of Services over a filter.
///
/// # Errors
/// [`Unclear`] when nobody can say what kube-vip does for one of the Services.
pub fn plane_over<P: Plane>(
    model: &Model,
    filter: P,
    program: &Program,
    inventory: &Inventory,
) -> Result<RoutedPlane<P>, Unclear> {
    let mut chains = Vec::new();
    for (object, installed) in rules(model, inventory, &Settings::assumed(program)).services {
        match installed {
            Installed::Chain(chain) => chains.push(chain),
            Installed::Nothing(_) => {}
            Installed::Unclear(why) => return Err(unclear(format!("{object}: {why}"))),
        }
    }
    let rewritten: BTreeSet<IpAddr> = chains.iter().flat_map(|chain| &chain.rules).map(|rule| rule.source).collect();
    let pods = inventory
        .pods
        .iter()
        .filter(|pod| !pod.host_network)
        .map(|pod| ((pod.identity.namespace.clone(), pod.identity.name.clone()), pod.addresses.clone()));
    let pods: BTreeMap<_, _> = pods.collect();
    let sets = routed_sets(program);
    let asks = |workload: &Workload| sets.iter().any(|set| set.contains(workload));
    let (senders, parts) = senders::split(filter.senders(), &rewritten, &pods, &asks);
    let (gateways, nodes) = (gateways(program), nodes(inventory));
    Ok(RoutedPlane { filter, chains, gateways, senders, parts, pods, nodes })
}

/// The workloads of blocks in force that send something through a gateway.
fn routed_sets(program: &Program) -> Vec<&WorkloadSet> {
    let routes = |block: &&egress_ir::Block| block.rules.iter().any(|&rule| program.rules.at(rule).gateway.is_some());
    let blocks = program.blocks.values().filter(|block| !block.audit).filter(routes);
    blocks.map(|block| program.workloads_of(block)).collect()
}

/// The gateway of each address; nothing for an address that two have.
fn gateways(program: &Program) -> BTreeMap<IpAddr, Option<Outcome>> {
    let mut gateways = BTreeMap::new();
    for (id, gateway) in program.gateways.iter() {
        for address in &gateway.addresses {
            let outcome = Some(Outcome::Passes(Some(id)));
            let known = gateways.entry(address.address).or_insert(outcome);
            if *known != outcome {
                *known = None;
            }
        }
    }
    gateways
}

/// The addresses of the node that a pod's address is on.
fn nodes(inventory: &Inventory) -> BTreeMap<IpAddr, Vec<IpAddr>> {
    let node = |name: &str| inventory.nodes.iter().find(|node| node.name == name);
    let of_pod = |pod: &egress_ir::RunningPod| Some(node(pod.node.as_deref()?)?.addresses.clone());
    let pods = inventory.pods.iter().filter_map(|pod| Some((&pod.addresses, of_pod(pod)?)));
    pods.flat_map(|(addresses, node)| addresses.iter().map(move |address| (*address, node.clone()))).collect()
}

impl<P: Plane> RoutedPlane<P> {
    /// What becomes of a flow that leaves with an address instead of its own.
    fn with_address(&self, source: IpAddr, to: IpAddr) -> Result<Outcome, Unclear> {
        match self.gateways.get(&to) {
            Some(Some(outcome)) => Ok(*outcome),
            Some(None) => Err(unclear(format!("two gateways have the address {to}"))),
            None if self.nodes.get(&source).is_some_and(|node| node.contains(&to)) => Ok(Outcome::Passes(None)),
            None => Ok(Outcome::Misrouted),
        }
    }

    fn part(&self, sender: usize) -> Result<&senders::Part, Unclear> {
        self.parts.get(sender).ok_or_else(|| unclear("there is no such sender"))
    }

    /// The address in a family from which a workload sends.
    fn source(&self, workload: &Workload, v6: bool) -> Option<IpAddr> {
        match workload {
            Workload::Address(address) => Some(*address),
            Workload::Pod(pod) => {
                let addresses = self.pods.get(&(pod.namespace.clone(), pod.name.clone()))?;
                addresses.iter().copied().find(|address| address.is_ipv6() == v6)
            }
        }
    }
}

impl<P: Plane> Plane for RoutedPlane<P> {
    fn senders(&self) -> &[Sender] {
        &self.senders
    }

    fn hosts(&self) -> BTreeSet<HostPattern> {
        self.filter.hosts()
    }

    fn exemptions(&self) -> Vec<Exemption> {
        self.filter.exemptions()
    }

    fn pieces(&self, sender: usize, v6: bool, vocabulary: &mut Vocabulary) -> Result<Vec<Piece>, Unclear> {
        let part = self.part(sender)?;
        let pieces = self.filter.pieces(part.of, v6, vocabulary)?;
        let source = part.rewritten.iter().copied().find(|address| address.is_ipv6() == v6);
        match source {
            Some(source) => {
                pieces::rewritten(&pieces, &self.chains, source, vocabulary, &|to| self.with_address(source, to))
            }
            // Where nothing is rewritten anywhere, the filter may choose gateways as it likes.
            None if self.chains.is_empty() => Ok(pieces),
            None => pieces::untouched(pieces, vocabulary),
        }
    }

    /// By the filter's evaluator and then [`Chain::translate`], from the address of the flow's own workload.
    fn replay(&self, sender: usize, flow: &Flow) -> Result<Outcome, Unclear> {
        match self.filter.replay(self.part(sender)?.of, flow)? {
            Outcome::Dropped => return Ok(Outcome::Dropped),
            chosen if self.chains.is_empty() => return Ok(chosen),
            Outcome::Passes(None) => {}
            Outcome::Passes(Some(_)) | Outcome::Misrouted => return Err(pieces::routes_itself()),
        }
        let destination = flow.destination.address;
        let Some(source) = self.source(&flow.workload, destination.is_ipv6()) else { return Ok(Outcome::Passes(None)) };
        let mut found: Option<Outcome> = None;
        for to in self.chains.iter().filter_map(|chain| chain.translate(source, destination, flow.port)) {
            let outcome = self.with_address(source, to)?;
            if found.is_some_and(|found| found != outcome) {
                return Err(pieces::ambiguous());
            }
            found = Some(outcome);
        }
        Ok(found.unwrap_or(Outcome::Passes(None)))
    }
}

fn unclear(reason: impl Into<String>) -> Unclear {
    Unclear { reason: reason.into() }
}
