//! Sets: from written expressions to canonical, shared values.
//!
//! In: set expressions of the tree, with named sets lowered before those that use them. Out: ids of interned sets;
//! nothing where some part has been reported as an error, so that no half-understood set gets a meaning.

use super::LowerError;
use super::intern::Interner;
use super::workload;
use crate::Kind;
use crate::list::Lists;
use crate::names::{DeclarationId, Names};
use crate::source::Place;
use egress_ir::{
    AddressSet, Cluster, DestinationSet, DestinationSetId, HostPattern, PortSet, PortSetId, RangeSet, SourceId,
    WorkloadSet, WorkloadSetId, protocol,
};
use egress_lang::ast::{
    DSet, DestinationTerm, IcmpVersion, Item, Name, PSet, PortTerm, SetNode, Transport, WSet, WorkloadTerm,
};
use egress_lang::span::Span;
use egress_lang::value::Wildcard;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The sets of a program in the making.
pub(super) struct Sets<'a> {
    names: &'a Names<'a>,
    lists: &'a Lists,
    pub(super) workloads: Interner<WorkloadSetId, WorkloadSet>,
    pub(super) destinations: Interner<DestinationSetId, DestinationSet>,
    pub(super) ports: Interner<PortSetId, PortSet>,
    named_workloads: FxHashMap<DeclarationId, WorkloadSetId>,
    named_destinations: FxHashMap<DeclarationId, DestinationSetId>,
    named_ports: FxHashMap<DeclarationId, PortSetId>,
    listed: FxHashMap<usize, DestinationSetId>,
    any_port: PortSetId,
    world: AddressSet,
    private: AddressSet,
    pub(super) errors: Vec<LowerError>,
}

/// The parts of a destination set before they are made canonical.
#[derive(Default)]
struct Parts {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
    hosts: BTreeSet<HostPattern>,
}

impl Parts {
    fn range(&mut self, first: IpAddr, last: IpAddr) {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => self.v4.push((first.to_bits(), last.to_bits())),
            (IpAddr::V6(first), IpAddr::V6(last)) => self.v6.push((first.to_bits(), last.to_bits())),
            // INVARIANT: prefixes and written ranges are of one family.
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
    }

    fn set(&mut self, addresses: &AddressSet) {
        self.v4.extend_from_slice(addresses.v4.ranges());
        self.v6.extend_from_slice(addresses.v6.ranges());
    }

    fn addresses(self) -> AddressSet {
        AddressSet { v4: RangeSet::from_ranges(self.v4), v6: RangeSet::from_ranges(self.v6) }
    }
}

impl<'a> Sets<'a> {
    /// Lowers every named set, dependencies first.
    pub(super) fn new(names: &'a Names<'a>, lists: &'a Lists, cluster: &Cluster) -> Self {
        let mut ports = Interner::new();
        let any_port = ports.intern(PortSet::any());
        let mut sets = Self {
            names,
            lists,
            workloads: Interner::new(),
            destinations: Interner::new(),
            ports,
            named_workloads: FxHashMap::default(),
            named_destinations: FxHashMap::default(),
            named_ports: FxHashMap::default(),
            listed: FxHashMap::default(),
            any_port,
            world: cluster.inside.complement(),
            private: private(),
            errors: Vec::new(),
        };
        for &id in &names.order {
            sets.name(id);
        }
        sets
    }

    fn name(&mut self, id: DeclarationId) {
        let Some(declared) = self.names.declared.get(id) else { return };
        let source = declared.place.source;
        match declared.item {
            Item::Workloads(it) => {
                let set = self.workload_set(&it.set);
                self.named_workloads.extend(set.map(|set| (id, set)));
            }
            Item::Destinations(it) => {
                let set = self.destination_set(source, &it.set);
                self.named_destinations.extend(set.map(|set| (id, set)));
            }
            Item::Ports(it) => {
                let set = self.port_set(Some(&it.set));
                self.named_ports.extend(set.map(|set| (id, set)));
            }
            _ => {}
        }
    }

    /// The set that a declaration of workloads stands for.
    pub(super) fn declared_workloads(&self, id: DeclarationId) -> Option<WorkloadSetId> {
        self.named_workloads.get(&id).copied()
    }

    /// The set that a declaration of destinations stands for.
    pub(super) fn declared_destinations(&self, id: DeclarationId) -> Option<DestinationSetId> {
        self.named_destinations.get(&id).copied()
    }

    /// Whether a declaration of ports got a meaning.
    pub(super) fn declares_ports(&self, id: DeclarationId) -> bool {
        self.named_ports.contains_key(&id)
    }

    fn workloads_named(&self, name: &Name) -> Option<WorkloadSetId> {
        self.names.find(Kind::Workloads, &name.text).and_then(|id| self.declared_workloads(id))
    }

    fn destinations_named(&self, name: &Name) -> Option<DestinationSetId> {
        self.names.find(Kind::Destinations, &name.text).and_then(|id| self.declared_destinations(id))
    }

    /// A set of workloads.
    pub(super) fn workload_set(&mut self, set: &WSet) -> Option<WorkloadSetId> {
        if let SetNode::Term(WorkloadTerm::Name(name)) = &set.node {
            return self.workloads_named(name);
        }
        let set = self.workload_value(set)?;
        Some(self.workloads.intern(set))
    }

    /// The value of a workload set, for expressions of it.
    pub(super) fn workload_value(&self, set: &WSet) -> Option<WorkloadSet> {
        match &set.node {
            SetNode::Term(WorkloadTerm::Name(name)) => {
                self.workloads_named(name).and_then(|id| self.workloads.get(id)).cloned()
            }
            SetNode::Term(WorkloadTerm::All) => Some(WorkloadSet::All),
            SetNode::Term(WorkloadTerm::Pods(pods)) => workload::pods(pods).map(WorkloadSet::Pods),
            SetNode::Term(WorkloadTerm::Address(prefix)) => prefix.node.map(|p| WorkloadSet::Address(super::prefix(p))),
            SetNode::Union(sets) => {
                let sets: Option<Vec<WorkloadSet>> = sets.iter().map(|set| self.workload_value(set)).collect();
                sets.map(workload::union)
            }
            SetNode::Except { base, minus } => {
                let (base, minus) = (self.workload_value(base)?, self.workload_value(minus)?);
                Some(WorkloadSet::Except(Box::new(base), Box::new(minus)))
            }
            SetNode::Group(set) => self.workload_value(set),
            SetNode::Error => None,
        }
    }

    /// A set of destinations. A name or list alone is looked up rather than made again: it may hold 100,000 ranges.
    pub(super) fn destination_set(&mut self, source: SourceId, set: &DSet) -> Option<DestinationSetId> {
        match &set.node {
            SetNode::Term(DestinationTerm::Name(name)) => return self.destinations_named(name),
            SetNode::Term(DestinationTerm::List(list)) => {
                let selection = self.lists.find(source, list)?;
                if let Some(known) = self.listed.get(&selection) {
                    return Some(*known);
                }
                let addresses = self.lists.addresses(selection)?.clone();
                let id = self.destinations.intern(DestinationSet { addresses, hosts: BTreeSet::new() });
                self.listed.insert(selection, id);
                return Some(id);
            }
            _ => {}
        }
        let mut parts = Parts::default();
        let known = self.destination_parts(source, set, &mut parts);
        let hosts = std::mem::take(&mut parts.hosts);
        let set = DestinationSet { addresses: parts.addresses(), hosts };
        known.then(|| self.destinations.intern(set))
    }

    /// Adds the parts of a set; whether all of it was understood.
    fn destination_parts(&mut self, source: SourceId, set: &DSet, into: &mut Parts) -> bool {
        match &set.node {
            SetNode::Term(term) => self.destination_term(source, term, into).is_some(),
            SetNode::Union(sets) => {
                // Every part is visited, also after one that was not understood: each may hold an error of its own.
                let lost = sets.iter().filter(|set| !self.destination_parts(source, set, into)).count();
                lost == 0
            }
            SetNode::Except { base, minus } => self.difference(source, base, minus, into),
            SetNode::Group(set) => self.destination_parts(source, set, into),
            SetNode::Error => false,
        }
    }

    fn difference(&mut self, source: SourceId, base: &DSet, minus: &DSet, into: &mut Parts) -> bool {
        let (mut from, mut away) = (Parts::default(), Parts::default());
        let known = self.destination_parts(source, base, &mut from);
        let known = self.destination_parts(source, minus, &mut away) && known;
        let hosts = [base, minus].map(|set| self.first_host(set));
        for (subtracted, span) in [false, true].into_iter().zip(hosts) {
            if let Some((text, span)) = span {
                self.errors.push(LowerError::HostExcept { text, subtracted, place: Place::new(source, span) });
            }
        }
        if hosts_in(&from, &away) {
            return false;
        }
        into.set(&from.addresses().difference(&away.addresses()));
        known
    }

    /// The first host of a set, or name of a set that holds hosts, for an error to blame.
    fn first_host(&self, set: &DSet) -> Option<(String, Span)> {
        match &set.node {
            SetNode::Term(DestinationTerm::Host(host)) => {
                host.node.as_ref().map(|pattern| (format!("host {pattern}"), host.span))
            }
            SetNode::Term(DestinationTerm::Name(name)) => {
                let set = self.destinations_named(name).and_then(|id| self.destinations.get(id));
                set.filter(|set| !set.hosts.is_empty()).map(|_| (name.text.clone(), name.span))
            }
            SetNode::Term(_) | SetNode::Error => None,
            SetNode::Union(sets) => sets.iter().find_map(|set| self.first_host(set)),
            // A difference inside has been reported where it stands.
            SetNode::Except { .. } => None,
            SetNode::Group(set) => self.first_host(set),
        }
    }

    fn destination_term(&mut self, source: SourceId, term: &DestinationTerm, into: &mut Parts) -> Option<()> {
        match term {
            DestinationTerm::Name(name) => {
                let set = self.destinations_named(name).and_then(|id| self.destinations.get(id))?;
                into.set(&set.addresses);
                into.hosts.extend(set.hosts.iter().cloned());
            }
            DestinationTerm::Prefix(prefix) => {
                let prefix = super::prefix(prefix.node?);
                into.range(prefix.address(), prefix.last());
            }
            DestinationTerm::Range(range) => {
                let range = range.node?;
                into.range(range.first, range.last);
            }
            DestinationTerm::Host(host) => {
                let pattern = host.node.clone()?;
                into.hosts.insert(match pattern.wildcard {
                    Wildcard::None => HostPattern::Exact(pattern.name),
                    Wildcard::One => HostPattern::OneLabel(pattern.name),
                    Wildcard::Many => HostPattern::AnyLabels(pattern.name),
                });
            }
            DestinationTerm::List(list) => {
                let selection = self.lists.find(source, list)?;
                into.set(self.lists.addresses(selection)?);
            }
            DestinationTerm::World => into.set(&self.world),
            DestinationTerm::Private => into.set(&self.private),
        }
        Some(())
    }

    /// A set of ports; nothing written is every protocol and port.
    pub(super) fn port_set(&mut self, set: Option<&PSet>) -> Option<PortSetId> {
        let Some(set) = set else { return Some(self.any_port) };
        if let [term] = set.terms.as_slice()
            && let PortTerm::Name(name) = &term.node
        {
            return self.ports_named(name);
        }
        let parts: Option<Vec<PortSet>> = set.terms.iter().map(|term| self.port_term(&term.node)).collect();
        let ranges: Vec<(u32, u32)> = parts?.iter().flat_map(|part| part.line_ranges().iter().copied()).collect();
        let any_term = !set.terms.is_empty();
        any_term.then(|| self.ports.intern(PortSet::from_line_ranges(ranges)))
    }

    fn ports_named(&self, name: &Name) -> Option<PortSetId> {
        let id = self.names.find(Kind::Ports, &name.text)?;
        self.named_ports.get(&id).copied()
    }

    fn port_term(&self, term: &PortTerm) -> Option<PortSet> {
        match term {
            PortTerm::Name(name) => self.ports_named(name).and_then(|id| self.ports.get(id)).cloned(),
            PortTerm::Any => Some(PortSet::any()),
            PortTerm::Transport { protocol, ports } => {
                let number = match protocol {
                    Transport::Tcp => protocol::TCP,
                    Transport::Udp => protocol::UDP,
                    Transport::Sctp => protocol::SCTP,
                };
                Some(ports.map_or_else(|| PortSet::protocol(number), |p| PortSet::numbers(number, p.first, p.last)))
            }
            PortTerm::Icmp { version, kind } => {
                let number = match version {
                    IcmpVersion::V4 => protocol::ICMP,
                    IcmpVersion::V6 => protocol::ICMPV6,
                };
                Some(kind.map_or_else(|| PortSet::protocol(number), |kind| PortSet::icmp_type(number, kind)))
            }
            PortTerm::Error => None,
        }
    }
}

fn hosts_in(from: &Parts, away: &Parts) -> bool {
    !from.hosts.is_empty() || !away.hosts.is_empty()
}

/// What `private` stands for.
pub(crate) fn private() -> AddressSet {
    AddressSet::private()
}
