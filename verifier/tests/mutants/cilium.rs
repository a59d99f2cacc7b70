//! Mutants of Cilium artifacts, with every flow judged one by one as the ground truth.
//!
//! Flows to destinations outside the cluster alone: what an address inside is depends on who has it, which the plane
//! spells out and the judge leaves to its caller.

use crate::borders::Borders;
use crate::pods;
use crate::tally::{self, Tally, some};
use crate::units;
use egress_backends::cilium::model::{Numbers, Peer, Peers, Ports};
use egress_backends::cilium::{Model, Options, Verdict, decode, emit, plane};
use egress_ir::{AddressSet, Destination, Flow, HostPattern, Plane, Pod, Program, Workload, WorkloadSet, eval};
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

#[test]
fn every_mutant_of_an_artifact_is_refuted_or_refused_or_means_the_same() {
    let (seed, count) = (seed(), cases(ARTIFACTS));
    let (mut tally, mut judged, mut made) = (Tally::default(), 0, 0);
    let random = (0..).filter_map(|case| artifact(random(&mut Rng::new(seed ^ 0xc11, case))));
    let small = units::all().into_iter().filter(|(_, program)| units::ranges(program) <= 60);
    let of_units = small.filter_map(|(_, program)| artifact(program));
    for (program, text) in random.take(usize::try_from(count).unwrap()).chain(of_units) {
        let context = format!("seed {seed} artifact {made}");
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
    assert_eq!(none.proved as u64, made, "an artifact without a fault is not proved: {none:?}");
    if count >= ARTIFACTS {
        assert!(sum.refuted >= 60 && sum.proved >= 25 && tally.0.len() >= 8, "{sum:?}");
    }
}

/// A small program without most of what the target cannot say.
fn random(rng: &mut Rng) -> Program {
    let shape = Shape {
        blocks: 1..=2,
        rules: 1..=2,
        cluster: Presence::Always,
        gateways: 0,
        addresses: false,
        audit: false,
        icmp_type_zero: false,
        icmp_codes: false,
        whole_icmp: false,
        other_protocols: false,
        empty_sets: false,
        ..Shape::everything()
    };
    random_program(rng, &shape)
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
        let by_source = eval(program, witness).verdict.passes();
        let by_artifact = match program.cluster.contains(witness.destination.address) {
            true => plane.replay(senders[0], witness).unwrap().passes(),
            false => passes(model, witness),
        };
        assert_eq!((left.passes(), right.passes()), (by_source, by_artifact), "{context}: {witness}");
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

/// What the artifact does with a flow to the outside.
fn passes(model: &Model, flow: &Flow) -> bool {
    model.judge_program_flow(flow, Some(&resolver())).unwrap().verdict == Verdict::Allowed
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
                        if passes(model, &flow) != eval(program, &flow).verdict.passes() {
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
