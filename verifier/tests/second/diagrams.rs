//! Decisions of one sender as binary decision diagrams over address bits, protocol, number and names.
//!
//! In: programs, a workload, a family. Out: for each outcome the diagram of the flows that have it. Shares nothing with
//! the verifier: names, gateways and the four rules are read anew.

use biodivine_lib_bdd::{Bdd, BddNode, BddPointer, BddVariable, BddVariableSet};
use egress_ir::{
    Action, AddressSet, Block, BlockKind, Gateway, HostPattern, PortSet, Program, Rule, Workload, protocol,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What happens to a flow; gateways by what they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Dropped,
    Passes(Option<String>),
}

/// The variables of flows to one family: the address from the highest bit, 8 bits of protocol, 16 of number, and one
/// for each kind of name.
pub(crate) struct Space {
    v6: bool,
    variables: BddVariableSet,
    /// The patterns that programs name, and which of them a name of each kind matches.
    patterns: Vec<HostPattern>,
    kinds: Vec<Vec<bool>>,
    /// Diagrams that were made before: the senders of a unit share their rules.
    known: RefCell<HashMap<Question, Bdd>>,
}

/// What rules match.
type Question = (AddressSet, BTreeSet<HostPattern>, PortSet);

impl Space {
    pub(crate) fn new(v6: bool, programs: &[&Program]) -> Self {
        let sets = programs.iter().flat_map(|program| program.destination_sets.values());
        let patterns: BTreeSet<HostPattern> = sets.flat_map(|set| set.hosts.iter().cloned()).collect();
        let patterns: Vec<HostPattern> = patterns.into_iter().collect();
        let kinds = kinds(&patterns);
        let count = usize::from(Self::bits(v6)) + 24 + kinds.len();
        let variables = BddVariableSet::new_anonymous(u16::try_from(count).unwrap());
        Self { v6, variables, patterns, kinds, known: RefCell::default() }
    }

    fn bits(v6: bool) -> u16 {
        if v6 { 128 } else { 32 }
    }

    /// For each outcome the flows of the workload that have it; together all flows, none twice.
    pub(crate) fn decide(&self, program: &Program, workload: &Workload) -> BTreeMap<What, Bdd> {
        let speaking: Vec<&Block> = program
            .blocks
            .values()
            .filter(|block| !block.audit && program.workloads_of(block).contains(workload))
            .collect();
        let governed = speaking.iter().any(|block| block.kind == BlockKind::Policy);
        let (mut denied, mut allowed) = (self.none(), self.none());
        let mut routed: BTreeMap<String, Bdd> = BTreeMap::new();
        for rule in speaking.iter().flat_map(|block| &block.rules).map(|&id| program.rules.at(id)) {
            let flows = self.matches(program, rule);
            match rule.action {
                Action::Deny => denied = denied.or(&flows),
                Action::Allow => allowed = allowed.or(&flows),
            }
            if let Some(id) = rule.gateway.filter(|_| rule.action == Action::Allow) {
                let known = routed.entry(key(program.gateways.at(id))).or_insert_with(|| self.none());
                *known = known.or(&flows);
            }
        }
        let inside = self.addresses(&program.cluster.inside);
        let open = self.possible().and_not(&inside);
        let mut found =
            BTreeMap::from([(What::Dropped, self.none()), (What::Passes(None), self.possible().and(&inside))]);
        let mut add = |what: What, flows: Bdd| {
            let known = found.entry(what).or_insert_with(|| self.none());
            *known = known.or(&flows);
        };
        add(What::Dropped, open.and(&denied));
        let open = open.and_not(&denied);
        if !governed {
            add(What::Passes(None), open);
            return found;
        }
        add(What::Dropped, open.and_not(&allowed));
        let open = open.and(&allowed);
        let mut plain = open.clone();
        for (gateway, flows) in &routed {
            let others = routed.iter().filter(|(other, _)| *other != gateway);
            let others = others.fold(self.none(), |sum, (_, flows)| sum.or(flows));
            add(What::Passes(Some(gateway.clone())), open.and(flows).and_not(&others));
            add(What::Dropped, open.and(flows).and(&others));
            plain = plain.and_not(flows);
        }
        add(What::Passes(None), plain);
        found
    }

    /// Flows that packets can have.
    pub(crate) fn possible(&self) -> Bdd {
        let (own, foreign) =
            if self.v6 { (protocol::ICMPV6, protocol::ICMP) } else { (protocol::ICMP, protocol::ICMPV6) };
        let zero = (0..16).fold(self.all(), |zero, bit| zero.and(&self.literal(self.number_bit(bit), false)));
        let numbered = [protocol::TCP, protocol::UDP, protocol::SCTP, own];
        let numbered = numbered.into_iter().fold(self.none(), |sum, number| sum.or(&self.protocol(number)));
        numbered.or(&zero).and_not(&self.protocol(foreign))
    }

    pub(crate) fn all(&self) -> Bdd {
        self.variables.mk_true()
    }

    pub(crate) fn none(&self) -> Bdd {
        self.variables.mk_false()
    }

    /// Flows to these addresses.
    pub(crate) fn addresses(&self, set: &AddressSet) -> Bdd {
        let ranges: Vec<(u128, u128)> = match self.v6 {
            true => set.v6.ranges().to_vec(),
            false => set.v4.ranges().iter().map(|&(first, last)| (first.into(), last.into())).collect(),
        };
        self.ranges(0, Self::bits(self.v6), &ranges)
    }

    /// Flows on these ports.
    pub(crate) fn ports(&self, set: &PortSet) -> Bdd {
        let ranges: Vec<(u128, u128)> =
            set.line_ranges().iter().map(|&(first, last)| (first.into(), last.into())).collect();
        self.ranges(Self::bits(self.v6), 24, &ranges)
    }

    /// Flows to destinations with these names and no others.
    pub(crate) fn exactly_named(&self, names: &[String]) -> Bdd {
        let of = |name: &String| self.patterns.iter().map(|pattern| pattern.matches(name)).collect::<Vec<bool>>();
        let own: BTreeSet<Vec<bool>> = names.iter().map(of).collect();
        let kinds = self.kinds.iter().enumerate();
        kinds
            .fold(self.all(), |all, (kind, matched)| all.and(&self.literal(self.name_bit(kind), own.contains(matched))))
    }

    /// Flows that are in the set under some names.
    pub(crate) fn whatever_named(&self, flows: &Bdd) -> Bdd {
        flows.exists(&(0..self.kinds.len()).map(|kind| self.name_bit(kind)).collect::<Vec<_>>())
    }

    fn matches(&self, program: &Program, rule: &Rule) -> Bdd {
        let set = program.destination_sets.at(rule.destinations);
        let ports = program.port_sets.at(rule.ports);
        let question = (set.addresses.clone(), set.hosts.clone(), ports.clone());
        if let Some(known) = self.known.borrow().get(&question) {
            return known.clone();
        }
        let mut destinations = self.addresses(&set.addresses);
        for (kind, matched) in self.kinds.iter().enumerate() {
            let by_name = self.patterns.iter().zip(matched).any(|(pattern, hit)| *hit && set.hosts.contains(pattern));
            if by_name {
                destinations = destinations.or(&self.literal(self.name_bit(kind), true));
            }
        }
        let flows = destinations.and(&self.ports(ports));
        self.known.borrow_mut().insert(question, flows.clone());
        flows
    }

    fn protocol(&self, number: u8) -> Bdd {
        let from = u128::from(number) << 16;
        self.ranges(Self::bits(self.v6), 24, &[(from, from | 0xffff)])
    }

    fn number_bit(&self, bit: u16) -> BddVariable {
        BddVariable::from_index(usize::from(Self::bits(self.v6) + 8 + bit))
    }

    fn name_bit(&self, kind: usize) -> BddVariable {
        BddVariable::from_index(usize::from(Self::bits(self.v6) + 24) + kind)
    }

    fn literal(&self, variable: BddVariable, value: bool) -> Bdd {
        self.variables.mk_literal(variable, value)
    }

    /// The number in the bits from `first` on lies in one of the ranges.
    fn ranges(&self, first: u16, bits: u16, ranges: &[(u128, u128)]) -> Bdd {
        let mut parts: Vec<Bdd> = ranges
            .iter()
            .map(|&(from, to)| {
                let up_to = self.at_most(first, bits, to);
                from.checked_sub(1).map_or(up_to.clone(), |before| up_to.and_not(&self.at_most(first, bits, before)))
            })
            .collect();
        // Joined in pairs, so that large unions stay cheap.
        while parts.len() > 1 {
            parts = parts
                .chunks(2)
                .map(|pair| pair.iter().skip(1).fold(pair[0].clone(), |sum, part| sum.or(part)))
                .collect();
        }
        parts.pop().unwrap_or_else(|| self.none())
    }

    /// The number is not greater: one node a bit, from the lowest.
    fn at_most(&self, first: u16, bits: u16, limit: u128) -> Bdd {
        let count = self.variables.num_vars();
        let mut nodes = vec![BddNode::mk_zero(count), BddNode::mk_one(count)];
        let mut rest = BddPointer::one();
        for bit in 0..bits {
            let variable = BddVariable::from_index(usize::from(first + bits - 1 - bit));
            let (low, high) = match limit >> bit & 1 {
                1 => (BddPointer::one(), rest),
                _ => (rest, BddPointer::zero()),
            };
            if low != high {
                nodes.push(BddNode::mk_node(variable, low, high));
                rest = BddPointer::from_index(nodes.len() - 1);
            }
        }
        Bdd::from_nodes(&nodes).unwrap()
    }
}

/// What a gateway is.
fn key(gateway: &Gateway) -> String {
    let addresses: BTreeSet<_> = gateway.addresses.iter().collect();
    format!("{} {:?} {addresses:?}", gateway.name, gateway.nodes)
}

/// The gateway of an outcome that names it by an id.
pub(crate) fn what(outcome: egress_ir::Outcome, gateways: &BTreeMap<egress_ir::GatewayId, Gateway>) -> What {
    match outcome {
        egress_ir::Outcome::Dropped => What::Dropped,
        egress_ir::Outcome::Passes(gateway) => What::Passes(gateway.map(|id| key(&gateways[&id]))),
        egress_ir::Outcome::Misrouted => panic!("no program sends flows out with a foreign address"),
    }
}

/// Which patterns one name can match together, found by trying every name that is made of labels of the patterns, or
/// another, before every suffix of one.
fn kinds(patterns: &[HostPattern]) -> Vec<Vec<bool>> {
    let mut labels = BTreeSet::from(["fresh".to_owned()]);
    let mut names: BTreeSet<String> = BTreeSet::new();
    for pattern in patterns {
        let (HostPattern::Exact(name) | HostPattern::OneLabel(name) | HostPattern::AnyLabels(name)) = pattern;
        labels.extend(name.split('.').map(str::to_owned));
        let starts = name.match_indices('.').map(|(at, _)| at + 1).chain([0]);
        names.extend(starts.map(|at| name[at..].to_owned()));
    }
    let mut longer = names.clone();
    for _ in 0..2 {
        longer = longer.iter().flat_map(|name| labels.iter().map(move |label| format!("{label}.{name}"))).collect();
        names.extend(longer.iter().cloned());
    }
    let of = |name: &String| patterns.iter().map(|pattern| pattern.matches(name)).collect::<Vec<bool>>();
    let found: BTreeSet<Vec<bool>> = names.iter().map(of).filter(|matched| matched.contains(&true)).collect();
    found.into_iter().collect()
}
