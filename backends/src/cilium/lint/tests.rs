//! Each mistake once, with its place; and texts without mistakes.

use egress_ir::{Inventory, Node};

use super::lint;
use crate::lint::Finding;

/// A policy with these parts in flow style.
fn policy(name: &str, selectors: &str, destinations: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: cilium.io/v2\nkind: CiliumEgressGatewayPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
         selectors: {selectors}\n  destinationCIDRs: {destinations}\n  {rest}\n"
    )
}

const WEB: &str = "[{podSelector: {matchLabels: {app: web}}}]";
const EU: &str = "egressGateway: {nodeSelector: {matchLabels: {zone: eu}}, egressIP: 203.0.113.10}";
const US: &str = "egressGateway: {nodeSelector: {matchLabels: {zone: us}}, egressIP: 198.51.100.10}";

fn node(name: &str, zone: &str, address: &str) -> Node {
    let address = address.parse().expect("an address");
    Node { name: name.into(), labels: [("zone".to_owned(), zone.to_owned())].into(), addresses: vec![address] }
}

/// Codes with the texts that they blame; a map in braces ends with its content.
fn blamed(text: &str, found: &[Finding]) -> Vec<(&'static str, String)> {
    found.iter().map(|finding| (finding.code, text[finding.span.clone()].trim_end_matches('}').to_owned())).collect()
}

#[test]
fn every_mistake_is_found_where_it_is() {
    let eu = |name: &str, selectors: &str, destinations: &str| policy(name, selectors, destinations, EU);
    let us = |destinations: &str, more: &str| policy("us", WEB, destinations, &format!("{US}\n  {more}"));
    let cases = [
        (eu("eu", WEB, "[10.0.0.0/8]") + &us("[10.0.0.0/8]", ""), vec![("CG001", "10.0.0.0/8")]),
        (eu("eu", WEB, "[10.0.0.0/8]") + &us("[10.8.0.0/16]", ""), vec![("CG003", "10.8.0.0/16")]),
        (
            eu("eu", WEB, "[10.0.0.0/8]") + &us("[10.8.0.0/16]", "excludedCIDRs: [10.8.1.0/24]"),
            vec![("CG003", "10.8.0.0/16"), ("CG002", "10.8.1.0/24")],
        ),
        (us("[10.8.0.0/16]", "excludedCIDRs: [10.9.0.0/16]"), vec![("CG010", "10.9.0.0/16")]),
        (
            eu(
                "eu",
                "[{podSelector: {}, nodeSelector: {matchLabels: {zone: a}}}, {namespaceSelector: {}}]",
                "[10.0.0.0/8]",
            ),
            vec![("CG004", "{podSelector: {}, nodeSelector: {matchLabels: {zone: a}}}")],
        ),
        (
            eu("eu", "[{podSelector: {matchLabels: {pod-template-hash: x}}}]", "[10.0.0.0/8]"),
            vec![("CG012", "{podSelector: {matchLabels: {pod-template-hash: x}}}")],
        ),
        (
            us(
                "[10.8.0.0/16]",
                "egressGateways: [{nodeSelector: {}, egressIP: 192.0.2.1}, {nodeSelector: {}, egressIP: 192.0.2.2}]",
            ),
            vec![("CG008", "{nodeSelector: {}, egressIP: 192.0.2.2}")],
        ),
        (
            eu("eu", WEB, "[10.0.0.0/8, '2001:db8::/32']"),
            vec![("CG009", "{nodeSelector: {matchLabels: {zone: eu}}, egressIP: 203.0.113.10}")],
        ),
        (
            policy("eth", WEB, "[10.0.0.0/8]", "egressGateway: {nodeSelector: {}, interface: eth1}"),
            vec![("CG011", "{nodeSelector: {}, interface: eth1}")],
        ),
        (policy("bad", WEB, "[10.0.0.0/40]", EU), vec![("CG000", "destinationCIDRs: [10.0.0.0/40]")]),
    ];
    for (text, expected) in cases {
        let found = lint(&text, None);
        let expected: Vec<(&str, String)> =
            expected.into_iter().map(|(code, part)| (code, part.trim_end_matches('}').to_owned())).collect();
        assert_eq!(blamed(&text, &found), expected, "{found:#?}\n{text}");
        for finding in found {
            let said = [&finding.object, &finding.message, &finding.happens, &finding.fix];
            assert!(said.into_iter().all(|part| !part.is_empty() && !part.ends_with('.')), "{finding:?}");
        }
    }
}

#[test]
fn nodes_are_looked_at_where_an_inventory_shows_them() {
    let text = policy("eu", WEB, "[10.0.0.0/8]", EU);
    let (own, other) = ("203.0.113.10", "192.0.2.1");
    let cases: [(Vec<Node>, &[&str]); 5] = [
        (vec![], &["CG005"]),
        (vec![node("a", "eu", own)], &["CG006"]),
        (vec![node("a", "eu", own), node("b", "eu", other)], &[]),
        (vec![node("a", "eu", other), node("b", "eu", own)], &["CG007"]),
        (vec![node("a", "eu", other), node("b", "eu", other)], &["CG007"]),
    ];
    for (nodes, expected) in cases {
        let inventory = Inventory { nodes, ..Inventory::default() };
        let codes: Vec<&str> = lint(&text, Some(&inventory)).iter().map(|finding| finding.code).collect();
        assert_eq!(codes, expected, "{inventory:?}");
    }
}

#[test]
fn policies_that_share_no_pod_or_no_address_are_left_alone() {
    let other_pods = policy("us", "[{podSelector: {matchLabels: {app: db}}}]", "[10.0.0.0/8]", US);
    let other_place = policy("us", WEB, "[20.0.0.0/8]", US);
    let same_way = policy("eu-too", WEB, "[10.0.0.0/8]", EU);
    let eu = policy("eu", WEB, "[10.0.0.0/8]", EU);
    let foreign = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 2}\n";
    for other in [&other_pods, &other_place, &same_way, foreign] {
        assert_eq!(lint(&format!("{eu}{other}"), None), [], "{other}");
    }
    let broken = lint("a: [", None);
    assert_eq!(broken.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["CG000"]);
}
