//! What teaches nothing: addresses that no name may have, clients and names without a rule.

use crate::ask;
use crate::scene::{POD, Scene, forwarder};
use std::net::{Ipv4Addr, UdpSocket};

#[test]
fn a_name_that_points_within_is_not_believed() {
    let Some(scene) = Scene::for_test("a_name_that_points_within_is_not_believed") else { return };
    let _agent = scene.agent(&["--listen", &forwarder().to_string()]);
    for name in ["metadata", "private", "loopback", "inside", "node"] {
        assert_eq!(
            scene.look_up(forwarder(), &format!("{name}.example.com")).len(),
            1,
            "the answer itself is passed on"
        );
    }
    assert_eq!(scene.counted("private addresses, refused"), 2);
    assert_eq!(scene.counted("addresses that are no place in the network, refused"), 1);
    assert_eq!(scene.counted("addresses inside the cluster, refused"), 1);
    assert_eq!(scene.counted("addresses of this node, refused"), 1);
    assert_eq!(scene.status().unwrap()["known"].as_array().unwrap().len(), 0);
    assert!(!scene.passes(Ipv4Addr::new(169, 254, 169, 254)));
}

#[test]
fn an_exception_from_that_holds_for_its_prefix_only() {
    let Some(scene) = Scene::for_test("an_exception_from_that_holds_for_its_prefix_only") else { return };
    let listen = forwarder().to_string();
    let _agent = scene.agent(&["--listen", &listen, "--rebind-ok", "*.example.com=198.19.0.0/24"]);
    let inside = scene.look_up(forwarder(), "inside.example.com");
    scene.look_up(forwarder(), "metadata.example.com");
    assert!(scene.passes(inside[0]));
    assert!(!scene.passes(Ipv4Addr::new(169, 254, 169, 254)));
}

/// Each client has its own view: what one learned does not open the way for another.
#[test]
fn another_client_learns_nothing_by_it() {
    let Some(scene) = Scene::for_test("another_client_learns_nothing_by_it") else { return };
    let _agent = scene.agent(&["--listen", &forwarder().to_string()]);
    let found = scene.pod(|| {
        let socket = UdpSocket::bind(("10.42.0.6", 0)).unwrap();
        socket.connect(forwarder()).unwrap();
        ask::udp(&socket, 3, "api.example.com").unwrap().0
    });
    assert_eq!(scene.counted("from clients that the policy does not know"), 1);
    assert!(!scene.passes(found[0]), "{POD} did not ask");
    assert_eq!(scene.look_up(forwarder(), "alone.example.org").len(), 1);
    assert_eq!(scene.counted("names that no pattern of the client matches"), 1);
    assert_eq!(scene.status().unwrap()["known"].as_array().unwrap().len(), 0);
}
