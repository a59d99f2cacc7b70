//! The field: everybody who sends and everything that assertions and rules tell apart, cut once.
//!
//! In: a program and who is spoken about. Out: groups of senders about whom the same blocks speak, each with a cut of
//! the addresses by rules and assertions, which is checked as [`crate::program`] checks its own.

use super::Population;
use super::choices::Named;
use super::meaning::{Demand, not_public};
use super::region::Region;
use crate::compare::Fault;
use crate::lists::on_line;
use crate::program::{Class, cut, possible_senders};
use crate::prover::Prover;
use crate::solver::{Formula, widened};
use egress_ir::classes::Keys;
use egress_ir::plane::{Guard, NamesId};
use egress_ir::{
    AddressSet, Assertion, AssertionId, BlockId, BlockKind, Claim, DestinationSetId, Id, Point, PortSetId, Program,
    RangeSet, RuleId, Sender, Stop, Unclear, Vocabulary, WorkloadSetId,
};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is told apart.
pub(crate) struct Field<'p> {
    pub(crate) program: &'p Program,
    /// Everybody who sends; others name them by their places.
    pub(crate) senders: Vec<Sender>,
    /// The assertions, in order.
    pub(crate) statements: Vec<Statement<'p>>,
    /// Senders by the blocks that speak about them.
    pub(crate) groups: Vec<Group>,
    pub(crate) vocabulary: Vocabulary,
    /// Ends walks over the field.
    pub(crate) stop: Stop,
    /// How many sets of names may be tried for one list of rules.
    pub(crate) name_limit: usize,
    /// The port sets as formulas, by id.
    lines: Vec<Formula>,
}

/// An assertion.
pub(crate) struct Statement<'p> {
    pub(crate) id: AssertionId,
    pub(crate) assertion: &'p Assertion,
    pub(crate) demand: Demand,
    /// What a name must satisfy to be one of its hosts.
    pub(crate) hosts: Option<NamesId>,
    /// What it speaks about, of IPv4 and of IPv6.
    pub(crate) regions: [Region; 2],
    /// The senders of whom it speaks, sorted.
    pub(crate) senders: BTreeSet<usize>,
    /// Whether its own workloads are none.
    pub(crate) nobody: bool,
}

/// Senders about whom the same enforced blocks speak.
pub(crate) struct Group {
    pub(crate) blocks: Vec<BlockId>,
    /// Whether one of the blocks is a policy.
    pub(crate) governed: bool,
    /// The senders, sorted.
    pub(crate) members: Vec<usize>,
    /// The rules that match by name.
    pub(crate) named: Vec<(RuleId, Named)>,
    /// For IPv4 and IPv6 the statements that speak about some member, with these members.
    pub(crate) about: [Vec<(usize, Vec<usize>)>; 2],
    /// The cut of IPv4 and of IPv6 addresses, as far as somebody sends there and anything is asked.
    pub(crate) cuts: [Option<Cut>; 2],
    is_cut: bool,
    /// The rules by their destinations.
    sets: Vec<(DestinationSetId, Vec<RuleId>)>,
}

/// First and last address of some runs.
type Ranges = Vec<(u128, u128)>;

/// A cut of the addresses of one family, outside the cluster.
pub(crate) struct Cut {
    keys: Keys,
    /// For each key its addresses.
    ranges: Vec<Ranges>,
    /// How many statements speak about some member of the group.
    about: usize,
}

/// Addresses on which no rule and no assertion changes what it says.
#[derive(Clone, Copy)]
pub(crate) struct Place<'f> {
    pub(crate) ranges: &'f [(u128, u128)],
    /// The sets that cover it: those of the rules, those of the statements of [`Group::about`], what is not public.
    list: &'f [u32],
}

impl<'p> Field<'p> {
    /// The field, cut for all groups; `everywhere` also for senders about whom no assertion speaks.
    ///
    /// # Errors
    /// [`Fault`]: the workload sets overlap in too many ways, or a cut is wrong.
    pub(crate) fn new(
        program: &'p Program,
        population: Population<'_>,
        everywhere: bool,
        prover: &mut Prover,
    ) -> Result<Self, Fault> {
        let mut field = Self::uncut(program, population, prover)?;
        field.cut(|_| true, everywhere)?;
        Ok(field)
    }

    /// The field before any group is cut.
    ///
    /// # Errors
    /// [`Fault`]: the workload sets overlap in too many ways.
    pub(crate) fn uncut(program: &'p Program, population: Population<'_>, prover: &mut Prover) -> Result<Self, Fault> {
        let classes = classes(program, population, prover)?;
        let mut vocabulary =
            Vocabulary::new(&program.destination_sets.values().flat_map(|set| set.hosts.iter().cloned()).collect());
        let guards = guards(program, &mut vocabulary);
        let statements: Vec<Statement<'p>> =
            program.assertions.iter().map(|(id, it)| statement(program, id, it, &classes, &guards)).collect();
        let mut by_blocks: BTreeMap<Vec<BlockId>, Vec<usize>> = BTreeMap::new();
        for (place, class) in classes.iter().enumerate() {
            by_blocks.entry(blocks_about(program, &class.sets)).or_default().push(place);
        }
        let senders: Vec<Sender> = classes.into_iter().map(|class| class.sender).collect();
        let groups = by_blocks.into_iter().map(|(blocks, members)| {
            let mut group = group(program, blocks, members, &guards);
            group.about = [false, true].map(|v6| group.about(&senders, &statements, v6));
            group
        });
        let groups = groups.collect();
        let lines = program.port_sets.values().map(|ports| on_line(&widened(ports.line_ranges()))).collect();
        let name_limit = prover.limits().name_combinations;
        let stop = prover.stop().clone();
        Ok(Self { program, senders, statements, groups, vocabulary, stop, name_limit, lines })
    }

    /// Cuts the groups that are wanted and not cut yet, by their places.
    ///
    /// # Errors
    /// [`Fault`]: a cut is wrong.
    pub(crate) fn cut(&mut self, wanted: impl Fn(usize) -> bool, everywhere: bool) -> Result<(), Fault> {
        let Self { program, senders, statements, groups, stop, .. } = self;
        for (_, group) in groups.iter_mut().enumerate().filter(|(number, group)| !group.is_cut && wanted(*number)) {
            for v6 in [false, true] {
                stop.check()?;
                let cut = group.cut(program, senders, statements, v6, everywhere)?;
                if let Some(slot) = group.cuts.get_mut(usize::from(v6)) {
                    *slot = cut;
                }
            }
            group.is_cut = true;
        }
        Ok(())
    }

    /// A port set as a formula.
    pub(crate) fn line(&self, ports: PortSetId) -> Formula {
        self.lines.get(ports.index()).cloned().unwrap_or(Formula::Constant(false))
    }
}

/// Everybody who is spoken about, parted by blocks and assertions.
fn classes(program: &Program, population: Population<'_>, prover: &mut Prover) -> Result<Vec<Class>, Fault> {
    let enforced = program.blocks.values().filter(|block| !block.audit).map(|block| block.workloads);
    let wanted: BTreeSet<WorkloadSetId> =
        enforced.chain(program.assertions.values().map(|assertion| assertion.workloads)).collect();
    let classes = |inventory, prover: &mut Prover| possible_senders(&program.workload_sets, &wanted, inventory, prover);
    Ok(match population {
        Population::Possible(inventory) => classes(inventory, prover)?,
        Population::Running(inventory) => {
            classes(Some(inventory), prover)?.into_iter().flat_map(Class::there).collect()
        }
    })
}

/// For each destination set with hosts what a name must satisfy.
fn guards(program: &Program, vocabulary: &mut Vocabulary) -> FxHashMap<DestinationSetId, NamesId> {
    let mut guards = FxHashMap::default();
    for (id, set) in program.destination_sets.iter().filter(|(_, set)| !set.hosts.is_empty()) {
        if let Some(Guard::Named(names)) = vocabulary.guard(|name| set.hosts.iter().any(|host| host.matches(name))) {
            guards.insert(id, names);
        }
    }
    guards
}

fn statement<'p>(
    program: &Program,
    id: AssertionId,
    assertion: &'p Assertion,
    classes: &[Class],
    guards: &FxHashMap<DestinationSetId, NamesId>,
) -> Statement<'p> {
    let own = |class: &Class| class.sets.binary_search(&assertion.workloads).is_ok();
    let others = assertion.claim == Claim::OnlyCanReach;
    let spoken = classes.iter().enumerate().filter(|(_, class)| own(class) != others).map(|(place, _)| place);
    Statement {
        id,
        assertion,
        demand: Demand::of(assertion.claim),
        hosts: guards.get(&assertion.destinations).copied(),
        regions: [false, true].map(|v6| Region::of(program, assertion, v6)),
        senders: spoken.collect(),
        nobody: !classes.iter().any(own),
    }
}

/// The enforced blocks for members of these sets.
fn blocks_about(program: &Program, sets: &[WorkloadSetId]) -> Vec<BlockId> {
    let enforced = program.blocks.iter().filter(|(_, block)| !block.audit);
    enforced.filter(|(_, block)| sets.binary_search(&block.workloads).is_ok()).map(|(id, _)| id).collect()
}

fn group(
    program: &Program,
    blocks: Vec<BlockId>,
    members: Vec<usize>,
    guards: &FxHashMap<DestinationSetId, NamesId>,
) -> Group {
    let speaking = || blocks.iter().map(|&id| program.blocks.at(id));
    let governed = speaking().any(|block| block.kind == BlockKind::Policy);
    let mut sets: BTreeMap<DestinationSetId, Vec<RuleId>> = BTreeMap::new();
    let mut named = Vec::new();
    for id in speaking().flat_map(|block| block.rules.iter().copied()).collect::<BTreeSet<RuleId>>() {
        let rule = program.rules.at(id);
        sets.entry(rule.destinations).or_default().push(id);
        let guard = guards.get(&rule.destinations);
        named.extend(guard.map(|&guard| (id, Named { guard, action: rule.action, gateway: rule.gateway })));
    }
    let (about, cuts, sets) = ([Vec::new(), Vec::new()], [None, None], sets.into_iter().collect());
    Group { blocks, governed, members, named, about, cuts, is_cut: false, sets }
}

impl Group {
    /// The members that send to a family.
    pub(crate) fn senders<'g>(&'g self, senders: &'g [Sender], v6: bool) -> impl Iterator<Item = usize> + 'g {
        let sends = move |sender: &Sender| sender.sends(v6);
        self.members.iter().copied().filter(move |&place| senders.get(place).is_some_and(sends))
    }

    /// The statements that speak about some member that sends to the family, with these members.
    fn about(&self, senders: &[Sender], statements: &[Statement<'_>], v6: bool) -> Vec<(usize, Vec<usize>)> {
        let members: Vec<usize> = self.senders(senders, v6).collect();
        let spoken = statements
            .iter()
            .enumerate()
            .filter(|(_, it)| !it.regions.get(usize::from(v6)).is_none_or(Region::is_empty));
        let about = spoken.map(|(number, it)| {
            (number, members.iter().copied().filter(|sender| it.senders.contains(sender)).collect::<Vec<usize>>())
        });
        about.filter(|(_, senders)| !senders.is_empty()).collect()
    }

    fn cut(
        &self,
        program: &Program,
        senders: &[Sender],
        statements: &[Statement<'_>],
        v6: bool,
        everywhere: bool,
    ) -> Result<Option<Cut>, Fault> {
        let about = self.about.get(usize::from(v6)).map_or(&[][..], |about| about);
        if self.senders(senders, v6).next().is_none() || about.is_empty() && !everywhere {
            return Ok(None);
        }
        let destinations = |id: DestinationSetId| &program.destination_sets.at(id).addresses;
        let of_rules = self.sets.iter().map(|(id, _)| destinations(*id));
        let of_statements = about
            .iter()
            .filter_map(|(number, _)| statements.get(*number))
            .map(|it| destinations(it.assertion.destinations));
        // What is public parts places only where that can matter.
        let matters = |it: &&Statement<'_>| it.hosts.is_some() && it.demand == Demand::Passes;
        let special = about.iter().filter_map(|(number, _)| statements.get(*number)).any(|it| matters(&it));
        let sets = of_rules.chain(of_statements).chain(special.then(not_public));
        let sets: Vec<&AddressSet> = sets.collect();
        let inside = &program.cluster.inside;
        let (keys, ranges) = if v6 {
            ranges(&sets.iter().map(|set| &set.v6).collect::<Vec<_>>(), &inside.v6)
        } else {
            ranges(&sets.iter().map(|set| &set.v4).collect::<Vec<_>>(), &inside.v4)
        }?;
        Ok(Some(Cut { keys, ranges, about: about.len() }))
    }

    /// The places of a cut of the group.
    pub(crate) fn places<'g>(&'g self, cut: &'g Cut) -> impl Iterator<Item = Place<'g>> + 'g {
        cut.keys.lists().zip(&cut.ranges).map(|((_, list), ranges)| Place { ranges, list })
    }

    /// Whether the destinations of the statement at this place of [`Group::about`] cover a place.
    pub(crate) fn covers(&self, place: &Place<'_>, statement: usize) -> bool {
        let set = u32::try_from(self.sets.len() + statement);
        set.is_ok_and(|set| place.list.binary_search(&set).is_ok())
    }

    /// Whether the addresses of a place are not public; never asked where that does not matter.
    pub(crate) fn is_special(&self, cut: &Cut, place: &Place<'_>) -> bool {
        place.list.last().is_some_and(|&set| set as usize == self.sets.len() + cut.about)
    }

    /// The rules that match at a place by address, and with what it takes those that may match by name, sorted.
    pub(crate) fn rules(&self, place: &Place<'_>) -> Vec<(RuleId, Option<NamesId>)> {
        let covering = place.list.iter().map_while(|&set| self.sets.get(set as usize));
        let mut rules: Vec<(RuleId, Option<NamesId>)> =
            covering.flat_map(|(_, rules)| rules.iter().map(|&rule| (rule, None))).collect();
        rules.sort_unstable_by_key(|(rule, _)| *rule);
        if !self.named.is_empty() {
            let by_address = rules.len();
            for (rule, named) in &self.named {
                let matches = rules.get(..by_address).unwrap_or(&[]).binary_search_by_key(rule, |(rule, _)| *rule);
                if matches.is_err() {
                    rules.push((*rule, Some(named.guard)));
                }
            }
            rules.sort_unstable_by_key(|(rule, _)| *rule);
        }
        rules
    }
}

/// The lists of sets that cover some addresses outside, and for each its addresses.
fn ranges<A: Point + Into<u128>>(sets: &[&RangeSet<A>], inside: &RangeSet<A>) -> Result<(Keys, Vec<Ranges>), Unclear> {
    let (keys, segments) = cut(sets, inside)?;
    let mut ranges = vec![Vec::new(); keys.len()];
    for segment in segments {
        if let Some(ranges) = ranges.get_mut(segment.key.index()) {
            ranges.push((segment.start.into(), segment.end.into()));
        }
    }
    Ok((keys, ranges))
}
