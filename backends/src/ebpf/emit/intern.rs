//! Values by number, each once, in the order in which they were met.

use rustc_hash::FxHashMap;
use std::hash::Hash;
use std::rc::Rc;

/// Distinct values with their numbers.
#[derive(Debug)]
pub(super) struct Interner<T> {
    values: Vec<Rc<T>>,
    known: FxHashMap<Rc<T>, u32>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { values: Vec::new(), known: FxHashMap::default() }
    }
}

impl<T: Eq + Hash> Interner<T> {
    /// The number of a value.
    pub(super) fn number(&mut self, value: T) -> u32 {
        if let Some(&known) = self.known.get(&value) {
            return known;
        }
        let (value, number) = (Rc::new(value), place(self.values.len()));
        self.values.push(Rc::clone(&value));
        self.known.insert(value, number);
        number
    }

    /// The number of a value that was met before.
    pub(super) fn known(&self, value: &T) -> Option<u32> {
        self.known.get(value).copied()
    }

    /// The value of a number.
    pub(super) fn at(&self, number: u32) -> Option<&T> {
        self.values.get(number as usize).map(|value| &**value)
    }

    /// The values in the order of their numbers.
    pub(super) fn values(&self) -> impl ExactSizeIterator<Item = &T> {
        self.values.iter().map(|value| &**value)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

/// A place in a list as a number; lists never have as many as four thousand million entries.
pub(super) fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
