//! The checker against brute force: every finding of small random programs is compared with what `eval` says of every
//! flow that the program can tell apart. Seed and number of programs: `EGRESS_SEED`, `EGRESS_CASES`.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use egress_compiler::check::{Limits, check};
use egress_compiler::diagnostic::Diagnostic;
use egress_ir::classes::{name_classes, possible_sources};
use egress_ir::*;
use egress_testkit::programs::{Shape, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use std::collections::BTreeSet;

/// Rules by name, for each kind of finding.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    dead: BTreeSet<String>,
    redundant: BTreeSet<String>,
    overridden: BTreeSet<String>,
    conflicting: BTreeSet<String>,
}

#[test]
fn findings_are_exactly_what_brute_force_finds() {
    let mut total = Findings::default();
    let (seed, cases) = (seed(), cases(150));
    for case in 0..cases {
        let mut rng = Rng::new(seed, case);
        let program = random_program(&mut rng, &shape(case));
        let found = found(&program);
        let expected = brute_force(&program);
        assert_eq!(found, expected, "seed {seed} case {case}: {program:#?}");
        let name = |rule: &String| format!("{case}:{rule}");
        total.dead.extend(expected.dead.iter().map(name));
        total.redundant.extend(expected.redundant.iter().map(name));
        total.overridden.extend(expected.overridden.iter().map(name));
        total.conflicting.extend(expected.conflicting.iter().map(name));
    }
    if cases >= 100 {
        for set in [&total.dead, &total.redundant, &total.overridden, &total.conflicting] {
            assert!(!set.is_empty(), "no case showed this finding");
        }
    }
}

fn shape(case: u64) -> Shape {
    Shape {
        blocks: 1..=3,
        rules: 1..=3,
        gateways: 2,
        audit: false,
        hosts: case.is_multiple_of(3),
        ..Shape::everything()
    }
}

/// What the checker reports.
fn found(program: &Program) -> Findings {
    let diagnostics = check(program, None, Limits::default()).expect("few classes").diagnostics;
    let internal: Vec<&Diagnostic> = diagnostics.iter().filter(|d| d.code.starts_with("egress::internal")).collect();
    assert!(internal.is_empty(), "{internal:#?} in {program:#?}");
    let mut findings = Findings::default();
    for diagnostic in &diagnostics {
        let label = diagnostic.primary_label().expect("a label");
        let named = |label: &egress_compiler::Label| {
            let origins = program.origins.entries.values();
            let mut at =
                origins.filter(|o| (o.start, o.end, o.source) == (label.span.start, label.span.end, label.source));
            at.next().expect("the span of a rule").name.clone()
        };
        match diagnostic.code {
            "egress::rule::dead" => findings.dead.insert(named(label)),
            "egress::rule::redundant" => findings.redundant.insert(named(label)),
            "egress::rule::overridden" => findings.overridden.insert(named(label)),
            "egress::conflict::gateway" => {
                findings.conflicting.extend(diagnostic.labels.iter().map(named));
                true
            }
            _ => true,
        };
    }
    findings
}

/// What `eval` says when every distinguishable flow is tried.
fn brute_force(program: &Program) -> Findings {
    let flows = Flows::of(program);
    let all: Vec<RuleId> = program.rules.ids().collect();
    let (mut alive, mut needed) = (BTreeSet::new(), BTreeSet::new());
    let mut findings = Findings::default();
    for workload in &flows.workloads {
        let speaking = Speaking::about(program, workload);
        for flow in flows.of_workload(workload) {
            let decision = speaking.decide(&flow, |_| true);
            alive.extend(decision.rules.iter().copied());
            if let Verdict::Conflict(_) = decision.verdict {
                let routed = decision.rules.iter().filter(|&&rule| program.rules.at(rule).gateway.is_some());
                findings.conflicting.extend(routed.map(|&rule| program.rule_name(rule).to_owned()));
            }
            let matching: Vec<RuleId> = all.iter().copied().filter(|&rule| matches(&speaking, &flow, rule)).collect();
            for &rule in &matching {
                let without = speaking.decide(&flow, |other| other != rule);
                let block = program.blocks.at(program.rules.at(rule).block);
                let forbids_alone = block.kind == BlockKind::Guardrail && decision.rules == [rule];
                if forbids_alone || (&without.verdict, without.log) != (&decision.verdict, decision.log) {
                    needed.insert(rule);
                }
            }
            let of = |action| matching.iter().filter(move |&&rule| program.rules.at(rule).action == action);
            for allow in of(Action::Allow) {
                let block = |rule: &RuleId| program.rules.at(*rule).block;
                // A deny by address that stops an allow by name is a guard and not reported.
                let by_address = |rule: &RuleId| {
                    let set = program.destination_sets.at(program.rules.at(*rule).destinations);
                    set.addresses.contains(flow.destination.address)
                };
                let contradicts = |deny: &RuleId| by_address(allow) || !by_address(deny);
                if of(Action::Deny).any(|deny| block(deny) != block(allow) && contradicts(deny)) {
                    findings.overridden.insert(program.rule_name(*allow).to_owned());
                }
            }
        }
    }
    findings.dead = all.iter().filter(|rule| !alive.contains(rule)).map(|&r| program.rule_name(r).to_owned()).collect();
    let redundant = all.iter().filter(|rule| alive.contains(rule) && !needed.contains(rule));
    findings.redundant = redundant.map(|&rule| program.rule_name(rule).to_owned()).collect();
    findings.overridden = &findings.overridden - &findings.dead;
    findings
}

fn matches(speaking: &Speaking<'_>, flow: &Flow, rule: RuleId) -> bool {
    speaking.decide(flow, |other| other == rule).rules.contains(&rule)
}

/// One flow of each class, made from the ends of all ranges.
struct Flows {
    workloads: Vec<Workload>,
    destinations: Vec<Destination>,
    ports: Vec<Port>,
}

impl Flows {
    fn of(program: &Program) -> Self {
        let sets = program.blocks.values().map(|block| block.workloads).collect();
        let classes = possible_sources(program, &sets, 100_000).expect("few classes");
        let workloads = classes.iter().flat_map(|class| {
            let v4 = class.v4.map(|a| Workload::Address(a.into()));
            let v6 = class.v6.map(|a| Workload::Address(a.into()));
            [class.pod.clone().map(Workload::Pod), v4, v6].into_iter().flatten()
        });
        let patterns: BTreeSet<&HostPattern> = program.destination_sets.values().flat_map(|set| &set.hosts).collect();
        let single: Vec<String> = name_classes(&patterns.into_iter().collect::<Vec<_>>()).into_values().collect();
        let mut names: BTreeSet<BTreeSet<String>> = [BTreeSet::new()].into();
        for first in &single {
            for second in &single {
                names.insert([first.clone(), second.clone()].into());
            }
        }
        names.insert(single.iter().cloned().collect());
        let addresses = addresses(program);
        let destinations =
            addresses.iter().flat_map(|&address| names.iter().map(move |n| Destination { address, names: n.clone() }));
        Self { workloads: workloads.collect(), destinations: destinations.collect(), ports: ports(program) }
    }

    fn of_workload<'f>(&'f self, workload: &'f Workload) -> impl Iterator<Item = Flow> + 'f {
        let flows = self.destinations.iter().flat_map(move |destination| {
            let flow = |&port| Flow { workload: workload.clone(), destination: destination.clone(), port };
            self.ports.iter().map(flow)
        });
        flows.filter(Flow::is_well_formed)
    }
}

fn addresses(program: &Program) -> BTreeSet<std::net::IpAddr> {
    let sets = program.destination_sets.values().map(|set| &set.addresses).chain([&program.cluster.inside]);
    let (mut v4, mut v6) = (BTreeSet::from([0u32]), BTreeSet::from([0u128]));
    for set in sets {
        v4.extend(set.v4.ranges().iter().flat_map(|&(s, e)| [Some(s), e.checked_add(1)]).flatten());
        v6.extend(set.v6.ranges().iter().flat_map(|&(s, e)| [Some(s), e.checked_add(1)]).flatten());
    }
    let v4 = v4.into_iter().map(|a| std::net::Ipv4Addr::from_bits(a).into());
    v4.chain(v6.into_iter().map(|a| std::net::Ipv6Addr::from_bits(a).into())).collect()
}

fn ports(program: &Program) -> Vec<Port> {
    let mut places = BTreeSet::from([0u32]);
    for set in program.port_sets.values() {
        for &(first, last) in set.line_ranges() {
            // The first place that a packet can have may lie behind the cut: the next protocol begins one.
            places.extend([first, last + 1, ((first >> 16) + 1) << 16, ((last >> 16) + 1) << 16]);
        }
    }
    places.extend([1, 2, 6, 17, 58, 59, 132].map(|protocol| protocol << 16));
    places.into_iter().filter_map(Port::from_line).collect()
}
