//! What is true of the rules of one sender, and how it is remembered between runs.
//!
//! In: the blocks that speak about a sender, and everything in them that an answer depends on. Out: a digest of that,
//! and [`Facts`] as bytes. Rules are named by their places among the sender's rules, so that an edit elsewhere in the
//! policy changes neither.

use crate::digests::{Sets, addresses, length};
use crate::lists::Key;
use egress_ir::{Action, AddressSet, BlockId, BlockKind, Id, Program, RuleId};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// How many questions are asked about each rule.
pub(super) const QUESTIONS: usize = 4;

/// Answers about the rules of one sender; the questions are those of `Work`, by their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// For each rule, whether each question was asked of all places.
    pub(super) asked: Vec<[bool; QUESTIONS]>,
    /// For each rule, whether some place answered yes.
    pub(super) found: Vec<[bool; QUESTIONS]>,
    /// Pairs of rules, the lower first, that name different gateways for one packet.
    pub(super) conflicts: BTreeSet<(u32, u32)>,
}

impl Facts {
    /// Nothing was asked about so many rules.
    pub(super) fn none(rules: usize) -> Self {
        let nothing = vec![[false; QUESTIONS]; rules];
        Self { asked: nothing.clone(), found: nothing, conflicts: BTreeSet::new() }
    }

    /// Facts about so many rules as [`Facts::to_bytes`] wrote them.
    pub(super) fn from_bytes(bytes: &[u8], rules: usize) -> Option<Self> {
        let (flags, pairs) = bytes.split_at_checked(rules)?;
        let bits = |shift: u32| {
            let of = move |flags: &u8| std::array::from_fn(|question| flags >> shift >> question & 1 == 1);
            flags.iter().map(of).collect()
        };
        let number = |bytes: &[u8]| bytes.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes));
        let pair = |pair: &[u8]| Some((number(pair)?, number(pair.get(4..)?)?));
        let conflicts = pairs.chunks(8).map(pair).collect::<Option<_>>()?;
        Some(Self { asked: bits(0), found: bits(4), conflicts })
    }

    /// One byte for each rule, then eight for each pair.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let pack = |bits: &[bool; QUESTIONS]| {
            (0..).zip(bits).fold(0_u8, |packed, (place, bit)| packed | u8::from(*bit) << place)
        };
        let flags = self.asked.iter().zip(&self.found).map(|(asked, found)| pack(asked) | pack(found) << 4);
        let pairs = self.conflicts.iter().flat_map(|(one, two)| [one.to_le_bytes(), two.to_le_bytes()]);
        flags.chain(pairs.flatten()).collect()
    }
}

/// Digests of what answers depend on.
#[derive(Debug)]
pub(super) struct Digests<'p> {
    program: &'p Program,
    surroundings: Key,
    sets: Sets<'p>,
}

impl<'p> Digests<'p> {
    pub(super) fn new(program: &'p Program, special: &AddressSet) -> Self {
        let mut surroundings = Sha256::new().chain_update(b"claims 1");
        addresses(&mut surroundings, &program.cluster.inside);
        addresses(&mut surroundings, special);
        Self { program, surroundings: surroundings.finalize().into(), sets: Sets::new(program) }
    }

    /// The digest of the rules of these blocks, in the order of `rules`, for one family.
    pub(super) fn of(&mut self, blocks: &[BlockId], rules: &[RuleId], v6: bool) -> Key {
        let mut hasher = Sha256::new().chain_update(self.surroundings).chain_update([u8::from(v6)]);
        for &id in rules {
            let rule = self.program.rules.at(id);
            let block = blocks.binary_search(&rule.block).unwrap_or(usize::MAX);
            let guards = self.program.blocks.at(rule.block).kind == BlockKind::Guardrail;
            hasher.update([u8::from(rule.action == Action::Deny), u8::from(guards), u8::from(rule.log)]);
            length(&mut hasher, block);
            length(&mut hasher, rule.gateway.map_or(usize::MAX, Id::index));
            hasher.update(self.sets.destinations(rule.destinations));
            hasher.update(self.sets.ports(rule.ports));
        }
        // A policy without rules governs all the same.
        let governs = |block: &&BlockId| self.program.blocks.at(**block).kind == BlockKind::Policy;
        hasher.update([u8::from(blocks.iter().any(|block| governs(&block)))]);
        hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn facts_are_read_as_they_were_written(flags in prop::collection::vec(any::<[bool; 8]>(), 0..9), pairs in prop::collection::btree_set(any::<(u32, u32)>(), 0..4)) {
            let half = |from: usize| flags.iter().map(|all| std::array::from_fn(|place| all[from + place])).collect();
            let facts = Facts { asked: half(0), found: half(4), conflicts: pairs };
            prop_assert_eq!(Facts::from_bytes(&facts.to_bytes(), flags.len()), Some(facts));
        }
    }
}
