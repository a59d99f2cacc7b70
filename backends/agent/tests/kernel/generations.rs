//! Who sends, what is counted and recorded, and how one generation follows another.

use crate::support::{Bpffs, packet, plain_model, prepare, slot_packet};
use crate::tables::Model;
use egress_agent::kernel::{
    Answer, Counter, Direction, Endpoint, Found, Hook, Kernel, KernelError, MARK_BEFORE, New, On, Place,
};
use egress_testkit::seed::{Rng, seed};
use std::net::IpAddr;
use std::time::Instant;

const SLOT: u32 = 3;

/// Loads a model with somebody at [`SLOT`], gives it its place and switches to it.
fn enforce(kernel: &Kernel, model: &Model, endpoint: Endpoint) -> Place {
    let tables = model.tables(&mut Rng::new(seed(), model.generation));
    let prepared = kernel.prepare(&New { tables: &tables, endpoints: &[(SLOT, endpoint)] }).unwrap();
    let place = kernel.commit(prepared).unwrap();
    kernel.switch(place).unwrap();
    place
}

fn ask(kernel: &Kernel, slot: u32, bytes: &[u8]) -> Answer {
    let active = kernel.generation(kernel.active().unwrap()).unwrap().unwrap();
    let ethertype = if bytes[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
    let [first, second] = Hook::BOTH.map(|hook| active.run_from(hook, slot, ethertype, bytes).unwrap());
    assert_eq!(first, second, "both hooks judge alike");
    first
}

#[test]
fn identity_comes_from_the_slot_the_address_or_the_default() {
    let Some(bpffs) = Bpffs::for_test("identity_comes_from_the_slot_the_address_or_the_default") else { return };
    let kernel = bpffs.kernel();
    // Row n's outcome is n; the sender's address says which row.
    let model = plain_model(5, 4, 2);
    let place = enforce(&kernel, &model, Endpoint::Unknown);
    let generation = kernel.generation(place).unwrap().unwrap();
    let senders: [(&str, &str, u32); 4] = [
        ("10.0.0.9", "20.0.0.1", 0),
        ("10.0.1.9", "20.0.0.1", 1),
        ("2001:db8::3", "2001:db8:ffff::1", 3),
        ("2001:db8::9:0:0:1", "2001:db8:ffff::1", 1),
    ];
    for (from, to, row) in senders {
        let bytes = packet(from.parse().unwrap(), to.parse().unwrap(), 6, 443);
        assert_eq!(model.row(from.parse().unwrap()), row, "the model itself");
        for (endpoint, expected) in [
            (Endpoint::Unknown, model.default_row),
            (Endpoint::ByAddress, row),
            (Endpoint::Row(0), 0),
            (Endpoint::Row(3), 3),
        ] {
            generation.set_endpoint(SLOT, endpoint).unwrap();
            assert_eq!(generation.endpoint(SLOT).unwrap(), endpoint);
            assert_eq!(ask(&kernel, SLOT, &bytes).found, Found::Outcome(expected), "{from} as {endpoint:?}");
        }
        // Slots that nobody set, or that cannot be, are unknown.
        for slot in [SLOT + 1, 4095, 4096, 1 << 30] {
            assert_eq!(ask(&kernel, slot, &bytes).found, Found::Outcome(model.default_row), "slot {slot}");
        }
        // A row given directly that is none is refused.
        let answer = generation.run(Hook::Cgroup, 4, if from.contains(':') { 0x86dd } else { 0x0800 }, &bytes).unwrap();
        assert_eq!(answer, Answer { passes: false, found: Found::Malformed, mark: MARK_BEFORE });
    }
    assert!(generation.set_endpoint(SLOT, Endpoint::Row(4)).is_err());
    assert!(generation.set_endpoint(4096, Endpoint::Row(0)).is_err());
}

#[test]
fn counters_count_packets_and_bytes() {
    let Some(bpffs) = Bpffs::for_test("counters_count_packets_and_bytes") else { return };
    let kernel = bpffs.kernel();
    let model = plain_model(6, 4, 0);
    let place = enforce(&kernel, &model, Endpoint::Row(1));
    let bytes = packet("10.0.0.1".parse().unwrap(), "20.0.0.1".parse().unwrap(), 17, 53);
    for _ in 0..5 {
        ask(&kernel, SLOT, &bytes);
    }
    let mut padded = bytes.clone();
    padded.extend([0; 18]);
    ask(&kernel, SLOT, &padded);
    ask(&kernel, SLOT, &bytes[..27]);
    let generation = kernel.generation(place).unwrap().unwrap();
    // Those who only ask are not counted.
    generation.run(Hook::Cgroup, 1, 0x0800, &bytes).unwrap();
    let counters = generation.counters().unwrap();
    let size = bytes.len() as u64;
    assert_eq!(counters.outcomes.len(), 4);
    assert_eq!(counters.outcomes[1], Counter { packets: 12, bytes: 12 * size }, "padding is not counted");
    assert_eq!(counters.malformed, Counter { packets: 2, bytes: 2 * 27 });
    let others = [counters.outcomes[0], counters.outcomes[2], counters.outcomes[3], counters.replies, counters.exempt];
    assert_eq!(others, [Counter::default(); 5]);
}

#[test]
fn records_say_who_and_are_limited() {
    let Some(bpffs) = Bpffs::for_test("records_say_who_and_are_limited") else { return };
    let kernel = bpffs.kernel();
    let mut model = plain_model(7, 4, 0);
    model.outcomes = vec![0, 1, 5, 4];
    let place = enforce(&kernel, &model, Endpoint::Row(0));
    let generation = kernel.generation(place).unwrap().unwrap();
    let mut events = kernel.events().unwrap();
    let (from, to): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "20.0.0.1".parse().unwrap());
    let bytes = packet(from, to, 6, 443);
    let run = |times: u32| {
        for _ in 0..times {
            generation.run_from(Hook::Cgroup, SLOT, 0x0800, &bytes).unwrap();
        }
    };
    // A flood of denials: ten records, and then no more than ten in a second.
    let start = Instant::now();
    run(500);
    let seen: Vec<_> = std::iter::from_fn(|| events.take()).collect();
    let most = 10 + start.elapsed().as_millis() / 100 + 1;
    assert!(seen.len() >= 10 && seen.len() as u128 <= most, "{} records of 500, at most {most}", seen.len());
    let first = &seen[0];
    assert_eq!((first.slot, first.row, first.outcome), (SLOT, Some(0), Some(0)));
    assert_eq!((first.source, first.destination), (Some(from), Some(to)));
    assert_eq!((first.protocol, first.number, first.source_number), (6, 443, 0xc000));
    assert_eq!((first.generation, first.passed, first.left_out), (model.generation, false, 0));
    assert_eq!((first.class, first.length as usize), (Some(model.class(to)), bytes.len()));
    // After a while there is one again, and it says how many were left out.
    std::thread::sleep(std::time::Duration::from_millis(250));
    run(1);
    let next = events.take().unwrap();
    let told: u64 = seen.iter().chain([&next]).map(|event| event.left_out + 1).sum();
    assert_eq!(told, 501, "nothing is lost uncounted");
    // What passes is recorded only where a rule wants it; other outcomes are limited apart.
    for (row, passed, records) in [(1, true, 0), (2, true, 1), (3, false, 1)] {
        generation.set_endpoint(SLOT, Endpoint::Row(row)).unwrap();
        run(1);
        let seen: Vec<_> = std::iter::from_fn(|| events.take()).collect();
        assert_eq!(seen.len(), records, "row {row}");
        assert!(seen.iter().all(|event| event.passed == passed && event.outcome == Some(row)));
    }
    // A malformed packet names no outcome, and those who only ask leave no record.
    generation.run(Hook::Cgroup, 0, 0x0800, &bytes).unwrap();
    generation.run_from(Hook::Cgroup, SLOT, 0x0800, &bytes[..30]).unwrap();
    let malformed = events.take().unwrap();
    assert_eq!((malformed.outcome, malformed.source, malformed.length), (None, None, 30));
    assert!(events.take().is_none());
    assert_eq!(kernel.lost().unwrap(), 0);
}

#[test]
fn a_full_ring_counts_what_it_loses() {
    let Some(bpffs) = Bpffs::for_test("a_full_ring_counts_what_it_loses") else { return };
    let kernel = bpffs.kernel();
    let model = plain_model(8, 4, 0);
    let place = enforce(&kernel, &model, Endpoint::Row(0));
    let generation = kernel.generation(place).unwrap().unwrap();
    let bytes = packet("10.0.0.1".parse().unwrap(), "20.0.0.1".parse().unwrap(), 6, 443);
    // Another slot each time, so that no limit applies: 12,000 records of 120 bytes do not fit into 1 MiB.
    let sent = 12_000;
    for slot in 0..sent {
        generation.run_from(Hook::Cgroup, 5000 + slot, 0x0800, &bytes).unwrap();
    }
    let lost = kernel.lost().unwrap();
    let mut events = kernel.events().unwrap();
    let seen = std::iter::from_fn(|| events.take()).count() as u64;
    assert!(lost > 0 && seen > 5000, "{seen} seen and {lost} lost");
    assert_eq!(seen + lost, u64::from(sent));
}

#[test]
fn one_store_switches_and_the_other_place_is_kept() {
    let Some(bpffs) = Bpffs::for_test("one_store_switches_and_the_other_place_is_kept") else { return };
    let kernel = bpffs.kernel();
    assert_eq!(kernel.active().unwrap(), Place::First);
    assert!(kernel.generation(Place::First).unwrap().is_none());
    assert!(matches!(kernel.switch(Place::Second), Err(KernelError::EmptyPlace { .. })));
    let numbers = |kernel: &Kernel| {
        Place::BOTH.map(|place| kernel.generation(place).unwrap().map(|generation| generation.number()))
    };
    let first = enforce(&kernel, &plain_model(11, 4, 0), Endpoint::Row(1));
    assert_eq!((first, numbers(&kernel)), (Place::Second, [None, Some(11)]));
    let second = enforce(&kernel, &plain_model(12, 4, 0), Endpoint::Row(1));
    assert_eq!((second, numbers(&kernel)), (Place::First, [Some(12), Some(11)]));
    kernel.switch(second.other()).unwrap();
    assert_eq!(kernel.active().unwrap(), Place::Second);
    // Preparing touches neither place; abandoning leaves no trace.
    let tables = plain_model(13, 4, 0).tables(&mut Rng::new(seed(), 13));
    let prepared = prepare(&kernel, &tables);
    assert_eq!((prepared.number(), numbers(&kernel)), (13, [Some(12), Some(11)]));
    kernel.abandon(prepared).unwrap();
    assert_eq!(std::fs::read_dir(bpffs.pins()).unwrap().filter(is_place).count(), 2);
    // Tables that are not what they say leave nothing behind either.
    for broken in [&tables[..tables.len() - 64], &tables[..100], &[][..]] {
        assert!(matches!(kernel.prepare(&New { tables: broken, endpoints: &[] }), Err(KernelError::Tables { .. })));
    }
    let wrong = [(0, Endpoint::Row(4))];
    assert!(kernel.prepare(&New { tables: &tables, endpoints: &wrong }).is_err());
    assert_eq!(std::fs::read_dir(bpffs.pins()).unwrap().filter(is_place).count(), 2);
    // The kernel gives back what it was given.
    let place = kernel.commit(prepare(&kernel, &tables)).unwrap();
    let generation = kernel.generation(place).unwrap().unwrap();
    assert_eq!(generation.tables().unwrap(), tables);
    assert!(generation.memory().unwrap() as usize > tables.len());
    kernel.unload().unwrap();
    assert!(!bpffs.pins().exists());
}

fn is_place(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
    entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("place-")
}

/// Every state that a killed agent can leave between two steps is finished or undone by the next one.
#[test]
fn whatever_was_broken_off_is_finished_or_undone() {
    let Some(bpffs) = Bpffs::for_test("whatever_was_broken_off_is_finished_or_undone") else { return };
    let kernel = bpffs.kernel();
    enforce(&kernel, &plain_model(21, 4, 0), Endpoint::Row(1));
    enforce(&kernel, &plain_model(22, 4, 0), Endpoint::Row(1));
    // Active is place 0 with 22; the other has 21.
    let (idle, new, old) =
        (bpffs.pins().join("place-1"), bpffs.pins().join("place-1-new"), bpffs.pins().join("place-1-old"));
    let tables = plain_model(23, 4, 0).tables(&mut Rng::new(seed(), 23));
    let steps: [(&str, &dyn Fn(), u64); 4] = [
        ("prepared", &|| {}, 21),
        ("put aside", &|| std::fs::rename(&idle, &old).unwrap(), 21),
        ("put in its place", &|| std::fs::rename(&new, &idle).unwrap(), 23),
        ("half prepared", &|| std::fs::remove_file(new.join("policy_tc")).unwrap(), 23),
    ];
    for (step, (name, act, expected)) in steps.iter().enumerate() {
        if step != 2 || !new.exists() {
            drop(prepare(&kernel, &tables));
        }
        if step == 2 {
            std::fs::rename(&idle, &old).unwrap();
        }
        act();
        let next = Kernel::open(bpffs.path()).unwrap();
        assert_eq!(next.active().unwrap(), Place::First, "{name}");
        assert_eq!(next.generation(Place::First).unwrap().unwrap().number(), 22, "{name}");
        assert_eq!(next.generation(Place::Second).unwrap().unwrap().number(), *expected, "{name}");
        assert!(!new.exists() && !old.exists(), "{name}");
    }
}

#[test]
fn replies_of_connections_from_outside_pass() {
    let Some(bpffs) = Bpffs::for_test("replies_of_connections_from_outside_pass") else { return };
    let kernel = bpffs.kernel();
    let model = plain_model(31, 4, 0);
    enforce(&kernel, &model, Endpoint::Row(0));
    let pod: IpAddr = "10.0.0.1".parse().unwrap();
    let peer: IpAddr = "20.0.0.1".parse().unwrap();
    let tcp = |from: IpAddr, to: IpAddr, source: u16, number: u16, flags: u8| {
        let mut bytes = slot_packet(from, to, 6, source, number);
        bytes[33] = flags;
        bytes
    };
    let (syn, ack, both) = (2, 16, 18);
    let passes = |bytes: &[u8]| ask(&kernel, SLOT, bytes).passes;
    let enter = |slot: u32, packet: &[u8]| {
        let on = On { interface: bpffs.interface(), ethertype: 0x0800, packet };
        assert!(kernel.rehearse(Hook::Tc, Direction::In, slot, on).unwrap(), "what comes in is never stopped");
    };
    assert!(!passes(&tcp(pod, peer, 80, 5000, both)), "nobody asked");
    enter(SLOT, &tcp(peer, pod, 5000, 80, ack));
    assert!(!passes(&tcp(pod, peer, 80, 5000, both)), "an acknowledgement opens nothing");
    enter(SLOT + 1, &tcp(peer, pod, 5000, 80, syn));
    assert!(!passes(&tcp(pod, peer, 80, 5000, both)), "another slot's connection");
    enter(SLOT, &tcp(peer, pod, 5000, 80, syn));
    assert!(passes(&tcp(pod, peer, 80, 5000, both)), "an answer");
    assert!(passes(&tcp(pod, peer, 80, 5000, ack)), "and more of it");
    assert!(!passes(&tcp(pod, peer, 80, 5000, syn)), "an answer opens nothing itself");
    assert!(!passes(&tcp(pod, peer, 80, 5001, ack)), "another port of the peer");
    assert!(!passes(&tcp(pod, peer, 81, 5000, ack)), "another port of the pod");
    assert!(!passes(&tcp(pod, "20.0.0.2".parse().unwrap(), 80, 5000, ack)), "another peer");
    // Datagrams, and echoes.
    assert!(!passes(&slot_packet(pod, peer, 17, 53, 6000)));
    enter(SLOT, &slot_packet(peer, pod, 17, 6000, 53));
    assert!(passes(&slot_packet(pod, peer, 17, 53, 6000)));
    let echo = |from: IpAddr, to: IpAddr, kind: u8, id: u16| {
        let mut bytes = packet(from, to, 1, u16::from(kind) << 8);
        bytes[24..26].copy_from_slice(&id.to_be_bytes());
        bytes
    };
    enter(SLOT, &echo(peer, pod, 8, 77));
    assert!(passes(&echo(pod, peer, 0, 77)), "an echo's answer");
    assert!(!passes(&echo(pod, peer, 0, 78)), "another echo's");
    assert!(!passes(&echo(pod, peer, 8, 77)), "an echo of its own");
    let counters = kernel.generation(kernel.active().unwrap()).unwrap().unwrap().counters().unwrap();
    // Both hooks were asked.
    assert_eq!(counters.replies.packets, 2 * 4);
    // Who only asks is never answered by what others opened.
    let active = kernel.generation(kernel.active().unwrap()).unwrap().unwrap();
    let answer = active.run(Hook::Cgroup, 0, 0x0800, &tcp(pod, peer, 80, 5000, ack)).unwrap();
    assert!(!answer.passes);
}

#[test]
fn stubs_jump_into_the_active_generation_and_deny_without_one() {
    let Some(bpffs) = Bpffs::for_test("stubs_jump_into_the_active_generation_and_deny_without_one") else { return };
    let kernel = bpffs.kernel();
    let packet = packet("10.0.0.1".parse().unwrap(), "20.0.0.1".parse().unwrap(), 6, 443);
    let passes = |interface: u32, ethertype: u16| {
        let on = On { interface, ethertype, packet: &packet };
        Hook::BOTH.map(|hook| kernel.rehearse(hook, Direction::Out, SLOT, on).unwrap())
    };
    assert_eq!(passes(bpffs.interface(), 0x0800), [false, false], "there is no generation");
    assert_eq!(passes(1, 0x0800), [true, true], "lo is never judged");
    for (generation, row, expected) in [(41, 1, true), (42, 0, false), (43, 1, true), (44, 0, false)] {
        enforce(&kernel, &plain_model(generation, 4, 0), Endpoint::Row(row));
        assert_eq!(passes(bpffs.interface(), 0x0800), [expected; 2], "generation {generation}");
        let place = kernel.active().unwrap();
        if kernel.switch(place.other()).is_ok() {
            assert_eq!(passes(bpffs.interface(), 0x0800), [!expected; 2], "rolled back from {generation}");
        }
        kernel.switch(place).unwrap();
    }
    // ARP passes at tc; VLAN, MPLS and PPPoE do not, and nothing but IP reaches a cgroup's hook.
    assert_eq!(passes(bpffs.interface(), 0x0806), [false, true]);
    for ethertype in [0x8100, 0x88a8, 0x8847, 0x8864, 0x88b5] {
        assert_eq!(passes(bpffs.interface(), ethertype), [false, false], "{ethertype:#x}");
    }
}
