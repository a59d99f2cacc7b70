//! Tables in which every index was checked: what they decide, read as the kernel program reads them.
//!
//! In: the bytes of the tables (see [`crate::layout`]). Out: classes, rows, profiles and outcomes of flows, and the
//! partitions that the trees describe. [`Tables::new`] refuses everything that the kernel program could not read safely,
//! and every byte that nobody reads and that is not zero. It never changes a byte and never trusts a count: work and
//! memory are bounded by the length of what it is given.

mod check;
mod cover;
mod matrix;
mod names;
mod parts;
mod raw;
mod tree;
mod walk;

#[cfg(test)]
mod tests;

use crate::layout::{Entry, Layout};
pub use names::ByName;
pub use parts::Part;
use raw::Raw;
use std::net::IpAddr;

/// Tables that were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    bytes: Vec<u8>,
    layout: Layout,
}

/// The id of nothing: what is read for rows, classes, profiles and outcomes that do not exist. Its word denies.
pub const NOTHING: u32 = u32::MAX;

/// The most elementary ranges that one tree may describe; more would be no tree that a policy makes.
pub const MOST_RANGES: u64 = 1 << 23;

/// Why bytes are no tables.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Shorter than the layout, not a multiple of a line, or not as long as the layout says.
    #[error("the tables have {bytes} bytes, which is not {expected}")]
    Length {
        /// How many bytes there are.
        bytes: usize,
        /// What would be right.
        expected: String,
    },
    /// The first word is not [`crate::layout::MAGIC`].
    #[error(
        "the tables begin with {found:#010x} instead of {:#010x}: another version, or no tables",
        crate::layout::MAGIC
    )]
    Magic {
        /// The word that was found.
        found: u32,
    },
    /// A word of the layout has a value that it may not have.
    #[error("`{word}` is {found}, but may be {allowed}")]
    Word {
        /// The word's name in the layout.
        word: &'static str,
        /// What was found.
        found: u64,
        /// What is allowed.
        allowed: String,
    },
    /// A part begins or ends outside the tables.
    #[error("{part} takes the bytes from {start}, {length} of them, which is not within the tables")]
    Outside {
        /// Which part, or which node of a tree.
        part: &'static str,
        /// Its first byte.
        start: u64,
        /// How many bytes it takes.
        length: u64,
    },
    /// An id is as large as the count of its kind or larger.
    #[error("{part} names {found}, but there are only {count}")]
    Id {
        /// Where it was found.
        part: &'static str,
        /// The id.
        found: u32,
        /// How many there are.
        count: u32,
    },
    /// A node of a tree is not as the layout says.
    #[error("{tree}: {what} (entry {entry:#010x}, behind {used} bits of the key)")]
    Node {
        /// Which tree.
        tree: &'static str,
        /// What is wrong.
        what: &'static str,
        /// The entry.
        entry: u32,
        /// How many bits of the key lead to it.
        used: u32,
    },
    /// A tree describes more than [`MOST_RANGES`] ranges.
    #[error("{tree} describes more than {MOST_RANGES} ranges")]
    Ranges {
        /// Which tree.
        tree: &'static str,
    },
    /// An outcome's word has bits that mean nothing.
    #[error("outcome {outcome} has the word {word:#x}, which means nothing")]
    Outcome {
        /// The outcome.
        outcome: u32,
        /// Its word.
        word: u32,
    },
    /// A cell of the part `direct` is not what the matrices say.
    #[error("the part `direct` says otherwise than the matrices of row {row}, port class {ports} and class {class}")]
    Direct {
        /// The row.
        row: u32,
        /// The port class.
        ports: u32,
        /// The destination class.
        class: u32,
    },
    /// What is said of an outcome's names makes no sense.
    #[error("the names of outcome {outcome}: {what}")]
    Names {
        /// The outcome.
        outcome: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// A byte that nobody reads is not zero.
    #[error("byte {at} is read by nobody and is not zero")]
    Padding {
        /// Where it stands.
        at: usize,
    },
}

/// One of the four trees, as the layout names it.
#[derive(Clone, Copy)]
struct Tree {
    start: Entry,
    lows_line: u32,
    low_count: u32,
    /// How many values of its kind there are; larger ones name low trees.
    count: u32,
}

impl Tables {
    /// Checks every index, entry, sentinel and count against its bounds.
    ///
    /// # Errors
    ///
    /// The first thing that the kernel program could not read as the layout says, or a padding byte that is not zero.
    pub fn new(bytes: Vec<u8>) -> Result<Self, TableError> {
        let layout = check::check(&bytes)?;
        Ok(Self { bytes, layout })
    }

    /// The bytes, as they were given.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where everything stands.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The generation that the layout states.
    #[must_use]
    pub fn generation(&self) -> u64 {
        u64::from(self.layout.generation_high) << 32 | u64::from(self.layout.generation_low)
    }

    /// The class of a destination.
    #[must_use]
    pub fn destination(&self, address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(address) => walk::find_v4(self.raw(), self.destination_tree_v4(), address.into()),
            IpAddr::V6(address) => walk::find_v6(self.raw(), self.destination_tree_v6(), address.into()),
        }
    }

    /// The row of a source address.
    #[must_use]
    pub fn source(&self, address: IpAddr) -> u32 {
        match address {
            IpAddr::V4(address) => walk::find_v4(self.raw(), self.source_tree_v4(), address.into()),
            IpAddr::V6(address) => walk::find_v6(self.raw(), self.source_tree_v6(), address.into()),
        }
    }

    /// Every IPv4 destination: first address, last address, class; sorted, without gaps, neighbours of one class joined.
    #[must_use]
    pub fn destinations_v4(&self) -> Vec<(u32, u32, u32)> {
        walk::ranges_v4(self.raw(), self.destination_tree_v4())
    }

    /// Every IPv6 destination, likewise.
    #[must_use]
    pub fn destinations_v6(&self) -> Vec<(u128, u128, u32)> {
        walk::ranges_v6(self.raw(), self.destination_tree_v6())
    }

    /// Every IPv4 source with its row, likewise.
    #[must_use]
    pub fn sources_v4(&self) -> Vec<(u32, u32, u32)> {
        walk::ranges_v4(self.raw(), self.source_tree_v4())
    }

    /// Every IPv6 source with its row, likewise.
    #[must_use]
    pub fn sources_v6(&self) -> Vec<(u128, u128, u32)> {
        walk::ranges_v6(self.raw(), self.source_tree_v6())
    }

    /// The port class of a protocol's number; the number of protocols other than TCP, UDP, SCTP, ICMP and ICMPv6 is 0.
    #[must_use]
    pub fn port_class(&self, protocol: u8, number: u16) -> u32 {
        self.raw().port_class(&self.layout, protocol, number).unwrap_or(NOTHING)
    }

    /// The port class of a protocol's fragments that are not the first.
    #[must_use]
    pub fn fragment_class(&self, protocol: u8) -> u32 {
        self.raw().protocol(&self.layout, protocol).map_or(NOTHING, |word| word & 0xffff)
    }

    /// The profile of a row and a destination class; [`NOTHING`] where either does not exist.
    #[must_use]
    pub fn profile(&self, row: u32, class: u32) -> u32 {
        matrix::decisions(&self.layout).cell(self.raw(), row, class).unwrap_or(NOTHING)
    }

    /// The outcome of a profile and a port class; [`NOTHING`] where either does not exist.
    #[must_use]
    pub fn outcome(&self, profile: u32, port_class: u32) -> u32 {
        matrix::actions(&self.layout).cell(self.raw(), profile, port_class).unwrap_or(NOTHING)
    }

    /// The word of an outcome, see [`crate::layout::outcome`]; that of an outcome that does not exist denies.
    #[must_use]
    pub fn word(&self, outcome: u32) -> u32 {
        self.raw().outcome(&self.layout, outcome).unwrap_or(crate::layout::outcome::DENY)
    }

    /// The whole path from a sender's row and a flow to its outcome; a fragment that is not the first has no number. The
    /// destination was learned by no name.
    #[must_use]
    pub fn decide(&self, row: u32, destination: IpAddr, protocol: u8, number: u16, fragment: bool) -> u32 {
        self.decide_named((row, destination, protocol, number, fragment), |_| false)
    }

    /// As [`Tables::decide`], for a destination that was learned by names of the sets for whose ids `is_named` holds.
    #[must_use]
    pub fn decide_named(
        &self,
        (row, destination, protocol, number, fragment): (u32, IpAddr, u8, u16, bool),
        is_named: impl Fn(u64) -> bool,
    ) -> u32 {
        self.settled(self.asked((row, destination, protocol, number, fragment)), is_named)
    }

    /// The outcome of a flow before names were asked for, which may have a [`Tables::by_name`].
    #[must_use]
    pub fn asked(&self, (row, destination, protocol, number, fragment): (u32, IpAddr, u8, u16, bool)) -> u32 {
        let ports = if fragment { self.fragment_class(protocol) } else { self.port_class(protocol, number) };
        self.outcome(self.profile(row, self.destination(destination)), ports)
    }

    /// What depends on names in an outcome; nothing where nothing does.
    #[must_use]
    pub fn by_name(&self, outcome: u32) -> Option<ByName> {
        names::read(self.raw(), &self.layout, outcome)
    }

    /// The outcome that holds in the place of one, where the destination was learned by a name of the sets for whose ids
    /// `is_named` holds.
    #[must_use]
    pub fn settled(&self, outcome: u32, is_named: impl Fn(u64) -> bool) -> u32 {
        self.by_name(outcome).map_or(outcome, |by_name| by_name.settled(is_named))
    }

    fn raw(&self) -> Raw<'_> {
        Raw::new(&self.bytes, &self.layout)
    }

    fn source_tree_v4(&self) -> Tree {
        Tree::source_v4(&self.layout)
    }

    fn source_tree_v6(&self) -> Tree {
        Tree::source_v6(&self.layout)
    }

    fn destination_tree_v4(&self) -> Tree {
        Tree::destination_v4(&self.layout)
    }

    fn destination_tree_v6(&self) -> Tree {
        Tree::destination_v6(&self.layout)
    }
}

impl Tree {
    fn source_v4(layout: &Layout) -> Self {
        Self { start: Entry(layout.source_v4), lows_line: 0, low_count: 0, count: layout.row_count }
    }

    fn source_v6(layout: &Layout) -> Self {
        Self {
            start: Entry(layout.source_v6),
            lows_line: layout.source_lows_line,
            low_count: layout.source_low_count,
            count: layout.row_count,
        }
    }

    fn destination_v4(layout: &Layout) -> Self {
        Self { start: Entry(layout.destination_v4), lows_line: 0, low_count: 0, count: layout.class_count }
    }

    fn destination_v6(layout: &Layout) -> Self {
        Self {
            start: Entry(layout.destination_v6),
            lows_line: layout.destination_lows_line,
            low_count: layout.destination_low_count,
            count: layout.class_count,
        }
    }
}
