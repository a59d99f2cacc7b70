//! Matrices: `decisions` and `actions`. In: the layout. Out: one cell, or that all cells are within their bounds, and that
//! `direct` says the same as both together.

use super::TableError;
use super::check::Checker;
use super::raw::{Raw, line};
use crate::layout::{LINE, Layout};
use std::collections::BTreeSet;

/// A matrix as the layout names it.
#[derive(Clone, Copy)]
pub(super) struct Matrix {
    part: &'static str,
    stride_word: &'static str,
    paged_word: &'static str,
    first: u32,
    stride: u32,
    paged: u32,
    rows: u32,
    columns: u32,
    /// How many values there are for a cell.
    values: u32,
}

/// From row and destination class to profile.
pub(super) fn decisions(layout: &Layout) -> Matrix {
    Matrix {
        part: "the part `decisions`",
        stride_word: "decisions_stride",
        paged_word: "decisions_paged",
        first: layout.decisions_line,
        stride: layout.decisions_stride,
        paged: layout.decisions_paged,
        rows: layout.row_count,
        columns: layout.class_count,
        values: layout.profile_count,
    }
}

/// From profile and port class to outcome.
pub(super) fn actions(layout: &Layout) -> Matrix {
    Matrix {
        part: "the part `actions`",
        stride_word: "actions_stride",
        paged_word: "actions_paged",
        first: layout.actions_line,
        stride: layout.actions_stride,
        paged: layout.actions_paged,
        rows: layout.profile_count,
        columns: layout.port_class_count,
        values: layout.outcome_count,
    }
}

impl Matrix {
    /// A cell; nothing where row or column do not exist.
    pub(super) fn cell(self, raw: Raw<'_>, row: u32, column: u32) -> Option<u32> {
        if row >= self.rows || column >= self.columns {
            return None;
        }
        let start = self.row(row)?;
        if self.paged == 0 {
            return raw.id(start, column as usize);
        }
        let page = raw.entry(start, column as usize / cells(raw))?.0;
        raw.id(line(page), column as usize % cells(raw))
    }

    /// Checks every cell, and says which bytes are read.
    pub(super) fn check(self, checker: &mut Checker<'_>) -> Result<(), TableError> {
        if self.paged > 1 {
            return Err(checker.word(self.paged_word, self.paged.into(), "0 or 1"));
        }
        let raw = checker.raw;
        let pages = (self.columns as usize).div_ceil(cells(raw));
        let wanted = if self.paged == 1 { pages * 4 } else { self.columns as usize * raw.id_bytes() };
        if (self.stride as usize) < wanted.div_ceil(LINE) {
            let least = format!("{} or more, as there are {} columns", wanted.div_ceil(LINE), self.columns);
            return Err(checker.word(self.stride_word, self.stride.into(), least));
        }
        checker.part(
            self.part,
            self.first,
            (u64::from(self.rows) * u64::from(self.stride)).saturating_mul(LINE as u64),
        )?;
        let mut whole = BTreeSet::new();
        for row in 0..self.rows {
            let start = self.row(row).unwrap_or(usize::MAX);
            checker.read(self.part, start, wanted)?;
            if self.paged == 0 {
                self.check_cells(checker, start, self.columns as usize)?;
            } else {
                self.check_pages(checker, start, &mut whole)?;
            }
        }
        Ok(())
    }

    /// Checks the pages of a row. `whole` are those that were checked to their ends before.
    fn check_pages(self, checker: &mut Checker<'_>, start: usize, whole: &mut BTreeSet<u32>) -> Result<(), TableError> {
        let mut left = self.columns as usize;
        let mut place = 0;
        while left > 0 {
            let count = left.min(cells(checker.raw));
            let page = checker.raw.entry(start, place).map_or(u32::MAX, |entry| entry.0);
            if !whole.contains(&page) {
                let first = checker.part("a page of cells", page, LINE as u64)?;
                checker.read("a page of cells", first, count * checker.raw.id_bytes())?;
                self.check_cells(checker, first, count)?;
                if count == cells(checker.raw) {
                    whole.insert(page);
                }
            }
            (left, place) = (left - count, place + 1);
        }
        Ok(())
    }

    fn check_cells(self, checker: &Checker<'_>, start: usize, count: usize) -> Result<(), TableError> {
        for place in 0..count {
            let found = checker.raw.id(start, place).unwrap_or(u32::MAX);
            checker.id(self.part, found, self.values)?;
        }
        Ok(())
    }

    fn row(self, row: u32) -> Option<usize> {
        line(self.first).checked_add((row as usize).checked_mul(self.stride as usize)?.checked_mul(LINE)?)
    }
}

/// Checks that every cell of `direct` is what the matrices say, where there is such a part. They were checked before.
pub(super) fn check_direct(checker: &mut Checker<'_>, layout: &Layout) -> Result<(), TableError> {
    if layout.direct_line == 0 {
        return Ok(());
    }
    let (part, raw) = ("the part `direct`", checker.raw);
    let stride = u64::from(layout.direct_stride()) * LINE as u64;
    let lines = u64::from(layout.row_count) * u64::from(layout.port_class_count);
    // What does not fit is found here, so that the walk is no longer than the tables.
    let first = checker.part(part, layout.direct_line, lines.saturating_mul(stride))?;
    let (decisions, actions) = (decisions(layout), actions(layout));
    let starts = (first..).step_by(stride as usize);
    let keys = (0..layout.row_count).flat_map(|row| (0..layout.port_class_count).map(move |ports| (row, ports)));
    for ((row, ports), start) in keys.zip(starts) {
        checker.read(part, start, layout.class_count as usize * raw.id_bytes())?;
        for class in 0..layout.class_count {
            let profile = decisions.cell(raw, row, class);
            let outcome = profile.and_then(|profile| actions.cell(raw, profile, ports));
            if raw.id(start, class as usize) != outcome {
                return Err(TableError::Direct { row, ports, class });
            }
        }
    }
    Ok(())
}

/// How many cells a page has.
fn cells(raw: Raw<'_>) -> usize {
    LINE / raw.id_bytes()
}
