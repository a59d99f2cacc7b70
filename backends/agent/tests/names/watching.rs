//! Watching: nothing is held, so that what comes first may be lost, and is known soon.

use crate::ask;
use crate::scene::{Scene, address, resolver, soon};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// How many first datagrams were lost is said, not judged: it depends on the machine.
#[test]
fn what_was_seen_passes_soon() {
    let Some(scene) = Scene::for_test("what_was_seen_passes_soon") else { return };
    let _agent = scene.agent(&["--watch", "pod0", "--min-ttl", "60"]);
    let cases = 500;
    let (first, never) = scene.pod(|| {
        let (server, socket) = (ask::socket(resolver()), UdpSocket::bind(("10.42.0.5", 0)).unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (mut first, mut never) = (0, 0);
        for at in 0..cases {
            let found = ask::udp(&server, at as u16, &format!("n{at}.example.com")).unwrap().0;
            assert_eq!(found, [address(at)]);
            let tries = (0..40).position(|_| ask::is_answered(&socket, found[0]));
            first += u32::from(tries.is_none_or(|tries| tries > 0));
            never += u32::from(tries.is_none());
        }
        (first, never)
    });
    eprintln!("{first} of {cases} first datagrams were lost");
    assert_eq!(never, 0);
    let last = scene.pod(|| ask::tcp(resolver(), "many.example.com"))[59];
    assert!(soon(|| scene.passes(last)));
}

/// What a pod sends itself is no answer to it, wherever it says that it comes from.
#[test]
fn a_pod_does_not_answer_itself() {
    let Some(scene) = Scene::for_test("a_pod_does_not_answer_itself") else { return };
    let _agent = scene.agent(&["--watch", "pod0"]);
    scene.pod(|| {
        let socket = UdpSocket::bind(("10.42.0.5", 4444)).unwrap();
        socket.send_to(&ask::query(7, "forged.example.com"), resolver()).unwrap();
        let mut forged = ask::query(7, "forged.example.com");
        (forged[2], forged[7]) = (0x81, 1);
        forged.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 77, 7]);
        // From a port 53 of its own, to itself through the node.
        let server = UdpSocket::bind(("10.42.0.7", 53)).unwrap();
        for to in [SocketAddr::from(([192, 0, 2, 1], 4444)), SocketAddr::from(([198, 18, 0, 1], 4444))] {
            server.send_to(&forged, to).unwrap();
        }
    });
    assert!(!scene.look_up(resolver(), "api.example.com").is_empty());
    std::thread::sleep(Duration::from_millis(300));
    assert!(!scene.passes(Ipv4Addr::new(198, 18, 77, 7)));
    assert_eq!(scene.status().unwrap()["known"].as_array().unwrap().len(), 1);
}

/// A cluster whose pods nobody knows: they reach the inside, each other and the resolver, and may learn.
const INSIDE: &str = "cluster lab { pods 10.42.0.0/16 services 172.20.0.0/16 nodes 192.0.2.0/24 }
policy names { for pods in namespace shop allow host **.example.com }
";

/// What a pod sends in the resolver's name, and the node sends back to it, is not the resolver's.
#[test]
fn an_answer_that_turns_round_at_the_node_is_not_believed() {
    let Some(scene) = Scene::with_programs("an_answer_that_turns_round_at_the_node_is_not_believed") else { return };
    scene.load(2, INSIDE);
    let file = scene.folder.path().join("egress.egb").display().to_string();
    scene.run(&["load", &file]);
    // Another address, behind the pod, to which the node needs not ask for the way.
    let other = Ipv4Addr::new(172, 20, 0, 66);
    let node = scene.lab.node();
    node.ip("route add 172.20.0.66 dev pod0\nneigh add 172.20.0.66 lladdr 02:00:00:00:00:66 dev pod0\n").unwrap();
    // A resolver outside: a node takes nothing from others that bears an address of its own.
    let server = Ipv4Addr::new(198, 18, 9, 9);
    let _agent = scene.agent_asking("198.18.9.9:53", &["--watch", "pod0"]);
    let query = ask::query(7, "forged.example.com");
    let mut forged = query.clone();
    (forged[2], forged[7]) = (0x81, 1);
    forged.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 77, 7]);
    scene.pod(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).unwrap();
        let send = |from, to, ports, payload: &[u8]| {
            let at = SockAddr::from(SocketAddr::from((to, 0)));
            socket.send_to(&datagram(from, to, ports, payload), &at).unwrap();
        };
        send(other, server, (4444, 53), &query);
        send(server, other, (53, 4444), &forged);
    });
    assert!(
        soon(|| scene.counted("answers that a workload itself has sent") == 2),
        "there and back: {:?}",
        scene.status()
    );
    assert_eq!(scene.counted("queries"), 1);
    assert_eq!(scene.status().unwrap()["known"].as_array().unwrap().len(), 0);
}

/// A packet of IPv4 with a header of its own; the kernel fills in the sum.
fn datagram(from: Ipv4Addr, to: Ipv4Addr, (source, destination): (u16, u16), payload: &[u8]) -> Vec<u8> {
    let length = |header: usize| u16::try_from(header + payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![0x45, 0];
    bytes.extend(length(28));
    bytes.extend([0, 1, 0, 0, 64, 17, 0, 0]);
    bytes.extend(from.octets().into_iter().chain(to.octets()));
    bytes.extend(source.to_be_bytes().into_iter().chain(destination.to_be_bytes()).chain(length(8)).chain([0, 0]));
    bytes.extend(payload);
    bytes
}
