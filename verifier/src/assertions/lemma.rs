//! What is to be proved of an assertion at a place, for every port and all names.
//!
//! In: a place with its rules. Out: the lemma that no flow of the assertion is decided as it does not want it; or that
//! none would be if any one of some rules were gone. Written from what the language says of a flow, not from the spots.

use super::meaning::Demand;
use super::region::{Names, Part};
use super::spots::{Spoken, Stop};
use crate::lists::Lemma;
use crate::solver::{Formula, Variable};
use egress_ir::plane::NamesId;
use egress_ir::{Action, GatewayId, PortSet, RuleId};
use std::sync::Arc;

/// Which rule is gone, counted from 1 among those that may go; no other lemma has a number of this name.
const GONE: Variable = Variable { number: u32::MAX, bits: 32 };

/// A rule as far as it can matter.
struct Word<'s> {
    action: Action,
    gateway: Option<GatewayId>,
    ports: &'s PortSet,
    /// When it matches.
    matches: Formula,
}

/// The statement is kept at the place; nothing where that needs no proof, because no rule could break it.
pub(crate) fn kept(stop: &Stop<'_, '_>, spoken: &Spoken<'_, '_>) -> Option<Lemma> {
    lemma(stop, spoken, &|_| false).map(|(negation, _)| Lemma::never(negation))
}

/// The statement is kept at the place without any one of the rules that `may_go` accepts; nothing if none is there.
pub(crate) fn kept_without(
    stop: &Stop<'_, '_>,
    spoken: &Spoken<'_, '_>,
    may_go: &dyn Fn(RuleId) -> bool,
) -> Option<Lemma> {
    let (negation, going) = lemma(stop, spoken, may_go)?;
    let one: Arc<[(u128, u128)]> = Arc::from([(1, going)]);
    (going > 0).then(|| Lemma::never(Formula::All(vec![Formula::Within(GONE, one), negation])))
}

/// What breaks the statement, and how many rules may go.
fn lemma(stop: &Stop<'_, '_>, spoken: &Spoken<'_, '_>, may_go: &dyn Fn(RuleId) -> bool) -> Option<(Formula, u128)> {
    let mut going = 0;
    let mut words: Vec<Word<'_>> = Vec::with_capacity(stop.rules.len());
    for &(id, guard) in &stop.rules {
        let program = stop.field.program;
        let rule = program.rules.at(id);
        let ports = program.port_sets.at(rule.ports);
        if !spoken.parts.iter().any(|part| ports.overlaps(&part.ports)) {
            continue;
        }
        let mut matches = vec![stop.field.line(rule.ports)];
        matches.extend(guard.map(|guard| named(stop, guard)));
        if may_go(id) {
            going += 1;
            matches.push(Formula::Within(GONE, Arc::from([(going, going)])).negated());
        }
        words.push(Word { action: rule.action, gateway: rule.gateway, ports, matches: Formula::All(matches) });
    }
    let parts = spoken.parts.iter().filter_map(|part| {
        let cases = cases(&words, part, stop.group.governed, spoken.statement.demand);
        let hosts = spoken.statement.hosts.map(|hosts| named(stop, hosts));
        let names = match (part.names, hosts) {
            (Names::Any, _) => None,
            (Names::Within, Some(hosts)) => Some(hosts),
            (Names::Without, Some(hosts)) => Some(hosts.negated()),
            (Names::Within, None) => Some(Formula::Constant(false)),
            (Names::Without, None) => None,
        };
        let scope = [part.line.clone()].into_iter().chain(names);
        (!cases.is_empty()).then(|| Formula::All(scope.chain([Formula::Any(cases)]).collect()))
    });
    let parts: Vec<Formula> = parts.collect();
    (!parts.is_empty()).then_some((Formula::Any(parts), going))
}

/// Some name satisfies the guard: one flag for each class of names.
fn named(stop: &Stop<'_, '_>, guard: NamesId) -> Formula {
    Formula::Any(stop.field.vocabulary.name_set_at(guard).iter().map(|&class| Formula::Flag(class)).collect())
}

/// The ways in which a flow of the part is decided as the demand does not want it.
fn cases(words: &[Word<'_>], part: &Part, governed: bool, demand: Demand) -> Vec<Formula> {
    let here: Vec<&Word<'_>> = words.iter().filter(|word| word.ports.overlaps(&part.ports)).collect();
    let of = |action: Action| here.iter().copied().filter(move |word| word.action == action);
    match demand {
        Demand::Passes => stopped(of(Action::Deny).collect(), of(Action::Allow).collect(), governed),
        Demand::Dropped => passing(of(Action::Deny).collect(), of(Action::Allow).collect(), governed, None),
        Demand::Through(gateway) => {
            passing(of(Action::Deny).collect(), of(Action::Allow).collect(), governed, Some(gateway))
        }
    }
}

/// Some deny matches; or a policy governs, and nothing allows or two allows name different gateways.
fn stopped(denies: Vec<&Word<'_>>, allows: Vec<&Word<'_>>, governed: bool) -> Vec<Formula> {
    let mut cases: Vec<Formula> = denies.iter().map(|deny| deny.matches.clone()).collect();
    if governed {
        cases.push(Formula::All(allows.iter().map(|allow| allow.matches.clone().negated()).collect()));
        let routed: Vec<&&Word<'_>> = allows.iter().filter(|allow| allow.gateway.is_some()).collect();
        for (place, one) in routed.iter().enumerate() {
            let parted =
                routed.iter().skip(place + 1).filter(|two| two.gateway != one.gateway && one.ports.overlaps(two.ports));
            cases.extend(parted.map(|two| Formula::All(vec![one.matches.clone(), two.matches.clone()])));
        }
    }
    cases
}

/// No deny matches; and no policy governs, or something allows through one gateway, which is not the one that may be.
///
/// Asked allow by allow: one through a gateway, and no other gateway is named; or one through none, and none is named.
/// Only rules that share a port with the allow can stop it.
fn passing(denies: Vec<&Word<'_>>, allows: Vec<&Word<'_>>, governed: bool, may: Option<GatewayId>) -> Vec<Formula> {
    if !governed {
        return vec![Formula::All(denies.iter().map(|deny| deny.matches.clone().negated()).collect())];
    }
    let wrong = allows.iter().filter(|allow| may.is_none() || allow.gateway != may);
    let case = |allow: &&Word<'_>| {
        let others = allows.iter().filter(|other| other.gateway.is_some() && other.gateway != allow.gateway);
        let stopping = denies.iter().chain(others).filter(|other| other.ports.overlaps(allow.ports));
        let not = stopping.map(|other| other.matches.clone().negated());
        Formula::All([allow.matches.clone()].into_iter().chain(not).collect())
    };
    wrong.map(case).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Limits;
    use crate::assertions::Population;
    use crate::assertions::field::Field;
    use crate::assertions::spots::Walk;
    use crate::prover::Prover;
    use crate::solver::z3::Z3;
    use crate::solver::{Solution, Solver};
    use egress_ir::{Assertion, Claim, PortSet, Program};
    use egress_testkit::programs::{Shape, random_program};
    use egress_testkit::seed::{Rng, cases, seed};
    use std::collections::BTreeSet;

    /// A small program with an assertion of each form about the sets of some rule.
    fn random(rng: &mut Rng, hosts: bool) -> Program {
        let shape = Shape { blocks: 1..=3, rules: 1..=3, gateways: 2, hosts, ..Shape::everything() };
        let mut program = random_program(rng, &shape);
        let rules: Vec<RuleId> = program.rules.ids().collect();
        let any = program.intern_ports(PortSet::any());
        let gateway = program.gateways.ids().next().map(Claim::OnlyVia);
        let claims = [Claim::CannotReach, Claim::CanReach, Claim::OnlyCanReach, Claim::CanReachOnly];
        for claim in claims.into_iter().chain(gateway) {
            let Some(rule) = rng.choose(&rules).map(|&rule| *program.rules.at(rule)) else { continue };
            let ports = if rng.chance(50) { any } else { rule.ports };
            let workloads = program.blocks.at(rule.block).workloads;
            let (destinations, origin) = (rule.destinations, rule.origin);
            program.assertions.push(Assertion { claim, workloads, destinations, ports, control: None, origin });
        }
        program
    }

    fn holds(z3: &mut Z3, lemma: Option<Lemma>) -> bool {
        lemma.is_none_or(|lemma| z3.solve(&lemma.negation()) == Solution::Unsatisfiable)
    }

    #[test]
    fn lemmas_hold_exactly_where_no_spot_says_otherwise() {
        let mut z3 = Z3::new(&Limits::default());
        let (mut kept_so, mut broken_so, mut pinned_so, mut free_so) = (0, 0, 0, 0);
        for case in 0..cases(60) {
            let program = random(&mut Rng::new(seed(), case), case.is_multiple_of(2));
            let field = Field::new(&program, Population::Possible(None), false, &mut Prover::default()).unwrap();
            let nothing = BTreeSet::new();
            let visit = |stop: &Stop<'_, '_>| {
                for spoken in &stop.spoken {
                    let (mut wrong, mut pins) = (false, BTreeSet::new());
                    stop.wrong(spoken, |_, _| wrong = true).unwrap();
                    assert_eq!(holds(&mut z3, kept(stop, spoken)), !wrong, "case {case}");
                    *(if wrong { &mut broken_so } else { &mut kept_so }) += 1;
                    if wrong {
                        continue;
                    }
                    stop.spots(spoken, |spot| pins.extend(spot.here.pins(spoken.statement.demand))).unwrap();
                    for &(rule, _) in &stop.rules {
                        let lemma = kept_without(stop, spoken, &|other| other == rule);
                        assert_eq!(holds(&mut z3, lemma), !pins.contains(&rule), "case {case}");
                        *(if pins.contains(&rule) { &mut pinned_so } else { &mut free_so }) += 1;
                    }
                    assert_eq!(holds(&mut z3, kept_without(stop, spoken, &|_| true)), pins.is_empty(), "case {case}");
                }
                Ok::<(), crate::compare::Fault>(())
            };
            Walk::new(&field, &nothing).run(&|_| true, false, visit).unwrap();
        }
        let least = [kept_so, broken_so, pinned_so, free_so].into_iter().min();
        assert!(least >= Some(20) || cases(60) < 60, "{kept_so} {broken_so} {pinned_so} {free_so}");
    }
}
