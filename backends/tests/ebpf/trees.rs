//! Trees of addresses: against sorted ranges, in every form, and how large they become.

use crate::common::snapshot;
use egress_backends::ebpf::{Limits, Options};
use egress_ir::address::{from_bits, last_bits, to_bits};
use egress_ir::{
    Action, AddressSet, Block, BlockKind, DestinationSet, Origin, PortSet, Prefix, Program, RangeSet, Rule, WorkloadSet,
};
use egress_snapshot::{Kind, Layout, Snapshot};
use egress_testkit::seed::{Rng, cases, seed};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

/// A program in which everybody may go to each of these sets by a rule of its own.
fn program(sets: impl IntoIterator<Item = AddressSet>) -> Program {
    let mut program = Program::default();
    let source = program.origins.sources.push("a.egress".into());
    let origin = program.origins.entries.push(Origin::at("all", source, 0, 1, 1));
    let workloads = program.workload_sets.push(WorkloadSet::All);
    let kind = BlockKind::Policy;
    let block =
        program.blocks.push(Block { name: "all".into(), kind, workloads, audit: false, rules: Vec::new(), origin });
    let ports = program.port_sets.push(PortSet::any());
    for (number, addresses) in sets.into_iter().enumerate() {
        let origin = Origin::at(format!("all#{}", number + 1), source, 0, 1, 1);
        let origin = program.origins.entries.push(origin);
        let destinations = program.destination_sets.push(DestinationSet { addresses, ..DestinationSet::default() });
        let (action, gateway, log) = (Action::Allow, None, false);
        let rule = program.rules.push(Rule { block, action, destinations, ports, gateway, log, origin });
        program.blocks.get_mut(block).unwrap().rules.push(rule);
    }
    program
}

/// Every class of destinations is the set of rules that cover it, at the ends of all ranges and beside them.
fn check(sets: &[AddressSet], snapshot: &Snapshot) -> usize {
    let mut rules_of: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
    let mut points: BTreeSet<(bool, u128)> = BTreeSet::new();
    for v6 in [false, true] {
        let ends = sets.iter().flat_map(|set| set.of_family(v6).ranges().to_vec());
        for (start, end) in ends {
            let beside = [start.checked_sub(1), Some(start), Some(end), end.checked_add(1)];
            points.extend(beside.into_iter().flatten().filter(|bits| *bits <= last_bits(v6)).map(|bits| (v6, bits)));
        }
        points.extend([(v6, 0), (v6, last_bits(v6))]);
    }
    let ranges = [ranges(snapshot, false), ranges(snapshot, true)];
    for &(v6, bits) in &points {
        let address: IpAddr = from_bits(v6, bits);
        let class = snapshot.tables.destination(address);
        let covering: BTreeSet<usize> =
            sets.iter().enumerate().filter(|(_, set)| set.contains(address)).map(|(number, _)| number).collect();
        assert_eq!(*rules_of.entry(class).or_insert_with(|| covering.clone()), covering, "{address}");
        let ranges = &ranges[usize::from(v6)];
        let at = ranges.partition_point(|range| range.1 < bits);
        assert_eq!(ranges[at].2, class, "{address}: the partition says otherwise");
    }
    let distinct: BTreeSet<&BTreeSet<usize>> = rules_of.values().collect();
    assert_eq!(distinct.len(), rules_of.len(), "two classes are covered by the same rules");
    points.len()
}

fn ranges(snapshot: &Snapshot, v6: bool) -> Vec<(u128, u128, u32)> {
    let tables = &snapshot.tables;
    if v6 {
        return tables.destinations_v6();
    }
    tables.destinations_v4().into_iter().map(|(first, last, class)| (first.into(), last.into(), class)).collect()
}

fn v4_set() -> impl Strategy<Value = AddressSet> {
    // Few upper halves, so that chunks and blocks fill up.
    let prefix = (prop::sample::select(vec![0_u32, 0x0a00_0000, 0x0a01_0000, 0xffff_0000]), any::<u16>(), 8_u8..=32);
    prop::collection::vec(prefix, 0..60).prop_map(|prefixes| {
        let prefix =
            |(high, low, length)| Prefix::containing(from_bits(false, u128::from(high | u32::from(low))), length);
        AddressSet::from_prefixes(prefixes.into_iter().map(prefix))
    })
}

fn v6_set() -> impl Strategy<Value = AddressSet> {
    let high = prop::sample::select(vec![
        0_u64,
        0x2001_0db8_0000_0000,
        0x2001_0db8_0000_0001,
        0xfd00_0042_0000_0000,
        u64::MAX,
    ]);
    let range = (high, any::<u64>(), 0_u32..64, 0_u8..=128);
    prop::collection::vec(range, 0..40).prop_map(|ranges| {
        let prefix = |(high, low, shift, length): (u64, u64, u32, u8)| {
            let bits = u128::from(high) << 64 | u128::from(low >> shift);
            Prefix::containing(from_bits(true, bits), length)
        };
        AddressSet::from_prefixes(ranges.into_iter().map(prefix))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]
    #[test]
    fn classes_are_what_sorted_ranges_say(
        v4 in prop::collection::vec(v4_set(), 1..5), v6 in prop::collection::vec(v6_set(), 0..4)
    ) {
        let sets: Vec<AddressSet> = v4.into_iter().chain(v6).collect();
        let snapshot = snapshot(&program(sets.iter().cloned()), None, &Options::default());
        prop_assert!(check(&sets, &snapshot) >= 4);
    }
}

/// Which forms the trees of a snapshot have, from the start.
fn forms(snapshot: &Snapshot) -> BTreeSet<&'static str> {
    let bytes = snapshot.tables.bytes();
    let layout = Layout::read(bytes).unwrap();
    let mut open: Vec<u32> = vec![layout.destination_v4, layout.destination_v6];
    let lows = layout.destination_lows_line as usize * 64;
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    open.extend((0..layout.destination_low_count as usize).map(|low| word(lows + low * 4)));
    let mut forms = BTreeSet::new();
    while let Some(entry) = open.pop() {
        let (form, below) = match egress_snapshot::Entry(entry).kind().unwrap() {
            Kind::Leaf(_) => ("leaf", None),
            Kind::Block(at) => ("block", Some((at, 256))),
            Kind::Root(at) => ("root", Some((at, 1 << 16))),
            Kind::Chunk4(_) => ("chunk of 4", None),
            Kind::Chunk8(_) => ("chunk of 8", None),
            Kind::Chunk16(_) => ("chunk of 16", None),
            Kind::Line(_) => ("line", None),
        };
        forms.insert(form);
        if let Some((at, count)) = below {
            open.extend((0..count).map(|number| word(at as usize * 16 + number * 4)));
        }
    }
    forms
}

/// Random prefixes of lengths that real lists have.
fn random_prefixes(rng: &mut Rng, count: usize) -> AddressSet {
    let lengths = [16_u8, 19, 20, 21, 22, 23, 24, 24, 24, 24, 24, 26, 28, 32, 32, 32];
    AddressSet::from_prefixes((0..count).map(|_| {
        let bits = rng.below(1 << 32) as u128;
        Prefix::containing(from_bits(false, bits), *rng.choose(&lengths).unwrap())
    }))
}

#[test]
fn many_prefixes_are_small() {
    let mut rng = Rng::new(seed(), 0);
    let sets: Vec<AddressSet> = (0..4).map(|_| random_prefixes(&mut rng, 25_000)).collect();
    let program = program(sets.iter().cloned());
    let begin = Instant::now();
    let snapshot = snapshot(&program, None, &Options::default());
    let took = begin.elapsed();
    let bytes = snapshot.tables.bytes().len();
    println!("100,000 prefixes: {bytes} bytes of tables, emitted and read in {took:?}, forms {:?}", forms(&snapshot));
    assert!(bytes <= 2_000_000, "{bytes} bytes");
    assert!(forms(&snapshot).is_superset(&BTreeSet::from(["root", "chunk of 4", "chunk of 8"])));
    let some: Vec<AddressSet> = sets.iter().map(|set| every(set, 50)).collect();
    for address in some.iter().flat_map(|set| set.ranges().flat_map(|(first, last)| [first, last]).collect::<Vec<_>>())
    {
        let covering: Vec<u32> = (0..).zip(&sets).filter(|(_, set)| set.contains(address)).map(|(n, _)| n).collect();
        let outcome = snapshot.tables.decide(0, address, 6, 443, false);
        assert_eq!(snapshot.meta.outcomes[outcome as usize].rules, covering, "{address}");
    }
}

fn every(set: &AddressSet, step: usize) -> AddressSet {
    AddressSet::from_ranges(set.ranges().step_by(step))
}

#[test]
fn more_classes_than_sixteen_bits_are_wide() {
    // Each address is covered by a rule of its own, in both families and below /64 too.
    let v4 = (0..66_000_u128).map(|number| from_bits(false, 0x0a00_0000 + number * 3));
    let v6 = (0..500_u128).map(|number| from_bits(true, 0xfd00 << 112 | number << 66 | (number * 7)));
    let sets: Vec<AddressSet> =
        v4.chain(v6).map(|address| AddressSet::from_prefixes([Prefix::host(address)])).collect();
    let program = program(sets.iter().cloned());
    let limits = Limits { questions: 300_000, ..Limits::default() };
    let snapshot = snapshot(&program, None, &Options { limits, ..Options::default() });
    let layout = *snapshot.tables.layout();
    assert_eq!((layout.wide, layout.class_count > 66_000), (1, true));
    for (number, set) in sets.iter().enumerate().step_by(7) {
        let address = set.first().unwrap();
        let outcome = snapshot.tables.decide(0, address, 17, 53, false);
        assert_eq!(snapshot.meta.outcomes[outcome as usize].rules, [u32::try_from(number).unwrap()], "{address}");
        let beside = from_bits(address.is_ipv6(), to_bits(address) + 1);
        let outcome = snapshot.tables.decide(0, beside, 17, 53, false);
        assert!(snapshot.meta.outcomes[outcome as usize].rules.is_empty(), "{beside}");
    }
    let whole =
        RangeSet::from_ranges(snapshot.tables.destinations_v4().into_iter().map(|(first, last, _)| (first, last)));
    assert!(whole.is_full());
}

#[test]
fn every_form_is_used() {
    let mut seen = BTreeSet::new();
    let mut points = 0;
    for case in 0..cases(24) {
        let mut rng = Rng::new(seed(), case);
        let count = 1 << (case % 12);
        let within: Vec<IpAddr> = (0..count)
            .map(|_| match case % 3 {
                0 => from_bits(false, rng.below(1 << 32) as u128),
                1 => from_bits(false, 0x0a00_0000 + rng.below(1 << 16) as u128),
                _ => from_bits(true, 0xfd00 << 112 | (rng.below(4) as u128) << 64 | rng.below(1 << 20) as u128),
            })
            .collect();
        let sets = [AddressSet::from_prefixes(within.into_iter().map(Prefix::host))];
        let snapshot = snapshot(&program(sets.clone()), None, &Options::default());
        points += check(&sets, &snapshot);
        seen.extend(forms(&snapshot));
    }
    println!("{points} addresses in {seen:?}");
    let all = BTreeSet::from(["leaf", "block", "root", "chunk of 4", "chunk of 8", "chunk of 16", "line"]);
    assert!(cases(24) < 24 || seen == all, "{seen:?}");
}
