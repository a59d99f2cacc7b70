//! Artifacts of which a plane says nothing, and bytes that are no artifact: each says what is not understood.
#![expect(clippy::expect_used, clippy::panic, reason = "a case that cannot be built must stop the test")]

use egress_backends::cilium::decode;
use egress_backends::cilium::plane::plane;
use egress_ir::{AddressSet, Cluster, Plane, Prefix, Program, Vocabulary};

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

#[test]
fn gateways_are_unclear() {
    let text = "apiVersion: cilium.io/v2\nkind: CiliumEgressGatewayPolicy\nmetadata: {name: out}\nspec:\n  \
                selectors: [{podSelector: {}}]\n  destinationCIDRs: [0.0.0.0/0]\n  egressGateway: {nodeSelector: {}}\n";
    let model = decode(text.as_bytes()).expect("an object of Cilium");
    let why = plane(&model, &program(), None).expect_err("gateways are not modelled");
    assert!(why.reason.contains("CiliumEgressGatewayPolicy/out"), "{why}");
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
