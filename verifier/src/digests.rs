//! Digests of what answers depend on, so that they can be remembered under them.
//!
//! In: parts of a program. Out: SHA-256 of their content (FIPS 180-4), whatever their ids are. Every part that may be of
//! different lengths has its length in front.

use crate::lists::Key;
use egress_ir::{
    Action, AddressSet, BlockId, BlockKind, DestinationSet, DestinationSetId, Id, PortSetId, Program, RuleId,
};
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};

/// Digests of the sets of a program, each made once.
#[derive(Debug)]
pub(crate) struct Sets<'p> {
    program: &'p Program,
    destinations: FxHashMap<DestinationSetId, Key>,
    ports: FxHashMap<PortSetId, Key>,
}

impl<'p> Sets<'p> {
    /// Those of a program; none is made before it is asked for.
    pub(crate) fn new(program: &'p Program) -> Self {
        Self { program, destinations: FxHashMap::default(), ports: FxHashMap::default() }
    }

    /// Of addresses and hosts.
    pub(crate) fn destinations(&mut self, id: DestinationSetId) -> Key {
        let program = self.program;
        *self.destinations.entry(id).or_insert_with(|| {
            let set = program.destination_sets.at(id);
            let mut hasher = Sha256::new();
            addresses(&mut hasher, &set.addresses);
            hosts(&mut hasher, set);
            hasher.finalize().into()
        })
    }

    /// Of ports.
    pub(crate) fn ports(&mut self, id: PortSetId) -> Key {
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

    /// Of everything that a rule says beside the block that it is in, gateways by their numbers.
    pub(crate) fn rule(&mut self, hasher: &mut Sha256, id: RuleId) {
        let rule = self.program.rules.at(id);
        hasher.update([u8::from(rule.action == Action::Deny), u8::from(rule.log)]);
        length(hasher, rule.gateway.map_or(usize::MAX, Id::index));
        hasher.update(self.destinations(rule.destinations));
        hasher.update(self.ports(rule.ports));
    }

    /// Of a block's kind and its rules, in order.
    pub(crate) fn block(&mut self, id: BlockId) -> Key {
        let block = self.program.blocks.at(id);
        let mut hasher = Sha256::new();
        hasher.update([u8::from(block.kind == BlockKind::Guardrail)]);
        length(&mut hasher, block.rules.len());
        for &rule in &block.rules {
            self.rule(&mut hasher, rule);
        }
        hasher.finalize().into()
    }
}

/// Adds ranges of both families, each with its length in front.
pub(crate) fn addresses(hasher: &mut Sha256, set: &AddressSet) {
    length(hasher, set.v4.ranges().len());
    for (first, last) in set.v4.ranges() {
        hasher.update(first.to_le_bytes());
        hasher.update(last.to_le_bytes());
    }
    length(hasher, set.v6.ranges().len());
    for (first, last) in set.v6.ranges() {
        hasher.update(first.to_le_bytes());
        hasher.update(last.to_le_bytes());
    }
}

/// Adds the hosts of a set, each with its length in front.
pub(crate) fn hosts(hasher: &mut Sha256, set: &DestinationSet) {
    for host in &set.hosts {
        let text = host.to_string();
        length(hasher, text.len());
        hasher.update(text);
    }
}

/// Adds a number.
pub(crate) fn length(hasher: &mut Sha256, length: usize) {
    hasher.update(u64::try_from(length).unwrap_or(u64::MAX).to_le_bytes());
}
