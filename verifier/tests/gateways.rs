//! nftables files with gateways: verdict and source address are proved together, and no file is that gives any flow
//! another source address than its program, or none for sure.
//!
//! In: seeded programs, the units of `testdata/`, and files of which one rule about gateways was taken out or changed. Out:
//! nothing, where whole files are proved and changed ones are refused, refuted by a flow, or not clear; those few changes
//! that no flow can tell are named one by one.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking, as tests do"
)]

#[path = "second/units.rs"]
mod units;

use egress_backends::nftables::{Hook, Options, decode, emit, plane};
use egress_ir::plane::Outcome;
use egress_ir::{Inventory, Plane, Program, Verdict, eval};
use egress_testkit::programs::{Presence, Shape, random_inventory, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use egress_verifier::{Answer, Block, Cache, Fault, Limits, Prover, against_source};
use std::collections::BTreeMap;

/// What is said of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Proved,
    Refuted,
    Unclear,
    Refused,
}

fn options() -> Options {
    Options { hooks: vec![Hook::Prerouting, Hook::Output], ..Options::default() }
}

/// A program with gateways that its rules name, and the pods that run.
fn unit(case: u64) -> (Program, Inventory) {
    let mut rng = Rng::new(seed() ^ 0x6a7e, case);
    let cluster = if case % 4 == 3 { Presence::Never } else { Presence::Always };
    let shape =
        Shape { blocks: 1..=4, rules: 1..=4, cluster, hosts: false, dual_gateways: true, ..Shape::everything() };
    let program = random_program(&mut rng, &shape);
    let mut inventory = random_inventory(&mut rng, &program);
    inventory.pods.truncate(6);
    (program, inventory)
}

fn file(program: &Program, inventory: &Inventory) -> Option<String> {
    let artifact = emit(program, Some(inventory), &options()).ok()?;
    Some(String::from_utf8(artifact.bytes).unwrap())
}

/// Proves or refutes a file; every flow that is shown is confirmed by both evaluators.
fn said(program: &Program, inventory: &Inventory, text: &str, at: &str) -> Said {
    let Ok(ruleset) = decode(text.as_bytes()) else { return Said::Refused };
    let Ok(plane) = plane::plane(&ruleset, program, Some(inventory)) else { return Said::Unclear };
    let mut prover = Prover::new(Limits::default(), Cache::default());
    let found = match against_source(program, &plane, &mut prover) {
        Ok(found) => found,
        Err(Fault::Unclear(_)) => return Said::Unclear,
        Err(fault) => panic!("{at}: {fault}\n{text}"),
    };
    match found.answer {
        Answer::Proved => Said::Proved,
        Answer::Unknown(reason) => panic!("{at}: {reason}"),
        Answer::Refuted(blocks) => {
            for Block { senders, witness, .. } in &blocks {
                let meant = match eval(program, witness).verdict {
                    Verdict::Allowed(gateway) => Outcome::Passes(gateway),
                    verdict if verdict.passes() => Outcome::Passes(None),
                    _ => Outcome::Dropped,
                };
                assert_ne!(plane.replay(senders[0], witness), Ok(meant), "{at}: {witness} does not differ\n{text}");
            }
            Said::Refuted
        }
    }
}

#[test]
fn files_with_gateways_are_proved() {
    let (count, mut routed) = (cases(40), 0);
    for case in 0..count {
        let (program, inventory) = unit(case);
        let text = file(&program, &inventory).unwrap();
        assert_eq!(said(&program, &inventory, &text, &format!("case {case}")), Said::Proved, "case {case}\n{text}");
        routed += u64::from(text.contains("# gateways: "));
    }
    let mut of_units = 0;
    for (number, (name, program)) in units::all().into_iter().enumerate() {
        let is_routed = program.rules.values().any(|rule| rule.gateway.is_some()) && units::ranges(&program) <= 5_000;
        let inventory = random_inventory(&mut Rng::new(seed(), u64::try_from(number).unwrap()), &program);
        let Some(text) = file(&program, &inventory).filter(|_| is_routed) else { continue };
        assert_eq!(said(&program, &inventory, &text, &name), Said::Proved, "{name}\n{text}");
        of_units += 1;
    }
    println!("{count} files proved, {routed} of them with gateways, and {of_units} units of testdata/ with gateways");
    assert!(count < 40 || routed > 10);
}

/// Rules about packets that no flow's proof is about, or that say what another one says: replies, errors about
/// connections, marks that nobody sets, and what other nodes send, which is judged again.
const HARMLESS: [&str; 4] =
    ["ct direction reply accept", "ct state related accept", "\t\tcounter name dropped drop", "iifname \"egw"];

/// Every line about gateways taken out, and with something else in it.
fn changes(text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let table = lines.iter().position(|line| line.starts_with("table inet egressc_gateways")).unwrap();
    let mut all = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let is_rule =
            line.starts_with("\t\t") && (number > table || line.contains("meta mark") || line.contains("type route"));
        if !is_rule || HARMLESS.iter().any(|harmless| line.contains(harmless)) {
            continue;
        }
        let mut with = |what: &str, other: Option<String>| {
            let Some(other) = other.filter(|other| other != line) else { return };
            let mut changed = lines.clone();
            changed[number] = &other;
            all.push((format!("{what}: {line}"), changed.join("\n") + "\n"));
        };
        let replaced = |from: &str, to: &str| line.contains(from).then(|| line.replacen(from, to, 1));
        if !line.contains(" hook ") {
            with("taken out", Some(String::new()));
        }
        with("not routed again", replaced("type route", "type filter"));
        with("later", replaced("priority 95", "priority 105"));
        with("at once", replaced("priority 95", "priority 100"));
        with("too early", replaced("priority 250", "priority 90"));
        with("other mark", replaced("0x00010000", "0x00020000"));
        // Where bits are set too, those that are kept are known to be none.
        with("a bit kept", replaced("0xff00ffff", "0xff01ffff").filter(|_| !line.contains('|')));
        with("other address", replaced("to 192.0.2.", "to 192.0.99."));
        with("other source", replaced("saddr 192.0.2.1 ", "saddr 192.0.99.1 "));
        with("other hop", replaced("nexthop 192.0.2.1 ", "nexthop 192.0.99.1 "));
        with("not asked whose", replaced(" fib saddr type local", ""));
        with("without a label", replaced(" ct label set 95", ""));
        with("lets pass", replaced(" drop", " accept"));
    }
    all
}

#[test]
fn no_change_to_a_gateway_is_proved() {
    let (mut tally, mut changed, mut files) = (BTreeMap::<Said, u64>::new(), 0, 0);
    for case in 0.. {
        let (program, inventory) = unit(case);
        let text = file(&program, &inventory).unwrap();
        // Both ways must be tried: held by one node, and pods that send.
        let is_whole = text.contains("goto via_1") && text.contains("nexthop 192.0.2.1 ") && text.contains("via_2");
        if !is_whole || !reached(&program, &inventory, &text) {
            continue;
        }
        for (what, mutant) in changes(&text) {
            let said = said(&program, &inventory, &mutant, &format!("case {case}, {what}"));
            *tally.entry(said).or_default() += 1;
            changed += 1;
            if said == Said::Proved {
                println!("case {case}: proved with {}", what.trim());
            }
            // Nothing is known here of flows through the others, or of IPv6.
            let is_about_others = ["_1", "0001", "192.0.2.1 "].iter().all(|one| !what.contains(one));
            let is_about_all = ["later", "at once", "too early"].iter().any(|one| what.starts_with(one));
            assert!(
                said != Said::Proved || (is_about_others && !is_about_all),
                "case {case}, {what} is proved\n{mutant}"
            );
        }
        files += 1;
        if files == 3 {
            break;
        }
    }
    println!("{changed} changes of {files} files: {tally:?}");
    let caught = changed - tally.get(&Said::Proved).copied().unwrap_or_default();
    assert!(caught * 2 > changed && tally.contains_key(&Said::Refuted) && tally.contains_key(&Said::Unclear));
}

/// Whether some flow of IPv4 leaves through the first gateway: with another address for it the file is no longer proved.
fn reached(program: &Program, inventory: &Inventory, text: &str) -> bool {
    let (judging, table) = text.split_once("add table inet egressc_gateways").unwrap();
    let moved = [" ", "\n", ","]
        .iter()
        .fold(table.to_owned(), |table, end| table.replace(&format!("192.0.2.1{end}"), &format!("192.0.99.1{end}")));
    let elsewhere = format!("{judging}add table inet egressc_gateways{moved}");
    said(program, inventory, &elsewhere, "elsewhere") != Said::Proved
}
