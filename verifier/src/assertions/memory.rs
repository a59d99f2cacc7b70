//! What is known of assertions from before, so that after an edit only what it touches is asked again.
//!
//! In: a field that is not cut yet. Out: for each assertion and each group of senders of whom it speaks a digest of all
//! that can be wrong there, under which [`Memory`] keeps that nothing is; and for each assertion a digest of all that its
//! verdict depends on, under which it keeps how the assertion fails. Rules are named by their places, so that an edit
//! elsewhere in the policy changes nothing. Nothing of it outlives the process: whoever could write it to a file could
//! change answers.

use super::field::{Field, Statement};
use super::{Breach, Conclusion, Fix};
use crate::answer::Answer;
use crate::digests::{Sets, addresses, length};
use crate::lists::Key;
use egress_ir::{BlockId, Claim, Id, RuleId, Sender};
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// How many questions ago a verdict may have been needed last.
const KEPT: u32 = 4;

/// What is known of assertions.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Whom blocks of flows name by their places.
    senders: Vec<Sender>,
    failed: FxHashMap<Key, Failed>,
    kept: FxHashMap<Key, Kept>,
    round: u32,
}

/// Somewhere nothing is wrong.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Whether the assertion speaks of some flow there.
    spoke: bool,
    used: u32,
}

/// How an assertion fails.
#[derive(Debug)]
struct Failed {
    breach: Box<Breach>,
    /// The rules about which the digest speaks, in order.
    rules: Vec<RuleId>,
    used: u32,
}

impl Memory {
    /// Another question begins: what was not needed for some time goes.
    pub(crate) fn age(&mut self) {
        let round = self.round;
        self.failed.retain(|_, known| round.saturating_sub(known.used) < KEPT);
        self.kept.retain(|_, known| round.saturating_sub(known.used) < KEPT);
        self.round = round.saturating_add(1);
    }

    /// Whether the assertion speaks of some flow, if under the key nothing is wrong.
    pub(super) fn kept(&mut self, key: &Key) -> Option<bool> {
        let known = self.kept.get_mut(key)?;
        known.used = self.round;
        Some(known.spoke)
    }

    /// Keeps that nothing is wrong under the key, and whether the assertion speaks of some flow.
    pub(super) fn keep(&mut self, key: Key, spoke: bool) {
        self.kept.insert(key, Kept { spoke, used: self.round });
    }

    /// The verdict under the key, about rules as they are numbered now.
    pub(super) fn failed(&mut self, key: &Key, senders: &[Sender], rules: &[RuleId]) -> Option<Conclusion> {
        if self.senders != senders {
            return None;
        }
        let known = self.failed.get_mut(key)?;
        known.used = self.round;
        let now: FxHashMap<RuleId, RuleId> = known.rules.iter().copied().zip(rules.iter().copied()).collect();
        let mut breach = known.breach.clone();
        breach.rules = breach.rules.iter().map(|rule| now.get(rule).copied()).collect::<Option<_>>()?;
        if let Fix::Remove(rules) = &mut breach.fix {
            *rules = rules.iter().map(|rule| now.get(rule).copied()).collect::<Option<_>>()?;
        }
        Some(Conclusion::Answer(Answer::Refuted(breach)))
    }

    /// Keeps a verdict, if it is that the assertion fails.
    pub(super) fn fail(&mut self, key: Key, senders: &[Sender], rules: &[RuleId], conclusion: &Conclusion) {
        let Conclusion::Answer(Answer::Refuted(breach)) = conclusion else { return };
        if self.senders != senders {
            self.failed.clear();
            self.senders = senders.to_vec();
        }
        let (breach, rules, used) = (breach.clone(), rules.to_vec(), self.round);
        self.failed.insert(key, Failed { breach, rules, used });
    }
}

/// Digests of what is true of assertions.
#[derive(Debug)]
pub(super) struct Keys {
    /// For an assertion (second) and a group (first) of whom it speaks: what decides whether anything is wrong there.
    /// None where that cannot be said by places.
    pub(super) pairs: BTreeMap<(usize, usize), Option<Key>>,
    /// For each assertion what decides how it fails, with the rules that can have to do with it, in order.
    pub(super) verdicts: Vec<Option<(Key, Vec<RuleId>)>>,
}

impl Keys {
    /// Those of a field, cut or not.
    pub(super) fn of(field: &Field<'_>) -> Self {
        let program = field.program;
        let mut sets = Sets::new(program);
        let surroundings = surroundings(field);
        let spoken: BTreeSet<BlockId> = field.groups.iter().flat_map(|group| group.blocks.iter().copied()).collect();
        let blocks: FxHashMap<BlockId, Key> = spoken.into_iter().map(|id| (id, sets.block(id))).collect();
        let statements: Vec<Key> = field.statements.iter().map(|it| statement(it, &mut sets)).collect();
        let together = statements.iter().fold(Sha256::new(), |hasher, key| hasher.chain_update(key));
        let groups: Vec<Key> = field
            .groups
            .iter()
            .map(|group| {
                let hasher = surroundings.clone().chain_update([u8::from(group.governed)]);
                let blocks = group.blocks.iter().filter_map(|block| blocks.get(block));
                blocks.fold(hasher, |hasher, key| hasher.chain_update(key)).finalize().into()
            })
            .collect();
        let keys = Making { field, groups, statements, together: together.finalize().into() };
        let numbers = 0..field.statements.len();
        Self { pairs: keys.pairs(), verdicts: numbers.map(|number| keys.verdict(number)).collect() }
    }
}

/// What all answers depend on.
fn surroundings(field: &Field<'_>) -> Sha256 {
    let program = field.program;
    let mut hasher = Sha256::new().chain_update(b"assertions 1");
    addresses(&mut hasher, &program.cluster.inside);
    addresses(&mut hasher, super::not_public());
    length(&mut hasher, field.name_limit);
    // Names are told apart by all hosts, whoever speaks about them.
    let hosts = program.destination_sets.values().flat_map(|set| &set.hosts);
    for host in hosts.map(ToString::to_string).collect::<BTreeSet<String>>() {
        length(&mut hasher, host.len());
        hasher.update(host);
    }
    hasher
}

struct Making<'f, 'p> {
    field: &'f Field<'p>,
    /// For each group all that its rules say.
    groups: Vec<Key>,
    /// For each assertion all that it says, its workloads apart.
    statements: Vec<Key>,
    /// All of them.
    together: Key,
}

impl Making<'_, '_> {
    fn pairs(&self) -> BTreeMap<(usize, usize), Option<Key>> {
        let mut pairs = BTreeMap::new();
        for ((place, group), said) in self.field.groups.iter().enumerate().zip(&self.groups) {
            let in_order = self.rules(&group.blocks).is_sorted();
            let families = |number: usize| group.about.each_ref().map(|about| speaks(about, number));
            for number in group.about.iter().flatten().map(|(number, _)| *number).collect::<BTreeSet<usize>>() {
                let key = self.statements.get(number).filter(|_| in_order).map(|statement| {
                    let hasher = Sha256::new().chain_update(b"kept").chain_update(said).chain_update(statement);
                    hasher.chain_update(families(number).map(u8::from)).finalize().into()
                });
                pairs.insert((place, number), key);
            }
        }
        pairs
    }

    fn verdict(&self, number: usize) -> Option<(Key, Vec<RuleId>)> {
        let mut hasher = Sha256::new().chain_update(b"broken").chain_update(self.together);
        length(&mut hasher, number);
        let groups = || {
            let groups = self.field.groups.iter().zip(&self.groups);
            groups.filter(|(group, _)| group.about.iter().any(|about| speaks(about, number)))
        };
        let blocks: BTreeSet<BlockId> = groups().flat_map(|(group, _)| group.blocks.iter().copied()).collect();
        let blocks: Vec<BlockId> = blocks.into_iter().collect();
        let rules = self.rules(&blocks);
        for (group, said) in groups() {
            hasher.update(said);
            length(&mut hasher, group.blocks.len());
            group.blocks.iter().for_each(|id| length(&mut hasher, blocks.binary_search(id).unwrap_or(usize::MAX)));
            // Who else speaks about them says where addresses are cut, and so which flow is shown.
            for about in &group.about {
                length(&mut hasher, about.len());
                for (number, members) in about {
                    length(&mut hasher, *number);
                    length(&mut hasher, members.len());
                    members.iter().for_each(|member| length(&mut hasher, *member));
                }
            }
        }
        rules.is_sorted().then(|| (hasher.finalize().into(), rules))
    }

    /// The rules of some blocks, one block after the other.
    fn rules(&self, blocks: &[BlockId]) -> Vec<RuleId> {
        blocks.iter().flat_map(|id| self.field.program.blocks.at(*id).rules.iter().copied()).collect()
    }
}

/// Whether a statement is among those that speak.
fn speaks(about: &[(usize, Vec<usize>)], number: usize) -> bool {
    about.binary_search_by_key(&number, |(number, _)| *number).is_ok()
}

fn statement(statement: &Statement<'_>, sets: &mut Sets<'_>) -> Key {
    let assertion = statement.assertion;
    let mut hasher = Sha256::new();
    let (form, gateway) = match assertion.claim {
        Claim::CannotReach => (0, usize::MAX),
        Claim::CanReach => (1, usize::MAX),
        Claim::OnlyCanReach => (2, usize::MAX),
        Claim::CanReachOnly => (3, usize::MAX),
        Claim::OnlyVia(gateway) => (4, gateway.index()),
    };
    hasher.update([form]);
    length(&mut hasher, gateway);
    hasher.update(sets.destinations(assertion.destinations));
    hasher.update(sets.ports(assertion.ports));
    hasher.finalize().into()
}
