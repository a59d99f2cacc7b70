//! One prover for many versions of a policy says of each what a fresh one says. Seed and number of edits:
//! `EGRESS_SEED`, `EGRESS_CASES`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail by panicking, as tests do")]

use egress_compiler::{Compiled, Input, MemoryFiles, Options, SourceText, compile};
use egress_ir::Stop;
use egress_testkit::policies::{PolicyShape, generate};
use egress_testkit::seed::{Rng, cases, seed};
use egress_verifier::assertions::{Conclusion, Fix, Population, Report, prove};
use egress_verifier::{Answer, Cache, Fault, Limits, Prover, claims};

fn compiled(text: &str) -> Compiled {
    let source = SourceText { path: "unit.egress".into(), bytes: text.into() };
    compile(Input { sources: vec![source], root: ".".into() }, &MemoryFiles::default(), &Options::default())
}

fn prover() -> Prover {
    Prover::new(Limits::default(), Cache::default())
}

/// All that is said of a policy.
fn ask(compiled: &Compiled, prover: &mut Prover) -> Result<(Vec<bool>, Report), Fault> {
    let program = compiled.program.as_ref().unwrap();
    let confirmed: Result<Vec<bool>, Fault> =
        compiled.claims.iter().map(|claims| Ok(claims::confirm(program, claims, prover)?.is_proved())).collect();
    Ok((confirmed?, prove(program, Population::Possible(None), prover)?))
}

/// The policy with assertions near its rules, of which most hold.
fn asserted(text: &str, every: usize) -> String {
    let (mut workloads, mut assertions) = ("", Vec::new());
    for line in text.lines() {
        if let Some(set) = line.strip_prefix("  for ") {
            workloads = set;
        }
        let (allow, deny) = (line.strip_prefix("  allow "), line.strip_prefix("  deny "));
        let Some(rule) = allow.or(deny) else { continue };
        let ends = [" log", " via", " because", " ticket", " until"].into_iter().filter_map(|word| rule.find(word));
        let reached = &rule[..ends.min().unwrap_or(rule.len())];
        let claim = match (assertions.len() % 4, allow) {
            (0, _) => format!("assert only {workloads} can reach {reached}"),
            (1, _) => format!("assert all cannot reach {reached}"),
            (_, Some(_)) => format!("assert {workloads} can reach {reached}"),
            (_, None) => format!("assert {workloads} cannot reach {reached}"),
        };
        assertions.push(claim);
    }
    let chosen: Vec<String> = assertions.into_iter().step_by(every).collect();
    format!("{text}{}\n", chosen.join("\n"))
}

/// One line that is a rule or an assertion, changed, doubled, moved or gone.
fn edited(rng: &mut Rng, text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let of = |starts: &[&str]| -> Vec<usize> {
        (0..lines.len()).filter(|&at| starts.iter().any(|start| lines[at].starts_with(start))).collect()
    };
    let (rules, assertions) = (of(&["  allow ", "  deny "]), of(&["assert "]));
    let lines_of = if rng.chance(75) { &rules } else { &assertions };
    let (at, other) = (*rng.choose(lines_of).unwrap(), *rng.choose(lines_of).unwrap());
    match rng.below(6) {
        0 if lines_of.len() > 3 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[other].clone()),
        2 => lines.swap(at, other),
        3 => lines[at] = lines[at].replace("  allow ", "  deny "),
        4 => lines[at] = lines[at].replace("  deny ", "  allow "),
        _ => lines[at] = lines[at].replace("/tcp", "/udp"),
    }
    lines.join("\n") + "\n"
}

#[test]
fn edit_after_edit_the_answers_are_those_of_a_fresh_prover() {
    let (seed, edits) = (seed(), cases(40));
    let (mut understood, mut saved, mut failing, mut removing) = (0, 0, 0, 0);
    for (hosts, gateways) in [(true, 3), (false, 0)] {
        let shape = PolicyShape { hosts, gateways, address_workloads: hosts, ..PolicyShape::of(90) };
        let mut text = asserted(&generate(seed, &shape), 9);
        let mut lived = prover();
        for case in 0..edits {
            let mut rng = Rng::new(seed ^ 0x0ed3, case);
            let next = edited(&mut rng, &text);
            let compiled = compiled(&next);
            if compiled.program.is_none() {
                continue;
            }
            let mut fresh = prover();
            lived.renew(Stop::default());
            let expected = ask(&compiled, &mut fresh).unwrap();
            assert_eq!(ask(&compiled, &mut lived).unwrap(), expected, "seed {seed} case {case} hosts {hosts}");
            saved += fresh.effort().lemmas.saturating_sub(lived.effort().lemmas - lived.effort().remembered);
            for verdict in &expected.1.verdicts {
                if let Conclusion::Answer(Answer::Refuted(breach)) = &verdict.conclusion {
                    failing += 1;
                    removing += usize::from(matches!(breach.fix, Fix::Remove(_)));
                }
            }
            understood += 1;
            text = next;
        }
    }
    println!(
        "{understood} edits, {saved} lemmas not asked again, {failing} failing verdicts, {removing} with a removal"
    );
    assert!(understood > edits, "only {understood} of twice {edits} edits were understood");
    assert!(saved > 0 && failing > 0 && removing > 0);
}

#[test]
fn what_did_not_change_is_not_asked_again() {
    let text = asserted(&generate(1, &PolicyShape::of(300)), 7);
    let mut lived = prover();
    let first = ask(&compiled(&text), &mut lived).unwrap();
    let all = lived.effort();
    lived.renew(Stop::default());
    assert_eq!(ask(&compiled(&text), &mut lived).unwrap(), first);
    let same = lived.effort();
    // What is asked about everybody is asked each time, and known.
    assert!(same.queries == 0 && same.lemmas == same.remembered && same.lemmas * 10 < all.lemmas, "{same:?} {all:?}");
    let edit = text.rfind("  allow ").unwrap();
    let edited = format!("{}  deny  {}", &text[..edit], &text[edit + "  allow ".len()..]);
    lived.renew(Stop::default());
    ask(&compiled(&edited), &mut lived).unwrap();
    let changed = lived.effort();
    assert!((1..all.lemmas / 2).contains(&(changed.lemmas - changed.remembered)), "{changed:?} {all:?}");
}

#[test]
fn a_later_run_proves_nothing_twice_and_believes_no_answer() {
    let compiled = compiled(&asserted(&generate(2, &PolicyShape::of(200)), 7));
    let mut earlier = prover();
    let expected = ask(&compiled, &mut earlier).unwrap();
    let mut later = Prover::new(Limits::default(), Cache::from_bytes(&earlier.into_cache().to_bytes()));
    let program = compiled.program.as_ref().unwrap();
    assert_eq!(prove(program, Population::Possible(None), &mut later).unwrap(), expected.1);
    let again = later.effort();
    // The file holds lemmas; whether an assertion holds is found out anew.
    assert_eq!((again.queries, again.lemmas), (0, again.remembered));
    assert!(again.lemmas > 1, "{again:?}");
}
