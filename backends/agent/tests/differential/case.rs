//! One random program with its snapshot.
//!
//! In: a seed and a number. Out: a [`Case`]: programs of every shape that the target can say, some with many ports or
//! many prefixes (IPv6 below /64 among them), some compiled from the generated policies of a company; with and without
//! inventory and cluster; strangers denied or passed.

use egress_backends::ebpf::{Options, emit};
use egress_compiler::{Input, MemoryFiles, SourceText};
use egress_ir::address::from_bits;
use egress_ir::{
    AddressSet, DestinationSetId, GatewayAddress, GatewayId, Id, Inventory, PortSet, PortSetId, Prefix, Program,
};
use egress_snapshot::layout::WORDS;
use egress_snapshot::meta::Unknown;
use egress_snapshot::{Snapshot, file, gateway};
use egress_testkit::policies::{PolicyShape, generate, generate_inventory};
use egress_testkit::programs::{Presence, Shape, random_inventory, random_program};
use egress_testkit::seed::Rng;
use std::net::Ipv6Addr;

/// A program, who runs, and what the compiler's backend made of it.
#[derive(Debug)]
pub(crate) struct Case {
    /// For messages.
    pub(crate) name: String,
    pub(crate) program: Program,
    pub(crate) inventory: Option<Inventory>,
    pub(crate) snapshot: Snapshot,
}

impl Case {
    pub(crate) fn draw(seed: u64, number: u64) -> Self {
        let mut rng = Rng::new(seed, number);
        let (program, inventory) = if number % 16 == 15 {
            company(&mut rng)
        } else {
            let program = small(&mut rng, number);
            let inventory = random_inventory(&mut rng, &program);
            (program, inventory)
        };
        let inventory = (!number.is_multiple_of(3)).then_some(inventory);
        let unknown = if number.is_multiple_of(2) { Unknown::Deny } else { Unknown::Pass };
        // Each holds the numbers of all gateways that a program has.
        let gateway_mask = [gateway::MASK, 0b11, 0xe000_0000, u32::MAX][number as usize % 4];
        let options = Options { generation: number + 1, unknown, gateway_mask, ..Options::default() };
        let name = format!("seed {seed}, program {number}");
        let artifact = emit(&program, inventory.as_ref(), &options);
        let artifact = artifact.unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        let snapshot = file::read(&artifact.bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, program, inventory, snapshot }
    }
}

fn small(rng: &mut Rng, number: u64) -> Program {
    let cluster = if number % 4 == 3 { Presence::Never } else { Presence::Always };
    let everything = Shape { cluster, hosts: number % 4 >= 2, host_denies: false, ..Shape::everything() };
    let shape = match number % 6 {
        5 => Shape { blocks: 6..=16, rules: 2..=8, ..everything },
        _ => everything,
    };
    let mut program = random_program(rng, &shape);
    add_addresses(&mut program);
    if number % 5 == 2 {
        add_ports(rng, &mut program);
    }
    if number % 5 == 3 {
        add_prefixes(rng, &mut program);
    }
    program
}

/// Gives every gateway an address of IPv6, so that no flow is refused.
fn add_addresses(program: &mut Program) {
    let ids: Vec<GatewayId> = program.gateways.ids().collect();
    for (id, last) in ids.into_iter().zip(1..) {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0xfffe, 0, 0, 0, 0, last).into();
        let gateway = program.gateways.get_mut(id).into_iter();
        gateway.for_each(|gateway| gateway.addresses.push(GatewayAddress { address, managed: false }));
    }
}

/// Makes about half of the port sets have many ranges.
fn add_ports(rng: &mut Rng, program: &mut Program) {
    let ids: Vec<PortSetId> = program.port_sets.ids().collect();
    for id in ids {
        let count = if rng.chance(50) { rng.between(10, 80) } else { 0 };
        let ranges: Vec<PortSet> = (0..count)
            .map(|_| {
                let protocol = rng.choose(&[6u8, 17, 132, 1, 58]).copied().unwrap_or(6);
                let first = rng.bits() as u16;
                let length = (rng.bits() as u16) >> rng.between(0, 15);
                PortSet::numbers(protocol, first, first.saturating_add(length))
            })
            .collect();
        if let Some(set) = program.port_sets.get_mut(id) {
            *set = ranges.iter().fold(set.clone(), |set, range| set.union(range));
        }
    }
}

/// Makes about half of the destination sets have many prefixes, close to each other.
fn add_prefixes(rng: &mut Rng, program: &mut Program) {
    let ids: Vec<DestinationSetId> = program.destination_sets.ids().collect();
    let bases = [rng.bits() as u32 & 0xffff_0000, 0x0a14_0000];
    let wide_bases = [0x2001_0db8_0001u128 << 80, rng.between_wide(0x2000 << 112, 0x3fff << 112) >> 64 << 64];
    for id in ids.into_iter().filter(|id| id.index() % 2 == 0) {
        let prefixes: Vec<Prefix> = (0..rng.between(30, 200))
            .map(|_| {
                if rng.chance(60) {
                    let base = bases[rng.below(2)] | rng.bits() as u16 as u32;
                    Prefix::containing(from_bits(false, base.into()), rng.between(18, 32) as u8)
                } else {
                    let spread = rng.bits() as u128 >> rng.between(0, 60);
                    let spread = if rng.chance(50) { spread << 16 } else { spread };
                    let base = wide_bases[rng.below(2)] | spread;
                    Prefix::containing(from_bits(true, base), rng.between(50, 128) as u8)
                }
            })
            .collect();
        if let Some(set) = program.destination_sets.get_mut(id) {
            set.addresses = set.addresses.union(&AddressSet::from_prefixes(prefixes));
        }
    }
}

/// A program as the compiler lowers it from text, with hundreds of rules.
fn company(rng: &mut Rng) -> (Program, Inventory) {
    let shape = PolicyShape { sources: 24, pods: 60, address_workloads: true, ..PolicyShape::of(60 + rng.below(540)) };
    let seed = rng.bits();
    let bytes = generate(seed, &shape).into_bytes();
    let input = Input { sources: vec![SourceText { path: "policy.egress".into(), bytes }], root: ".".into() };
    let compiled = egress_compiler::compile(input, &MemoryFiles::default(), &egress_compiler::Options::default());
    let program = compiled.program.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let inventory = generate_inventory(seed, &shape);
    let inventory = egress_compiler::inventory::read(inventory.as_bytes());
    (program, inventory.unwrap_or_else(|_| panic!("an inventory that cannot be read")))
}

/// The tables without the part `direct`, so that the matrices are read.
pub(crate) fn without_direct(tables: &[u8]) -> Vec<u8> {
    let mut tables = tables.to_vec();
    let at = WORDS.iter().position(|word| *word == "direct_line").unwrap() * 4;
    tables[at..at + 4].fill(0);
    tables
}
