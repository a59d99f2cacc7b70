//! Who may reach what by a name: names that share an address, both families, the node itself, patterns with a wildcard.

use crate::ask;
use crate::scene::{POD, POD_V6, Scene, forwarder, forwarder_v6};
use egress_testkit::lab::{NODE_V4, NODE_V6};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const API: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// A name without a rule opens nothing; one with a rule opens the address, whatever else answers there, to who asked.
#[test]
fn a_shared_address_is_open_by_the_allowed_name() {
    let Some(scene) = Scene::for_test("a_shared_address_is_open_by_the_allowed_name") else { return };
    let _agent = scene.agent(&["--listen", &forwarder().to_string()]);
    let denied = scene.look_up(forwarder(), "shared.example.org");
    assert_eq!((denied.len(), scene.known()), (1, 0));
    assert!(!scene.passes(denied[0]));
    assert_eq!(scene.look_up(forwarder(), "shared.example.com"), denied);
    assert!(scene.passes(denied[0]));
    for other in ["10.42.0.6", "192.0.2.1"] {
        assert!(!scene.passes_from(other.parse().unwrap(), denied[0].into()), "{other} did not ask");
    }
    // The other name takes nothing away either.
    scene.look_up(forwarder(), "shared.example.org");
    assert!(scene.passes(denied[0]));
    assert_eq!(scene.known(), 1);
}

/// A client, a listener and a resolver with IPv6 addresses; what is asked over one family is known for both.
#[test]
fn both_families_are_learned() {
    let Some(scene) = Scene::for_test("both_families_are_learned") else { return };
    let resolver = SocketAddr::new(NODE_V6, 53).to_string();
    let listen = [forwarder_v6().to_string(), forwarder().to_string()];
    let _agent = scene.agent_asking(&resolver, &["--listen", &listen[0], &listen[1]]);
    let six: IpAddr = "2001:db9::7".parse().unwrap();
    let four: IpAddr = "198.18.0.7".parse().unwrap();
    assert!(!scene.passes_from(POD_V6, six) && !scene.passes_from(POD, four));
    let found = scene.pod(|| ask::udp_v6(&ask::socket_from(POD_V6, forwarder_v6()), 6, "six.example.com"));
    assert_eq!(found.iter().copied().map(IpAddr::from).collect::<Vec<_>>(), [six]);
    assert!(scene.passes_from(POD_V6, six));
    assert!(!scene.passes_from("fd00:10::6".parse().unwrap(), six), "another pod did not ask");
    // The other family of the name was not asked for yet; then by the address of this one.
    assert!(!scene.passes_from(POD, four));
    scene.pod(|| ask::udp(&ask::socket_from(POD_V6, forwarder_v6()), 4, "six.example.com")).unwrap();
    assert!(scene.passes_from(POD, four));
    let within = scene.pod(|| ask::udp_v6(&ask::socket(forwarder()), 7, "within.example.com"));
    assert_eq!((within.len(), scene.counted("private addresses, refused"), scene.known()), (1, 1, 2));
}

/// What the node asks itself, by its own address or by loopback, is known for the node and for no pod.
#[test]
fn what_the_node_asks_the_node_may_reach() {
    let Some(scene) = Scene::for_test("what_the_node_asks_the_node_may_reach") else { return };
    let loopback = SocketAddr::from(([127, 0, 0, 1], 5353));
    let _agent = scene.agent(&["--listen", &forwarder().to_string(), &loopback.to_string()]);
    let on_node = |from: IpAddr, to, name: &str| {
        let ask = || ask::udp(&ask::socket_from(from, to), 8, name).unwrap().0;
        scene.lab.node().run(ask).unwrap()
    };
    assert!(!scene.passes_from(NODE_V4, API.into()));
    assert_eq!(on_node(NODE_V4, forwarder(), "api.example.com"), [API]);
    assert!(scene.passes_from(NODE_V4, API.into()) && !scene.passes(API));
    let found = on_node(loopback.ip(), loopback, "six.example.com");
    assert!(scene.passes_from(NODE_V4, found[0].into()) && !scene.passes(found[0]));
    scene.look_up(forwarder(), "n1.example.com");
    assert!(!scene.passes_from(NODE_V4, crate::scene::address(1).into()), "the node did not ask");
}

/// `*.one.example.net` is one label more, neither none nor two.
#[test]
fn a_wildcard_is_one_label() {
    let Some(scene) = Scene::for_test("a_wildcard_is_one_label") else { return };
    let _agent = scene.agent(&["--listen", &forwarder().to_string()]);
    for (name, passes) in [("one.example.net", false), ("a.one.example.net", true), ("b.a.one.example.net", false)] {
        let found = scene.look_up(forwarder(), name);
        assert_eq!((found.len(), scene.passes(found[0])), (1, passes), "{name}");
    }
}
