//! Lemmas that were proved before, by their content.
//!
//! In: bytes that an earlier run wrote, from anywhere. Out: bytes for a later run. A key says everything about its
//! lemma, so that a key which was damaged matches nothing and is merely useless; nothing here can be out of date.

use crate::lists::Key;
use std::collections::BTreeSet;

/// Says which form of lemmas the keys belong to; a new form begins with no lemma proved.
const HEAD: &[u8; 16] = b"egress lemmas 1\n";

/// Keys of proved lemmas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    proved: BTreeSet<Key>,
    used: BTreeSet<Key>,
}

impl Cache {
    /// The lemmas that these bytes tell of; none if they are of another form, and all whole ones if they are cut off.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let keys = bytes.strip_prefix(HEAD).unwrap_or(&[]);
        let proved = keys.chunks_exact(32).filter_map(|key| Key::try_from(key).ok()).collect();
        Self { proved, used: BTreeSet::new() }
    }

    /// The lemmas that this run asked for, for the next one.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        HEAD.iter().chain(self.used.iter().flatten()).copied().collect()
    }

    /// Whether a later run would be told anything new.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.used != self.proved
    }

    /// Whether the lemma was proved before.
    pub(crate) fn knows(&mut self, key: &Key) -> bool {
        let known = self.proved.contains(key);
        if known {
            self.used.insert(*key);
        }
        known
    }

    /// Notes that the lemma was proved now.
    pub(crate) fn note(&mut self, key: Key) {
        self.used.insert(key);
    }
}
