//! Random programs keep the rules of programs and use what their shape allows, and nothing else.

use super::*;
use crate::seed::{cases, seed};
use egress_ir::{Action, BlockKind, PortSet, protocol};

fn programs(shape: &Shape) -> impl Iterator<Item = Program> {
    (0..cases(200)).map(move |case| random_program(&mut Rng::new(seed(), case), shape))
}

#[test]
fn the_same_seed_gives_the_same_program() {
    let shape = Shape::everything();
    assert!(programs(&shape).eq(programs(&shape)));
    assert_ne!(random_program(&mut Rng::new(1, 0), &shape), random_program(&mut Rng::new(1, 1), &shape));
}

#[test]
fn programs_hold_together() {
    let mut rules = 0;
    for program in programs(&Shape::everything()) {
        for (id, block) in program.blocks.iter() {
            assert!(block.rules.iter().all(|&rule| program.rules.at(rule).block == id));
            assert!(program.workload_sets.get(block.workloads).is_some());
            assert_eq!(program.origins.entries.at(block.origin).name, block.name);
        }
        for (id, rule) in program.rules.iter() {
            let block = program.blocks.at(rule.block);
            assert!(rule.action == Action::Deny || block.kind == BlockKind::Policy);
            assert!(rule.gateway.is_none() || rule.action == Action::Allow);
            assert!(program.rule_name(id).starts_with(&format!("{}#", block.name)));
            rules += 1;
        }
        let mut names: Vec<&str> = program.blocks.values().map(|block| block.name.as_str()).collect();
        names.dedup();
        assert_eq!(names.len(), program.blocks.len());
    }
    assert!(rules > 500, "{rules} rules");
}

#[test]
fn what_a_shape_leaves_out_is_not_there() {
    let shape = Shape {
        v6: false,
        guardrails: false,
        audit: false,
        log: false,
        hosts: false,
        gateways: 0,
        addresses: false,
        all: false,
        excepts: false,
        icmp_type_zero: false,
        other_protocols: false,
        icmp_codes: false,
        whole_icmp: false,
        empty_sets: false,
        cluster: Presence::Always,
        ..Shape::everything()
    };
    let (mut programs_seen, zero) = (0, PortSet::icmp_type(protocol::ICMP, 0));
    for program in programs(&shape) {
        assert!(!program.cluster.inside.is_empty() && program.gateways.is_empty());
        assert!(program.blocks.values().all(|block| block.kind == BlockKind::Policy && !block.audit));
        assert!(program.rules.values().all(|rule| rule.gateway.is_none() && !rule.log));
        for set in program.destination_sets.values() {
            assert!(set.hosts.is_empty() && set.addresses.v6.is_empty() && !set.addresses.is_empty());
        }
        for set in program.workload_sets.values() {
            assert!(set.addresses().is_empty(), "{set:?}");
            assert!(!format!("{set:?}").contains("Except") && *set != WorkloadSet::Union(Vec::new()));
        }
        for set in program.port_sets.values().filter(|set| !set.is_any()) {
            assert!(!set.is_empty() && set.intersection(&zero).is_empty());
            assert!(set.per_protocol().all(|(p, _, _)| matches!(p, 1 | 6 | 17 | 58 | 132)));
        }
        programs_seen += 1;
    }
    assert!(programs_seen > 0);
}

#[test]
fn plain_gateways_take_every_port_of_addresses() {
    let shape = Shape { fine_gateways: false, gateways: 1, ..Shape::everything() };
    let mut routed = 0;
    for program in programs(&shape) {
        for rule in program.rules.values().filter(|rule| rule.gateway.is_some()) {
            assert!(program.port_sets.at(rule.ports).is_any());
            assert!(program.destination_sets.at(rule.destinations).hosts.is_empty());
            routed += 1;
        }
    }
    assert!(routed > 0);
}

#[test]
fn inventories_fit_their_cluster() {
    let (mut pods, mut governed) = (0, 0);
    for (program, case) in programs(&Shape { cluster: Presence::Always, ..Shape::everything() }).zip(0..) {
        let inventory = random_inventory(&mut Rng::new(seed(), case), &program);
        let mut addresses: Vec<IpAddr> = inventory.pods.iter().flat_map(|pod| pod.addresses.clone()).collect();
        assert!(addresses.iter().all(|address| program.cluster.pods.contains(*address)));
        let count = addresses.len();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), count, "an address is used twice");
        for pod in &inventory.pods {
            assert!(pod.addresses.len() <= if pod.host_network { 0 } else { 2 });
            assert_eq!(inventory.namespaces.get(&pod.identity.namespace), Some(&pod.identity.namespace_labels));
            let workload = egress_ir::Workload::Pod(pod.identity.clone());
            governed += u64::from(program.blocks.values().any(|b| program.workloads_of(b).contains(&workload)));
            pods += 1;
        }
        assert!(inventory.pods.is_sorted_by_key(|pod| (pod.identity.namespace.clone(), pod.identity.name.clone())));
        assert!(inventory.nodes.iter().flat_map(|node| &node.addresses).all(|a| program.cluster.nodes.contains(*a)));
    }
    assert!(governed * 5 > pods && governed < pods, "{governed} of {pods} pods");
}
