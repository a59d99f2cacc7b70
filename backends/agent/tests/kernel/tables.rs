//! Hand-made tables: a small model of a policy, and the bytes of it in every form that the layout knows.
//!
//! In: ranges of addresses, port classes, matrices. Out: tables, and the model's own answer, which reads the ranges and
//! never the bytes. Which forms a tree takes is drawn at random, so that each of them is walked by the kernel.

use egress_snapshot::layout::{Entry, Kind, LAYOUT_LINES, LINE, Layout, MAGIC};
use egress_testkit::seed::Rng;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Ranges of one family: where each starts, and its value. The first starts at 0.
pub(crate) type Ranges = Vec<(u128, u32)>;

/// A policy, small and plain.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) wide: bool,
    pub(crate) paged: bool,
    pub(crate) generation: u64,
    pub(crate) default_row: u32,
    /// 32-bit addresses to rows, and 128-bit ones.
    pub(crate) sources: [Ranges; 2],
    /// To classes.
    pub(crate) destinations: [Ranges; 2],
    /// By protocol: the fragment class, and where each port class starts. All others are class 0.
    pub(crate) ports: BTreeMap<u8, (u32, Vec<(u32, u32)>)>,
    /// `[row][class]`, `[profile][port class]`.
    pub(crate) decisions: Vec<Vec<u32>>,
    pub(crate) actions: Vec<Vec<u32>>,
    pub(crate) outcomes: Vec<u32>,
}

fn value(ranges: &[(u128, u32)], key: u128) -> u32 {
    ranges[ranges.partition_point(|(start, _)| *start <= key) - 1].1
}

fn key_of(address: IpAddr) -> (usize, u128) {
    match address {
        IpAddr::V4(address) => (0, u32::from(address).into()),
        IpAddr::V6(address) => (1, address.into()),
    }
}

impl Model {
    pub(crate) fn row(&self, source: IpAddr) -> u32 {
        let (family, key) = key_of(source);
        value(&self.sources[family], key)
    }

    pub(crate) fn class(&self, destination: IpAddr) -> u32 {
        let (family, key) = key_of(destination);
        value(&self.destinations[family], key)
    }

    /// The outcome of a flow.
    pub(crate) fn outcome(&self, row: u32, destination: IpAddr, protocol: u8, number: u16, fragment: bool) -> u32 {
        let port = match self.ports.get(&protocol) {
            None => 0,
            Some((class, _)) if fragment => *class,
            Some((_, starts)) => starts[starts.partition_point(|(start, _)| *start <= u32::from(number)) - 1].1,
        };
        let profile = self.decisions[row as usize][self.class(destination) as usize];
        self.actions[profile as usize][port as usize]
    }

    /// The tables, with the forms of trees drawn from `rng`.
    pub(crate) fn tables(&self, rng: &mut Rng) -> Vec<u8> {
        self.tables_with(Forms::Drawn, rng)
    }

    /// The tables, with forms as an emitter would take them or at random.
    pub(crate) fn tables_with(&self, forms: Forms, rng: &mut Rng) -> Vec<u8> {
        let bytes = vec![0; LAYOUT_LINES as usize * LINE];
        let mut bytes = Bytes { bytes, wide: self.wide, forms, partial: [0; 2] };
        let rows = self.decisions.len() as u32;
        let classes = self.decisions[0].len() as u32;
        let mut layout = Layout {
            magic: MAGIC,
            wide: self.wide.into(),
            row_count: rows,
            class_count: classes,
            profile_count: self.actions.len() as u32,
            port_class_count: self.actions[0].len() as u32,
            outcome_count: self.outcomes.len() as u32,
            default_row: self.default_row,
            generation_low: self.generation as u32,
            generation_high: (self.generation >> 32) as u32,
            ..Layout::default()
        };
        layout.source_v4 = bytes.tree_v4(rng, &self.sources[0]);
        layout.destination_v4 = bytes.tree_v4(rng, &self.destinations[0]);
        let source = bytes.tree_v6(rng, &self.sources[1], rows);
        (layout.source_v6, layout.source_lows_line, layout.source_low_count) = source;
        let destination = bytes.tree_v6(rng, &self.destinations[1], classes);
        (layout.destination_v6, layout.destination_lows_line, layout.destination_low_count) = destination;
        self.ports(&mut bytes, &mut layout);
        (layout.decisions_line, layout.decisions_stride) = bytes.matrix(&self.decisions, self.paged);
        (layout.actions_line, layout.actions_stride) = bytes.matrix(&self.actions, self.paged);
        (layout.decisions_paged, layout.actions_paged) = (self.paged.into(), self.paged.into());
        if forms == Forms::Smallest || rng.between(0, 1) == 0 {
            layout.direct_line = bytes.matrix(&self.direct(), false).0;
        }
        layout.outcomes_line = bytes.words(&self.outcomes);
        layout.lines = (bytes.bytes.len() / LINE) as u32;
        bytes.bytes[..LAYOUT_LINES as usize * LINE].copy_from_slice(&layout.bytes());
        bytes.bytes
    }

    /// Both matrices multiplied out: one row for each row and port class.
    fn direct(&self) -> Vec<Vec<u32>> {
        let cells =
            |row: &Vec<u32>, port: usize| row.iter().map(|profile| self.actions[*profile as usize][port]).collect();
        self.decisions.iter().flat_map(|row| (0..self.actions[0].len()).map(move |port| cells(row, port))).collect()
    }

    fn ports(&self, bytes: &mut Bytes, layout: &mut Layout) {
        let mut pages: Vec<Vec<u16>> = vec![vec![0; 256]];
        let mut roots: Vec<Vec<u16>> = vec![vec![0; 256]];
        let mut protocols = vec![0; 256];
        for (protocol, (fragment, starts)) in &self.ports {
            let class = |port: u32| starts[starts.partition_point(|(start, _)| *start <= port) - 1].1 as u16;
            let mut root = Vec::new();
            for page in 0..256 {
                let page: Vec<u16> = (0..256).map(|port| class(page * 256 + port)).collect();
                let place = pages.iter().position(|known| *known == page).unwrap_or_else(|| {
                    pages.push(page);
                    pages.len() - 1
                });
                root.push(place as u16);
            }
            protocols[usize::from(*protocol)] = (roots.len() as u32) << 16 | fragment;
            roots.push(root);
        }
        layout.protocols_line = bytes.words(&protocols);
        layout.port_roots_line = bytes.halves(&roots.concat());
        layout.port_root_count = roots.len() as u32;
        layout.port_pages_line = bytes.halves(&pages.concat());
        layout.port_page_count = pages.len() as u32;
    }
}

/// Which of the forms that fit a node takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forms {
    /// Any.
    Drawn,
    /// The smallest.
    Smallest,
}

struct Bytes {
    bytes: Vec<u8>,
    wide: bool,
    forms: Forms,
    /// Where the next chunk of four, and of eight, may go; a multiple of a line when the last one is full.
    partial: [usize; 2],
}

/// Ranges within the cover of a node: keys of 64 bits.
type Cover = Vec<(u64, u32)>;

impl Bytes {
    /// Room at the end, aligned; its offset.
    fn room(&mut self, size: usize, align: usize) -> usize {
        let at = self.bytes.len().next_multiple_of(align);
        self.bytes.resize((at + size).next_multiple_of(LINE), 0);
        at
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn words(&mut self, words: &[u32]) -> u32 {
        let at = self.room(words.len() * 4, LINE);
        self.put(at, &words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>());
        (at / LINE) as u32
    }

    fn halves(&mut self, halves: &[u16]) -> u32 {
        let at = self.room(halves.len() * 2, LINE);
        self.put(at, &halves.iter().flat_map(|half| half.to_le_bytes()).collect::<Vec<u8>>());
        (at / LINE) as u32
    }

    fn matrix(&mut self, rows: &[Vec<u32>], paged: bool) -> (u32, u32) {
        let cells = if self.wide { 16 } else { 32 };
        let encode = |cells: &[u32], wide: bool| -> Vec<u8> {
            let mut bytes: Vec<u8> = if wide {
                cells.iter().flat_map(|cell| cell.to_le_bytes()).collect()
            } else {
                cells.iter().flat_map(|cell| (*cell as u16).to_le_bytes()).collect()
            };
            bytes.resize(bytes.len().next_multiple_of(LINE), 0);
            bytes
        };
        if !paged {
            let lines: Vec<u8> = rows.iter().flat_map(|row| encode(row, self.wide)).collect();
            let at = self.room(lines.len(), LINE);
            self.put(at, &lines);
            return ((at / LINE) as u32, (lines.len() / LINE / rows.len()) as u32);
        }
        let mut known: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        let mut index = Vec::new();
        let stride = rows[0].len().div_ceil(cells).div_ceil(16);
        for row in rows {
            let mut words = Vec::new();
            for page in row.chunks(cells) {
                let page = encode(page, self.wide);
                let line = known.get(&page).copied().unwrap_or_else(|| {
                    let at = self.room(LINE, LINE);
                    self.put(at, &page);
                    (at / LINE) as u32
                });
                known.insert(page, line);
                words.push(line);
            }
            // Unread words still name a line.
            words.resize(stride * 16, 0);
            index.extend(words);
        }
        (self.words(&index), stride as u32)
    }

    fn tree_v4(&mut self, rng: &mut Rng, ranges: &Ranges) -> u32 {
        let cover: Cover = ranges.iter().map(|(start, value)| ((*start as u64) << 32, *value)).collect();
        self.node(rng, &cover, 0, 0, true).0
    }

    /// The start entry, and where start entries of low trees stand, and how many there are.
    fn tree_v6(&mut self, rng: &mut Rng, ranges: &Ranges, count: u32) -> (u32, u32, u32) {
        let mut high: Cover = Vec::new();
        let mut lows: Vec<Cover> = Vec::new();
        let mut at = 0;
        while at < ranges.len() {
            let (start, found) = ranges[at];
            let upper = (start >> 64) as u64;
            let inside: Vec<(u128, u32)> =
                ranges.iter().filter(|(start, _)| (start >> 64) as u64 == upper).copied().collect();
            let last = inside.last().unwrap().1;
            if inside.len() == 1 && start as u64 == 0 {
                high.push((upper, found));
            } else {
                let before = value(ranges, u128::from(upper) << 64);
                let mut low: Cover = inside.iter().map(|(start, value)| (*start as u64, *value)).collect();
                if low[0].0 != 0 {
                    low.insert(0, (0, before));
                }
                high.push((upper, count + lows.len() as u32));
                lows.push(low);
                let next = ranges.get(at + inside.len()).map(|(start, _)| (start >> 64) as u64);
                if upper != u64::MAX && next != Some(upper + 1) {
                    high.push((upper + 1, last));
                }
            }
            at += inside.len();
        }
        let starts: Vec<u32> = lows.iter().map(|low| self.node(rng, low, 0, 0, false).0).collect();
        let line = self.words(&starts);
        (self.node(rng, &high, 0, 0, false).0, line, starts.len() as u32)
    }

    /// The entry of the node that covers the keys with `used` bits like those of `base`.
    fn node(&mut self, rng: &mut Rng, cover: &Cover, base: u64, used: u32, v4: bool) -> Entry {
        if self.forms == Forms::Smallest {
            return self.smallest(rng, cover, base, used, v4);
        }
        let most_used = if v4 { 32 } else { 64 };
        let few = if self.wide { 5 } else { 6 };
        let mut forms = Vec::new();
        if cover.len() == 1 {
            forms.push(0);
        }
        if cover.len() <= few {
            forms.push(1);
        }
        if v4 && !self.wide && (16..32).contains(&used) && cover.len() <= 16 {
            forms.extend([2, 2]);
        }
        if used < most_used && (cover.len() > few || rng.between(0, 3) == 0) {
            forms.push(3);
            if used == 0 {
                forms.push(4);
            }
        }
        assert!(!forms.is_empty(), "no form takes {} ranges with {used} bits used", cover.len());
        match forms[rng.between(0, forms.len() as u64 - 1) as usize] {
            0 => Entry::new(Kind::Leaf(cover[0].1)),
            1 => self.line(cover),
            2 => self.chunk(cover),
            3 => self.block(rng, cover, base, used, 8, v4),
            _ => self.block(rng, cover, base, used, 16, v4),
        }
    }

    fn smallest(&mut self, rng: &mut Rng, cover: &Cover, base: u64, used: u32, v4: bool) -> Entry {
        let few = if self.wide { 5 } else { 6 };
        match cover.len() {
            1 => Entry::new(Kind::Leaf(cover[0].1)),
            count if v4 && !self.wide && (16..32).contains(&used) && count <= 16 => self.chunk(cover),
            count if count <= few => self.line(cover),
            _ if used == 0 => self.block(rng, cover, base, used, 16, v4),
            _ => self.block(rng, cover, base, used, 8, v4),
        }
    }

    fn block(&mut self, rng: &mut Rng, cover: &Cover, base: u64, used: u32, bits: u32, v4: bool) -> Entry {
        let shift = 64 - used - bits;
        let entries: Vec<u32> = (0..1u64 << bits)
            .map(|index| {
                let first = base | index << shift;
                let last = first + ((1u64 << shift) - 1);
                let from = cover.partition_point(|(start, _)| *start <= first) - 1;
                let to = cover.partition_point(|(start, _)| *start <= last);
                let mut inside: Cover = cover[from..to].to_vec();
                inside[0].0 = first;
                // Most of a root is one value; drawing a form for each would take long and fill much.
                if inside.len() == 1 && (bits == 16 || self.forms == Forms::Smallest || rng.between(0, 40) != 0) {
                    return Entry::new(Kind::Leaf(inside[0].1)).0;
                }
                self.node(rng, &inside, first, used + bits, v4).0
            })
            .collect();
        let at = self.words(&entries) * 4;
        Entry::new(if bits == 16 { Kind::Root(at) } else { Kind::Block(at) })
    }

    fn chunk(&mut self, cover: &Cover) -> Entry {
        let places = if cover.len() <= 4 {
            4
        } else if cover.len() <= 8 {
            8
        } else {
            16
        };
        let at = self.chunk_room(places);
        for place in 0..places {
            let (start, value) = cover[place.min(cover.len() - 1)];
            self.put(at + place * 4, &(((start >> 32) as u32) << 16 | value).to_le_bytes());
        }
        let at = (at / 16) as u32;
        Entry::new(match places {
            4 => Kind::Chunk4(at),
            8 => Kind::Chunk8(at),
            _ => Kind::Chunk16(at),
        })
    }

    /// Room for so many words, beside others of their size in one line.
    fn chunk_room(&mut self, places: usize) -> usize {
        let which = match places {
            4 => 0,
            8 => 1,
            _ => return self.room(LINE, LINE),
        };
        if self.partial[which].is_multiple_of(LINE) {
            self.partial[which] = self.room(LINE, LINE);
        }
        let at = self.partial[which];
        self.partial[which] += places * 4;
        at
    }

    fn line(&mut self, cover: &Cover) -> Entry {
        let at = self.room(LINE, LINE);
        let places = if self.wide { 5 } else { 6 };
        for place in 0..places {
            let (start, value) = cover[place.min(cover.len() - 1)];
            self.put(at + place * 8, &start.to_le_bytes());
            if self.wide {
                self.put(at + 40 + place * 4, &value.to_le_bytes());
            } else {
                self.put(at + 48 + place * 2, &(value as u16).to_le_bytes());
            }
        }
        Entry::new(Kind::Line((at / 16) as u32))
    }
}
