//! Groups of blocks that speak about the same sources: what many policies share is written once.
//!
//! In: the program and its classes of sources. Out: groups, and for each class the groups that it is in. A class that
//! asks the tables of its groups one after another gives the right verdict as long as all denies come before all
//! allows. What depends on several tables at once, audit mode and a log that one table asks for and another would
//! skip, is left to an exact table of the class for just those destinations.

use super::sources::Classes;
use egress_ir::{Action, AddressSet, BlockId, Program, RuleId};
use std::collections::BTreeMap;

/// The enforced rules of blocks that speak about the same classes.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Rules by kind.
    pub(super) rules: BTreeMap<Kind, Vec<RuleId>>,
    /// How many ranges they have, and how many classes.
    ranges: usize,
    classes: usize,
    /// Whether copies for each class would be too many.
    pub(super) is_shared: bool,
}

/// Kinds of rules in the order in which their tables are asked, so that a log is never skipped for want of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A deny with `log`.
    LoggedDeny,
    /// A deny.
    Deny,
    /// An allow with `log`.
    LoggedAllow,
    /// An allow.
    Allow,
}

impl Kind {
    /// Whether rules of this kind deny.
    pub(super) fn denies(self) -> bool {
        matches!(self, Self::LoggedDeny | Self::Deny)
    }
}

/// The groups, and their numbers by block.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) groups: Vec<Group>,
    of_block: BTreeMap<BlockId, usize>,
}

/// So many ranges may be written once more for each one of the program, so that a class has fewer tables to ask.
const COPIES: usize = 1;
/// So many may be in any case.
const FEW: usize = 256;

impl Groups {
    /// Groups the enforced blocks.
    pub(super) fn new(program: &Program, classes: &Classes) -> Self {
        let mut classes_of: BTreeMap<BlockId, Vec<usize>> = BTreeMap::new();
        for (class, blocks) in classes.lists().enumerate() {
            for block in blocks.iter().filter(|block| !program.blocks.at(**block).audit) {
                classes_of.entry(*block).or_default().push(class);
            }
        }
        let mut by_classes: BTreeMap<&[usize], Vec<BlockId>> = BTreeMap::new();
        for (block, classes) in &classes_of {
            by_classes.entry(classes).or_default().push(*block);
        }
        let mut groups = Self::default();
        for (classes, blocks) in by_classes {
            groups.of_block.extend(blocks.iter().map(|block| (*block, groups.groups.len())));
            groups.groups.push(Group::new(program, &blocks, classes.len()));
        }
        groups.share();
        groups
    }

    /// Copies the groups for each class as far as they may be, those first that cost least; the others are shared.
    fn share(&mut self) {
        let mut left = FEW + COPIES * self.groups.iter().map(|group| group.ranges).sum::<usize>();
        let mut by_cost: Vec<&mut Group> = self.groups.iter_mut().collect();
        by_cost.sort_by_key(|group| group.copies());
        for group in by_cost {
            match left.checked_sub(group.copies()) {
                Some(rest) => left = rest,
                None => group.is_shared = true,
            }
        }
    }

    /// The groups of a class's enforced blocks, sorted.
    pub(super) fn of(&self, blocks: &[BlockId]) -> Vec<usize> {
        let mut groups: Vec<usize> = blocks.iter().filter_map(|block| self.of_block.get(block).copied()).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

impl Group {
    fn new(program: &Program, blocks: &[BlockId], classes: usize) -> Self {
        let mut rules: BTreeMap<Kind, Vec<RuleId>> = BTreeMap::new();
        let mut ranges = 0;
        for &id in blocks.iter().flat_map(|block| &program.blocks.at(*block).rules) {
            let set = &program.destination_sets.at(program.rules.at(id).destinations).addresses;
            ranges += set.v4.ranges().len() + set.v6.ranges().len();
            rules.entry(kind(program, id)).or_default().push(id);
        }
        rules.values_mut().for_each(|rules| rules.sort_unstable());
        Self { rules, ranges, classes, is_shared: false }
    }

    /// How many ranges are written more than once when every class has its own copy.
    fn copies(&self) -> usize {
        self.classes.saturating_sub(1) * self.ranges
    }

    /// The rules of some kinds, sorted.
    pub(super) fn of(&self, kinds: impl Fn(Kind) -> bool) -> Vec<RuleId> {
        let mut rules: Vec<RuleId> =
            self.rules.iter().filter(|(kind, _)| kinds(**kind)).flat_map(|(_, rules)| rules).copied().collect();
        rules.sort_unstable();
        rules
    }
}

/// The kind of a rule.
pub(super) fn kind(program: &Program, rule: RuleId) -> Kind {
    let rule = program.rules.at(rule);
    match (rule.action, rule.log) {
        (Action::Deny, true) => Kind::LoggedDeny,
        (Action::Deny, false) => Kind::Deny,
        (Action::Allow, true) => Kind::LoggedAllow,
        (Action::Allow, false) => Kind::Allow,
    }
}

/// The destinations of rules together.
pub(super) fn destinations(program: &Program, rules: impl IntoIterator<Item = RuleId>) -> AddressSet {
    let sets =
        rules.into_iter().map(|rule| &program.destination_sets.at(program.rules.at(rule).destinations).addresses);
    AddressSet::from_ranges(sets.flat_map(|set| set.ranges().collect::<Vec<_>>()))
}
