//! What the tables are made of, for people. In: checked tables. Out: the bytes of each part and the forms of its nodes.

use super::raw::{Raw, line, offset};
use super::{Tables, Tree};
use crate::layout::{Entry, Kind, LAYOUT_LINES, LINE};
use std::collections::{BTreeMap, BTreeSet};

/// A part of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it holds.
    pub name: &'static str,
    /// How many bytes are read of it. Nodes that trees share count for each tree.
    pub bytes: u64,
    /// Trees: how many nodes of each form there are. Matrices: `dense` or `paged` and the number of rows or pages.
    pub forms: BTreeMap<&'static str, u64>,
}

impl Tables {
    /// Every part, in the order of a decision.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let layout = self.layout();
        let plain = |name, bytes| Part { name, bytes, forms: BTreeMap::new() };
        let (rows, profiles) = (layout.row_count, layout.profile_count);
        let direct = u64::from(rows) * u64::from(layout.port_class_count) * u64::from(layout.direct_stride());
        let direct = if layout.direct_line == 0 { 0 } else { direct * LINE as u64 };
        let index = if layout.names_line == 0 { 0 } else { u64::from(layout.outcome_count) * 4 };
        let names = index + u64::from(layout.names_count) * 2 * LINE as u64;
        vec![
            plain("layout", line(LAYOUT_LINES) as u64),
            self.tree("IPv4 sources", Tree::source_v4(layout)),
            self.tree("IPv6 sources", Tree::source_v6(layout)),
            self.tree("IPv4 destinations", Tree::destination_v4(layout)),
            self.tree("IPv6 destinations", Tree::destination_v6(layout)),
            plain("protocols", 1024),
            plain("port roots", u64::from(layout.port_root_count) * 512),
            plain("port pages", u64::from(layout.port_page_count) * 512),
            self.matrix("decisions", (layout.decisions_line, layout.decisions_stride, rows), layout.decisions_paged),
            self.matrix("actions", (layout.actions_line, layout.actions_stride, profiles), layout.actions_paged),
            plain("direct", direct),
            plain("outcomes", u64::from(layout.outcome_count) * 4),
            plain("names", names),
        ]
    }

    fn tree(&self, name: &'static str, tree: Tree) -> Part {
        let raw = Raw::new(self.bytes(), self.layout());
        let mut seen = BTreeSet::new();
        let mut part = Part { name, bytes: u64::from(tree.low_count) * 4, forms: BTreeMap::new() };
        let lows = (0..tree.low_count as usize).filter_map(|low| raw.entry(line(tree.lows_line), low));
        for start in [tree.start].into_iter().chain(lows) {
            nodes(raw, start, &mut seen, &mut part);
        }
        part
    }

    fn matrix(&self, name: &'static str, (first, stride, rows): (u32, u32, u32), paged: u32) -> Part {
        let lines = u64::from(rows) * u64::from(stride);
        if paged == 0 {
            return Part { name, bytes: lines * LINE as u64, forms: BTreeMap::from([("dense rows", rows.into())]) };
        }
        let raw = Raw::new(self.bytes(), self.layout());
        let words = (0..lines as usize * LINE / 4).filter_map(|place| raw.entry(line(first), place));
        // Padding is zero, and no page can be within the layout.
        let pages: BTreeSet<u32> = words.map(|word| word.0).filter(|page| *page != 0).collect();
        let pages = pages.len() as u64;
        let forms = BTreeMap::from([("paged rows", rows.into()), ("pages", pages)]);
        Part { name, bytes: (lines + pages) * LINE as u64, forms }
    }
}

/// Counts every node below an entry that was not seen before.
fn nodes(raw: Raw<'_>, entry: Entry, seen: &mut BTreeSet<u32>, part: &mut Part) {
    let Some(kind) = entry.kind() else { return };
    let (form, bytes, entries) = match kind {
        Kind::Leaf(_) => return,
        Kind::Block(at) => ("blocks", 1024, Some((at, 256))),
        Kind::Root(at) => ("roots", 1 << 18, Some((at, 1 << 16))),
        Kind::Chunk4(_) => ("chunks of 4", 16, None),
        Kind::Chunk8(_) => ("chunks of 8", 32, None),
        Kind::Chunk16(_) => ("chunks of 16", 64, None),
        Kind::Line(_) => ("lines", LINE as u64, None),
    };
    if !seen.insert(entry.0) {
        return;
    }
    *part.forms.entry(form).or_default() += 1;
    part.bytes += bytes;
    if let Some((at, count)) = entries {
        for place in 0..count {
            raw.entry(offset(at), place).into_iter().for_each(|entry| nodes(raw, entry, seen, part));
        }
    }
}
