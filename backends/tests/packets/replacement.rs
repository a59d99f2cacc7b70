//! One generation after another under traffic: nothing that both allow is lost, nothing that both deny leaks.
//!
//! Floods run while `nft -f` loads one emitted file over another. Arrivals are counted by the outside's own rules, so
//! that a difference of one is a difference.

use crate::draft::{Draft, addresses, app, source, tcp, udp};
use crate::observed::{counters, rules_by_chain, sets};
use egress_backends::nftables::{Hook, Options};
use egress_ir::{Action, AddressSet, PortSet, Prefix, WorkloadSet, protocol};
use egress_testkit::lab::{FlowSpec, Lab, NODE_V4, NODE_V6, Topology, still_talks};
use egress_testkit::seed::{Rng, seed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

/// Packets a second that a flood must reach; it asks for more.
const FLOOR: f64 = 20_000.0;
const RATE: u32 = 45_000;
/// A machine that is busy with other things gets this many tries to send fast enough.
const TRIES: usize = 3;

/// The pod, the address and the node whose flows flood: each allowed one has a denied one beside it.
const POD_V4: &str = "10.42.0.7";
const POD_V6: &str = "fd00:10:42::7";
const ADDRESS_V4: &str = "10.9.0.5";
const ADDRESS_V6: &str = "fd00:10:9::5";

/// A generation: which of three policies, and about how many intervals.
///
/// All variants decide the flooded flows alike, but by other rules, other policies, and other objects of the kernel.
/// The last one knows no pods, only addresses.
fn generation(variant: u64, intervals: u64) -> String {
    let mut rng = Rng::new(seed(), variant << 32 | intervals);
    let mut draft = if variant == 2 { Draft::on_host() } else { Draft::in_cluster() };
    if variant < 2 {
        draft.pod("flood", &[POD_V4, POD_V6]);
        for number in 0..20 {
            draft.pod(&format!("app-{}", (number + variant) % 4), &[&format!("10.42.1.{number}")]);
        }
    }
    let flooding = WorkloadSet::Union(vec![
        app("flood"),
        source("10.42.0.0/24"),
        source("fd00:10:42::/64"),
        source("10.9.0.0/24"),
        source("fd00:10:9::/64"),
        source("192.0.2.1/32"),
        source("2001:db8:feed::1/128"),
    ]);
    let names = ["app-0", "app-1", "app-2", "app-3"];
    let share = intervals / 5;
    // The policies change places, and with them their numbers in the file.
    for name in names.iter().skip(usize::from(variant == 1) * 2) {
        let block = draft.policy(name, app(name));
        clutter(&mut rng, &mut draft, block, share);
    }
    let flood = draft.policy("flood", flooding);
    clutter(&mut rng, &mut draft, flood, share);
    if variant == 0 {
        let several =
            [1111, 1112, 1113, 1114, 1115, 53].iter().fold(PortSet::empty(), |set, port| set.union(&udp(*port)));
        draft.allow(flood, &["20.0.0.0/24", "2001:db8:20::/64"], several.union(&tcp(443)));
    } else {
        let range = PortSet::numbers(protocol::UDP, 1000, 2000).union(&tcp(443));
        draft.allow(flood, &["20.0.0.1/32", "20.0.0.64/26", "2001:db8:20::1/128"], range);
        for name in names.iter().take(2) {
            let block = draft.policy(name, app(name));
            clutter(&mut rng, &mut draft, block, share);
        }
    }
    // What floods in vain would pass, if a deny that is looked up were missed.
    draft.deny(flood, &["20.0.0.2/31", "2001:db8:20::2/127"], PortSet::any());
    draft.allow(flood, &["0.0.0.0/0", "::/0"], PortSet::numbers(protocol::UDP, 2222, 2299));
    let everyone = draft.guardrail("list", WorkloadSet::All);
    let listed = random_addresses(&mut rng, 100);
    draft.rule(everyone, Action::Deny, listed, PortSet::any());
    let hooks = vec![Hook::Prerouting, Hook::Output];
    draft.file(&Options { hooks, generation: variant, ..Options::default() })
}

/// Fills a policy with rules about other destinations.
fn clutter(rng: &mut Rng, draft: &mut Draft, block: egress_ir::BlockId, intervals: u64) {
    let sets = intervals.div_ceil(50);
    for _ in 0..sets {
        let to = random_addresses(rng, intervals / sets.max(1));
        let first = u16::try_from(rng.between(1, 60_000)).unwrap();
        let ports = if rng.chance(50) {
            PortSet::numbers(protocol::TCP, first, first + 100)
        } else {
            tcp(first).union(&tcp(443)).union(&udp(first))
        };
        draft.rule(block, if rng.chance(90) { Action::Allow } else { Action::Deny }, to, ports);
    }
}

/// Prefixes that none of the flooded destinations lies in.
fn random_addresses(rng: &mut Rng, count: u64) -> AddressSet {
    let prefixes = (0..count).map(|_| {
        let length = u8::try_from(rng.between(22, 32)).unwrap();
        if rng.chance(80) {
            let bits = u32::try_from(rng.between(0x2000_0000, 0xdfff_ffff)).unwrap();
            Prefix::containing(Ipv4Addr::from_bits(bits).into(), length)
        } else {
            let bits = rng.between_wide(0x2600 << 112, 0x2fff << 112);
            Prefix::containing(Ipv6Addr::from_bits(bits).into(), length * 2)
        }
    });
    AddressSet::from_prefixes(prefixes.collect::<Vec<_>>()).difference(&addresses(&["192.0.0.0/16"]))
}

/// An allowed and a denied flow of each source; no two of them share a destination's port.
fn flows_of(sources: &[IpAddr]) -> Vec<FlowSpec> {
    let mut flows = Vec::new();
    for (number, &from) in (0..).zip(sources) {
        let to = if from.is_ipv4() { ["20.0.0.1", "20.0.0.2"] } else { ["2001:db8:20::1", "2001:db8:20::2"] };
        for (to, port) in to.into_iter().zip([1111, 2222]) {
            flows.push(FlowSpec { from, to: SocketAddr::new(address(to), port + number) });
        }
    }
    flows
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Floods while `work` runs, until it was fast enough; no try may lose or leak a packet.
fn flood(lab: &Lab, flows: &[FlowSpec], work: impl Fn() + Send + Sync) {
    let mut rates = Vec::new();
    for _ in 0..TRIES {
        let report = lab.flood_while(flows, RATE, &work).unwrap();
        let (mut sent, mut lost, mut leaked) = (0, 0, 0);
        for (index, count) in report.counts.iter().enumerate() {
            sent += count.sent;
            if index % 2 == 0 {
                lost += count.sent - count.received;
            } else {
                leaked += count.received;
            }
        }
        println!("{sent} packets at {:.0} a second: {lost} lost, {leaked} leaked", report.rate);
        assert_eq!((lost, leaked), (0, 0), "lost and leaked: {report:?}");
        rates.push(report.rate);
        if report.rate >= FLOOR {
            return;
        }
    }
    panic!("never reached {FLOOR} packets a second: {rates:?}");
}

#[test]
fn two_hundred_replacements_lose_and_leak_nothing() {
    let Some(lab) = open("two_hundred_replacements_lose_and_leak_nothing") else { return };
    let files = [generation(0, 2_600), generation(1, 2_600)];
    for file in &files {
        let rules = file.lines().filter(|line| line.contains("daddr") && !line.contains("daddr <")).count();
        let intervals = rules + file.matches(" : jump b").count();
        assert!(intervals >= 2_000, "{intervals} intervals only");
    }
    lab.node().nft(&files[0]).unwrap();
    // A connection that both allow lives through all of them.
    let service = SocketAddr::new(address("20.0.0.1"), 443);
    let stream = lab.connect(address(POD_V4), service, Duration::from_secs(1)).unwrap().unwrap();
    let stream = Mutex::new(stream);
    flood(&lab, &flows_of(&[address(POD_V4)]), || {
        for number in 0..200 {
            lab.node().nft(&files[(number + 1) % 2]).unwrap();
            assert!(still_talks(&mut stream.lock().unwrap()), "replacement {number}");
        }
    });
    println!("{} packets were overtaken and judged again", counters(lab.node())["judged_again"]);
}

fn open(name: &str) -> Option<Lab> {
    Lab::for_test(name, &Topology::default()).unwrap()
}

#[test]
fn replacements_spare_every_kind_of_source_and_both_families() {
    let Some(lab) = open("replacements_spare_every_kind_of_source_and_both_families") else { return };
    let files = [generation(0, 300), generation(1, 300)];
    lab.node().nft(&files[0]).unwrap();
    let sources = [address(POD_V6), address(ADDRESS_V4), address(ADDRESS_V6), NODE_V4, NODE_V6];
    flood(&lab, &flows_of(&sources), || {
        for number in 0..100 {
            lab.node().nft(&files[(number + 1) % 2]).unwrap();
        }
    });
}

#[test]
fn generations_of_any_size_follow_each_other() {
    let Some(lab) = open("generations_of_any_size_follow_each_other") else { return };
    let (small, large, medium) = (generation(0, 20), generation(1, 4_000), generation(0, 1_000));
    let without_pods = generation(2, 500);
    let flows = flows_of(&[address(POD_V4)]);
    // Before the first load everything passes; while it happens nothing allowed is lost.
    let report = lab.flood_while(&flows, RATE, || lab.node().nft(&small).unwrap()).unwrap();
    assert_eq!(report.counts[0].sent, report.counts[0].received, "{report:?}");
    let order = [&large, &small, &large, &medium, &medium, &without_pods, &small, &small, &without_pods, &large];
    flood(&lab, &flows, || {
        for file in order.iter().cycle().take(30) {
            lab.node().nft(file).unwrap();
        }
    });
    // Nothing allowed is lost either when the table goes.
    let report = lab.flood_while(&flows, RATE, || lab.node().nft("delete table inet egressc\n").unwrap()).unwrap();
    assert_eq!(report.counts[0].sent, report.counts[0].received, "{report:?}");
}

#[test]
fn the_kernel_holds_no_more_than_the_largest_generations() {
    let Some(lab) = open("the_kernel_holds_no_more_than_the_largest_generations") else { return };
    let files = [generation(0, 400), generation(1, 100), generation(2, 50), generation(1, 700)];
    let round = || {
        for file in &files {
            lab.node().nft(file).unwrap();
        }
        (rules_by_chain(lab.node()), sets(lab.node()))
    };
    let first = round();
    for _ in 0..10 {
        round();
    }
    let (chains, sets) = round();
    // Chains of an earlier generation may stay, but empty.
    assert!(first.0.len() > 50);
    assert_eq!((chains, sets), first);
}
