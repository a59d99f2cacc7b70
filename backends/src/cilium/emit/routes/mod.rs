//! Gateways: which egress gateway policies make pods leave through the gateways that rules name.
//!
//! In: a program, an inventory. Out: objects of kind `CiliumEgressGatewayPolicy`, and errors for everything that Cilium cannot
//! say: it chooses a gateway by pod and destination address alone, whatever the port or the name.
//!
//! The pods are parted into disjoint cells ([`cells`]). For each cell and family it is worked out where flows that pass must
//! leave through which gateway ([`demands`]), and where nothing passes, so that it does not matter. Prefixes that meet the
//! demands ([`cover`]) become the destinations. No two policies that may select one pod share an address, so
//! that nothing depends on the order in which Cilium reads them.

mod cells;
mod cover;
mod demands;
mod nodes;
mod rows;
mod spec;

use std::collections::{BTreeMap, BTreeSet};

use egress_ir::{GatewayId, Inventory, Prefix, RangeSet, Rule, RuleId};

use super::objects::{GatewayObject, Writer};
use super::selectors::{Conjunct, simplified};
use super::{Emitter, cover::Cover, cover::has_mapped};
use demands::{Demands, Needed};

/// What one gateway takes from the pods of a cell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Taken {
    gateway: GatewayId,
    v6: bool,
    prefixes: Vec<Cover>,
    /// The rules that ask for it.
    rules: BTreeSet<RuleId>,
}

/// Writes the policies for all gateways that rules in force name.
pub(super) fn write(emitter: &mut Emitter<'_>, inventory: Option<&Inventory>, writer: &mut Writer<'_>) {
    let routed = |rule: &Rule| rule.gateway.is_some() && !emitter.program.blocks.at(rule.block).audit;
    if !emitter.program.rules.values().any(routed) {
        return;
    }
    let Some(cells) = cells::cells(emitter) else { return };
    let mut refusals = demands::Refusals::default();
    let mut groups: BTreeMap<Vec<Taken>, Vec<Conjunct>> = BTreeMap::new();
    for cell in cells {
        let taken = taken(emitter, &cell, &mut refusals);
        if !taken.is_empty() {
            groups.entry(taken).or_default().push(cell.pods);
        }
    }
    refusals.tell(emitter);
    let used: BTreeSet<(GatewayId, bool)> = groups.keys().flatten().map(|taken| (taken.gateway, taken.v6)).collect();
    let ways = nodes::ways(emitter, inventory, &used);
    let mut rows = rows::Rows::default();
    for (taken, cells) in groups {
        let Ok(cells) = simplified(cells) else {
            cells::too_many(emitter);
            return;
        };
        for one in &taken {
            let Some(way) = ways.get(&(one.gateway, one.v6)) else { continue };
            for pods in &cells {
                rows.add(pods, one.v6, &one.prefixes);
                object(emitter, writer, one, pods, way);
            }
        }
    }
    rows.tell(emitter, inventory);
}

/// What gateways take from the pods of a cell.
fn taken(emitter: &mut Emitter<'_>, cell: &cells::Cell, refusals: &mut demands::Refusals) -> Vec<Taken> {
    let mut taken = Vec::new();
    for v6 in [false, true] {
        let demands = Demands::of(emitter.program, cell, v6, refusals);
        for (&gateway, needed) in &demands.through {
            let Needed { addresses, rules } = needed;
            let others = demands.through.iter().filter(|(other, _)| **other != gateway);
            let others = others.fold(RangeSet::empty(), |sum, (_, needed)| sum.union(&needed.addresses));
            let prefixes = cover::shortest(addresses, &others, &demands.direct, v6);
            let mapped = |(prefix, except): &Cover| has_mapped(except.iter().chain([prefix]));
            if prefixes.iter().any(mapped) {
                let origin = rules.first().map(|rule| emitter.program.rules.at(*rule).origin);
                emitter.mapped(origin);
            }
            taken.push(Taken { gateway, v6, prefixes, rules: rules.clone() });
        }
    }
    taken
}

/// Writes the policy, or several where it is large, by which one gateway takes flows from the pods of one selector.
fn object(emitter: &mut Emitter<'_>, writer: &mut Writer<'_>, taken: &Taken, pods: &Conjunct, way: &nodes::Way) {
    let program = emitter.program;
    let origin = taken.rules.first().map(|rule| program.rules.at(*rule).origin);
    let source = match pods.gateway_source() {
        Ok(source) => source,
        Err(why) => {
            if let Some(origin) = origin {
                emitter.error("egress::target::label", origin, why.message, why.help);
            }
            return;
        }
    };
    let gateway = program.gateways.at(taken.gateway);
    let blocks: BTreeSet<&str> =
        taken.rules.iter().map(|rule| program.blocks.at(program.rules.at(*rule).block).name.as_str()).collect();
    let family = if taken.v6 { "-v6" } else { "" };
    let wanted = match blocks.first() {
        Some(block) if blocks.len() == 1 => format!("{block}-via-{}{family}", gateway.name),
        _ => format!("via-{}{family}", gateway.name),
    };
    for part in taken.prefixes.chunks(spec::MAX_PREFIXES) {
        let destinations: Vec<Prefix> = part.iter().map(|(prefix, _)| *prefix).collect();
        let excluded: Vec<Prefix> = part.iter().flat_map(|(_, except)| except.iter().copied()).collect();
        writer.gateway(&GatewayObject {
            wanted: wanted.clone(),
            gateway,
            rules: taken.rules.iter().copied().collect(),
            assumes: way.assumes.clone(),
            spec: spec::spec(source.clone(), &destinations, &excluded, way),
        });
    }
}
