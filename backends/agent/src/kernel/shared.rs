//! What programs and agent say to each other, as `bpf/shared.h` has it; a test compares both by the object's type
//! information.

/// How many attach points there can be; slots are below it.
pub const MOST_SLOTS: u32 = 4096;

/// `cb[0]`: a row given directly.
pub(super) const DIRECT_ROW: u32 = 1 << 31;

/// `cb[2]` of a packet that no rule judges.
pub(super) const RESULT_EXEMPT: u32 = u32::MAX;

/// Counters behind those of the outcomes: malformed, exempt, replies, too late for a gateway.
pub(super) const COUNT_BEYOND: u32 = 4;

/// Who is at an attach point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Nobody knows: the snapshot's default.
    Unknown,
    /// Whoever has the packet's source address.
    ByAddress,
    /// A row of the generation.
    Row(u32),
}

impl Endpoint {
    /// The word in the kernel's map.
    #[must_use]
    pub fn word(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::ByAddress => u32::MAX,
            Self::Row(row) => row.saturating_add(1).min(u32::MAX - 1),
        }
    }

    /// What a word means.
    #[must_use]
    pub fn of_word(word: u32) -> Self {
        match word {
            0 => Self::Unknown,
            u32::MAX => Self::ByAddress,
            row => Self::Row(row - 1),
        }
    }
}

/// The bytes of an event.
pub(super) const EVENT_BYTES: usize = 112;

/// A structure of the kernel programs: its name, and its members with their offsets in bytes.
pub type Record = (&'static str, &'static [(&'static str, u32)]);

/// Every structure that is read or written here, for comparing with the object's type information.
pub const RECORDS: &[Record] = &[
    ("counter", &[("packets", 0), ("bytes", 8)]),
    (
        "learned_key",
        &[("set", 0), ("client_high", 8), ("client_low", 16), ("destination_high", 24), ("destination_low", 32)],
    ),
    ("learned_value", &[("until", 0), ("used", 8)]),
    (
        "event",
        &[
            ("time", 0),
            ("generation", 8),
            ("left_out", 16),
            ("slot", 24),
            ("row", 28),
            ("class", 32),
            ("outcome", 36),
            ("ifindex", 40),
            ("length", 44),
            ("pid", 48),
            ("number", 52),
            ("source_number", 54),
            ("protocol", 56),
            ("flags", 57),
            ("zero", 58),
            ("source", 60),
            ("destination", 76),
            ("command", 92),
            ("end", 108),
        ],
    ),
];
