//! What a verdict in the kernel costs, beside nothing, parsing alone and longest-prefix tries, and what else a node pays.
//!
//! In: nothing. Out: one table with what each figure is held against, and a plot of it in `docs/figures`. Everything is
//! processor time but what is said to be latency, and medians of several runs; only ratios of one run carry over to other
//! machines. Needs root; all traffic is in network namespaces made for it, and nothing stays attached or pinned.
#![expect(clippy::unwrap_used, reason = "a bench stops at what it cannot set up")]
#![expect(clippy::indexing_slicing, reason = "likewise")]
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

mod command;
mod loading;
mod names;
mod path;
mod plot;
mod prefixes;
mod programs;
#[path = "../../tests/traffic/scene.rs"]
#[expect(dead_code, clippy::panic, reason = "it is of tests, which use what the bench does not and fail by panicking")]
mod scene;
mod table;
#[path = "../../tests/kernel/tables.rs"]
#[expect(dead_code, reason = "the tests use what the bench does not")]
mod tables;

use egress_testkit::seed::{Rng, seed};
use nix::time::{ClockId, clock_gettime};
use programs::Costs;
use table::{Figure, Goal, line};
use tables::Forms;

/// How many prefixes there are.
const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];

fn main() {
    // `cargo test` runs benches too, without this word; there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let Some(scene) = scene::Scene::for_test("bench") else { return };
    // The part about names alone, which takes seconds: `cargo bench … -- names`.
    if std::env::args().any(|argument| argument == "names") {
        return of_names(&scene);
    }
    table::heading("a packet, by prefixes", ["no-op", "parse", "verdict", "1 trie", "1 policy", "2 policies", "added"]);
    let mut points = Vec::new();
    for size in SIZES {
        let mut rng = Rng::new(seed(), size as u64);
        let prefixes = prefixes::draw(&mut rng, size);
        let tables = prefixes::model(&mut rng, &prefixes).tables_with(Forms::Smallest, &mut rng);
        let costs = programs::measure(scene.bpffs.path(), &scene.kernel, &tables, &prefixes, &mut rng);
        for (costs, warmth) in costs.iter().zip(["hot", "cold"]) {
            report(size, warmth, costs);
        }
        points.push((size, costs));
        if Some(&size) == SIZES.last() {
            table::heading("100,000 prefixes of IPv4", [""; 7]);
            loading::measure(&scene.kernel, &tables);
        }
    }
    of_names(&scene);
    command::measure(&mut Rng::new(seed(), 0));
    path::measure(&scene, &mut Rng::new(seed(), 1));
    println!("\n{}", plot::write(&points));
}

fn of_names(scene: &scene::Scene) {
    table::heading("names: a packet of a policy with 1,000 prefixes", [""; 7]);
    names::measure(scene, &mut Rng::new(seed(), 2));
}

/// One row: what each program costs, and what the verdict is held against. Last what parsing, the verdict and the tries
/// with one look-up of the policy add to the no-op.
fn report(size: usize, warmth: &str, costs: &Costs) {
    let [nothing, parse, verdict, trie, once, twice] = costs.each();
    let added = format!("{:.0} / {:.0} / {:.0}", parse - nothing, verdict - nothing, once - nothing);
    let mut goals = Vec::new();
    let times_parse = Figure::Times(verdict / parse);
    let faster = Figure::Times(once / verdict);
    match (warmth, size) {
        ("hot", _) => goals.push(("of parse", Goal::AtMost(times_parse, Figure::Times(1.6)))),
        (_, 100_000) => goals.push(("of parse", Goal::AtMost(times_parse, Figure::Times(2.7)))),
        _ => goals.push(("of parse", Goal::None(times_parse))),
    }
    match size {
        1_000 => goals.push(("faster than 1 policy", Goal::AtLeast(faster, Figure::Times(6.0)))),
        10_000.. => goals.push(("faster than 1 policy", Goal::AtLeast(faster, Figure::Times(10.0)))),
        _ => goals.push(("faster than 1 policy", Goal::None(faster))),
    }
    let figures = [nothing, parse, verdict, trie, once, twice].map(|n| Figure::Nanos(n).to_string());
    let [a, b, c, d, e, f] = figures;
    line(&format!("{}, {warmth}", table::grouped(size)), [a, b, c, d, e, f, added], &goals);
}

/// Nanoseconds of processor time of this thread so far.
fn thread_nanos() -> i64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    time.tv_sec() * 1_000_000_000 + time.tv_nsec()
}

/// The middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
