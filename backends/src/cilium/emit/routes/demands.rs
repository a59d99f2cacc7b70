//! Where the pods of a cell must leave through which gateway.
//!
//! In: a cell, a family. Out: for each gateway the addresses to which flows pass that must leave through it, and those to
//! which flows pass that must not leave through any. To other addresses nothing passes, so a gateway may take them. Where
//! flows to one address must leave in different ways, by their ports or names, the rules that disagree are noted.

use std::collections::{BTreeMap, BTreeSet};

use egress_ir::classes::{Keys, name_classes, sweep};
use egress_ir::{Action, AddressSet, GatewayId, HostPattern, PortSet, Prefix, Program, RangeSet, Rule, RuleId};

use super::super::Emitter;
use super::cells::Cell;

/// The demands of one cell and family.
#[derive(Debug, Default)]
pub(super) struct Demands {
    /// What must leave through a gateway.
    pub(super) through: BTreeMap<GatewayId, Needed>,
    /// What must not, the inside of the cluster included.
    pub(super) direct: RangeSet<u128>,
}

/// What must leave through one gateway.
#[derive(Debug, Default)]
pub(super) struct Needed {
    pub(super) addresses: RangeSet<u128>,
    /// The rules that ask for it.
    pub(super) rules: BTreeSet<RuleId>,
}

/// The rules of a cell that let flows pass to some address, with the ports, by the way in which these must leave.
type Ways = BTreeMap<Option<GatewayId>, BTreeMap<RuleId, PortSet>>;

/// A cell's rules of one family.
struct Rules<'p> {
    program: &'p Program,
    v6: bool,
    /// Rules with addresses, and these addresses.
    by_address: Vec<(RuleId, RangeSet<u128>)>,
    /// Allows that match by name, for each kind of name that rules tell apart; the first kind is no name at all.
    by_name: Vec<Vec<RuleId>>,
}

impl Demands {
    /// Works the demands out, and notes what cannot be met.
    pub(super) fn of(program: &Program, cell: &Cell, v6: bool, refusals: &mut Refusals) -> Self {
        let rules = Rules::of(program, cell, v6);
        let inside = program.cluster.inside.of_family(v6);
        let sets: Vec<&RangeSet<u128>> =
            std::iter::once(&inside).chain(rules.by_address.iter().map(|(_, addresses)| addresses)).collect();
        let mut keys = Keys::default();
        let last = egress_ir::address::last_bits(v6);
        let beyond = RangeSet::range(0, last).complement();
        let segments = sweep(&sets, &beyond, &mut keys);
        let ways: Vec<Option<Ways>> =
            keys.lists().map(|(_, members)| (members.first() != Some(&0)).then(|| rules.ways(members))).collect();
        let mut parts: Vec<Vec<(u128, u128)>> = vec![Vec::new(); ways.len()];
        for segment in segments {
            if let Some(part) = parts.get_mut(segment.key.index()) {
                part.push((segment.start, segment.end));
            }
        }
        let mut demands = Self::default();
        for (ways, part) in ways.into_iter().zip(parts) {
            let addresses = RangeSet::from_ranges(part);
            match ways {
                None => demands.direct = demands.direct.union(&addresses),
                Some(ways) => demands.add(&ways, &addresses, v6, program, refusals),
            }
        }
        demands
    }

    fn add(&mut self, ways: &Ways, addresses: &RangeSet<u128>, v6: bool, program: &Program, refusals: &mut Refusals) {
        if ways.len() > 1 {
            return refusals.disagree(ways, addresses, v6);
        }
        let Some((way, rules)) = ways.first_key_value() else { return };
        let Some(gateway) = *way else {
            self.direct = self.direct.union(addresses);
            return;
        };
        if !program.gateways.at(gateway).addresses.iter().any(|known| known.address.is_ipv6() == v6) {
            return refusals.lacks(gateway, rules.keys(), addresses, v6);
        }
        let needed = self.through.entry(gateway).or_default();
        needed.addresses = needed.addresses.union(addresses);
        needed.rules.extend(rules.keys());
    }
}

impl<'p> Rules<'p> {
    fn of(program: &'p Program, cell: &Cell, v6: bool) -> Self {
        let ids = cell.blocks.iter().flat_map(|block| &program.blocks.at(*block).rules).copied();
        let mut by_address = Vec::new();
        let mut named: Vec<(RuleId, &BTreeSet<HostPattern>)> = Vec::new();
        for id in ids {
            let rule = program.rules.at(id);
            let set = program.destination_sets.at(rule.destinations);
            let addresses = set.addresses.of_family(v6);
            if !addresses.is_empty() {
                by_address.push((id, addresses));
            }
            // Names in denies are refused elsewhere.
            if rule.action == Action::Allow && !set.hosts.is_empty() {
                named.push((id, &set.hosts));
            }
        }
        let patterns: BTreeSet<&HostPattern> = named.iter().flat_map(|(_, hosts)| hosts.iter()).collect();
        let patterns: Vec<&HostPattern> = patterns.into_iter().collect();
        let matching = |name: &String| {
            let matches = |(_, hosts): &&(RuleId, &BTreeSet<HostPattern>)| hosts.iter().any(|host| host.matches(name));
            named.iter().filter(matches).map(|(id, _)| *id).collect::<Vec<RuleId>>()
        };
        let kinds: BTreeSet<Vec<RuleId>> = name_classes(&patterns).values().map(matching).collect();
        let by_name = std::iter::once(Vec::new()).chain(kinds).collect();
        Self { program, v6, by_address, by_name }
    }

    /// How flows leave to the addresses of these members of the sweep, of which the first set is the inside. A destination
    /// with several names is matched by what matches one of them, so single names show every disagreement.
    fn ways(&self, members: &[u32]) -> Ways {
        let here = members.iter().filter_map(|&member| self.by_address.get((member as usize).checked_sub(1)?));
        let here: Vec<RuleId> = here.map(|(id, _)| *id).collect();
        let of = |id: &RuleId| self.program.rules.at(*id);
        let denies = here.iter().filter(|id| of(id).action == Action::Deny);
        let open = denies.fold(PortSet::possible(self.v6).clone(), |open, id| open.difference(self.ports(of(id))));
        let mut ways = Ways::new();
        for named in &self.by_name {
            let allows = || here.iter().chain(named).filter(|id| of(id).action == Action::Allow);
            let routed = allows().filter(|id| of(id).gateway.is_some());
            let routed = routed.fold(PortSet::empty(), |sum, id| sum.union(self.ports(of(id))));
            for id in allows() {
                let rule = of(id);
                let ports = self.ports(rule).intersection(&open);
                let ports = if rule.gateway.is_some() { ports } else { ports.difference(&routed) };
                if !ports.is_empty() {
                    let known = ways.entry(rule.gateway).or_default().entry(*id).or_default();
                    *known = known.union(&ports);
                }
            }
        }
        ways
    }

    fn ports(&self, rule: &Rule) -> &'p PortSet {
        self.program.port_sets.at(rule.ports)
    }
}

/// What cannot be met, collected over all cells.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// A rule with a gateway and another one, with what each opens where they disagree.
    pairs: BTreeMap<(RuleId, RuleId), Pair>,
    /// A rule with a gateway that has no address of a family, and the destinations.
    lacking: BTreeMap<(RuleId, GatewayId, bool), AddressSet>,
}

#[derive(Debug, Default)]
struct Pair {
    own: PortSet,
    others: PortSet,
    addresses: AddressSet,
}

impl Refusals {
    fn disagree(&mut self, ways: &Ways, addresses: &RangeSet<u128>, v6: bool) {
        let addresses = of_family(addresses, v6);
        for (way, rules) in ways.iter().filter(|(way, _)| way.is_some()) {
            for (_, rivals) in ways.iter().filter(|(rival, _)| *rival != way) {
                for ((rule, own), (rival, others)) in
                    rules.iter().flat_map(|own| rivals.iter().map(move |rival| (own, rival)))
                {
                    let pair = self.pairs.entry((*rule, *rival)).or_default();
                    pair.own = pair.own.union(own);
                    pair.others = pair.others.union(others);
                    pair.addresses = pair.addresses.union(&addresses);
                }
            }
        }
    }

    fn lacks<'r>(
        &mut self,
        gateway: GatewayId,
        rules: impl Iterator<Item = &'r RuleId>,
        addresses: &RangeSet<u128>,
        v6: bool,
    ) {
        let addresses = of_family(addresses, v6);
        for rule in rules {
            let known = self.lacking.entry((*rule, gateway, v6)).or_default();
            *known = known.union(&addresses);
        }
    }

    /// Says all of it.
    pub(super) fn tell(&self, emitter: &mut Emitter<'_>) {
        for ((rule, rival), pair) in &self.pairs {
            pair.tell(emitter, *rule, *rival);
        }
        for ((rule, gateway, v6), addresses) in &self.lacking {
            let program = emitter.program;
            let (family, name) = (if *v6 { "IPv6" } else { "IPv4" }, &program.gateways.at(*gateway).name);
            let message = format!(
                "`{}` leaves through `{name}` to {}, and `{name}` has no {family} address",
                program.rule_name(*rule),
                shown(addresses)
            );
            let help = format!("give `{name}` an {family} address, or leave {family} destinations out of the rule");
            emitter.error("egress::target::gateway", program.rules.at(*rule).origin, message, help);
        }
    }
}

impl Pair {
    fn tell(&self, emitter: &mut Emitter<'_>, rule: RuleId, rival: RuleId) {
        let program = emitter.program;
        let name = |of: RuleId| {
            let gateway = program.rules.at(of).gateway;
            gateway.map_or_else(String::new, |gateway| program.gateways.at(gateway).name.clone())
        };
        let (own, other) = (program.rule_name(rule), program.rule_name(rival));
        let (gateway, others, place) = (name(rule), name(rival), shown(&self.addresses));
        let instead = if others.is_empty() { "without a gateway".to_owned() } else { format!("through `{others}`") };
        let by_name = [rule, rival]
            .iter()
            .any(|id| !program.destination_sets.at(program.rules.at(*id).destinations).hosts.is_empty());
        let why = if by_name { "whatever the port or the name" } else { "whatever the port" };
        let message = format!(
            "`{own}` leaves through `{gateway}` to {place} on {}, and `{other}` leaves {instead} there on {}: Cilium \
             chooses a gateway by pod and address, {why}",
            self.own, self.others
        );
        let help = format!("let `{other}` leave via `{gateway}` too, or take {place} out of one of them");
        emitter.error("egress::target::gateway", program.rules.at(rule).origin, message, help);
    }
}

/// The first prefix, and how many more there are.
fn shown(addresses: &AddressSet) -> String {
    let prefixes: Vec<Prefix> = addresses.prefixes();
    match prefixes.split_first() {
        None => "nowhere".to_owned(),
        Some((first, [])) => first.to_string(),
        Some((first, others)) => format!("{first} and {} more prefixes", others.len()),
    }
}

fn of_family(addresses: &RangeSet<u128>, v6: bool) -> AddressSet {
    let address = |bits| egress_ir::address::from_bits(v6, bits);
    AddressSet::from_ranges(addresses.ranges().iter().map(|(first, last)| (address(*first), address(*last))))
}
