//! What was proved before, by its content: lemmas, and what is true of the rules of one sender.
//!
//! In: bytes that an earlier run wrote, from anywhere. Out: bytes for a later run. A key says everything that the entry
//! depends on, so that nothing here can be out of date; an entry that was damaged is ignored. Whoever may write the
//! bytes is believed, as whoever may write the program's own files is.

use crate::lists::Key;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Says which form the entries have; with a new form nothing is known at first.
const HEAD: &[u8; 16] = b"egress proofs 2\n";
/// How many entries are kept that the last run did not ask for: other commands may.
const UNUSED: usize = 1 << 20;

/// How many bytes of entries one process keeps from question to question.
const ROOM: usize = 64 << 20;
/// What an entry takes in memory beside its content.
const ENTRY: usize = 128;

/// What was proved before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// Entries by key; a lemma has no content beside its key.
    known: BTreeMap<Key, Entry>,
    /// How many questions were asked before this one.
    round: u32,
    has_changed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    content: Vec<u8>,
    /// The last question that needed it; none for what is known from earlier runs only.
    used: Option<u32>,
}

impl Cache {
    /// The entries that these bytes tell of; none if they are of another form, all whole ones if they are cut off.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut known = BTreeMap::new();
        let mut rest = bytes.strip_prefix(HEAD).unwrap_or(&[]);
        while let Some((key, content, later)) = entry(rest) {
            known.extend(content.map(|content| (key, Entry { content: content.to_vec(), used: None })));
            rest = later;
        }
        Self { known, round: 0, has_changed: false }
    }

    /// The entries for a later run: those that this run asked for, and as many of the others as there is room for.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut room = UNUSED;
        let mut bytes = HEAD.to_vec();
        for (key, Entry { content, used }) in &self.known {
            if used.is_none() {
                match room.checked_sub(1) {
                    Some(less) => room = less,
                    None => continue,
                }
            }
            bytes.extend(key);
            bytes.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend(content);
            bytes.extend(check(key, content));
        }
        bytes
    }

    /// Whether a later run would be told anything new.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// What is known under the key.
    pub(crate) fn recall(&mut self, key: &Key) -> Option<&[u8]> {
        let found = self.known.get_mut(key)?;
        found.used = Some(self.round);
        Some(&found.content)
    }

    /// Notes what was proved now.
    pub(crate) fn note(&mut self, key: Key, content: Vec<u8>) {
        self.has_changed |= self.known.get(&key).is_none_or(|known| known.content != content);
        self.known.insert(key, Entry { content, used: Some(self.round) });
    }

    /// Another question begins: where there is too much to keep, what was needed longest ago goes.
    pub(crate) fn age(&mut self) {
        self.round = self.round.saturating_add(1);
        self.keep(ROOM);
    }

    /// Keeps no more than this many bytes: where something must go, the last question's entries if there is room for them,
    /// and so many older ones that half of the room is left.
    fn keep(&mut self, room: usize) {
        let size = |entry: &Entry| ENTRY + entry.content.len();
        if self.known.values().map(size).sum::<usize>() <= room {
            return;
        }
        let mut by_round: BTreeMap<Option<u32>, usize> = BTreeMap::new();
        for entry in self.known.values() {
            *by_round.entry(entry.used).or_default() += size(entry);
        }
        let mut kept = 0_usize;
        let last = by_round.into_iter().rev().find_map(|(used, bytes)| {
            let allowed = if kept == 0 { room } else { room / 2 };
            kept = kept.saturating_add(bytes);
            (kept > allowed).then_some(used)
        });
        self.known.retain(|_, entry| last.is_none_or(|last| entry.used > last));
    }
}

/// A key, its content if that is whole, and what follows.
type Read<'b> = (Key, Option<&'b [u8]>, &'b [u8]);

fn entry(bytes: &[u8]) -> Option<Read<'_>> {
    let (key, rest) = bytes.split_first_chunk::<32>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (content, rest) = rest.split_at_checked(length)?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    Some((*key, (*sum == check(key, content)).then_some(content), rest))
}

/// The first bytes of the digest of an entry.
fn check(key: &Key, content: &[u8]) -> [u8; 8] {
    let digest = Sha256::new().chain_update(key).chain_update(content).finalize();
    digest.first_chunk::<8>().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache in which each of three questions noted ten entries of a hundred bytes.
    fn three_rounds() -> Cache {
        let mut cache = Cache::default();
        for round in 0..3_u8 {
            cache.age();
            (0..10).for_each(|place| cache.note([round * 10 + place; 32], vec![round; 100]));
        }
        cache
    }

    fn kept(room: usize) -> Vec<u8> {
        let mut cache = three_rounds();
        cache.keep(room);
        cache.known.into_keys().map(|key| key[0]).collect()
    }

    #[test]
    fn what_was_needed_longest_ago_goes_first() {
        let question = 10 * (ENTRY + 100);
        assert_eq!(kept(3 * question).len(), 30);
        assert_eq!(kept(3 * question - 1), (20..30).collect::<Vec<u8>>());
        assert_eq!(kept(question), (20..30).collect::<Vec<u8>>());
        assert!(kept(question - 1).is_empty());
    }

    #[test]
    fn what_is_needed_again_stays() {
        let mut cache = three_rounds();
        cache.age();
        assert!(cache.recall(&[3; 32]).is_some());
        cache.keep(20 * (ENTRY + 100));
        assert!(cache.recall(&[3; 32]).is_some() && cache.recall(&[4; 32]).is_none());
    }
}
