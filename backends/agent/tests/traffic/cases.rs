//! The rows of the table of hooks: every way in which packets leave a pod or a process.
//!
//! A case is made before anything is attached, and sent afterwards. Its sender is in the cgroup and in the pod, if its
//! name does not say otherwise.

use crate::inbound::accept;
use crate::scene::Scene;
use egress_testkit::lab::{NODE_V4, NODE_V6, Namespace, Place};
use nix::sys::socket::{MsgFlags, sendto, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

/// What is left to do once the program is attached. The error is what the sender is told.
pub(crate) type Sending<'s> = Box<dyn FnOnce() -> io::Result<()> + Send + 's>;

/// A row: its name, and how it is made for a destination.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) make: for<'s> fn(&'s Scene, IpAddr) -> Sending<'s>,
}

pub(crate) const CASES: &[Case] = &[
    Case { name: "UDP", make: |scene, to| in_pod(scene, move || datagram(POD, to, 9)) },
    Case { name: "UDP with segmentation offload", make: |scene, to| in_pod(scene, move || segmented(to)) },
    Case { name: "datagrams larger than the MTU", make: |scene, to| in_pod(scene, move || datagram(POD, to, 4000)) },
    Case { name: "TCP", make: |scene, to| in_pod(scene, move || connect(POD, to).map(drop)) },
    Case { name: "ICMP echo (raw socket)", make: |scene, to| in_pod(scene, move || echo(to)) },
    Case { name: "another protocol (raw socket)", make: |scene, to| in_pod(scene, move || raw(to, 47, &[0; 8])) },
    Case {
        name: "a raw socket that writes its own IP header",
        make: |scene, to| in_pod(scene, move || raw(to, 255, &ip_packet(to, 0))),
    },
    Case {
        name: "later fragments alone (raw socket)",
        make: |scene, to| in_pod(scene, move || raw(to, 255, &ip_packet(to, 64))),
    },
    Case { name: "packet socket (AF_PACKET)", make: |scene, to| in_pod(scene, move || frame(to)) },
    Case { name: "UDP socket older than the attachment", make: older_datagrams },
    Case { name: "TCP connection older than the attachment", make: older_connection },
    Case { name: "socket older than the process's move into the cgroup", make: older_than_the_move },
    Case { name: "process in the pod, outside of the cgroup", make: outside_of_the_cgroup },
    Case { name: "process in the cgroup, on the node's network (hostNetwork)", make: on_the_node },
    Case { name: "what the pod forwards for others", make: forwarded },
    Case { name: "answers to TCP from outside", make: answer_connection },
    Case { name: "answers to UDP from outside", make: answer_datagram },
    Case { name: "answers that the kernel gives: echo reply", make: answer_echo },
    Case { name: "answers that the kernel gives: RST", make: answer_reset },
    Case { name: "errors that the kernel sends: port unreachable", make: answer_unreachable },
];

/// How long something that cannot happen is waited for.
const WAIT: Duration = Duration::from_millis(60);

/// Two addresses of one host, of both families.
pub(crate) type Dual = [&'static str; 2];
pub(crate) const POD: Dual = ["10.0.0.5", "fd00:10::5"];
const GUEST: Dual = ["10.200.0.2", "fd00:10:200::2"];

pub(crate) fn own(dual: Dual, to: IpAddr) -> IpAddr {
    dual[usize::from(to.is_ipv6())].parse().unwrap()
}

fn pod(scene: &Scene) -> &Namespace {
    scene.lab.namespace(Place::Pod(0)).unwrap()
}

/// In the pod and in the cgroup.
fn in_pod<'s>(scene: &'s Scene, work: impl FnOnce() -> io::Result<()> + Send + 's) -> Sending<'s> {
    Box::new(move || run_in_pod(scene, work))
}

pub(crate) fn run_in_pod<T: Send>(scene: &Scene, work: impl FnOnce() -> T + Send) -> T {
    let joined = || {
        scene.cgroup.join().unwrap();
        work()
    };
    pod(scene).run(joined).unwrap()
}

fn bound(dual: Dual, to: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(own(dual, to), port))?;
    socket.set_read_timeout(Some(WAIT))?;
    Ok(socket)
}

fn datagram(dual: Dual, to: IpAddr, length: usize) -> io::Result<()> {
    bound(dual, to, 0)?.send_to(&vec![1; length], (to, 9)).map(drop)
}

fn segmented(to: IpAddr) -> io::Result<()> {
    let socket = bound(POD, to, 0)?;
    setsockopt(&socket, sockopt::UdpGsoSegment, &1000)?;
    socket.send_to(&[1; 20_000], (to, 9)).map(drop)
}

/// A connection that ends without a trace: nothing of it is sent later.
fn connect(dual: Dual, to: IpAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(SocketAddr::new(to, 0)), Type::STREAM, None)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&SocketAddr::new(own(dual, to), 0).into())?;
    socket.connect_timeout(&SocketAddr::new(to, 443).into(), WAIT)?;
    socket.set_read_timeout(Some(WAIT))?;
    Ok(socket.into())
}

fn raw(to: IpAddr, protocol: i32, bytes: &[u8]) -> io::Result<()> {
    let domain = Domain::for_address(SocketAddr::new(to, 0));
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)))?;
    socket.bind(&SocketAddr::new(own(POD, to), 0).into())?;
    socket.send_to(bytes, &SocketAddr::new(to, 0).into()).map(drop)
}

/// The kernel fills in the checksum of ICMPv6 alone.
fn echo(to: IpAddr) -> io::Result<()> {
    if to.is_ipv6() {
        return raw(to, 58, &[128, 0, 0, 0, 0, 1, 0, 1]);
    }
    raw(to, 1, &[8, 0, 0xf7, 0xfd, 0, 1, 0, 1])
}

/// A whole packet of protocol 47, or the fragment of one at an offset.
fn ip_packet(to: IpAddr, offset: u16) -> Vec<u8> {
    match (own(POD, to), to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            // Lengths and checksum are the kernel's.
            let head = [&[0x45, 0, 0, 36, 0, 9][..], &(offset / 8).to_be_bytes(), &[64, 47, 0, 0]].concat();
            [&head[..], &from.octets(), &to.octets(), &[0; 16]].concat()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let fragment = [&[47, 0][..], &offset.to_be_bytes(), &[0, 0, 0, 9]].concat();
            let (next, middle) = if offset == 0 { (47, &[][..]) } else { (44, &fragment[..]) };
            let length = u16::try_from(16 + middle.len()).unwrap().to_be_bytes();
            let head = [&[0x60, 0, 0, 0][..], &length, &[next, 64]].concat();
            [&head[..], &from.octets(), &to.octets(), middle, &[0; 16]].concat()
        }
        _ => panic!("two families"),
    }
}

/// The node's hardware address on the pod's link, given to it by [`furnish`].
const NODE_LINK: [u8; 6] = [2, 0, 0, 0, 0, 0x42];

/// A frame to the node, made by hand.
fn frame(to: IpAddr) -> io::Result<()> {
    let kind: u16 = if to.is_ipv4() { 0x0800 } else { 0x86dd };
    let mut packet = ip_packet(to, 0);
    if to.is_ipv4() {
        let sum = checksum(&packet[..20]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    let frame = [&NODE_LINK[..], &[2, 0, 0, 0, 0, 1], &kind.to_be_bytes(), &packet].concat();
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    let mut links = nix::ifaddrs::getifaddrs()?.filter(|entry| entry.interface_name == "eth0");
    let link = links.find_map(|entry| entry.address?.as_link_addr().copied()).unwrap();
    sendto(socket.as_raw_fd(), &frame, &link, MsgFlags::empty())?;
    Ok(())
}

fn checksum(bytes: &[u8]) -> u16 {
    let (words, _) = bytes.as_chunks::<2>();
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

fn older_datagrams(scene: &Scene, to: IpAddr) -> Sending<'_> {
    let socket = run_in_pod(scene, || bound(POD, to, 0)).unwrap();
    socket.connect((to, 9)).unwrap();
    Box::new(move || socket.send(&[1; 9]).map(drop))
}

fn older_connection(scene: &Scene, to: IpAddr) -> Sending<'_> {
    let mut stream = run_in_pod(scene, || connect(POD, to)).unwrap();
    Box::new(move || {
        stream.write_all(b"ping")?;
        stream.read_exact(&mut [0; 4])
    })
}

fn older_than_the_move(scene: &Scene, to: IpAddr) -> Sending<'_> {
    in_pod_before_the_cgroup(scene, move |socket: UdpSocket| socket.send_to(&[1; 9], (to, 9)).map(drop), to)
}

fn in_pod_before_the_cgroup<'s>(
    scene: &'s Scene,
    work: impl FnOnce(UdpSocket) -> io::Result<()> + Send + 's,
    to: IpAddr,
) -> Sending<'s> {
    let moved = move || {
        let socket = bound(POD, to, 0)?;
        scene.cgroup.join().unwrap();
        work(socket)
    };
    Box::new(move || pod(scene).run(moved).unwrap())
}

fn outside_of_the_cgroup(scene: &Scene, to: IpAddr) -> Sending<'_> {
    Box::new(move || pod(scene).run(|| datagram(POD, to, 9)).unwrap())
}

fn on_the_node(scene: &Scene, to: IpAddr) -> Sending<'_> {
    let joined = move || {
        scene.cgroup.join().unwrap();
        let from = if to.is_ipv4() { NODE_V4 } else { NODE_V6 };
        UdpSocket::bind(SocketAddr::new(from, 0))?.send_to(&[1; 9], (to, 9)).map(drop)
    };
    Box::new(move || scene.lab.node().run(joined).unwrap())
}

fn forwarded(scene: &Scene, to: IpAddr) -> Sending<'_> {
    Box::new(move || scene.guest.run(|| datagram(GUEST, to, 9)).unwrap())
}

/// Somebody outside sends from the destination, and the pod answers.
fn answer_connection(scene: &Scene, to: IpAddr) -> Sending<'_> {
    Box::new(move || {
        let listener = run_in_pod(scene, || TcpListener::bind(SocketAddr::new(own(POD, to), 0)))?;
        let service = listener.local_addr()?;
        let answer = std::thread::spawn(move || accept(&listener)?.write_all(b"pong"));
        let asked = scene.lab.outside().run(|| {
            let socket = Socket::new(Domain::for_address(service), Type::STREAM, None)?;
            socket.set_linger(Some(Duration::ZERO))?;
            socket.bind(&SocketAddr::new(to, 0).into())?;
            socket.connect_timeout(&service.into(), Duration::from_secs(2))?;
            let mut stream: TcpStream = socket.into();
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.read_exact(&mut [0; 4])
        });
        asked.unwrap()?;
        answer.join().unwrap()
    })
}

fn answer_datagram(scene: &Scene, to: IpAddr) -> Sending<'_> {
    Box::new(move || {
        let service = run_in_pod(scene, || bound(POD, to, 0))?;
        let address = service.local_addr()?;
        from_outside(scene, to, move |outside| outside.send_to(b"question", address).map(drop))?;
        let (_, peer) = service.recv_from(&mut [0; 16])?;
        service.send_to(b"answer", peer).map(drop)
    })
}

fn from_outside(scene: &Scene, to: IpAddr, work: impl FnOnce(&UdpSocket) -> io::Result<()> + Send) -> io::Result<()> {
    scene.lab.outside().run(|| work(&UdpSocket::bind(SocketAddr::new(to, 0))?)).unwrap()
}

fn answer_echo(scene: &Scene, to: IpAddr) -> Sending<'_> {
    Box::new(move || {
        let (protocol, message) =
            if to.is_ipv6() { (58, [128, 0, 0, 0, 0, 2, 0, 1]) } else { (1, [8, 0, 0xf7, 0xfc, 0, 2, 0, 1]) };
        let ask = || {
            let domain = Domain::for_address(SocketAddr::new(to, 0));
            let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(protocol)))?;
            socket.bind(&SocketAddr::new(to, 0).into())?;
            socket.send_to(&message, &SocketAddr::new(own(POD, to), 0).into()).map(drop)
        };
        scene.lab.outside().run(ask).unwrap()
    })
}

/// A port that nobody listens at.
const CLOSED: u16 = 4;

fn answer_reset(scene: &Scene, to: IpAddr) -> Sending<'_> {
    Box::new(move || {
        let ask = || {
            let socket = Socket::new(Domain::for_address(SocketAddr::new(to, 0)), Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(to, 0).into())?;
            // Refused or timed out: the packets are counted.
            Ok(socket.connect_timeout(&SocketAddr::new(own(POD, to), CLOSED).into(), WAIT).is_ok())
        };
        assert!(!scene.lab.outside().run(ask).unwrap().map_err(|error: io::Error| error)?);
        Ok(())
    })
}

fn answer_unreachable(scene: &Scene, to: IpAddr) -> Sending<'_> {
    Box::new(move || {
        let closed = SocketAddr::new(own(POD, to), CLOSED);
        from_outside(scene, to, move |outside| outside.send_to(b"anybody there", closed).map(drop))
    })
}

/// What cases need beyond the lab: a known hardware address, and a guest behind the pod.
pub(crate) fn furnish(scene: &Scene) {
    let link: Vec<String> = NODE_LINK.iter().map(|byte| format!("{byte:02x}")).collect();
    scene.lab.node().ip(&format!("link set dev pod0 address {}\n", link.join(":"))).unwrap();
    scene.lab.forget_neighbours().unwrap();
    let pod = pod(scene);
    for (key, value) in [
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv6/conf/all/forwarding", "1"),
        // Linux sends few errors in a row, and here many come in a row.
        ("net/ipv4/icmp_ratelimit", "0"),
        ("net/ipv6/icmp/ratelimit", "0"),
    ] {
        pod.sysctl(key, value).unwrap();
    }
    pod.ip(&format!(
        "link add guest0 type veth peer name eth0 netns {}\naddr add 10.200.0.1/24 dev guest0\n\
         addr add fd00:10:200::1/64 dev guest0 nodad\nlink set guest0 up\n",
        scene.guest.path(),
    ))
    .unwrap();
    scene
        .guest
        .ip("addr add 10.200.0.2/24 dev eth0\naddr add fd00:10:200::2/64 dev eth0 nodad\nlink set eth0 up\n\
             route add default via 10.200.0.1\nroute add default via fd00:10:200::1\n")
        .unwrap();
}
