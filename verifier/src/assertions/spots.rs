//! Spots: flows that all rules and one assertion treat alike, and what is decided there.
//!
//! In: a place of a group. Out: each spot of an assertion with the rules that match. Native and fast; what is concluded
//! from it is proved or replayed.

use super::choices::{Choice, choices};
use super::field::{Cut, Field, Group, Place, Statement};
use super::meaning::Demand;
use super::region::{Names, Part};
use crate::lists::TooManyNames;
use egress_ir::classes::PortCells;
use egress_ir::plane::NamesId;
use egress_ir::{Action, Cancelled, GatewayId, Outcome, PortSet, RuleId};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::rc::Rc;

/// The rules that match at a spot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Here {
    /// Whether a policy governs.
    pub(crate) governed: bool,
    /// The denies, sorted.
    pub(crate) denies: Vec<RuleId>,
    /// The allows, sorted, with their gateways.
    pub(crate) allows: Vec<(RuleId, Option<GatewayId>)>,
}

impl Here {
    /// What is decided.
    pub(crate) fn outcome(&self) -> Outcome {
        decide(self.governed, !self.denies.is_empty(), self.allows.iter().map(|(_, gateway)| *gateway))
    }

    /// What would be decided without a rule.
    pub(crate) fn outcome_without(&self, rule: RuleId) -> Outcome {
        let denied = self.denies.iter().any(|&deny| deny != rule);
        let allows = self.allows.iter().filter(|(allow, _)| *allow != rule);
        decide(self.governed, denied, allows.map(|(_, gateway)| *gateway))
    }

    /// The rules of which each alone makes what is decided unacceptable by going.
    pub(crate) fn pins(&self, demand: Demand) -> Vec<RuleId> {
        let candidates: Vec<RuleId> = match self.denies.as_slice() {
            [] => self.allows.iter().map(|(rule, _)| *rule).collect(),
            [deny] => vec![*deny],
            // Another deny goes on denying, whatever goes.
            _ => Vec::new(),
        };
        candidates.into_iter().filter(|&rule| !demand.accepts(self.outcome_without(rule))).collect()
    }
}

fn decide(governed: bool, denied: bool, allows: impl Iterator<Item = Option<GatewayId>>) -> Outcome {
    if denied {
        return Outcome::Dropped;
    }
    if !governed {
        return Outcome::Passes(None);
    }
    let (mut allowed, mut through): (bool, Option<GatewayId>) = (false, None);
    for gateway in allows {
        allowed = true;
        match (through, gateway) {
            (Some(one), Some(two)) if one != two => return Outcome::Dropped,
            (None, Some(_)) => through = gateway,
            _ => {}
        }
    }
    if allowed { Outcome::Passes(through) } else { Outcome::Dropped }
}

/// A walk over a field, as if some rules had not been written.
pub(crate) struct Walk<'f, 'p> {
    pub(crate) field: &'f Field<'p>,
    removed: &'f BTreeSet<RuleId>,
    ports: PortCells,
}

/// A place with what can be asked about it.
pub(crate) struct Stop<'w, 'p> {
    pub(crate) field: &'w Field<'p>,
    /// The place of the group among all.
    pub(crate) number: usize,
    pub(crate) group: &'w Group,
    pub(crate) v6: bool,
    pub(crate) ranges: &'w [(u128, u128)],
    /// The rules that match by address, and those that may match by name, sorted; without the removed ones.
    pub(crate) rules: Vec<(RuleId, Option<NamesId>)>,
    /// The elementary runs of ports: first, last, and where their members begin.
    runs: Vec<(u32, u32, usize)>,
    /// The rules of all runs, as places of `rules`.
    members: Vec<u32>,
    /// The statements that speak here.
    pub(crate) spoken: Vec<Spoken<'w, 'p>>,
}

/// A statement that speaks about a place.
pub(crate) struct Spoken<'w, 'p> {
    pub(crate) number: usize,
    pub(crate) statement: &'w Statement<'p>,
    pub(crate) parts: &'w [Part],
    /// The members of the group of whom it speaks.
    pub(crate) senders: &'w [usize],
    /// The names to try.
    pub(crate) choices: Result<Rc<[Choice]>, TooManyNames>,
}

/// A run of ports of an assertion at a place, for some names.
pub(crate) struct Spot<'s> {
    pub(crate) choice: &'s Choice,
    part: &'s Part,
    first: u32,
    last: u32,
    pub(crate) here: &'s Here,
}

impl Spot<'_> {
    /// The ports.
    pub(crate) fn ports(&self) -> PortSet {
        PortSet::from_line_ranges([(self.first, self.last)]).intersection(&self.part.ports)
    }
}

/// Names to try by what they depend on: the assertion's hosts, and whether plain allows are told from others.
type Tried = FxHashMap<(Option<NamesId>, bool), Result<Rc<[Choice]>, TooManyNames>>;

impl<'f, 'p> Walk<'f, 'p> {
    pub(crate) fn new(field: &'f Field<'p>, removed: &'f BTreeSet<RuleId>) -> Self {
        Self { field, removed, ports: PortCells::default() }
    }

    /// Visits every place where one of the wanted statements speaks, and with `everywhere` all others too.
    ///
    /// # Errors
    /// The first one of `visit`; [`Cancelled`].
    pub(crate) fn run<E: From<Cancelled>>(
        &mut self,
        wanted: &dyn Fn(usize) -> bool,
        everywhere: bool,
        mut visit: impl FnMut(&Stop<'_, 'p>) -> Result<(), E>,
    ) -> Result<(), E> {
        let field = self.field;
        for (number, group) in field.groups.iter().enumerate() {
            let mut tried = Tried::default();
            for (v6, cut) in [false, true].into_iter().zip(&group.cuts) {
                let Some(cut) = cut else { continue };
                let about = group.about.get(usize::from(v6)).map_or(&[][..], |about| about);
                if !everywhere && !about.iter().any(|(number, _)| wanted(*number)) {
                    continue;
                }
                for place in group.places(cut) {
                    field.stop.check()?;
                    let spoken = self.spoken(group, cut, v6, &place, wanted, &mut tried);
                    if everywhere || !spoken.is_empty() {
                        visit(&self.stop((number, group), v6, place, spoken))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn spoken<'g>(
        &self,
        group: &'g Group,
        cut: &'g Cut,
        v6: bool,
        place: &Place<'g>,
        wanted: &dyn Fn(usize) -> bool,
        tried: &mut Tried,
    ) -> Vec<Spoken<'g, 'p>>
    where
        'f: 'g,
    {
        let field = self.field;
        let mut spoken = Vec::new();
        let about = group.about.get(usize::from(v6)).map_or(&[][..], |about| about);
        for (at, (number, senders)) in about.iter().enumerate() {
            let Some(statement) = field.statements.get(*number).filter(|_| wanted(*number)) else { continue };
            let region = statement.regions.get(usize::from(v6));
            let parts =
                region.map_or(&[][..], |region| region.parts(group.covers(place, at), group.is_special(cut, place)));
            if parts.is_empty() {
                continue;
            }
            let through = matches!(statement.demand, Demand::Through(_));
            let choices = tried.entry((statement.hosts, through)).or_insert_with(|| {
                let named: Vec<_> = group.named.iter().map(|(_, named)| *named).collect();
                choices(&field.vocabulary, &named, statement.hosts, statement.demand, field.name_limit)
            });
            spoken.push(Spoken { number: *number, statement, parts, senders, choices: choices.clone() });
        }
        spoken
    }

    fn stop<'g>(
        &mut self,
        (number, group): (usize, &'g Group),
        v6: bool,
        place: Place<'g>,
        spoken: Vec<Spoken<'g, 'p>>,
    ) -> Stop<'g, 'p>
    where
        'f: 'g,
    {
        let program = self.field.program;
        let mut rules = group.rules(&place);
        if !self.removed.is_empty() {
            rules.retain(|(rule, _)| !self.removed.contains(rule));
        }
        let (mut runs, mut members) = (Vec::new(), Vec::new());
        let ports = rules.iter().map(|(rule, _)| program.port_sets.at(program.rules.at(*rule).ports));
        self.ports.visit(ports, |first, last, inside| {
            runs.push((first, last, members.len()));
            members.extend_from_slice(inside);
        });
        Stop { field: self.field, number, group, v6, ranges: place.ranges, rules, runs, members, spoken }
    }
}

impl Stop<'_, '_> {
    /// First port, last port and rules of each elementary run.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u32, u32, &[u32])> {
        let ends = self.runs.iter().skip(1).map(|run| run.2).chain([self.members.len()]);
        self.runs
            .iter()
            .zip(ends)
            .map(|(&(first, last, start), end)| (first, last, self.members.get(start..end).unwrap_or(&[])))
    }

    /// The rules that match on a run for some names.
    pub(crate) fn here(&self, members: &[u32], choice: Option<&Choice>) -> Here {
        let mut here = Here { governed: self.group.governed, ..Here::default() };
        for &(rule, guard) in members.iter().filter_map(|&member| self.rules.get(member as usize)) {
            if guard.is_none_or(|guard| choice.is_some_and(|choice| choice.fires(guard))) {
                let written = self.field.program.rules.at(rule);
                match written.action {
                    Action::Deny => here.denies.push(rule),
                    Action::Allow => here.allows.push((rule, written.gateway)),
                }
            }
        }
        here
    }

    /// Visits every spot of a statement; those of fewer names come first.
    pub(crate) fn spots(&self, spoken: &Spoken<'_, '_>, mut visit: impl FnMut(&Spot<'_>)) -> Result<(), TooManyNames> {
        let choices = spoken.choices.clone()?;
        for choice in choices.iter() {
            let own = spoken.statement.hosts.is_some_and(|hosts| choice.fires(hosts));
            for part in spoken.parts.iter().filter(|part| part.names.accepts(own)) {
                for (first, last, members) in self.runs().filter(|(first, last, _)| part.meets(*first, *last)) {
                    let named =
                        |&member: &u32| self.rules.get(member as usize).is_some_and(|(_, guard)| guard.is_some());
                    // Names that make no rule match are as good as none, unless the statement asks for them.
                    if choice.classes.is_empty() || part.names == Names::Within || members.iter().any(named) {
                        visit(&Spot { choice, part, first, last, here: &self.here(members, Some(choice)) });
                    }
                }
            }
        }
        Ok(())
    }

    /// What is wrong for a statement: the spots that are decided as it does not want them.
    pub(crate) fn wrong(
        &self,
        spoken: &Spoken<'_, '_>,
        mut visit: impl FnMut(&Spot<'_>, Outcome),
    ) -> Result<(), TooManyNames> {
        self.spots(spoken, |spot| {
            let outcome = spot.here.outcome();
            if !spoken.statement.demand.accepts(outcome) {
                visit(spot, outcome);
            }
        })
    }
}
