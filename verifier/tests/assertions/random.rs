//! Random assertions about random programs, near what the rules say so that many hold.

use egress_ir::*;
use egress_testkit::programs::{Shape, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use egress_verifier::Prover;
use egress_verifier::assertions::{Population, prove};

/// A small program with a few assertions.
pub(crate) fn random(rng: &mut Rng, case: u64) -> Program {
    let shape = Shape {
        blocks: 1..=3,
        rules: 0..=3,
        gateways: 2,
        audit: case.is_multiple_of(5),
        hosts: case.is_multiple_of(3),
        ..Shape::everything()
    };
    let mut program = random_program(rng, &shape);
    for _ in 0..rng.between(2, 6) {
        let assertion = assertion(rng, &mut program);
        program.assertions.push(assertion);
    }
    program
}

fn assertion(rng: &mut Rng, program: &mut Program) -> Assertion {
    let gateways: Vec<GatewayId> = program.gateways.ids().collect();
    let claim = match rng.below(5) {
        0 => Claim::CannotReach,
        1 => Claim::CanReach,
        2 => Claim::OnlyCanReach,
        3 => Claim::CanReachOnly,
        _ => rng.choose(&gateways).map_or(Claim::CannotReach, |&gateway| Claim::OnlyVia(gateway)),
    };
    let rules: Vec<RuleId> = program.rules.ids().collect();
    let near = rng.choose(&rules).map(|&rule| *program.rules.at(rule));
    let workloads = workloads(rng, program, near.as_ref());
    let destinations = destinations(rng, program, near.as_ref());
    let ports: Vec<PortSetId> = program.port_sets.ids().collect();
    let ports = match (rng.below(4), near) {
        (0 | 1, Some(rule)) => rule.ports,
        (2, _) => rng.choose(&ports).copied().unwrap_or_else(|| program.intern_ports(PortSet::any())),
        _ => program.intern_ports(PortSet::any()),
    };
    let origin = program.origins.entries.push(Origin::at("assert", SourceId::from_index(0), 0, 1, 1));
    Assertion { claim, workloads, destinations, ports, control: None, origin }
}

fn workloads(rng: &mut Rng, program: &mut Program, near: Option<&Rule>) -> WorkloadSetId {
    let ids: Vec<WorkloadSetId> = program.workload_sets.ids().collect();
    let any = |rng: &mut Rng, program: &mut Program| match rng.choose(&ids) {
        Some(&id) => id,
        None => program.intern_workloads(WorkloadSet::All),
    };
    match (rng.below(6), near) {
        (0..=2, Some(rule)) => program.blocks.at(rule.block).workloads,
        (3, _) => program.intern_workloads(WorkloadSet::All),
        (4, _) => {
            let (one, two) = (any(rng, program), any(rng, program));
            let sets = [one, two].map(|id| Box::new(program.workload_sets.at(id).clone()));
            let [one, two] = sets;
            program.intern_workloads(WorkloadSet::Except(one, two))
        }
        _ => any(rng, program),
    }
}

fn destinations(rng: &mut Rng, program: &mut Program, near: Option<&Rule>) -> DestinationSetId {
    let ids: Vec<DestinationSetId> = program.destination_sets.ids().collect();
    let any = |rng: &mut Rng, program: &Program| {
        rng.choose(&ids).map(|&id| program.destination_sets.at(id).clone()).unwrap_or_default()
    };
    let own = near.map(|rule| program.destination_sets.at(rule.destinations).clone()).unwrap_or_default();
    let set = match rng.below(5) {
        0 | 1 => own,
        2 => any(rng, program),
        3 => {
            let other = any(rng, program);
            DestinationSet {
                addresses: own.addresses.union(&other.addresses),
                hosts: own.hosts.union(&other.hosts).cloned().collect(),
            }
        }
        _ => DestinationSet {
            addresses: own.addresses.difference(&any(rng, program).addresses),
            hosts: Default::default(),
        },
    };
    program.intern_destinations(set)
}

/// What is remembered of one program is never believed of another.
#[test]
fn one_prover_for_all_programs_says_what_a_fresh_one_says() {
    let mut lived = Prover::default();
    for case in 0..cases(200) {
        let program = random(&mut Rng::new(seed() ^ 0x0ed4, case), case);
        let fresh = prove(&program, Population::Possible(None), &mut Prover::default()).expect("no fault");
        lived.renew(Stop::default());
        let known = prove(&program, Population::Possible(None), &mut lived).expect("no fault");
        assert_eq!(known, fresh, "seed {} case {case}", seed());
    }
}
