//! Arenas and the typed ids into them.

use std::fmt;
use std::marker::PhantomData;

/// A typed index into one [`Arena`].
pub trait Id: Copy + Ord {
    /// The id of the entry at `index`.
    fn from_index(index: u32) -> Self;
    /// The entry's place, counted from 0.
    fn index(self) -> usize;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u32);

        impl Id for $name {
            fn from_index(index: u32) -> Self { Self(index) }
            fn index(self) -> usize { self.0 as usize }
        }
    )*};
}

ids! {
    /// Names a [`crate::WorkloadSet`] of a program.
    WorkloadSetId
    /// Names a [`crate::DestinationSet`] of a program.
    DestinationSetId
    /// Names a [`crate::PortSet`] of a program.
    PortSetId
    /// Names a [`crate::Gateway`] of a program.
    GatewayId
    /// Names a [`crate::Block`] of a program.
    BlockId
    /// Names a [`crate::Rule`] of a program.
    RuleId
    /// Names an [`crate::Assertion`] of a program.
    AssertionId
    /// Names a [`crate::Control`] of a program.
    ControlId
    /// Names an [`crate::Origin`]: where something of the program was written, by whom and why.
    OriginId
    /// Names a source file of the unit.
    SourceId
}

/// Values that are named by ids, in the order in which they were added.
#[derive(Clone, PartialEq, Eq)]
pub struct Arena<I, T> {
    entries: Vec<T>,
    id: PhantomData<I>,
}

impl<I, T> Default for Arena<I, T> {
    fn default() -> Self {
        Self { entries: Vec::new(), id: PhantomData }
    }
}

impl<I, T: fmt::Debug> fmt::Debug for Arena<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.entries).finish()
    }
}

impl<I: Id, T> Arena<I, T> {
    /// Adds an entry and returns its id; an arena holds at most `u32::MAX` entries.
    pub fn push(&mut self, entry: T) -> I {
        let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push(entry);
        I::from_index(index)
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry that `id` names. Panics for an id that another, larger arena made: keep ids with their program.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "ids are made by `push` of the same program's arena only")]
    pub fn at(&self, id: I) -> &T {
        &self.entries[id.index()]
    }

    /// The entry, or nothing for an id of another arena.
    #[must_use]
    pub fn get(&self, id: I) -> Option<&T> {
        self.entries.get(id.index())
    }

    /// The entry, to be changed.
    pub fn get_mut(&mut self, id: I) -> Option<&mut T> {
        self.entries.get_mut(id.index())
    }

    /// Ids and entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (I, &T)> + ExactSizeIterator {
        self.entries
            .iter()
            .enumerate()
            .map(|(index, entry)| (I::from_index(u32::try_from(index).unwrap_or(u32::MAX)), entry))
    }

    /// Entries in order.
    pub fn values(&self) -> std::slice::Iter<'_, T> {
        self.entries.iter()
    }

    /// Ids in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = I> + ExactSizeIterator + use<'_, I, T> {
        self.iter().map(|(id, _)| id)
    }
}
