//! Records of real packets, as people and as Hubble read them.

use crate::support::{Node, Said, snapshot};
use serde_json::{Value, json};
use std::process::Stdio;

#[test]
fn what_is_denied_is_watched() {
    let Some(node) = Node::for_test("watch") else { return };
    let one = node.write("1.egb", snapshot(1, true));
    node.done("load", &[&one, "--cgroup", &node.cgroup(), "--identities", &node.till()]);
    assert!(!node.sends("20.0.0.9", 4242));
    let text = node.done("watch", &["--count", "1", "--for", "10", "--json"]);
    let line: Value = serde_json::from_str(&text).unwrap();
    let flow = &line["flow"];
    assert_eq!(
        (&flow["verdict"], &flow["drop_reason_desc"], &flow["traffic_direction"]),
        (&json!("DROPPED"), &json!("POLICY_DENIED"), &json!("EGRESS"))
    );
    assert_eq!(flow["IP"], json!({ "source": "10.0.0.1", "destination": "20.0.0.9", "ipVersion": "IPv4" }));
    assert_eq!(flow["l4"]["UDP"]["destination_port"], 4242);
    assert_eq!((&flow["source"]["namespace"], &flow["source"]["pod_name"]), (&json!("shop"), &json!("till")));
    assert_eq!(line["egressc"]["rule"], "shop#2");
    assert_eq!(line["egressc"]["because"], "nobody, ever");
    let age = jiff::Timestamp::now() - flow["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(age.total(jiff::Unit::Second).unwrap() < 60.0, "{age}");

    assert!(!node.sends("20.0.0.1", 4243));
    let text = node.done("watch", &["--count", "1", "--for", "10"]);
    assert!(
        text.contains(" denied  shop/till (app=checkout) 10.0.0.1 ") && text.contains("→ 20.0.0.1 4243/udp"),
        "{text}"
    );
    assert_eq!(node.done("watch", &["--for", "0"]), "");

    // One watcher at a time, as each record goes to one of them only.
    let watcher = node.command("watch", &["--for", "3"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lock = node.file("state/watch.lock");
    let mine = format!("{}\n", watcher.id());
    for _ in 0..50 {
        if std::fs::read_to_string(&lock).is_ok_and(|text| text == mine) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let said = node.run("watch", &["--for", "1"]);
    assert!(
        said.code == 2 && said.errors.contains(&format!("already watched by process {}", watcher.id())),
        "{}",
        said.errors
    );
    assert_eq!(Said::of(watcher.wait_with_output().unwrap()).code, 0);
    node.done("unload", &[]);
}
