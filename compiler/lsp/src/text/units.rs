//! Counting code units: how many stand before a byte, and which byte follows so many.
//!
//! A count is kept for every few hundred bytes, so that a look-up reads that much text however long the lines are.

use super::{Encoding, offset};

/// How many bytes lie between two counts.
const STRIDE: usize = 256;

/// The units of one text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Units {
    encoding: Encoding,
    /// For each multiple of the stride the first character from there on, as its offset, and the units before it; none at
    /// all where units are bytes.
    counts: Vec<(u32, u32)>,
}

impl Units {
    pub(super) fn new(text: &str, encoding: Encoding) -> Self {
        if encoding == Encoding::Utf8 || text.is_ascii() {
            return Self { encoding, counts: Vec::new() };
        }
        let mut counts = Vec::with_capacity(text.len() / STRIDE + 1);
        let (mut units, mut next) = (0, 0);
        for (at, c) in text.char_indices() {
            if at >= next {
                counts.push((offset(at), units));
                next = (at / STRIDE + 1) * STRIDE;
            }
            units += width(c, encoding);
        }
        Self { encoding, counts }
    }

    /// The units before a byte offset; of one inside of a character, those before the character.
    pub(super) fn before(&self, text: &str, at: u32) -> u32 {
        let known = self.counts.partition_point(|&(start, _)| start <= at);
        let Some(&(start, units)) = known.checked_sub(1).and_then(|known| self.counts.get(known)) else { return at };
        let rest = text.get(start as usize..).unwrap_or_default();
        let before = |&(from, c): &(usize, char)| start as usize + from + c.len_utf8() <= at as usize;
        units + rest.char_indices().take_while(before).map(|(_, c)| width(c, self.encoding)).sum::<u32>()
    }

    /// The byte offset of the character that holds the unit after so many; the end of the text beyond it.
    pub(super) fn at(&self, text: &str, units: u32) -> u32 {
        if self.counts.is_empty() {
            let at = text.len().min(units as usize);
            return offset((0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default());
        }
        let known = self.counts.partition_point(|&(_, before)| before <= units);
        let (start, mut count) =
            known.checked_sub(1).and_then(|known| self.counts.get(known)).copied().unwrap_or_default();
        let rest = text.get(start as usize..).unwrap_or_default();
        for (from, c) in rest.char_indices() {
            count += width(c, self.encoding);
            if count > units {
                return start + offset(from);
            }
        }
        offset(text.len())
    }
}

fn width(c: char, encoding: Encoding) -> u32 {
    match encoding {
        Encoding::Utf8 => offset(c.len_utf8()),
        Encoding::Utf16 => offset(c.len_utf16()),
        Encoding::Utf32 => 1,
    }
}
