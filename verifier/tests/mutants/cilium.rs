//! Mutants of Cilium artifacts, with every flow judged one by one as the ground truth.
//!
//! Flows to destinations outside the cluster alone: what an address inside is depends on who has it, which the plane
//! spells out and the judge leaves to its caller.

use crate::borders::Borders;
use crate::pods;
use crate::tally::{self, Tally, some};
use crate::units;
use egress_backends::cilium::model::{Numbers, Peer, Peers, Ports};
use egress_backends::cilium::{
    Environment, GatewayAction, KnownInterface, KnownNode, KnownPod, Model, Options, Verdict, decode, emit, plane,
};
use egress_ir::{
    AddressSet, Destination, Flow, Gateway, GatewayAddress, HostPattern, Operator, Outcome, Plane, Pod, Program,
    Requirement, Selector, Workload, WorkloadSet, eval,
};
use egress_testkit::mutants::{self, Mutant};
use egress_testkit::programs::{Presence, Shape, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use egress_verifier::Block;
use std::collections::BTreeSet;

/// Artifacts, and the most mutants of each.
const ARTIFACTS: u64 = 12;
const OF_AN_ARTIFACT: usize = 25;
/// Programs whose sets tell more kinds of pods apart are left out.
const PODS: usize = 12;
/// What an artifact with gateways has.
const GATEWAYS: &str = "kind: CiliumEgressGatewayPolicy";

#[test]
fn every_mutant_of_an_artifact_is_refuted_or_refused_or_means_the_same() {
    let (seed, count) = (seed(), cases(ARTIFACTS));
    let (mut tally, mut judged, mut made, mut routed) = (Tally::default(), 0, 0, 0);
    let random = |routed: bool, salt: u64| {
        let programs = (0..).map(move |case| random(&mut Rng::new(seed ^ salt, case), routed));
        programs.filter_map(artifact).filter(move |(_, text)| !routed || text.contains(GATEWAYS))
    };
    let with_gateways = count / 3;
    let plain = random(false, 0xc11).take(usize::try_from(count - with_gateways).unwrap());
    let random = random(true, 0x6a7e).take(usize::try_from(with_gateways).unwrap()).chain(plain);
    let small = units::all().into_iter().filter(|(_, program)| units::ranges(program) <= 60);
    let of_units = small.filter_map(|(_, program)| artifact(program));
    for (program, text) in random.chain(of_units) {
        let context = format!("seed {seed} artifact {made}");
        routed += u64::from(text.contains(GATEWAYS));
        let whole = Mutant { kind: "none", what: "nothing".to_owned(), changed: text.clone() };
        let mutants = some(&mut Rng::new(seed, made), mutants::cilium(&text), OF_AN_ARTIFACT);
        for mutant in [whole].into_iter().chain(mutants) {
            judged += hold(&program, &text, &mutant, &context, &mut tally);
        }
        made += 1;
    }
    tally.print("cilium");
    println!("cilium: {judged} flows judged");
    let (none, sum) = (*tally.at("none"), tally.sum());
    println!("cilium: {routed} of {made} artifacts send flows through gateways");
    assert_eq!(none.proved as u64, made, "an artifact without a fault is not proved: {none:?}");
    assert!(count < ARTIFACTS || routed >= 3, "{routed} artifacts with gateways");
    if count >= ARTIFACTS {
        assert!(sum.refuted >= 60 && sum.proved >= 25 && tally.0.len() >= 8, "{sum:?}");
    }
}

/// A small program without most of what the target cannot say, with gateways on nodes of their own if wanted.
fn random(rng: &mut Rng, routed: bool) -> Program {
    let shape = Shape {
        blocks: 1..=2,
        rules: 1..=2,
        cluster: Presence::Always,
        gateways: if routed { 2 } else { 0 },
        fine_gateways: false,
        addresses: false,
        audit: false,
        icmp_type_zero: false,
        icmp_codes: false,
        whole_icmp: false,
        other_protocols: false,
        empty_sets: false,
        ..Shape::everything()
    };
    let mut program = random_program(rng, &shape);
    for id in program.gateways.ids().collect::<Vec<_>>() {
        let gateway = program.gateways.get_mut(id).unwrap();
        gateway.nodes = Some(Selector(vec![zone(&gateway.name)]));
        let host = gateway.name.trim_start_matches("gate-").to_owned();
        let address = |text: String| GatewayAddress { address: text.parse().unwrap(), managed: false };
        gateway.addresses = [format!("203.0.113.{host}"), format!("2001:db8:ffff::{host}")].map(address).into();
    }
    program
}

/// What chooses the node of a gateway.
fn zone(gateway: &str) -> Requirement {
    Requirement { key: "zone".to_owned(), operator: Operator::In([gateway.to_owned()].into()) }
}

/// A program with its artifact, if the target can say it and few kinds of pods can be told apart.
fn artifact(program: Program) -> Option<(Program, String)> {
    let pods = pods_of(&program, &[])?;
    let artifact = emit(&program, None, &Options::default()).ok().filter(|_| pods.len() <= PODS)?;
    Some((program, String::from_utf8(artifact.bytes).unwrap()))
}

fn hold(program: &Program, text: &str, mutant: &Mutant<String>, context: &str, tally: &mut Tally) -> usize {
    let fates = tally.at(mutant.kind);
    let Ok(model) = decode(mutant.changed.as_bytes()) else {
        fates.refused += 1;
        return 0;
    };
    let context = format!("{context}, {}: {}", mutant.kind, mutant.what);
    let Some(blocks) = blocks(program, &model, &context) else {
        fates.unclear += 1;
        return 0;
    };
    let words = words(&mutant.changed).difference(&words(text)).cloned().collect::<Vec<String>>();
    let (different, tried) = truth(program, &model, &words);
    let is_outside = |block: &Block| !block.addresses.is_subset(&program.cluster.inside);
    match different {
        Some(flow) => {
            assert!(!blocks.is_empty(), "{context}: proved, but {flow} is judged otherwise\n{}", mutant.changed);
            fates.refuted += 1;
        }
        None if blocks.is_empty() => fates.proved += 1,
        None => {
            assert!(!blocks.iter().any(is_outside), "{context}: no flow confirms {blocks:?}\n{}", mutant.changed);
            fates.beyond += 1;
        }
    }
    tried
}

/// Where the artifact differs from the program, each block confirmed; nothing where it is unclear.
fn blocks(program: &Program, model: &Model, context: &str) -> Option<Vec<Block>> {
    let plane = plane::plane(model, program, None).ok()?;
    let blocks = tally::blocks(program, &plane, context)?;
    for Block { senders, left, right, witness, .. } in &blocks {
        let by_source = by_source(program, witness);
        let by_artifact = match program.cluster.contains(witness.destination.address) {
            true => plane.replay(senders[0], witness).unwrap(),
            false => by_artifact(program, model, witness).unwrap(),
        };
        assert_eq!((*left, *right), (by_source, by_artifact), "{context}: {witness}");
        assert_ne!(by_source, by_artifact, "{context}: {witness}");
    }
    Some(blocks)
}

/// Every pod that the program can tell apart, with these words as further values; nothing if there are too many.
fn pods_of(program: &Program, words: &[String]) -> Option<Vec<Pod>> {
    let sets: Vec<&WorkloadSet> = program.blocks.values().map(|block| program.workloads_of(block)).collect();
    let values = pods::values(&sets, words);
    let count = values.values().try_fold(1_usize, |count, values| count.checked_mul(values.len() + 2))?;
    (count <= pods::PODS).then(|| pods::pods(&values))
}

/// What the program says of a flow.
fn by_source(program: &Program, flow: &Flow) -> Outcome {
    match eval(program, flow).verdict {
        egress_ir::Verdict::Inside | egress_ir::Verdict::Ungoverned => Outcome::Passes(None),
        egress_ir::Verdict::Allowed(gateway) => Outcome::Passes(gateway),
        egress_ir::Verdict::Denied | egress_ir::Verdict::Conflict(_) => Outcome::Dropped,
    }
}

/// What the artifact does with a flow to the outside, where each gateway has a node of its own with its addresses; nothing
/// where that depends on the order of policies.
fn by_artifact(program: &Program, model: &Model, flow: &Flow) -> Option<Outcome> {
    if model.judge_program_flow(flow, Some(&resolver())).unwrap().verdict != Verdict::Allowed {
        return Some(Outcome::Dropped);
    }
    let Workload::Pod(pod) = &flow.workload else { panic!("a flow of an address") };
    let from = KnownPod {
        namespace: pod.namespace.clone(),
        labels: pod.labels.clone(),
        service_account: pod.service_account.clone(),
        ..KnownPod::default()
    };
    let environment = Environment {
        namespaces: [(pod.namespace.clone(), pod.namespace_labels.clone())].into(),
        nodes: program.gateways.values().map(node).collect(),
        ..Environment::default()
    };
    let found = model.look_up_gateway(&environment, &from, flow.destination.address);
    Some(match found.action {
        GatewayAction::Redirect { address: None, .. } => Outcome::Misrouted,
        GatewayAction::Redirect { address: Some(address), .. } => {
            let has = |gateway: &Gateway| gateway.addresses.iter().any(|known| known.address == address);
            let holder = program.gateways.iter().find(|(_, gateway)| has(gateway));
            holder.map_or(Outcome::Misrouted, |(id, _)| Outcome::Passes(Some(id)))
        }
        GatewayAction::DropNoGateway => Outcome::Dropped,
        GatewayAction::Ambiguous => return None,
        GatewayAction::None | GatewayAction::Excluded | GatewayAction::SkipInCluster => Outcome::Passes(None),
    })
}

/// A label that satisfies a requirement.
fn label(requirement: &Requirement) -> Option<(String, String)> {
    let Operator::In(values) = &requirement.operator else { return None };
    Some((requirement.key.clone(), values.first()?.clone()))
}

/// The node of a gateway.
fn node(gateway: &Gateway) -> KnownNode {
    let addresses = gateway.addresses.iter().map(|known| known.address).collect();
    KnownNode {
        name: gateway.name.clone(),
        labels: gateway.nodes.iter().flat_map(|nodes| &nodes.0).filter_map(label).collect(),
        // No destination: by these nodes reach each other.
        addresses: vec!["192.0.0.8".parse().unwrap()],
        interfaces: vec![KnownInterface { name: "eth0".to_owned(), addresses }],
        default_interface: "eth0".to_owned(),
    }
}

/// A pod that the set of resolvers selects.
fn resolver() -> Pod {
    let labels = [("k8s-app".to_owned(), "kube-dns".to_owned())].into();
    Pod { namespace: "kube-system".to_owned(), labels, service_account: "coredns".to_owned(), ..Pod::default() }
}

/// A flow to the outside that the artifact judges unlike the program decides, if there is one; and how many were tried.
fn truth(program: &Program, model: &Model, words: &[String]) -> (Option<Flow>, usize) {
    let mut borders = Borders::of_destinations(program);
    borders_of(model, &mut borders);
    let names = names(program, words);
    let mut tried = 0;
    for pod in pods_of(program, words).unwrap() {
        let workload = Workload::Pod(pod);
        for v6 in [false, true] {
            let outside = borders.places(v6).into_iter().filter(|&address| !program.cluster.contains(address));
            for address in outside {
                for names in &names {
                    let destination = Destination { address, names: names.clone() };
                    for port in borders.doors(v6) {
                        let flow = Flow { workload: workload.clone(), destination: destination.clone(), port };
                        tried += 1;
                        if by_artifact(program, model, &flow) != Some(by_source(program, &flow)) {
                            return (Some(flow), tried);
                        }
                    }
                }
            }
        }
    }
    (None, tried)
}

/// The borders of everything that rules about the world compare.
fn borders_of(model: &Model, borders: &mut Borders) {
    let specs = model.policies.iter().flat_map(|policy| &policy.specs);
    for rule in specs.flat_map(|spec| spec.allows.iter().chain(&spec.denies)) {
        if let Peers::Any(peers) = &rule.peers {
            for peer in peers {
                if let Peer::Cidr { cidr, except } = peer {
                    [cidr].into_iter().chain(except).for_each(|p| borders.addresses(&AddressSet::from_prefixes([*p])));
                }
                if let Peer::Group { except, .. } | Peer::Groups { except, .. } = peer {
                    except.iter().for_each(|prefix| borders.addresses(&AddressSet::from_prefixes([*prefix])));
                }
            }
        }
        if let Ports::Any(entries) = &rule.ports {
            for entry in entries {
                if let Numbers::Range(range) = &entry.numbers {
                    borders.number_range(*range.start(), *range.end());
                    let kind = |number: &u16| u8::try_from(*number).unwrap_or(u8::MAX);
                    borders.kind_range(kind(range.start()), kind(range.end()));
                }
            }
        }
    }
    for policy in &model.gateways {
        let prefixes = policy.destinations.iter().chain(&policy.excluded).map(|placed| placed.value);
        prefixes.for_each(|prefix| borders.addresses(&AddressSet::from_prefixes([prefix])));
    }
    for prefix in model.groups.values().flat_map(|group| &group.prefixes) {
        borders.addresses(&AddressSet::from_prefixes([*prefix]));
    }
}

/// Sets of names: none, one of each kind, and all.
fn names(program: &Program, words: &[String]) -> Vec<BTreeSet<String>> {
    let sets = program.destination_sets.values().flat_map(|set| &set.hosts);
    let suffixes = sets.map(|host| match host {
        HostPattern::Exact(name) | HostPattern::OneLabel(name) | HostPattern::AnyLabels(name) => name.clone(),
    });
    let new = words.iter().filter(|word| word.contains('.') && !word.contains(['/', ':'])).cloned();
    let suffixes: BTreeSet<String> =
        suffixes.chain(new).map(|name| name.trim_start_matches(['*', '.']).to_owned()).collect();
    let single: BTreeSet<String> =
        suffixes.iter().flat_map(|name| [name.clone(), format!("q.{name}"), format!("q.q.{name}")]).collect();
    let single = single.into_iter().filter(|name| !name.is_empty());
    let mut sets: Vec<BTreeSet<String>> = vec![BTreeSet::new()];
    sets.extend(single.map(|name| BTreeSet::from([name])));
    sets.push(sets.iter().flatten().cloned().collect());
    sets.dedup();
    sets
}

/// What stands between blanks, quotes and brackets.
fn words(text: &str) -> BTreeSet<String> {
    let is_gap = |c: char| c.is_whitespace() || ['"', ',', '[', ']', '{', '}'].contains(&c);
    text.split(is_gap).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
