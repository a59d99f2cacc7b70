//! Small programs, built by hand.

use egress_ir::{
    Action, AddressSet, Block, BlockId, BlockKind, Cluster, DestinationSet, Gateway, GatewayAddress, GatewayId,
    HostPattern, NamespaceSelector, Operator, Origin, OriginId, PodSelector, PortSet, Prefix, Program, Requirement,
    Rule, RuleId, Selector, SourceId, WorkloadSet,
};

/// A program in the making.
pub(crate) struct Unit {
    pub(crate) program: Program,
    source: SourceId,
    line: u32,
}

/// `10.0.0.0/8`.
pub(crate) fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').expect("a prefix");
    Prefix::containing(address.parse().expect("an address"), length.parse().expect("a length"))
}

/// Destinations by prefixes.
pub(crate) fn set(texts: &[&str]) -> DestinationSet {
    DestinationSet::of_prefixes(texts.iter().map(|text| prefix(text)))
}

/// The same, for reading beside [`except`].
pub(crate) fn prefixes(texts: &[&str]) -> DestinationSet {
    set(texts)
}

/// Destinations by prefixes, without others.
pub(crate) fn except(texts: &[&str], out: &[&str]) -> DestinationSet {
    let addresses = set(texts).addresses.difference(&set(out).addresses);
    DestinationSet { addresses, ..DestinationSet::default() }
}

/// Destinations by exact names.
pub(crate) fn host(names: &[&str]) -> DestinationSet {
    let hosts = names.iter().map(|name| HostPattern::Exact((*name).to_owned())).collect();
    DestinationSet { hosts, ..DestinationSet::default() }
}

/// Pods by labels, namespace and service account.
pub(crate) fn pods(labels: &[(&str, &[&str])], namespace: Option<&str>, account: Option<&str>) -> WorkloadSet {
    let requirement = |(key, values): &(&str, &[&str])| Requirement {
        key: (*key).to_owned(),
        operator: Operator::In(values.iter().map(|value| (*value).to_owned()).collect()),
    };
    WorkloadSet::Pods(PodSelector {
        labels: Selector(labels.iter().map(requirement).collect()),
        namespace: namespace.map_or(NamespaceSelector::Any, |name| NamespaceSelector::Named(name.to_owned())),
        service_account: account.map(str::to_owned),
    })
}

impl Unit {
    /// A unit with a cluster and a resolver.
    pub(crate) fn new() -> Self {
        let mut program = Program::default();
        let source = program.origins.sources.push("shop.egress".to_owned());
        let range = |texts: &[&str]| set(texts).addresses;
        let pods_range = range(&["10.42.0.0/16", "fd00:42::/56"]);
        program.cluster =
            Cluster::new(Some("prod".to_owned()), pods_range, range(&["10.43.0.0/16"]), range(&["192.168.10.0/24"]));
        let dns = pods(&[("k8s-app", &["kube-dns"])], Some("kube-system"), None);
        program.cluster.dns = Some(program.intern_workloads(dns));
        Self { program, source, line: 1 }
    }

    /// Everything outside the cluster.
    pub(crate) fn outside(&self) -> AddressSet {
        self.program.cluster.inside.complement()
    }

    fn origin(&mut self, name: String) -> OriginId {
        self.line += 1;
        self.program.origins.entries.push(Origin::at(name, self.source, 0, 1, self.line))
    }

    /// Gives a set a name.
    pub(crate) fn declare(&mut self, name: &str, set: DestinationSet) {
        let id = self.program.intern_destinations(set);
        self.program.destination_names.insert(name.to_owned(), id);
    }

    /// Adds a block.
    pub(crate) fn block(&mut self, kind: BlockKind, name: &str, workloads: WorkloadSet) -> BlockId {
        let workloads = self.program.intern_workloads(workloads);
        let origin = self.origin(name.to_owned());
        self.program.blocks.push(Block {
            name: name.to_owned(),
            kind,
            workloads,
            audit: false,
            rules: Vec::new(),
            origin,
        })
    }

    /// Adds a rule to a block.
    pub(crate) fn rule(&mut self, block: BlockId, action: Action, to: DestinationSet, ports: PortSet) -> RuleId {
        let destinations = self.program.intern_destinations(to);
        let ports = self.program.intern_ports(ports);
        let own = self.program.blocks.at(block);
        let name = format!("{}#{}", own.name, own.rules.len() + 1);
        let origin = self.origin(name);
        let rule = Rule { block, action, destinations, ports, gateway: None, log: false, origin };
        let id = self.program.rules.push(rule);
        self.program.blocks.get_mut(block).expect("a block").rules.push(id);
        id
    }

    /// Names the block's owner.
    pub(crate) fn owner(&mut self, block: BlockId, owner: &str) {
        let origin = self.program.blocks.at(block).origin;
        self.program.origins.entries.get_mut(origin).expect("an origin").owner = Some(owner.to_owned());
    }

    /// Gives a rule a reason and a ticket.
    pub(crate) fn because(&mut self, rule: RuleId, because: &str, ticket: &str) {
        let origin = self.program.rules.at(rule).origin;
        let origin = self.program.origins.entries.get_mut(origin).expect("an origin");
        (origin.because, origin.ticket) = (Some(because.to_owned()), Some(ticket.to_owned()));
    }

    /// Puts a block in audit mode.
    pub(crate) fn audit(&mut self, block: BlockId) {
        self.program.blocks.get_mut(block).expect("a block").audit = true;
    }

    /// Asks for a log.
    pub(crate) fn log(&mut self, rule: RuleId) {
        self.program.rules.get_mut(rule).expect("a rule").log = true;
    }

    /// Declares a gateway on the nodes of a zone of the same name.
    pub(crate) fn gateway(&mut self, name: &str, addresses: &[&str]) -> GatewayId {
        let origin = self.origin(name.to_owned());
        let address = |text: &&str| GatewayAddress { address: text.parse().expect("an address"), managed: false };
        let zone = Requirement { key: "egress-zone".to_owned(), operator: Operator::In([name.to_owned()].into()) };
        let nodes = Some(Selector(vec![zone]));
        let addresses = addresses.iter().map(address).collect();
        self.program.gateways.push(Gateway { name: name.to_owned(), nodes, addresses, origin })
    }

    /// Sends a rule through a gateway.
    pub(crate) fn via(&mut self, rule: RuleId, gateway: GatewayId) {
        self.program.rules.get_mut(rule).expect("a rule").gateway = Some(gateway);
    }
}
