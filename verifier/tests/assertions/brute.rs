//! Every flow that a small program and its assertions can tell apart, decided by `eval`.
//!
//! What an assertion says is written down here once more, from the page about the language.

use super::random::random;
use egress_ir::classes::{name_classes, possible_sources};
use egress_ir::*;
use egress_testkit::seed::{Rng, cases, seed};
use egress_verifier::assertions::{Conclusion, Fix, Population, not_public, prove};
use egress_verifier::{Answer, Prover};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Flows by what the program and the assertions say of them: one of each kind.
pub(crate) struct Flows {
    pub(crate) workloads: Vec<Workload>,
    /// By workload, the assertions that speak about it, and the rules that match.
    pub(crate) kinds: BTreeMap<(usize, Vec<AssertionId>, Vec<RuleId>), Flow>,
    /// Flows without names that break an assertion, or are spoken about and do not.
    unnamed: Vec<(AssertionId, usize, Flow, bool)>,
}

impl Flows {
    pub(crate) fn of(program: &Program) -> Self {
        let workloads = workloads(program);
        let (addresses, names, ports) = (addresses(program), names(program), ports(program));
        let mut flows = Self { workloads: workloads.clone(), kinds: BTreeMap::new(), unnamed: Vec::new() };
        for (number, workload) in workloads.iter().enumerate() {
            let speaking = Speaking::about(program, workload);
            for (&address, names) in
                addresses.iter().flat_map(|address| names.iter().map(move |names| (address, names)))
            {
                for &port in &ports {
                    let destination = Destination { address, names: names.clone() };
                    let flow = Flow { workload: workload.clone(), destination, port };
                    if flow.is_well_formed() && !program.cluster.contains(address) {
                        flows.note(program, number, flow, &speaking);
                    }
                }
            }
        }
        flows
    }

    fn note(&mut self, program: &Program, number: usize, flow: Flow, speaking: &Speaking<'_>) {
        let about: Vec<AssertionId> =
            program.assertions.iter().filter(|(_, it)| is_about(program, it, &flow)).map(|(id, _)| id).collect();
        if about.is_empty() {
            return;
        }
        let matching = speaking.matching(&flow);
        if flow.destination.names.is_empty() {
            let decision = speaking.decide_by(&flow, &matching).verdict;
            for &id in &about {
                let broken = !is_kept(program.assertions.at(id).claim, &decision);
                self.unnamed.push((id, number, flow.clone(), broken));
            }
        }
        self.kinds.entry((number, about, matching)).or_insert(flow);
    }

    /// Whether an assertion is kept by all flows as if some rules were not there; nothing if no flow is its.
    pub(crate) fn keeps(&self, program: &Program, id: AssertionId, removed: &BTreeSet<RuleId>) -> Option<bool> {
        let mut seen = None;
        for ((number, about, matching), flow) in &self.kinds {
            if about.contains(&id) {
                let speaking = Speaking::about(program, &self.workloads[*number]);
                let left: Vec<RuleId> = matching.iter().copied().filter(|rule| !removed.contains(rule)).collect();
                let verdict = speaking.decide_by(flow, &left).verdict;
                seen = Some(seen.unwrap_or(true) && is_kept(program.assertions.at(id).claim, &verdict));
            }
        }
        seen
    }
}

/// Whether the assertion speaks about a flow to the outside.
fn is_about(program: &Program, assertion: &Assertion, flow: &Flow) -> bool {
    let from = program.workload_sets.at(assertion.workloads).contains(&flow.workload);
    let set = program.destination_sets.at(assertion.destinations);
    let at = set.addresses.contains(flow.destination.address);
    let named = flow.destination.names.iter().any(|name| set.hosts.iter().any(|host| host.matches(name)));
    let on = program.port_sets.at(assertion.ports).contains(flow.port);
    match assertion.claim {
        Claim::OnlyCanReach => !from && on && (at || named),
        Claim::CanReachOnly => from && !(on && (at || named)),
        Claim::CanReach => from && on && (at || named && !not_public().contains(flow.destination.address)),
        Claim::CannotReach | Claim::OnlyVia(_) => from && on && (at || named),
    }
}

fn is_kept(claim: Claim, verdict: &Verdict) -> bool {
    match claim {
        Claim::CanReach => verdict.passes(),
        Claim::CannotReach | Claim::OnlyCanReach | Claim::CanReachOnly => !verdict.passes(),
        Claim::OnlyVia(gateway) => !verdict.passes() || *verdict == Verdict::Allowed(Some(gateway)),
    }
}

fn sets(program: &Program) -> BTreeSet<WorkloadSetId> {
    let blocks = program.blocks.values().map(|block| block.workloads);
    blocks.chain(program.assertions.values().map(|it| it.workloads)).collect()
}

fn workloads(program: &Program) -> Vec<Workload> {
    let classes = possible_sources(program, &sets(program), 100_000).expect("few classes");
    let of = |class: &egress_ir::classes::SourceClass| {
        let v4 = class.v4.map(|address| Workload::Address(address.into()));
        let v6 = class.v6.map(|address| Workload::Address(address.into()));
        [class.pod.clone().map(Workload::Pod), v4, v6].into_iter().flatten().collect::<Vec<_>>()
    };
    classes.iter().flat_map(of).collect()
}

fn names(program: &Program) -> BTreeSet<BTreeSet<String>> {
    let patterns: BTreeSet<&HostPattern> = program.destination_sets.values().flat_map(|set| &set.hosts).collect();
    let single: Vec<String> = name_classes(&patterns.into_iter().collect::<Vec<_>>()).into_values().collect();
    let mut names: BTreeSet<BTreeSet<String>> = [BTreeSet::new(), single.iter().cloned().collect()].into();
    for (place, one) in single.iter().enumerate() {
        for (second, two) in single.iter().enumerate().skip(place) {
            names.insert([one.clone(), two.clone()].into());
            names.extend(
                single.iter().skip(second).map(|three| BTreeSet::from([one.clone(), two.clone(), three.clone()])),
            );
        }
    }
    names
}

fn addresses(program: &Program) -> BTreeSet<IpAddr> {
    let hosts = program.assertions.values().any(|it| !program.destination_sets.at(it.destinations).hosts.is_empty());
    let sets = program.destination_sets.values().map(|set| &set.addresses).chain([&program.cluster.inside]);
    let (mut v4, mut v6) = (BTreeSet::from([0_u32]), BTreeSet::from([0_u128]));
    for set in sets.chain(hosts.then(not_public)) {
        v4.extend(set.v4.ranges().iter().flat_map(|&(first, last)| [Some(first), last.checked_add(1)]).flatten());
        v6.extend(set.v6.ranges().iter().flat_map(|&(first, last)| [Some(first), last.checked_add(1)]).flatten());
    }
    let v4 = v4.into_iter().map(|bits| std::net::Ipv4Addr::from_bits(bits).into());
    v4.chain(v6.into_iter().map(|bits| std::net::Ipv6Addr::from_bits(bits).into())).collect()
}

fn ports(program: &Program) -> Vec<Port> {
    let mut places = BTreeSet::from([0_u32]);
    for set in program.port_sets.values() {
        for &(first, last) in set.line_ranges() {
            places.extend([first, last + 1, ((first >> 16) + 1) << 16, ((last >> 16) + 1) << 16]);
        }
    }
    places.extend([1, 2, 6, 17, 58, 59, 132].map(|protocol| protocol << 16));
    places.into_iter().filter_map(Port::from_line).collect()
}

/// What was checked, so that an empty run fails.
#[derive(Debug, Default)]
struct Seen {
    proved: u32,
    vacuous: u32,
    fixed: u32,
    fixed_by_many: u32,
    hopeless: u32,
    unnamed: u32,
}

#[test]
fn verdicts_blocks_and_fixes_are_those_of_brute_force() {
    let mut seen = Seen::default();
    let (seed, cases) = (seed(), cases(250));
    for case in 0..cases {
        let mut rng = Rng::new(seed, case);
        let program = random(&mut rng, case);
        let flows = Flows::of(&program);
        let report = prove(&program, Population::Possible(None), &mut Prover::default()).expect("no fault");
        for verdict in &report.verdicts {
            let id = verdict.assertion;
            let place = format!("seed {seed} case {case}: {:?} {program:#?}", program.assertions.at(id));
            let kept = flows.keeps(&program, id, &BTreeSet::new());
            match &verdict.conclusion {
                Conclusion::Vacuous(_) => {
                    assert!(kept.is_none() || is_empty(&program, id, &flows), "{place}: {kept:?}");
                    seen.vacuous += 1;
                }
                Conclusion::Answer(Answer::Proved) => {
                    assert_eq!(kept, Some(true), "{place}");
                    seen.proved += 1;
                }
                Conclusion::Answer(Answer::Refuted(breach)) => {
                    assert_eq!(kept, Some(false), "{place}");
                    check_fix(&program, &flows, id, &breach.fix, &mut seen, &place);
                    check_blocks(&program, &flows, id, (&report.senders, &breach.blocks), &mut seen, &place);
                }
                Conclusion::Answer(Answer::Unknown(reason)) => panic!("{place}: {reason}"),
            }
        }
    }
    if cases >= 200 {
        let least = [seen.proved, seen.vacuous, seen.fixed, seen.fixed_by_many, seen.hopeless, seen.unnamed];
        assert!(least.iter().all(|&count| count >= 5), "{seen:?}");
    }
}

/// Whether one of an assertion's own sets is empty, whatever it speaks about.
fn is_empty(program: &Program, id: AssertionId, flows: &Flows) -> bool {
    let assertion = program.assertions.at(id);
    let from = program.workload_sets.at(assertion.workloads);
    let to = program.destination_sets.at(assertion.destinations);
    let nowhere = to.hosts.is_empty() && to.addresses.is_subset(&program.cluster.inside);
    let ports = program.port_sets.at(assertion.ports);
    let portless =
        ports.per_protocol().all(|(protocol, first, _)| first > 0 && ![1, 6, 17, 58, 132].contains(&protocol));
    !flows.workloads.iter().any(|workload| from.contains(workload)) || nowhere || portless
}

/// Tries every subset of the rules.
fn check_fix(program: &Program, flows: &Flows, id: AssertionId, fix: &Fix, seen: &mut Seen, place: &str) {
    let rules: Vec<RuleId> = program.rules.ids().collect();
    let subsets = (0..1_u32 << rules.len()).map(|bits| {
        let taken = rules.iter().enumerate().filter(|(place, _)| bits >> place & 1 == 1);
        taken.map(|(_, rule)| *rule).collect::<BTreeSet<RuleId>>()
    });
    let helping = subsets.filter(|removed| flows.keeps(program, id, removed) == Some(true));
    let least = helping.map(|removed| removed.len()).min();
    match fix {
        Fix::Remove(removed) => {
            assert_eq!(least, Some(removed.len()), "{place}: {removed:?}");
            assert_eq!(flows.keeps(program, id, removed), Some(true), "{place}: {removed:?}");
            seen.fixed += 1;
            seen.fixed_by_many += u32::from(removed.len() > 1);
        }
        Fix::NoPolicy(_) | Fix::NoAllow(_) => {
            assert_eq!(least, None, "{place}");
            seen.hopeless += 1;
        }
        Fix::Unknown(reason) => panic!("{place}: {reason}"),
    }
}

/// Flows without names break the assertion exactly where some block without names is.
fn check_blocks(
    program: &Program,
    flows: &Flows,
    id: AssertionId,
    (senders, blocks): (&[Sender], &[egress_verifier::Block]),
    seen: &mut Seen,
    place: &str,
) {
    // A set of an audit block may part workloads further than what is enforced.
    let enforced = program.blocks.values().filter(|block| !block.audit).map(|block| block.workloads);
    let sets: BTreeSet<WorkloadSetId> = enforced.chain(program.assertions.values().map(|it| it.workloads)).collect();
    let signature = |workload: &Workload| -> Vec<WorkloadSetId> {
        sets.iter().copied().filter(|&set| program.workload_sets.at(set).contains(workload)).collect()
    };
    let signatures: Vec<Vec<WorkloadSetId>> = senders.iter().map(|sender| signature(&sender.workload)).collect();
    for (_, number, flow, broken) in flows.unnamed.iter().filter(|(about, ..)| *about == id) {
        let own = signature(&flows.workloads[*number]);
        let address = flow.destination.address;
        let sends = |sender: &Sender| if address.is_ipv4() { sender.v4 } else { sender.v6 };
        let is_sender = |&sender: &usize| signatures[sender] == own && sends(&senders[sender]);
        let covers = |block: &&egress_verifier::Block| {
            block.names.is_empty() && block.addresses.contains(address) && block.ports.contains(flow.port)
        };
        let listed = blocks.iter().filter(covers).any(|block| block.senders.iter().any(is_sender));
        assert_eq!(listed, *broken, "{flow} in {place}");
        seen.unnamed += 1;
    }
}
