//! Holders that end, one after the other, while packets go on: by being told to, by being killed, and by a lease.
//!
//! `EGRESS_CASES` asks for another number of failovers; by hand it was run with a hundred killed holders.

use crate::cluster::{A4, A6, Cluster, Running, VIA4, VIA6};
use crate::server::Server;
use crate::traffic::Traffic;
use egress_testkit::seed::cases;
use std::time::{Duration, Instant};

/// Failovers in which the holder goes on request, and the next one takes over at once.
const MOVES: u64 = 100;
/// Failovers in which the holder is killed.
const KILLS: u64 = 3;
const LEASES: u64 = 2;

/// The longest and the middle of some times, in words.
fn said(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    format!("{:?} in the middle, {:?} at most", times[times.len() / 2], times[times.len() - 1])
}

/// What takes over: starts a holder on a node.
fn hold(cluster: &Cluster, name: &str, more: &[&str]) -> Running {
    let snapshot = cluster.snapshot(1);
    let hold = ["--snapshot", &snapshot, "--interface", "lan0", "--hold"];
    cluster.node(name).start(&[&hold[..], more].concat())
}

#[test]
fn no_packet_has_a_wrong_source_while_holders_take_turns() {
    let name = "no_packet_has_a_wrong_source_while_holders_take_turns";
    let Some(cluster) = Cluster::for_test(name) else { return };
    let followers = cluster.govern();
    let traffic = Traffic::start(&cluster, Duration::from_millis(2));
    let mut holder = hold(&cluster, "c", &[]);
    let (mut taken, count) = (Vec::new(), cases(MOVES));
    traffic.wait_for(VIA4, Instant::now());
    for turn in 0..count {
        // A node of a pod takes part too: there, packets are rewritten where they are judged.
        let next = ["d", "a", "c"][turn as usize % 3];
        let begin = Instant::now();
        holder.stop();
        holder = hold(&cluster, next, &[]);
        cluster.node(next).wait_until("it takes over", |node| node.has(A4) && node.has(A6));
        let up = Instant::now();
        traffic.wait_for(VIA4, up);
        traffic.wait_for(VIA6, up);
        taken.push(begin.elapsed());
        traffic.seen().check(&cluster);
    }
    holder.stop();
    let seen = traffic.end();
    seen.check(&cluster);
    println!(
        "{count} failovers on request: {}; {} and {} packets through the gateway",
        said(taken),
        seen.count(VIA4),
        seen.count(VIA6)
    );
    drop(followers);
}

#[test]
fn a_killed_holder_leaves_nothing_that_sends() {
    let Some(cluster) = Cluster::for_test("a_killed_holder_leaves_nothing_that_sends") else { return };
    let followers = cluster.govern();
    let traffic = Traffic::start(&cluster, Duration::from_millis(2));
    let mut holder = hold(&cluster, "c", &[]);
    let (mut ended, count) = (Vec::new(), cases(KILLS));
    for turn in 0..count {
        let (this, next) = if turn % 2 == 0 { ("c", "d") } else { ("d", "c") };
        traffic.wait_for(VIA4, Instant::now());
        let begin = Instant::now();
        drop(holder);
        // The kernel takes the address away, and nobody else need know of it.
        cluster.node(this).wait_until("the kernel takes the address away", |node| !node.has(A4) && !node.has(A6));
        ended.push(begin.elapsed());
        holder = hold(&cluster, next, &[]);
        traffic.wait_for(VIA6, Instant::now());
    }
    holder.stop();
    traffic.end().check(&cluster);
    println!("{count} holders killed: their addresses ended after {}", said(ended));
    drop(followers);
}

/// Two agents with one lease on a server that compares and swaps; the one that holds is killed.
#[test]
fn a_lease_goes_to_the_other_when_its_holder_is_killed() {
    let Some(cluster) = Cluster::for_test("a_lease_goes_to_the_other_when_its_holder_is_killed") else { return };
    let followers = cluster.govern();
    let server = Server::start(&cluster);
    let config = cluster.write("kubeconfig", &server.kubeconfig());
    let start = |name: &str| {
        let lease =
            ["--lease", "kube-system/egress", "--identity", name, "--kubeconfig", &config, "--lease-seconds", "2"];
        hold(&cluster, name, &lease)
    };
    let traffic = Traffic::start(&cluster, Duration::from_millis(2));
    let (mut one, mut other) = (start("c"), start("d"));
    traffic.wait_for(VIA4, Instant::now());
    let (mut taken, count) = (Vec::new(), cases(LEASES));
    for _ in 0..count {
        let holder = server.holder();
        assert_eq!(["c", "d"].iter().filter(|name| cluster.node(name).has(A4)).count(), 1, "{holder}");
        let begin = Instant::now();
        let mine = if holder == "c" { &mut one } else { &mut other };
        mine.0.kill().unwrap();
        mine.0.wait().unwrap();
        let next = if holder == "c" { "d" } else { "c" };
        cluster.node(next).wait_until("it takes over", |node| node.has(A4) && node.has(A6));
        traffic.wait_for(VIA4, Instant::now());
        traffic.wait_for(VIA6, Instant::now());
        taken.push(begin.elapsed());
        assert_eq!(server.holder(), next);
        traffic.seen().check(&cluster);
        *mine = start(&holder);
        let words = format!("the lease is `{next}`'s");
        cluster.node(next).wait_until("its status", |node| node.done("status", &[]).contains(&words));
    }
    // Given back, it is free at once.
    let (holder, begin) = (server.holder(), Instant::now());
    let (goes, stays, next) = if holder == "c" { (one, other, "d") } else { (other, one, "c") };
    goes.stop();
    cluster.node(next).wait_until("it takes over", |node| node.has(A4));
    println!("{count} holders of a lease of 2 s killed: {}; given back: {:?}", said(taken), begin.elapsed());
    println!("{} changes of the lease, {} of them refused", server.writes(), server.conflicts());
    drop(stays);
    traffic.end().check(&cluster);
    drop(followers);
}
