//! Matrices of ids as lines: dense where that is small, else by words that name shared lines.
//!
//! In: rows that say where they differ from one of a few base rows. Out: bytes. Never looks at every cell of a row that
//! is like its base.

use super::intern::{Interner, place};
use egress_snapshot::LINE;
use egress_snapshot::tables::NOTHING;

/// A matrix whose rows are mostly alike.
#[derive(Debug, Default)]
pub(super) struct Matrix {
    pub(super) columns: usize,
    pub(super) bases: Vec<Vec<u32>>,
    pub(super) rows: Vec<Row>,
}

/// A row: a base, and runs of cells that have other values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) base: u32,
    /// Sorted and disjoint; neighbours of one value are one run.
    pub(super) own: Vec<Span>,
}

/// Columns from `first` to `last` that have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Span {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) value: u32,
}

impl Row {
    /// Goes on with a run behind all others.
    pub(super) fn push(&mut self, span: Span) {
        match self.own.last_mut() {
            Some(before) if before.value == span.value && before.last + 1 == span.first => before.last = span.last,
            _ => self.own.push(span),
        }
    }

    /// The value of a column, where it is not the base's.
    pub(super) fn own_at(&self, column: u32) -> Option<u32> {
        let at = self.own.partition_point(|span| span.last < column);
        self.own.get(at).filter(|span| span.first <= column).map(|span| span.value)
    }

    /// The first column that is not below `column` and has the base's value.
    pub(super) fn free_from(&self, column: u32) -> u32 {
        let at = self.own.partition_point(|span| span.last < column);
        let spans = self.own.get(at..).unwrap_or_default();
        spans.iter().fold(column, |free, span| if span.first <= free { span.last + 1 } else { free })
    }
}

/// A matrix as bytes.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) paged: bool,
    /// Lines from row to row.
    pub(super) stride: u32,
    pub(super) bytes: Vec<u8>,
}

/// A dense matrix of at most so many lines is not worth a second look-up: 1 MiB.
const SMALL: usize = 1 << 14;

impl Matrix {
    /// A cell of one of its rows.
    pub(super) fn at(&self, row: &Row, column: u32) -> u32 {
        let base = || self.bases.get(row.base as usize).and_then(|base| base.get(column as usize));
        row.own_at(column).or_else(|| base().copied()).unwrap_or(NOTHING)
    }

    /// The bytes when the matrix begins at this line; nothing when it takes more lines than `most`.
    pub(super) fn encode(&self, wide: bool, first_line: usize, most: usize) -> Option<Encoded> {
        let cells = if wide { 16 } else { 32 };
        let width = self.columns.div_ceil(cells).max(1);
        let stride = width.div_ceil(LINE / 4);
        // Words of pages are the least that any form takes.
        let words = self.rows.len().checked_mul(stride).filter(|lines| *lines <= most)?;
        let (pool, rows) = self.lines(wide, cells, width).used();
        let dense = self.rows.len().saturating_mul(width);
        let paged = words + pool.len();
        if dense.min(paged) > most {
            return None;
        }
        let is_paged = dense > SMALL && paged < dense;
        let mut bytes = Vec::with_capacity(if is_paged { paged } else { dense } * LINE);
        for row in &rows {
            for line in row {
                if is_paged {
                    bytes.extend(place(first_line + words + *line as usize).to_le_bytes());
                } else {
                    bytes.extend(pool.get(*line as usize).unwrap_or(&[0; LINE]));
                }
            }
            bytes.resize(bytes.len().next_multiple_of(LINE), 0);
        }
        if is_paged {
            pool.iter().for_each(|line| bytes.extend(line));
        }
        Some(Encoded { paged: is_paged, stride: place(if is_paged { stride } else { width }), bytes })
    }

    /// The distinct lines, and each row as lines.
    fn lines(&self, wide: bool, cells: usize, width: usize) -> Lines {
        let mut pool = Interner::default();
        let bases: Vec<Vec<u32>> = self.bases.iter().map(|base| based(base, wide, cells, width, &mut pool)).collect();
        let mut rows = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let base = self.bases.get(row.base as usize).map_or(&[][..], Vec::as_slice);
            let mut lines = bases.get(row.base as usize).cloned().unwrap_or_default();
            let mut open: Option<(usize, Vec<u32>)> = None;
            let mut close = |open: Option<(usize, Vec<u32>)>| {
                let Some((number, values)) = open else { return };
                let line = pool.number(packed(values.into_iter(), wide));
                lines.get_mut(number).into_iter().for_each(|place| *place = line);
            };
            for span in &row.own {
                let (first, last) = (span.first as usize, span.last as usize);
                for number in first / cells..=last / cells {
                    if open.as_ref().is_none_or(|(known, _)| *known != number) {
                        close(open.take());
                        open = Some((number, base.chunks(cells).nth(number).unwrap_or_default().to_vec()));
                    }
                    let begin = first.max(number * cells) - number * cells;
                    let end = last.min(number * cells + cells - 1) - number * cells;
                    let values = open.as_mut().and_then(|(_, values)| values.get_mut(begin..=end));
                    values.into_iter().for_each(|values| values.fill(span.value));
                }
            }
            close(open);
            rows.push(lines);
        }
        Lines { pool, rows }
    }
}

/// Rows as numbers of lines.
struct Lines {
    pool: Interner<[u8; LINE]>,
    rows: Vec<Vec<u32>>,
}

impl Lines {
    /// The lines that rows have, in the order of their first use; bases may have others, which nobody would read.
    fn used(self) -> (Vec<[u8; LINE]>, Vec<Vec<u32>>) {
        let Self { pool, mut rows } = self;
        let mut numbers: Vec<Option<u32>> = vec![None; pool.len()];
        let mut used: Vec<[u8; LINE]> = Vec::new();
        for line in rows.iter_mut().flatten() {
            let Some(number) = numbers.get_mut(*line as usize) else { continue };
            *line = *number.get_or_insert_with(|| {
                used.extend(pool.at(*line));
                place(used.len() - 1)
            });
        }
        (used, rows)
    }
}

fn based(base: &[u32], wide: bool, cells: usize, width: usize, pool: &mut Interner<[u8; LINE]>) -> Vec<u32> {
    let mut lines: Vec<u32> =
        base.chunks(cells).map(|cells| pool.number(packed(cells.iter().copied(), wide))).collect();
    // A matrix without columns has a line all the same, so that no row begins outside of the tables.
    lines.resize_with(width, || pool.number([0; LINE]));
    lines
}

/// Cells side by side, and zeros behind them.
fn packed(cells: impl Iterator<Item = u32>, wide: bool) -> [u8; LINE] {
    let mut line = [0; LINE];
    let size = if wide { 4 } else { 2 };
    for (place, value) in line.chunks_mut(size).zip(cells) {
        let value = value.to_le_bytes();
        place.iter_mut().zip(value).for_each(|(byte, of)| *byte = of);
    }
    line
}
