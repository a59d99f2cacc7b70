//! What a walk over all cells learns about the rules.
//!
//! In: one cell after the other, with the rules that match there. Out: per rule whether it ever decides, whether it is
//! ever needed, and what stands in its way; per pair of rules the cell where they meet. Cells are kept, not flows:
//! only what is reported is turned into a witness.

use egress_ir::address::from_bits;
use egress_ir::{Action, BlockKind, GatewayId, Port, PortSet, Program, RuleId};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A block of flows that all rules treat alike: one group, one segment, one cell of ports, one set of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// The group's number.
    pub(super) group: u32,
    /// Whether the addresses are IPv6.
    pub(super) v6: bool,
    /// The first address as a number.
    pub(super) start: u128,
    /// The last address as a number.
    pub(super) end: u128,
    /// The first and last place on the port line.
    pub(super) ports: (u32, u32),
    /// The names of the destination.
    pub(super) names: Vec<String>,
}

impl Cell {
    /// The number of addresses less one, then the number of ports less one.
    pub(super) fn width(&self) -> (u128, u32) {
        (self.end - self.start, self.ports.1 - self.ports.0)
    }

    /// The first and the last address.
    pub(super) fn addresses(&self) -> (IpAddr, IpAddr) {
        (from_bits(self.v6, self.start), from_bits(self.v6, self.end))
    }

    /// The port a person would try: a well-known one where the cell has one, else its first; nothing when no packet of
    /// the family can have any port of the cell.
    pub(super) fn port(&self) -> Option<Port> {
        PortSet::from_line_ranges([self.ports]).familiar(self.v6)
    }
}

/// Facts about one rule.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleFacts {
    /// The first cell that the rule matches.
    pub(super) matches: Option<Cell>,
    /// Whether it decides somewhere: an allow where no deny matches, a deny anywhere.
    pub(super) alive: bool,
    /// Whether some flow would be decided differently without it.
    pub(super) needed: bool,
    /// As long as it is not needed: rules that would decide in its place, a few of them.
    pub(super) covers: BTreeSet<RuleId>,
    /// As long as it is not needed: whether somewhere the default deny would decide in its place.
    pub(super) default_covers: bool,
}

/// Facts about all rules.
#[derive(Debug)]
pub(super) struct Facts<'p> {
    program: &'p Program,
    rules: Vec<RuleFacts>,
    /// The widest cell in which a deny (second) cuts an allow (first).
    pub(super) cuts: FxHashMap<(RuleId, RuleId), Cell>,
    /// Where a deny by address (second) stops an allow by name (first): a host allow alone never says which addresses
    /// are meant, so that this is a guard rather than a contradiction.
    pub(super) guards: FxHashMap<(RuleId, RuleId), Cell>,
    /// The widest cell in which two allows name different gateways.
    pub(super) conflicts: FxHashMap<(RuleId, RuleId), Cell>,
    /// Where an allow lets a name resolve to an address that is not public.
    pub(super) rebindings: FxHashMap<RuleId, Cell>,
}

/// How many covering rules are kept for a rule: more would not be read.
const MOST_COVERS: usize = 8;

impl<'p> Facts<'p> {
    /// No facts yet.
    pub(super) fn of(program: &'p Program) -> Self {
        let rules = vec![RuleFacts::default(); program.rules.len()];
        let (cuts, guards, conflicts) = (FxHashMap::default(), FxHashMap::default(), FxHashMap::default());
        Self { program, rules, cuts, guards, conflicts, rebindings: FxHashMap::default() }
    }

    /// The facts about a rule.
    pub(super) fn rule(&self, rule: RuleId) -> Option<&RuleFacts> {
        self.rules.get(egress_ir::Id::index(rule))
    }

    /// Notes what happens in a cell of a group; `matching` are the rules that match there, `by_address` those of them
    /// that do so whatever the names are, both sorted.
    pub(super) fn note(&mut self, governed: bool, matching: &[RuleId], by_address: &[RuleId], cell: impl Fn() -> Cell) {
        for &rule in matching {
            self.change(rule, |facts| {
                facts.matches.get_or_insert_with(&cell);
            });
        }
        let denied = matching.iter().any(|&rule| self.program.rules.at(rule).action == Action::Deny);
        if denied {
            self.note_cuts(matching, by_address, &cell);
            self.note_denied(governed, matching);
        } else if governed {
            self.note_allowed(matching, &cell);
        }
    }

    fn note_cuts(&mut self, matching: &[RuleId], by_address: &[RuleId], cell: &impl Fn() -> Cell) {
        let program = self.program;
        let of = |action| matching.iter().copied().filter(move |&rule| program.rules.at(rule).action == action);
        let addressed = |rule: &RuleId| by_address.len() == matching.len() || by_address.binary_search(rule).is_ok();
        for allow in of(Action::Allow) {
            for deny in of(Action::Deny) {
                let guards = !addressed(&allow) && addressed(&deny);
                let pairs = if guards { &mut self.guards } else { &mut self.cuts };
                widen(pairs, (allow, deny), cell);
            }
        }
    }

    fn note_denied(&mut self, governed: bool, matching: &[RuleId]) {
        let program = self.program;
        let of = |action| matching.iter().copied().filter(move |&rule| program.rules.at(rule).action == action);
        let (several, allowed) = (of(Action::Deny).nth(1).is_some(), of(Action::Allow).next().is_some());
        for deny in of(Action::Deny) {
            let guards = program.blocks.at(program.rules.at(deny).block).kind == BlockKind::Guardrail;
            let decides_alone = !several && (allowed || !governed || guards);
            let needed = decides_alone || self.logs_alone(deny, matching);
            self.decides(deny, needed, of(Action::Deny), !several);
        }
        // A denied flow leaves an audit record if only an allow asks for one.
        for allow in of(Action::Allow).filter(|&allow| self.logs_alone(allow, matching)).collect::<Vec<_>>() {
            self.change(allow, |facts| facts.needed = true);
        }
    }

    fn note_allowed(&mut self, matching: &[RuleId], cell: &impl Fn() -> Cell) {
        let program = self.program;
        let gateway = |rule: RuleId| program.rules.at(rule).gateway;
        self.note_conflicts(matching, gateway, cell);
        for &allow in matching {
            let named_by_others =
                |wanted: GatewayId| matching.iter().any(|&r| r != allow && gateway(r) == Some(wanted));
            let alone = matching.len() == 1 || gateway(allow).is_some_and(|wanted| !named_by_others(wanted));
            let needed = alone || self.logs_alone(allow, matching);
            self.decides(allow, needed, matching.iter().copied(), false);
        }
    }

    fn note_conflicts(
        &mut self,
        matching: &[RuleId],
        gateway: impl Fn(RuleId) -> Option<GatewayId>,
        cell: &impl Fn() -> Cell,
    ) {
        let routed: Vec<RuleId> = matching.iter().copied().filter(|&rule| gateway(rule).is_some()).collect();
        for (place, &first) in routed.iter().enumerate() {
            for &second in routed.iter().skip(place + 1).filter(|&&second| gateway(second) != gateway(first)) {
                widen(&mut self.conflicts, (first, second), cell);
            }
        }
    }

    /// Whether the flow would leave no audit record without this rule.
    fn logs_alone(&self, rule: RuleId, matching: &[RuleId]) -> bool {
        let logs = |rule: RuleId| self.program.rules.at(rule).log;
        logs(rule) && !matching.iter().any(|&other| other != rule && logs(other))
    }

    fn decides(&mut self, rule: RuleId, needed: bool, covers: impl Iterator<Item = RuleId>, by_default: bool) {
        self.change(rule, |facts| {
            facts.alive = true;
            if needed {
                facts.needed = true;
            } else if !facts.needed {
                facts.default_covers |= by_default;
                let room = MOST_COVERS.saturating_sub(facts.covers.len());
                facts.covers.extend(covers.filter(|&cover| cover != rule).take(room));
            }
        });
    }

    fn change(&mut self, rule: RuleId, change: impl FnOnce(&mut RuleFacts)) {
        if let Some(facts) = self.rules.get_mut(egress_ir::Id::index(rule)) {
            change(facts);
        }
    }
}

/// Keeps the widest cell of a pair.
fn widen(pairs: &mut FxHashMap<(RuleId, RuleId), Cell>, pair: (RuleId, RuleId), cell: &impl Fn() -> Cell) {
    let known = pairs.entry(pair).or_insert_with(cell);
    let here = cell();
    if here.width() > known.width() {
        *known = here;
    }
}
