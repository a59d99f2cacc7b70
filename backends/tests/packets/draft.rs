//! Small policies, put together as the compiler would lower them.
//!
//! In: a few lines per policy. Out: the file that `emit` writes for them.

use egress_backends::nftables::{Options, emit};
use egress_ir::{
    Action, AddressSet, Block, BlockId, BlockKind, Cluster, DestinationSet, Gateway, GatewayAddress, GatewayId,
    HostPattern, Inventory, Labels, NamespaceSelector, Operator, Origin, OriginId, Pod, PodSelector, PortSet, Prefix,
    Program, Requirement, Rule, RuleId, RunningPod, Selector, SourceId, WorkloadSet,
};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A program and the pods it speaks about.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) program: Program,
    pub(crate) inventory: Inventory,
    source: SourceId,
}

impl Draft {
    /// A cluster with pods in 10.42.0.0/16 and fd00:10:42::/48, services in 10.43.0.0/16.
    pub(crate) fn in_cluster() -> Self {
        let mut draft = Self::on_host();
        let pods = addresses(&["10.42.0.0/16", "fd00:10:42::/48"]);
        let (services, nodes) = (addresses(&["10.43.0.0/16"]), addresses(&["192.0.2.1/32"]));
        draft.program.cluster = Cluster::new(Some("lab".to_owned()), pods, services, nodes);
        draft
    }

    /// A host or gateway without Kubernetes.
    pub(crate) fn on_host() -> Self {
        let mut program = Program::default();
        let source = program.origins.sources.push("lab.egress".to_owned());
        Self { program, inventory: Inventory::default(), source }
    }

    /// A running pod with the label `app`.
    pub(crate) fn pod(&mut self, app: &str, addresses: &[&str]) {
        let labels = Labels::from([("app".to_owned(), app.to_owned())]);
        let name = Some(format!("{app}-{}", self.inventory.pods.len()));
        let identity = Pod { namespace: "shop".to_owned(), name, labels, ..Pod::default() };
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.inventory.pods.push(RunningPod { identity, addresses, node: None, host_network: false });
    }

    pub(crate) fn policy(&mut self, name: &str, workloads: WorkloadSet) -> BlockId {
        self.block(name, BlockKind::Policy, workloads)
    }

    pub(crate) fn guardrail(&mut self, name: &str, workloads: WorkloadSet) -> BlockId {
        self.block(name, BlockKind::Guardrail, workloads)
    }

    fn block(&mut self, name: &str, kind: BlockKind, workloads: WorkloadSet) -> BlockId {
        let workloads = self.program.intern_workloads(workloads);
        let origin = self.origin(name);
        let block = Block { name: name.to_owned(), kind, workloads, audit: false, rules: Vec::new(), origin };
        self.program.blocks.push(block)
    }

    pub(crate) fn allow(&mut self, block: BlockId, to: &[&str], ports: PortSet) {
        self.rule(block, Action::Allow, addresses(to), ports);
    }

    pub(crate) fn deny(&mut self, block: BlockId, to: &[&str], ports: PortSet) {
        self.rule(block, Action::Deny, addresses(to), ports);
    }

    /// An allow of names.
    pub(crate) fn allow_hosts(&mut self, block: BlockId, hosts: BTreeSet<HostPattern>, ports: PortSet) {
        let rule = self.rule(block, Action::Allow, AddressSet::empty(), ports);
        let destinations = DestinationSet { addresses: AddressSet::empty(), hosts };
        let destinations = self.program.intern_destinations(destinations);
        self.program.rules.get_mut(rule).unwrap().destinations = destinations;
    }

    /// An allow through a gateway, if one is given.
    pub(crate) fn allow_via(&mut self, block: BlockId, to: &[&str], ports: PortSet, gateway: Option<GatewayId>) {
        let rule = self.rule(block, Action::Allow, addresses(to), ports);
        self.program.rules.get_mut(rule).unwrap().gateway = gateway;
    }

    /// A gateway, held by one of these nodes or by all.
    pub(crate) fn gateway(&mut self, name: &str, nodes: Option<Selector>, addresses: &[IpAddr]) -> GatewayId {
        let origin = self.origin(name);
        let addresses = addresses.iter().map(|&address| GatewayAddress { address, managed: false }).collect();
        self.program.gateways.push(Gateway { name: name.to_owned(), nodes, addresses, origin })
    }

    pub(crate) fn rule(&mut self, block: BlockId, action: Action, addresses: AddressSet, ports: PortSet) -> RuleId {
        let number = self.program.blocks.at(block).rules.len() + 1;
        let name = format!("{}#{number}", self.program.blocks.at(block).name);
        let origin = self.origin(&name);
        let destinations = self.program.intern_destinations(DestinationSet { addresses, hosts: BTreeSet::new() });
        let ports = self.program.intern_ports(ports);
        let rule = Rule { block, action, destinations, ports, gateway: None, log: false, origin };
        let rule = self.program.rules.push(rule);
        self.program.blocks.get_mut(block).unwrap().rules.push(rule);
        rule
    }

    fn origin(&mut self, name: &str) -> OriginId {
        self.program.origins.entries.push(Origin::at(name, self.source, 0, 1, 1))
    }

    /// The file for these options.
    pub(crate) fn file(&self, options: &Options) -> String {
        let artifact = emit(&self.program, Some(&self.inventory), options).unwrap();
        String::from_utf8(artifact.bytes).unwrap()
    }
}

/// Pods with this label `app`.
pub(crate) fn app(name: &str) -> WorkloadSet {
    let values = BTreeSet::from([name.to_owned()]);
    let labels = Selector(vec![Requirement { key: "app".to_owned(), operator: Operator::In(values) }]);
    WorkloadSet::Pods(PodSelector { labels, namespace: NamespaceSelector::Any, service_account: None })
}

/// Sources that are known by address alone.
pub(crate) fn source(prefix: &str) -> WorkloadSet {
    WorkloadSet::Address(parse(prefix))
}

/// The union of prefixes, each as `ADDRESS/LENGTH`.
pub(crate) fn addresses(prefixes: &[&str]) -> AddressSet {
    AddressSet::from_prefixes(prefixes.iter().map(|text| parse(text)))
}

fn parse(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix::containing(address.parse().unwrap(), length.parse().unwrap())
}

/// One TCP port.
pub(crate) fn tcp(port: u16) -> PortSet {
    PortSet::numbers(egress_ir::protocol::TCP, port, port)
}

/// One UDP port.
pub(crate) fn udp(port: u16) -> PortSet {
    PortSet::numbers(egress_ir::protocol::UDP, port, port)
}
