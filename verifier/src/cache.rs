//! What was proved before, by its content: lemmas, and what is true of the rules of one sender.
//!
//! In: bytes that an earlier run wrote, from anywhere. Out: bytes for a later run. A key says everything that the entry
//! depends on, so that nothing here can be out of date; an entry that was damaged is ignored. Whoever may write the
//! bytes is believed, as whoever may write the program's own files is.

use crate::lists::Key;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Says which form the entries have; with a new form nothing is known at first.
const HEAD: &[u8; 16] = b"egress proofs 2\n";
/// How many entries are kept that the last run did not ask for: other commands may.
const UNUSED: usize = 1 << 20;

/// What was proved before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// Entries by key; a lemma has no content beside its key.
    known: BTreeMap<Key, Vec<u8>>,
    used: BTreeSet<Key>,
    has_changed: bool,
}

impl Cache {
    /// The entries that these bytes tell of; none if they are of another form, all whole ones if they are cut off.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut known = BTreeMap::new();
        let mut rest = bytes.strip_prefix(HEAD).unwrap_or(&[]);
        while let Some((key, content, later)) = entry(rest) {
            known.extend(content.map(|content| (key, content.to_vec())));
            rest = later;
        }
        Self { known, used: BTreeSet::new(), has_changed: false }
    }

    /// The entries for a later run: those that this run asked for, and as many of the others as there is room for.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let unused = self.known.keys().filter(|key| !self.used.contains(*key)).take(UNUSED);
        let kept: BTreeSet<&Key> = self.used.iter().chain(unused).collect();
        let mut bytes = HEAD.to_vec();
        for (key, content) in kept.into_iter().filter_map(|key| self.known.get_key_value(key)) {
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
        let found = self.known.get(key)?;
        self.used.insert(*key);
        Some(found)
    }

    /// Notes what was proved now.
    pub(crate) fn note(&mut self, key: Key, content: Vec<u8>) {
        self.used.insert(key);
        self.has_changed |= self.known.get(&key) != Some(&content);
        self.known.insert(key, content);
    }
}

/// A key, its content if that is whole, and what follows.
type Entry<'b> = (Key, Option<&'b [u8]>, &'b [u8]);

fn entry(bytes: &[u8]) -> Option<Entry<'_>> {
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
