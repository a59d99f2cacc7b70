//! Artifacts of which a plane says nothing, and bytes that are no artifact: each says what is not understood.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a case that cannot be built must stop the test"
)]

use std::collections::BTreeSet;

use egress_backends::cilium::decode;
use egress_backends::cilium::plane::plane;
use egress_ir::{
    AddressSet, Cluster, Destination, Flow, Gateway, GatewayAddress, Operator, Origin, Outcome, Plane, Port, Prefix,
    Program, Requirement, Selector, Vocabulary,
};

fn program() -> Program {
    let pods = AddressSet::from_prefixes([Prefix::containing("10.42.0.0".parse().expect("an address"), 16)]);
    let empty = AddressSet::empty;
    Program { cluster: Cluster::new(None, pods, empty(), empty()), ..Program::default() }
}

/// Why the plane of a specification is unclear, for some sender.
fn why(spec: &str) -> String {
    let text = format!(
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {{name: one}}\nspec: {spec}\n"
    );
    let model = decode(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let program = program();
    let plane = match plane(&model, &program, None) {
        Ok(plane) => plane,
        Err(why) => return why.reason,
    };
    let mut vocabulary = Vocabulary::new(&plane.hosts());
    let senders = 0..plane.senders().len();
    let found = senders.filter_map(|sender| plane.pieces(sender, false, &mut vocabulary).err()).next();
    found.map_or_else(|| "clear".to_owned(), |why| why.reason)
}

#[test]
fn what_is_unclear_is_named() {
    let cases = [
        ("{endpointSelector: {}, egress: [{toEntities: [world]}]}", "clear"),
        (
            "{endpointSelector: {matchLabels: {app: a, pod-template-hash: b}}, egress: [{toEntities: [cluster]}]}",
            "clear",
        ),
        (
            "{endpointSelector: {matchLabels: {io.cilium.k8s.policy.cluster: east}}, egress: [{}]}",
            "`io.cilium.k8s.policy.cluster`",
        ),
        ("{endpointSelector: {}, egress: [{toEntities: [kube-apiserver]}]}", "treats API servers unlike"),
        (
            "{endpointSelector: {}, egress: [{toEndpoints: [{matchLabels: {'reserved:world': ''}}]}]}",
            "`reserved:` label",
        ),
        (
            "{endpointSelector: {}, egress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]}]}",
            "HTTP rules",
        ),
        (
            "{endpointSelector: {}, egress: [{toFQDNs: [{matchPattern: 'a*.x.test'}]}, \
             {toEntities: [cluster], toPorts: [{ports: [{port: '53'}], rules: {dns: [{matchPattern: '*'}]}}]}]}",
            "`a*.x.test`",
        ),
        (
            "{endpointSelector: {}, egress: [{toFQDNs: [{matchName: a.x.test}]}, \
             {toCIDR: [192.0.2.0/24], toPorts: [{ports: [{port: '53'}], rules: {dns: [{matchPattern: '*'}]}}]}]}",
            "resolves to, and it is not certain that pods learn that name",
        ),
        ("{endpointSelector: {}, egress: [{toFQDNs: [{matchPattern: 'a*.x.test'}]}]}", "clear"),
    ];
    for (spec, expected) in cases {
        let found = why(spec);
        assert!(found.contains(expected), "{spec}: {found}");
        assert!(
            expected == "clear"
                || expected.starts_with("resolves")
                || found.contains("policy/one")
                || found.contains("Policy/one"),
            "{found}"
        );
    }
}

/// A program with two gateways, each on the nodes of a zone of its name.
fn with_gateways() -> Program {
    let mut program = program();
    let source = program.origins.sources.push("gateways.egress".to_owned());
    for (name, address) in [("eu", "203.0.113.10"), ("us", "198.51.100.10")] {
        let origin = program.origins.entries.push(Origin::at(name.to_owned(), source, 0, 1, 1));
        let zone = Requirement { key: "zone".to_owned(), operator: Operator::In([name.to_owned()].into()) };
        let addresses = vec![GatewayAddress { address: address.parse().expect("an address"), managed: false }];
        program.gateways.push(Gateway { name: name.to_owned(), nodes: Some(Selector(vec![zone])), addresses, origin });
    }
    program
}

/// What a plane says of flows from any pod to 192.0.2.1, by its pieces and by its evaluator: a gateway's name, `direct`,
/// `misrouted`, `dropped`, or why it is unclear.
fn way(objects: &[(&str, &str, &str)]) -> String {
    let object = |(kind, name, spec): &(&str, &str, &str)| {
        format!("---\napiVersion: cilium.io/v2\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    };
    let text: String = objects.iter().map(object).collect();
    let model = decode(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let program = with_gateways();
    let plane = plane(&model, &program, None).expect("pods are clear");
    let address = "192.0.2.1".parse().expect("an address");
    let found = (0..plane.senders().len()).map(|sender| {
        let mut vocabulary = Vocabulary::new(&plane.hosts());
        let workload = plane.senders()[sender].workload.clone();
        let flow = Flow { workload, destination: Destination::unnamed(address), port: Port::tcp(443) };
        let replayed = plane.replay(sender, &flow);
        let pieces = match plane.pieces(sender, false, &mut vocabulary) {
            Ok(pieces) => pieces,
            Err(why) => return (why.reason, replayed.is_err()),
        };
        let at = egress_ir::address::to_bits(address);
        let piece = pieces.iter().find(|piece| piece.start <= at && at <= piece.end).expect("a piece");
        let list = vocabulary.list_at(piece.list);
        let matching = list.entries.iter().find(|entry| vocabulary.ports_at(entry.ports).contains(flow.port));
        let outcome = matching.map_or(list.default, |entry| entry.outcome);
        let name = match outcome {
            Outcome::Passes(Some(id)) => program.gateways.at(id).name.clone(),
            Outcome::Passes(None) => "direct".to_owned(),
            Outcome::Dropped => "dropped".to_owned(),
            Outcome::Misrouted => "misrouted".to_owned(),
        };
        (name, replayed == Ok(outcome))
    });
    let found: BTreeSet<(String, bool)> = found.collect();
    assert!(found.len() == 1 && found.iter().all(|(_, replayed)| *replayed), "{found:?}\n{text}");
    found.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn gateways_are_said_by_their_addresses_or_unclear() {
    const GATEWAY: &str = "CiliumEgressGatewayPolicy";
    let policy = |rest: &str| format!("{{selectors: [{{podSelector: {{}}}}], {rest}}}");
    let to = |rest: &str| policy(&format!("destinationCIDRs: [192.0.2.0/24], {rest}"));
    let eu = "egressGateway: {nodeSelector: {matchLabels: {zone: eu}}, egressIP: 203.0.113.10}";
    let us = "egressGateway: {nodeSelector: {matchLabels: {zone: us}}, egressIP: 198.51.100.10}";
    let one = |spec: String, expected: &'static str| (vec![(GATEWAY, "one", spec)], expected);
    let beside = |other: (&'static str, String), expected: &'static str| {
        (vec![(GATEWAY, "one", to(eu)), (other.0, "two", other.1)], expected)
    };
    let cluster = "CiliumClusterwideNetworkPolicy";
    let cases = [
        one(to(eu), "eu"),
        one(to(us), "us"),
        one(to(&format!("excludedCIDRs: [192.0.2.0/25], {eu}")), "direct"),
        one(to("egressGateway: {nodeSelector: {}, egressIP: 203.0.113.11}"), "misrouted"),
        one(to("egressGateway: {nodeSelector: {}}"), "with an address of an interface"),
        one(to("egressGateway: {nodeSelector: {}, interface: eth1}"), "with an address of an interface"),
        one(to("egressGateway: {nodeSelector: {}, egressIP: 2001:db8::1}"), "the first on the interface that has"),
        one(to("egressGateway: {nodeSelector: {}, egressIP: 203.0.113.10}"), "may take nodes that the gateway `eu`"),
        one(policy(&format!("destinationCIDRs: [192.0.2.0/24, '2001:db8::/32'], {eu}")), "destinations of both families"),
        one(
            format!("{{selectors: [{{podSelector: {{}}, nodeSelector: {{matchLabels: {{a: b}}}}}}], destinationCIDRs: [192.0.2.0/24], {eu}}}"),
            "on some nodes only",
        ),
        one(
            to(&format!("{eu}, egressGateways: [{{nodeSelector: {{matchLabels: {{zone: eu}}}}, egressIP: 203.0.113.10}}, {{nodeSelector: {{matchLabels: {{zone: us}}}}, egressIP: 198.51.100.10}}]")),
            "depends on its UID",
        ),
        beside((GATEWAY, to(us)), "`CiliumEgressGatewayPolicy/one` and `CiliumEgressGatewayPolicy/two` say different things"),
        beside((GATEWAY, to(eu)), "eu"),
        beside((GATEWAY, policy(&format!("destinationCIDRs: [192.0.2.1/32], {us}"))), "us"),
        beside((GATEWAY, policy(&format!("destinationCIDRs: [0.0.0.0/0], excludedCIDRs: [192.0.2.0/25], {us}"))), "direct"),
        beside((cluster, "{endpointSelector: {}, egress: [{}]}".to_owned()), "dropped"),
        beside((cluster, "{endpointSelector: {}, egress: [{toCIDR: [192.0.2.0/24]}]}".to_owned()), "eu"),
        beside(
            (cluster, "{endpointSelector: {}, egress: [{toCIDR: [192.0.2.0/24], toPorts: [{ports: [{port: '53'}], rules: {dns: [{matchPattern: '*'}]}}]}]}".to_owned()),
            "sends questions outside through Cilium's proxy",
        ),
    ];
    for (objects, expected) in cases {
        let objects: Vec<(&str, &str, &str)> =
            objects.iter().map(|(kind, name, spec)| (*kind, *name, spec.as_str())).collect();
        let found = way(&objects);
        assert!(found.contains(expected), "{expected}: {found}\n{objects:?}");
    }
}

#[test]
fn bytes_that_are_no_artifact_say_so() {
    let cases = [
        ("table inet egress {\n  chain a { }\n}\n", "line 1"),
        ("just text\n", "line 1: this is no object of Kubernetes"),
        ("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n", "`NetworkPolicy`"),
        ("apiVersion: cilium.io/v3\nkind: CiliumNetworkPolicy\nmetadata: {name: a, namespace: b}\n", "`cilium.io/v3`"),
        (
            "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata:\n  name: a\nspec:\n",
            "CiliumClusterwideNetworkPolicy/a: spec: must be a map, and is nothing",
        ),
        ("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: a}\n", "`Secret`"),
    ];
    for (text, expected) in cases {
        let error = decode(text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

/// What `kubectl get -o yaml` prints.
#[test]
fn lists_of_objects_are_read() {
    let item = "- apiVersion: cilium.io/v2\n  kind: CiliumClusterwideNetworkPolicy\n  metadata: {name: NAME, uid: x}\n  \
                spec: {endpointSelector: {}, egress: [{}]}\n  status: {conditions: []}\n";
    let items = [item.replace("NAME", "one"), item.replace("NAME", "two")].concat();
    let list = |items: &str| format!("apiVersion: v1\nkind: List\nmetadata: {{resourceVersion: ''}}\nitems:\n{items}");
    let model = decode(list(&items).as_bytes()).expect("a list of objects");
    assert_eq!(model.policies.len(), 2);
    let twice = decode(list(&[item, item].concat().replace("NAME", "one")).as_bytes()).expect_err("one object twice");
    assert!(twice.to_string().contains("twice"), "{twice}");
}
