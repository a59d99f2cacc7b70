//! A policy as large as a company's, with fifty assertions.

use super::program;
use egress_ir::*;
use egress_testkit::policies::{PolicyShape, generate};
use egress_testkit::seed::Rng;
use egress_verifier::assertions::{Conclusion, Population, prove};
use egress_verifier::coverage::{Coverage, coverage};
use egress_verifier::{Answer, Prover};
use std::collections::BTreeSet;
use std::time::Instant;

/// How many rules; `EGRESS_RULES` asks for another number.
fn rules() -> usize {
    std::env::var("EGRESS_RULES").ok().and_then(|text| text.parse().ok()).unwrap_or(2000)
}

#[test]
fn a_large_policy_is_proved_and_covered() {
    let mut program = program(&generate(1, &PolicyShape { hosts: true, gateways: 4, ..PolicyShape::of(rules()) }));
    let mut rng = Rng::new(1, 0);
    while program.assertions.len() < 50 {
        let assertion = near_a_rule(&mut rng, &mut program);
        program.assertions.push(assertion);
    }
    let mut prover = Prover::default();
    let start = Instant::now();
    let found = coverage(&program, Population::Possible(None), &mut prover).expect("no fault");
    let (time, effort) = (start.elapsed(), prover.effort());
    let of = |accepts: &dyn Fn(&Conclusion) -> bool| {
        found.verdicts.iter().filter(|verdict| accepts(&verdict.conclusion)).count()
    };
    let holding = of(&Conclusion::holds);
    let failing = of(&|conclusion| matches!(conclusion, Conclusion::Answer(Answer::Refuted(_))));
    let pinned = found.unpinned.values().filter(|answer| matches!(answer, Answer::Refuted(_))).count();
    println!(
        "{} rules, {} senders, {} groups: {time:?} with {effort:?}; {holding} hold, {failing} fail, {pinned} pinned",
        program.rules.len(),
        found.senders.len(),
        found.covered.len()
    );
    let mut prover = Prover::default();
    let start = Instant::now();
    prove(&program, Population::Possible(None), &mut prover).expect("no fault");
    println!("assertions alone: {:?} with {:?}", start.elapsed(), prover.effort());
    let mut kept = Arena::default();
    for verdict in found.verdicts.iter().filter(|verdict| verdict.conclusion.holds()) {
        kept.push(program.assertions.at(verdict.assertion).clone());
    }
    let keeping = Program { assertions: kept, ..program.clone() };
    let mut prover = Prover::default();
    let start = Instant::now();
    let again = coverage(&keeping, Population::Possible(None), &mut prover).expect("no fault");
    println!("with those that hold: {:?} with {:?}", start.elapsed(), prover.effort());
    assert!(again.verdicts.iter().all(|verdict| verdict.conclusion.holds()));
    let pins = |coverage: &Coverage| -> BTreeSet<RuleId> {
        let pinned = coverage.unpinned.iter().filter(|(_, answer)| matches!(answer, Answer::Refuted(_)));
        pinned.map(|(rule, _)| *rule).collect()
    };
    assert_eq!(pins(&again), pins(&found));
    assert!(holding >= 10 && pinned >= 10 && pinned < program.rules.len());
    assert!(found.unpinned.values().all(|answer| !matches!(answer, Answer::Unknown(_))));
}

/// An assertion that a team would write about its own rules: most of them hold.
fn near_a_rule(rng: &mut Rng, program: &mut Program) -> Assertion {
    let rules: Vec<RuleId> = program.rules.ids().collect();
    let rule = *program.rules.at(*rng.choose(&rules).expect("rules"));
    let block = program.blocks.at(rule.block).clone();
    let own: AddressSet = program.destination_sets.at(rule.destinations).addresses.clone();
    let (claim, destinations) = match (rng.below(4), rule.action) {
        (0, _) => {
            let sets = block.rules.iter().map(|&rule| program.destination_sets.at(program.rules.at(rule).destinations));
            let all = sets.fold(DestinationSet::default(), |all, set| DestinationSet {
                addresses: all.addresses.union(&set.addresses),
                hosts: &all.hosts | &set.hosts,
            });
            (Claim::CanReachOnly, all)
        }
        (1, Action::Allow) => (Claim::OnlyCanReach, DestinationSet { addresses: own, hosts: BTreeSet::new() }),
        (_, Action::Allow) => (Claim::CanReach, DestinationSet { addresses: own, hosts: BTreeSet::new() }),
        (_, Action::Deny) => (Claim::CannotReach, DestinationSet { addresses: own, hosts: BTreeSet::new() }),
    };
    let destinations = program.intern_destinations(destinations);
    let ports = if claim == Claim::CanReachOnly { program.intern_ports(PortSet::any()) } else { rule.ports };
    Assertion { claim, workloads: block.workloads, destinations, ports, control: None, origin: rule.origin }
}
