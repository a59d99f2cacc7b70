//! Whole frames on a real interface, with the stub and the active generation before it: what the kernel's test run takes
//! not, and packets whose bytes do not stand in one piece.
//!
//! A packet socket puts frames of more than a page into pages of their own, and leaves the Ethernet header alone where a
//! program may look directly; so each packet is also sent with padding behind it. The sender is told when a frame was
//! stopped, and the generation's counters say by which outcomes.

use crate::case::Case;
use crate::judge::{BY_ADDRESS, Judge, Sender};
use crate::node::{INTERFACE, Node};
use crate::people::{Fate, gateway};
use crate::places::{PROTOCOLS, Places};
use crate::shapes::{Wanted, random};
use egress_agent::kernel::{Found, Generation, New, Point, Side, TcKind};
use egress_testkit::packets::{Packet, crafted, neighbour, plain, read};
use egress_testkit::seed::{Rng, seed};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, sendto, socket};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsRawFd, OwnedFd};

/// Programs that are tried, and drawn packets for each.
const PROGRAMS: u64 = 6;
const DRAWN: u64 = 600;

/// More than a page, so that a frame with so much behind its packet is never in one piece.
const PADDING: usize = 4200;

/// A socket that sends frames over the interface.
struct Wire {
    socket: OwnedFd,
    to: LinkAddr,
}

impl Wire {
    fn new() -> Self {
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let mut interfaces = nix::ifaddrs::getifaddrs().unwrap().filter(|one| one.interface_name == INTERFACE);
        let to = interfaces.find_map(|one| one.address?.as_link_addr().copied()).unwrap();
        Self { socket, to }
    }

    /// Whether a frame went out.
    fn send(&self, ethertype: u16, packet: &[u8]) -> bool {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        frame.extend(ethertype.to_be_bytes());
        frame.extend(packet);
        match sendto(self.socket.as_raw_fd(), &frame, &self.to, MsgFlags::empty()) {
            Ok(sent) => sent == frame.len(),
            Err(Errno::ENOBUFS) => false,
            Err(error) => panic!("a frame of {} bytes: {error}", frame.len()),
        }
    }
}

/// What was sent over an interface, and what must have become of it.
struct Sent<'j, 'c> {
    judge: &'j mut Judge<'c>,
    wire: &'j Wire,
    fates: BTreeMap<Fate, u64>,
    late: u64,
    in_pieces: u64,
}

impl Sent<'_, '_> {
    fn send(&mut self, packet: &Packet) {
        let read = read(packet.ethertype, &packet.bytes);
        let who = self.judge.who(Sender::Address, read.as_ref());
        let (passes, fate) = self.judge.people.fate(who, read.as_ref(), &BTreeSet::new());
        // On the way out of an interface it is too late for gateways.
        let late = passes && gateway(&fate) != 0;
        let passes = passes && !late;
        self.late += u64::from(late);
        self.in_pieces += u64::from(packet.bytes.len() >= PADDING);
        if self.wire.send(packet.ethertype, &packet.bytes) != passes {
            let (at, start) = (&self.judge.case.name, &packet.bytes[..packet.bytes.len().min(100)]);
            let shape = format!("{} of {} bytes", packet.shape, packet.bytes.len());
            let must = format!("read as {read:?}\n  must be {fate:?} and pass: {passes}");
            self.judge.differences.push(format!("{at}: {shape}: {start:02x?}\n  {must}"));
        }
        *self.fates.entry(fate).or_default() += 1;
    }

    /// The packet as it is, and in pieces.
    fn both(&mut self, mut packet: Packet) {
        self.send(&packet);
        packet.bytes.resize(packet.bytes.len() + PADDING, 0x77);
        packet.shape.push_str(", in pieces");
        self.send(&packet);
    }

    fn all(&mut self, rng: &mut Rng) {
        let places = Places::of(self.judge.case);
        for v6 in [false, true] {
            let (source, destination) = (places.source(rng, v6), places.destination(rng, v6));
            let protocol = rng.choose(&PROTOCOLS).copied().unwrap_or(6);
            crafted(source, destination, protocol, places.port(rng).1).into_iter().for_each(|packet| self.both(packet));
            self.send(&Packet { shape: "nothing".to_owned(), ethertype: packet_type(v6), bytes: Vec::new() });
        }
        for _ in 0..DRAWN {
            let v6 = rng.chance(50);
            let (source, destination) = (places.source(rng, v6), places.destination(rng, v6));
            let (protocol, number) = places.port(rng);
            self.both(random(rng, &Wanted { source, destination, protocol, number }));
            self.both(plain(source, destination, protocol, number));
            self.send(&long(plain(source, destination, protocol, number)));
        }
        for kind in 133..=136 {
            self.both(neighbour("fe80::1".parse().unwrap(), "ff02::1".parse().unwrap(), kind, 255));
        }
    }
}

fn packet_type(v6: bool) -> u16 {
    if v6 { 0x86dd } else { 0x0800 }
}

/// The packet with so much in it that it is in pieces without any padding.
fn long(mut packet: Packet) -> Packet {
    packet.bytes.resize(packet.bytes.len() + PADDING, 0x77);
    let (at, size) = if packet.ethertype == packet_type(false) { (2, 0) } else { (4, 40) };
    let length = (packet.bytes.len() - size) as u16;
    packet.bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
    packet.shape.push_str(", long");
    packet
}

/// How often each fate was counted by the generation.
fn counted(judge: &mut Judge<'_>, generation: &Generation) -> BTreeMap<Fate, u64> {
    let counters = generation.counters().unwrap_or_else(|error| panic!("{error}"));
    let mut fates =
        BTreeMap::from([(Fate::Malformed, counters.malformed.packets), (Fate::Exempt, counters.exempt.packets)]);
    for (outcome, counter) in (0..).zip(&counters.outcomes) {
        *fates.entry(judge.fate(Found::Outcome(outcome))).or_default() += counter.packets;
    }
    fates.retain(|_, count| *count > 0);
    assert_eq!(counters.replies.packets, 0);
    fates
}

#[test]
fn frames_are_judged_as_the_meaning_says() {
    let Some(node) = Node::for_test("frames_are_judged_as_the_meaning_says") else { return };
    node.add_interface();
    let (kernel, wire) = (node.kernel(), Wire::new());
    let point = Point::Interface { name: INTERFACE.to_owned(), side: Side::Uplink };
    let (mut packets, mut in_pieces, mut late_in_all) = (0, 0, 0);
    for number in 0..PROGRAMS {
        // Those without names, whose fragments are decided exactly.
        let case = Case::draw(seed(), number / 2 * 4 + number % 2);
        let mut rng = Rng::new(seed(), 1 << 34 | number);
        let endpoints = Judge::endpoints(&case);
        let new = New { tables: case.snapshot.tables.bytes(), endpoints: &endpoints };
        let place = kernel.prepare(&new).and_then(|prepared| kernel.commit(prepared)).unwrap();
        kernel.switch(place).unwrap();
        let kind = if number % 2 == 0 { TcKind::Best } else { TcKind::Clsact };
        kernel.attach(&point, BY_ADDRESS, kind).unwrap();
        let mut judge = Judge::new(&case, rng.clone(), kernel.learned().unwrap());
        let mut sent = Sent { judge: &mut judge, wire: &wire, fates: BTreeMap::new(), late: 0, in_pieces: 0 };
        sent.all(&mut rng);
        let fates = std::mem::take(&mut sent.fates);
        in_pieces += sent.in_pieces;
        let late = sent.late;
        late_in_all += late;
        packets += fates.values().sum::<u64>();
        assert!(judge.differences.is_empty(), "{}", judge.differences.join("\n"));
        let generation = kernel.generation(place).unwrap().unwrap();
        assert_eq!(generation.counters().unwrap().late.packets, late, "{}", case.name);
        assert_eq!(counted(&mut judge, &generation), fates, "{}", case.name);
        for foreign in [0x8100, 0x88a8, 0x8847, 0x8863, 0x8864, 0x88cc, 0x88b5, 0x0060] {
            assert!(!wire.send(foreign, &plain_bytes()), "ethertype {foreign:#06x} passed");
        }
        assert!(wire.send(0x0806, &[0; 28]), "ARP did not pass");
        assert_eq!(counted(&mut judge, &generation), fates, "{}", case.name);
        kernel.detach(&point, BY_ADDRESS).unwrap();
        assert!(wire.send(0x8100, &plain_bytes()), "nothing is attached");
    }
    println!("{packets} packets in frames over {PROGRAMS} programs, {in_pieces} of them in pieces, {late_in_all} late");
    assert!(in_pieces * 3 > packets && packets > PROGRAMS * 5000 && late_in_all > 20);
    kernel.unload().unwrap();
}

fn plain_bytes() -> Vec<u8> {
    plain([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 17, 53).bytes
}
