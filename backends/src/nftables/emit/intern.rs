//! Numbers for equal values, in the order in which they are first met.

use std::collections::HashMap;
use std::hash::Hash;

/// Values and their numbers, counted from 0.
#[derive(Clone, Debug)]
pub(super) struct Interner<T> {
    values: Vec<T>,
    known: HashMap<T, usize>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { values: Vec::new(), known: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    /// The number of a value, a new one if it is not known.
    pub(super) fn number(&mut self, value: T) -> usize {
        if let Some(&number) = self.known.get(&value) {
            return number;
        }
        let number = self.values.len();
        self.values.push(value.clone());
        self.known.insert(value, number);
        number
    }

    /// The number of a value that was given one.
    pub(super) fn known(&self, value: &T) -> Option<usize> {
        self.known.get(value).copied()
    }

    /// The value of a number.
    pub(super) fn get(&self, number: usize) -> Option<&T> {
        self.values.get(number)
    }

    /// Values in the order of their numbers.
    pub(super) fn values(&self) -> &[T] {
        &self.values
    }
}
