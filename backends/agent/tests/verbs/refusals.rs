//! Loads that are refused: each says why, and what the kernel enforces is as it was.

use crate::support::{Node, changed, key, snapshot};
use egress_snapshot::meta::Vector;
use std::fs::File;
use std::io::Write;

/// A snapshot that is sound, and whose last vector the kernel program cannot agree with: a later fragment in IPv6 of which
/// the protocol is an extension header is malformed there.
fn with_a_wrong_vector(bytes: &[u8]) -> Vec<u8> {
    let change = |snapshot: &mut egress_snapshot::Snapshot| {
        let destination = "2001:db8::1".parse().unwrap();
        let outcome = snapshot.tables.decide(0, destination, 60, 0, true);
        let vector =
            Vector { row: 0, destination, protocol: 60, number: 0, fragment: true, name_sets: Vec::new(), outcome };
        snapshot.meta.vectors.push(vector);
    };
    changed(bytes, change, None)
}

#[test]
fn refused_loads_change_nothing() {
    let Some(node) = Node::for_test("refusals") else { return };
    let (first, cgroup) = (snapshot(1, true), node.cgroup());
    let good = node.write("good.egb", snapshot(2, false));
    let ((own, public), (other, _)) = (key(&node, "own"), key(&node, "other"));
    let signed_by_other = node.write("other.egb", changed(&snapshot(2, false), |_| {}, Some(&other)));
    let signed = changed(&snapshot(2, false), |_| {}, Some(&own));
    let cut = node.write("cut.egb", &signed[..signed.len() - 1]);
    let mut flipped = signed.clone();
    flipped[5000] ^= 1;
    let flipped = node.write("flipped.egb", flipped);
    let wrong_vector = node.write("vector.egb", with_a_wrong_vector(&snapshot(2, false)));
    let unproved = changed(&snapshot(2, false), |snapshot| snapshot.meta.unproved = Some("too hard".to_owned()), None);
    let unproved = node.write("unproved.egb", unproved);
    let bad_json = node.write("bad.json", r#"{"cgroups": {}"#);
    let unknown_field = node.write("field.json", r#"{"cgroups": {}, "pods": {}}"#);
    let elsewhere = node.write("elsewhere.json", r#"{"cgroups": {"/sys/fs/cgroup/no/such": "address"}}"#);
    let v1 = node.file("v1");
    std::fs::create_dir(&v1).unwrap();
    std::fs::write(v1.join("tasks"), "").unwrap();
    let (v1, plain) = (v1.to_string_lossy().into_owned(), node.text("state"));
    let cases: [(i32, &str, &[&str]); 17] = [
        (1, "decides 2 of the test vectors otherwise: vector", &[&wrong_vector]),
        (2, "is signed by `ed25519:", &[&signed_by_other, "--require-key", &public]),
        (2, "is not signed", &[&good, "--require-key", &public]),
        (2, "no public ed25519 key", &[&good, "--require-key", &good.replace("good.egb", "bad.json")]),
        (2, "is not proved equal to its source: too hard", &[&unproved]),
        (2, "its header says", &[&cut]),
        (2, "its SHA-256 is not", &[&flipped]),
        (2, "does not begin as a snapshot does", &[&bad_json]),
        (2, "cannot read `/no/such/file`: it does not exist", &["/no/such/file"]),
        (2, "cannot find `/no/such/cgroup`: it does not exist", &[&good, "--cgroup", "/no/such/cgroup"]),
        (2, "is a cgroup of version 1", &[&good, "--cgroup", &v1]),
        (2, "is not a cgroup", &[&good, "--cgroup", &plain]),
        (2, "there is no interface `veth99`", &[&good, "--iface", "veth99"]),
        (2, "is given both as", &[&good, "--iface", "near", "--uplink", "near"]),
        (2, "not JSON", &[&good, "--identities", &bad_json]),
        (2, "`pods`: unknown field `pods`", &[&good, "--identities", &unknown_field]),
        (2, "it is not attached, and none", &[&good, "--identities", &elsewhere]),
    ];
    for (code, expected, arguments) in cases {
        let said = node.run("load", arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}", said.errors);
        assert!(said.errors.contains(expected), "{} lacks `{expected}`", said.errors);
        assert!(!node.file("bpf/egressc").exists(), "{arguments:?} left something behind");
    }
    node.done("load", &[&node.write("first.egb", &first), "--cgroup", &cgroup, "--identities", &node.till()]);
    let before = node.status();
    let files = state(&node);
    for (code, expected, arguments) in cases {
        let said = node.run("load", arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}", said.errors);
        assert!(said.errors.contains(expected), "{} lacks `{expected}`", said.errors);
        assert_eq!(node.status(), before, "{arguments:?}");
        assert_eq!(state(&node), files, "{arguments:?}");
    }
    assert!(node.sends("20.0.0.1", 4242) && !node.sends("20.0.0.1", 4243));
    node.done("load", &[&unproved, "--allow-unproved"]);
    node.done("unload", &[]);
}

/// Names and lengths of the state's files, without the lock.
fn state(node: &Node) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(node.file("state")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<(String, Vec<u8>)> =
        entries.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect();
    files.retain(|(name, _)| !name.ends_with("lock"));
    files.sort();
    files
}

#[test]
fn a_second_agent_is_refused() {
    let Some(node) = Node::for_test("second") else { return };
    let one = node.write("1.egb", snapshot(1, true));
    node.done("load", &[&one, "--cgroup", &node.cgroup()]);
    let mut lock = File::options().write(true).open(node.file("state/lock")).unwrap();
    lock.lock().unwrap();
    lock.set_len(0).unwrap();
    write!(lock, "4711").unwrap();
    for (verb, arguments) in [("load", [one.as_str()].as_slice()), ("rollback", &[]), ("unload", &[])] {
        let said = node.run(verb, arguments);
        assert_eq!(said.code, 2, "{}", said.errors);
        assert!(said.errors.contains("another agent is at work: process 4711"), "{}", said.errors);
    }
    assert_eq!(node.status()["active"]["generation"], 1, "looking is free");
    drop(lock);
    node.done("unload", &[]);
}

#[test]
fn what_is_missing_around_it_is_said() {
    let Some(node) = Node::for_test("around") else { return };
    let one = node.write("1.egb", snapshot(1, true));
    std::fs::create_dir(node.file("plain")).unwrap();
    let plain = node.text("plain");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_egress-agent"));
    command.args(["load", &one, "--bpffs", &plain, "--state", &node.text("state")]);
    let said = crate::support::Said::of(command.output().unwrap());
    let expected = format!(
        "egress-agent: `{plain}` is not a BPF file system\n  help: mount one with `mount -t bpf bpf {plain}`\n"
    );
    assert!(said.code == 2 && said.errors.ends_with(&expected), "{}", said.errors);
    // Root without any capability may write files, but not touch the kernel.
    let mut command = std::process::Command::new("setpriv");
    command.args(["--inh-caps", "-all", "--bounding-set", "-all", env!("CARGO_BIN_EXE_egress-agent")]);
    command.args(["load", &one, "--bpffs", &node.text("bpf"), "--state", &node.text("state")]);
    let said = crate::support::Said::of(command.output().unwrap());
    assert!(said.code == 2 && said.errors.contains("no privilege to "), "{}", said.errors);
    assert!(said.errors.contains("\n  help: run as root"), "{}", said.errors);
    assert!(!node.file("bpf/egressc").join("place-0").exists());
}
