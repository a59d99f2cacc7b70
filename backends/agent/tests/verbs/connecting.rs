//! `load --connect`: attempts that fail at once, and the process in the record.

use crate::support::{Node, run, snapshot};
use serde_json::{Value, json};

/// What a process of the cgroup is told that connects; nothing when it waits in vain.
fn connects(node: &Node, address: &str, port: u16) -> Option<bool> {
    let join = format!("echo $$ > {}/cgroup.procs && exec 3<>/dev/tcp/{address}/{port}", node.cgroup());
    let done = run("timeout", &["0.5", "bash", "-c", &join]);
    match done {
        Ok(()) => Some(true),
        Err(why) if why.contains("Operation not permitted") => Some(false),
        Err(_) => None,
    }
}

#[test]
fn denied_connections_fail_at_once_where_it_is_asked_for() {
    let Some(node) = Node::for_test("connecting") else { return };
    let (one, two) = (node.write("1.egb", snapshot(1, true)), node.write("2.egb", snapshot(2, false)));
    let point = |node: &Node| node.status()["points"][0].clone();
    let links = || {
        let names = std::fs::read_dir(node.file("bpf/egressc/links")).unwrap();
        let mut names: Vec<String> = names.map(|name| name.unwrap().file_name().to_string_lossy().into()).collect();
        names.sort();
        names
    };
    let refused = node.run("load", &[&one, "--connect"]);
    assert!(refused.code == 2 && refused.errors.contains("`--connect` is for cgroups"), "{}", refused.errors);
    assert_eq!(node.done("status", &[]), "nothing is loaded\n");

    node.done("load", &[&one, "--cgroup", &node.cgroup(), "--identities", &node.till()]);
    assert_eq!((links(), point(&node).get("connect")), (vec!["0-in".to_owned(), "0-out".to_owned()], None));
    assert_eq!(connects(&node, "20.0.0.9", 4242), None, "it waits for an answer");

    // The point stays as it is, and gets the hooks besides.
    node.done("load", &[&one, "--connect"]);
    assert_eq!(links(), ["0-connect4", "0-connect6", "0-in", "0-out", "0-sendmsg4", "0-sendmsg6"]);
    assert_eq!(point(&node)["connect"], "attached");
    assert!(node.done("status", &[]).contains(", fails early\n"));
    let state = std::fs::read_to_string(node.file("state/attachments.json")).unwrap();
    assert!(state.contains("\"connect\": true"), "{state}");
    assert_eq!(connects(&node, "20.0.0.9", 4242), Some(false));
    let mut last = Value::Null;
    for line in node.done("watch", &["--for", "1", "--json"]).lines() {
        last = serde_json::from_str(line).unwrap();
    }
    assert_eq!((&last["flow"]["verdict"], &last["egressc"]["command"]), (&json!("DROPPED"), &json!("bash")), "{last}");
    assert!(last["egressc"]["pid"].as_u64().is_some_and(|pid| pid > 1), "{last}");
    assert_eq!(last["egressc"]["rule"], "shop#2");
    assert_eq!(connects(&node, "20.0.0.9", 4242), Some(false));
    let text = node.done("watch", &["--for", "1"]);
    assert!(text.contains(", process ") && text.contains(" `bash`"), "{text}");

    // It stays with the point, over loads and back.
    assert!(node.sends("20.0.0.1", 4242));
    node.done("load", &[&two]);
    assert!(!node.sends("20.0.0.1", 4242) && connects(&node, "20.0.0.9", 4242) == Some(false));
    node.done("rollback", &[]);
    assert!(node.sends("20.0.0.1", 4242));
    std::fs::remove_file(node.file("bpf/egressc/links/0-connect4")).unwrap();
    assert_eq!(point(&node)["connect"], "missing");
    assert!(node.done("status", &[]).contains(", should fail early and does not\n"));
    node.done("load", &[&one]);
    assert_eq!(point(&node)["connect"], "attached");
    node.done("unload", &["--cgroup", &node.cgroup()]);
    assert_eq!(links(), Vec::<String>::new());
    node.done("load", &[&one, "--cgroup", &node.cgroup()]);
    assert_eq!(point(&node).get("connect"), None);
    node.done("unload", &[]);
}
