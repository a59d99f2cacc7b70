//! Coverage: what the inventory, or a declared set, shows to be ungoverned or empty.

use crate::render;
use egress_compiler::inventory::read;
use egress_compiler::{Compiled, Input, MemoryFiles, Options, Severity, SourceText, compile};
use egress_ir::Inventory;
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
