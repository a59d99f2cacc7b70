//! Answers to connections from outside pass although the pod could not have opened them, and open nothing.

use crate::cases::{POD, own, run_in_pod};
use crate::counting::{POLICY, destination};
use crate::scene::{SLOT, Scene, snapshot};
use egress_agent::kernel::{Endpoint, Point, TcKind};
use socket2::{Domain, Socket, Type};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(2);
/// The pod's port, and that of the one who connects to it.
const SERVICE: u16 = 8080;
const PEER: u16 = 5555;

/// Every hook, with every kind of attachment.
fn hooks(scene: &Scene) -> [(&'static str, Point, TcKind); 4] {
    [
        ("cgroup", scene.cgroup_point(), TcKind::Best),
        ("pair, tcx", Scene::pod_point(), TcKind::Tcx),
        ("pair, clsact", Scene::pod_point(), TcKind::Clsact),
        ("uplink, tcx", Scene::uplink_point(), TcKind::Tcx),
    ]
}

fn under_every_hook(name: &str, check: impl Fn(&Scene, IpAddr, &str)) {
    let Some(mut scene) = Scene::for_test(name) else { return };
    for place in 0..hooks(&scene).len() {
        for v6 in [false, true] {
            let (name, point, kind) = hooks(&scene)[place].clone();
            scene.enforce(&snapshot(1, POLICY), &[(SLOT, Endpoint::ByAddress)]);
            scene.attach(&point, SLOT, kind);
            check(&scene, destination(v6, false), &format!("{name}, {}", if v6 { "IPv6" } else { "IPv4" }));
            scene.detach(&point, SLOT);
            // Nothing that was remembered may help the next one.
            scene.start_over();
        }
    }
}

pub(crate) fn stream_from(from: SocketAddr, to: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    // Ends without waiting, so that the ports are free again.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&from.into())?;
    socket.connect_timeout(&to.into(), patience)?;
    socket.set_read_timeout(Some(LONG))?;
    socket.set_write_timeout(Some(LONG))?;
    Ok(socket.into())
}

/// The next connection, should one come within a while.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let start = Instant::now();
    loop {
        match listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && start.elapsed() < LONG => {
                std::thread::sleep(Duration::from_millis(1));
            }
            accepted => {
                let (stream, _) = accepted?;
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(LONG))?;
                stream.set_write_timeout(Some(LONG))?;
                return Ok(stream);
            }
        }
    }
}

#[test]
fn a_pod_answers_connections_and_opens_none_from_the_same_ports() {
    under_every_hook("a_pod_answers_connections_and_opens_none_from_the_same_ports", |scene, peer, at| {
        let (service, peer) = (SocketAddr::new(own(POD, peer), SERVICE), SocketAddr::new(peer, PEER));
        let opens = || run_in_pod(scene, || stream_from(service, peer, WAIT)).map(drop);
        assert!(opens().is_err(), "{at}: it is denied before");
        let listener = run_in_pod(scene, || {
            let socket = Socket::new(Domain::for_address(service), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&service.into())?;
            socket.listen(4)?;
            Ok::<TcpListener, io::Error>(socket.into())
        });
        let listener = listener.unwrap();
        let mut theirs = scene.lab.outside().run(|| stream_from(peer, service, LONG)).unwrap().unwrap();
        let mut ours = accept(&listener).unwrap();
        for _ in 0..3 {
            theirs.write_all(b"question").unwrap();
            ours.read_exact(&mut [0; 8]).unwrap();
            // More than one segment, from the side that is answered for.
            ours.write_all(&[7; 20_000]).unwrap();
            theirs.read_exact(&mut vec![0; 20_000]).unwrap();
        }
        // While it is remembered: to another port and to another peer, and then the very same ports the other way.
        let elsewhere = SocketAddr::new(peer.ip(), PEER + 1);
        let fresh = SocketAddr::new(service.ip(), 0);
        assert!(run_in_pod(scene, || stream_from(fresh, peer, WAIT)).is_err(), "{at}: from another port");
        assert!(run_in_pod(scene, || stream_from(fresh, elsewhere, WAIT)).is_err(), "{at}: to another port");
        socket2::SockRef::from(&ours).set_linger(Some(Duration::ZERO)).unwrap();
        drop((theirs, ours, listener));
        let own = opens();
        assert!(own.is_err(), "{at}: it opens a connection by the ports of one that it answered");
        let replies = scene.active().counters().unwrap().replies.packets;
        assert!(replies > 3, "{at}: {replies} answers");
    });
}

#[test]
fn a_pod_answers_datagrams_to_whom_sent_them_alone() {
    under_every_hook("a_pod_answers_datagrams_to_whom_sent_them_alone", |scene, peer, at| {
        let ours = run_in_pod(scene, || UdpSocket::bind(SocketAddr::new(own(POD, peer), SERVICE))).unwrap();
        ours.set_read_timeout(Some(LONG)).unwrap();
        let outside = |port: u16| {
            let bind = || UdpSocket::bind(SocketAddr::new(peer, port));
            let socket = scene.lab.outside().run(bind).unwrap().unwrap();
            socket.set_read_timeout(Some(WAIT)).unwrap();
            socket
        };
        // The lab's own service would take what comes first.
        let untouched = "table inet untouched {\n chain pre { type filter hook prerouting priority raw; policy accept;\n\
                         udp dport 5555-5556 notrack\n }\n}\n";
        scene.lab.outside().nft(untouched).unwrap();
        let (asking, silent) = (outside(PEER), outside(PEER + 1));
        let send = |to: &UdpSocket| ours.send_to(b"answer", to.local_addr().unwrap());
        let arrives = |at: &UdpSocket| at.recv(&mut [0; 16]).is_ok();
        assert!(send(&asking).is_err() || !arrives(&asking), "{at}: nobody asked");
        asking.send_to(b"question", ours.local_addr().unwrap()).unwrap();
        ours.recv(&mut [0; 16]).unwrap();
        assert!(send(&asking).is_ok() && arrives(&asking), "{at}: an answer");
        assert!(send(&silent).is_err() || !arrives(&silent), "{at}: another port of the peer");
        let other = run_in_pod(scene, || UdpSocket::bind(SocketAddr::new(own(POD, peer), SERVICE + 1))).unwrap();
        let sent = other.send_to(b"answer", asking.local_addr().unwrap());
        assert!(sent.is_err() || !arrives(&asking), "{at}: from another port of the pod");
    });
}

/// What nobody could tell apart: a conversation that the pod began while it was allowed looks, to the one who remembers,
/// as if the other side had. It goes on as long as the other side does, and this is said in the manual.
#[test]
fn a_conversation_of_datagrams_that_is_answered_outlives_its_permission() {
    let Some(scene) = Scene::for_test("a_conversation_of_datagrams_that_is_answered_outlives_its_permission") else {
        return;
    };
    let (open, shut) = (snapshot(1, POLICY), snapshot(2, "policy all {\n  for all\n}\n"));
    scene.attach(&Scene::pod_point(), SLOT, TcKind::Best);
    for v6 in [false, true] {
        scene.enforce(&open, &[(SLOT, Endpoint::ByAddress)]);
        let service = SocketAddr::new(destination(v6, true), 53);
        let ask = |socket: &UdpSocket| {
            let asked = socket.send(b"question").and_then(|_| socket.recv(&mut [0; 16]));
            asked.is_ok()
        };
        let socket = || {
            let socket = run_in_pod(&scene, || UdpSocket::bind(SocketAddr::new(own(POD, service.ip()), 0))).unwrap();
            socket.connect(service).unwrap();
            socket.set_read_timeout(Some(WAIT)).unwrap();
            socket
        };
        let (answered, quiet) = (socket(), socket());
        assert!(ask(&answered));
        scene.enforce(&shut, &[(SLOT, Endpoint::ByAddress)]);
        assert!(ask(&answered), "it goes on");
        assert!(!ask(&quiet), "nothing new begins");
        // A connection ends at once: its answers opened nothing.
    }
    let connect =
        || scene.lab.connect(own(POD, destination(false, true)), SocketAddr::new(destination(false, true), 443), LONG);
    scene.enforce(&open, &[(SLOT, Endpoint::ByAddress)]);
    let mut stream = connect().unwrap().unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    assert!(egress_testkit::lab::still_talks(&mut stream));
    scene.enforce(&shut, &[(SLOT, Endpoint::ByAddress)]);
    assert!(!egress_testkit::lab::still_talks(&mut stream), "a connection is cut at once");
}
