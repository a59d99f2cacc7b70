//! Policies, guardrails, their rules, and the workloads they speak about.

use super::{Builder, pods};
use egress_ir::{Action, Block, BlockId, BlockKind, GatewayId, Id, PortSet, Prefix, Rule, WorkloadSet, WorkloadSetId};
use std::net::IpAddr;

/// Sources without an identity; some lie within each other.
const SOURCES: [(&str, u8); 7] = [
    ("10.9.0.0", 24),
    ("10.9.0.0", 28),
    ("10.9.0.15", 32),
    ("10.9.1.0", 24),
    ("0.0.0.0", 0),
    ("fd00:9::", 64),
    ("fd00:9::1", 128),
];

impl Builder<'_> {
    pub(super) fn add_blocks(&mut self) {
        for number in 1..=self.rng.between(*self.shape.blocks.start(), *self.shape.blocks.end()) {
            let guardrail = self.shape.guardrails && self.rng.chance(25);
            let kind = if guardrail { BlockKind::Guardrail } else { BlockKind::Policy };
            let name = if guardrail { format!("guard-{number}") } else { format!("policy-{number}") };
            self.add_block(name, kind);
        }
    }

    fn add_block(&mut self, name: String, kind: BlockKind) {
        let set = self.workload_set(2);
        let workloads = self.workloads_id(set);
        let origin = self.origin(&name);
        if self.rng.chance(50)
            && let Some(origin) = self.program.origins.entries.get_mut(origin)
        {
            origin.owner = Some(format!("team-{}", name.len()));
        }
        let audit = self.shape.audit && self.rng.chance(15);
        let block = Block { name: name.clone(), kind, workloads, audit, rules: Vec::new(), origin };
        let id = self.program.blocks.push(block);
        let least = u64::from(kind == BlockKind::Guardrail);
        let count = self.rng.between(*self.shape.rules.start(), *self.shape.rules.end()).max(least);
        for number in 1..=count {
            self.add_rule(id, kind, &format!("{name}#{number}"));
        }
    }

    /// The set's id, under a name of its own in some programs.
    fn workloads_id(&mut self, set: WorkloadSet) -> WorkloadSetId {
        let id = self.program.intern_workloads(set);
        if self.rng.chance(40) {
            self.program.workload_names.insert(format!("set-{}", id.index()), id);
        }
        id
    }

    fn add_rule(&mut self, block: BlockId, kind: BlockKind, name: &str) {
        let deny = kind == BlockKind::Guardrail || self.rng.chance(25);
        let action = if deny { Action::Deny } else { Action::Allow };
        let destinations = self.destination_set(deny);
        let mut ports = self.port_set();
        let gateway = if deny { None } else { self.gateway() };
        let gateway = gateway.filter(|_| self.shape.fine_gateways || destinations.hosts.is_empty());
        if gateway.is_some() && !self.shape.fine_gateways {
            ports = PortSet::any();
        }
        let origin = self.origin(name);
        if let Some(origin) = self.program.origins.entries.get_mut(origin) {
            origin.because = self.rng.chance(30).then(|| "it is needed \"so\" – for now".to_owned());
            origin.ticket = self.rng.chance(30).then(|| format!("SEC-{}", self.line));
        }
        let log = self.shape.log && self.rng.chance(15);
        let destinations = self.program.intern_destinations(destinations);
        let ports = self.program.intern_ports(ports);
        let rule = self.program.rules.push(Rule { block, action, destinations, ports, gateway, log, origin });
        if let Some(block) = self.program.blocks.get_mut(block) {
            block.rules.push(rule);
        }
    }

    fn gateway(&mut self) -> Option<GatewayId> {
        let ids: Vec<GatewayId> = self.program.gateways.ids().collect();
        if self.rng.chance(35) { self.rng.choose(&ids).copied() } else { None }
    }

    /// A random set of workloads, nested at most `depth` deep.
    fn workload_set(&mut self, depth: u8) -> WorkloadSet {
        let nested = depth > 0;
        match self.rng.between(0, 99) {
            0..20 if self.shape.all => WorkloadSet::All,
            20..30 if self.shape.addresses => self.source_range(),
            30..42 if nested => {
                let least = u64::from(!self.shape.empty_sets || !self.rng.chance(5));
                let count = self.rng.between(least, 3);
                WorkloadSet::Union((0..count).map(|_| self.workload_set(depth - 1)).collect())
            }
            42..52 if nested && self.shape.excepts => {
                let (set, out) = (self.workload_set(depth - 1), self.workload_set(depth - 1));
                WorkloadSet::Except(Box::new(set), Box::new(out))
            }
            _ if self.shape.pods => WorkloadSet::Pods(pods::random_selector(self.rng)),
            _ if self.shape.addresses => self.source_range(),
            _ => WorkloadSet::All,
        }
    }

    fn source_range(&mut self) -> WorkloadSet {
        let families: Vec<_> = SOURCES.into_iter().filter(|(text, _)| self.shape.v6 || !text.contains(':')).collect();
        let (text, length) = self.rng.choose(&families).copied().unwrap_or(("10.9.0.0", 24));
        let address = text.parse().unwrap_or(IpAddr::from([10, 9, 0, 0]));
        WorkloadSet::Address(Prefix::containing(address, length))
    }
}
