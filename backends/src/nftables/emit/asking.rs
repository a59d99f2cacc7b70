//! Where a plan asks for names: the last thing before the default, and before what names say more about than addresses.
//!
//! In: the rules of a class of sources. Out: hits by ports, and the destinations at which hits must be asked first, or
//! what cannot be said. An address that decides by itself is never kept waiting for names: only where a name makes
//! an allow leave through a gateway, or asks for a log that the address does not ask for, it is asked before.

use super::groups::destinations;
use super::named::{Intricate, Place};
use super::outcome::Governance;
use super::plan::{Class, Planner};
use super::ports;
use crate::target::EmitError;
use egress_ir::{AddressSet, BlockId, HostPattern, PortSet, RuleId};
use std::collections::{BTreeMap, BTreeSet};

/// The most patterns that a packet may be held against.
const MOST_PATTERNS: usize = 256;

impl Planner<'_> {
    /// The rules of a class that may match by name. Too many patterns are an error.
    pub(super) fn by_name(&mut self, class: &Class, blocks: &[BlockId]) -> Vec<RuleId> {
        let hosts = |rule: RuleId| &self.program.destination_sets.at(self.program.rules.at(rule).destinations).hosts;
        let asks = |rule: &RuleId| {
            let ports = self.program.port_sets.at(self.program.rules.at(*rule).ports);
            !hosts(*rule).is_empty() && !ports::possible(ports).is_empty()
        };
        let rules: Vec<RuleId> = class.all.iter().copied().filter(asks).collect();
        let patterns: BTreeSet<&HostPattern> = rules.iter().flat_map(|rule| hosts(*rule)).collect();
        if patterns.len() > MOST_PATTERNS {
            let of =
                |block: &BlockId| rules.iter().filter(|rule| self.program.rules.at(**rule).block == *block).count();
            let largest =
                blocks.iter().copied().max_by_key(|block| of(block)).map(|block| self.program.blocks.at(block));
            let name = largest.map_or("the policy", |block| block.name.as_str());
            self.errors.push(EmitError {
                code: "egress::target::capacity",
                origin: largest.map(|block| block.origin),
                message: format!(
                    "workloads of `{name}` may use {} patterns of names, and packets can be held against {MOST_PATTERNS}",
                    patterns.len()
                ),
                help: "say several names by one wildcard, or use the target `cilium`".to_owned(),
            });
        }
        rules
    }

    /// The destinations at which names change what addresses say, so that both are asked together.
    pub(super) fn changed_by_names(&self, class: &Class, by_name: &[RuleId], governance: &Governance) -> AddressSet {
        let program = self.program;
        let ports = |rule: RuleId| program.port_sets.at(program.rules.at(rule).ports);
        let meet = |one: RuleId, other: RuleId| !ports(one).intersection(ports(other)).is_empty();
        let changed = class.all.iter().copied().filter(|&rule| {
            let place = [rule];
            let place = Place::new(program, governance, &place);
            by_name.iter().any(|&name| name != rule && place.is_changed_by(name) && meet(rule, name))
        });
        destinations(program, changed)
    }

    /// What is asked before the default, by ports.
    pub(super) fn asked(&mut self, by_name: &[RuleId], governance: &Governance) -> Vec<(PortSet, usize)> {
        let program = self.program;
        let mut cells: BTreeMap<Vec<RuleId>, Vec<(u32, u32)>> = BTreeMap::new();
        let sets = by_name.iter().map(|rule| program.port_sets.at(program.rules.at(*rule).ports));
        self.cells.visit(sets, |first, last, members| {
            let members = members.iter().filter_map(|&member| by_name.get(usize::try_from(member).ok()?).copied());
            let members: Vec<RuleId> = members.collect();
            if !members.is_empty() {
                cells.entry(members).or_default().push((first, last));
            }
        });
        let mut by_hits: BTreeMap<usize, Vec<(u32, u32)>> = BTreeMap::new();
        for (members, ranges) in cells {
            if let Some(hits) = self.hits(&[], &members, governance) {
                by_hits.entry(hits).or_default().extend(ranges);
            }
        }
        let asked = by_hits.into_iter();
        let asked = asked.map(|(hits, ranges)| (ports::possible(&PortSet::from_line_ranges(ranges)), hits));
        let mut asked: Vec<(PortSet, usize)> = asked.filter(|(ports, _)| !ports.is_empty()).collect();
        asked.sort_by_cached_key(|(ports, hits)| (ports::count(ports), *hits));
        asked
    }

    /// The number of the hits at a place; nothing where no name changes anything.
    pub(super) fn hits(&mut self, by_address: &[RuleId], by_name: &[RuleId], governance: &Governance) -> Option<usize> {
        let place = Place::new(self.program, governance, by_address);
        match place.hits(by_name, &self.plan.hosts, self.gateways, &mut self.plan.outcomes) {
            Ok(hits) => (!hits.is_empty()).then(|| self.plan.named.number(hits)),
            Err(intricate) => {
                let error = self.refused(&intricate);
                self.errors.push(error);
                None
            }
        }
    }

    fn refused(&self, intricate: &Intricate) -> EmitError {
        let (Intricate::Three(rules) | Intricate::Many(rules)) = intricate;
        let audited = |rule: &&RuleId| self.program.blocks.at(self.program.rules.at(**rule).block).audit;
        let names: Vec<String> = rules.iter().map(|rule| format!("`{}`", self.program.rule_name(*rule))).collect();
        let audited = rules.iter().find(audited);
        let origin = audited.or(rules.first()).map(|rule| self.program.rules.at(*rule).origin);
        let (message, help) = match intricate {
            Intricate::Many(_) => (
                format!("the names of {} rules together say what becomes of a flow, in too many ways", rules.len()),
                "send all of these names through one gateway, and log all or none of them",
            ),
            Intricate::Three(_) if audited.is_some() => (
                format!("what the names of {} would change together cannot be said", names.join(", ")),
                "enforce the block, or take the gateway or the log from one of these rules",
            ),
            Intricate::Three(_) => (
                format!("only together the names of {} say what becomes of a flow", names.join(", ")),
                "send all of these names through one gateway, or log all or none of them",
            ),
        };
        let code = match (intricate, audited) {
            (Intricate::Many(_), _) => "egress::target::capacity",
            (Intricate::Three(_), Some(_)) => "egress::target::audit",
            (Intricate::Three(_), None) => "egress::target::host",
        };
        EmitError { code, origin, message, help: help.to_owned() }
    }
}
