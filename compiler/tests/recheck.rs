//! A check that remembers earlier ones says what a fresh one says, edit after edit; one that is stopped says nothing.
//! Seed and number of edits: `EGRESS_SEED`, `EGRESS_CASES`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail by panicking, as tests do")]

use egress_compiler::check::{GaveUp, Limits, Memory, check, recheck};
use egress_compiler::{Input, MemoryFiles, Options, SourceText, compile};
use egress_ir::{Cancelled, Inventory, Program, Stop};
use egress_testkit::policies::{PolicyShape, generate, generate_inventory};
use egress_testkit::programs::{Shape, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use std::time::Duration;

fn program(text: &str) -> Option<Program> {
    let source = SourceText { path: "unit.egress".into(), bytes: text.into() };
    compile(Input { sources: vec![source], root: ".".into() }, &MemoryFiles::default(), &Options::default()).program
}

/// The answer of a check that remembers, which must be that of a fresh one.
fn same(program: &Program, inventory: Option<&Inventory>, memory: &mut Memory, what: &str) {
    let fresh = check(program, inventory, Limits::default()).unwrap();
    let again = recheck(program, inventory, &Limits::default(), memory).unwrap();
    assert_eq!(again.diagnostics, fresh.diagnostics, "{what}");
    assert_eq!(again.claims, fresh.claims, "{what}");
}

/// One line that is a rule, changed, doubled, moved or gone; or a block that is enforced no more.
fn edited(rng: &mut Rng, text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let is_rule = |line: &str| line.starts_with("  allow ") || line.starts_with("  deny ");
    let rules: Vec<usize> = (0..lines.len()).filter(|&at| is_rule(&lines[at])).collect();
    let (at, other) = (*rng.choose(&rules).unwrap(), *rng.choose(&rules).unwrap());
    match rng.below(7) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[other].clone()),
        2 => lines.swap(at, other),
        3 => lines[at] = lines[at].replace("  allow ", "  deny "),
        4 => lines[at] = lines[at].replace("  deny ", "  allow "),
        5 => {
            let owners: Vec<usize> = (0..lines.len()).filter(|&at| lines[at].starts_with("  owner ")).collect();
            let owner = rng.choose(&owners).copied().unwrap_or(at);
            lines.insert(owner + 1, "  mode audit".to_owned());
        }
        _ => lines[at] = lines[at].replace("/tcp", "/udp"),
    }
    lines.join("\n") + "\n"
}

#[test]
fn edit_after_edit_the_findings_are_those_of_a_fresh_check() {
    let (seed, edits) = (seed(), cases(60));
    let shape = PolicyShape { hosts: true, gateways: 3, address_workloads: true, ..PolicyShape::of(120) }.with_faults();
    let mut text = generate(seed, &shape);
    let listed = generate_inventory(seed, &shape);
    let inventory = egress_compiler::inventory::read(listed.as_bytes()).unwrap();
    let mut memory = Memory::default();
    let (mut remembered, mut understood) = (0, 0);
    for case in 0..edits {
        let mut rng = Rng::new(seed ^ 0x0ed1, case);
        let next = edited(&mut rng, &text);
        let Some(program) = program(&next) else { continue };
        let known = (case % 2 == 0).then_some(&inventory);
        same(&program, known, &mut memory, &format!("seed {seed} case {case}"));
        remembered += memory.effort().remembered;
        understood += 1;
        text = next;
    }
    assert!(understood * 2 > edits, "only {understood} of {edits} edits were understood");
    assert!(remembered > 0, "nothing was remembered");
}

#[test]
fn what_was_learned_of_one_program_is_never_believed_of_another() {
    let (seed, cases) = (seed(), cases(300));
    let mut memory = Memory::default();
    for case in 0..cases {
        let shape = Shape { blocks: 1..=3, rules: 1..=2, gateways: 2, ..Shape::everything() };
        let program = random_program(&mut Rng::new(seed ^ 0x0ed2, case), &shape);
        same(&program, None, &mut memory, &format!("seed {seed} case {case}"));
    }
}

#[test]
fn after_one_edit_only_the_groups_of_its_block_are_walked() {
    let text = generate(1, &PolicyShape::of(400));
    let mut memory = Memory::default();
    recheck(&program(&text).unwrap(), None, &Limits::default(), &mut memory).unwrap();
    let whole = memory.effort();
    // The last policy is about one application.
    let edit = text.rfind("  allow ").unwrap();
    let edited = format!("{}  deny  {}", &text[..edit], &text[edit + "  allow ".len()..]);
    same(&program(&edited).unwrap(), None, &mut memory, "one edit");
    let again = memory.effort();
    assert_eq!(again.walked + again.remembered, whole.walked + whole.remembered);
    assert!(again.walked > 0 && again.walked * 10 < again.remembered, "{again:?} after {whole:?}");
    same(&program(&text).unwrap(), None, &mut memory, "the edit taken back");
    assert_eq!(memory.effort().walked, 0);
}

#[test]
fn a_flag_ends_the_check_whether_it_is_raised_before_or_during_it() {
    let program = program(&generate(2, &PolicyShape::of(2000))).unwrap();
    let mut memory = Memory::default();
    let limits = Limits::default();
    limits.stop.raise();
    let stopped = recheck(&program, None, &limits, &mut memory).map(|_| ());
    assert_eq!((stopped, memory.effort().walked), (Err(GaveUp::Cancelled(Cancelled)), 0));
    let mut stopped = 0;
    // Raised later each time, until the work is done before.
    for after in (0..).map(|step| Duration::from_micros(step * 500)) {
        let limits = Limits { stop: Stop::default(), ..Limits::default() };
        let answer = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(after);
                limits.stop.raise();
            });
            recheck(&program, None, &limits, &mut memory)
        });
        match answer {
            Err(GaveUp::Cancelled(_)) => stopped += 1,
            answer => {
                let fresh = check(&program, None, Limits::default()).unwrap();
                assert_eq!(answer.unwrap().diagnostics, fresh.diagnostics);
                break;
            }
        }
    }
    assert!(stopped > 0, "nothing was stopped");
    same(&program, None, &mut memory, "after those that were stopped");
}
