//! The tables' bytes: every part at a line of its own, and the layout that says where.
//!
//! In: classes, profiles, outcomes, rows. Out: bytes as [`egress_snapshot::layout`] defines them, with the sizes of the
//! parts. The digest of the meta part is left zero.

use super::check::TooLarge;
use super::destinations::Destinations;
use super::intern::place;
use super::ports::Ports;
use super::profiles::Profiles;
use super::tree::{Forest, Form, Halves, Run};
use crate::ebpf::options::Options;
use egress_snapshot::layout::{LAYOUT_LINES, MAGIC};
use egress_snapshot::tables::NOTHING;
use egress_snapshot::{Kind, LINE, Layout};

/// Tables, and what was found on the way.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) layout: Layout,
    pub(super) bytes: Vec<u8>,
    pub(super) sizes: Sizes,
}

/// Bytes by part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) trees: usize,
    pub(super) ports: usize,
    pub(super) decisions: usize,
    pub(super) actions: usize,
    pub(super) direct: usize,
    pub(super) outcomes: usize,
    pub(super) names: usize,
}

/// Starts of the four trees, and of the low trees of the two IPv6 ones.
struct Planted {
    forest: Forest,
    v4: [Kind; 2],
    v6: [Kind; 2],
    lows: [Vec<Kind>; 2],
}

/// The part `direct` is only worth its place while it stays in the caches nearest to the processor: 128 KiB.
const DIRECT_LINES: usize = 1 << 11;

/// Ids of 16 bits name at most so many things.
const NARROW: usize = 1 << 16;

/// Puts the tables together. `source_lines` are the rows along both lines.
pub(super) fn build(
    source_lines: &[Vec<(u128, u32)>; 2],
    destinations: &Destinations,
    ports: &Ports,
    profiles: &Profiles<'_>,
    options: &Options,
) -> Result<Built, TooLarge> {
    let row_count = place(destinations.matrix.rows.len());
    let class_count = place(destinations.matrix.columns);
    let [source4, source6] = source_lines;
    let [destination4, destination6] = &destinations.lines;
    let halves = [Halves::new(source6, row_count), Halves::new(destination6, class_count)];
    let values =
        [row_count, class_count].into_iter().zip(&halves).map(|(count, half)| count as usize + half.lows.len());
    let most = values.chain([profiles.rows.len(), profiles.outcomes.len()]).max().unwrap_or(0);
    let wide = most > NARROW;
    let planted = plant([source4, destination4], &halves, wide);
    let mut layout = Layout {
        magic: MAGIC,
        wide: wide.into(),
        row_count,
        class_count,
        profile_count: place(profiles.rows.len()),
        port_class_count: ports.count(),
        outcome_count: place(profiles.outcomes.len()),
        default_row: row_count.saturating_sub(1),
        gateway_mask: profiles.gateways.mask(options.gateway_mask),
        source_low_count: place(halves.first().map_or(0, |half| half.lows.len())),
        destination_low_count: place(halves.last().map_or(0, |half| half.lows.len())),
        port_root_count: place(ports.roots.len()),
        port_page_count: place(ports.pages.len()),
        generation_low: (options.generation & u64::from(u32::MAX)) as u32,
        generation_high: (options.generation >> 32) as u32,
        ..Layout::default()
    };
    let mut writer = Writer { bytes: vec![0; LAYOUT_LINES as usize * LINE], most: options.limits.lines as usize };
    let mut sizes = Sizes::default();
    writer.ports(ports, &mut layout, &mut sizes);
    layout.outcomes_line = writer.line();
    writer.words(profiles.outcomes.values().map(|outcome| outcome.word(options.unknown)));
    sizes.outcomes = profiles.outcomes.len() * 4;
    writer.names(profiles, &mut layout, &mut sizes);
    writer.matrices(destinations, profiles, &mut layout, &mut sizes)?;
    writer.direct(destinations, profiles, &mut layout, &mut sizes);
    writer.trees(&planted, &mut layout, &mut sizes)?;
    layout.lines = writer.line();
    let mut bytes = writer.bytes;
    bytes.splice(..LAYOUT_LINES as usize * LINE, layout.bytes());
    Ok(Built { layout, bytes, sizes })
}

fn plant(v4: [&Vec<(u128, u32)>; 2], halves: &[Halves; 2], wide: bool) -> Planted {
    let mut forest = Forest::default();
    let run = |&(start, value): &(u128, u32)| Run { start: (start as u64) << 32, value };
    let v4 = v4.map(|line| forest.plant(&line.iter().map(run).collect::<Vec<_>>(), Form { v4: true, wide }));
    let form = Form { v4: false, wide };
    let v6 = halves.each_ref().map(|half| forest.plant(&half.upper, form));
    let lows = halves.each_ref().map(|half| half.lows.values().map(|low| forest.plant(low, form)).collect());
    Planted { forest, v4, v6, lows }
}

struct Writer {
    bytes: Vec<u8>,
    /// The most lines.
    most: usize,
}

impl Writer {
    /// The line at which the next part begins.
    fn line(&self) -> u32 {
        place(self.bytes.len() / LINE)
    }

    fn left(&self) -> usize {
        self.most.saturating_sub(self.bytes.len() / LINE)
    }

    fn words(&mut self, words: impl Iterator<Item = u32>) {
        words.for_each(|word| self.bytes.extend(word.to_le_bytes()));
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(LINE), 0);
    }

    fn ports(&mut self, ports: &Ports, layout: &mut Layout, sizes: &mut Sizes) {
        let before = self.bytes.len();
        layout.protocols_line = self.line();
        self.words(ports.protocols.iter().copied());
        layout.port_roots_line = self.line();
        ports.roots.values().flatten().for_each(|page| self.bytes.extend(page.to_le_bytes()));
        layout.port_pages_line = self.line();
        ports.pages.values().flatten().for_each(|class| self.bytes.extend(class.to_le_bytes()));
        sizes.ports = self.bytes.len() - before;
    }

    fn matrices(
        &mut self,
        destinations: &Destinations,
        profiles: &Profiles<'_>,
        layout: &mut Layout,
        sizes: &mut Sizes,
    ) -> Result<(), TooLarge> {
        let wide = layout.wide == 1;
        layout.actions_line = self.line();
        let actions = profiles.matrix().encode(wide, self.bytes.len() / LINE, self.left());
        let actions = actions.ok_or(TooLarge::Actions)?;
        (layout.actions_stride, layout.actions_paged) = (actions.stride, actions.paged.into());
        self.bytes.extend(&actions.bytes);
        layout.decisions_line = self.line();
        let decisions = destinations.matrix.encode(wide, self.bytes.len() / LINE, self.left());
        let decisions = decisions.ok_or(TooLarge::Decisions)?;
        (layout.decisions_stride, layout.decisions_paged) = (decisions.stride, decisions.paged.into());
        self.bytes.extend(&decisions.bytes);
        (sizes.actions, sizes.decisions) = (actions.bytes.len(), decisions.bytes.len());
        Ok(())
    }

    /// What depends on names: a line for each outcome, and behind them what is said of those that have one.
    fn names(&mut self, profiles: &Profiles<'_>, layout: &mut Layout, sizes: &mut Sizes) {
        let all = || profiles.outcomes.values().map(|outcome| outcome.by_name.as_ref());
        layout.names_count = place(all().flatten().count());
        if layout.names_count == 0 {
            return;
        }
        let before = self.bytes.len();
        layout.names_line = self.line();
        let mut next = layout.names_line + place(profiles.outcomes.len().div_ceil(LINE / 4));
        let mut lines = Vec::with_capacity(profiles.outcomes.len());
        for by_name in all() {
            lines.push(if by_name.is_some() { next } else { 0 });
            next += if by_name.is_some() { 2 } else { 0 };
        }
        self.words(lines.into_iter());
        for by_name in all().flatten() {
            let ids = by_name.sets.iter().map(|set| profiles.names.id_of(*set));
            let halves = ids.flat_map(|id| [(id & u64::from(u32::MAX)) as u32, (id >> 32) as u32]);
            self.words([place(by_name.sets.len()), 0].into_iter().chain(halves));
            self.words(by_name.outcomes.iter().copied());
        }
        sizes.names = self.bytes.len() - before;
    }

    /// Both matrices multiplied out, where that is small.
    fn direct(&mut self, destinations: &Destinations, profiles: &Profiles<'_>, layout: &mut Layout, sizes: &mut Sizes) {
        let (rows, ports) = (layout.row_count as usize, layout.port_class_count as usize);
        let lines = rows.saturating_mul(ports).saturating_mul(layout.direct_stride() as usize);
        if lines > DIRECT_LINES.min(self.left()) {
            return;
        }
        let (decisions, actions) = (&destinations.matrix, profiles.matrix());
        let before = self.bytes.len();
        layout.direct_line = self.line();
        for row in &decisions.rows {
            for port in 0..layout.port_class_count {
                for class in 0..layout.class_count {
                    let profile = actions.rows.get(decisions.at(row, class) as usize);
                    let outcome = profile.map_or(NOTHING, |profile| actions.at(profile, port)).to_le_bytes();
                    let size = if layout.wide == 1 { 4 } else { 2 };
                    self.bytes.extend(outcome.iter().take(size));
                }
                self.pad();
            }
        }
        sizes.direct = self.bytes.len() - before;
    }

    fn trees(&mut self, planted: &Planted, layout: &mut Layout, sizes: &mut Sizes) -> Result<(), TooLarge> {
        let before = self.bytes.len();
        let [source_lows, destination_lows] = &planted.lows;
        let lows_lines = [source_lows, destination_lows].map(|lows| lows.len().div_ceil(LINE / 4));
        let first = self.bytes.len() / LINE + lows_lines.iter().sum::<usize>();
        if planted.forest.line_count() + lows_lines.iter().sum::<usize>() > self.left() {
            return Err(TooLarge::Trees);
        }
        let entry = |node: &Kind| planted.forest.entry(*node, place(first)).0;
        let [source_v4, destination_v4] = planted.v4.each_ref().map(entry);
        let [source_v6, destination_v6] = planted.v6.each_ref().map(entry);
        (layout.source_v4, layout.source_v6) = (source_v4, source_v6);
        (layout.destination_v4, layout.destination_v6) = (destination_v4, destination_v6);
        layout.source_lows_line = self.line();
        self.words(source_lows.iter().map(entry));
        layout.destination_lows_line = self.line();
        self.words(destination_lows.iter().map(entry));
        planted.forest.write(&mut self.bytes, place(first));
        sizes.trees = self.bytes.len() - before;
        Ok(())
    }
}
