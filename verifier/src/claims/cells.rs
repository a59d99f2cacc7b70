//! The places where something can be true of a rule: the pieces of one sender's addresses, each distinct kind once.
//!
//! In: the blocks that speak about a sender. Out: places, each with the rules that can match there. The cut is checked
//! as [`crate::program`] checks its own.

use crate::program::cut;
use egress_ir::{
    Action, AddressSet, BlockId, BlockKind, DestinationSetId, GatewayId, Point, Program, RangeSet, RuleId, Unclear,
};
use std::collections::BTreeMap;

/// A rule that can match at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) rule: RuleId,
    pub(super) block: BlockId,
    pub(super) action: Action,
    pub(super) gateway: Option<GatewayId>,
    pub(super) log: bool,
    /// Whether the rule matches by address there, whatever the names are.
    pub(super) by_address: bool,
}

/// Addresses on which the same rules match.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) v6: bool,
    /// Whether what nothing allows is denied.
    pub(super) governed: bool,
    /// Whether no name of the outside should resolve to these addresses.
    pub(super) special: bool,
    /// The rules that match by address or may match by name, sorted.
    pub(super) words: Vec<Word>,
}

/// The places of one sender.
#[derive(Debug)]
pub(super) struct Cells<'p> {
    program: &'p Program,
    v6: bool,
    governed: bool,
    rules: BTreeMap<DestinationSetId, Vec<RuleId>>,
    /// The sets that match by name too.
    named: Vec<DestinationSetId>,
    /// For each distinct place the destination sets that cover it, and whether it is special.
    covers: Vec<(Vec<DestinationSetId>, bool)>,
}

impl<'p> Cells<'p> {
    /// Cuts the addresses of a family.
    pub(super) fn of(
        program: &'p Program,
        blocks: &[BlockId],
        v6: bool,
        special: &AddressSet,
    ) -> Result<Self, Unclear> {
        let speaking = || blocks.iter().map(|&id| program.blocks.at(id));
        let mut rules: BTreeMap<DestinationSetId, Vec<RuleId>> = BTreeMap::new();
        for &rule in speaking().flat_map(|block| &block.rules) {
            rules.entry(program.rules.at(rule).destinations).or_default().push(rule);
        }
        let governed = speaking().any(|block| block.kind == BlockKind::Policy);
        let sets: Vec<DestinationSetId> = rules.keys().copied().collect();
        let addresses = |set: &DestinationSetId| &program.destination_sets.at(*set).addresses;
        let inside = &program.cluster.inside;
        let covers = if v6 {
            covers(&sets, |set| &addresses(set).v6, &special.v6, &inside.v6)
        } else {
            covers(&sets, |set| &addresses(set).v4, &special.v4, &inside.v4)
        }?;
        let by_name = |set: &DestinationSetId| !program.destination_sets.at(*set).hosts.is_empty();
        let named = sets.into_iter().filter(by_name).collect();
        Ok(Self { program, v6, governed, rules, named, covers })
    }

    /// The places, each distinct one once.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        self.covers.iter().map(|(covering, special)| {
            let of = |set: &DestinationSetId| self.rules.get(set).map_or(&[][..], |rules| rules);
            let named = self.named.iter().filter(|set| covering.binary_search(set).is_err());
            let by_name = named.flat_map(of).map(|&rule| self.word(rule, false));
            let by_address = covering.iter().flat_map(of).map(|&rule| self.word(rule, true));
            let mut words: Vec<Word> = by_address.chain(by_name).collect();
            words.sort_by_key(|word| word.rule);
            Place { v6: self.v6, governed: self.governed, special: *special, words }
        })
    }

    fn word(&self, id: RuleId, by_address: bool) -> Word {
        let rule = self.program.rules.at(id);
        Word { rule: id, block: rule.block, action: rule.action, gateway: rule.gateway, log: rule.log, by_address }
    }
}

/// The sets around each distinct piece outside the cluster, and whether it is special.
fn covers<'s, A: Point + 's>(
    ids: &[DestinationSetId],
    addresses: impl Fn(&DestinationSetId) -> &'s RangeSet<A>,
    special: &'s RangeSet<A>,
    inside: &RangeSet<A>,
) -> Result<Vec<(Vec<DestinationSetId>, bool)>, Unclear> {
    let sets: Vec<&RangeSet<A>> = ids.iter().map(addresses).chain([special]).collect();
    let (keys, _) = cut(&sets, inside)?;
    let cover = |list: &[u32]| {
        let covering = list.iter().filter_map(|&index| ids.get(index as usize).copied()).collect();
        (covering, list.last().is_some_and(|&index| index as usize == ids.len()))
    };
    Ok(keys.lists().map(|(_, list)| cover(list)).collect())
}
