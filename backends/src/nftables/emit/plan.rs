//! The plan of a ruleset: which tables and chains there are and where they lead, before any text.
//!
//! In: a program that passed the capability check, and the inventory. Out: [`Plan`]. Everything that is equal is
//! there once: sources of one set of blocks share a policy, and equal tables and chains share a number.

use super::intern::Interner;
use super::outcome::{Governance, Outcome};
use super::ports;
use super::sources::{Classes, Sources};
use egress_ir::classes::PortCells;
use egress_ir::classes::segments::{Keys, Segment, sweep};
use egress_ir::{Action, AddressSet, BlockId, DestinationSetId, Point, PortSet, Program, RangeSet, RuleId};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// A table's value for addresses that it says nothing about.
pub(super) const NOTHING: u32 = 0;

/// What the file will hold.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What is done to packets, by number.
    pub(super) outcomes: Interner<Outcome>,
    /// Port chains: port sets in order with the outcome of each.
    pub(super) port_chains: Interner<Vec<(PortSet, usize)>>,
    /// Tables from destinations to port chains; value `n + 1` is chain `n`.
    pub(super) tables: Interner<Table>,
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

/// What is done to the packets of one class of sources.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Policy {
    /// Tables in the order in which they are asked; a packet that one does not decide goes on to the next.
    pub(super) layers: Vec<usize>,
    /// The outcome when none decides.
    pub(super) default: usize,
}

/// A deny with more ranges than this is worth a table of its own where several policies share it.
const SHARED_FROM: usize = 64;

/// Makes the plan.
pub(super) fn plan(program: &Program, sources: &Sources) -> Plan {
    let mut planner = Planner {
        program,
        inside: &program.cluster.inside,
        shared: shared_denies(program, &sources.classes),
        plan: Plan::default(),
        known: HashMap::new(),
        cells: PortCells::default(),
    };
    let policies: Vec<u32> = sources.classes.lists().map(|blocks| planner.policy(blocks)).collect();
    let value = |class: usize| policies.get(class).copied().unwrap_or(NOTHING);
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
    plan
}

/// The enforced denies with many ranges whose blocks several classes share.
fn shared_denies(program: &Program, classes: &Classes) -> Vec<RuleId> {
    let mut classes_of: HashMap<BlockId, usize> = HashMap::new();
    for block in classes.lists().flatten() {
        *classes_of.entry(*block).or_default() += 1;
    }
    let is_shared = |id: &RuleId| {
        let rule = program.rules.at(*id);
        let set = &program.destination_sets.at(rule.destinations).addresses;
        rule.action == Action::Deny
            && !program.blocks.at(rule.block).audit
            && set.v4.ranges().len() + set.v6.ranges().len() > SHARED_FROM
            && classes_of.get(&rule.block).is_some_and(|&count| count > 1)
    };
    program.rules.ids().filter(is_shared).collect()
}

struct Planner<'p> {
    program: &'p Program,
    inside: &'p AddressSet,
    /// Sorted.
    shared: Vec<RuleId>,
    plan: Plan,
    /// Port chains by the rules that cover a segment and the outcome by default.
    known: HashMap<(Vec<RuleId>, usize), u32>,
    cells: PortCells,
}

impl Planner<'_> {
    /// The value of the policy of a class of sources that these blocks speak about.
    fn policy(&mut self, blocks: &[BlockId]) -> u32 {
        let governance = Governance::new(self.program, blocks);
        let mut rules: Vec<RuleId> =
            blocks.iter().flat_map(|block| self.program.blocks.at(*block).rules.iter().copied()).collect();
        rules.sort_unstable();
        rules.dedup();
        let default = governance.outcome(self.program, &[]);
        let ungoverned = default.passes && default.audit.is_none();
        let default = self.plan.outcomes.number(default);
        let (shared, own): (Vec<RuleId>, Vec<RuleId>) =
            rules.iter().copied().partition(|rule| self.shared.binary_search(rule).is_ok());
        let mut layers = Vec::new();
        let mut layer = |planner: &mut Self, rules: &[RuleId], excluded: &AddressSet| {
            let table = planner.table(rules, excluded, &governance, default);
            if table != Table::default() {
                layers.push(planner.plan.tables.number(table));
            }
        };
        if shared.is_empty() {
            layer(self, &rules, self.inside);
        } else {
            let both = self.said_by_both(&shared, &own);
            layer(self, &rules, &both.complement().union(self.inside));
            layer(self, &shared, self.inside);
            layer(self, &own, self.inside);
        }
        if layers.is_empty() && ungoverned {
            return NOTHING;
        }
        let number = self.plan.policies.number(Policy { layers, default });
        u32::try_from(number).map_or(NOTHING, |number| number + 1)
    }

    /// Where a shared deny meets another rule that decides or logs beside it: there both must be seen together.
    fn said_by_both(&self, shared: &[RuleId], own: &[RuleId]) -> AddressSet {
        let addresses = |rules: &[RuleId], wanted: fn(&egress_ir::Rule) -> bool| {
            let rules = rules.iter().map(|rule| self.program.rules.at(*rule)).filter(|rule| wanted(rule));
            let sets = rules.map(|rule| &self.program.destination_sets.at(rule.destinations).addresses);
            sets.fold(AddressSet::empty(), |all, set| all.union(set))
        };
        let deciding = addresses(own, |rule| rule.action == Action::Deny || rule.log);
        addresses(shared, |_| true).intersection(&deciding)
    }

    /// The table from destinations outside `excluded` to the port chains for these rules.
    fn table(&mut self, rules: &[RuleId], excluded: &AddressSet, governance: &Governance, default: usize) -> Table {
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
            values.push(self.port_chain(covering, governance, default));
        }
        Table { v4: said(valued(&v4, &values, u128::from)), v6: said(valued(&v6, &values, |address| address)) }
    }

    /// The value of the port chain for destinations that exactly these rules cover.
    fn port_chain(&mut self, covering: Vec<RuleId>, governance: &Governance, default: usize) -> u32 {
        if covering.is_empty() {
            return NOTHING;
        }
        if let Some(&value) = self.known.get(&(covering.clone(), default)) {
            return value;
        }
        let chain = self.port_outcomes(&covering, governance, default);
        let value = if chain.is_empty() {
            NOTHING
        } else {
            u32::try_from(self.plan.port_chains.number(chain)).map_or(NOTHING, |n| n + 1)
        };
        self.known.insert((covering, default), value);
        value
    }

    /// Port sets with their outcomes where those are not the default, small ones first.
    fn port_outcomes(&mut self, covering: &[RuleId], governance: &Governance, default: usize) -> Vec<(PortSet, usize)> {
        let sets = covering.iter().map(|rule| self.program.port_sets.at(self.program.rules.at(*rule).ports));
        let mut cells: BTreeMap<Vec<u32>, Vec<(u32, u32)>> = BTreeMap::new();
        self.cells.visit(sets, |first, last, members| match cells.get_mut(members) {
            Some(ranges) => ranges.push((first, last)),
            None => {
                cells.insert(members.to_vec(), vec![(first, last)]);
            }
        });
        let mut by_outcome: BTreeMap<usize, Vec<(u32, u32)>> = BTreeMap::new();
        for (members, ranges) in cells {
            let rules = members.iter().filter_map(|&member| covering.get(usize::try_from(member).ok()?));
            let matching: Vec<RuleId> = rules.copied().collect();
            if matching.is_empty() {
                continue;
            }
            let outcome = self.plan.outcomes.number(governance.outcome(self.program, &matching));
            if outcome != default {
                by_outcome.entry(outcome).or_default().extend(ranges);
            }
        }
        let mut chain: Vec<(PortSet, usize)> = by_outcome
            .into_iter()
            .map(|(outcome, ranges)| (ports::possible(&PortSet::from_line_ranges(ranges)), outcome))
            .filter(|(ports, _)| !ports.is_empty())
            .collect();
        chain.sort_by_cached_key(|(ports, outcome)| (ports::count(ports), *outcome));
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
