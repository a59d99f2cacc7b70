//! Names: which outcome holds, depending on the names by which a destination was learned.
//!
//! In: the rules that match a cell by its address, and those that would by a name. Out: one outcome, with a table over
//! sets of names where they matter. Whatever is allowed by its address anyway asks for no names.

use super::check::TooLarge;
use super::intern::{Interner, place};
use super::outcomes::{ByName, Governance, Outcome, Outcomes};
use super::sources::Sources;
use crate::gateways::Gateways;
use crate::names::{Client, Who};
use egress_ir::classes::name_classes;
use egress_ir::{AddressSet, BlockId, DestinationSetId, GatewayId, HostPattern, Inventory, Program, RuleId};
use egress_snapshot::Meta;
use egress_snapshot::layout::MOST_SETS;
use egress_snapshot::names::set_id;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A rule that matches a cell, or may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Heard {
    pub(super) rule: RuleId,
    /// Only where the destination was learned by a name of the rule's; else by its address.
    pub(super) by_name: bool,
}

/// Up to so many sets of names are asked for apart, so that an outcome names the very rules; above, rules that do the
/// same share one.
const APART: usize = 3;

/// Of so many kinds of rules it is tried which matter.
const MOST_GROUPS: usize = 10;

/// The patterns of a program, and the sets that outcomes ask for.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Sorted as text.
    pub(super) hosts: Vec<String>,
    /// The same, to be asked.
    patterns: Vec<HostPattern>,
    /// The patterns of each set of destinations that has some, by their places, sorted.
    of_set: BTreeMap<DestinationSetId, Vec<u32>>,
    pub(super) sets: Interner<Vec<u32>>,
}

/// Patterns, and the rules that match by a name of one of them.
type Group = (Vec<u32>, Vec<RuleId>);

/// What a rule adds where it matches.
type Effect = (Option<GatewayId>, bool, bool);

impl Names {
    /// The patterns of all rules.
    pub(super) fn new(program: &Program) -> Self {
        let asking = program.rules.values().filter(|rule| !program.port_sets.at(rule.ports).is_empty());
        let sets: BTreeSet<DestinationSetId> = asking.map(|rule| rule.destinations).collect();
        let of = |set: &DestinationSetId| &program.destination_sets.at(*set).hosts;
        let by_text: BTreeMap<String, HostPattern> =
            sets.iter().flat_map(of).map(|host| (host.to_string(), host.clone())).collect();
        let (hosts, patterns): (Vec<String>, Vec<HostPattern>) = by_text.into_iter().unzip();
        let places = |set: DestinationSetId| {
            let found = of(&set).iter().filter_map(|host| hosts.binary_search(&host.to_string()).ok());
            let mut places: Vec<u32> = found.map(place).collect();
            places.sort_unstable();
            (set, places)
        };
        let of_set = sets.into_iter().map(places).collect();
        Self { hosts, patterns, of_set, sets: Interner::default() }
    }

    /// The patterns of a rule, by their places.
    fn of_rule(&self, program: &Program, rule: RuleId) -> Vec<u32> {
        self.of_set.get(&program.rules.at(rule).destinations).cloned().unwrap_or_default()
    }

    /// The id of a set in the tables.
    pub(super) fn id_of(&self, set: u32) -> u64 {
        let places = self.sets.at(set).map_or(&[][..], Vec::as_slice);
        set_id(places.iter().filter_map(|host| self.hosts.get(*host as usize)).map(String::as_str))
    }

    /// A name of each set, by the sets' places.
    pub(super) fn examples(&self) -> Vec<Option<String>> {
        let classes = name_classes(&self.patterns.iter().collect::<Vec<_>>());
        let mut by_host: Vec<Option<&String>> = vec![None; self.hosts.len()];
        for (hosts, name) in &classes {
            for host in hosts {
                // The name of fewest patterns is the plainest.
                let known = by_host.get_mut(*host);
                known.into_iter().for_each(|known| *known = known.or(Some(name)));
            }
        }
        let first =
            |set: &Vec<u32>| set.first().and_then(|host| by_host.get(*host as usize).copied().flatten().cloned());
        self.sets.values().map(first).collect()
    }

    /// The sets in which some of these names is, sorted.
    pub(super) fn sets_of(&self, names: &BTreeSet<String>) -> Vec<u32> {
        let matches = |pattern: &HostPattern| names.iter().any(|name| pattern.matches(name));
        let places = (0..).zip(&self.patterns).filter(|(_, pattern)| matches(pattern));
        let hosts: BTreeSet<u32> = places.map(|(at, _)| at).collect();
        let holds = |set: &Vec<u32>| set.iter().any(|host| hosts.contains(host));
        (0..).zip(self.sets.values()).filter(|(_, set)| holds(set)).map(|(at, _)| at).collect()
    }

    /// The number of the outcome of a cell that exactly these rules match or may match, sorted.
    pub(super) fn outcome(
        &mut self,
        (program, gateways): (&Program, &Gateways),
        governance: Governance,
        heard: &[Heard],
        outcomes: &mut Outcomes,
    ) -> Result<u32, TooLarge> {
        let of = |by_name: bool| heard.iter().filter(move |heard| heard.by_name == by_name).map(|heard| heard.rule);
        let by_address: Vec<RuleId> = of(false).collect();
        let plain = governance.outcome(program, gateways, &by_address);
        let named: Vec<RuleId> = of(true).collect();
        if named.is_empty() {
            return Ok(outcomes.number(plain));
        }
        let asked = Asked { by_address, groups: self.groups(program, &named)? };
        let Asked { by_address, groups } = asked.that_matter(|rules| governance.outcome(program, gateways, rules));
        let number = outcomes.number(plain.clone());
        if groups.is_empty() {
            return Ok(number);
        }
        if groups.len() > MOST_SETS as usize {
            return Err(TooLarge::Names);
        }
        let matter = Asked { by_address, groups };
        let all = matter.sums().map(|rules| outcomes.number(governance.outcome(program, gateways, &rules))).collect();
        let sets = matter.groups.into_iter().map(|(hosts, _)| self.sets.number(hosts)).collect();
        Ok(outcomes.number(Outcome { by_name: Some(ByName { sets, outcomes: all }), ..plain }))
    }

    /// The rules by what they ask for: each set of patterns apart where those are few, else what does the same together.
    fn groups(&self, program: &Program, named: &[RuleId]) -> Result<Vec<Group>, TooLarge> {
        let mut apart: BTreeMap<Vec<u32>, Vec<RuleId>> = BTreeMap::new();
        for &rule in named {
            apart.entry(self.of_rule(program, rule)).or_default().push(rule);
        }
        if apart.len() <= APART {
            return Ok(apart.into_iter().collect());
        }
        let mut together: BTreeMap<Effect, (BTreeSet<u32>, Vec<RuleId>)> = BTreeMap::new();
        for &rule in named {
            let said = program.rules.at(rule);
            let effect = (said.gateway, said.log, program.blocks.at(said.block).audit);
            let (hosts, rules) = together.entry(effect).or_default();
            hosts.extend(self.of_rule(program, rule));
            rules.push(rule);
        }
        let groups: Vec<_> =
            together.into_values().map(|(hosts, rules)| (hosts.into_iter().collect(), rules)).collect();
        if groups.len() > MOST_GROUPS { Err(TooLarge::Names) } else { Ok(groups) }
    }
}

/// Rules that match by address, and those that match by names of a set.
struct Asked {
    by_address: Vec<RuleId>,
    groups: Vec<Group>,
}

impl Asked {
    /// The rules that match for every sum of groups, sorted.
    fn sums(&self) -> impl Iterator<Item = Vec<RuleId>> {
        (0..1_usize << self.groups.len()).map(|sum| {
            let named = (0..).zip(&self.groups).filter(|(group, _)| sum >> group & 1 == 1);
            let mut rules = self.by_address.clone();
            rules.extend(named.flat_map(|(_, (_, rules))| rules));
            rules.sort_unstable();
            rules
        })
    }

    /// Without the groups that change nothing, whatever the others do.
    fn that_matter(mut self, outcome: impl Fn(&[RuleId]) -> Outcome) -> Self {
        let all: Vec<Outcome> = self.sums().map(|rules| outcome(&rules)).collect();
        let matters = |group: usize| {
            let pairs = (0..all.len()).filter(|sum| sum >> group & 1 == 0).map(|sum| (sum, sum | 1 << group));
            pairs.filter_map(|(without, with)| all.get(without).zip(all.get(with))).any(|(one, two)| !one.does_as(two))
        };
        let mut group = 0..;
        self.groups.retain(|_| group.next().is_some_and(matters));
        self
    }
}

/// Says what must be known to learn names, where some rule is about names.
pub(super) fn say(
    meta: &mut Meta,
    program: &Program,
    inventory: Option<&Inventory>,
    sources: &Sources<'_>,
    names: &Names,
) {
    let rows: BTreeMap<IpAddr, u32> = sources.pods.iter().map(|placed| (placed.address, placed.row)).collect();
    let spoken: Vec<_> = sources.rows.values().collect();
    let everything: Vec<BlockId> = program.blocks.ids().collect();
    let pods = inventory.map_or(&[][..], |inventory| &inventory.pods);
    let pods = pods.iter().filter(|pod| !pod.host_network).filter_map(|pod| {
        let row = pod.addresses.iter().find_map(|address| rows.get(address))?;
        let blocks = &spoken.get(*row as usize)?.blocks;
        Some(Client { who: Who::Workload(pod.addresses.clone()), blocks })
    });
    // Others are known by where they are attached: whatever one of them asks for opens nothing that its row does not.
    let anybody = Client { who: Who::Addresses(AddressSet::full()), blocks: &everything };
    let clients: Vec<Client<'_>> = pods.chain([anybody]).collect();
    meta.names = crate::names::names(program, inventory, &clients);
    meta.name_sets = names.sets.values().cloned().collect();
}
