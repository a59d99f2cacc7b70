//! Arenas in which equal values have one id, found by hash.

use egress_ir::{Arena, Id};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::{BuildHasher, Hash};

/// An arena that is filled without repeats. The ids depend on the order of insertion alone.
pub(super) struct Interner<I, T> {
    arena: Arena<I, T>,
    by_hash: FxHashMap<u64, Vec<I>>,
}

impl<I: Id, T: Eq + Hash> Interner<I, T> {
    pub(super) fn new() -> Self {
        Self { arena: Arena::default(), by_hash: FxHashMap::default() }
    }

    /// The id of the value, added if no equal one is there.
    pub(super) fn intern(&mut self, value: T) -> I {
        let same_hash = self.by_hash.entry(FxBuildHasher.hash_one(&value)).or_default();
        let known = same_hash.iter().copied().find(|&id| self.arena.get(id) == Some(&value));
        known.unwrap_or_else(|| {
            let id = self.arena.push(value);
            same_hash.push(id);
            id
        })
    }

    pub(super) fn get(&self, id: I) -> Option<&T> {
        self.arena.get(id)
    }

    pub(super) fn into_arena(self) -> Arena<I, T> {
        self.arena
    }
}
