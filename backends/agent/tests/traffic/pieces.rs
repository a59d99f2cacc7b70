//! Packets that are not what a wire carries: segments that are cut apart later (GSO), and datagrams in fragments.

use crate::cases::{POD, own, run_in_pod};
use crate::inbound::stream_from;
use crate::scene::{SLOT, Scene, snapshot};
use egress_agent::kernel::{Counter, Endpoint, TcKind};
use egress_testkit::lab::Place;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

const WAIT: Duration = Duration::from_millis(300);
const LARGE: usize = 4 << 20;
/// What one segment on the lab's links carries at most.
const SEGMENT: u64 = 1460;

/// The two hooks that a pod's packets can meet first.
fn hooks(scene: &Scene) -> [(&'static str, egress_agent::kernel::Point); 2] {
    [("cgroup", scene.cgroup_point()), ("pair", Scene::pod_point())]
}

#[test]
fn large_sends_arrive_whole_and_are_counted_before_they_are_cut() {
    let Some(scene) = Scene::for_test("large_sends_arrive_whole_and_are_counted_before_they_are_cut") else { return };
    let loaded = snapshot(1, "policy all {\n  for all\n  allow 20.0.0.0/24, 2001:db8:20::/64 on 443/tcp\n}\n");
    for (name, point) in hooks(&scene) {
        for service in ["20.0.0.1:443", "[2001:db8:20::1]:443"] {
            scene.enforce(&loaded, &[(SLOT, Endpoint::ByAddress)]);
            scene.attach(&point, SLOT, TcKind::Best);
            send_and_receive(&scene, service.parse().unwrap());
            let counters = scene.active().counters().unwrap();
            let most = |a: Counter, b: &Counter| if b.bytes > a.bytes { *b } else { a };
            let Counter { packets, bytes } = counters.outcomes.iter().fold(Counter::default(), most);
            println!("{name}, {service}: {bytes} bytes in {packets} packets, {} each", bytes / packets);
            assert!(bytes > LARGE as u64, "{name}: {bytes} bytes of {LARGE}");
            // Acknowledgements of what comes back are counted too, and are small.
            assert!(bytes / packets > 2 * SEGMENT, "{name}: {bytes} bytes in {packets} packets");
            scene.detach(&point, SLOT);
        }
    }
}

/// Sends much over a connection to a service that gives it back.
fn send_and_receive(scene: &Scene, service: SocketAddr) {
    let patience = Duration::from_secs(5);
    let own = SocketAddr::new(own(POD, service.ip()), 0);
    let stream = run_in_pod(scene, || stream_from(own, service, patience)).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.set_write_timeout(Some(patience)).unwrap();
    let data: Vec<u8> = (0..LARGE).map(|place| (place % 251) as u8).collect();
    let mut received = vec![0; LARGE];
    std::thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&data).unwrap());
        (&stream).read_exact(&mut received).unwrap();
    });
    assert!(received == data, "what came back is not what was sent");
}

/// The cgroup's hook sees datagrams before they are cut, the others afterwards: then later fragments have no port, and
/// pass only where every port of their protocol does.
#[test]
fn later_fragments_pass_a_pair_only_where_every_port_does() {
    let Some(scene) = Scene::for_test("later_fragments_pass_a_pair_only_where_every_port_does") else { return };
    let loaded = snapshot(
        1,
        "policy all {\n  for all\n  allow 20.0.0.0/24, 2001:db8:20::/64 on 53/udp\n  \
         allow 20.0.2.0/24, 2001:db8:22::/64 on udp\n}\n",
    );
    let (one_port, every_port) = (["20.0.0.1", "2001:db8:20::1"], ["20.0.2.1", "2001:db8:22::1"]);
    for (name, point) in hooks(&scene) {
        scene.enforce(&loaded, &[(SLOT, Endpoint::ByAddress)]);
        scene.attach(&point, SLOT, TcKind::Best);
        for (to, passes) in [(one_port, name == "cgroup"), (every_port, true)] {
            for to in to.map(|text| text.parse::<IpAddr>().unwrap()) {
                assert_eq!(ask(&scene, to, 9), Some(9), "{name}: {to}: a small datagram");
                // The service answers with the first 2,048 bytes, which is more than one fragment again.
                assert_eq!(ask(&scene, to, 4000), passes.then_some(2048), "{name}: {to}: a large datagram");
            }
        }
        scene.detach(&point, SLOT);
    }
}

/// How long the answer to a datagram of a length is.
fn ask(scene: &Scene, to: IpAddr, length: usize) -> Option<usize> {
    let asked = run_in_pod(scene, || {
        let socket = UdpSocket::bind(SocketAddr::new(own(POD, to), 0))?;
        socket.set_read_timeout(Some(WAIT))?;
        socket.send_to(&vec![7; length], (to, 53))?;
        socket.recv(&mut [0; 4000])
    });
    asked.ok()
}

/// Addresses resolve again when nothing but one destination is allowed: neighbour discovery and ARP are no rule's matter.
#[test]
fn neighbours_are_found_again_under_default_deny() {
    let Some(scene) = Scene::for_test("neighbours_are_found_again_under_default_deny") else { return };
    let loaded = snapshot(1, "policy all {\n  for all\n  allow 20.0.0.0/24, 2001:db8:20::/64\n}\n");
    scene.enforce(&loaded, &[(SLOT, Endpoint::ByAddress)]);
    scene.attach(&scene.cgroup_point(), SLOT, TcKind::Best);
    for kind in [TcKind::Tcx, TcKind::Clsact] {
        for point in [Scene::pod_point(), Scene::uplink_point()] {
            scene.attach(&point, SLOT + 1, kind);
            let generation = scene.active();
            generation.set_endpoint(SLOT + 1, Endpoint::ByAddress).unwrap();
            for to in ["20.0.0.1", "2001:db8:20::1"] {
                let to: IpAddr = to.parse().unwrap();
                scene.lab.forget_neighbours().unwrap();
                assert!(scene.lab.ping(own(POD, to), to).unwrap(), "{kind:?} {point:?}: {to}");
            }
            for to in ["20.0.1.1", "2001:db8:21::1"] {
                let to: IpAddr = to.parse().unwrap();
                assert!(!scene.lab.ping(own(POD, to), to).unwrap(), "{kind:?} {point:?}: {to}");
            }
            scene.detach(&point, SLOT + 1);
        }
    }
    assert!(scene.lab.namespace(Place::Pod(0)).is_ok() && scene.active().counters().unwrap().exempt.packets > 0);
}
