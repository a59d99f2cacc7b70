//! Refutations in the real kernel: a mutant is loaded into a network namespace, the witness is sent, and it fares as the
//! refutation says, while under the artifact without a fault it does not.
//!
//! Skipped loudly where no network namespaces can be made; with `EGRESS_REQUIRE_LAB=1` that is a failure.

use crate::judged::Ground;
use crate::nftables::{blocks, files};
use crate::tally::some;
use egress_backends::nftables::decode;
use egress_ir::{Port, protocol};
use egress_testkit::lab::{Lab, Probe, ProbeKind, Range, Topology};
use egress_testkit::mutants;
use egress_testkit::seed::{Rng, seed};
use egress_verifier::Block;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many refutations are sent, and the most of one file.
const SENT: usize = 14;
const OF_A_FILE: usize = 2;

#[test]
fn witnesses_fare_in_the_kernel_as_refutations_say() {
    let name = "witnesses_fare_in_the_kernel_as_refutations_say";
    let Some(lab) = Lab::for_test(name, &topology()).unwrap() else { return };
    let seed = seed();
    let mut kinds: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    let mut sent = 0;
    for (case, program, inventory, text) in files(seed).take(60) {
        let ground = Ground::new(&program, &inventory);
        let mut of_file = 0;
        if sent == SENT {
            break;
        }
        for mutant in some(&mut Rng::new(seed ^ 0x9ac, case), mutants::nftables(&text), 30) {
            let Ok(ruleset) = decode(mutant.changed.as_bytes()) else { continue };
            let Some(found) = blocks(&ground, &ruleset, &mutant.what) else { continue };
            let probe = found.iter().find_map(|block| Some((block, probe(&ground, block)?)));
            let Some((block, probe)) = probe.filter(|_| of_file < OF_A_FILE && sent < SENT) else { continue };
            let context = format!("seed {seed} case {case}, {}: {}", mutant.kind, block.witness);
            assert!(arrives(&lab, "", probe), "{context}: it does not arrive without rules either");
            assert_eq!(arrives(&lab, &text, probe), block.left.passes(), "{context}: the artifact\n{text}");
            // What nft itself does not take cannot be loaded by anyone.
            if lab.node().nft(&format!("{CLEAR}{}", mutant.changed)).is_err() {
                continue;
            }
            let arrived = arrives(&lab, &mutant.changed, probe);
            assert_eq!(arrived, block.right.passes(), "{context}: the mutant, {}\n{}", mutant.what, mutant.changed);
            let counts = kinds.entry(mutant.kind).or_default();
            *if arrived { &mut counts.0 } else { &mut counts.1 } += 1;
            of_file += 1;
            sent += 1;
        }
    }
    println!("{sent} witnesses sent; wrongly passed and wrongly dropped by kind: {kinds:?}");
    let (passed, dropped) = kinds.values().fold((0, 0), |sum, kind| (sum.0 + kind.0, sum.1 + kind.1));
    assert!(sent == SENT && passed > 0 && dropped > 0, "{sent} witnesses, {kinds:?}");
}

/// Ends every earlier table.
const CLEAR: &str = "flush ruleset\n";

/// Whether the probe arrives with this file loaded and nothing else.
fn arrives(lab: &Lab, file: &str, probe: Probe) -> bool {
    lab.node().nft(&format!("{CLEAR}{file}")).unwrap_or_else(|error| panic!("{error}\n{file}"));
    lab.probe_all(&[probe]).unwrap()[0].arrived()
}

/// One pod that holds the addresses that random inventories and programs give to sources.
fn topology() -> Topology {
    let range = |(text, length): &(&str, u8)| Range { network: text.parse().unwrap(), length: *length };
    let v4 = [("10.42.0.0", 16), ("100.64.0.0", 10), ("10.8.0.0", 15)];
    let v6 = [("fd00:42::", 48), ("fd00:8::", 31)];
    Topology { pods: vec![v4.iter().chain(&v6).map(range).collect()] }
}

/// The witness as a packet, if the lab can send and deliver it.
fn probe(ground: &Ground<'_>, block: &Block) -> Option<Probe> {
    let to = block.witness.destination.address;
    let from = ground.source(&block.witness.workload, to.is_ipv6())?;
    let kind = kind(block.witness.port)?;
    let holds = |address: IpAddr| topology().pods[0].iter().any(|range| range.contains(address));
    let reachable = match to {
        IpAddr::V4(to) => is_ordinary_v4(to),
        IpAddr::V6(to) => is_ordinary_v6(to),
    };
    (holds(from) && !holds(to) && reachable).then_some(Probe { from, to, kind })
}

/// TCP, UDP and SCTP: of these every packet is a connection of its own.
fn kind(port: Port) -> Option<ProbeKind> {
    match port.protocol() {
        protocol::TCP => Some(ProbeKind::Tcp(port.number())),
        protocol::UDP => Some(ProbeKind::Udp(port.number())),
        protocol::SCTP => Some(ProbeKind::Sctp(port.number())),
        _ => None,
    }
}

fn is_ordinary_v4(to: Ipv4Addr) -> bool {
    let [a, b, c, _] = to.octets();
    let on_links = matches!((a, b, c), (169, 254, 0 | 1) | (192, 0, 2));
    !on_links && !matches!(a, 0 | 127 | 224..=239) && !to.is_broadcast()
}

fn is_ordinary_v6(to: Ipv6Addr) -> bool {
    let on_links = matches!(to.segments(), [0x2001, 0xdb8, 0xfeed, 0, ..] | [0xfd00, 0xfeed, ..]);
    let special = to.is_unspecified() || to.is_loopback() || to.is_multicast() || to.is_unicast_link_local();
    !on_links && !special && to.to_ipv4_mapped().is_none()
}
