//! Random prefixes, and policies over them.
//!
//! In: random bits. Out: prefixes of public addresses, and a hand-made policy that gives each prefix one of sixty classes.

use crate::tables::{Model, Ranges};
use egress_testkit::seed::Rng;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A prefix: address and length.
pub(crate) type Prefix = (u32, u32);

const CLASSES: u32 = 60;

/// So many different prefixes, most of them a /24, in order.
pub(crate) fn draw(rng: &mut Rng, count: usize) -> Vec<Prefix> {
    let mut all: BTreeMap<Prefix, ()> = BTreeMap::new();
    while all.len() < count {
        let length = [32, 32, 28, 24, 24, 24, 24, 22, 20, 16][rng.between(0, 9) as usize];
        // Public addresses, more or less.
        let address = rng.between(0x0b00_0000, 0xdfff_ffff) as u32 & (u32::MAX << (32 - length));
        all.insert((address, length), ());
    }
    all.into_keys().collect()
}

/// Ranges of classes: the longest prefix says which.
fn ranges(prefixes: &[Prefix]) -> Ranges {
    let known: std::collections::HashMap<Prefix, u32> =
        prefixes.iter().enumerate().map(|(place, prefix)| (*prefix, 1 + place as u32 % (CLASSES - 1))).collect();
    let mut starts: Vec<u64> = vec![0];
    for (address, length) in prefixes {
        starts.extend([u64::from(*address), u64::from(*address) + (1 << (32 - length))]);
    }
    starts.retain(|start| *start <= u64::from(u32::MAX));
    starts.sort_unstable();
    starts.dedup();
    let class = |address: u32| {
        let longest = (1..=32).rev().find_map(|length| known.get(&(address & (u32::MAX << (32 - length)), length)));
        longest.copied().unwrap_or(0)
    };
    let mut ranges: Ranges = starts.iter().map(|start| (u128::from(*start), class(*start as u32))).collect();
    ranges.dedup_by_key(|(_, class)| *class);
    ranges
}

/// A policy in which the longest prefix says the class, and everything passes.
pub(crate) fn model(rng: &mut Rng, prefixes: &[Prefix]) -> Model {
    let mut below = |count: u32| rng.between(0, u64::from(count) - 1) as u32;
    let ports: Vec<(u32, u32)> = vec![(0, 0), (53, 1), (54, 0), (80, 2), (81, 0), (443, 3), (444, 0)];
    Model {
        wide: false,
        paged: false,
        generation: 1,
        default_row: 0,
        sources: [vec![(0, 0)], vec![(0, 0)]],
        destinations: [ranges(prefixes), vec![(0, 0)]],
        ports: BTreeMap::from([(6, (0, ports.clone())), (17, (0, ports))]),
        decisions: (0..32).map(|_| (0..CLASSES).map(|_| below(16)).collect()).collect(),
        actions: (0..16).map(|_| (0..4).map(|_| below(4)).collect()).collect(),
        // What passes is what a data path spends its time on; denied packets make records besides.
        outcomes: vec![1; 4],
    }
}

/// As policies write it.
pub(crate) fn written((address, length): Prefix) -> String {
    format!("{}/{length}", Ipv4Addr::from(address))
}

/// Some address of a prefix.
pub(crate) fn inside(rng: &mut Rng, (address, length): Prefix) -> u32 {
    address | (u64::from(rng.bits() as u32) & ((1 << (32 - length)) - 1)) as u32
}
