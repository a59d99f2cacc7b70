//! Loads that succeed, and everything that follows them until unload.

use crate::support::{Node, compiled, key, read, snapshot, tables};
use serde_json::json;

#[test]
fn a_snapshot_is_loaded_asked_dumped_replaced_rolled_back_and_unloaded() {
    let Some(node) = Node::for_test("life") else { return };
    assert_eq!(node.done("status", &[]), "nothing is loaded\n");
    assert!(node.sends("20.0.0.1", 4242));
    let (first, second) = (snapshot(1, true), snapshot(2, false));
    let (one, two) = (node.write("1.egb", &first), node.write("2.egb", &second));
    let said = node.done("load", &[&one, "--cgroup", &node.cgroup(), "--identities", &node.till()]);
    assert!(said.starts_with("generation 1 (sha256:") && said.contains("is enforced at 1 attach point"), "{said}");
    assert!(node.sends("20.0.0.1", 4242) && !node.sends("20.0.0.1", 4243) && !node.sends("20.0.0.9", 4242));

    let status = node.status();
    let digest = egress_snapshot::show::hex(&read(&first).digest);
    assert_eq!(status["active"]["digest"], format!("sha256:{digest}"));
    assert_eq!((&status["active"]["generation"], &status["other"]), (&json!(1), &json!(null)));
    let point = &status["points"][0];
    assert_eq!((&point["state"], &point["who"]), (&json!("attached"), &json!("shop/till (app=checkout)")));
    assert_eq!(point["identity"]["namespace"], "shop");
    let packets = |name: &str| {
        let rules = status["active"]["rules"].as_array().unwrap();
        rules.iter().find(|rule| rule["name"] == name).unwrap()["packets"].as_u64().unwrap()
    };
    assert_eq!((packets("shop#1"), packets("shop#2")), (1, 1), "{status:#}");
    let memory = &status["active"]["memory"];
    let (predicted, charged) = (memory["predicted"].as_u64().unwrap(), memory["charged"].as_u64().unwrap());
    assert!(predicted > 0 && charged >= predicted * 9 / 10, "{memory}");
    let text = node.done("status", &[]);
    assert!(text.contains("allow shop#1\n") && text.contains("attached  cgroup "), "{text}");

    let passed = node.trace("shop/till to 20.0.0.1:4242/udp");
    assert_eq!((&passed["passes"], &passed["rules"][0]["name"]), (&json!(true), &json!("shop#1")));
    assert_eq!(node.trace("shop/other to 20.0.0.1:80/tcp")["verdict"], "ungoverned");
    let denied = node.done("trace", &[&node.cgroup(), "to", "20.0.0.9:4242/udp"]);
    assert!(denied.contains(": is denied\n") && denied.contains("shop#2 (shop.egress:6"), "{denied}");
    assert_eq!(node.status()["active"]["rules"], status["active"]["rules"], "asking counts nothing");

    node.done("dump", &["-o", &node.text("dump.egb")]);
    let dump = read(&std::fs::read(node.file("dump.egb")).unwrap());
    assert_eq!(tables(&dump), tables(&read(&first)));
    assert_eq!(dump.meta.attachments.len(), 1);
    assert_eq!(dump.meta.attachments[0].point, format!("cgroup {}", node.cgroup()));
    assert_eq!(dump.meta.row_of(dump.meta.attachments[0].identity.as_ref().unwrap()), dump.meta.attachments[0].row);
    assert_eq!(dump.meta.rules, read(&first).meta.rules);

    node.done("load", &[&two]);
    assert!(!node.sends("20.0.0.1", 4242), "the second generation denies it, at the same point");
    assert_eq!((&node.status()["active"]["generation"], &node.status()["other"]["generation"]), (&json!(2), &json!(1)));
    let said = node.done("rollback", &[]);
    assert!(said.starts_with("generation 1 (sha256:"), "{said}");
    assert!(node.sends("20.0.0.1", 4242));
    assert_eq!(node.status()["other"]["generation"], 2);
    node.done("rollback", &[]);
    assert!(!node.sends("20.0.0.1", 4242));

    node.done("unload", &[]);
    assert!(node.sends("20.0.0.1", 4242) && !node.file("bpf/egressc").exists());
    assert_eq!(node.done("status", &[]), "nothing is loaded\n");
    assert_eq!(node.run("dump", &["-o", &node.text("none")]).code, 2);
    assert_eq!(node.run("rollback", &[]).code, 2);
    assert_eq!(node.done("unload", &[]), "nothing is loaded\n");
}

#[test]
fn a_point_by_address_is_traced_where_all_addresses_are_alike() {
    let Some(node) = Node::for_test("alike") else { return };
    let policy = "policy host { for all allow 20.0.0.0/8 on 443/tcp }".to_owned();
    node.done("load", &[&node.write("1.egb", compiled(policy, 1)), "--cgroup", &node.cgroup()]);
    assert_eq!(node.trace(&format!("{} to 20.0.0.1:443/tcp", node.cgroup()))["passes"], true);
    assert_eq!(node.trace(&format!("{} to 20.0.0.1:444/tcp", node.cgroup()))["passes"], false);
    node.done("unload", &[]);
}

#[test]
fn identities_come_from_the_file_the_address_or_the_default() {
    let Some(node) = Node::for_test("identities") else { return };
    let one = node.write("1.egb", snapshot(1, true));
    let points = ["--cgroup", &node.cgroup(), "--iface", "far", "--uplink", "near"];
    let text = format!(
        r#"{{"cgroups": {{"{}": {{"namespace": "shop", "labels": {{"app": "checkout"}}}}}}, "interfaces": {{"near": "address"}}}}"#,
        node.cgroup()
    );
    let file = node.write("who.json", text);
    node.done("load", &[&[one.as_str()], points.as_slice(), &["--identities", &file]].concat());
    let judged = |node: &Node| -> Vec<String> {
        let points = node.status()["points"].as_array().unwrap().clone();
        points
            .iter()
            .map(|point| format!("{}, {}", point["who"].as_str().unwrap(), point["judged"].as_str().unwrap()))
            .collect()
    };
    let meta = read(&snapshot(1, true)).meta;
    let row = meta.pods.iter().find(|pod| pod.identity.name.as_deref() == Some("till")).unwrap().row;
    assert_eq!(
        judged(&node),
        [format!("shop/* (app=checkout), row {row}"), "unknown, unknown".into(), "by source address, address".into()]
    );
    assert_eq!(node.trace("far to 20.0.0.1:443/tcp")["verdict"], "unknown");
    let said = node.run("trace", &["near to 20.0.0.1:443/tcp"]);
    assert!(said.code == 2 && said.errors.contains("is judged by source address"), "{}", said.errors);
    assert_eq!(node.trace("10.0.0.1 to 20.0.0.1:443/tcp")["passes"], true);
    assert_eq!(node.trace("10.0.0.1 to 20.0.0.1:444/tcp")["passes"], false);

    // Points and identities stay; one goes and comes back without a file.
    let said = node.done("unload", &["--iface", "far"]);
    assert_eq!(said, "iface far is detached\n");
    assert_eq!(node.status()["points"].as_array().unwrap().len(), 2);
    node.done("load", &[&one, "--iface", "far"]);
    assert_eq!(judged(&node)[1], "by source address, address");
    assert_eq!(judged(&node)[0], format!("shop/* (app=checkout), row {row}"));

    // What the snapshot does not know is said, and unknown.
    let stranger = format!(r#"{{"cgroups": {{"{}": {{"namespace": "elsewhere"}}}}}}"#, node.cgroup());
    let said = node.run("load", &[&one, "--identities", &node.write("who.json", stranger)]);
    assert_eq!(said.code, 0, "{}", said.errors);
    assert!(judged(&node)[0].starts_with("elsewhere/*, "), "{:?}", judged(&node));

    // A cgroup that is gone stays known, and is attached again when it is back.
    std::fs::remove_dir(&node.cgroup).unwrap();
    let said = node.run("load", &[&one]);
    assert!(said.code == 0 && said.errors.contains("does not exist at the moment"), "{}", said.errors);
    assert_eq!(node.status()["points"][0]["state"], "gone");
    std::fs::create_dir(&node.cgroup).unwrap();
    assert_ne!(node.status()["points"][0]["state"], "attached");
    node.done("load", &[&one, "--identities", &node.till()]);
    assert_eq!(node.status()["points"][0]["state"], "attached");
    assert!(node.sends("20.0.0.1", 4242) && !node.sends("20.0.0.1", 4243));
    node.done("unload", &[]);
}

#[test]
fn trusted_keys_and_dry_runs() {
    let Some(node) = Node::for_test("keys") else { return };
    let (own, public) = key(&node, "own");
    let signed = node.write("signed.egb", crate::support::changed(&snapshot(1, true), |_| {}, Some(&own)));
    let arguments = [signed.as_str(), "--cgroup", &node.cgroup(), "--require-key", &public];
    let said = node.done("load", &[arguments.as_slice(), &["--dry-run"]].concat());
    assert!(said.contains("would be enforced at 1 attach point"), "{said}");
    assert!(!node.file("bpf/egressc").exists(), "nothing was there, and nothing stays");
    assert!(!node.file("state/attachments.json").exists());
    assert!(node.sends("20.0.0.1", 9));
    node.done("load", &arguments);
    assert_eq!(node.status()["active"]["signer"], format!("ed25519:{}", egress_snapshot::show::hex(&own.public())));
    let before = node.status();
    node.done("load", &[&node.write("2.egb", snapshot(2, false)), "--dry-run"]);
    assert_eq!(node.status(), before);
    node.done("unload", &[]);
}
