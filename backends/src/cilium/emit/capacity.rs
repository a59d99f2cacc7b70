//! How many entries each pod's policy table needs.
//!
//! Cilium keeps one table per pod with one entry for each identity, protocol and prefix of ports that a rule matches.
//! Every prefix that any object names is an identity of its own, so a rule on `0.0.0.0/0` has an entry for each of them.

use egress_ir::{AddressSet, BlockId, OriginId, Prefix};

use super::super::super::target::{Level, Notice};
use super::selectors::Conjunct;

/// Entries of one pod's policy table.
pub const TABLE_SIZE: u64 = 16_384;

/// What one rule adds to the tables of its pods.
pub(super) struct Load {
    /// The block whose pods have it.
    pub(super) block: BlockId,
    /// The addresses it matches.
    pub(super) addresses: AddressSet,
    /// Keys for each identity.
    pub(super) keys: u64,
}

/// The selectors of one block.
pub(super) struct Subject {
    pub(super) block: BlockId,
    pub(super) name: String,
    pub(super) origin: OriginId,
    pub(super) conjuncts: Vec<Conjunct>,
}

/// Warnings for selectors whose pods may come near the table's size. An upper bound: entries that several rules share are
/// counted for each, and pods that some other block may also select are taken to be selected by it.
pub(super) fn warnings(subjects: &[Subject], loads: &[Load], prefixes: &[Prefix]) -> Vec<Notice> {
    let identities = Identities::new(prefixes);
    let weights: Vec<(BlockId, u64)> =
        loads.iter().map(|load| (load.block, identities.within(&load.addresses).saturating_mul(load.keys))).collect();
    let of_block = |block: BlockId| weights.iter().filter(|(of, _)| *of == block).map(|(_, keys)| keys).sum::<u64>();
    let per_block: Vec<u64> = subjects.iter().map(|subject| of_block(subject.block)).collect();
    let mut notices = Vec::new();
    for subject in subjects {
        let most = subject.conjuncts.iter().map(|own| entries(own, subjects, &per_block)).max().unwrap_or(0);
        if most * 4 >= TABLE_SIZE * 3 {
            let how = if most > TABLE_SIZE { "over" } else { "near" };
            notices.push(Notice {
                level: Level::Warning,
                code: "egress::target::capacity",
                origin: Some(subject.origin),
                message: format!(
                    "pods of `{}` may need up to {most} entries in Cilium's policy table, {how} its {TABLE_SIZE}, besides one for \
                     each identity of pods in the cluster",
                    subject.name
                ),
                help: Some("name fewer prefixes or ports, leave ports out of rules on long lists, or raise `bpf-policy-map-max`".to_owned()),
            });
        }
    }
    notices
}

/// Entries of a pod that `own` selects.
fn entries(own: &Conjunct, subjects: &[Subject], per_block: &[u64]) -> u64 {
    let selected = |subject: &Subject| subject.conjuncts.iter().any(|other| own.and(other).is_some());
    subjects.iter().zip(per_block).filter(|(subject, _)| selected(subject)).map(|(_, keys)| keys).sum()
}

/// First addresses of all prefixes, sorted.
struct Identities {
    v4: Vec<u32>,
    v6: Vec<u128>,
}

impl Identities {
    fn new(prefixes: &[Prefix]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        let mut unique: Vec<&Prefix> = prefixes.iter().collect();
        unique.sort_unstable();
        unique.dedup();
        for prefix in unique {
            match prefix.address() {
                std::net::IpAddr::V4(address) => v4.push(address.to_bits()),
                std::net::IpAddr::V6(address) => v6.push(address.to_bits()),
            }
        }
        v4.sort_unstable();
        v6.sort_unstable();
        Self { v4, v6 }
    }

    /// Identities that may lie within a set: those that start there.
    fn within(&self, set: &AddressSet) -> u64 {
        let of_v4 = set.v4.ranges().iter().map(|(first, last)| starts(&self.v4, first, last));
        let of_v6 = set.v6.ranges().iter().map(|(first, last)| starts(&self.v6, first, last));
        of_v4.chain(of_v6).sum::<usize>() as u64
    }
}

fn starts<T: Ord>(sorted: &[T], first: &T, last: &T) -> usize {
    sorted.partition_point(|start| start <= last) - sorted.partition_point(|start| start < first)
}
