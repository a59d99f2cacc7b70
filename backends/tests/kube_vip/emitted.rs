//! What a small policy becomes, and what is refused, as snapshots that people read.

use crate::draft::{CLUSTER, Draft, compiled, pods, small};
use crate::snapshot;
use egress_backends::kube_vip::{Installed, Options, Settings, decode, emit, node_label, rules, service_name};
use std::fmt::Write as _;

#[test]
fn a_small_policy() {
    let Draft { program, inventory } = small();
    let options = Options { source_digest: "sha256:9f2c41".to_owned(), ..Options::default() };
    let artifact = emit(&program, Some(&inventory), &options).unwrap();
    assert_eq!(emit(&program, Some(&inventory), &options).unwrap(), artifact);
    let installed = rules(&decode(&artifact.bytes).unwrap(), &inventory, &Settings::assumed(&program));
    let text = String::from_utf8(artifact.bytes).unwrap();
    snapshot("emit", "small", &format!("{text}\n# What kube-vip installs:\n{installed}"));
}

#[test]
fn addresses_alone() {
    let Draft { program, .. } = small();
    let artifact =
        emit(&program, None, &Options { vip_only: true, image: Some("pause:3".into()), ..Options::default() }).unwrap();
    let (key, value) = node_label(&service_name("eu", true), "kube-system", "2001:db8:ffff::10".parse().unwrap());
    let label = format!("# The node is labelled {key}={value}\n");
    let model = decode(&artifact.bytes).unwrap();
    assert!(model.services.len() == 3 && model.services.iter().all(|service| !service.has_egress()));
    snapshot("emit", "addresses", &(String::from_utf8(artifact.bytes).unwrap() + &label));
}

/// Policies that kube-vip cannot route, each for another reason.
const REFUSED: [(&str, &str); 13] = [
    ("several pods", "policy p { for pods(app=web) in namespace shop allow 198.51.100.0/24 via us }"),
    ("no pod", "policy p { for pods(app=none) in namespace shop allow 198.51.100.0/24 via us }"),
    ("addresses", "policy p { for address 10.250.0.0/24 allow 198.51.100.0/24 via us }"),
    ("everybody", "policy p { for all allow 198.51.100.0/24 via us }"),
    ("operators", "policy p { for pods(app in (checkout, none)) in namespace shop allow 198.51.100.0/24 via us }"),
    ("not unique", "policy p { for pods(tier=back, !legacy) in namespace shop allow 198.51.100.0/24 via us }"),
    ("no address of the family", "policy p { for pods(app=checkout) in namespace shop allow 2001:db8:1::/48 via us }"),
    (
        "not managed",
        "gateway own { address 203.0.113.30 } policy p { for pods(app=checkout) in namespace shop allow 198.51.100.0/24 via own }",
    ),
    (
        "another node",
        "gateway far { nodes(egress-zone=us) address 203.0.113.40 managed } policy p { for pods(app=checkout) in namespace shop allow 198.51.100.0/24 via far }",
    ),
    (
        "too few addresses",
        "policy p { for pods(app=checkout) in namespace shop allow 198.51.100.0/24 via us } policy q { for pods(app=mail) in namespace shop allow 198.51.100.0/24 via us }",
    ),
    (
        "ports by network",
        "policy p { for pods(app=checkout) in namespace shop allow 198.51.100.0/24 on 443/tcp via us allow 198.51.101.0/24 on 25/tcp via us allow 198.51.100.0/24 on 25/tcp allow 198.51.101.0/24 on 443/tcp }",
    ),
    (
        "names beside addresses",
        "policy p { for pods(app=checkout) in namespace shop allow host api.example.com on 443/tcp via eu allow 198.51.100.0/24 on 443/tcp }",
    ),
    (
        "protocols",
        "policy p { for pods(app=checkout) in namespace shop allow 198.51.100.0/24 on icmp via us allow 198.51.100.0/24 on tcp }",
    ),
];

fn running() -> String {
    pods(&[
        ("checkout-1", &[("app", "checkout"), ("tier", "back")], &["10.42.0.7", "fd00:42::7"]),
        ("mail-1", &[("app", "mail"), ("tier", "back"), ("legacy", "yes")], &["10.42.0.8"]),
        ("web-1", &[("app", "web")], &["10.42.0.9"]),
        ("web-2", &[("app", "web")], &["10.42.0.10"]),
    ])
}

#[test]
fn what_kube_vip_cannot_do_is_refused() {
    let mut shown = String::new();
    let without_services = "cluster prod { pods 10.42.0.0/16 }\ngateway us { address 203.0.113.20 managed }\n\
                            policy p { for pods(app=checkout) in namespace shop allow 198.51.100.0/24 via us }\n";
    let all = REFUSED.map(|(what, policy)| (what, format!("{CLUSTER}{policy}\n"), true));
    let few = [("no services", true), ("no inventory", false)]
        .map(|(what, known)| (what, without_services.to_owned(), known));
    for (what, policy, known) in all.into_iter().chain(few) {
        let Draft { program, inventory } = compiled(&policy, &running());
        let errors = emit(&program, known.then_some(&inventory), &Options::default()).unwrap_err();
        writeln!(shown, "# {what}").unwrap();
        for error in errors {
            let name = error.origin.map_or("", |origin| &program.origins.entries.at(origin).name);
            writeln!(shown, "{} at {name}\n  {}\n  help: {}", error.code, error.message, error.help).unwrap();
        }
    }
    snapshot("emit", "refused", &shown);
}

/// Policies that need a form of the lists of their own, and can be said.
const SAID: [(&str, &str); 6] = [
    (
        "ports where one network is meant",
        "allow 198.51.100.0/24 on 443/tcp, 53/udp via us allow 198.51.100.0/24 on 25/tcp",
    ),
    (
        "networks where nothing else leaves there",
        "allow 198.51.100.0/24, 192.0.2.0/25 on 443/tcp via us allow 8.8.8.8 on 53/udp",
    ),
    ("everything where everything is meant", "allow world via eu deny private"),
    ("names, where nothing leaves by the node", "allow host api.example.com on 443/tcp via eu deny 169.254.169.254"),
    (
        "ports, with holes where they leave by the node",
        "allow 198.51.100.0/24, 192.0.2.0/25 on 443/tcp via us allow 198.51.0.0/16 on 443/tcp, 22/tcp deny 198.51.100.7",
    ),
    ("two gateways", "allow 198.51.100.0/24 on 443/tcp via us allow 192.0.2.0/25 via eu"),
];

#[test]
fn each_policy_takes_the_lists_that_work() {
    let mut shown = String::new();
    for (what, rules_of) in SAID {
        let policy = format!("{CLUSTER}policy p {{ for pods(app=checkout) in namespace shop {rules_of} }}\n");
        let Draft { program, inventory } = compiled(&policy, &running());
        writeln!(shown, "# {what}: {rules_of}").unwrap();
        match emit(&program, Some(&inventory), &Options::default()) {
            Ok(artifact) => {
                let model = decode(&artifact.bytes).unwrap();
                let installed = rules(&model, &inventory, &Settings::assumed(&program));
                assert!(installed.services.iter().all(|(_, it)| matches!(it, Installed::Chain(_))), "{installed:?}");
                write!(shown, "{installed}").unwrap();
            }
            Err(errors) => writeln!(shown, "refused: {}", errors[0].message).unwrap(),
        }
    }
    snapshot("emit", "lists", &shown);
}
