//! What a program decides, as formulas.
//!
//! In: a program, and who sends over which family. Out: the formula of what passes, and of what leaves through each
//! gateway. Follows `docs/language` rule by rule: deny wins, then the ungoverned pass, then allows, then the default.

use super::workloads::Who;
use crate::solver::{Formula, Variable};
use egress_ir::{
    Action, Block, BlockKind, DestinationSet, Gateway, GatewayAddress, PortSet, Program, RangeSet, Rule, Selector,
    protocol,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The destination port, or ICMP type and code.
pub(super) const NUMBER: Variable = Variable { number: 0, bits: 16 };
/// The IP protocol.
pub(super) const PROTOCOL: Variable = Variable { number: 1, bits: 8 };

/// The destination's address.
pub(super) fn address(v6: bool) -> Variable {
    if v6 { Variable { number: 3, bits: 128 } } else { Variable { number: 2, bits: 32 } }
}

/// The flows in question. A flag for each class of names says whether some name of the destination is of it.
pub(super) struct Space<'n> {
    /// Who sends.
    pub(super) who: Who,
    /// To which family.
    pub(super) v6: bool,
    /// A name of each class.
    pub(super) names: &'n [String],
}

/// A gateway by what it is: programs number them differently.
pub(super) type Way = (String, Option<Selector>, BTreeSet<GatewayAddress>);

/// What the gateway is.
pub(super) fn way(gateway: &Gateway) -> Way {
    (gateway.name.clone(), gateway.nodes.clone(), gateway.addresses.iter().copied().collect())
}

/// What a program decides.
pub(super) struct Decided {
    /// The flow passes.
    pub(super) passes: Formula,
    /// It passes and leaves through this gateway.
    pub(super) through: BTreeMap<Way, Formula>,
}

/// The decision of a program.
pub(super) fn decide(program: &Program, space: &Space<'_>) -> Decided {
    let inside = within(space, &program.cluster.inside);
    let enforced = || program.blocks.values().filter(|block| !block.audit);
    let governs = enforced().filter(|block| block.kind == BlockKind::Policy);
    let governed = Formula::Any(governs.map(|block| speaks(program, block, space)).collect());
    let matching = |wanted: &dyn Fn(&Rule) -> bool| {
        let of_block = |block| {
            let rules = rules(program, block).filter(|rule| wanted(rule));
            let rules = Formula::Any(rules.map(|rule| matches(program, rule, space)).collect());
            Formula::All(vec![speaks(program, block, space), rules])
        };
        Formula::Any(enforced().map(of_block).collect())
    };
    let denied = matching(&|rule| rule.action == Action::Deny);
    let allowed = matching(&|rule| rule.action == Action::Allow);
    let routed = program.gateways.iter().map(|(id, gateway)| {
        let named = matching(&|rule| rule.action == Action::Allow && rule.gateway == Some(id));
        (way(gateway), named)
    });
    let routed: BTreeMap<Way, Formula> = routed.collect();
    let granted = Formula::All(vec![governed.clone(), denied.clone().negated(), conflict(&routed).negated()]);
    let outside = |named| Formula::All(vec![inside.clone().negated(), granted.clone(), named]);
    let through = routed.into_iter().map(|(way, named)| (way, outside(named))).collect();
    let ungoverned = Formula::All(vec![denied.negated(), governed.negated()]);
    let allowed = Formula::All(vec![granted.clone(), allowed]);
    Decided { passes: Formula::Any(vec![inside.clone(), ungoverned, allowed]), through }
}

/// Two allows name different gateways.
fn conflict(routed: &BTreeMap<Way, Formula>) -> Formula {
    let mut pairs = Vec::new();
    for (place, one) in routed.values().enumerate() {
        pairs.extend(routed.values().skip(place + 1).map(|two| Formula::All(vec![one.clone(), two.clone()])));
    }
    Formula::Any(pairs)
}

/// The packet can exist, see [`egress_ir::Flow::is_well_formed`].
pub(super) fn possible(space: &Space<'_>) -> Formula {
    let (own, foreign) = match space.v6 {
        false => (protocol::ICMP, protocol::ICMPV6),
        true => (protocol::ICMPV6, protocol::ICMP),
    };
    let is = |number: u8| Formula::Within(PROTOCOL, Arc::from([(number.into(), number.into())]));
    let numbered = protocol::WITH_PORTS.into_iter().chain([own]).map(is);
    let zero = Formula::Within(NUMBER, Arc::from([(0, 0)]));
    Formula::All(vec![is(foreign).negated(), Formula::Any(numbered.chain([zero]).collect())])
}

fn rules<'p>(program: &'p Program, block: &'p Block) -> impl Iterator<Item = &'p Rule> {
    block.rules.iter().map(|&id| program.rules.at(id))
}

fn speaks(program: &Program, block: &Block, space: &Space<'_>) -> Formula {
    space.who.is_member(program.workloads_of(block), space.v6)
}

/// The rule matches by address or by name, and by port.
fn matches(program: &Program, rule: &Rule, space: &Space<'_>) -> Formula {
    let DestinationSet { addresses, hosts } = program.destination_sets.at(rule.destinations);
    let classes = (0_u32..).zip(space.names).filter(|(_, name)| hosts.iter().any(|host| host.matches(name)));
    let named = classes.map(|(class, _)| Formula::Flag(class));
    let destination = Formula::Any([within(space, addresses)].into_iter().chain(named).collect());
    Formula::All(vec![destination, on(program.port_sets.at(rule.ports))])
}

/// The destination's address is in the set.
fn within(space: &Space<'_>, set: &egress_ir::AddressSet) -> Formula {
    Formula::Within(address(space.v6), Arc::from(set.of_family(space.v6).ranges()))
}

/// The port is in the set: protocols with the same numbers together.
fn on(ports: &PortSet) -> Formula {
    let mut by_numbers: BTreeMap<(u16, u16), Vec<(u128, u128)>> = BTreeMap::new();
    for (protocol, first, last) in ports.per_protocol() {
        by_numbers.entry((first, last)).or_default().push((protocol.into(), protocol.into()));
    }
    let part = |((first, last), protocols): ((u16, u16), Vec<(u128, u128)>)| {
        let protocols = RangeSet::from_ranges(protocols);
        let protocol = Formula::Within(PROTOCOL, Arc::from(protocols.ranges()));
        Formula::All(vec![protocol, Formula::Within(NUMBER, Arc::from([(first.into(), last.into())]))])
    };
    Formula::Any(by_numbers.into_iter().map(part).collect())
}
