//! What was learned about groups, for the next check of a policy that was edited.
//!
//! In: groups, and everything in their rules that facts depend on. Out: a digest of that, and the facts under it. Facts
//! name rules by their places in the group, so that an edit elsewhere in the policy changes neither. Nothing here can be
//! out of date: a digest says all that its facts depend on.

use super::facts::{Facts, Number};
use super::groups::Group;
use crate::lower::private;
use egress_ir::{Action, AddressSet, BlockId, BlockKind, DestinationSetId, Id, PortSetId, Program, RangeSet};
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A digest of everything that facts depend on.
pub(super) type Key = [u8; 32];

/// How many checks ago facts may have been needed last, so that taking an edit back costs nothing.
const KEPT: u32 = 4;
/// About how many rules, each counted in every group, checks that were stopped may leave behind: some 40 MB.
const MOST_LEFT: usize = 1 << 18;

/// What checks learned before; empty at first, and worth keeping from one check of a policy to the next.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    known: FxHashMap<Key, Known>,
    /// How many checks ended with an answer.
    round: u32,
    /// How many rules the groups had that were known when the last of them ended.
    size: usize,
    effort: Effort,
}

#[derive(Clone, Debug)]
struct Known {
    facts: Arc<Facts<Number>>,
    used: u32,
}

impl Known {
    fn size(&self) -> usize {
        self.facts.len()
    }
}

/// How much of a check was new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Groups that were walked.
    pub walked: usize,
    /// Groups about which everything was known.
    pub remembered: usize,
}

impl Memory {
    /// How much of the last check, or the current one, was new.
    #[must_use]
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// A check begins.
    pub(super) fn begin(&mut self) {
        self.effort = Effort::default();
        if self.known.values().map(Known::size).sum::<usize>() > self.size.saturating_add(MOST_LEFT) {
            self.known.clear();
        }
    }

    /// The facts under the key, or those that `walk` finds.
    pub(super) fn recall<E>(
        &mut self,
        key: Key,
        walk: impl FnOnce() -> Result<Facts<Number>, E>,
    ) -> Result<Arc<Facts<Number>>, E> {
        if let Some(known) = self.known.get_mut(&key) {
            known.used = self.round;
            self.effort.remembered += 1;
            return Ok(known.facts.clone());
        }
        let facts = Arc::new(walk()?);
        self.effort.walked += 1;
        self.known.insert(key, Known { facts: facts.clone(), used: self.round });
        Ok(facts)
    }

    /// A check ended with an answer: what was not needed for some time goes.
    pub(super) fn end(&mut self) {
        let round = self.round;
        self.known.retain(|_, known| round.saturating_sub(known.used) < KEPT);
        self.size = self.known.values().map(Known::size).sum();
        self.round = round.saturating_add(1);
    }
}

/// Digests of the rules of a program.
pub(super) struct Digests<'p> {
    program: &'p Program,
    surroundings: Sha256,
    blocks: FxHashMap<BlockId, Option<Key>>,
    destinations: FxHashMap<DestinationSetId, Key>,
    ports: FxHashMap<PortSetId, Key>,
}

impl<'p> Digests<'p> {
    /// The digests of a program; none is made before it is asked for.
    pub(super) fn new(program: &'p Program) -> Self {
        let mut surroundings = Sha256::new();
        addresses(&mut surroundings, &program.cluster.inside);
        addresses(&mut surroundings, &private());
        let (blocks, destinations, ports) = (FxHashMap::default(), FxHashMap::default(), FxHashMap::default());
        Self { program, surroundings, blocks, destinations, ports }
    }

    /// The digest of a group: its blocks' rules one after the other, and who of it can send. None where its rules do not
    /// follow each other like that.
    pub(super) fn of(&mut self, group: &Group) -> Option<Key> {
        let in_order = group.blocks.iter().flat_map(|&id| &self.program.blocks.at(id).rules);
        if !in_order.eq(&group.rules) {
            return None;
        }
        let mut hasher = self.surroundings.clone();
        let [v4, v6] = &group.members;
        hasher.update([u8::from(group.governed), u8::from(v4.is_some()), u8::from(v6.is_some())]);
        for &id in &group.blocks {
            hasher.update(self.block(id)?);
        }
        Some(hasher.finalize().into())
    }

    fn block(&mut self, id: BlockId) -> Option<Key> {
        if let Some(known) = self.blocks.get(&id) {
            return *known;
        }
        let program = self.program;
        let block = program.blocks.at(id);
        let mut hasher = Sha256::new();
        length(&mut hasher, block.rules.len());
        hasher.update([u8::from(block.kind == BlockKind::Guardrail)]);
        let mut owned = true;
        for &rule in &block.rules {
            let rule = program.rules.at(rule);
            owned &= rule.block == id;
            hasher.update([u8::from(rule.action == Action::Deny), u8::from(rule.log)]);
            length(&mut hasher, rule.gateway.map_or(usize::MAX, Id::index));
            hasher.update(self.destinations(rule.destinations));
            hasher.update(self.ports(rule.ports));
        }
        // A rule that another block claims may say something else about itself than this digest does.
        let key = owned.then(|| hasher.finalize().into());
        self.blocks.insert(id, key);
        key
    }

    fn destinations(&mut self, id: DestinationSetId) -> Key {
        let program = self.program;
        *self.destinations.entry(id).or_insert_with(|| {
            let set = program.destination_sets.at(id);
            let mut hasher = Sha256::new();
            addresses(&mut hasher, &set.addresses);
            for host in &set.hosts {
                let text = host.to_string();
                length(&mut hasher, text.len());
                hasher.update(text);
            }
            hasher.finalize().into()
        })
    }

    fn ports(&mut self, id: PortSetId) -> Key {
        let program = self.program;
        *self.ports.entry(id).or_insert_with(|| {
            let mut hasher = Sha256::new();
            for (first, last) in program.port_sets.at(id).line_ranges() {
                hasher.update(first.to_le_bytes());
                hasher.update(last.to_le_bytes());
            }
            hasher.finalize().into()
        })
    }
}

/// Ranges of both families, each with its length in front.
fn addresses(hasher: &mut Sha256, set: &AddressSet) {
    ranges(hasher, &set.v4, |address| address.to_le_bytes());
    ranges(hasher, &set.v6, |address| address.to_le_bytes());
}

fn ranges<A: egress_ir::Point, const N: usize>(hasher: &mut Sha256, set: &RangeSet<A>, bytes: impl Fn(A) -> [u8; N]) {
    length(hasher, set.ranges().len());
    for &(first, last) in set.ranges() {
        hasher.update(bytes(first));
        hasher.update(bytes(last));
    }
}

fn length(hasher: &mut Sha256, length: usize) {
    hasher.update(u64::try_from(length).unwrap_or(u64::MAX).to_le_bytes());
}
