//! Tables: read against a naive oracle, refused where anything is wrong, and never a panic whatever the bytes are.

use super::*;
use crate::layout::{Kind, LINE, WORDS, outcome};
use crate::testing::{Builder, Partition, Random, bare, low, named, small};
use std::net::{Ipv4Addr, Ipv6Addr};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn random() -> Random {
    Random(setting("EGRESS_SEED", 1))
}

fn set(bytes: &mut [u8], word: usize, to: u32) {
    bytes[word * 4..word * 4 + 4].copy_from_slice(&to.to_le_bytes());
}

fn word(name: &str) -> usize {
    WORDS.iter().position(|word| *word == name).unwrap()
}

#[test]
fn small_tables_decide_as_written() {
    let tables = Tables::new(small().finish()).unwrap();
    let class = |address: &str| tables.destination(address.parse().unwrap());
    assert_eq!(["9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"].map(class), [0, 1, 1, 0]);
    assert_eq!(["2001:db7::", "2001:db8::6", "2001:db8::7", "2001:db8::8"].map(class), [0, 2, 3, 2]);
    assert_eq!(["2001:db8:0:1::7", "2001:db8:1::", "2001:db8:0:ffff::", "::ffff:10.0.0.1"].map(class), [2, 2, 2, 0]);
    assert_eq!(["10.0.0.0", "10.0.0.1", "10.0.0.2", "::1"].map(|a| tables.source(a.parse().unwrap())), [0, 1, 0, 0]);
    assert_eq!([(6, 443), (6, 80), (6, 444), (17, 443), (1, 8)].map(|(p, n)| tables.port_class(p, n)), [1, 0, 0, 0, 2]);
    assert_eq!([6, 1, 17].map(|protocol| tables.fragment_class(protocol)), [0, 2, 0]);
    let decide = |row, to: &str, number, fragment| tables.decide(row, to.parse().unwrap(), 6, number, fragment);
    assert_eq!(decide(0, "10.0.0.9", 443, false), 1);
    assert_eq!(decide(0, "10.0.0.9", 443, true), 0);
    assert_eq!((tables.word(2), crate::layout::outcome::gateway(tables.word(2))), (0x105, 1));
    assert_eq!([tables.profile(3, 0), tables.profile(0, 4), tables.outcome(9, 0), tables.outcome(0, 3)], [NOTHING; 4]);
    assert_eq!((tables.word(NOTHING), tables.generation()), (0, 5));
    assert_eq!(tables.sources_v4(), [(0, 0x0a00_0000, 0), (0x0a00_0001, 0x0a00_0001, 1), (0x0a00_0002, u32::MAX, 0)]);
}

/// A partition whose starts lie where `mask` has bits, thick in places.
fn partition(random: &mut Random, mask: u64, values: u32) -> Partition {
    let most = [1, 2, 5, 20, 300][random.below(5) as usize];
    let mut starts = vec![0u64];
    let mut at = random.next();
    for _ in 0..random.below(most + 1) {
        at = match random.below(4) {
            0 => random.next(),
            1 => at.wrapping_add(random.below(1 << 40)),
            2 => at.wrapping_add(1 << 32),
            _ => at.wrapping_add(random.below(1 << 20)),
        };
        starts.push(at & mask);
    }
    starts.sort_unstable();
    starts.dedup();
    starts.into_iter().map(|start| (start, random.below(values.into()) as u32)).collect()
}

fn naive(partition: &Partition, key: u64) -> u32 {
    partition.iter().take_while(|(start, _)| *start <= key).last().unwrap().1
}

const V4: u64 = 0xffff_ffff_0000_0000;

#[test]
fn trees_of_all_forms_agree_with_a_naive_oracle() {
    let mut random = random();
    let mut asked = 0u64;
    for case in 0..setting("EGRESS_CASES", 60) {
        let mut build = bare(case % 3 == 0);
        let random = &mut random;
        let (v4, mut v6) = (partition(random, V4, 4), partition(random, u64::MAX, 4));
        let low_tree = partition(random, u64::MAX, 4);
        // One whole /64 is decided by a low tree.
        let at = random.next() | 1;
        let behind = naive(&v6, at + 1);
        v6.retain(|(start, _)| *start != at && *start != at + 1);
        v6.extend([(at, low(4, 0)), (at + 1, behind)]);
        v6.sort_unstable();
        build.layout.destination_v4 = build.tree(32, &v4, (0, 0), random).0;
        build.layout.destination_v6 = build.tree(64, &v6, (0, 0), random).0;
        let low_start = build.tree(64, &low_tree, (0, 0), random).0;
        build.layout.destination_lows_line = build.words(&[low_start]);
        build.layout.destination_low_count = 1;
        let tables = Tables::new(build.finish()).unwrap_or_else(|error| panic!("case {case}: {error}"));
        for key in keys(&v4, random) {
            let address = Ipv4Addr::from_bits((key >> 32) as u32);
            assert_eq!(tables.destination(address.into()), naive(&v4, key & V4), "case {case}: {address}");
            asked += 1;
        }
        for upper in keys(&v6, random) {
            for lower in keys(&low_tree, random).into_iter().take(40) {
                let address = Ipv6Addr::from_bits(u128::from(upper) << 64 | u128::from(lower));
                let expected = if upper == at { naive(&low_tree, lower) } else { naive(&v6, upper) };
                assert_eq!(tables.destination(address.into()), expected, "case {case}: {address}");
                asked += 1;
            }
        }
        holds_together(&tables);
    }
    assert!(asked > 1000);
}

fn keys(partition: &Partition, random: &mut Random) -> Vec<u64> {
    let edges = partition.iter().flat_map(|(start, _)| [*start, start.wrapping_sub(1), start.wrapping_sub(1 << 32)]);
    edges.chain((0..20).map(|_| random.next())).collect()
}

/// What every checked table must hold: partitions without gaps whose values exist and are those of single walks.
fn holds_together(tables: &Tables) {
    let layout = tables.layout();
    let v4 = [(tables.destinations_v4(), layout.class_count, true), (tables.sources_v4(), layout.row_count, false)];
    for (ranges, count, destination) in v4 {
        let mut next = Some(0u32);
        for (first, last, value) in ranges {
            assert!(Some(first) == next && first <= last && value < count, "{first} to {last}: {value}");
            for address in [first, last, first + (last - first) / 2] {
                let address = Ipv4Addr::from_bits(address).into();
                assert_eq!(if destination { tables.destination(address) } else { tables.source(address) }, value);
            }
            next = last.checked_add(1);
        }
        assert_eq!(next, None);
    }
    let v6 = [(tables.destinations_v6(), layout.class_count, true), (tables.sources_v6(), layout.row_count, false)];
    for (ranges, count, destination) in v6 {
        let mut next = Some(0u128);
        for (first, last, value) in ranges {
            assert!(Some(first) == next && first <= last && value < count);
            for address in [first, last, first + (last - first) / 2] {
                let address = Ipv6Addr::from_bits(address).into();
                assert_eq!(if destination { tables.destination(address) } else { tables.source(address) }, value);
            }
            next = last.checked_add(1);
        }
        assert_eq!(next, None);
    }
    for (row, class) in [(0, 0), (layout.row_count - 1, layout.class_count - 1)] {
        for protocol in [0, 1, 6, 17, 255] {
            let outcome = tables.outcome(tables.profile(row, class), tables.port_class(protocol, 443));
            assert!(outcome < layout.outcome_count);
            assert!(tables.outcome(tables.profile(row, class), tables.fragment_class(protocol)) < layout.outcome_count);
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = small().finish();
    for length in 0..bytes.len() {
        assert!(Tables::new(bytes[..length].to_vec()).is_err(), "{length}");
    }
    assert!(matches!(Tables::new([bytes, vec![0; 64]].concat()), Err(TableError::Length { .. })));
}

#[test]
fn wrong_words_are_refused() {
    let good = small().finish();
    let most = u32::MAX;
    let mut refused = 0;
    let hostile = [
        ("magic", vec![0, MAGIC_BEFORE, MAGIC_TURNED]),
        ("lines", vec![0, 2, 4, most, (1 << 22) + 1]),
        ("wide", vec![2, most]),
        ("row_count", vec![0, 1 << 16, most]),
        ("class_count", vec![0, 33, 1 << 17, most]),
        ("profile_count", vec![0, 2, most]),
        ("port_class_count", vec![0, 2, most]),
        ("outcome_count", vec![0, 2, 1 << 15, most]),
        ("default_row", vec![3, most]),
        ("source_v4", vec![3, most, 1 << 29, 2 << 29, 3 << 29, 6 << 29, 6 << 29 | 1, 6 << 29 | 0x1fff_fffc]),
        ("source_v6", vec![3, 4 << 29 | 12, 5 << 29 | 12, 7 << 29]),
        ("source_low_count", vec![1, most]),
        ("destination_v6", vec![6, 1 << 29 | 13]),
        ("destination_lows_line", vec![0, 2, most]),
        ("destination_low_count", vec![0, 1 << 20, most]),
        ("protocols_line", vec![0, 1, most]),
        ("port_roots_line", vec![2, most]),
        ("port_root_count", vec![0, 2, most]),
        ("port_pages_line", vec![2, most]),
        ("port_page_count", vec![0, 2, most]),
        ("decisions_line", vec![0, most]),
        ("decisions_stride", vec![0, most]),
        ("decisions_paged", vec![0, 2, most]),
        ("actions_line", vec![2, most]),
        ("actions_stride", vec![0, most]),
        ("actions_paged", vec![1, 2, most]),
        ("outcomes_line", vec![0, most]),
        ("direct_line", vec![1, 3, most]),
        ("gateway_mask", vec![5, 0x00ff_00ff, most - 2]),
    ];
    for (name, values) in hostile {
        for value in values {
            let mut bytes = good.clone();
            set(&mut bytes, word(name), value);
            assert!(Tables::new(bytes).is_err(), "{name} = {value:#x}");
            refused += 1;
        }
    }
    assert!(refused > 60);
}

#[test]
fn names_say_which_outcome_holds() {
    let tables = Tables::new(named().finish()).unwrap();
    let id = crate::names::set_id(["api.example"]);
    let at = |number| (0, "10.1.2.3".parse().unwrap(), 6, number, false);
    assert_eq!([tables.decide_named(at(443), |_| false), tables.decide_named(at(443), |set| set == id)], [0, 1]);
    assert_eq!(tables.decide_named(at(80), |_| true), 0);
    assert_eq!(tables.by_name(3), Some(ByName { sets: vec![id], outcomes: vec![0, 1] }));
    assert_eq!((tables.by_name(0), tables.by_name(4)), (None, None));
}

/// Every word of the part, and those that say where it is.
#[test]
fn wrong_names_are_refused() {
    let good = named().finish();
    let layout = *Tables::new(good.clone()).unwrap().layout();
    let part = layout.names_line as usize * LINE / 4;
    let refused = [
        (word("names_line"), vec![0, 2, layout.names_line + 1, u32::MAX]),
        (word("names_count"), vec![0, 2, u32::MAX]),
        (part, vec![layout.names_line + 1]),
        (part + 3, vec![0, layout.names_line, layout.names_line + 2, u32::MAX]),
        // How many sets, and the outcomes.
        (part + 16, vec![0, 5, u32::MAX]),
        (part + 32, vec![3, 4, u32::MAX]),
        (part + 33, vec![3, 4, u32::MAX]),
        // Bytes that nobody reads.
        (part + 17, vec![1]),
        (part + 20, vec![1]),
        (part + 34, vec![1]),
    ];
    for (word, values) in refused {
        for value in values {
            let mut bytes = good.clone();
            set(&mut bytes, word, value);
            assert!(Tables::new(bytes).is_err(), "word {word} = {value:#x}");
        }
    }
    let mut bytes = good;
    set(&mut bytes, layout.outcomes_line as usize * LINE / 4, outcome::NAMED);
    assert!(Tables::new(bytes).is_err(), "an outcome says that it has names, and has none");
}

/// Small tables with the part `direct`, and where it begins.
fn with_direct() -> (Vec<u8>, usize) {
    let plain = Tables::new(small().finish()).unwrap();
    let (mut build, layout) = (small(), plain.layout());
    let line = |row, ports| {
        let cells = (0..layout.class_count).flat_map(|class| {
            let outcome = plain.outcome(plain.profile(row, class), ports);
            (outcome as u16).to_le_bytes()
        });
        let mut cells: Vec<u8> = cells.collect();
        cells.resize(LINE, 0);
        cells
    };
    let keys = (0..layout.row_count).flat_map(|row| (0..layout.port_class_count).map(move |ports| (row, ports)));
    let bytes: Vec<u8> = keys.flat_map(|(row, ports)| line(row, ports)).collect();
    build.layout.direct_line = build.add(&bytes);
    let start = build.layout.direct_line as usize * LINE;
    (build.finish(), start)
}

#[test]
fn what_is_direct_must_say_what_the_matrices_say() {
    let (good, start) = with_direct();
    let tables = Tables::new(good.clone()).unwrap();
    assert_eq!(tables.parts().iter().find(|part| part.name == "direct").unwrap().bytes, 9 * LINE as u64);
    let (ports, classes) = (tables.layout().port_class_count, tables.layout().class_count);
    for row in 0..tables.layout().row_count {
        for (port, class) in (0..ports).flat_map(|port| (0..classes).map(move |class| (port, class))) {
            let mut bytes = good.clone();
            bytes[start + (row * ports + port) as usize * LINE + class as usize * 2] ^= 1;
            assert_eq!(Tables::new(bytes).map(drop), Err(TableError::Direct { row, ports: port, class }));
        }
    }
    // Behind the last class nothing is read.
    let mut bytes = good.clone();
    bytes[start + classes as usize * 2] = 1;
    assert_eq!(Tables::new(bytes).map(drop), Err(TableError::Padding { at: start + classes as usize * 2 }));
    // The last line is missing.
    let mut bytes = good.clone();
    let lines = (good.len() / LINE) as u32 - 1;
    bytes.truncate(lines as usize * LINE);
    set(&mut bytes, word("lines"), lines);
    assert!(matches!(Tables::new(bytes), Err(TableError::Outside { part: "the part `direct`", .. })));
}

const MAGIC_BEFORE: u32 = u32::from_le_bytes(*b"EGT\x01");
const MAGIC_TURNED: u32 = u32::from_be_bytes(*b"EGT\x02");

/// What is said of tables with another tree of IPv4 or IPv6 destinations.
fn with_tree(v6: bool, make: impl FnOnce(&mut Builder) -> Kind) -> Result<Tables, TableError> {
    let mut build = bare(false);
    let low = build.words(&[0]);
    (build.layout.destination_lows_line, build.layout.destination_low_count) = (low, 1);
    let entry = crate::Entry::new(make(&mut build)).0;
    if v6 {
        build.layout.destination_v6 = entry;
    } else {
        build.layout.destination_v4 = entry;
    }
    Tables::new(build.finish())
}

fn refusal(result: Result<Tables, TableError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn blocks_that_lead_to_themselves_are_refused() {
    for v6 in [false, true] {
        let said = refusal(with_tree(v6, |build| {
            let own = build.bytes.len() as u32 / 16;
            Kind::Block(build.words(&[crate::Entry::new(Kind::Block(own)).0; 256]) * 4)
        }));
        assert!(said.contains("a block below the end of the key"), "{said}");
        let said = refusal(with_tree(v6, |build| {
            let own = build.bytes.len() as u32 / 16;
            Kind::Root(build.words(&vec![crate::Entry::new(Kind::Root(own)).0; 1 << 16]) * 4)
        }));
        assert!(said.contains("a root that is not the start"), "{said}");
    }
}

#[test]
fn shared_blocks_cost_nothing_but_may_not_describe_too_much() {
    let nested = |depth: u32| {
        with_tree(true, |build| {
            let leaves: Vec<u32> = (0..256).map(|place| place % 2).collect();
            let mut at = build.words(&leaves) * 4;
            for _ in 1..depth {
                at = build.words(&[crate::Entry::new(Kind::Block(at)).0; 256]) * 4;
            }
            Kind::Block(at)
        })
    };
    holds_together(&nested(2).unwrap());
    assert_eq!(nested(3).map(drop), Err(TableError::Ranges { tree: "the tree of IPv6 destinations" }));
    assert_eq!(nested(8).map(drop), Err(TableError::Ranges { tree: "the tree of IPv6 destinations" }));
    // A low tree for half of all addresses.
    assert_eq!(
        with_tree(true, |_| Kind::Leaf(low(4, 0))).map(drop),
        Err(TableError::Ranges { tree: "the tree of IPv6 destinations" })
    );
}

#[test]
fn wrong_nodes_are_refused() {
    let line = |starts: [u64; 6], values: [u16; 6]| {
        let starts = starts.iter().flat_map(|start| start.to_le_bytes());
        starts.chain(values.iter().flat_map(|value| value.to_le_bytes())).collect::<Vec<u8>>()
    };
    let said = |v6, starts: [u64; 6], values: [u16; 6]| {
        with_tree(v6, |build| Kind::Line(build.add(&line(starts, values)) * 4))
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(said(true, [0, 7, 9, 10, 10, 10], [0, 1, 4, 2, 2, 2]), Ok(()));
    let cases = [
        (true, [1, 7, 9, 9, 9, 9], [0, 1, 2, 2, 2, 2], "does not start where it should"),
        (true, [0, 7, 6, 9, 9, 9], [0, 1, 2, 2, 2, 2], "not in order"),
        (true, [0, 7, 9, 9, 9, 9], [0, 1, 2, 2, 3, 2], "not in order"),
        (true, [0, 7, 7, 9, 9, 9], [0, 1, 1, 2, 2, 2], "behind an unused place"),
        (true, [0, 7, 9, 9, 9, 9], [0, 1, 5, 5, 5, 5], "names 5, but there are only 4"),
        (false, [0, 7 << 32, 9, 9, 9, 9], [0, 1, 2, 2, 2, 2], "no address"),
        (false, [0, 7 << 32, 8 << 32, 8 << 32, 8 << 32, 8 << 32], [0, 1, 4, 4, 4, 4], "names 4, but there are only 4"),
    ];
    for (v6, starts, values, expected) in cases {
        let said = said(v6, starts, values).unwrap_err();
        assert!(said.contains(expected), "{said}, not {expected}");
    }
    let chunk = |words: [u32; 4]| {
        with_tree(false, |build| {
            let at = build.words(&words) * 4;
            let mut entries = vec![0u32; 1 << 16];
            entries[9] = crate::Entry::new(Kind::Chunk4(at)).0;
            Kind::Root(build.words(&entries) * 4)
        })
    };
    holds_together(&chunk([1, 5 << 16 | 2, 5 << 16 | 2, 5 << 16 | 2]).unwrap());
    for (words, expected) in [
        ([1 << 16, 5 << 16, 5 << 16, 5 << 16], "where it should"),
        ([0, 5 << 16 | 9, 0, 0], "order"),
        ([9; 4], "names 9"),
    ] {
        let said = refusal(chunk(words));
        assert!(said.contains(expected), "{said}, not {expected}");
    }
    assert!(refusal(with_tree(false, |_| Kind::Chunk4(12))).contains("sixteen bits left"));
    assert!(refusal(with_tree(true, |_| Kind::Chunk16(12))).contains("sixteen bits left"));
}

#[test]
fn bytes_that_nobody_reads_are_zero() {
    let good = small().finish();
    let mut found = 0;
    for at in 160..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        if good[at] == 0 && matches!(Tables::new(bytes), Err(TableError::Padding { at: said }) if said == at) {
            found += 1;
        }
    }
    assert!(found > 32 + 3 * 4, "{found}");
}

#[test]
fn random_bytes_never_panic() {
    let mut random = random();
    let good = [small().finish(), bare(true).finish()];
    let mut accepted = 0;
    for case in 0..setting("EGRESS_CASES", 20_000) {
        let mut bytes = good[(case % 2) as usize].clone();
        if case % 16 == 0 {
            let length = random.below(4096) as usize;
            bytes = (0..length).map(|_| random.next() as u8).collect();
        }
        for _ in 0..random.below(4) {
            let words = (bytes.len() / 4).max(1) as u64;
            let at = if random.below(2) == 0 { random.below(32) } else { random.below(words) };
            let value = match random.below(4) {
                0 => random.next() as u32,
                1 => random.below(8) as u32,
                2 => (random.below(7) << 29 | random.below(words / 4 + 2)) as u32,
                _ => random.below(words / 16 + 2) as u32,
            };
            if bytes.len() >= (at as usize + 1) * 4 {
                set(&mut bytes, at as usize, value);
            }
        }
        if let Ok(tables) = Tables::new(bytes) {
            accepted += 1;
            holds_together(&tables);
        }
    }
    assert!(accepted > 10, "{accepted}");
    assert_eq!(LINE, 64);
}
