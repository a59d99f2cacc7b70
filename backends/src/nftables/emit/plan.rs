//! The plan of a ruleset: which tables and chains there are and where they lead, before any text.
//!
//! In: a program that passed the capability check, and the inventory. Out: [`Plan`]. Everything that is equal is
//! there once: sources of one set of blocks share a policy, and equal tables and chains share a number.

use super::groups::{Groups, Kind, destinations, kind};
use super::intern::Interner;
use super::lookup::{Entry, Family, Held, Lookup, bridged};
use super::named::Hit;
use super::outcome::{Governance, Outcome};
use super::ports;
use super::sources::Sources;
use crate::gateways::Gateways;
use crate::target::EmitError;
use egress_ir::classes::PortCells;
use egress_ir::classes::segments::{Keys, Segment, sweep};
use egress_ir::{
    Action, AddressSet, BlockId, DestinationSetId, GatewayId, HostPattern, Point, PortSet, Program, RangeSet, RuleId,
};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::Rc;

/// A table's value for addresses that it says nothing about.
pub(super) const NOTHING: u32 = 0;

/// What the file will hold.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What is done to packets, by number.
    pub(super) outcomes: Interner<Outcome>,
    /// The patterns of names that have sets, sorted as they are written.
    pub(super) hosts: Vec<HostPattern>,
    /// Hits among names, first say first.
    pub(super) named: Interner<Vec<Hit>>,
    /// Port chains: port sets in order with what is done on each.
    pub(super) port_chains: Interner<Vec<PortCell>>,
    /// Exact tables, from destinations to port chains; value `n + 1` is chain `n`.
    pub(super) exact: Interner<Table>,
    /// What rules do: on which ports, and with which outcome.
    pub(super) rules: Vec<(PortSet, usize)>,
    /// The chains of buckets: rules in the order in which they are asked.
    pub(super) buckets: Interner<Vec<Entry>>,
    /// Tables of destinations.
    pub(super) directories: Vec<Directory>,
    /// The distinct policies.
    pub(super) policies: Interner<Policy>,
    /// Pods by address; value `n + 1` is policy `n`, [`NOTHING`] an ungoverned pod.
    pub(super) pods: BTreeMap<IpAddr, u32>,
    /// Address workloads, with values as for pods.
    pub(super) addresses: Table,
}

/// Sorted, disjoint segments of each family; [`NOTHING`] is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Table {
    pub(super) v4: Vec<Valued>,
    pub(super) v6: Vec<Valued>,
}

/// A segment of addresses with one value; both ends are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Valued {
    pub(super) start: u128,
    pub(super) end: u128,
    pub(super) value: u32,
}

/// Where rules hold, for each family.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    pub(super) v4: Lookup,
    pub(super) v6: Lookup,
}

impl Directory {
    pub(super) fn of(&self, family: Family) -> &Lookup {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

/// Ranges on the line of ports.
type Lines = Vec<(u32, u32)>;

/// What is done on some ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PortCell {
    pub(super) ports: PortSet,
    /// The hits that are asked before.
    pub(super) names: Option<usize>,
    pub(super) outcome: usize,
}

/// What is done to the packets of one class of sources.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Policy {
    /// The exact table, asked first, where there is one.
    pub(super) exact: Option<usize>,
    /// Directories in the order in which they are asked; a packet that one does not decide goes on to the next.
    pub(super) directories: Vec<usize>,
    /// Hits by ports, asked when none of these decides.
    pub(super) names: Vec<(PortSet, usize)>,
    /// The outcome when none decides.
    pub(super) default: usize,
}

/// Makes the plan, with sets for these patterns.
///
/// # Errors
/// What names would say that cannot be asked.
pub(super) fn plan(
    program: &Program,
    sources: &Sources,
    gateways: &Gateways,
    hosts: Vec<HostPattern>,
) -> Result<Plan, Vec<EmitError>> {
    let mut planner = Planner {
        program,
        gateways,
        inside: &program.cluster.inside,
        groups: Groups::new(program, &sources.classes),
        known_rules: HashMap::new(),
        known_kinds: HashMap::new(),
        known_directories: HashMap::new(),
        plan: Plan { hosts, ..Plan::default() },
        errors: Vec::new(),
        known: HashMap::new(),
        cells: PortCells::default(),
    };
    let policies: Vec<u32> = sources.classes.lists().map(|blocks| planner.policy(blocks)).collect();
    let value = |class: usize| policies.get(class).copied().unwrap_or(NOTHING);
    if !planner.errors.is_empty() {
        planner.errors.sort();
        planner.errors.dedup();
        return Err(planner.errors);
    }
    let mut plan = planner.plan;
    let table = |segments: &[Valued]| {
        let class = |segment: &Valued| usize::try_from(segment.value).unwrap_or(usize::MAX);
        said(segments.iter().map(|segment| Valued { value: value(class(segment)), ..*segment }))
    };
    plan.addresses = Table { v4: table(&sources.v4), v6: table(&sources.v6) };
    for (&address, &class) in &sources.pods {
        let own = value(class);
        // An ungoverned pod needs an entry only where its address alone would be governed.
        if own != NOTHING || sources.class_of(address).is_some_and(|class| value(class) != NOTHING) {
            plan.pods.insert(address, own);
        }
    }
    Ok(plan)
}

/// The rules of one class of sources.
#[derive(Debug, Default)]
pub(super) struct Class {
    /// Every rule of its blocks, audit mode included, sorted.
    pub(super) all: Vec<RuleId>,
    /// The enforced rules by table, in the order in which the tables are asked.
    tables: Vec<Vec<RuleId>>,
}

/// The destinations of a table's rules.
#[derive(Debug)]
struct Kinds {
    logged_denies: AddressSet,
    denies: AddressSet,
    logged_allows: AddressSet,
    allows: AddressSet,
}

pub(super) struct Planner<'p> {
    pub(super) program: &'p Program,
    pub(super) gateways: &'p Gateways,
    inside: &'p AddressSet,
    groups: Groups,
    /// The number of what a rule does; nothing where no packet can match it.
    known_rules: HashMap<RuleId, Option<usize>>,
    /// The destinations of tables.
    known_kinds: HashMap<Vec<RuleId>, Rc<Kinds>>,
    /// The tables that were made, if anything is in them.
    known_directories: HashMap<Vec<RuleId>, Option<usize>>,
    pub(super) plan: Plan,
    /// What cannot be said.
    pub(super) errors: Vec<EmitError>,
    /// Port chains by the rules that cover a segment, those that may match by name, and the outcome by default.
    known: HashMap<(Vec<RuleId>, Vec<RuleId>, usize), u32>,
    pub(super) cells: PortCells,
}

impl Planner<'_> {
    /// The value of the policy of a class of sources that these blocks speak about.
    fn policy(&mut self, blocks: &[BlockId]) -> u32 {
        let governance = Governance::new(self.program, blocks);
        let default = governance.outcome(self.program, self.gateways, &[]);
        let ungoverned = default.passes && default.audit.is_none();
        let default = self.plan.outcomes.number(default);
        let class = self.class(blocks, governance.governs());
        let by_name = self.by_name(&class, blocks);
        let together = self.seen_together(&class, &governance);
        let together = together.union(&self.changed_by_names(&class, &by_name, &governance));
        let excluded = together.complement().union(self.inside);
        let exact = match together.is_empty() {
            true => None,
            false => self.table((&class.all, &by_name), &excluded, &governance, default),
        };
        let directories: Vec<usize> = class.tables.iter().filter_map(|rules| self.directory(rules)).collect();
        let names = self.asked(&by_name, &governance);
        if exact.is_none() && directories.is_empty() && names.is_empty() && ungoverned {
            return NOTHING;
        }
        let number = self.plan.policies.number(Policy { exact, directories, names, default });
        u32::try_from(number).map_or(NOTHING, |number| number + 1)
    }

    /// What there is for a class: the denies of each shared group, all that is its own, the allows of shared groups.
    fn class(&self, blocks: &[BlockId], governs: bool) -> Class {
        let all = blocks.iter().flat_map(|block| self.program.blocks.at(*block).rules.iter().copied());
        let mut class = Class { all: all.collect(), ..Class::default() };
        class.all.sort_unstable();
        class.all.dedup();
        let numbers = self.groups.of(blocks);
        let groups = || numbers.iter().filter_map(|&number| self.groups.groups.get(number));
        let shared = || groups().filter(|group| group.is_shared);
        let mut own: Vec<RuleId> = groups()
            .filter(|group| !group.is_shared)
            .flat_map(|group| group.of(|kind| governs || kind.denies()))
            .collect();
        own.sort_unstable();
        class.tables.extend(shared().map(|group| group.of(Kind::denies)));
        class.tables.push(own);
        if governs {
            class.tables.extend(shared().map(|group| group.of(|kind| !kind.denies())));
        }
        class.tables.retain(|rules| !rules.is_empty());
        class
    }

    /// The table of these rules: what they do is the same for every class that they govern.
    fn directory(&mut self, rules: &[RuleId]) -> Option<usize> {
        if let Some(&known) = self.known_directories.get(rules) {
            return known;
        }
        let program = self.program;
        let (mut v4, mut v6): (Vec<Held>, Vec<Held>) = (Vec::new(), Vec::new());
        for &id in rules {
            let Some(said) = self.said(id) else { continue };
            let kind = kind(program, id);
            let addresses = &program.destination_sets.at(program.rules.at(id).destinations).addresses;
            let of_v4 = bridged(&addresses.v4, &self.inside.v4).into_iter();
            v4.extend(of_v4.map(|(start, end)| Held { start: start.into(), end: end.into(), kind, said }));
            let of_v6 = bridged(&addresses.v6, &self.inside.v6).into_iter();
            v6.extend(of_v6.map(|(start, end)| Held { start, end, kind, said }));
        }
        let is_empty = v4.is_empty() && v6.is_empty();
        let Plan { rules: done, buckets, directories, .. } = &mut self.plan;
        let ends = |said: usize| done.get(said).is_some_and(|(ports, _)| ports.is_any());
        let number = (!is_empty).then_some(directories.len());
        if !is_empty {
            let v4 = Lookup::new(v4, Family::V4, buckets, ends);
            directories.push(Directory { v4, v6: Lookup::new(v6, Family::V6, buckets, ends) });
        }
        self.known_directories.insert(rules.to_vec(), number);
        number
    }

    /// The number of what an enforced rule does.
    fn said(&mut self, id: RuleId) -> Option<usize> {
        if let Some(&known) = self.known_rules.get(&id) {
            return known;
        }
        let rule = self.program.rules.at(id);
        let ports = ports::possible(self.program.port_sets.at(rule.ports));
        let number = (!ports.is_empty()).then_some(self.plan.rules.len());
        if number.is_some() {
            let outcome = Governance::by_any_of(&[rule.block]).outcome(self.program, self.gateways, &[id]);
            self.plan.rules.push((ports, self.plan.outcomes.number(outcome)));
        }
        self.known_rules.insert(id, number);
        number
    }

    /// The destinations for which a class's tables, asked one by one, would not log what all its rules together ask
    /// for: those of audit-mode rules, those where an allow with `log` is cut by a deny without, those where an
    /// earlier table decides without a log that a later one asks for, and those where allows name different gateways.
    fn seen_together(&mut self, class: &Class, governance: &Governance) -> AddressSet {
        let program = self.program;
        let audited = class.all.iter().copied().filter(|rule| program.blocks.at(program.rules.at(*rule).block).audit);
        let mut together = destinations(program, audited);
        if !governance.governs() {
            // Nothing asks the tables of allows then, but a log is due all the same.
            let enforced =
                class.all.iter().copied().filter(|rule| !program.blocks.at(program.rules.at(*rule).block).audit);
            let logged = enforced.filter(|rule| kind(program, *rule) == Kind::LoggedAllow);
            together = together.union(&destinations(program, logged));
        }
        if governance.governs() {
            together = together.union(&self.routed_apart(class));
        }
        let tables: Vec<Rc<Kinds>> = class.tables.iter().map(|rules| self.kinds(rules)).collect();
        for (place, table) in tables.iter().enumerate() {
            for (other, earlier) in tables.iter().enumerate() {
                if other < place {
                    together = together.union(&table.logged_denies.intersection(&earlier.denies));
                    together = together.union(&table.logged_allows.intersection(&earlier.allows));
                }
                together = together.union(&table.logged_allows.intersection(&earlier.denies));
            }
        }
        together
    }

    /// The destinations at which enforced allows with one gateway meet those with another or with none: no single one of
    /// them knows where the flow leaves.
    fn routed_apart(&self, class: &Class) -> AddressSet {
        let program = self.program;
        let mut by_gateway: BTreeMap<Option<GatewayId>, Vec<RuleId>> = BTreeMap::new();
        for &id in &class.all {
            let rule = program.rules.at(id);
            if rule.action == Action::Allow && !program.blocks.at(rule.block).audit {
                by_gateway.entry(rule.gateway).or_default().push(id);
            }
        }
        if by_gateway.len() < 2 {
            return AddressSet::empty();
        }
        let (mut apart, mut before) = (AddressSet::empty(), AddressSet::empty());
        for rules in by_gateway.into_values() {
            let here = destinations(program, rules);
            apart = apart.union(&here.intersection(&before));
            before = before.union(&here);
        }
        apart
    }

    /// The destinations of a table by kind; the shared ones are asked for by many classes.
    fn kinds(&mut self, rules: &[RuleId]) -> Rc<Kinds> {
        if let Some(known) = self.known_kinds.get(rules) {
            return Rc::clone(known);
        }
        let program = self.program;
        let of = |wanted: Kind| destinations(program, rules.iter().copied().filter(|id| kind(program, *id) == wanted));
        let kinds = Rc::new(Kinds {
            logged_denies: of(Kind::LoggedDeny),
            denies: of(Kind::Deny),
            logged_allows: of(Kind::LoggedAllow),
            allows: of(Kind::Allow),
        });
        self.known_kinds.insert(rules.to_vec(), Rc::clone(&kinds));
        kinds
    }

    /// The table from destinations outside `excluded` to the port chains for these rules; nothing for an empty one.
    fn table(
        &mut self,
        (rules, by_name): (&[RuleId], &[RuleId]),
        excluded: &AddressSet,
        governance: &Governance,
        default: usize,
    ) -> Option<usize> {
        let mut by_set: BTreeMap<DestinationSetId, Vec<RuleId>> = BTreeMap::new();
        for &rule in rules {
            by_set.entry(self.program.rules.at(rule).destinations).or_default().push(rule);
        }
        let sets: Vec<&AddressSet> =
            by_set.keys().map(|set| &self.program.destination_sets.at(*set).addresses).collect();
        let rules_of: Vec<Vec<RuleId>> = by_set.into_values().collect();
        let mut keys = Keys::default();
        let v4 = sweep(&sets.iter().map(|set| &set.v4).collect::<Vec<_>>(), &excluded.v4, &mut keys);
        let v6 = sweep(&sets.iter().map(|set| &set.v6).collect::<Vec<_>>(), &excluded.v6, &mut keys);
        let mut values = Vec::with_capacity(keys.len());
        for (_, list) in keys.lists() {
            let members = list.iter().filter_map(|&set| rules_of.get(usize::try_from(set).ok()?)).flatten();
            let mut covering: Vec<RuleId> = members.copied().collect();
            covering.sort_unstable();
            values.push(self.port_chain(covering, by_name, governance, default));
        }
        let v4 = said(valued(&v4, &values, u128::from));
        let v6 = said(valued(&v6, &values, |address| address));
        let is_empty = v4.is_empty() && v6.is_empty();
        (!is_empty).then(|| self.plan.exact.number(Table { v4, v6 }))
    }

    /// The value of the port chain for destinations that exactly these rules cover.
    fn port_chain(
        &mut self,
        covering: Vec<RuleId>,
        by_name: &[RuleId],
        governance: &Governance,
        default: usize,
    ) -> u32 {
        if covering.is_empty() {
            return NOTHING;
        }
        let question = (covering, by_name.to_vec(), default);
        if let Some(&value) = self.known.get(&question) {
            return value;
        }
        let chain = self.port_outcomes(&question.0, by_name, governance, default);
        let value = if chain.is_empty() {
            NOTHING
        } else {
            u32::try_from(self.plan.port_chains.number(chain)).map_or(NOTHING, |n| n + 1)
        };
        self.known.insert(question, value);
        value
    }

    /// What is done on which ports, as far as it is not what is done where no rule covers the address; small sets first.
    fn port_outcomes(
        &mut self,
        covering: &[RuleId],
        by_name: &[RuleId],
        governance: &Governance,
        default: usize,
    ) -> Vec<PortCell> {
        let program = self.program;
        let all: Vec<RuleId> =
            covering.iter().chain(by_name.iter().filter(|rule| !covering.contains(rule))).copied().collect();
        let sets = all.iter().map(|rule| program.port_sets.at(program.rules.at(*rule).ports));
        let mut cells: BTreeMap<Vec<u32>, Vec<(u32, u32)>> = BTreeMap::new();
        self.cells.visit(sets, |first, last, members| match cells.get_mut(members) {
            Some(ranges) => ranges.push((first, last)),
            None => {
                cells.insert(members.to_vec(), vec![(first, last)]);
            }
        });
        let mut by_outcome: BTreeMap<(Option<usize>, usize), Lines> = BTreeMap::new();
        for (members, ranges) in cells {
            let rules = members.iter().filter_map(|&member| all.get(usize::try_from(member).ok()?).copied());
            let (matching, named): (Vec<RuleId>, Vec<RuleId>) = rules.partition(|rule| covering.contains(rule));
            if matching.is_empty() {
                continue;
            }
            let outcome = self.plan.outcomes.number(governance.outcome(program, self.gateways, &matching));
            let names = self.hits(&matching, &named, governance);
            let everywhere: Vec<RuleId> =
                by_name.iter().copied().filter(|rule| matching.contains(rule) || named.contains(rule)).collect();
            if outcome != default || names != self.hits(&[], &everywhere, governance) {
                by_outcome.entry((names, outcome)).or_default().extend(ranges);
            }
        }
        let cells = by_outcome.into_iter().map(|((names, outcome), ranges)| {
            let ports = ports::possible(&PortSet::from_line_ranges(ranges));
            PortCell { ports, names, outcome }
        });
        let mut chain: Vec<PortCell> = cells.filter(|cell| !cell.ports.is_empty()).collect();
        chain.sort_by_cached_key(|cell| (ports::count(&cell.ports), cell.outcome, cell.names));
        chain
    }
}

/// Segments with the values of their keys.
fn valued<A: Point>(segments: &[Segment<A>], values: &[u32], wide: fn(A) -> u128) -> impl Iterator<Item = Valued> {
    let value = |segment: &Segment<A>| values.get(segment.key.index()).copied().unwrap_or(NOTHING);
    segments.iter().map(move |s| Valued { start: wide(s.start), end: wide(s.end), value: value(s) })
}

/// The segments of which something is said, neighbours of one value joined.
fn said(segments: impl Iterator<Item = Valued>) -> Vec<Valued> {
    joined(segments.filter(|segment| segment.value != NOTHING))
}

/// Neighbours of one value joined.
pub(super) fn joined(segments: impl Iterator<Item = Valued>) -> Vec<Valued> {
    let mut joined: Vec<Valued> = Vec::new();
    for segment in segments {
        match joined.last_mut() {
            Some(last) if last.value == segment.value && last.end.checked_add(1) == Some(segment.start) => {
                last.end = segment.end;
            }
            _ => joined.push(segment),
        }
    }
    joined
}

/// The address parts of blocks, swept: used for sources.
pub(super) fn swept<A: Point>(sets: &[&RangeSet<A>], keys: &mut Keys, wide: fn(A) -> u128) -> Vec<Valued> {
    let segments = sweep(sets, &RangeSet::empty(), keys);
    let value = |segment: &Segment<A>| u32::try_from(segment.key.index()).unwrap_or(u32::MAX);
    segments.iter().map(|s| Valued { start: wide(s.start), end: wide(s.end), value: value(s) }).collect()
}
