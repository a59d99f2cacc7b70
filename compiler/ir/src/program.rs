//! The program: what a unit of `.egress` files means, with every name resolved.

use crate::address::{AddressSet, Prefix};
use crate::arena::{
    Arena, AssertionId, BlockId, ControlId, DestinationSetId, GatewayId, OriginId, PortSetId, RuleId, WorkloadSetId,
};
use crate::host::HostPattern;
use crate::origin::Origins;
use crate::port::PortSet;
use crate::workload::{Selector, WorkloadSet};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The one meaning that checker, prover and every backend share. Order within the arenas never matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// What is inside; flows to it are not governed.
    pub cluster: Cluster,
    /// Workload sets; equal sets have one id.
    pub workload_sets: Arena<WorkloadSetId, WorkloadSet>,
    /// Destination sets; equal sets have one id.
    pub destination_sets: Arena<DestinationSetId, DestinationSet>,
    /// Port sets; equal sets have one id.
    pub port_sets: Arena<PortSetId, PortSet>,
    /// Gateways that rules may name.
    pub gateways: Arena<GatewayId, Gateway>,
    /// Policies and guardrails.
    pub blocks: Arena<BlockId, Block>,
    /// The rules of all blocks.
    pub rules: Arena<RuleId, Rule>,
    /// What must be provable.
    pub assertions: Arena<AssertionId, Assertion>,
    /// Groups of assertions for evidence.
    pub controls: Arena<ControlId, Control>,
    /// The declared workload sets by name.
    pub workload_names: BTreeMap<String, WorkloadSetId>,
    /// The declared destination sets by name.
    pub destination_names: BTreeMap<String, DestinationSetId>,
    /// Where everything was written.
    pub origins: Origins,
}

/// The cluster's own ranges; all empty on a plain host or gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The declared name; nothing when no cluster is declared.
    pub name: Option<String>,
    /// Addresses of pods.
    pub pods: AddressSet,
    /// Virtual addresses of services.
    pub services: AddressSet,
    /// Addresses of nodes.
    pub nodes: AddressSet,
    /// The pods that resolve names for others.
    pub dns: Option<WorkloadSetId>,
    /// The union of the three ranges: everything that is not governed. Kept by [`Cluster::new`].
    pub inside: AddressSet,
}

impl Cluster {
    /// A cluster with these ranges and no resolver.
    #[must_use]
    pub fn new(name: Option<String>, pods: AddressSet, services: AddressSet, nodes: AddressSet) -> Self {
        let inside = pods.union(&services).union(&nodes);
        Self { name, pods, services, nodes, dns: None, inside }
    }

    /// Whether a destination is inside, and so not governed.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.inside.contains(address)
    }
}

/// A set of destinations: an address matches by `addresses`, a name by `hosts`; either suffices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DestinationSet {
    /// Addresses that match whatever name they were learned by.
    pub addresses: AddressSet,
    /// Names that match whatever address they resolve to.
    pub hosts: BTreeSet<HostPattern>,
}

/// Where chosen traffic leaves, and the source addresses that others see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The declared name.
    pub name: String,
    /// The nodes it may run on; nothing when none are named.
    pub nodes: Option<Selector>,
    /// The source addresses.
    pub addresses: Vec<GatewayAddress>,
    /// Where it was written.
    pub origin: OriginId,
}

/// A source address of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GatewayAddress {
    /// The address.
    pub address: IpAddr,
    /// Whether the enforcing plane brings it up and moves it, rather than somebody by hand.
    pub managed: bool,
}

/// A policy or a guardrail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The declared name, unique among policies and guardrails.
    pub name: String,
    /// Whether it governs or only forbids.
    pub kind: BlockKind,
    /// The workloads it speaks about.
    pub workloads: WorkloadSetId,
    /// `mode audit`: left out of the decision; where it would differ, the flow is logged.
    pub audit: bool,
    /// Its rules, in the order in which they were written (which never matters).
    pub rules: Vec<RuleId>,
    /// Where it was written, with its owner.
    pub origin: OriginId,
}

/// What a block does to its workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockKind {
    /// Governs: what no policy allows its workloads is denied.
    Policy,
    /// Forbids: its denies hold, but it does not put its workloads under default deny.
    Guardrail,
}

/// One allow or deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The block it stands in.
    pub block: BlockId,
    /// Allow or deny; a guardrail holds denies only.
    pub action: Action,
    /// The destinations it matches.
    pub destinations: DestinationSetId,
    /// The ports it matches.
    pub ports: PortSetId,
    /// `via`: the gateway through which allowed flows leave; only on allows.
    pub gateway: Option<GatewayId>,
    /// `log`: asks for an audit record of matching flows.
    pub log: bool,
    /// Where it was written, with owner, reason, ticket and last day.
    pub origin: OriginId,
}

/// What a rule does to the flows it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Lets them pass, unless some deny matches too.
    Allow,
    /// Stops them, whoever allows them.
    Deny,
}

/// A statement that must be provable of every flow of its sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Which of the five forms.
    pub claim: Claim,
    /// The left side.
    pub workloads: WorkloadSetId,
    /// The right side.
    pub destinations: DestinationSetId,
    /// `on`; every port when nothing was written.
    pub ports: PortSetId,
    /// The control it belongs to.
    pub control: Option<ControlId>,
    /// Where it was written, with its reason.
    pub origin: OriginId,
}

/// The five forms of an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Claim {
    /// `W cannot reach D`: each flow is denied.
    CannotReach,
    /// `W can reach D`: each flow is allowed.
    CanReach,
    /// `only W can reach D`: each allowed flow into D comes from W.
    OnlyCanReach,
    /// `W can reach only D`: each allowed flow of W ends in D.
    CanReachOnly,
    /// `W can reach D only via G`: each allowed flow leaves through G.
    OnlyVia(GatewayId),
}

/// A named group of assertions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The identifier, such as `PCI-DSS 1.3.2`.
    pub id: String,
    /// The title.
    pub title: String,
    /// Its assertions.
    pub assertions: Vec<AssertionId>,
    /// Where it was written.
    pub origin: OriginId,
}

impl Program {
    /// The workloads of a block.
    #[must_use]
    pub fn workloads_of(&self, block: &Block) -> &WorkloadSet {
        self.workload_sets.at(block.workloads)
    }

    /// The program as it would be if its audit-mode blocks were enforced.
    #[must_use]
    pub fn with_audit_enforced(&self) -> Self {
        let mut enforced = self.clone();
        for id in self.blocks.ids() {
            if let Some(block) = enforced.blocks.get_mut(id) {
                block.audit = false;
            }
        }
        enforced
    }

    /// The program as a filter has it that leaves source addresses to others: no rule names a gateway.
    #[must_use]
    pub fn without_gateways(&self) -> Self {
        let mut filtering = self.clone();
        for id in self.rules.ids() {
            if let Some(rule) = filtering.rules.get_mut(id) {
                rule.gateway = None;
            }
        }
        filtering
    }

    /// The stable name of a rule: its block's name and its number from 1, such as `shop#2`.
    #[must_use]
    pub fn rule_name(&self, rule: RuleId) -> &str {
        &self.origins.entries.at(self.rules.at(rule).origin).name
    }

    /// The id of a workload set, added if no equal one is there. Takes time linear in the number of sets.
    pub fn intern_workloads(&mut self, set: WorkloadSet) -> WorkloadSetId {
        find_or_push(&mut self.workload_sets, set)
    }

    /// The id of a destination set, added if no equal one is there. Takes time linear in the number of sets.
    pub fn intern_destinations(&mut self, set: DestinationSet) -> DestinationSetId {
        find_or_push(&mut self.destination_sets, set)
    }

    /// The id of a port set, added if no equal one is there. Takes time linear in the number of sets.
    pub fn intern_ports(&mut self, set: PortSet) -> PortSetId {
        find_or_push(&mut self.port_sets, set)
    }
}

impl DestinationSet {
    /// A set of addresses without names.
    #[must_use]
    pub fn of_prefixes(prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        Self { addresses: AddressSet::from_prefixes(prefixes), hosts: BTreeSet::new() }
    }
}

fn find_or_push<I: crate::arena::Id, T: PartialEq>(arena: &mut Arena<I, T>, entry: T) -> I {
    let known = arena.iter().find(|(_, known)| **known == entry).map(|(id, _)| id);
    known.unwrap_or_else(|| arena.push(entry))
}
