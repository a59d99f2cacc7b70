//! Two real keepalived processes move the gateway's addresses, by the configuration that the agent prints; agents follow.

use crate::cluster::{A4, Cluster, Running, VIA4};
use crate::traffic::Traffic;
use egress_testkit::seed::cases;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const KILLS: u64 = 2;

#[test]
fn keepalived_moves_gateways_and_agents_follow() {
    let name = "keepalived_moves_gateways_and_agents_follow";
    if Command::new("keepalived").arg("--version").output().is_err() {
        let required = std::env::var("EGRESS_REQUIRE_LAB").is_ok_and(|set| set == "1");
        assert!(!required, "{name}: `keepalived` is missing (package keepalived)");
        return eprintln!("SKIPPED {name}: `keepalived` is missing (package keepalived)");
    }
    let Some(cluster) = Cluster::for_test(name) else { return };
    let mut followers = cluster.govern_by(2, &["--vrrp"]);
    let snapshot = cluster.snapshot(2);
    followers.extend(
        ["c", "d"].map(|node| cluster.node(node).start(&["--snapshot", &snapshot, "--interface", "lan0", "--vrrp"])),
    );
    let starts = AtomicU64::new(0);
    let start = |node: &str, priority: &str| {
        let print = ["--snapshot", &snapshot, "--interface", "lan0", "--print", "keepalived", "--priority", priority];
        let config = cluster.write(&format!("{node}.conf"), &cluster.node(node).done("gateway", &print));
        // A killed daemon leaves these files, and the next one must not take them for its own.
        let unique = starts.fetch_add(1, Ordering::Relaxed);
        let pid = |kind: &str| format!("{config}.{unique}.{kind}");
        let arguments = [
            "--vrrp",
            "--dont-fork",
            "--log-console",
            "--use-file",
            &config,
            "--pid",
            &pid("pid"),
            "--vrrp_pid",
            &pid("vrrp"),
        ];
        let mut command = Command::new("keepalived");
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Running(cluster.node(node).place.run(|| command.spawn().unwrap()).unwrap())
    };
    let traffic = Traffic::start(&cluster, Duration::from_millis(2));
    let mut all = [Some(start("c", "110")), Some(start("d", "100"))];
    let count = cases(KILLS);
    let mut taken = Vec::new();
    traffic.wait_for(VIA4, Instant::now());
    for _ in 0..count {
        let holds = |node: &str| cluster.node(node).has(A4);
        let (this, next) = if holds("c") { (0, "d") } else { (1, "c") };
        let begin = Instant::now();
        kill(&cluster, ["c", "d"][this], all[this].take().unwrap());
        cluster.node(next).wait_until("it takes over", |node| node.has(A4));
        let up = Instant::now();
        traffic.wait_for(VIA4, up);
        taken.push(begin.elapsed());
        all[this] = Some(start(["c", "d"][this], "100"));
        traffic.seen().check(&cluster);
    }
    let seen = traffic.end();
    seen.check(&cluster);
    println!("{count} holders of keepalived killed: {taken:?}");
    // One may have no more than begun, and ends by the signal itself.
    for one in all.into_iter().flatten() {
        one.end();
    }
    drop(followers);
}

/// Kills the daemon with its child, as a node that dies does; its addresses, which no kernel would take away, go with it.
fn kill(cluster: &Cluster, node: &str, mut running: Running) {
    let parent = running.0.id().to_string();
    let children = Command::new("pgrep").args(["-P", &parent]).output().unwrap();
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    for child in String::from_utf8(children.stdout).unwrap().lines() {
        let id = nix::unistd::Pid::from_raw(child.parse().unwrap());
        // The child may have seen its parent's end.
        let _gone = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGKILL);
    }
    std::thread::sleep(Duration::from_millis(50));
    cluster.node(node).place.ip("link del egw1\n").unwrap();
}
