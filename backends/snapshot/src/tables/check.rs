//! The check of whole tables: the layout's words, then every part. In: bytes. Out: the layout, or what is wrong.

use super::cover::Cover;
use super::raw::{Raw, line};
use super::{TableError, Tree, matrix, names, tree};
use crate::gateway;
use crate::layout::{LAYOUT_LINES, LINE, Layout, MAGIC, MOST_LINES, VALUE_BITS, WORDS, outcome};

/// What checks share: the bytes, and which of them somebody reads.
pub(super) struct Checker<'a> {
    pub(super) raw: Raw<'a>,
    cover: Cover,
}

/// Checks everything.
pub(super) fn check(bytes: &[u8]) -> Result<Layout, TableError> {
    let layout = head(bytes)?;
    let mut checker = Checker { raw: Raw::new(bytes, &layout), cover: Cover::new(bytes.len()) };
    // The words and the digest; what is left of their lines is padding.
    checker.cover.mark(0, WORDS.len() * 4 + 32);
    counts(&checker, &layout)?;
    trees(&mut checker, &layout)?;
    ports(&mut checker, &layout)?;
    matrix::decisions(&layout).check(&mut checker)?;
    matrix::actions(&layout).check(&mut checker)?;
    matrix::check_direct(&mut checker, &layout)?;
    outcomes(&mut checker, &layout)?;
    names::check(&mut checker, &layout)?;
    match checker.cover.unread(bytes) {
        Some(at) => Err(TableError::Padding { at }),
        None => Ok(layout),
    }
}

/// The layout, once it is clear that the bytes are tables of this version and as long as they say.
fn head(bytes: &[u8]) -> Result<Layout, TableError> {
    let length = |expected: String| TableError::Length { bytes: bytes.len(), expected };
    let least = LAYOUT_LINES as usize * LINE;
    let layout = Layout::read(bytes).ok_or_else(|| length(format!("the {least} of a layout or more")))?;
    if layout.magic != MAGIC {
        return Err(TableError::Magic { found: layout.magic });
    }
    if layout.lines > MOST_LINES {
        let allowed = format!("at most {MOST_LINES}");
        return Err(TableError::Word { word: "lines", found: layout.lines.into(), allowed });
    }
    if line(layout.lines) != bytes.len() {
        return Err(length(format!("the {} of {} lines", line(layout.lines), layout.lines)));
    }
    Ok(layout)
}

/// Counts: none is zero, and ids of their width can name everything.
fn counts(checker: &Checker<'_>, layout: &Layout) -> Result<(), TableError> {
    if layout.wide > 1 {
        return Err(checker.word("wide", layout.wide.into(), "0 or 1"));
    }
    if layout.gateway_mask != 0 && gateway::largest(layout.gateway_mask).is_none() {
        return Err(checker.word("gateway_mask", layout.gateway_mask.into(), "0 or one run of bits"));
    }
    let most = if layout.wide == 1 { 1 << VALUE_BITS } else { 1 << 16 };
    let ids = [
        ("row_count", u64::from(layout.row_count), most),
        ("class_count", layout.class_count.into(), most),
        ("profile_count", layout.profile_count.into(), most),
        ("port_class_count", layout.port_class_count.into(), 1 << 16),
        ("outcome_count", layout.outcome_count.into(), most),
        ("port_root_count", layout.port_root_count.into(), 1 << 16),
        ("port_page_count", layout.port_page_count.into(), 1 << 16),
    ];
    for (word, found, most) in ids {
        if found == 0 || found > most {
            return Err(checker.word(word, found, format!("1 to {most}")));
        }
    }
    // A leaf has 29 bits in narrow tables too, and a line's value 16: what is too small there is found there.
    let lows = [
        ("source_low_count", layout.row_count, layout.source_low_count),
        ("destination_low_count", layout.class_count, layout.destination_low_count),
    ];
    for (word, count, found) in lows {
        let most = (1u64 << VALUE_BITS) - u64::from(count);
        if u64::from(found) > most {
            return Err(checker.word(word, found.into(), format!("at most {most}")));
        }
    }
    checker.id("`default_row`", layout.default_row, layout.row_count)
}

fn trees(checker: &mut Checker<'_>, layout: &Layout) -> Result<(), TableError> {
    tree::check_v4(checker, Tree::source_v4(layout), "the tree of IPv4 sources")?;
    tree::check_v6(
        checker,
        Tree::source_v6(layout),
        ["the tree of IPv6 sources", "a low tree of IPv6 sources", "the part `source_lows`"],
    )?;
    tree::check_v4(checker, Tree::destination_v4(layout), "the tree of IPv4 destinations")?;
    tree::check_v6(
        checker,
        Tree::destination_v6(layout),
        ["the tree of IPv6 destinations", "a low tree of IPv6 destinations", "the part `destination_lows`"],
    )
}

fn ports(checker: &mut Checker<'_>, layout: &Layout) -> Result<(), TableError> {
    let (protocols, roots, pages) = ("the part `protocols`", "the part `port_roots`", "the part `port_pages`");
    let start = checker.whole(protocols, layout.protocols_line, 1024)?;
    for protocol in 0..256 {
        let word = checker.raw.entry(start, protocol).map_or(u32::MAX, |entry| entry.0);
        checker.id(protocols, word >> 16, layout.port_root_count)?;
        checker.id(protocols, word & 0xffff, layout.port_class_count)?;
    }
    let start = checker.whole(roots, layout.port_roots_line, u64::from(layout.port_root_count) * 512)?;
    checker.halves(roots, start, layout.port_root_count, layout.port_page_count)?;
    let start = checker.whole(pages, layout.port_pages_line, u64::from(layout.port_page_count) * 512)?;
    checker.halves(pages, start, layout.port_page_count, layout.port_class_count)
}

fn outcomes(checker: &mut Checker<'_>, layout: &Layout) -> Result<(), TableError> {
    let part = "the part `outcomes`";
    checker.whole(part, layout.outcomes_line, u64::from(layout.outcome_count) * 4)?;
    let most = gateway::largest(layout.gateway_mask).unwrap_or(0);
    for outcome in 0..layout.outcome_count {
        let word = checker.raw.outcome(layout, outcome).unwrap_or(u32::MAX);
        let verdict = word & outcome::VERDICT;
        let gateway = outcome::gateway(word);
        let leaves = gateway == 0 || verdict == outcome::PASS && gateway <= most;
        if word & !outcome::KNOWN != 0 || (verdict != outcome::PASS && verdict != outcome::DENY) || !leaves {
            return Err(TableError::Outcome { outcome, word });
        }
    }
    Ok(())
}

impl Checker<'_> {
    /// The first byte of a part that begins at a line; it may not begin within the layout nor end behind the tables.
    pub(super) fn part(&self, part: &'static str, first: u32, length: u64) -> Result<usize, TableError> {
        let start = u64::from(first) * LINE as u64;
        let within = first >= LAYOUT_LINES && start.saturating_add(length) <= self.raw.bytes.len() as u64;
        if within { Ok(line(first)) } else { Err(TableError::Outside { part, start, length }) }
    }

    /// Notes that bytes are read; they must be within the tables and behind the layout.
    pub(super) fn read(&mut self, part: &'static str, start: usize, length: usize) -> Result<(), TableError> {
        let end = start.checked_add(length);
        if start < line(LAYOUT_LINES) || end.is_none_or(|end| end > self.raw.bytes.len()) {
            return Err(TableError::Outside { part, start: start as u64, length: length as u64 });
        }
        self.cover.mark(start, length);
        Ok(())
    }

    /// A part that is read to its end.
    pub(super) fn whole(&mut self, part: &'static str, first: u32, length: u64) -> Result<usize, TableError> {
        let start = self.part(part, first, length)?;
        self.read(part, start, length as usize)?;
        Ok(start)
    }

    pub(super) fn id(&self, part: &'static str, found: u32, count: u32) -> Result<(), TableError> {
        if found < count { Ok(()) } else { Err(TableError::Id { part, found, count }) }
    }

    pub(super) fn word(&self, word: &'static str, found: u64, allowed: impl Into<String>) -> TableError {
        TableError::Word { word, found, allowed: allowed.into() }
    }

    /// Checks pages of 256 ids of sixteen bits.
    fn halves(&self, part: &'static str, start: usize, pages: u32, count: u32) -> Result<(), TableError> {
        for place in 0..pages as usize * 256 {
            let found = self.raw.u16(start + place * 2).map_or(u32::MAX, u32::from);
            self.id(part, found, count)?;
        }
        Ok(())
    }
}
