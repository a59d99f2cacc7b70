//! Forged answers, from wherever they come while the true one is awaited: none is believed, none keeps the true one away.

use crate::ask;
use crate::scene::{OTHER, POD, Scene, forwarder, resolver, soon};
use egress_testkit::lab::{NODE_V4, Namespace};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

const TRUE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const FORGED: Ipv4Addr = Ipv4Addr::new(198, 18, 77, 7);

fn bound(place: &Namespace, at: (IpAddr, u16)) -> UdpSocket {
    let socket = place.run(|| UdpSocket::bind(at)).unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// Sends to a port that does not hear this sender: the kernel says so, hence the datagram came there.
fn is_turned_away(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> bool {
    socket.connect(to).unwrap();
    socket.send(bytes).unwrap();
    socket.recv(&mut [0; 16]).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// A resolver that lets forgers go first, and then says what dnsmasq says.
#[test]
fn a_forged_answer_is_not_passed_on() {
    let Some(scene) = Scene::for_test("a_forged_answer_is_not_passed_on") else { return };
    let _agent = scene.agent_asking("192.0.2.1:54", &["--listen", &forwarder().to_string()]);
    let node = scene.lab.node();
    let slow = bound(node, (NODE_V4, 54));
    let client = scene.pod(|| ask::socket(forwarder()));
    client.set_nonblocking(true).unwrap();
    client.send(&ask::query(21, "api.example.com")).unwrap();
    let mut room = [0; 512];
    let (length, agent) = slow.recv_from(&mut room).unwrap();
    let query = room[..length].to_vec();
    let forged = ask::forged(&query, FORGED);
    // From elsewhere: another address of the network, of the node, and another port of the resolver.
    let outside = bound(scene.lab.outside(), ("192.0.2.2".parse().unwrap(), 54));
    let from_node = [bound(node, (OTHER, 54)), bound(node, (NODE_V4, 55))];
    for socket in from_node.iter().chain([&outside]) {
        assert!(is_turned_away(socket, &forged, agent), "from {:?}", socket.local_addr());
    }
    // From the resolver's own address and port, as who forges the sender has it.
    let mut other_id = forged.clone();
    other_id[1] ^= 1;
    let mut other_question = forged.clone();
    other_question[13] = b'b';
    let mut no_answer = forged.clone();
    no_answer[2] &= 0x7f;
    for bytes in [&other_id, &other_question, &no_answer, &forged[..9].to_vec()] {
        slow.send_to(bytes, agent).unwrap();
    }
    let reasons = ["answers with another id", "answers to another question", "no answer to a query", "no DNS message"];
    assert!(soon(|| reasons.iter().all(|reason| scene.counted(reason) == 1)), "{:?}", scene.status());
    assert_eq!(client.recv(&mut room).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    assert!(scene.known() == 0 && !scene.passes(FORGED) && !scene.passes(TRUE));
    // The true one is still awaited.
    let upstream = node.run(|| ask::socket_from(NODE_V4, resolver())).unwrap();
    upstream.send(&query).unwrap();
    let length = upstream.recv(&mut room).unwrap();
    slow.send_to(&room[..length], agent).unwrap();
    client.set_nonblocking(false).unwrap();
    let length = client.recv(&mut room).unwrap();
    assert_eq!((&room[..2], ask::addresses(&room[..length]).0), (&[0, 21][..], vec![TRUE]));
    assert!(scene.passes(TRUE) && !scene.passes(FORGED));
    // Each query is answered once: a second answer finds nobody.
    assert!(is_turned_away(&slow, &forged, agent));
    assert_eq!(scene.known(), 1);
}

/// Watching: forged answers pass to the pod, which is told lies, but the kernel is not.
#[test]
fn a_forged_answer_that_passes_is_not_believed() {
    let Some(scene) = Scene::for_test("a_forged_answer_that_passes_is_not_believed") else { return };
    let _agent = scene.agent_asking("203.0.113.53:53", &["--watch", "pod0"]);
    let (server, port) = (SocketAddr::from(([203, 0, 113, 53], 53)), 4444);
    let pod = scene.pod(|| UdpSocket::bind((POD, port)).unwrap());
    pod.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let query = ask::query(9, "api.example.com");
    let forged = ask::forged(&query, FORGED);
    let (mut other_id, mut other_question) = (forged.clone(), forged.clone());
    other_id[1] ^= 1;
    other_question[13] = b'b';
    let outside = scene.lab.outside();
    let at = |address: &str, port| bound(outside, (address.parse().unwrap(), port));
    let (true_one, other_port, other_address) =
        (at("203.0.113.53", 53), at("203.0.113.53", 54), at("203.0.113.54", 53));
    // The rules deny this query its way, but it was seen: what answers it comes from a server that was not asked.
    pod.send_to(&query, server).unwrap();
    assert!(soon(|| scene.counted("queries") == 1));
    let second = scene.pod(|| UdpSocket::bind((POD, port + 1)).unwrap());
    second.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    for (from, to, bytes) in [
        (&other_address, &pod, &forged),
        (&other_port, &pod, &forged),
        (&true_one, &second, &forged),
        (&true_one, &pod, &other_id),
        (&true_one, &pod, &other_question),
    ] {
        from.send_to(bytes, to.local_addr().unwrap()).unwrap();
        let mut room = [0; 512];
        let (length, _) = to.recv_from(&mut room).unwrap();
        assert_eq!(room[..length], **bytes, "it has passed the agent's eyes");
    }
    true_one.send_to(&ask::forged(&query, TRUE), (POD, port)).unwrap();
    assert!(soon(|| scene.passes(TRUE)), "the true one is still awaited");
    assert!(!scene.passes(FORGED));
    let counted =
        ["queries to an address that is no resolver", "answers that nobody waits for", "answers to another question"];
    assert_eq!(counted.map(|reason| scene.counted(reason)), [1, 2, 1]);
    assert_eq!(scene.known(), 1);
}

/// The same server, at an address that the agent was not told: its answers are true, and teach nothing.
#[test]
fn a_resolver_that_was_not_named_teaches_nothing() {
    let Some(scene) = Scene::for_test("a_resolver_that_was_not_named_teaches_nothing") else { return };
    let _agent = scene.agent(&["--watch", "pod0"]);
    assert_eq!(scene.look_up(SocketAddr::new(OTHER, 53), "api.example.com"), [TRUE]);
    assert!(soon(|| scene.counted("queries to an address that is no resolver") == 2), "the query and its answer");
    assert!(scene.known() == 0 && !scene.passes(TRUE));
    assert_eq!(scene.look_up(resolver(), "api.example.com"), [TRUE]);
    assert!(soon(|| scene.passes(TRUE)));
}
