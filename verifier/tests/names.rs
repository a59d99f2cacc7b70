//! nftables files with rules about names: proved equal to their programs, and refuted once something about a name is broken.
//!
//! In: random programs with names. Out: nothing, where every file is proved, and no mutant is proved of which a packet is
//! judged unlike its flow is decided.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking, as tests do")]

use egress_backends::nftables::{Hook, Options, Packet, decode, emit, plane};
use egress_ir::{Action, DestinationSet, Inventory, Program, Workload, eval};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::programs::{Presence, Shape, random_inventory, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use egress_verifier::{Answer, Fault, Prover, against_source};

const FLOWS: usize = 150;

fn unit(seed: u64, case: u64) -> (Program, Inventory) {
    let mut rng = Rng::new(seed ^ 0x2a3e5, case);
    let shape = Shape { blocks: 1..=3, rules: 1..=4, cluster: Presence::Always, gateways: 0, ..Shape::everything() };
    let mut program = random_program(&mut rng, &shape);
    let denies: Vec<_> =
        program.rules.iter().filter(|(_, rule)| rule.action == Action::Deny).map(|(id, _)| id).collect();
    for id in denies {
        let addresses = program.destination_sets.at(program.rules.at(id).destinations).addresses.clone();
        let destinations = program.intern_destinations(DestinationSet { addresses, ..DestinationSet::default() });
        program.rules.get_mut(id).unwrap().destinations = destinations;
    }
    let inventory = random_inventory(&mut rng, &program);
    (program, inventory)
}

/// What the verifier says of a file: whether it is proved; nothing where it is not understood.
fn is_proved(program: &Program, inventory: &Inventory, text: &str) -> Option<bool> {
    let ruleset = decode(text.as_bytes()).ok()?;
    let plane = plane::plane(&ruleset, program, Some(inventory)).ok()?;
    match against_source(program, &plane, &mut Prover::default()) {
        Ok(found) => match found.answer {
            Answer::Proved => Some(true),
            Answer::Refuted(_) => Some(false),
            Answer::Unknown(reason) => panic!("{reason}\n{text}"),
        },
        Err(Fault::Unclear(_)) => None,
        Err(fault) => panic!("{fault}\n{text}"),
    }
}

/// Whether some flow of a pod is judged unlike it is decided.
fn is_broken(rng: &mut Rng, program: &Program, inventory: &Inventory, text: &str) -> bool {
    let Ok(ruleset) = decode(text.as_bytes()) else { return false };
    (0..FLOWS).any(|_| {
        let flow = biased_flow(rng, program, Sources::Inventory(inventory));
        let Workload::Pod(identity) = &flow.workload else { return false };
        let pod = inventory.pods.iter().find(|pod| pod.identity == *identity).unwrap();
        let to = flow.destination.address;
        let Some(&from) = pod.addresses.iter().find(|address| address.is_ipv4() == to.is_ipv4()) else { return false };
        let names = flow.destination.names.clone();
        let packet = Packet { names, ..Packet::new(Hook::Prerouting, from, to, flow.port) };
        let discovery = flow.port.protocol() == 58 && (133..=136).contains(&(flow.port.number() >> 8));
        !discovery && ruleset.judge(&packet).passes != eval(program, &flow).verdict.passes()
    })
}

/// The file with one thing about a name broken, for each rule that asks for one.
fn mutants(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let asking = (0..lines.len())
        .filter(|&at| lines.get(at).is_some_and(|line| line.starts_with("\t\t") && line.contains("addr @host")));
    let mut sets: Vec<&str> = text.split_whitespace().filter(|word| word.starts_with("@host")).collect();
    sets.sort_unstable();
    sets.dedup();
    let mut found = Vec::new();
    for at in asking {
        let with = |by: &[String]| {
            let before = lines.iter().take(at).map(|line| (*line).to_owned());
            let after = lines.iter().skip(at + 1).map(|line| (*line).to_owned());
            before.chain(by.to_vec()).chain(after).collect::<Vec<String>>().join("\n") + "\n"
        };
        let line = lines.get(at).copied().unwrap_or_default().to_owned();
        found.push(with(&[]));
        let family = if line.contains("@host6") { "@host6" } else { "@host4" };
        let own = line.split_whitespace().find(|word| word.starts_with("@host")).unwrap();
        let other = sets.iter().find(|set| set.starts_with(family) && **set != own);
        found.extend(other.map(|other| with(&[line.replace(own, other)])));
        found.push(with(&[line.replace("saddr . ip daddr", "daddr . ip saddr")]));
        found.push(with(&[line.replace("daddr @", "daddr != @")]));
        found.push(with(&[line.replace(" accept", " drop")]));
        // Above every deny.
        let judge = text.replacen("\tchain judge {\n", &format!("\tchain judge {{\n{line}\n"), 1);
        found.push(judge);
    }
    found
}

#[test]
fn names_are_proved_and_broken_ones_are_not() {
    let (seed, count) = (seed(), cases(60));
    let (mut proved, mut asked, mut refuted, mut refused, mut same) = (0, 0, 0, 0, 0);
    for case in 0..count {
        let (program, inventory) = unit(seed, case);
        let Ok(artifact) = emit(&program, Some(&inventory), &Options::default()) else { continue };
        let text = String::from_utf8(artifact.bytes).unwrap();
        assert_eq!(is_proved(&program, &inventory, &text), Some(true), "seed {seed} case {case}\n{text}");
        proved += 1;
        let mut rng = Rng::new(seed, case);
        for mutant in mutants(&text).into_iter().take(12) {
            asked += 1;
            match is_proved(&program, &inventory, &mutant) {
                Some(true) => {
                    let broken = is_broken(&mut rng, &program, &inventory, &mutant);
                    assert!(!broken, "seed {seed} case {case}: proved, and judged otherwise\n{mutant}");
                    same += 1;
                }
                Some(false) => refuted += 1,
                None => refused += 1,
            }
        }
    }
    println!("{proved} files proved; of {asked} mutants {refuted} refuted, {refused} refused, {same} mean the same");
    assert!(proved > count / 2 && (count < 60 || (refuted > 20 && refused > 10)));
}
