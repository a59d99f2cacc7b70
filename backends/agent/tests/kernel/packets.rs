//! The kernel program against a plain reader of packets and hand-made tables, packet by packet, in both hooks.

use crate::support::{Bpffs, prepare, random_model};
use crate::tables::Model;
use egress_agent::kernel::{Found, Generation, Hook};
use egress_agent::packet::{Flow, of_flow};
use egress_snapshot::tables::Tables;
use egress_testkit::packets::{Packet, crafted, neighbour, plain, random_shape, read};
use egress_testkit::seed::{Rng, cases, seed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Asks both hooks, and compares with what the reader and the model say. Returns whether the packet was sound.
fn judge(generation: &Generation, model: &Model, row: u32, packet: &Packet) -> bool {
    let read = read(packet.ethertype, &packet.bytes);
    let (passes, found) = match read {
        None => (false, Found::Malformed),
        Some(read) if read.exempt => (true, Found::Exempt),
        Some(read) => {
            let outcome = model.outcome(row, read.destination, read.protocol, read.number, read.fragment);
            (model.outcomes[outcome as usize] & 3 == 1, Found::Outcome(outcome))
        }
    };
    for hook in Hook::BOTH {
        let answer = match generation.run(hook, row, packet.ethertype, &packet.bytes) {
            Ok(answer) => answer,
            // A test run takes no packet that is shorter than the header of what the link says it is. Such ones are
            // asked about as what they are not; the link's word is then what refuses them.
            Err(_) if packet.bytes.len() < shortest(packet.ethertype) => {
                generation.run(hook, row, 0x88b5, &packet.bytes).unwrap()
            }
            Err(error) => panic!("{error}: {}", packet.shape),
        };
        assert_eq!(
            (answer.passes, answer.found),
            (passes, found),
            "{hook:?}, row {row}, {}: {:02x?}, read as {read:?}",
            packet.shape,
            packet.bytes
        );
    }
    read.is_some()
}

fn shortest(ethertype: u16) -> usize {
    if ethertype == 0x0800 { 20 } else { 40 }
}

/// Addresses at and around where the model's ranges start.
fn boundary(rng: &mut Rng, model: &Model, v6: bool) -> IpAddr {
    let ranges = &model.destinations[usize::from(v6)];
    let (start, _) = ranges[rng.between(0, ranges.len() as u64 - 1) as usize];
    let key = match rng.between(0, 3) {
        0 => start,
        1 => start.wrapping_sub(1),
        2 => start.wrapping_add(1),
        _ => start.wrapping_add(u128::from(rng.bits() & 0xffff)),
    };
    address(key, v6)
}

fn address(key: u128, v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::from(key).into() } else { Ipv4Addr::from(key as u32).into() }
}

fn source(v6: bool) -> IpAddr {
    address(if v6 { 0x2001_0db8 << 96 | 7 } else { 0x0a01_0203 }, v6)
}

fn boundary_number(rng: &mut Rng, model: &Model, protocol: u8) -> u16 {
    match model.ports.get(&protocol) {
        Some((_, starts)) => {
            let (start, _) = starts[rng.between(0, starts.len() as u64 - 1) as usize];
            (start as u16).wrapping_sub(rng.between(0, 1) as u16)
        }
        None => 0,
    }
}

const PROTOCOLS: [u8; 9] = [6, 17, 132, 1, 58, 47, 50, 51, 253];

#[test]
fn every_odd_shape_is_judged_as_it_is_written() {
    let Some(bpffs) = Bpffs::for_test("every_odd_shape_is_judged_as_it_is_written") else { return };
    let kernel = bpffs.kernel();
    let mut rng = Rng::new(seed(), 1);
    let (mut sound, mut malformed) = (0, 0);
    for case in 0..cases(4) {
        let model = random_model(&mut rng, case % 2 == 1, case % 4 >= 2);
        let generation = prepare(&kernel, &model.tables(&mut rng));
        for protocol in PROTOCOLS {
            let v6 = (case + u64::from(protocol)).is_multiple_of(2);
            let destination = boundary(&mut rng, &model, v6);
            let number = boundary_number(&mut rng, &model, protocol);
            for packet in crafted(source(v6), destination, protocol, number) {
                if judge(&generation, &model, 0, &packet) { sound += 1 } else { malformed += 1 }
            }
        }
    }
    assert!(sound > 1000 && malformed > 10_000, "only {sound} sound and {malformed} malformed packets were tried");
}

#[test]
fn boundaries_of_all_forms_of_tables_are_found() {
    let Some(bpffs) = Bpffs::for_test("boundaries_of_all_forms_of_tables_are_found") else { return };
    let kernel = bpffs.kernel();
    let mut tried = 0;
    for case in 0..cases(24) {
        let mut rng = Rng::new(seed(), 1000 + case);
        let model = random_model(&mut rng, case % 2 == 1, case % 4 >= 2);
        let bytes = model.tables(&mut rng);
        let tables = Tables::new(bytes.clone()).unwrap_or_else(|error| panic!("case {case}: {error}"));
        let generation = prepare(&kernel, &bytes);
        for _ in 0..600 {
            let v6 = rng.between(0, 1) == 1;
            let protocol = PROTOCOLS[rng.between(0, PROTOCOLS.len() as u64 - 1) as usize];
            let (destination, number) = (boundary(&mut rng, &model, v6), boundary_number(&mut rng, &model, protocol));
            let row = rng.between(0, model.decisions.len() as u64 - 1) as u32;
            assert!(judge(&generation, &model, row, &plain(source(v6), destination, protocol, number)));
            // The checked reader walks the same bytes, and the agent's own packets say what they are to say.
            assert_eq!(tables.destination(destination), model.class(destination));
            let fragment = rng.between(0, 3) == 0;
            let flow = Flow { source: source(v6), destination, protocol, number, fragment };
            let packet = Packet {
                shape: "the agent's".to_owned(),
                ethertype: if v6 { 0x86dd } else { 0x0800 },
                bytes: of_flow(&flow),
            };
            let said = read(packet.ethertype, &packet.bytes).unwrap();
            assert_eq!((said.destination, said.protocol, said.fragment), (destination, protocol, fragment));
            assert!(judge(&generation, &model, row, &packet));
            tried += 1;
        }
    }
    assert!(tried > 0);
}

#[test]
fn changed_bytes_never_make_a_difference() {
    let Some(bpffs) = Bpffs::for_test("changed_bytes_never_make_a_difference") else { return };
    let kernel = bpffs.kernel();
    let mut rng = Rng::new(seed(), 2);
    let model = random_model(&mut rng, false, false);
    let generation = prepare(&kernel, &model.tables(&mut rng));
    let (mut sound, mut malformed) = (0, 0);
    for case in 0..cases(20_000) {
        let v6 = case % 2 == 1;
        let protocol = PROTOCOLS[rng.between(0, PROTOCOLS.len() as u64 - 1) as usize];
        let (destination, number) = (boundary(&mut rng, &model, v6), boundary_number(&mut rng, &model, protocol));
        let packet = random_shape(&mut rng, source(v6), destination, protocol, number);
        if judge(&generation, &model, 0, &packet) { sound += 1 } else { malformed += 1 }
    }
    assert!(sound > 0 && malformed > 0);
}

#[test]
fn only_true_neighbour_discovery_is_exempt() {
    let Some(bpffs) = Bpffs::for_test("only_true_neighbour_discovery_is_exempt") else { return };
    let kernel = bpffs.kernel();
    let mut rng = Rng::new(seed(), 3);
    let mut model = random_model(&mut rng, false, false);
    // Nothing passes but what is exempt.
    model.outcomes.iter_mut().for_each(|word| *word = 0);
    let generation = prepare(&kernel, &model.tables(&mut rng));
    let from: Ipv6Addr = "fe80::1".parse().unwrap();
    let mut exempt = 0;
    for to in ["fe80::2", "febf::2", "fec0::2", "fe7f::2", "ff02::1:ff00:2", "ff02::1", "ff05::2", "2001:db8::1"] {
        for kind in 130..=139 {
            for hops in [255, 254, 64, 1] {
                let to: Ipv6Addr = to.parse().unwrap();
                let packet = neighbour(from, to, kind, hops);
                assert!(judge(&generation, &model, 0, &packet));
                exempt += u32::from(read(packet.ethertype, &packet.bytes).unwrap().exempt);
            }
        }
    }
    assert_eq!(exempt, 4 * 4, "four kinds to four destinations");
}
