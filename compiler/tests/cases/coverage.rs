//! Coverage: what the inventory, or a declared set, shows to be ungoverned or empty.

use crate::render;
use egress_compiler::inventory::read;
use egress_compiler::{Compiled, Input, MemoryFiles, Options, Severity, SourceText, compile};
use egress_ir::{Inventory, Node};
use std::fs;

fn compiled(text: &str, inventory: Option<&Inventory>, strict: bool) -> Compiled {
    let sources = vec![SourceText { path: "a.egress".to_owned(), bytes: text.as_bytes().to_vec() }];
    let options = Options { inventory, strict, ..Options::default() };
    compile(Input { sources, root: ".".to_owned() }, &MemoryFiles::default(), &options)
}

/// The inventory of `testdata/inventory/ok/list.json`: `shop/checkout`, `shop/waiting`, `shop/web` and, on its node's
/// network, `kube-system/proxy`.
fn inventory() -> Inventory {
    let path = crate::units::testdata().join("inventory/ok/list.json");
    read(&fs::read(path).expect("an inventory")).expect("a good inventory")
}

const PARTLY: &str = r#"
workloads checkout = pods(app=checkout) in namespace shop
workloads gone     = pods(app=gone)
workloads proxy    = pods(app=proxy)
workloads vm       = address 192.0.2.7
policy shop {
  for checkout
  allow 198.51.100.1
}
policy others { for gone, proxy }
guardrail never {
  for pods in namespace nowhere
  deny 198.51.100.2
}
policy trial {
  for all
  mode audit
}
guardrail all-of-them {
  for vm
  deny 198.51.100.3
}
"#;

#[test]
fn an_inventory_shows_what_is_ungoverned_and_what_matches_nothing() {
    insta::assert_snapshot!(render::compiled(&compiled(PARTLY, Some(&inventory()), false)), @r"
    warning egress::coverage::unmatched: the workloads `gone` match no pod of the inventory
      --> a.egress:3 `gone` matches nothing
      help: compare the selector with the labels in the cluster, or take a newer inventory

    warning egress::coverage::unmatched: the workloads `proxy` match no pod of the inventory
      --> a.egress:4 `proxy` matches nothing
        = 1 pod matches, but on its node's network, where it cannot be told from the node
      help: compare the selector with the labels in the cluster, or take a newer inventory

    warning egress::coverage::ungoverned: some of the workloads `vm` are governed by no policy, such as `192.0.2.7`
      --> a.egress:5 `vm` declared here
      help: name the set in the `for` of a policy, or add `policy lockdown { for all }`

    warning egress::coverage::unmatched: the workloads of `never` match no pod of the inventory
      --> a.egress:12 `pods in namespace nowhere` matches nothing
      help: compare the selector with the labels in the cluster, or take a newer inventory

    warning egress::coverage::ungoverned: 2 pods of namespace `shop` are governed by no policy: `shop/waiting`, `shop/web`
      help: `policy lockdown { for all }` governs everybody: what nothing allows is then denied
    ");
}

#[test]
fn without_an_inventory_declared_sets_are_judged_by_an_example() {
    let text = r#"
workloads data  = pods(tier in (etl, ml), !legacy) in namespaces(team=data)
workloads bot   = pods as serviceaccount bot
workloads other = pods(app) in namespaces(kubernetes.io/metadata.name=shop)
workloads vms   = address 192.0.2.0/24 except address 192.0.2.0/25
policy p { for pods(tier=etl), bot, address 192.0.2.128/26 }
guardrail g {
  for data, other, vms
  deny 198.51.100.3
}
"#;
    insta::assert_snapshot!(render::compiled(&compiled(text, None, false)), @r"
    warning egress::coverage::ungoverned: some of the workloads `data` are governed by no policy, such as `other/{tier=ml} (namespace team=data)`
      --> a.egress:2 `data` declared here
      help: name the set in the `for` of a policy, or add `policy lockdown { for all }`

    warning egress::coverage::ungoverned: some of the workloads `other` are governed by no policy, such as `shop/{app=other}`
      --> a.egress:4 `other` declared here
      help: name the set in the `for` of a policy, or add `policy lockdown { for all }`

    warning egress::coverage::ungoverned: some of the workloads `vms` are governed by no policy, such as `192.0.2.192`
      --> a.egress:5 `vms` declared here
      help: name the set in the `for` of a policy, or add `policy lockdown { for all }`
    ");
}

#[test]
fn governing_everybody_leaves_nothing_to_report_and_strict_makes_it_an_error() {
    let governed = format!("{PARTLY}\npolicy lockdown {{ for all }}\n");
    let found = compiled(&governed, Some(&inventory()), true).diagnostics;
    assert!(found.iter().all(|found| found.code != "egress::coverage::ungoverned"), "{found:#?}");
    let found = compiled(PARTLY, Some(&inventory()), true).diagnostics;
    let ungoverned: Vec<_> = found.iter().filter(|found| found.code == "egress::coverage::ungoverned").collect();
    assert_eq!(ungoverned.len(), 2);
    assert!(ungoverned.iter().all(|found| found.severity == Severity::Error));
}

/// The nodes of a gateway, by how many of an inventory's nodes match.
#[test]
fn an_inventory_shows_gateways_that_too_few_nodes_can_hold() {
    let text = "gateway eu { nodes(zone=eu) address 203.0.113.10 }\n\
                gateway us { nodes(zone=us) address 203.0.113.11 }\n\
                gateway ap { nodes(zone in (ap, us)) address 203.0.113.12 }\n\
                policy shop {\n  for all\n  allow 192.0.2.1 via eu\n  allow 192.0.2.2 via us\n  allow 192.0.2.3 via ap\n}\n";
    let node = |(name, zone): (&str, &str)| Node {
        name: name.to_owned(),
        labels: [("zone".to_owned(), zone.to_owned())].into(),
        addresses: Vec::new(),
    };
    let nodes: Vec<Node> = [("n1", "us"), ("n2", "ap"), ("n3", "other")].map(node).into();
    let inventory = Inventory { nodes, ..Inventory::default() };
    insta::assert_snapshot!(render::compiled(&compiled(text, Some(&inventory), false)), @r"
    warning egress::gateway::nodes: no nodes of the inventory are among the nodes of the gateway `eu`
      --> a.egress:1 `eu` nobody can hold it
      help: compare the selector with the labels of the nodes, or take a newer inventory

    warning egress::gateway::nodes: only 1 node of the inventory is among the nodes of the gateway `us`
      --> a.egress:2 `us` no other node can take over
      help: label a second node, so that flows survive the loss of the first
    ");
    assert!(compiled(text, Some(&Inventory::default()), false).diagnostics.is_empty());
}
