//! Agents that are killed: always one whole generation is enforced, and the next agent goes on.
//!
//! `EGRESS_CASES` says how often, `EGRESS_SEED` when.

use crate::support::{Node, snapshot};
use egress_testkit::seed::{Rng, cases};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn killed_loads_leave_one_whole_generation() {
    let Some(node) = Node::for_test("killed") else { return };
    let files = [node.write("0.egb", snapshot(10, true)), node.write("1.egb", snapshot(11, false))];
    let begin = Instant::now();
    node.done("load", &[&files[0], "--cgroup", &node.cgroup(), "--identities", &node.till()]);
    let whole = begin.elapsed().as_micros() as u64;
    let mut rng = Rng::new(egress_testkit::seed::seed(), 0);
    let (mut killed, mut seen) = (0, [0, 0]);
    for case in 0..cases(24) as usize {
        let wanted = &files[(case + 1) % 2];
        let mut agent = node.command("load", &[wanted]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(rng.between(0, whole + whole / 4)));
        agent.kill().unwrap();
        killed += u32::from(!agent.wait().unwrap().success());
        let status = node.status();
        let generation = status["active"]["generation"].as_u64().unwrap();
        let sends = (node.sends("20.0.0.1", 4242), node.sends("20.0.0.1", 4243), node.sends("20.0.0.9", 4242));
        assert_eq!(sends, (generation == 10, false, false), "generation {generation}");
        assert!(status["active"]["digest"].is_string(), "{status:#}");
        assert_eq!(status["points"][0]["state"], "attached");
        seen[(generation - 10) as usize] += 1;
    }
    assert!(killed > 0 && seen[0] + seen[1] > 0, "{killed} killed, {seen:?}");
    node.done("load", &[&files[1]]);
    assert_eq!(node.status()["active"]["generation"], 11);
    let left: Vec<String> = std::fs::read_dir(node.file("state"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".next"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    node.done("unload", &[]);
}
