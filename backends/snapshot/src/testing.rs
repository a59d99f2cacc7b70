//! Hand-made tables and snapshots for tests: an independent builder that may choose among all forms that are allowed.

use crate::gateway::{self, Gateway};
use crate::layout::{Entry, Kind, LAYOUT_LINES, LINE, Layout, MAGIC, VALUE_BITS, outcome};
use crate::meta::{Combination, Identity, Meta, Outcome, PodAddress, Rule, Set, Vector, Verdict};

/// SplitMix64, so that a seed says everything.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A partition: starts with their values; the first starts at 0.
pub(crate) type Partition = Vec<(u64, u32)>;

/// Tables in the making.
pub(crate) struct Builder {
    pub(crate) bytes: Vec<u8>,
    pub(crate) layout: Layout,
}

impl Builder {
    pub(crate) fn new(wide: bool) -> Self {
        let layout = Layout { magic: MAGIC, wide: wide.into(), ..Layout::default() };
        Self { bytes: vec![0; LAYOUT_LINES as usize * LINE], layout }
    }

    /// Adds bytes at a line of their own.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> u32 {
        let line = self.bytes.len() / LINE;
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(LINE), 0);
        line as u32
    }

    pub(crate) fn words(&mut self, words: &[u32]) -> u32 {
        self.add(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>())
    }

    fn id(&self, id: u32) -> Vec<u8> {
        if self.layout.wide == 1 { id.to_le_bytes().to_vec() } else { (id as u16).to_le_bytes().to_vec() }
    }

    /// A tree of `bits` over a partition of what the first `used` bits of `prefix` leave.
    pub(crate) fn tree(
        &mut self,
        bits: u32,
        ranges: &[(u64, u32)],
        (used, prefix): (u32, u64),
        random: &mut Random,
    ) -> Entry {
        let wide = self.layout.wide == 1;
        let chunk = !wide && bits == 32 && (16..32).contains(&used) && ranges.len() <= 16;
        let line = ranges.len() <= if wide { 5 } else { 6 };
        let mut forms = vec![];
        if ranges.len() == 1 {
            forms.extend(["leaf"; 8]);
        }
        if chunk {
            forms.extend(["chunk"; 4]);
        }
        if line {
            forms.extend(["line"; 2]);
        }
        if used < bits && (forms.is_empty() || random.below(if ranges.len() == 1 { 1024 } else { 8 }) == 0) {
            forms = vec!["block"];
        }
        if used == 0 && random.below(8) == 0 {
            forms = vec!["root"];
        }
        match forms[random.below(forms.len() as u64) as usize] {
            "leaf" => Entry::new(Kind::Leaf(ranges[0].1)),
            "chunk" => self.chunk(ranges, random),
            "line" => self.line(ranges),
            "block" => {
                let entries = self.below(bits, 8, ranges, (used, prefix), random);
                Entry::new(Kind::Block(self.words(&entries) * 4))
            }
            _ => {
                let entries = self.below(bits, 16, ranges, (0, 0), random);
                Entry::new(Kind::Root(self.words(&entries) * 4))
            }
        }
    }

    fn below(
        &mut self,
        bits: u32,
        more: u32,
        ranges: &[(u64, u32)],
        (used, prefix): (u32, u64),
        random: &mut Random,
    ) -> Vec<u32> {
        let shift = 64 - used - more;
        let mut entries = vec![];
        for place in 0..1u64 << more {
            let first = prefix | place << shift;
            let last = first + ((1u64 << shift) - 1);
            let from = ranges.partition_point(|(start, _)| *start <= first) - 1;
            let to = ranges.partition_point(|(start, _)| *start <= last);
            let cut: Partition = ranges[from..to].iter().map(|(start, value)| ((*start).max(first), *value)).collect();
            entries.push(self.tree(bits, &cut, (used + more, first), random).0);
        }
        entries
    }

    fn chunk(&mut self, ranges: &[(u64, u32)], random: &mut Random) -> Entry {
        let mut words: Vec<u32> =
            ranges.iter().map(|(start, value)| (start >> 16) as u32 & 0xffff_0000 | value).collect();
        let least = words.len().next_power_of_two().max(4);
        let places = (least << random.below(3)).min(16);
        words.resize(places, words[words.len() - 1]);
        let at = self.words(&words) * 4;
        Entry::new(match places {
            4 => Kind::Chunk4(at),
            8 => Kind::Chunk8(at),
            _ => Kind::Chunk16(at),
        })
    }

    fn line(&mut self, ranges: &[(u64, u32)]) -> Entry {
        let places = if self.layout.wide == 1 { 5 } else { 6 };
        let padded = ranges.iter().chain(std::iter::repeat(&ranges[ranges.len() - 1])).take(places);
        let padded: Partition = padded.copied().collect();
        let starts = padded.iter().flat_map(|(start, _)| start.to_le_bytes());
        let values: Vec<u8> = padded.iter().flat_map(|(_, value)| self.id(*value)).collect();
        let bytes: Vec<u8> = starts.chain(values).collect();
        Entry::new(Kind::Line(self.add(&bytes) * 4))
    }

    /// A matrix: first line and stride.
    pub(crate) fn matrix(&mut self, rows: &[Vec<u32>], paged: bool) -> (u32, u32) {
        let per_page = LINE / self.id(0).len();
        let mut lines = vec![];
        for row in rows {
            let mut bytes: Vec<u8> = vec![];
            for page in row.chunks(per_page) {
                let cells: Vec<u8> = page.iter().flat_map(|cell| self.id(*cell)).collect();
                if paged {
                    bytes.extend(self.add(&cells).to_le_bytes());
                } else {
                    bytes.extend(cells);
                }
            }
            bytes.resize(bytes.len().next_multiple_of(LINE), 0);
            lines.push(bytes);
        }
        let stride = (lines[0].len() / LINE) as u32;
        (self.add(&lines.concat()), stride)
    }

    /// The tables with their layout.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.layout.lines = (self.bytes.len() / LINE) as u32;
        self.bytes[..LAYOUT_LINES as usize * LINE].copy_from_slice(&self.layout.bytes());
        self.bytes
    }
}

/// The low tree of a number, as a value.
pub(crate) fn low(count: u32, number: u32) -> u32 {
    assert!(count + number < 1 << VALUE_BITS);
    count + number
}

/// Tables whose trees say 0 of every address: three rows, four classes, and the ports 443, ICMP and the others.
pub(crate) fn bare(wide: bool) -> Builder {
    let mut build = head(wide);
    let actions = [vec![0, 0, 0], vec![0, 1, 0], vec![1, 1, 2]];
    (build.layout.actions_line, build.layout.actions_stride) = build.matrix(&actions, wide);
    build.layout.actions_paged = wide.into();
    build.layout.outcomes_line =
        build.words(&[outcome::DENY, outcome::PASS, outcome::PASS | outcome::RECORD | 1 << outcome::GATEWAY_SHIFT]);
    build
}

/// Layout, ports and decisions of the bare tables.
fn head(wide: bool) -> Builder {
    let mut build = Builder::new(wide);
    build.layout.row_count = 3;
    build.layout.class_count = 4;
    build.layout.profile_count = 3;
    build.layout.port_class_count = 3;
    build.layout.outcome_count = 3;
    build.layout.default_row = 2;
    build.layout.gateway_mask = gateway::MASK;
    build.layout.generation_low = 5;
    ports(&mut build);
    let decisions = [vec![0, 1, 2, 1], vec![0, 0, 2, 1], vec![0, 0, 0, 0]];
    (build.layout.decisions_line, build.layout.decisions_stride) = build.matrix(&decisions, !wide);
    build.layout.decisions_paged = (!wide).into();
    build
}

/// The bare tables, but that names decide at profile 1 on port 443: outcome 3, which is 1 by a name of the set `api.example`.
pub(crate) fn named() -> Builder {
    let mut build = head(false);
    let actions = [vec![0, 0, 0], vec![0, 3, 0], vec![1, 1, 2]];
    (build.layout.actions_line, build.layout.actions_stride) = build.matrix(&actions, false);
    build.layout.outcome_count = 4;
    let last = outcome::PASS | outcome::RECORD | 1 << outcome::GATEWAY_SHIFT;
    build.layout.outcomes_line = build.words(&[outcome::DENY, outcome::PASS, last, outcome::DENY | outcome::NAMED]);
    let id = crate::names::set_id(["api.example"]);
    build.layout.names_count = 1;
    let next = (build.bytes.len() / LINE) as u32;
    build.layout.names_line = build.words(&[0, 0, 0, next + 1]);
    build.words(&[1, 0, (id & u64::from(u32::MAX)) as u32, (id >> 32) as u32]);
    build.words(&[0, 1]);
    // Everything that is not 0.0.0.0 is of class 1.
    build.layout.destination_v4 = build.line(&[(0, 0), (1 << 32, 1)]).0;
    build
}

/// A meta part for [`named`].
pub(crate) fn named_meta() -> Meta {
    let mut meta = Meta { vectors: Vec::new(), pods: Vec::new(), ..small_meta() };
    let by_name = Some(crate::meta::ByName { sets: vec![0], outcomes: vec![0, 1] });
    meta.outcomes.push(Outcome { by_name, ..meta.outcomes[0].clone() });
    let hosts = vec!["api.example".to_owned()];
    meta.names = Some(crate::names::Names { hosts, ..crate::names::Names::default() });
    meta.name_sets = vec![vec![0]];
    let vector = |name_sets: &[u32], outcome| Vector {
        row: 0,
        destination: "10.1.2.3".parse().unwrap(),
        protocol: 6,
        number: 443,
        fragment: false,
        name_sets: name_sets.to_vec(),
        outcome,
    };
    meta.vectors = vec![vector(&[], 0), vector(&[0], 1)];
    meta
}

/// The bare tables with small trees.
///
/// Row 1 is 10.0.0.1; class 1 is 10.0.0.0/8, class 2 2001:db8::/32 but for 2001:db8::7, class 3.
pub(crate) fn small() -> Builder {
    let mut build = bare(false);
    let v4 = |address: u64| address << 32;
    let chunk = build.words(&[1; 4]) * 4;
    let mut below_ten = [1; 256];
    below_ten[7] = Entry::new(Kind::Chunk4(chunk)).0;
    let mut block = [0; 256];
    block[10] = Entry::new(Kind::Block(build.words(&below_ten) * 4)).0;
    build.layout.source_v4 = build.line(&[(0, 0), (v4(0x0a00_0001), 1), (v4(0x0a00_0002), 0)]).0;
    build.layout.destination_v4 = Entry::new(Kind::Block(build.words(&block) * 4)).0;
    let low_start = build.line(&[(0, 2), (7, 3), (8, 2)]).0;
    build.layout.destination_lows_line = build.words(&[low_start]);
    build.layout.destination_low_count = 1;
    let db8 = 0x2001_0db8_0000_0000;
    build.layout.destination_v6 = build.line(&[(0, 0), (db8, low(4, 0)), (db8 + 1, 2), (db8 + (1 << 32), 0)]).0;
    build
}

/// Port class 1 is 443/tcp, 2 is ICMP, 0 everything else.
fn ports(build: &mut Builder) {
    let mut protocols = vec![0u32; 256];
    protocols[6] = 1 << 16;
    protocols[1] = 2 << 16 | 2;
    build.layout.protocols_line = build.words(&protocols);
    let mut roots = vec![0u16; 3 * 256];
    roots[256 + 1] = 1;
    roots[512..].fill(2);
    let mut pages = vec![0u16; 3 * 256];
    pages[256 + 443 - 256] = 1;
    pages[512..].fill(2);
    let bytes = |words: &[u16]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    build.layout.port_roots_line = build.add(&bytes(&roots));
    build.layout.port_root_count = 3;
    build.layout.port_pages_line = build.add(&bytes(&pages));
    build.layout.port_page_count = 3;
}

/// A meta part for [`small`].
pub(crate) fn small_meta() -> Meta {
    let rule = |name: &str, line: u32, allow| Rule {
        name: name.to_owned(),
        file: "shop.egress".to_owned(),
        line,
        start: 10 * line,
        end: 10 * line + 9,
        allow,
        owner: Some("team-shop".to_owned()),
        because: Some("card payments".to_owned()),
        ticket: Some("SEC-1042".to_owned()),
        until: None,
    };
    let outcome = |verdict, rules: &[u32], log| Outcome {
        verdict,
        rules: rules.to_vec(),
        audit: None,
        log,
        fragment: false,
        by_name: None,
    };
    let vector = |row, destination: &str, protocol, number, outcome| Vector {
        row,
        destination: destination.parse().unwrap(),
        protocol,
        number,
        fragment: false,
        name_sets: Vec::new(),
        outcome,
    };
    let pod = Identity { namespace: "shop".to_owned(), name: Some("till".to_owned()), ..Identity::default() };
    Meta {
        generation: 5,
        compiler: "by hand".to_owned(),
        source_digest: Some("sha256:00".to_owned()),
        cluster: Some("prod".to_owned()),
        sets: vec![Set::All, Set::Address("10.0.0.1/32".to_owned())],
        combinations: vec![Combination { sets: vec![0], row: 1 }],
        pods: vec![PodAddress { address: "10.0.0.1".parse().unwrap(), identity: pod, row: 1 }],
        gateways: vec![Gateway {
            name: "eu-fixed".to_owned(),
            number: 1,
            nodes: None,
            addresses: vec![gateway::Address { address: "203.0.113.10".parse().unwrap(), managed: false }],
        }],
        outcomes: vec![
            outcome(Verdict::Denied, &[], false),
            outcome(Verdict::Allowed, &[0], false),
            outcome(Verdict::Via(1), &[0, 1], true),
        ],
        rules: vec![rule("shop#1", 3, true), rule("shop#2", 4, true)],
        vectors: vec![
            vector(0, "10.1.2.3", 6, 443, 1),
            vector(1, "10.1.2.3", 6, 443, 0),
            vector(0, "2001:db8::7", 6, 443, 1),
            vector(0, "2001:db8::8", 1, 0x0800, 2),
            vector(2, "2001:db8::8", 6, 443, 0),
        ],
        ..Meta::default()
    }
}
