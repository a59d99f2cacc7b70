//! Proofs as benches run them: from nothing, on one thread.
//!
//! In: a program, its claims or an artifact. Out: whether all was proved; a bench of anything else would mean nothing.

use super::support::Outcome;
use egress_backends::{cilium, nftables};
use egress_ir::{AddressSet, Claims, Inventory, Plane, Program, Rule};
use egress_verifier::solver::z3::Z3;
use egress_verifier::solver::{Formula, Solution, Solver, Variable, widened};
use egress_verifier::{Answer, Cache, Limits, Prover, against_source, claims};

/// Proves what the checker says of all rules.
pub(crate) fn findings(program: &Program, claims: &[Claims]) -> Outcome<()> {
    let mut prover = prover();
    claims.iter().try_for_each(|claims| proved(&claims::confirm(program, claims, &mut prover)?))
}

/// Proves an nftables artifact equal to its source, from its bytes.
pub(crate) fn nftables(program: &Program, inventory: &Inventory, bytes: &[u8]) -> Outcome<()> {
    let ruleset = nftables::decode(bytes)?;
    equal(program, &nftables::plane::plane(&ruleset, program, Some(inventory))?)
}

/// Proves a Cilium artifact equal to its source, from its bytes.
pub(crate) fn cilium(program: &Program, inventory: &Inventory, bytes: &[u8]) -> Outcome<()> {
    let model = cilium::decode(bytes)?;
    equal(program, &cilium::plane::plane(&model, program, Some(inventory))?)
}

/// One query for each pair of rules: whether some packet has an address and a port of both. Workloads are left out,
/// which makes the queries easier than they would have to be.
pub(crate) fn each_pair(program: &Program) -> Outcome<usize> {
    let mut solver = Z3::new(&Limits::default());
    let formulas: Vec<Formula> = program.rules.values().map(|rule| formula(program, rule)).collect();
    let mut meeting = 0;
    for (place, one) in formulas.iter().enumerate() {
        for two in formulas.iter().skip(place + 1) {
            match solver.solve(&Formula::All(vec![one.clone(), two.clone()])) {
                Solution::Satisfiable(_) => meeting += 1,
                Solution::Unsatisfiable => {}
                Solution::Unknown(reason) => return Err(reason.into()),
            }
        }
    }
    Ok(meeting)
}

fn formula(program: &Program, rule: &Rule) -> Formula {
    let AddressSet { v4, v6 } = &program.destination_sets.at(rule.destinations).addresses;
    let (v4, v6) = (widened(v4.ranges()), widened(v6.ranges()));
    let ports = widened(program.port_sets.at(rule.ports).line_ranges());
    let number = |number, bits| Variable { number, bits };
    let of_v4 = Formula::All(vec![Formula::Flag(0), Formula::Within(number(0, 32), v4)]);
    let of_v6 = Formula::All(vec![Formula::Flag(0).negated(), Formula::Within(number(1, 128), v6)]);
    Formula::All(vec![Formula::Any(vec![of_v4, of_v6]), Formula::Within(number(2, 24), ports)])
}

fn equal(program: &Program, plane: &dyn Plane) -> Outcome<()> {
    proved(&against_source(program, plane, &mut prover())?.answer)
}

fn prover() -> Prover {
    Prover::new(Limits::default(), Cache::default())
}

fn proved<W: std::fmt::Debug>(answer: &Answer<W>) -> Outcome<()> {
    if answer.is_proved() { Ok(()) } else { Err(format!("not proved: {answer:?}").into()) }
}
