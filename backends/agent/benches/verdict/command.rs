//! The real command on a list of 100,000 prefixes.
//!
//! In: random bits. Out: lines of the table. The command is the released one that lies beside this bench, or the one that
//! `EGRESSC` names; where there is none, that is said.

use crate::median;
use crate::prefixes;
use crate::table::{Figure, Goal, note, single};
use egress_testkit::seed::Rng;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PREFIXES: usize = 100_000;
const RUNS: usize = 3;
const POLICY: &str = "destinations many = list \"many.txt\"\n\npolicy all {\n  for all\n  allow many on 443/tcp\n}\n";

/// Compiles a policy that allows the list.
pub(crate) fn measure(rng: &mut Rng) {
    let Some(egressc) = command() else {
        note("compile: SKIPPED, there is no egressc: run `cargo build --release --package egressc` before");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let list: Vec<String> = prefixes::draw(rng, PREFIXES).into_iter().map(prefixes::written).collect();
    fs::write(folder.path().join("many.txt"), list.join("\n") + "\n").unwrap();
    fs::write(folder.path().join("policy.egress"), POLICY).unwrap();
    let check = time(&egressc, folder.path(), &["check", "policy.egress"]);
    single("egressc check (CPU)", Goal::None(Figure::Seconds(check)));
    let arguments = ["compile", "policy.egress", "--target", "ebpf", "--output", "out.egb"];
    let compile = time(&egressc, folder.path(), &arguments);
    let goal = Goal::AtMost(Figure::Seconds(compile), Figure::Seconds(3.0));
    single("egressc compile --target ebpf, its proof included (CPU)", goal);
    let length = fs::metadata(folder.path().join("out.egb")).unwrap().len();
    single("the snapshot", Goal::None(Figure::Bytes(length as f64)));
}

/// Beside the folder that this bench is in.
fn command() -> Option<PathBuf> {
    let named = env::var_os("EGRESSC").map(PathBuf::from);
    let beside = env::current_exe().unwrap().parent()?.parent()?.join("egressc");
    named.or(Some(beside)).filter(|path| path.is_file())
}

/// Seconds of processor time.
fn time(egressc: &Path, folder: &Path, arguments: &[&str]) -> f64 {
    let run = |_| {
        let before = children();
        let output = Command::new(egressc).args(arguments).current_dir(folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "egressc {arguments:?}: {said}");
        children() - before
    };
    median((0..RUNS).map(run).collect())
}

/// What all children that have ended have used.
fn children() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
}
