//! Everything that is asked of one program, round by round.
//!
//! In: a loaded case and how much to ask. Out: what the [`Judge`] found. Each boundary is asked about at least once, by
//! every row where that is not too much; the rest are random flows in random shapes.

use crate::case::Case;
use crate::judge::{Judge, Sender};
use crate::places::{PROTOCOLS, Places};
use crate::shapes::{Wanted, random};
use egress_agent::kernel::{Generation, Kernel, New};
use egress_ir::classes::possible_sources;
use egress_ir::{Workload, protocol};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::packets::{crafted, neighbour, plain};
use egress_testkit::seed::Rng;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

/// How much is asked of one program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Packets at boundaries of addresses, and again at those of ports, unless one for each is more.
    pub(crate) boundaries: usize,
    /// Packets in all at least; what boundaries and odd shapes leave is drawn.
    pub(crate) packets: u64,
    /// Whether a flow is asked about in every odd shape, cut after every byte.
    pub(crate) crafted: bool,
}

/// Loads a case, asks, and takes it away.
pub(crate) fn hold<'c>(kernel: &Kernel, case: &'c Case, tables: &[u8], effort: Effort, rng: Rng) -> Judge<'c> {
    let mut judge = Judge::new(case, rng, kernel.learned().unwrap());
    let endpoints = Judge::endpoints(case);
    let begin = Instant::now();
    let generation = kernel.prepare(&New { tables, endpoints: &endpoints });
    let generation = generation.unwrap_or_else(|error| panic!("{}: {error}", case.name));
    judge.tally.loading = begin.elapsed();
    judge.tally.longest_load = judge.tally.loading;
    let sizes = generation.sizes().unwrap_or_else(|error| panic!("{error}"));
    judge.tally.walked = sizes[0].0.max(sizes[1].0);
    Rounds::new(&mut judge, &generation).all(effort);
    judge.tally.rows = judge.rows.len() as u64;
    kernel.abandon(generation).unwrap_or_else(|error| panic!("{error}"));
    judge
}

struct Rounds<'j, 'c> {
    judge: &'j mut Judge<'c>,
    generation: &'j Generation,
    places: Places,
    /// At least one sender of each row.
    senders: Vec<Sender>,
}

impl<'j, 'c> Rounds<'j, 'c> {
    fn new(judge: &'j mut Judge<'c>, generation: &'j Generation) -> Self {
        let places = Places::of(judge.case);
        let senders = senders(judge);
        Self { judge, generation, places, senders }
    }

    fn all(&mut self, effort: Effort) {
        self.destinations(effort.boundaries);
        self.ports(effort.boundaries);
        self.sources();
        self.neighbours();
        self.judge.tally.boundaries = self.judge.tally.packets;
        if effort.crafted {
            self.crafted();
        }
        while self.judge.tally.packets < effort.packets {
            self.drawn();
        }
    }

    /// Asks about a flow, plain or in some shape.
    fn ask(&mut self, sender: Sender, destination: IpAddr, (protocol, number): (u8, u16), shaped: bool) {
        let source = self.places.source(&mut self.judge.rng, destination.is_ipv6());
        let packet = if shaped {
            random(&mut self.judge.rng, &Wanted { source, destination, protocol, number })
        } else {
            plain(source, destination, protocol, number)
        };
        self.judge.ask(self.generation, sender, &packet);
    }

    /// Each boundary of destinations, by as many senders as there is room for.
    fn destinations(&mut self, room: usize) {
        let all: Vec<IpAddr> = self.places.destinations.concat();
        for (place, destination) in all.iter().enumerate() {
            for sender in self.some_senders(place, room / all.len()) {
                let port = self.places.port(&mut self.judge.rng);
                self.ask(sender, *destination, port, false);
            }
        }
    }

    /// Each boundary of ports, likewise.
    fn ports(&mut self, room: usize) {
        let all = self.places.ports.clone();
        for (place, port) in all.iter().enumerate() {
            for sender in self.some_senders(place, room / all.len()) {
                let v6 = match port.0 {
                    protocol::ICMP => self.judge.rng.chance(5),
                    protocol::ICMPV6 => self.judge.rng.chance(95),
                    _ => self.judge.rng.chance(40),
                };
                let destination = self.places.destination(&mut self.judge.rng, v6);
                self.ask(sender, destination, *port, false);
            }
        }
    }

    /// All senders, or as many as there is room for, others at each place; one at least.
    fn some_senders(&self, place: usize, room: usize) -> Vec<Sender> {
        let count = room.clamp(1, self.senders.len());
        self.senders.iter().cycle().skip(place * count % self.senders.len()).take(count).copied().collect()
    }

    /// Each boundary of source addresses.
    fn sources(&mut self) {
        for source in self.places.sources.concat() {
            for _ in 0..6 {
                let destination = self.places.destination(&mut self.judge.rng, source.is_ipv6());
                let (protocol, number) = self.places.port(&mut self.judge.rng);
                let packet = plain(source, destination, protocol, number);
                self.judge.ask(self.generation, Sender::Address, &packet);
            }
        }
    }

    /// Neighbour discovery, and what just misses it.
    fn neighbours(&mut self) {
        let from: Ipv6Addr = "fe80::1".parse().unwrap();
        for to in ["fe80::2", "febf::2", "fec0::2", "fe7f:ffff::2", "ff02::1:ff00:2", "ff03::1", "2001:db8::1"] {
            for (kind, hops) in [(132, 255), (133, 255), (134, 255), (135, 255), (136, 255), (137, 255), (135, 254)] {
                let sender = self.sender();
                let packet = neighbour(from, to.parse().unwrap(), kind, hops);
                self.judge.ask(self.generation, sender, &packet);
            }
        }
    }

    /// One flow in every odd shape, each whole and cut after every byte.
    fn crafted(&mut self) {
        let v6 = self.judge.rng.chance(40);
        let (sender, destination) = (self.sender(), self.places.destination(&mut self.judge.rng, v6));
        let source = self.places.source(&mut self.judge.rng, v6);
        let protocol = self.judge.rng.choose(&PROTOCOLS).copied().unwrap_or(6);
        let (_, number) = self.places.port(&mut self.judge.rng);
        for packet in crafted(source, destination, protocol, number) {
            // All that are cut within their first header are alike.
            if packet.bytes.len() >= 40 || self.judge.rng.chance(10) {
                self.judge.ask(self.generation, sender, &packet);
            }
        }
    }

    fn sender(&mut self) -> Sender {
        match self.judge.rng.below(10) {
            0..3 => Sender::Address,
            _ => self.judge.rng.choose(&self.senders).copied().unwrap_or(Sender::Nobody),
        }
    }

    /// A few flows of one sender: near one of the program's rules, or at any boundaries.
    fn drawn(&mut self) {
        let case = self.judge.case;
        let sender = self.sender();
        let flow = biased_flow(&mut self.judge.rng, &case.program, Sources::Anyone);
        let near = match &flow.workload {
            Workload::Pod(pod) => self.judge.pod(pod),
            Workload::Address(_) => Sender::Address,
        };
        let port = (flow.port.protocol(), flow.port.number());
        for round in 0..4 {
            let shaped = self.judge.rng.chance(75);
            self.ask(near, flow.destination.address, port, shaped);
            let v6 = self.judge.rng.chance(45);
            let destination = self.places.destination(&mut self.judge.rng, v6);
            let other = self.places.port(&mut self.judge.rng);
            let destination = if round % 2 == 0 { destination } else { flow.destination.address };
            self.ask(sender, destination, other, shaped);
        }
    }
}

/// Senders by row: one of each kind that the program can tell apart, and every pod of the inventory.
fn senders(judge: &mut Judge<'_>) -> Vec<Sender> {
    let case = judge.case;
    let program = &case.program;
    let sets: BTreeSet<_> = program.blocks.values().map(|block| block.workloads).collect();
    let classes = possible_sources(program, &sets, 1 << 14).unwrap_or_else(|error| panic!("{error}"));
    let mut senders = vec![Sender::Nobody];
    let mut rows = BTreeSet::new();
    let of_classes = classes.iter().filter_map(|class| class.pod.as_ref());
    let running = case.inventory.iter().flat_map(|inventory| &inventory.pods).map(|pod| &pod.identity);
    for pod in of_classes.chain(running) {
        let row = case.snapshot.meta.row_of(&crate::people::identity(pod));
        // Asking by more than two for each row would say little more.
        if row.is_none_or(|row| rows.insert((row, false)) || rows.insert((row, true))) {
            senders.push(judge.pod(pod));
        }
    }
    senders
}
