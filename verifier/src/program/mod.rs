//! Programs as planes: what the source decides, list by list.
//!
//! In: a program and senders. Out: pieces and lists. The sweep that finds the pieces is not trusted: [`certificate`]
//! checks what it returned before anything is concluded from it.

mod certificate;
mod senders;

pub use senders::{Class, possible_senders};

use egress_ir::classes::{Keys, Segment, sweep};
use egress_ir::plane::{Entry, Guard, List, ListId, PortsId};
use egress_ir::{
    Action, Block, BlockId, BlockKind, DestinationSetId, Exemption, Flow, GatewayId, HostPattern, Outcome, Piece,
    Plane, Point, Program, RangeSet, RuleId, Sender, Speaking, Unclear, Verdict, Vocabulary,
};
use std::collections::{BTreeMap, BTreeSet};

/// A program as a plane.
#[derive(Debug)]
pub struct ProgramPlane<'p> {
    program: &'p Program,
    senders: Vec<Sender>,
    gateways: BTreeMap<GatewayId, GatewayId>,
}

impl<'p> ProgramPlane<'p> {
    /// What the program decides for these senders, whose members it must not be able to tell apart.
    #[must_use]
    pub fn new(program: &'p Program, senders: Vec<Sender>) -> Self {
        Self { program, senders, gateways: BTreeMap::new() }
    }

    /// The same with gateways called by other ids, so that those of two programs can be compared.
    #[must_use]
    pub fn calling_gateways(self, gateways: BTreeMap<GatewayId, GatewayId>) -> Self {
        Self { gateways, ..self }
    }

    /// The enforced blocks that speak about a sender, sorted.
    fn blocks(&self, sender: &Sender) -> Vec<BlockId> {
        let program = self.program;
        let speaks = |block: &Block| !block.audit && program.workloads_of(block).contains(&sender.workload);
        program.blocks.iter().filter(|(_, block)| speaks(block)).map(|(id, _)| id).collect()
    }

    fn gateway(&self, own: GatewayId) -> GatewayId {
        self.gateways.get(&own).copied().unwrap_or(own)
    }
}

impl Plane for ProgramPlane<'_> {
    fn senders(&self) -> &[Sender] {
        &self.senders
    }

    fn hosts(&self) -> BTreeSet<HostPattern> {
        let sets = self.program.rules.values().map(|rule| self.program.destination_sets.at(rule.destinations));
        sets.flat_map(|set| set.hosts.iter().cloned()).collect()
    }

    fn exemptions(&self) -> Vec<Exemption> {
        Vec::new()
    }

    fn pieces(&self, sender: usize, v6: bool, vocabulary: &mut Vocabulary) -> Result<Vec<Piece>, Unclear> {
        let Some(sender) = self.senders.get(sender) else { return Err(no_such_sender()) };
        let sets = &self.program.destination_sets;
        let inside = &self.program.cluster.inside;
        let mut reading = Reading::of(self, &self.blocks(sender), vocabulary);
        if v6 {
            reading.pieces(|set| &sets.at(set).addresses.v6, &inside.v6, vocabulary)
        } else {
            reading.pieces(|set| &sets.at(set).addresses.v4, &inside.v4, vocabulary)
        }
    }

    fn replay(&self, sender: usize, flow: &Flow) -> Result<Outcome, Unclear> {
        if sender >= self.senders.len() {
            return Err(no_such_sender());
        }
        let decision = Speaking::about(self.program, &flow.workload).decide(flow, |_| true);
        Ok(match decision.verdict {
            Verdict::Inside | Verdict::Ungoverned => Outcome::Passes(None),
            Verdict::Allowed(gateway) => Outcome::Passes(gateway.map(|own| self.gateway(own))),
            Verdict::Conflict(_) | Verdict::Denied => Outcome::Dropped,
        })
    }
}

fn no_such_sender() -> Unclear {
    Unclear { reason: "there is no such sender".to_owned() }
}

/// A rule with its words of the vocabulary.
struct Word {
    action: Action,
    gateway: Option<GatewayId>,
    ports: PortsId,
    /// What makes it match where the address does not.
    named: Option<Guard>,
}

/// What the blocks that speak about one sender say.
struct Reading {
    governed: bool,
    /// The destination sets of the rules, sorted, each with its rules.
    sets: Vec<(DestinationSetId, Vec<Word>)>,
}

impl Reading {
    fn of(plane: &ProgramPlane<'_>, blocks: &[BlockId], vocabulary: &mut Vocabulary) -> Self {
        let program = plane.program;
        let speaking = || blocks.iter().map(|&id| program.blocks.at(id));
        let governed = speaking().any(|block| block.kind == BlockKind::Policy);
        let mut sets: BTreeMap<DestinationSetId, Vec<Word>> = BTreeMap::new();
        let rules: BTreeSet<RuleId> = speaking().flat_map(|block| block.rules.iter().copied()).collect();
        for rule in rules.into_iter().map(|id| program.rules.at(id)) {
            let hosts = &program.destination_sets.at(rule.destinations).hosts;
            let named =
                (!hosts.is_empty()).then(|| vocabulary.guard(|name| hosts.iter().any(|host| host.matches(name))));
            let ports = program.port_sets.at(rule.ports);
            if !ports.is_empty() {
                sets.entry(rule.destinations).or_default().push(Word {
                    action: rule.action,
                    gateway: rule.gateway.map(|own| plane.gateway(own)),
                    ports: vocabulary.ports(ports),
                    named: named.flatten(),
                });
            }
        }
        Self { governed, sets: sets.into_iter().collect() }
    }

    fn pieces<'r, A: Point + Into<u128> + 'r>(
        &mut self,
        addresses: impl Fn(DestinationSetId) -> &'r RangeSet<A>,
        inside: &RangeSet<A>,
        vocabulary: &mut Vocabulary,
    ) -> Result<Vec<Piece>, Unclear> {
        let sets: Vec<&RangeSet<A>> = self.sets.iter().map(|(set, _)| addresses(*set)).collect();
        let (keys, segments) = cut(&sets, inside)?;
        let lists: Vec<ListId> = keys.lists().map(|(_, covering)| self.list(covering, vocabulary)).collect();
        let passes = vocabulary.list(&List { entries: Vec::new(), default: Outcome::Passes(None) });
        let list_of = |segment: &Segment<A>| lists.get(segment.key.index()).copied().unwrap_or(passes);
        let outside = segments.iter().map(|s| Piece { start: s.start.into(), end: s.end.into(), list: list_of(s) });
        let inside =
            inside.ranges().iter().map(|&(start, end)| Piece { start: start.into(), end: end.into(), list: passes });
        let mut pieces: Vec<Piece> = outside.chain(inside).collect();
        pieces.sort_unstable_by_key(|piece| piece.start);
        Ok(pieces)
    }

    /// The list of a key: denies, then what allows, or the other way about where nothing governs.
    fn list(&self, covering: &[u32], vocabulary: &mut Vocabulary) -> ListId {
        let mut matching: BTreeSet<(Guard, PortsId, Action, Option<GatewayId>)> = BTreeSet::new();
        for (index, (_, words)) in (0u32..).zip(&self.sets) {
            let covers = covering.binary_search(&index).is_ok();
            for word in words {
                let guard = if covers { Some(Guard::Always) } else { word.named };
                matching.extend(guard.map(|guard| (guard, word.ports, word.action, word.gateway)));
            }
        }
        policy_list(self.governed, &matching, vocabulary)
    }
}

/// Cuts the addresses outside `inside` where a set begins or ends; nobody sees a cut that is not right.
///
/// # Errors
/// The cut is wrong, which is a defect of ours.
pub(crate) fn cut<A: Point>(sets: &[&RangeSet<A>], inside: &RangeSet<A>) -> Result<(Keys, Vec<Segment<A>>), Unclear> {
    let mut keys = Keys::default();
    let segments = sweep(sets, inside, &mut keys);
    certificate::check(&segments, &keys, sets, inside)?;
    Ok((keys, segments))
}

/// A rule that matches at one place, or does so by names.
pub(crate) type Matching = (Guard, PortsId, Action, Option<GatewayId>);

/// The list of rules that match at one place: denies first; then, where a policy governs, what is allowed.
pub(crate) fn policy_list(governed: bool, matching: &BTreeSet<Matching>, vocabulary: &mut Vocabulary) -> ListId {
    let matching = &together(matching, vocabulary);
    let of = |wanted: Action| matching.iter().copied().filter(move |(_, _, action, _)| *action == wanted);
    let entry = |outcome| move |(guard, ports, ..): (Guard, PortsId, Action, _)| Entry { guard, ports, outcome };
    let mut entries: Vec<Entry> = of(Action::Deny).map(entry(Outcome::Dropped)).collect();
    let default = if governed { Outcome::Dropped } else { Outcome::Passes(None) };
    if governed {
        let routed: Vec<_> = of(Action::Allow).filter(|(.., gateway)| gateway.is_some()).collect();
        entries.extend(conflicts(&routed, vocabulary));
        entries.extend(routed.iter().map(|&(guard, ports, _, gateway)| Entry {
            guard,
            ports,
            outcome: Outcome::Passes(gateway),
        }));
        let plain = of(Action::Allow).filter(|(.., gateway)| gateway.is_none());
        entries.extend(plain.map(entry(Outcome::Passes(None))));
    }
    vocabulary.list(&List { entries, default })
}

/// The same with one entry for all rules that differ in nothing but names, so that names are told apart no more often
/// than it matters.
fn together(matching: &BTreeSet<Matching>, vocabulary: &mut Vocabulary) -> BTreeSet<Matching> {
    let mut together = BTreeSet::new();
    let mut named: BTreeMap<(PortsId, Action, Option<GatewayId>), BTreeSet<String>> = BTreeMap::new();
    for &(guard, ports, action, gateway) in matching {
        let Guard::Named(names) = guard else {
            together.insert((guard, ports, action, gateway));
            continue;
        };
        let classes = vocabulary.name_set_at(names).iter().filter_map(|class| usize::try_from(*class).ok());
        let names = classes.filter_map(|class| vocabulary.names().get(class).cloned());
        named.entry((ports, action, gateway)).or_default().extend(names);
    }
    for ((ports, action, gateway), names) in named {
        let guard = vocabulary.guard(|name| names.contains(name));
        together.extend(guard.map(|guard| (guard, ports, action, gateway)));
    }
    together
}

/// Flows that two allows send through different gateways do not pass.
fn conflicts(routed: &[(Guard, PortsId, Action, Option<GatewayId>)], vocabulary: &mut Vocabulary) -> Vec<Entry> {
    let mut found = BTreeSet::new();
    for (place, &(guard, ports, _, gateway)) in routed.iter().enumerate() {
        for &(other_guard, other_ports, ..) in routed.iter().skip(place + 1).filter(|other| other.3 != gateway) {
            let both = vocabulary.both(ports, other_ports);
            if let (false, Some(guard)) = (vocabulary.ports_at(both).is_empty(), guard.and(other_guard)) {
                found.insert(Entry { guard, ports: both, outcome: Outcome::Dropped });
            }
        }
    }
    found.into_iter().collect()
}
