//! Test vectors: flows whose outcome the meaning itself says, which the kernel is asked for before a switch.
//!
//! In: the classes, to choose flows that reach every outcome, class and row, and the ends of runs. Out: vectors. What
//! must become of a flow is always asked of [`egress_ir::Speaking`], never read from the tables.

use super::destinations::Destinations;
use super::intern::place;
use super::matrix::Row;
use super::outcomes::{Outcome, Outcomes};
use super::ports::{HEADERS, NUMBERED, Ports};
use super::profiles::Profiles;
use super::sources::{Sources, Spoken};
use crate::ebpf::options::Options;
use crate::gateways::Gateways;
use egress_ir::address::{from_bits, last_bits};
use egress_ir::{Destination, Flow, Port, Program, RuleId, Speaking, Workload};
use egress_snapshot::meta::{Vector, Verdict};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// At least so many, whatever the program is.
const LEAST: usize = 256;
/// At most so many ends of runs of each line.
const ENDS: usize = 1024;
/// At most so many fragments, and so many ports that a fragment may be of.
const FRAGMENTS: usize = 64;
const PARTS: usize = 256;
/// So many classes of ports are tried for an outcome.
const PORTS: usize = 64;
/// So many sources are tried for a class.
const TRIES: usize = 4;
/// So many of the rows with one base are looked at.
const ROWS: usize = 128;
/// So many addresses of each family are kept for each class.
const EXAMPLES: usize = 2;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Vectors {
    pub(super) vectors: Vec<Vector>,
    /// Outcomes, classes and rows that no vector reaches, because of the limits.
    pub(super) missed: [usize; 3],
    /// A flow for which the meaning has an outcome that the tables do not know: a defect of this module's siblings.
    pub(super) defect: Option<String>,
}

/// All that vectors are chosen from.
pub(super) struct Choice<'a, 'p> {
    pub(super) program: &'p Program,
    pub(super) gateways: &'p Gateways,
    pub(super) sources: &'a Sources<'a>,
    pub(super) destinations: &'a Destinations,
    pub(super) ports: &'a Ports,
    pub(super) profiles: &'a Profiles<'p>,
    pub(super) options: &'a Options,
}

/// Finds vectors.
pub(super) fn vectors(choice: &Choice<'_, '_>) -> Vectors {
    let mut search = Search::new(choice);
    let located = search.located();
    search.outcomes(&located);
    search.classes(&located);
    search.rows();
    search.ends();
    search.fragments(&located);
    search.fill();
    search.finish()
}

/// Where a profile is met in each family: row and class, such that the row sends in the family and the class has
/// addresses of it.
type Located = Vec<[Option<(u32, u32)>; 2]>;

/// Row, destination, protocol, number, whether it is a fragment, and the sets of names by which it was learned.
type Asked = (u32, IpAddr, u8, u16, bool, Vec<u32>);

/// A row of the tables: one of the sources' rows that it stands for, and who sends in each family.
struct Known<'a> {
    spoken: &'a Spoken,
    workloads: [Option<&'a Workload>; 2],
}

struct Search<'a, 'p> {
    of: &'a Choice<'a, 'p>,
    /// What is known of each row of the tables but the last, which is that of those who are unknown.
    known: BTreeMap<u32, Known<'a>>,
    speaking: FxHashMap<(u32, bool), (Flow, Speaking<'p>)>,
    /// First and last addresses of some runs of each class, by family.
    examples: Vec<[Vec<u128>; 2]>,
    found: BTreeMap<Asked, u32>,
    /// A name of each set of names.
    names: Vec<Option<String>>,
    reached_outcomes: BTreeSet<u32>,
    reached_classes: BTreeSet<u32>,
    reached_rows: BTreeSet<u32>,
    defect: Option<String>,
    left: usize,
    turn: usize,
}

impl<'a, 'p> Search<'a, 'p> {
    fn new(of: &'a Choice<'a, 'p>) -> Self {
        let mut known: BTreeMap<u32, Known<'a>> = BTreeMap::new();
        let rows = of.sources.rows.values().zip(0..);
        for ((spoken, source), number) in rows.zip(&of.destinations.row_of) {
            let row = known.entry(*number).or_insert(Known { spoken, workloads: [None; 2] });
            let workloads = of.sources.witnesses.get(&source).into_iter().flatten();
            row.workloads.iter_mut().zip(workloads).for_each(|(known, one)| *known = known.or(one.as_ref()));
        }
        let mut examples = vec![[Vec::new(), Vec::new()]; of.destinations.matrix.columns];
        for (line, v6) in of.destinations.lines.iter().zip([false, true]) {
            for (number, (start, class)) in line.iter().enumerate() {
                let end = line.get(number + 1).map_or(last_bits(v6), |next| next.0 - 1);
                if let Some([v4, six]) = examples.get_mut(*class as usize) {
                    let known = if v6 { six } else { v4 };
                    known.extend([*start, end].into_iter().take(EXAMPLES.saturating_sub(known.len())));
                }
            }
        }
        Self {
            of,
            known,
            speaking: FxHashMap::default(),
            examples,
            found: BTreeMap::new(),
            names: of.profiles.names.examples(),
            reached_outcomes: BTreeSet::new(),
            reached_classes: BTreeSet::new(),
            reached_rows: BTreeSet::new(),
            defect: None,
            left: of.options.limits.questions,
            turn: 0,
        }
    }

    /// Whether a row sends to addresses of a class in a family.
    fn sends(&self, row: u32, class: u32, v6: bool) -> bool {
        let [four, six] = self
            .examples
            .get(class as usize)
            .map_or([false; 2], |known| known.each_ref().map(|known| !known.is_empty()));
        let [from_four, from_six] =
            self.known.get(&row).map_or([true; 2], |row| row.workloads.each_ref().map(Option::is_some));
        if v6 { six && from_six } else { four && from_four }
    }

    /// One place of each family for each profile that is met there.
    fn located(&self) -> Located {
        let matrix = &self.of.destinations.matrix;
        let mut located: Located = vec![[None; 2]; self.of.profiles.rows.len()];
        let mut put = |profile: u32, row: u32, class: u32| {
            let mut is_known = true;
            for (place, v6) in located.get_mut(profile as usize).into_iter().flatten().zip([false, true]) {
                if place.is_none() && self.sends(row, class, v6) {
                    *place = Some((row, class));
                }
                is_known &= place.is_some();
            }
            is_known
        };
        for (row, number) in matrix.rows.iter().zip(0..) {
            for span in &row.own {
                put(span.value, number, span.first);
            }
        }
        for (base, number) in matrix.bases.iter().zip(0..) {
            let rows = matrix.rows.iter().zip(0..).filter(|(row, _)| row.base == number);
            let rows: Vec<(&Row, u32)> = rows.collect();
            let step = rows.len().div_ceil(ROWS).max(1);
            for (profile, class) in base.iter().zip(0..) {
                for (row, number) in rows.iter().step_by(step) {
                    // Most profiles of a base are met in the first row that has it.
                    if row.own_at(class).is_none() && put(*profile, *number, class) {
                        break;
                    }
                }
            }
        }
        located
    }

    fn outcomes(&mut self, located: &Located) {
        let plain = self.of.ports.plain;
        for (row, found) in self.of.profiles.rows.values().zip(located) {
            let own = row.own.iter().map(|span| (span.value, first_of(span.first..=span.last, plain)));
            let free = std::iter::successors(Some(row.free_from(0)), |before| Some(row.free_from(before + 1)));
            for (outcome, classes) in own.chain([(row.base, first_of(free, plain))]) {
                for (place, v6) in found.iter().zip([false, true]) {
                    let Some((source, class)) = *place else { continue };
                    // Not every class of ports has a packet in each family.
                    for ports in &classes {
                        if self.is_open(outcome) {
                            self.reach(source, class, Some(*ports), v6);
                            self.reach_named(source, class, (*ports, outcome), v6);
                        }
                    }
                }
            }
        }
    }

    /// Whether it, or something that holds in its place, was not reached yet.
    fn is_open(&self, outcome: u32) -> bool {
        let by_name = self.of.profiles.outcomes.at(outcome).and_then(|known| known.by_name.as_ref());
        by_name.map_or(!self.reached_outcomes.contains(&outcome), |by_name| {
            by_name.outcomes.iter().any(|holds| !self.reached_outcomes.contains(holds))
        })
    }

    /// Adds flows to destinations with names, for all that holds in the place of an outcome.
    fn reach_named(&mut self, row: u32, class: u32, (ports, outcome): (u32, u32), v6: bool) {
        let known = self.of.profiles.outcomes.at(outcome).and_then(|known| known.by_name.clone());
        let Some(by_name) = known else { return };
        let Some([four, six]) = self.examples.get(class as usize) else { return };
        let address = if v6 { six } else { four }.first().map(|bits| from_bits(v6, *bits));
        let examples = self.of.ports.examples.get(ports as usize).map_or(&[][..], Vec::as_slice).to_vec();
        let Some(address) = address else { return };
        for (protocol, number) in examples {
            let port = Port::new(protocol, number);
            if !has_packet(address, port) {
                continue;
            }
            for sum in 1..by_name.outcomes.len() {
                let asked = (0..).zip(&by_name.sets).filter(|(set, _)| sum >> set & 1 == 1);
                let names = asked.map(|(_, set)| self.names.get(*set as usize).cloned().flatten());
                let Some(names) = names.collect::<Option<BTreeSet<String>>>() else { continue };
                // A name may be of sets that are asked for besides.
                let sets = self.of.profiles.names.sets_of(&names);
                let sum = by_name.sets.iter().rev().fold(0, |sum, set| sum << 1 | usize::from(sets.contains(set)));
                if let Some(expected) = by_name.outcomes.get(sum) {
                    let destination = Destination { address, names };
                    self.ask_named(row, destination, port, sets, *expected);
                }
            }
            return;
        }
    }

    fn classes(&mut self, located: &Located) {
        for (place, v6) in located.iter().flat_map(|found| found.iter().zip([false, true])) {
            if let Some((source, class)) = *place
                && !self.reached_classes.contains(&class)
            {
                self.reach(source, class, None, v6);
            }
        }
        let rows = place(self.of.destinations.matrix.rows.len());
        for class in 0..place(self.examples.len()) {
            // Not everybody sends in both families; those who are unknown, the last row, do.
            for _ in 0..TRIES {
                if !self.reached_classes.contains(&class) {
                    let source = place(self.next()) % rows.max(1);
                    self.reach_any(source, class);
                }
            }
            if !self.reached_classes.contains(&class) {
                self.reach_any(rows.saturating_sub(1), class);
            }
        }
    }

    fn rows(&mut self) {
        for number in 0..place(self.of.destinations.matrix.rows.len()) {
            let own = self.of.destinations.matrix.rows.get(number as usize).map_or(&[][..], |row| row.own.as_slice());
            let classes = [own.first(), own.last()].into_iter().flatten().map(|span| span.first);
            for class in classes.collect::<Vec<_>>() {
                self.reach_any(number, class);
            }
            // A row of addresses of one family sends to classes of that family only.
            for _ in 0..TRIES * TRIES {
                if !self.reached_rows.contains(&number) {
                    let class = self.next() % self.examples.len().max(1);
                    self.reach_any(number, place(class));
                }
            }
        }
    }

    /// The first and last addresses of runs, spread over the lines.
    fn ends(&mut self) {
        let rows = self.of.destinations.matrix.rows.len().max(1);
        for (line, v6) in self.of.destinations.lines.iter().zip([false, true]) {
            let step = line.len().div_ceil(ENDS).max(1);
            for (start, _) in line.iter().step_by(step) {
                for bits in [Some(*start), start.checked_sub(1)].into_iter().flatten() {
                    let row = self.next() % rows;
                    let class = place(self.next()) % self.of.ports.plain.max(1);
                    self.ask_on(place(row), from_bits(v6, bits), Some(class));
                }
            }
        }
    }

    fn fragments(&mut self, located: &Located) {
        let with_ports = self.of.profiles.rows.values().zip(located).filter(|(row, _)| !row.own.is_empty());
        let places: Vec<(u32, u32)> = with_ports.flat_map(|(_, found)| found.iter().flatten().copied()).collect();
        let step = places.len().div_ceil(FRAGMENTS / NUMBERED.len()).max(1);
        for &(row, class) in places.iter().step_by(step) {
            for protocol in NUMBERED {
                if let Some(address) = self.example(class) {
                    self.ask_fragment(row, address, protocol);
                }
            }
        }
    }

    /// Other addresses, so that small programs too are asked something.
    fn fill(&mut self) {
        let rows = self.of.destinations.matrix.rows.len().max(1);
        for _ in 0..LEAST * 8 {
            if self.found.len() >= LEAST {
                return;
            }
            let number = self.next();
            // Steps of an odd size meet every address before they meet one again.
            let v4 = (number as u128).wrapping_mul(0x9e37_79b1) & u128::from(u32::MAX);
            let v6 = 0x2000_u128 << 112 | (number as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) >> 4;
            let address = if number.is_multiple_of(2) { from_bits(false, v4) } else { from_bits(true, v6) };
            let class = place(number / 2) % self.of.ports.plain.max(1);
            self.ask_on(place(number / 3 % rows), address, Some(class));
        }
    }

    fn next(&mut self) -> usize {
        self.turn += 1;
        self.turn
    }

    /// An address of a class, of either family in turn.
    fn example(&mut self, class: u32) -> Option<IpAddr> {
        let turn = self.next();
        let [v4, v6] = self.examples.get(class as usize)?;
        let is_v6 = v4.is_empty() || !v6.is_empty() && turn.is_multiple_of(2);
        let known = if is_v6 { v6 } else { v4 };
        known.get(turn / 2 % known.len().max(1)).map(|bits| from_bits(is_v6, *bits))
    }

    /// Adds a flow from a row to a class in some family.
    fn reach_any(&mut self, row: u32, class: u32) {
        let turn = self.next().is_multiple_of(2);
        let families = [turn, !turn].into_iter().find(|v6| self.sends(row, class, *v6));
        if let Some(v6) = families {
            self.reach(row, class, None, v6);
        }
    }

    /// Adds a flow from a row to a class, on a port of a class if one is given.
    fn reach(&mut self, row: u32, class: u32, ports: Option<u32>, v6: bool) {
        let Some([four, six]) = self.examples.get(class as usize) else { return };
        let known = if v6 { six } else { four };
        let at = self.turn % known.len().max(1);
        let Some(bits) = known.get(at).copied() else { return };
        if self.ask_on(row, from_bits(v6, bits), ports) {
            self.reached_classes.insert(class);
        }
    }

    /// Adds a flow on some port of a class; whether there is one.
    fn ask_on(&mut self, row: u32, address: IpAddr, ports: Option<u32>) -> bool {
        let turn = self.next();
        let class = ports.unwrap_or_else(|| place(turn) % self.of.ports.plain.max(1));
        let examples = self.of.ports.examples.get(class as usize).map_or(&[][..], Vec::as_slice);
        let mut tried = examples.iter().cycle().skip(turn % examples.len().max(1)).take(examples.len());
        let fits = |(protocol, number): &&(u8, u16)| has_packet(address, Port::new(*protocol, *number));
        let found = tried.find(fits).copied().or(ports.is_none().then_some((6, 443)));
        found.is_some_and(|(protocol, number)| self.ask(row, address, protocol, number))
    }

    /// Adds one flow; whether its row can send it.
    fn ask(&mut self, row: u32, address: IpAddr, protocol: u8, number: u16) -> bool {
        let key = (row, address, protocol, number, false, Vec::new());
        if self.found.contains_key(&key) {
            return true;
        }
        let Some(outcome) = self.decided(row, Destination::unnamed(address), Port::new(protocol, number)) else {
            return false;
        };
        self.put(key, &outcome)
    }

    /// Adds a flow to a destination that was learned by names of these sets. Who decides is a matter of names too, so that the
    /// outcome is one that does the same.
    fn ask_named(&mut self, row: u32, destination: Destination, port: Port, sets: Vec<u32>, expected: u32) {
        let address = destination.address;
        let Some(outcome) = self.decided(row, destination, port) else { return };
        let key = (row, address, port.protocol(), port.number(), false, sets);
        match self.of.profiles.outcomes.at(expected).filter(|known| known.does_as(&outcome)).cloned() {
            Some(known) => drop(self.put(key, &known)),
            None => drop(self.put(key, &outcome)),
        }
    }

    fn put(&mut self, key: Asked, outcome: &Outcome) -> bool {
        let outcomes: &Outcomes = &self.of.profiles.outcomes;
        let Some(number) = outcomes.known(outcome) else {
            self.defect.get_or_insert_with(|| format!("row {} to {} on {}/{}", key.0, key.1, key.2, key.3));
            return false;
        };
        if self.found.len() >= self.of.options.limits.vectors {
            return false;
        }
        self.reached_outcomes.insert(number);
        self.reached_rows.insert(key.0);
        self.found.insert(key, number);
        true
    }

    fn ask_fragment(&mut self, row: u32, address: IpAddr, protocol: u8) {
        let is_own = Flow { workload: any(), destination: Destination::unnamed(address), port: Port::new(protocol, 0) };
        if !is_own.is_well_formed() {
            return;
        }
        let mut numbers = BTreeSet::from([0_u16]);
        for rule in self.rules(row) {
            // What a fragment of several flows is depends on names that the meaning is not asked for here.
            if !self.of.program.destination_sets.at(self.of.program.rules.at(rule).destinations).hosts.is_empty() {
                return;
            }
            let ports = self.of.program.port_sets.at(self.of.program.rules.at(rule).ports);
            for (_, first, last) in ports.per_protocol().filter(|range| range.0 == protocol) {
                numbers.insert(first);
                numbers.extend(last.checked_add(1));
            }
            if numbers.len() > PARTS {
                return;
            }
        }
        let parts: Option<Vec<Outcome>> = numbers
            .into_iter()
            .map(|number| self.decided(row, Destination::unnamed(address), Port::new(protocol, number)))
            .collect();
        if let Some(outcome) = parts.and_then(|parts| Outcome::of_fragment(parts.iter())) {
            self.put((row, address, protocol, 0, true, Vec::new()), &outcome);
        }
    }

    fn rules(&self, row: u32) -> Vec<RuleId> {
        let blocks = self.known.get(&row).map_or(&[][..], |row| row.spoken.blocks.as_slice());
        blocks.iter().flat_map(|block| &self.of.program.blocks.at(*block).rules).copied().collect()
    }

    /// What the meaning says; nothing where the row has nobody who sends in the family, or enough was asked.
    fn decided(&mut self, row: u32, destination: Destination, port: Port) -> Option<Outcome> {
        let address = destination.address;
        let Some(known) = self.known.get(&row) else {
            let inside = self.of.program.cluster.contains(address);
            return Some(Outcome::plain(if inside { Verdict::Inside } else { Verdict::Unknown }));
        };
        let rules: usize = known.spoken.blocks.iter().map(|block| self.of.program.blocks.at(*block).rules.len()).sum();
        self.left = self.left.checked_sub(rules + 1)?;
        let key = (row, address.is_ipv6());
        if !self.speaking.contains_key(&key) {
            let [v4, v6] = known.workloads;
            let workload = if address.is_ipv6() { v6 } else { v4 }.cloned()?;
            let speaking = Speaking::about(self.of.program, &workload);
            let flow = Flow { workload, destination: destination.clone(), port };
            self.speaking.insert(key, (flow, speaking));
        }
        let (flow, speaking) = self.speaking.get_mut(&key)?;
        flow.destination = destination;
        flow.port = port;
        let decision = speaking.decide(flow, |_| true);
        Some(Outcome::decided(self.of.gateways, &decision))
    }

    fn finish(self) -> Vectors {
        let vector = |((row, destination, protocol, number, fragment, name_sets), outcome)| Vector {
            row,
            destination,
            protocol,
            number,
            fragment,
            name_sets,
            outcome,
        };
        // A class without an address is no destination: the inside, where no cluster is declared.
        let classes = self.examples.iter().filter(|[v4, v6]| !v4.is_empty() || !v6.is_empty()).count();
        // An outcome with names never holds itself.
        let final_ones = self.of.profiles.outcomes.values().filter(|outcome| outcome.by_name.is_none()).count();
        let missed = [
            final_ones.saturating_sub(self.reached_outcomes.len()),
            classes - self.reached_classes.len(),
            self.of.destinations.matrix.rows.len() - self.reached_rows.len(),
        ];
        Vectors { vectors: self.found.into_iter().map(vector).collect(), missed, defect: self.defect }
    }
}

/// The first classes of ports, in ascending order; those of fragments stand behind `plain` and are none.
fn first_of(classes: impl Iterator<Item = u32>, plain: u32) -> Vec<u32> {
    classes.take_while(|class| *class < plain).take(PORTS).collect()
}

/// Whether there is a packet of a port to an address.
fn has_packet(address: IpAddr, port: Port) -> bool {
    let flow = Flow { workload: any(), destination: Destination::unnamed(address), port };
    flow.is_well_formed() && !(address.is_ipv6() && HEADERS.contains(&port.protocol()))
}

/// Somebody who may send to either family.
fn any() -> Workload {
    Workload::Pod(egress_ir::Pod::default())
}
