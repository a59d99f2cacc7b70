//! A million packets over random programs, and not one judged otherwise than the meaning says.
//!
//! `EGRESS_CASES` says how many programs, each with 25,500 packets at least. The kernel's verifier takes most of the time,
//! so that the usual number of programs is smaller than the full one, which is 200.

use crate::case::{Case, without_direct};
use crate::judge::Tally;
use crate::node::Node;
use crate::rounds::{Effort, hold};
use egress_testkit::seed::{Rng, cases, seed};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What one program is asked: with the usual number of programs a million packets.
const EFFORT: Effort = Effort { boundaries: 4000, packets: 25_500, crafted: true };

/// How many programs are tried where nobody says.
const USUAL: u64 = 40;

#[test]
fn the_kernel_program_judges_as_the_meaning_says() {
    let (seed, cases, begin) = (seed(), cases(USUAL), Instant::now());
    let next = AtomicU64::new(0);
    let found = Mutex::new((Tally::default(), Vec::new()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(seed, cases, &next, &found));
        }
    });
    let (tally, differences) = found.into_inner().unwrap();
    if tally.programs == 0 && differences.is_empty() {
        return;
    }
    println!("seed {seed}: {tally}, in {:?}", begin.elapsed());
    let first: Vec<&str> = differences.iter().take(5).map(String::as_str).collect();
    assert!(differences.is_empty(), "{} differences, such as\n{}", differences.len(), first.join("\n"));
    assert_eq!(tally.programs, cases);
    assert!(tally.packets >= cases * EFFORT.packets);
    if cases >= 20 {
        let each = [tally.passed, tally.denied, tally.malformed, tally.by_hook[0], tally.by_hook[1], tally.v6];
        assert!(each.iter().all(|count| count * 10 > tally.packets), "too few of a kind: {tally}");
        let some = [
            tally.exempt,
            tally.fragments,
            tally.audit,
            tally.log,
            tally.ruled,
            tally.strangers,
            tally.gateways,
            tally.late,
        ];
        assert!(some.iter().all(|count| *count > cases), "too few of a kind: {tally}");
        assert!(tally.mixed * 4 > cases && tally.short > cases, "too few of a kind: {tally}");
    }
}

/// Takes one program after the other, in a network and with pins of its own.
fn work(seed: u64, cases: u64, next: &AtomicU64, found: &Mutex<(Tally, Vec<String>)>) {
    let Some(node) = Node::for_test("the_kernel_program_judges_as_the_meaning_says") else { return };
    let kernel = node.kernel();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= cases {
            return;
        }
        let case = Case::draw(seed, number);
        let rng = Rng::new(seed, 1 << 32 | number);
        // Small policies have both, and a packet asks one of them.
        let tables = case.snapshot.tables.bytes();
        let tables = if number.is_multiple_of(2) { tables.to_vec() } else { without_direct(tables) };
        let judge = hold(&kernel, &case, &tables, EFFORT, rng);
        let rows = case.snapshot.tables.layout().row_count;
        let missed: Vec<u32> = (0..rows).filter(|row| !judge.rows.contains(row)).collect();
        let mut found = found.lock().unwrap();
        found.0.add(&judge.tally);
        found.1.extend(judge.differences);
        drop(found);
        assert!(missed.is_empty(), "{}: rows {missed:?} of {rows} were never asked", case.name);
    }
}
