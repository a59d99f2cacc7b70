//! Coverage: shares, and rules that no assertion depends on, held against deleting them.

use super::brute::Flows;
use super::program;
use super::random::random;
use egress_ir::*;
use egress_testkit::seed::{Rng, cases, seed};
use egress_verifier::assertions::{Conclusion, Population, prove};
use egress_verifier::coverage::{Share, coverage};
use egress_verifier::{Answer, Prover};
use std::collections::BTreeSet;

/// Ports that a packet of one family can have.
const PORTS: u128 = 4 * 65536 + 251;

#[test]
fn shares_say_who_decides_how_much() {
    let program = program(
        "cluster prod { pods 10.0.0.0/8 }
         policy p { for pods(app=a) allow 192.0.2.0/24 on 443/tcp allow 192.0.2.0/25 on 440-449/tcp deny 198.51.100.0/24
           allow 2001:db8::/60 on 1-2/udp allow host x.example }",
    );
    let found = coverage(&program, Population::Possible(None), &mut Prover::default()).expect("no fault");
    let names: Vec<&str> = program.rules.ids().map(|rule| program.rule_name(rule)).collect();
    assert_eq!(names, ["p#1", "p#2", "p#3", "p#4", "p#5"]);
    let governed = found.covered.iter().find(|covered| covered.governed).expect("a governed group");
    let shares: Vec<Share> =
        program.rules.ids().map(|rule| governed.rules.get(&rule).copied().unwrap_or_default()).collect();
    let v4 = |v4| Share { v4, v6: 0 };
    assert_eq!(shares, [v4(256), v4(128 * 10), v4(256 * PORTS), Share { v4: 0, v6: 16 * 2 }, Share::default()]);
    assert_eq!(governed.allowed, Share { v4: 256 + 128 * 9, v6: 32 });
    assert_eq!(governed.denied, v4(256 * PORTS));
    assert_eq!(governed.by_name.len(), 1);
    let whole = governed.allowed.v4 + governed.denied.v4 + governed.default.v4;
    assert_eq!(whole, ((1 << 32) - (1 << 24)) * PORTS);
    assert_eq!((governed.ungoverned, governed.conflicting), Default::default());
    let others = found.covered.iter().find(|covered| !covered.governed).expect("everybody else");
    assert_eq!(others.ungoverned.v4, whole);
    assert_eq!(others.ungoverned.v6, (1 << 64) * PORTS);
}

#[test]
fn pods_that_nobody_governs_are_named() {
    let program = program("policy p { for pods(app=a) }");
    let pod = |name: &str, app: &str| RunningPod {
        identity: Pod {
            namespace: "shop".into(),
            name: Some(name.into()),
            labels: [("app".to_owned(), app.to_owned())].into(),
            ..Pod::default()
        },
        addresses: Vec::new(),
        node: None,
        host_network: false,
    };
    let inventory =
        Inventory { pods: vec![pod("one", "a"), pod("two", "b"), pod("three", "c")], ..Inventory::default() };
    let found = coverage(&program, Population::Possible(Some(&inventory)), &mut Prover::default()).expect("no fault");
    let names: Vec<String> = found.ungoverned_pods().filter_map(|pod| pod.name.clone()).collect();
    assert_eq!(names, ["two", "three"]);
}

#[test]
fn a_rule_is_pinned_by_what_would_fail_without_it() {
    let program = program(
        "workloads a = pods(app=a)
         guardrail g { for all deny 169.254.169.254 deny 198.51.100.7 }
         policy p { for a allow 192.0.2.0/24 on 443/tcp allow 192.0.2.7 on 443/tcp allow 203.0.113.0/24, 169.254.0.0/16 }
         policy lockdown { for all }
         assert all cannot reach 169.254.169.254
         assert a can reach 192.0.2.0/24 on 443/tcp",
    );
    let found = coverage(&program, Population::Possible(None), &mut Prover::default()).expect("no fault");
    assert!(found.verdicts.iter().all(|verdict| verdict.conclusion.holds()));
    let unpinned: Vec<&str> = found
        .unpinned
        .iter()
        .filter(|(_, answer)| answer.is_proved())
        .map(|(rule, _)| program.rule_name(*rule))
        .collect();
    assert_eq!(unpinned, ["g#2", "p#2", "p#3"]);
    let pin = found.unpinned.values().find_map(|answer| match answer {
        Answer::Refuted(pin) => Some(pin.witness.to_string()),
        _ => None,
    });
    assert_eq!(pin.as_deref(), Some("other/{app=a} → 169.254.169.254:443/tcp"));
}

#[test]
fn unpinned_rules_can_be_deleted_and_others_cannot() {
    let (mut pinned, mut unpinned, mut deleted) = (0, 0, 0);
    let (seed, cases) = (seed(), cases(250));
    for case in 0..cases {
        let program = random(&mut Rng::new(seed, case), case);
        let place = format!("seed {seed} case {case}: {program:#?}");
        let found = coverage(&program, Population::Possible(None), &mut Prover::default()).expect("no fault");
        let holding: Vec<AssertionId> = found
            .verdicts
            .iter()
            .filter(|verdict| verdict.conclusion.holds())
            .map(|verdict| verdict.assertion)
            .collect();
        let flows = Flows::of(&program);
        for (&rule, answer) in &found.unpinned {
            let broken = |id: &AssertionId| flows.keeps(&program, *id, &BTreeSet::from([rule])) == Some(false);
            let expected = !holding.iter().any(broken);
            assert_eq!(answer.is_proved(), expected, "{} in {place}", program.rule_name(rule));
            assert!(!matches!(answer, Answer::Unknown(_)), "{place}");
            if case.is_multiple_of(5) {
                assert_eq!(holds_without(&program, rule, &holding), expected, "{} in {place}", program.rule_name(rule));
                deleted += 1;
            }
            *(if expected { &mut unpinned } else { &mut pinned }) += 1;
        }
        let enforced =
            program.blocks.values().filter(|block| !block.audit).map(|block| block.rules.len()).sum::<usize>();
        assert_eq!(found.unpinned.len(), enforced);
    }
    assert!(cases < 200 || pinned >= 20 && unpinned >= 20 && deleted >= 20, "{pinned} {unpinned} {deleted}");
}

/// Deletes the rule and proves again.
fn holds_without(program: &Program, rule: RuleId, holding: &[AssertionId]) -> bool {
    let mut without = program.clone();
    let block = program.rules.at(rule).block;
    without.blocks.get_mut(block).expect("a block").rules.retain(|other| *other != rule);
    let report = prove(&without, Population::Possible(None), &mut Prover::default()).expect("no fault");
    let of = |id: &AssertionId| &report.verdicts[id.index()].conclusion;
    holding.iter().map(of).all(Conclusion::holds)
}

#[test]
fn shares_are_those_of_every_flow() {
    let mut compared = 0;
    for case in 0..cases(60) {
        let mut rng = Rng::new(seed(), case);
        let program = random(&mut rng, case);
        let found = coverage(&program, Population::Possible(None), &mut Prover::default()).expect("no fault");
        let outside = AddressSet::full().difference(&program.cluster.inside);
        let v4: u128 = outside.v4.ranges().iter().map(|&(first, last)| u128::from(last - first) + 1).sum();
        for covered in &found.covered {
            let sends = covered.senders.iter().any(|&sender| found.senders[sender].v4);
            let parts = [covered.allowed, covered.denied, covered.default, covered.conflicting, covered.ungoverned];
            let sum: u128 = parts.iter().map(|share| share.v4).sum();
            assert_eq!(sum, if sends { v4 * PORTS } else { 0 });
            // What one rule decides by address alone is what is decided with it and no other, and so at most its set.
            for (rule, share) in &covered.rules {
                let set = program.destination_sets.at(program.rules.at(*rule).destinations);
                let most: u128 =
                    set.addresses.v4.ranges().iter().map(|&(first, last)| u128::from(last - first) + 1).sum();
                assert!(share.v4 <= most * PORTS);
                compared += 1;
            }
        }
    }
    assert!(compared > 50 || cases(60) < 60);
}
