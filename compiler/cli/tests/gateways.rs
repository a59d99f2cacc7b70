//! Gateways end to end: which targets route, that filter and route are proved together, and what is refused.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a case that cannot be read must stop the test"
)]

#[cfg(test)]
mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use support::{Folder, Run};

const POLICY: &str = r"
cluster prod { pods 10.42.0.0/16 services 10.43.0.0/16 nodes 192.168.10.0/24 }
gateway eu { nodes(zone=eu) address 203.0.113.10 }
policy shop {
  for pods(app=checkout) in namespace shop
  allow 198.51.100.0/24 on 443/tcp via eu
  allow 192.0.2.0/24
}
policy lockdown { for all }
assert pods(app=checkout) in namespace shop can reach 198.51.100.0/24 only via eu
";

/// Two nodes that can hold the gateway, the pod that leaves through it, and another.
const INVENTORY: &str = r#"{ "kind": "List", "items": [
  { "kind": "Namespace", "metadata": { "name": "shop" } },
  { "kind": "Node", "metadata": { "name": "n1", "labels": { "zone": "eu" } },
    "status": { "addresses": [ { "type": "InternalIP", "address": "192.168.10.1" } ] } },
  { "kind": "Node", "metadata": { "name": "n2", "labels": { "zone": "eu" } },
    "status": { "addresses": [ { "type": "InternalIP", "address": "192.168.10.2" } ] } },
  { "kind": "Pod", "metadata": { "name": "checkout-1", "namespace": "shop", "labels": { "app": "checkout" } },
    "spec": { "nodeName": "n1" }, "status": { "phase": "Running", "podIPs": [ { "ip": "10.42.0.7" } ] } },
  { "kind": "Pod", "metadata": { "name": "web-1", "namespace": "shop", "labels": { "app": "web" } },
    "spec": { "nodeName": "n2" }, "status": { "phase": "Running", "podIPs": [ { "ip": "10.42.1.7" } ] } }
] }"#;

/// The policy and its inventory, with the gateway's address managed or not.
fn folder(managed: bool) -> Folder {
    let address = if managed { "203.0.113.10 managed" } else { "203.0.113.10" };
    let policy = POLICY.replace("203.0.113.10", address);
    Folder::new(&[("p.egress", &policy), ("inventory.json", INVENTORY), ("out/made", "here")])
}

fn compile(folder: &Folder, targets: &str) -> Run {
    let mut arguments = vec!["compile", "p.egress", "--inventory", "inventory.json", "--target", targets];
    arguments.extend(["--out-dir", "out"]);
    if targets == "cilium,kube-vip" {
        arguments.extend(["--vip-image", "pause:3"]);
    }
    folder.run(&arguments)
}

fn codes(run: &Run) -> BTreeSet<String> {
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    let findings = report["findings"].as_array().unwrap().iter();
    findings.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

/// Holds an artifact, and what routes behind it, against the policy.
fn verify(folder: &Folder, artifact: &str, router: Option<&str>) -> Run {
    let mut arguments = vec!["verify", "p.egress", "--inventory", "inventory.json", "--format", "json"];
    arguments.extend(["--artifact", artifact]);
    arguments.extend(router.into_iter().flat_map(|router| ["--routed-by", router]));
    folder.run(&arguments)
}

#[test]
fn every_target_that_routes_is_proved_with_its_gateways_and_refuted_without() {
    let targets = [("nftables", "out/egress.nft"), ("cilium", "out/egress.cilium.yaml"), ("ebpf", "out/egress.egb")];
    for (target, file) in targets {
        let folder = folder(false);
        let run = compile(&folder, target);
        assert_eq!(run.code, Some(0), "{target}: {run:?}");
        assert!(run.stdout.contains("proved equal to its source"), "{target}: {}", run.stdout);
        assert_eq!(verify(&folder, file, None).code, Some(0), "{target}");

        // The same artifact, held against a policy that means another way.
        for (from, to) in [(" via eu", ""), ("address 203.0.113.10", "address 203.0.113.11")] {
            let meant = POLICY.replace(from, to).replace("only via eu", "");
            let meant: String =
                meant.lines().filter(|line| !line.starts_with("assert")).map(|l| format!("{l}\n")).collect();
            folder.write("p.egress", meant.as_bytes());
            let run = verify(&folder, file, None);
            assert_eq!(run.code, Some(1), "{target}, {to}: {run:?}");
            // An address that no gateway of the policy has is on no node, as far as the policy says.
            let foreign = target == "nftables" && !from.starts_with(" via");
            let code = if foreign { "egress::artifact::narrower" } else { "egress::artifact::rerouted" };
            assert!(codes(&run).contains(code), "{target}, {to}: {run:?}");
        }
    }
}

#[test]
fn kube_vip_routes_what_another_target_filters() {
    for (target, file) in [("nftables", "out/egress.nft"), ("ebpf", "out/egress.egb")] {
        let folder = folder(true);
        let run = compile(&folder, &format!("{target},kube-vip"));
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(run.stdout.contains("with what kube-vip routes, for "), "{}", run.stdout);
        let router = "out/egress.kube-vip.yaml";
        assert_eq!(verify(&folder, file, Some(router)).code, Some(0));

        let alone = verify(&folder, file, None);
        assert_eq!(alone.code, Some(1), "{alone:?}");
        assert!(codes(&alone).contains("egress::artifact::rerouted"), "{alone:?}");

        let text = folder.read(router);
        for (from, to) in
            [("203.0.113.10", "203.0.113.11"), ("198.51.100.0/24", "198.51.100.0/25"), ("checkout", "web")]
        {
            assert!(text.contains(from), "{from} is not in {text}");
            folder.write("edited.yaml", text.replace(from, to).as_bytes());
            let run = verify(&folder, file, Some("edited.yaml"));
            assert_eq!(run.code, Some(1), "{from} for {to}: {run:?}");
            assert!(codes(&run).contains("egress::artifact::rerouted"), "{from} for {to}: {run:?}");
        }
    }
}

#[test]
fn cilium_follows_the_addresses_that_kube_vip_brings_up() {
    let folder = folder(true);
    let run = compile(&folder, "cilium,kube-vip");
    assert_eq!(run.code, Some(0), "{run:?}");
    let (policies, services) = (folder.read("out/egress.cilium.yaml"), folder.read("out/egress.kube-vip.yaml"));
    assert!(services.contains("203.0.113.10") && !services.contains("kube-vip.io/egress:"), "{services}");
    let label = policies.lines().find(|line| line.contains("kube-vip.io/")).unwrap_or_else(|| panic!("{policies}"));
    assert!(label.contains("203.0.113.10"), "{label}");
    assert_eq!(verify(&folder, "out/egress.cilium.yaml", Some("out/egress.kube-vip.yaml")).code, Some(0));
}

#[test]
fn whoever_only_routes_needs_somebody_who_filters() {
    for (managed, targets, code) in [
        (true, "kube-vip", "egress::target::facets"),
        (false, "nftables,kube-vip", "egress::target::gateway"),
        (true, "cilium,nftables,kube-vip", "egress::target::facets"),
        (true, "cilium", "egress::target::gateway"),
        (true, "cilium,kube-vip", "egress::target::option"),
    ] {
        let folder = folder(managed);
        let arguments =
            ["compile", "p.egress", "--inventory", "inventory.json", "--out-dir", "out", "--format", "json"];
        let run = folder.run(&[&arguments[..], &["--target", targets]].concat());
        assert_eq!(run.code, Some(1), "{targets}: {run:?}");
        assert!(codes(&run).contains(code), "{targets}: {run:?}");
        assert_eq!(folder.names(), ["inventory.json", "out", "p.egress"], "{targets}");
    }
    let folder = folder(true);
    assert_eq!(compile(&folder, "nftables,kube-vip").code, Some(0));
    let router = ["verify", "p.egress", "--routed-by", "out/egress.kube-vip.yaml"];
    assert_eq!(folder.run(&router).code, Some(2));
    let alone = ["verify", "p.egress", "--artifact", "out/egress.kube-vip.yaml", "--target", "kube-vip"];
    assert_eq!(folder.run(&alone).code, Some(2));
    folder.write("none.yaml", b"# nothing\n");
    let unrouted = verify(&folder, "out/egress.nft", Some("none.yaml"));
    assert_eq!(unrouted.code, Some(1), "no Service is no route: {unrouted:?}");
    assert_eq!(verify(&folder, "out/egress.nft", Some("inventory.json")).code, Some(2));
}
