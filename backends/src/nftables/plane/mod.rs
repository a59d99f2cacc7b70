//! A decoded ruleset as a plane: what it does with the first packet of every flow, all flows at once.
//!
//! In: a [`Ruleset`] (ours, edited by hand, of an earlier generation, or listed from a kernel), the program and the
//! inventory that say who sends. Out: a [`RulesetPlane`], which shares no code with the emitter and agrees with
//! [`Ruleset::judge`] on every flow. It never guesses: what cannot be said exactly is [`Unclear`].
//!
//! The packets in question are first packets of new connections in the original direction, without a priority or a mark
//! of their connection, with hop limit 64, and not to an address of the host itself. Their own mark may be anything. Each
//! is judged at the hooks of a [`Scope`]; where the ruleset has chains at postrouting, what passes is followed until it
//! leaves, later packets of its connection too, and the source address says through which gateway that is (`leaving`).
//! What clients have learned by names is open: look-ups in sets of names become conditions on the names of a destination.

mod branches;
mod cuts;
mod exempt;
mod follow;
mod interfaces;
mod leaving;
mod lists;
mod masks;
mod ports;
mod regions;
mod replays;
mod residue;
mod senders;
mod values;
mod walk;

use super::judge::{Judge, Packet};
use super::model::{Hook, Kind, Ruleset};
use branches::{UNNAMED, Way};
use egress_ir::address::to_bits;
use egress_ir::plane::ListId;
use egress_ir::{Exemption, Flow, HostPattern, Inventory, Outcome, Piece, Plane, Program, Sender, Unclear, Vocabulary};
use interfaces::Interface;
use leaving::Leaving;
use lists::Done;
use ports::{ANY, NONE};
use regions::PacketMark;
use replays::Replays;
use residue::{Residue, Setting};
use rustc_hash::FxHashMap;
use senders::{Group, Population};
use std::collections::BTreeSet;
use std::net::IpAddr;
use walk::{Walk, unclear};

/// Where packets must be judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The hooks at which every flow is judged. One at which the ruleset has no chain lets everything pass.
    pub hooks: BTreeSet<Hook>,
    /// The interfaces by which packets come in at prerouting; a final `*` stands for any ending. None: those that tests
    /// of the ruleset name, be it to judge or to pass over, `lo` apart; any interface where no test names one.
    pub interfaces: Vec<String>,
}

impl Scope {
    /// Where the target judges unless it is told otherwise, and wherever the ruleset does.
    ///
    /// That is prerouting, and output where the program declares no cluster, so that a ruleset that has lost one of
    /// its base chains is found wanting.
    #[must_use]
    pub fn of(ruleset: &Ruleset, program: &Program) -> Self {
        let mut hooks: BTreeSet<Hook> =
            ruleset.chains.values().filter_map(|chain| chain.base).map(|base| base.hook).collect();
        hooks.remove(&Hook::Postrouting);
        hooks.insert(Hook::Prerouting);
        if program.cluster.name.is_none() {
            hooks.insert(Hook::Output);
        }
        Self { hooks, interfaces: Vec::new() }
    }
}

/// What a ruleset does with all flows.
#[derive(Debug)]
pub struct RulesetPlane<'r> {
    judge: Judge<'r>,
    leaving: Leaving<'r>,
    replays: Replays,
    /// Whether only chains of type `route` judge what the host itself sends.
    routes_again: bool,
    settings: Vec<(Setting, Residue)>,
    senders: Vec<Sender>,
    /// The groups and the places of their settings.
    groups: Vec<(Group, usize)>,
}

/// The plane of a ruleset at the hooks of [`Scope::of`].
///
/// # Errors
/// As [`plane_within`].
pub fn plane<'r>(
    ruleset: &'r Ruleset,
    program: &Program,
    inventory: Option<&Inventory>,
) -> Result<RulesetPlane<'r>, Unclear> {
    plane_within(ruleset, program, inventory, &Scope::of(ruleset, program))
}

/// The plane of a ruleset at these hooks and interfaces.
///
/// Pods are judged at prerouting, because their packets arrive from outside the host; at output only where nothing else
/// is hooked. Addresses are judged at each hook. Senders that are judged at two hooks, by interfaces that the ruleset
/// tells apart, or in two families are two senders each.
///
/// # Errors
/// [`Unclear`] when a policy in force chooses pods and no inventory says which addresses they have.
pub fn plane_within<'r>(
    ruleset: &'r Ruleset,
    program: &Program,
    inventory: Option<&Inventory>,
    scope: &Scope,
) -> Result<RulesetPlane<'r>, Unclear> {
    let unknown = |block: &&egress_ir::Block| !block.audit && program.workloads_of(block).names_pods();
    if let Some(block) = program.blocks.values().find(unknown).filter(|_| inventory.is_none()) {
        let name = &block.name;
        return Err(unclear(format!(
            "`{name}` chooses pods by labels, and without an inventory their addresses are unknown"
        )));
    }
    let population = Population::new(program, inventory);
    let judge = Judge::new(ruleset);
    let mut plane = RulesetPlane {
        judge,
        leaving: Leaving::new(ruleset, program),
        replays: Replays::new(ruleset, program),
        routes_again: routes_again(ruleset),
        settings: Vec::new(),
        senders: Vec::new(),
        groups: Vec::new(),
    };
    for &hook in &scope.hooks {
        let with_pods = hook == Hook::Prerouting || !scope.hooks.contains(&Hook::Prerouting);
        for interface in Interface::kinds(ruleset, hook, &scope.interfaces) {
            for v6 in [false, true] {
                let setting = Setting { hook, interface: interface.clone(), v6 };
                plane.add(ruleset, setting, &population, with_pods);
            }
        }
    }
    Ok(plane)
}

impl RulesetPlane<'_> {
    /// The hook at which a sender is judged, and an interface by which it comes in there, or leaves.
    #[must_use]
    pub fn place(&self, sender: usize) -> Option<(Hook, &str)> {
        let (_, setting, _) = self.group(sender).ok()?;
        Some((setting.hook, &setting.interface.example))
    }

    /// Adds those who send in a setting, unless the ruleset treats them as in one that is there.
    fn add(&mut self, ruleset: &Ruleset, setting: Setting, population: &Population<'_>, with_pods: bool) {
        let residue = Residue::new(ruleset, &setting);
        let same = |(other, known): &(Setting, Residue)| {
            other.hook == setting.hook && other.v6 == setting.v6 && *known == residue
        };
        if self.settings.iter().any(same) {
            return;
        }
        for group in population.groups(&residue, setting.v6, with_pods) {
            self.senders.push(group.sender.clone());
            self.groups.push((group, self.settings.len()));
        }
        self.settings.push((setting, residue));
    }

    /// The outcome, if routes can follow from it: what the host itself sends is routed before it is marked, and once more
    /// by chains of type `route` only.
    fn routed(&self, hook: Hook, outcome: Outcome) -> Result<Outcome, Unclear> {
        let Outcome::Passes(Some(_)) = outcome else { return Ok(outcome) };
        if hook == Hook::Output && !self.routes_again {
            return Err(unclear("what the host sends is marked for a gateway and not routed once more"));
        }
        Ok(outcome)
    }

    /// What packets of a sender do on one segment.
    fn done(
        &self,
        (group, setting): (&Group, &Setting),
        walk: &mut Walk<'_>,
        segment: (u128, u128),
        ways: &mut FxHashMap<PacketMark, Outcome>,
    ) -> Result<Done, Unclear> {
        let mut done = Done::default();
        let mut named: Vec<(Way, Outcome, u32)> = Vec::new();
        for region in walk.through(segment, ANY)?.iter() {
            let outcome = match ways.get(&region.packet_mark) {
                Some(outcome) => *outcome,
                None => {
                    let source = to_bits(group.address);
                    let outcome = self.leaving.outcome(setting.v6, source, region.packet_mark)?;
                    let outcome = self.routed(setting.hook, outcome)?;
                    ways.insert(region.packet_mark, outcome);
                    outcome
                }
            };
            if region.way != UNNAMED {
                named.push((region.way, outcome, region.ports));
            } else if outcome != Outcome::Dropped {
                let ports = done.unnamed.entry(outcome).or_insert(NONE);
                *ports = walk.algebra.join(*ports, region.ports);
            }
        }
        named.extend(walk.stopped.drain(..).map(|(way, ports)| (way, Outcome::Dropped, ports)));
        named.sort_by(|one, other| walk.branches.order(one.0, other.0).then_with(|| one.cmp(other)));
        let decided = named.into_iter().map(|(way, outcome, ports)| (walk.branches.hosts(way), outcome, ports));
        done.named = decided.collect();
        Ok(done)
    }

    /// The group of a sender and where it is judged.
    fn group(&self, sender: usize) -> Result<(&Group, &Setting, &Residue), Unclear> {
        let found = self.groups.get(sender).and_then(|(group, at)| Some((group, self.settings.get(*at)?)));
        found
            .map(|(group, (setting, residue))| (group, setting, residue))
            .ok_or_else(|| unclear("there is no such sender"))
    }
}

impl Plane for RulesetPlane<'_> {
    fn senders(&self) -> &[Sender] {
        &self.senders
    }

    /// The patterns of the sets of names that rules look into.
    fn hosts(&self) -> BTreeSet<HostPattern> {
        self.settings.iter().flat_map(|(_, residue)| residue.hosts.iter().cloned()).collect()
    }

    /// Neighbour discovery on the link, as far as the ruleset lets it pass at prerouting without asking who sends.
    fn exemptions(&self) -> Vec<Exemption> {
        exempt::exemptions(&self.settings)
    }

    fn pieces(&self, sender: usize, v6: bool, vocabulary: &mut Vocabulary) -> Result<Vec<Piece>, Unclear> {
        let (group, setting, residue) = self.group(sender)?;
        if setting.v6 != v6 {
            return Err(unclear("the sender has no address of this family"));
        }
        let source = Some(to_bits(group.address));
        let mut walk = Walk::new(residue, source);
        let mut lists: FxHashMap<Done, ListId> = FxHashMap::default();
        let mut ways: FxHashMap<PacketMark, Outcome> = FxHashMap::default();
        let mut pieces: Vec<Piece> = Vec::new();
        for (start, end) in cuts::segments(residue, source) {
            let done = self.done((group, setting), &mut walk, (start, end), &mut ways)?;
            let list = match lists.get(&done) {
                Some(list) => *list,
                None => {
                    let list = lists::list(&walk.algebra, &residue.hosts, &done, vocabulary)?;
                    lists.insert(done, list);
                    list
                }
            };
            match pieces.last_mut() {
                Some(last) if last.list == list => last.end = end,
                _ => pieces.push(Piece { start, end, list }),
            }
        }
        Ok(pieces)
    }

    /// By [`Judge`], from the address of the flow's own workload, which must be a member of the sender.
    fn replay(&self, sender: usize, flow: &Flow) -> Result<Outcome, Unclear> {
        let (group, setting, _) = self.group(sender)?;
        let source = group.address_of(&flow.workload).ok_or_else(|| unclear("the flow is of another sender"))?;
        if flow.destination.address.is_ipv6() != setting.v6 {
            return Err(unclear("the sender has no address of this family"));
        }
        let packet = packet(setting, source, flow);
        let judgement = self.judge.judge(&packet);
        if !judgement.passes {
            return Ok(Outcome::Dropped);
        }
        let outcome = self.replays.outcome(&self.judge, &packet, judgement.packet_mark)?;
        self.routed(setting.hook, outcome)
    }
}

/// Whether only chains of type `route` judge what the host itself sends; those that an earlier generation left empty
/// judge nothing.
fn routes_again(ruleset: &Ruleset) -> bool {
    let bases = ruleset.base_chains(Hook::Output);
    bases.iter().all(|(_, _, base, chain)| base.kind == Kind::Route || chain.rules.is_empty())
}

/// The first packet of a flow in a setting.
fn packet(setting: &Setting, source: IpAddr, flow: &Flow) -> Packet {
    let mut packet = Packet::new(setting.hook, source, flow.destination.address, flow.port);
    packet.names.clone_from(&flow.destination.names);
    let interface = match setting.hook {
        Hook::Prerouting => &mut packet.input,
        Hook::Output | Hook::Postrouting => &mut packet.output,
    };
    interface.clone_from(&setting.interface.example);
    packet
}
