//! Words, ids and forms at their places. In: the bytes and whether ids are wide. Out: numbers, or nothing beyond the end.
//!
//! Knows where things stand, never whether they are right.

use crate::layout::{Entry, Kind, LINE, Layout};

/// The bytes, and how wide ids are in them.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) wide: bool,
}

/// Ranges that are read at once: how many places there are, and where they stand.
#[derive(Clone, Copy)]
pub(super) struct Ranges {
    /// The first byte.
    pub(super) start: usize,
    pub(super) places: usize,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Words `low 16 bits << 16 | value`.
    Chunk,
    /// Starts of eight bytes, then values.
    Line,
}

impl<'a> Raw<'a> {
    pub(super) fn new(bytes: &'a [u8], layout: &Layout) -> Self {
        Self { bytes, wide: layout.wide != 0 }
    }

    pub(super) fn u16(self, at: usize) -> Option<u16> {
        let end = at.checked_add(2)?;
        Some(u16::from_le_bytes(self.bytes.get(at..end)?.try_into().ok()?))
    }

    pub(super) fn u32(self, at: usize) -> Option<u32> {
        let end = at.checked_add(4)?;
        Some(u32::from_le_bytes(self.bytes.get(at..end)?.try_into().ok()?))
    }

    pub(super) fn u64(self, at: usize) -> Option<u64> {
        let end = at.checked_add(8)?;
        Some(u64::from_le_bytes(self.bytes.get(at..end)?.try_into().ok()?))
    }

    /// How many bytes an id takes.
    pub(super) fn id_bytes(self) -> usize {
        if self.wide { 4 } else { 2 }
    }

    /// The id at a place of an array that begins at a byte.
    pub(super) fn id(self, start: usize, place: usize) -> Option<u32> {
        let at = start.checked_add(place.checked_mul(self.id_bytes())?)?;
        if self.wide { self.u32(at) } else { self.u16(at).map(u32::from) }
    }

    /// The entry at a place of an array that begins at a byte.
    pub(super) fn entry(self, start: usize, place: usize) -> Option<Entry> {
        self.u32(start.checked_add(place.checked_mul(4)?)?).map(Entry)
    }

    /// The ranges of a kind that has some.
    pub(super) fn ranges(self, kind: Kind) -> Option<Ranges> {
        let (at, places, form) = match kind {
            Kind::Leaf(_) | Kind::Block(_) | Kind::Root(_) => return None,
            Kind::Chunk4(at) => (at, 4, Form::Chunk),
            Kind::Chunk8(at) => (at, 8, Form::Chunk),
            Kind::Chunk16(at) => (at, 16, Form::Chunk),
            Kind::Line(at) => (at, if self.wide { 5 } else { 6 }, Form::Line),
        };
        Some(Ranges { start: offset(at), places, form })
    }

    /// Start and value of a range; `key` is any key that the ranges cover.
    pub(super) fn range(self, ranges: Ranges, place: usize, key: u64) -> Option<(u64, u32)> {
        match ranges.form {
            Form::Chunk => {
                let word = self.u32(ranges.start.checked_add(place.checked_mul(4)?)?)?;
                let start = key & 0xffff_0000_0000_0000 | u64::from(word >> 16) << 32;
                Some((start, word & 0xffff))
            }
            Form::Line => {
                let start = self.u64(ranges.start.checked_add(place.checked_mul(8)?)?)?;
                Some((start, self.id(ranges.values()?, place)?))
            }
        }
    }

    /// `root << 16 | fragment class`.
    pub(super) fn protocol(self, layout: &Layout, protocol: u8) -> Option<u32> {
        self.u32(line(layout.protocols_line).checked_add(usize::from(protocol) * 4)?)
    }

    pub(super) fn port_class(self, layout: &Layout, protocol: u8, number: u16) -> Option<u32> {
        let root = self.protocol(layout, protocol)? >> 16;
        let page = self.u16(paged(layout.port_roots_line, root, number >> 8)?)?;
        self.u16(paged(layout.port_pages_line, page.into(), number & 0xff)?).map(u32::from)
    }

    pub(super) fn outcome(self, layout: &Layout, outcome: u32) -> Option<u32> {
        let place = usize::try_from(outcome).ok().filter(|_| outcome < layout.outcome_count)?;
        self.u32(line(layout.outcomes_line).checked_add(place.checked_mul(4)?)?)
    }
}

impl Ranges {
    /// Where the values of whole keys begin.
    fn values(self) -> Option<usize> {
        self.start.checked_add(self.places.checked_mul(8)?)
    }

    /// Which bytes are read: starts and values stand one after the other.
    pub(super) fn length(self, raw: Raw<'_>) -> usize {
        match self.form {
            Form::Chunk => self.places * 4,
            Form::Line => self.places * (8 + raw.id_bytes()),
        }
    }

    /// Whether starts are whole keys, so that the ranges fit in one place of the tree only.
    pub(super) fn by_whole_key(self) -> bool {
        self.form == Form::Line
    }
}

/// The first byte of a line.
pub(super) fn line(number: u32) -> usize {
    number as usize * LINE
}

/// The first byte of what stands *at* a multiple of 16 bytes.
pub(super) fn offset(at: u32) -> usize {
    at as usize * 16
}

fn paged(first: u32, page: u32, place: u16) -> Option<usize> {
    line(first).checked_add((page as usize).checked_mul(512)?)?.checked_add(usize::from(place) * 2)
}
