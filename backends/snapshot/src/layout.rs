//! The tables' layout: what stands where, shared word for word with the kernel program (`backends/agent/bpf/layout.h`).
//!
//! Tables are an array of lines of 64 bytes, so that a form that must be read at once never leaves one cache line. All
//! numbers are little-endian. Line 0 to 2 hold the [`Layout`]; every other part begins at a line of its own.
//!
//! One decision is at most: a walk in the tree of sources (skipped where the attach point says who sends), a walk in the
//! tree of destinations, three dependent loads for the port class, one cell of `decisions` and one of `actions` or instead
//! of both one of `direct`, one word of `outcomes`.
//!
//! - **Ids** (rows, classes, profiles, outcomes) have 16 bits, or 32 where [`Layout::wide`] is 1; port classes always 16.
//! - **Tree**: a start [`Entry`] over a key of 64 bits. An IPv4 address is the upper half of its key (the lower is 0); an
//!   IPv6 tree has the upper 64 bits of the address as its key. See [`Kind`] for the forms. A leaf value that is the
//!   *count* of its kind or more (`class_count`, `row_count`) names low tree `value - count`: its start entry stands in
//!   the part `lows` (u32 each), and its key is the lower 64 bits of the address. Low trees never name low trees.
//! - **Ports**: word `protocols[protocol]` is `root << 16 | fragment class`. `port_roots[root * 256 + (number >> 8)]` (u16)
//!   is a page, `port_pages[page * 256 + (number & 255)]` (u16) a port class. `number` is the destination port of TCP,
//!   UDP and SCTP, `type << 8 | code` of ICMP and ICMPv6, and 0 for all others. A fragment that is not the first has no
//!   ports: it is judged by the fragment class, whose outcome passes only where every number of the protocol does.
//! - **Matrix** (`decisions[row][class]` → profile, `actions[profile][port class]` → outcome): row `r` begins at line
//!   `first + r * stride`. Dense: cells of the id's width, side by side. Paged: words, one for each line's worth of cells
//!   (32 narrow ones or 16 wide ones), each the number of the line that holds them; equal lines are shared.
//! - **Direct**: both matrices multiplied out, where that is small: the outcome of row, port class and class in one look-up.
//!   The cells of row `r` and port class `p` are dense and begin at line `direct_line + (r * port_class_count + p) *
//!   direct_stride`, see [`Layout::direct_stride`]. It says nothing that the matrices do not say; readers check that.
//! - **Outcomes**: one word each, see [`outcome`].
//! - **Names**: what happens where names matter: word `outcome` is 0, or the line at which it is said of that outcome. There
//!   stands how many sets of names are asked for (u32, 1 to [`MOST_SETS`]), at byte 8 their ids (u64 each), and in the next
//!   line outcomes (u32 each). Set `i` counts `1 << i` where the destination was learned by a name of it; the sum is the
//!   place of the outcome that holds, which never has names of its own.

/// The bytes of a line.
pub const LINE: usize = 64;

/// How many lines the [`Layout`] takes.
pub const LAYOUT_LINES: u32 = 3;

/// The first word of every table part: `EGT` and the version of the layout.
pub const MAGIC: u32 = u32::from_le_bytes(*b"EGT\x03");

/// The most sets of names that one outcome may ask for.
pub const MOST_SETS: u32 = 4;

/// The most lines that tables may have: 256 MiB.
pub const MOST_LINES: u32 = 1 << 22;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Where everything stands: 35 words at the very beginning, and the digest of the meta part behind them.
        ///
        /// `…_line` fields and matrices count lines from the beginning of the tables.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Layout {
            $($(#[$doc])* pub $name: u32,)*
            /// SHA-256 of the meta part's bytes, so that tables and meta cannot be mixed up.
            pub meta_digest: [u8; 32],
        }

        /// The names of the words in their order; the kernel's header must say the same.
        pub const WORDS: &[&str] = &[$(stringify!($name)),*];

        impl Layout {
            /// The layout in the first lines, whatever it says; nothing when there are fewer lines than it takes.
            #[must_use]
            pub fn read(tables: &[u8]) -> Option<Self> {
                let head = tables.get(..LAYOUT_LINES as usize * LINE)?;
                let (words, _) = head.as_chunks::<4>();
                let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
                let mut layout = Self { $($name: words.next()?,)* ..Self::default() };
                layout.meta_digest = head.get(DIGEST_AT..DIGEST_AT + 32)?.try_into().ok()?;
                Some(layout)
            }

            /// The bytes of the first lines.
            #[must_use]
            pub fn bytes(&self) -> [u8; LAYOUT_LINES as usize * LINE] {
                let words = [$(self.$name),*];
                let mut bytes = [0; LAYOUT_LINES as usize * LINE];
                let (chunks, _) = bytes.as_chunks_mut::<4>();
                for (chunk, word) in chunks.iter_mut().zip(words) {
                    *chunk = word.to_le_bytes();
                }
                if let Some(digest) = bytes.get_mut(DIGEST_AT..DIGEST_AT + 32) {
                    digest.copy_from_slice(&self.meta_digest);
                }
                bytes
            }
        }
    };
}

/// Where the digest of the meta part stands: behind the words.
pub const DIGEST_AT: usize = WORDS.len() * 4;

words! {
    /// [`MAGIC`].
    magic,
    /// How many lines the tables have, the layout included.
    lines,
    /// 1: ids have 32 bits; 0: 16 bits.
    wide,
    /// How many rows (kinds of sources) there are, at least 1.
    row_count,
    /// How many destination classes there are, of both families together, at least 1.
    class_count,
    /// How many profiles there are, at least 1.
    profile_count,
    /// How many port classes there are, fragment classes included, at least 1.
    port_class_count,
    /// How many outcomes there are, at least 1.
    outcome_count,
    /// The row of those whose identity is unknown.
    default_row,
    /// The tree from IPv4 source addresses to rows: its start entry.
    source_v4,
    /// The tree from IPv6 source addresses to rows: its start entry.
    source_v6,
    /// Start entries of the low trees of `source_v6`.
    source_lows_line,
    /// How many of them there are.
    source_low_count,
    /// The tree from IPv4 destinations to classes: its start entry.
    destination_v4,
    /// The tree from IPv6 destinations to classes: its start entry.
    destination_v6,
    /// Start entries of the low trees of `destination_v6`.
    destination_lows_line,
    /// How many of them there are.
    destination_low_count,
    /// 256 words, one for each IP protocol.
    protocols_line,
    /// Roots of port tables, 512 bytes each.
    port_roots_line,
    /// How many of them there are.
    port_root_count,
    /// Pages of port classes, 512 bytes each.
    port_pages_line,
    /// How many of them there are.
    port_page_count,
    /// The matrix from row and class to profile: its first line.
    decisions_line,
    /// Lines from row to row of it.
    decisions_stride,
    /// 1: it is paged; 0: dense.
    decisions_paged,
    /// The matrix from profile and port class to outcome: its first line.
    actions_line,
    /// Lines from row to row of it.
    actions_stride,
    /// 1: it is paged; 0: dense.
    actions_paged,
    /// One word for each outcome.
    outcomes_line,
    /// The generation, lower half.
    generation_low,
    /// The generation, upper half.
    generation_high,
    /// The part `direct`: its first line; 0 where there is none.
    direct_line,
    /// The bits of a packet's mark that say through which gateway it leaves, one run of them; 0: no outcome names a gateway,
    /// and marks are left alone.
    gateway_mask,
    /// The part `names`: its first line; 0 where no outcome has names.
    names_line,
    /// How many outcomes have some.
    names_count,
}

impl Layout {
    /// The lines from port class to port class of the part `direct`.
    #[must_use]
    pub fn direct_stride(&self) -> u32 {
        self.class_count.div_ceil(if self.wide == 0 { 32 } else { 16 })
    }
}

/// Words of the part `outcomes`.
pub mod outcome {
    /// The lowest two bits: what happens.
    pub const VERDICT: u32 = 0b11;
    /// The flow is stopped.
    pub const DENY: u32 = 0;
    /// The flow passes.
    pub const PASS: u32 = 1;
    /// Somebody wants a record of such flows: `log`, or an audit-mode block that would decide otherwise.
    pub const RECORD: u32 = 1 << 2;
    /// It depends on names what happens: the part `names` says which outcome holds in the place of this one, whose other
    /// bits are those of the outcome without any.
    pub const NAMED: u32 = 1 << 3;
    /// From this bit up: the number of the gateway through which the flow leaves, or 0. Only where it passes, and never a
    /// number that the bits of `gateway_mask` cannot hold.
    pub const GATEWAY_SHIFT: u32 = 8;
    /// No bit outside of these may be set.
    pub const KNOWN: u32 = VERDICT | RECORD | NAMED | u32::MAX << GATEWAY_SHIFT;

    /// The number of the gateway in a word; 0: none.
    #[must_use]
    pub fn gateway(word: u32) -> u32 {
        word >> GATEWAY_SHIFT
    }
}

/// A node of a tree: kind in the upper three bits, value in the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Entry(pub u32);

/// What an [`Entry`] is; *at* is an offset from the beginning of the tables in units of 16 bytes.
///
/// Within `Chunk…` and `Line`, range `i` goes from its start to just before the start of range `i + 1`, the last one to
/// the end of what the entry covers; the first starts where the entry's cover starts. Unused places repeat the last range.
/// The range of a key is the last one whose start is not above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Everything has this value.
    Leaf(u32),
    /// 256 entries *at* a line, indexed by the next eight bits of the key.
    Block(u32),
    /// 65,536 entries *at* a line, indexed by the first sixteen bits of the key; only as a start.
    Root(u32),
    /// Four ranges, IPv4 only, and only where sixteen bits or fewer are left: words `low 16 bits of the address << 16 |
    /// value`. In narrow tables only.
    Chunk4(u32),
    /// Eight such ranges, *at* a multiple of 32 bytes.
    Chunk8(u32),
    /// Sixteen such ranges, *at* a line.
    Chunk16(u32),
    /// Ranges by the whole key, *at* a line. Narrow: six starts (u64) at byte 0 and six values (u16) at byte 48. Wide:
    /// five starts (u64) at byte 0 and five values (u32) at byte 40.
    Line(u32),
}

/// Bits of an entry's value.
pub const VALUE_BITS: u32 = 29;

impl Entry {
    /// The entry of a kind. Values of more than 29 bits do not exist in tables of at most [`MOST_LINES`].
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let (number, value) = match kind {
            Kind::Leaf(value) => (0, value),
            Kind::Block(at) => (1, at),
            Kind::Root(at) => (2, at),
            Kind::Chunk4(at) => (3, at),
            Kind::Chunk8(at) => (4, at),
            Kind::Chunk16(at) => (5, at),
            Kind::Line(at) => (6, at),
        };
        Self(number << VALUE_BITS | value & ((1 << VALUE_BITS) - 1))
    }

    /// What it is; nothing for the one number that means nothing.
    #[must_use]
    pub fn kind(self) -> Option<Kind> {
        let value = self.0 & ((1 << VALUE_BITS) - 1);
        Some(match self.0 >> VALUE_BITS {
            0 => Kind::Leaf(value),
            1 => Kind::Block(value),
            2 => Kind::Root(value),
            3 => Kind::Chunk4(value),
            4 => Kind::Chunk8(value),
            5 => Kind::Chunk16(value),
            6 => Kind::Line(value),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_reads_back() {
        assert_eq!(WORDS.len(), 35);
        let mut layout =
            Layout { magic: MAGIC, lines: 9, direct_line: 7, gateway_mask: 8, generation_high: 5, ..Layout::default() };
        layout.meta_digest = [0xab; 32];
        assert_eq!(Layout::read(&layout.bytes()), Some(layout));
        assert_eq!(Layout::read(&[0; 191]), None);
    }

    #[test]
    fn entries_read_back() {
        let kinds = [Kind::Leaf(3), Kind::Block(4), Kind::Root(0), Kind::Chunk4(1), Kind::Chunk8(2), Kind::Chunk16(4)];
        for kind in kinds.into_iter().chain([Kind::Line(0x1fff_ffff)]) {
            assert_eq!(Entry::new(kind).kind(), Some(kind));
        }
        assert_eq!(Entry(u32::MAX).kind(), None);
    }
}
