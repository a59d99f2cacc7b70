//! Matrices of ids as lines: dense where that is small, else by words that name shared lines.
//!
//! In: rows that say where they differ from one of a few base rows. Out: bytes. Never looks at every cell of a row that
//! is like its base.

use super::intern::{Interner, place};
use egress_snapshot::LINE;
use std::collections::BTreeMap;

/// A matrix whose rows are mostly alike.
#[derive(Debug, Default)]
pub(super) struct Matrix {
    pub(super) columns: usize,
    pub(super) bases: Vec<Vec<u32>>,
    pub(super) rows: Vec<Row>,
}

/// A row: a base and the cells that differ from it, sorted by column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) base: u32,
    pub(super) own: Vec<(u32, u32)>,
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
    /// The bytes when the matrix begins at this line; nothing when it takes more lines than `most`.
    pub(super) fn encode(&self, wide: bool, first_line: usize, most: usize) -> Option<Encoded> {
        let cells = if wide { 16 } else { 32 };
        let width = self.columns.div_ceil(cells).max(1);
        let stride = width.div_ceil(LINE / 4);
        // Words of pages are the least that any form takes.
        let words = self.rows.len().checked_mul(stride).filter(|lines| *lines <= most)?;
        let (pool, rows) = self.lines(wide, cells, width);
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
                    bytes.extend(pool.at(*line).unwrap_or(&[0; LINE]));
                }
            }
            bytes.resize(bytes.len().next_multiple_of(LINE), 0);
        }
        if is_paged {
            pool.values().for_each(|line| bytes.extend(line));
        }
        Some(Encoded { paged: is_paged, stride: place(if is_paged { stride } else { width }), bytes })
    }

    /// The distinct lines, and each row as lines.
    fn lines(&self, wide: bool, cells: usize, width: usize) -> (Interner<[u8; LINE]>, Vec<Vec<u32>>) {
        let mut pool = Interner::default();
        let bases: Vec<Vec<u32>> = self.bases.iter().map(|base| based(base, wide, cells, width, &mut pool)).collect();
        let mut rows = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let cells_of_base = self.bases.get(row.base as usize).map_or(&[][..], Vec::as_slice);
            let mut lines = bases.get(row.base as usize).cloned().unwrap_or_default();
            let mut rest = row.own.as_slice();
            while let Some((first, _)) = rest.first() {
                let number = *first as usize / cells;
                let within = rest.partition_point(|(column, _)| *column as usize / cells == number);
                let (own, after) = rest.split_at_checked(within).unwrap_or_default();
                let of_base = cells_of_base.chunks(cells).nth(number).unwrap_or_default();
                let own: BTreeMap<usize, u32> = own.iter().map(|(at, value)| (*at as usize % cells, *value)).collect();
                let values = of_base.iter().enumerate().map(|(at, value)| own.get(&at).copied().unwrap_or(*value));
                if let Some(line) = lines.get_mut(number) {
                    *line = pool.number(packed(values, wide));
                }
                rest = after;
            }
            rows.push(lines);
        }
        (pool, rows)
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
