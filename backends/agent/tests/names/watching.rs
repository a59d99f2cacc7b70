//! Watching: nothing is held, so that what comes first may be lost, and is known soon.

use crate::ask;
use crate::scene::{Scene, address, resolver};
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
    assert!(scene.passes(scene.pod(|| ask::tcp(resolver(), "many.example.com"))[59]));
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
