//! The verbs of the released binary on generated policies.
//!
//! In: nothing. Out: lines of processor time and peak memory. Policies are written to a folder that vanishes.

use crate::measure::{self, Usage};
use crate::support::{self, Outcome, Texts};
use crate::table::{self, Figure, Goal};
use egress_testkit::policies::{PolicyShape, generate};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The binary that Cargo built beside this bench.
pub(crate) const EGRESSC: &str = env!("CARGO_BIN_EXE_egressc");
/// A day on which no generated rule has expired.
const AS_OF: [&str; 2] = ["--as-of", "2026-01-15"];
/// The sizes of policies that are checked, and how often each is measured.
const CHECKED: [(usize, usize); 3] = [(1_000, 7), (10_000, 5), (100_000, 3)];
/// The sizes of policies that are compiled, and how often.
const COMPILED: [(usize, usize); 2] = [(1_000, 7), (10_000, 5)];
/// The verdict `no finding is an error`.
const HOLDS: [i32; 1] = [0];
/// Findings may be errors.
const ANY: [i32; 2] = [0, 1];

/// `check`: clean policies of three sizes, and one with faults.
pub(crate) fn check() -> Outcome<()> {
    table::heading("egressc check", ["CPU", "peak memory", "beside"]);
    let folder = tempfile::tempdir()?;
    let mut smaller: Option<(usize, Usage)> = None;
    for (rules, rounds) in CHECKED {
        let files = Files::write(folder.path(), &support::clean(rules))?;
        let usage = measure::median(rounds, || run(&["check", files.policy()?], &HOLDS))?;
        let growth = smaller.map(|(size, before)| (size, usage.cpu / before.cpu));
        let beside = growth.map(|(size, times)| format!("{} of {}", Figure::Times(times), table::grouped(size)));
        line(&format!("{} rules", table::grouped(rules)), usage, beside, &goals_of_check(rules, usage, growth));
        smaller = Some((rules, usage));
    }
    let files = Files::write(folder.path(), &support::clean(10_000))?;
    let with = run_all("check", &files, &[], 5)?;
    line("10,000 rules with an inventory", with, None, &[]);
    faulty(folder.path())
}

fn goals_of_check(rules: usize, usage: Usage, growth: Option<(usize, f64)>) -> Vec<Goal> {
    let cpu = Figure::Seconds(usage.cpu);
    match (rules, growth) {
        (10_000, _) => vec![Goal::AtMost(cpu, Figure::Seconds(0.4))],
        (100_000, Some((_, times))) => vec![
            Goal::AtMost(cpu, Figure::Seconds(8.0)),
            Goal::AtMost(Figure::Bytes(usage.peak), Figure::Bytes(1024.0 * 1024.0 * 1024.0)),
            Goal::AtMost(Figure::Times(times), Figure::Times(25.0)),
        ],
        _ => Vec::new(),
    }
}

/// A policy with dead and redundant rules written into it. That they are found shows that the check did its work.
fn faulty(folder: &Path) -> Outcome<()> {
    let shape = PolicyShape::of(10_000).with_faults();
    let texts = Texts { policy: generate(support::SEED, &shape), inventory: String::new() };
    let files = Files::write(folder, &texts)?;
    let arguments = ["check", files.policy()?, "--format", "json"];
    let output = Command::new(EGRESSC).args(arguments).args(AS_OF).output()?;
    let found = String::from_utf8_lossy(&output.stdout);
    let [dead, redundant] = ["egress::rule::dead", "egress::rule::redundant"].map(|code| found.matches(code).count());
    if dead == 0 || redundant == 0 {
        return Err(format!("check found {dead} dead and {redundant} redundant rules where there are many").into());
    }
    let usage = measure::median(5, || run(&["check", files.policy()?], &ANY))?;
    let beside = format!("{dead} dead, {redundant} redundant");
    line("10,000 rules with faults", usage, Some(beside), &[]);
    Ok(())
}

/// `compile` for both targets; nft's own dry run, which is the kernel's work, apart.
pub(crate) fn compile() -> Outcome<()> {
    table::heading("egressc compile, with an inventory", ["CPU", "peak memory", "beside"]);
    let folder = tempfile::tempdir()?;
    for (rules, rounds) in COMPILED {
        let size = table::grouped(rules);
        let files = Files::write(folder.path(), &support::clean(rules))?;
        let check = run_all("check", &files, &[], rounds)?;
        line(&format!("{size} rules: check alone"), check, None, &[]);
        for (target, extra) in [("nftables", &["--no-nft-check"][..]), ("cilium", &[])] {
            let artifact = folder.path().join("artifact");
            let path = spelled(&artifact)?;
            let options: Vec<&str> =
                ["--target", target, "--output", path].into_iter().chain(extra.iter().copied()).collect();
            let usage = run_all("compile", &files, &options, rounds)?;
            let written = Figure::Bytes(f64::from(u32::try_from(fs::metadata(&artifact)?.len())?));
            let beside = format!("{} of check, {written} out", Figure::Times(usage.cpu / check.cpu));
            let held = (target, rules) == ("nftables", 10_000);
            let goal = held.then_some(Goal::AtMost(Figure::Seconds(usage.cpu), Figure::Seconds(0.3)));
            line(&format!("{size} rules: {target}"), usage, Some(beside), goal.as_slice());
        }
    }
    Ok(())
}

/// `fmt --check` of files that are formatted.
pub(crate) fn fmt() -> Outcome<()> {
    table::heading("egressc fmt --check", ["CPU", "peak memory", "beside"]);
    let folder = tempfile::tempdir()?;
    for (rules, rounds) in CHECKED {
        let formatted = egress_lang::format(&support::clean(rules).policy).map_err(|errors| format!("{errors:?}"))?;
        let files = Files::write(folder.path(), &Texts { policy: formatted, inventory: String::new() })?;
        let usage = measure::median(rounds, || measure::run(EGRESSC, &["fmt", "--check", files.policy()?], &HOLDS))?;
        line(&format!("{} rules", table::grouped(rules)), usage, None, &[]);
    }
    Ok(())
}

/// Compiles a policy and its inventory to an nftables file in the folder, with these options more.
///
/// # Errors
/// The command fails.
pub(crate) fn artifact(folder: &Path, texts: &Texts, options: &[&str]) -> Outcome<PathBuf> {
    let files = Files::write(folder, texts)?;
    let artifact = folder.join("egress.nft");
    let mut arguments = vec!["compile", files.policy()?, "--inventory", files.inventory()?, "--no-nft-check"];
    arguments.extend(["--target", "nftables", "--output", spelled(&artifact)?]);
    arguments.extend(options);
    run(&arguments, &HOLDS)?;
    Ok(artifact)
}

/// A path as an argument.
///
/// # Errors
/// It is not UTF-8.
pub(crate) fn spelled(path: &Path) -> Outcome<&str> {
    Ok(path.to_str().ok_or("a temporary folder has a name that is not UTF-8")?)
}

fn run_all(verb: &str, files: &Files, options: &[&str], rounds: usize) -> Outcome<Usage> {
    let mut arguments = vec![verb, files.policy()?, "--inventory", files.inventory()?];
    arguments.extend(options);
    measure::median(rounds, || run(&arguments, &HOLDS))
}

fn run(arguments: &[&str], codes: &[i32]) -> Outcome<Usage> {
    let arguments: Vec<&str> = arguments.iter().copied().chain(AS_OF).collect();
    measure::run(EGRESSC, &arguments, codes)
}

fn line(what: &str, usage: Usage, beside: Option<String>, goals: &[Goal]) {
    let (cpu, peak) = (Figure::Seconds(usage.cpu).to_string(), Figure::Bytes(usage.peak).to_string());
    table::line(&format!("  {what}"), [Some(cpu), Some(peak), beside], goals);
}

/// A unit on disk.
struct Files {
    policy: PathBuf,
    inventory: PathBuf,
}

impl Files {
    fn write(folder: &Path, texts: &Texts) -> Outcome<Self> {
        let files = Self { policy: folder.join("policy.egress"), inventory: folder.join("inventory.json") };
        fs::write(&files.policy, &texts.policy)?;
        fs::write(&files.inventory, &texts.inventory)?;
        Ok(files)
    }

    fn policy(&self) -> Outcome<&str> {
        spelled(&self.policy)
    }

    fn inventory(&self) -> Outcome<&str> {
        spelled(&self.inventory)
    }
}
