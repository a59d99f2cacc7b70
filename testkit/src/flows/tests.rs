//! The flows are possible ones, and their verdicts are mixed.

use super::*;
use crate::programs::{Presence, Shape, random_inventory, random_program};
use crate::seed::{cases, seed};
use egress_ir::{Verdict, Workload, eval};
use std::collections::BTreeMap;

/// How many flows of each verdict `cases` programs of the shape give, 40 flows each.
fn tally(shape: &Shape, with_inventory: bool, lone: Sources<'static>) -> (BTreeMap<&'static str, u64>, u64) {
    let (mut kinds, mut total) = (BTreeMap::new(), 0);
    for case in 0..cases(100).max(100) {
        let mut rng = Rng::new(seed(), case);
        let program = random_program(&mut rng, shape);
        let inventory = random_inventory(&mut rng, &program);
        let sources = if with_inventory { Sources::Inventory(&inventory) } else { lone };
        for _ in 0..40 {
            let flow = biased_flow(&mut rng, &program, sources);
            assert!(flow.is_well_formed(), "case {case}: {flow}");
            can_send(&flow, &program, sources);
            let decision = eval(&program, &flow);
            *kinds.entry(kind(&decision.verdict)).or_insert(0) += 1;
            *kinds.entry("audit").or_insert(0) += u64::from(decision.audit.is_some());
            *kinds.entry("log").or_insert(0) += u64::from(decision.log);
            *kinds.entry("by default").or_insert(0) +=
                u64::from(decision.verdict == Verdict::Denied && decision.rules.is_empty());
            total += 1;
        }
    }
    (kinds, total)
}

fn can_send(flow: &Flow, program: &Program, sources: Sources<'_>) {
    match (&flow.workload, sources) {
        (Workload::Address(_), Sources::Pods) | (Workload::Pod(_), Sources::Addresses) => {
            panic!("{flow} cannot be sent")
        }
        (Workload::Address(address), _) => assert!(!program.cluster.pods.contains(*address)),
        (Workload::Pod(pod), Sources::Inventory(inventory)) => {
            let family = Family::of(flow.destination.address);
            let running = inventory.pods.iter().find(|known| known.identity == *pod).unwrap();
            assert!(!running.host_network && running.addresses.iter().any(|a| Family::of(*a) == family));
        }
        (Workload::Pod(pod), _) => assert_eq!(pod.name, None),
    }
}

fn kind(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Inside => "inside",
        Verdict::Ungoverned => "ungoverned",
        Verdict::Allowed(None) => "allowed",
        Verdict::Allowed(Some(_)) => "routed",
        Verdict::Conflict(_) => "conflict",
        Verdict::Denied => "denied",
    }
}

fn assert_mixed(shape: &Shape, with_inventory: bool, lone: Sources<'static>) {
    let (kinds, total) = tally(shape, with_inventory, lone);
    let percent = |kind: &str| kinds.get(kind).copied().unwrap_or(0) * 100 / total;
    println!("{total} flows: {kinds:?}");
    assert!(percent("allowed") + percent("routed") >= 10, "{kinds:?}");
    assert!(percent("denied") >= 10 && percent("by default") >= 3, "{kinds:?}");
    assert!(percent("ungoverned") >= 2, "{kinds:?}");
    assert_eq!(percent("inside") >= 1, shape.cluster != Presence::Never, "{kinds:?}");
    assert_eq!(kinds.get("audit") > Some(&0), shape.audit, "{kinds:?}");
    assert_eq!(kinds.get("log") > Some(&0), shape.log, "{kinds:?}");
    assert_eq!(kinds.contains_key("routed"), shape.gateways > 0, "{kinds:?}");
    assert_eq!(kinds.contains_key("conflict"), shape.gateways > 1, "{kinds:?}");
}

#[test]
fn verdicts_are_mixed_for_whatever_a_program_can_hold() {
    assert_mixed(&Shape::everything(), false, Sources::Anyone);
    assert_mixed(&Shape::language(), true, Sources::Anyone);
}

#[test]
fn verdicts_are_mixed_for_pods_alone() {
    let shape = Shape { addresses: false, audit: false, cluster: Presence::Always, gateways: 1, ..Shape::language() };
    assert_mixed(&shape, false, Sources::Pods);
}

#[test]
fn verdicts_are_mixed_on_a_host() {
    let shape =
        Shape { pods: false, hosts: false, gateways: 0, log: false, cluster: Presence::Never, ..Shape::everything() };
    assert_mixed(&shape, false, Sources::Addresses);
}

#[test]
fn both_sides_of_every_kind_of_border_are_tried() {
    let (mut matched, mut missed) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
    for case in 0..cases(100).max(100) {
        let mut rng = Rng::new(seed(), case);
        let program = random_program(&mut rng, &Shape::everything());
        for _ in 0..40 {
            let flow = biased_flow(&mut rng, &program, Sources::Anyone);
            for rule in program.rules.values() {
                let set = program.destination_sets.at(rule.destinations);
                let block = program.workloads_of(program.blocks.at(rule.block));
                let mut note =
                    |what, hit| *(if hit { &mut matched } else { &mut missed }).entry(what).or_insert(0) += 1;
                note("address", set.addresses.contains(flow.destination.address));
                note("port", program.port_sets.at(rule.ports).contains(flow.port));
                note("workload", block.contains(&flow.workload));
                for host in &set.hosts {
                    note("name", flow.destination.names.iter().any(|name| host.matches(name)));
                }
            }
            *matched.entry("two names").or_insert(0) += u64::from(flow.destination.names.len() > 1);
            *matched.entry("v6").or_insert(0) += u64::from(flow.destination.address.is_ipv6());
        }
    }
    for what in ["address", "port", "workload", "name"] {
        assert!(matched[what] > 100 && missed[what] > 100, "{what}: {matched:?} {missed:?}");
    }
    assert!(matched["two names"] > 50 && matched["v6"] > 400, "{matched:?}");
}
