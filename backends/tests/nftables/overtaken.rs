//! Packets that a reload overtakes: maps of the old generation are empty from some look-up on, all at once.
//!
//! Whatever the old rules then decide must be what they decided before, or the packet must be judged again.

use crate::common::{packet_of, program_of, settings};
use egress_backends::nftables::model::{Rule, Statement, Verdict};
use egress_backends::nftables::{Hook, Options, Packet, Ruleset, decode, emit};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::programs::random_inventory;
use egress_testkit::seed::{Rng, cases, seed};

#[test]
fn a_packet_that_is_overtaken_is_judged_again_or_as_before() {
    let (seed, cases) = (seed(), cases(300));
    let (mut checked, mut again, mut changed) = (0_u64, 0_u64, 0_u64);
    for case in 0..cases {
        let mut rng = Rng::new(seed, 70_000 + case);
        let setting = settings(case);
        let program = program_of(&mut rng, setting);
        let inventory = random_inventory(&mut rng, &program);
        let options = Options { hooks: vec![Hook::Prerouting], ..Options::default() };
        let Ok(artifact) = emit(&program, Some(&inventory), &options) else { continue };
        let ruleset = decode(&artifact.bytes).unwrap();
        for _ in 0..20 {
            let flow = biased_flow(&mut rng, &program, Sources::Inventory(&inventory));
            let Some(packet) = packet_of(&flow, &inventory) else { continue };
            let before = ruleset.judge(&packet);
            let asked = asked(&ruleset, &packet);
            for answered in 0..asked.len() {
                let overtaken = emptied(&ruleset, &asked[answered..]).judge(&packet);
                let is_again = overtaken.counters.iter().any(|counter| counter == "judged_again");
                let text = || String::from_utf8_lossy(&artifact.bytes).into_owned();
                assert!(
                    is_again || overtaken.passes == before.passes,
                    "seed {seed} case {case}: {flow} after {answered} of {asked:?}\n{}",
                    text()
                );
                checked += 1;
                again += u64::from(is_again);
                changed +=
                    u64::from(without_doubt(&ruleset, &asked[answered..]).judge(&packet).passes != before.passes);
            }
        }
    }
    println!("{checked} overtaken packets, {again} judged again; {changed} would have met another verdict");
    assert!(checked > cases && again > cases / 3 && changed > cases / 10);
}

/// The maps that a packet from a pod may ask, in order; nothing for other senders.
fn asked(ruleset: &Ruleset, packet: &Packet) -> Vec<String> {
    let (name, bits) = match packet.source {
        std::net::IpAddr::V4(address) => ("pods4", u128::from(address.to_bits())),
        std::net::IpAddr::V6(address) => ("pods6", address.to_bits()),
    };
    let pods = ruleset.maps.get(name).map_or(&[][..], |map| &map.elements);
    let verdict = pods.iter().find(|element| element.start == bits).map(|element| &element.verdict);
    let Some(Verdict::Jump(chain)) = verdict else { return Vec::new() };
    let map = |rule: &Rule| match rule.statements.last() {
        Some(Statement::VerdictMap { map, .. }) => Some(map.clone()),
        _ => None,
    };
    [name.to_owned()].into_iter().chain(ruleset.chains[chain].rules.iter().filter_map(map)).collect()
}

/// The rules as they stand, with these maps and all that are asked after them empty.
fn emptied(ruleset: &Ruleset, maps: &[String]) -> Ruleset {
    let mut ruleset = ruleset.clone();
    for name in maps.iter().map(String::as_str).chain(["live_generation"]) {
        if let Some(map) = ruleset.maps.get_mut(name) {
            map.elements.clear();
        }
    }
    ruleset
}

/// The same if nothing asked whether the generation is the current one.
fn without_doubt(ruleset: &Ruleset, maps: &[String]) -> Ruleset {
    let mut ruleset = emptied(ruleset, maps);
    if let Some(live) = ruleset.chains.get_mut("live") {
        live.rules.clear();
    }
    ruleset
}
