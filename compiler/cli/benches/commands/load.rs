//! What it costs to load the artifact: `nft -f` for the first time and again, and what the kernel keeps.
//!
//! In: nothing. Out: lines of nft's own processor time, which holds the kernel's work for it. Every load is in a
//! network namespace made for it; the machine's own rules are never touched.

use crate::linear;
use crate::measure::{self, Usage};
use crate::support::{self, Outcome};
use crate::table::{self, Figure, Goal};
use crate::verbs::{self, spelled};
use egress_testkit::lab::Namespace;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// The sizes of the policies, and how often each is loaded.
const SIZES: [(usize, usize); 2] = [(1_000, 7), (10_000, 5)];
/// The kernel frees a ruleset some time after it is gone.
const FREED: Duration = Duration::from_millis(400);

/// Loads, where this process may.
pub(crate) fn measure() -> Outcome<()> {
    table::heading("nft -f of the artifact", ["CPU", "kernel memory", "beside"]);
    if !nix::unistd::geteuid().is_root() {
        table::note("  SKIPPED: making network namespaces needs root");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    for (rules, rounds) in SIZES {
        let texts = support::clean(rules);
        let artifact = verbs::artifact(folder.path(), &texts, &[])?;
        let hand_written = folder.path().join("linear.nft");
        fs::write(&hand_written, linear::ruleset(&support::unit(&texts)?))?;
        report(rules, &load(&artifact, rounds)?, &load(&hand_written, rounds)?);
    }
    Ok(())
}

/// Medians of loading one file.
struct Loads {
    first: Usage,
    again: Usage,
    /// Bytes that the kernel has more of; nothing where it does not say.
    kept: Option<f64>,
}

fn report(rules: usize, ours: &Loads, linear: &Loads) {
    let size = table::grouped(rules);
    let goal =
        |usage: Usage| (rules == 10_000).then_some(Goal::AtMost(Figure::Seconds(usage.cpu), Figure::Seconds(0.35)));
    #[expect(clippy::cast_precision_loss, reason = "a number of rules")]
    let per_rule = |kept: f64| Figure::BytesPerRule(kept / rules as f64);
    let memory = ours.kept.map(|kept| Goal::AtMost(per_rule(kept), Figure::BytesPerRule(1200.0)));
    let goals: Vec<Goal> = goal(ours.first).into_iter().chain(memory.filter(|_| rules == 10_000)).collect();
    let figures = |usage: Usage, kept: Option<f64>, beside: Option<f64>| {
        let kept = kept.map(|kept| per_rule(kept).to_string());
        [
            Some(Figure::Seconds(usage.cpu).to_string()),
            kept,
            beside.map(|times| format!("{} of list", Figure::Times(times))),
        ]
    };
    let of_list = |usage: Usage| Some(usage.cpu / linear.first.cpu);
    table::line(&format!("  {size} rules: first"), figures(ours.first, ours.kept, of_list(ours.first)), &goals);
    table::line(
        &format!("  {size} rules: again"),
        figures(ours.again, None, of_list(ours.again)),
        goal(ours.again).as_slice(),
    );
    table::line(&format!("  {size} rules: list by hand, first"), figures(linear.first, linear.kept, None), &[]);
}

fn load(file: &Path, rounds: usize) -> Outcome<Loads> {
    let file = spelled(file)?;
    let (mut again, mut kept) = (Vec::new(), Vec::new());
    let first = measure::median(rounds, || {
        let namespace = Namespace::new("load")?;
        // One that was loaded before leaves the kernel's caches as they are when nothing else happens.
        thread::sleep(FREED);
        let before = kernel_memory();
        let first = measure::run_in(&namespace, "nft", &["-f", file])?;
        kept.extend(before.zip(kernel_memory()).map(|(before, after)| after - before));
        again.push(measure::run_in(&namespace, "nft", &["-f", file])?);
        Ok(first)
    })?;
    let mut seconds = again.into_iter();
    let again = measure::median(rounds, || seconds.next().ok_or_else(|| "a load is missing".into()))?;
    Ok(Loads { first, again, kept: (!kept.is_empty()).then(|| measure::middle(kept)) })
}

/// What the whole kernel holds and cannot give back, in bytes (proc(5), `meminfo`). Other work on the machine shows in
/// it, which is why medians of differences are taken.
fn kernel_memory() -> Option<f64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    let kibibytes: f64 = ["SUnreclaim:", "VmallocUsed:", "Percpu:"].into_iter().filter_map(field).sum();
    (kibibytes > 0.0).then_some(kibibytes * 1024.0)
}
