//! Two nodes with a pod each on one network, and an outside that tells whose packets it gets.
//!
//! In: rules, and which node holds which gateway. Out: the source addresses that the outside saw. As in [`Lab`], all of
//! it are namespaces without names, which end with this value.
//!
//! ```text
//! pod 0 ── node 0 ─┐
//!                  ├─ wire (a bridge) ── outside (AnyIP: everything)
//! pod 1 ── node 1 ─┘
//! ```
//!
//! [`Lab`]: super::Lab

use super::error::{LabError, doing};
use super::namespace::Namespace;
use super::or_skip;
use super::teller::Teller;
use super::topology::quiet_namespace;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

/// The interface of nodes and the outside on the wire.
pub const LAN: &str = "lan";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(300);

/// The network.
#[derive(Debug)]
pub struct Lan {
    // The service ends before the namespaces it runs in: fields are dropped in this order.
    _teller: Teller,
    pods: [Namespace; 2],
    nodes: [Namespace; 2],
    outside: Namespace,
    _wire: Namespace,
}

/// The address of the pod of a node.
#[must_use]
pub fn lan_pod(node: usize, v6: bool) -> IpAddr {
    let node = u8::try_from(node).unwrap_or(u8::MAX);
    if v6 {
        Ipv6Addr::new(0xfd00, 0x10, 0x42, node.into(), 0, 0, 0, 7).into()
    } else {
        Ipv4Addr::new(10, 42, node, 7).into()
    }
}

/// The address of a node on the wire; those that end in 10 and more are free.
#[must_use]
pub fn lan_node(node: usize, v6: bool) -> IpAddr {
    on_wire(u8::try_from(node).map_or(u8::MAX, |node| node.saturating_add(2)), v6)
}

/// An address on the wire.
#[must_use]
pub fn on_wire(last: u8, v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::new(0x2001, 0xdb8, 0xfeed, 0, 0, 0, 0, last.into()).into()
    } else {
        Ipv4Addr::new(192, 0, 2, last).into()
    }
}

impl Lan {
    /// Builds the network for the test of this name, or says on standard error that the test is skipped and why.
    ///
    /// # Errors
    /// As [`super::Lab::for_test`].
    pub fn for_test(name: &str) -> Result<Option<Self>, LabError> {
        or_skip(name, Self::new())
    }

    fn new() -> Result<Self, LabError> {
        super::check_machine()?;
        let wire = Namespace::new("wire")?;
        wire.ip("link add br0 type bridge\nlink set br0 up\n")?;
        let outside = quiet_namespace("outside")?;
        plug(&wire, &outside, "out", 1)?;
        // In the main table, so that routes on the wire win.
        outside.ip("route add local 0.0.0.0/0 dev lo table main\nroute add local ::/0 dev lo table main\n")?;
        let nodes = [quiet_namespace("node 0")?, quiet_namespace("node 1")?];
        let pods = [quiet_namespace("pod 0")?, quiet_namespace("pod 1")?];
        for (index, (node, pod)) in nodes.iter().zip(&pods).enumerate() {
            join(&wire, node, pod, index)?;
        }
        let teller = Teller::start(&outside)?;
        let lan = Self { _teller: teller, pods, nodes, outside, _wire: wire };
        lan.wait_until_up()?;
        Ok(lan)
    }

    /// A node.
    ///
    /// # Errors
    /// When there is no node of that number.
    pub fn node(&self, node: usize) -> Result<&Namespace, LabError> {
        self.nodes.get(node).ok_or_else(|| LabError::Impossible(format!("there is no node {node}")))
    }

    /// The outside.
    #[must_use]
    pub fn outside(&self) -> &Namespace {
        &self.outside
    }

    /// Makes a node hold a gateway: an interface `NAME` of its own on the wire, with these addresses.
    ///
    /// # Errors
    /// When a step fails.
    pub fn hold(&self, node: usize, name: &str, addresses: &[IpAddr]) -> Result<(), LabError> {
        let here = self.node(node)?;
        here.ip(&format!("link add {name} link {LAN} type macvlan mode bridge\nlink set {name} up\n"))?;
        for device in [LAN, name] {
            here.sysctl(&format!("net/ipv4/conf/{device}/arp_ignore"), "1")?;
        }
        for address in addresses {
            let (length, nodad) = if address.is_ipv6() { (128, " nodad") } else { (32, "") };
            here.ip(&format!("addr add {address}/{length} dev {name}{nodad}\n"))?;
        }
        self.forget_neighbours()
    }

    /// Makes everybody ask anew who has which address.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn forget_neighbours(&self) -> Result<(), LabError> {
        self.nodes.iter().chain([&self.outside]).try_for_each(|one| one.ip("neigh flush all\n"))
    }

    /// A UDP socket of a pod, or of the node itself, that is connected to the outside.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn udp(&self, from: IpAddr, to: SocketAddr) -> Result<UdpSocket, LabError> {
        let opened = self.namespace_of(from)?.run(|| {
            let socket = UdpSocket::bind(SocketAddr::new(from, 0))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.connect(to)?;
            Ok(socket)
        })?;
        opened.map_err(doing::<io::Error>("opening a UDP socket"))
    }

    /// The source address that the outside sees of a new TCP connection; nothing where none comes about.
    ///
    /// # Errors
    /// When the socket cannot be opened.
    pub fn seen_by_tcp(&self, from: IpAddr, to: SocketAddr) -> Result<Option<IpAddr>, LabError> {
        let opened = self.namespace_of(from)?.run(|| {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
            socket.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok((socket.connect_timeout(&SockAddr::from(to), PATIENCE), socket))
        })?;
        let (connected, mut socket) = opened.map_err(doing::<io::Error>("opening a TCP socket"))?;
        let mut told = [0; 16];
        Ok((connected.is_ok() && socket.read_exact(&mut told).is_ok()).then(|| address(told)))
    }

    fn namespace_of(&self, address: IpAddr) -> Result<&Namespace, LabError> {
        let places = self.pods.iter().zip(&self.nodes).enumerate();
        for (index, (pod, node)) in places {
            for v6 in [false, true] {
                match address {
                    _ if address == lan_pod(index, v6) => return Ok(pod),
                    _ if address == lan_node(index, v6) => return Ok(node),
                    _ => {}
                }
            }
        }
        Err(LabError::Impossible(format!("nobody on the wire sends from {address}")))
    }

    /// IPv6 takes up to a second before it uses a new link.
    fn wait_until_up(&self) -> Result<(), LabError> {
        let start = Instant::now();
        for (node, v6) in [(0, false), (0, true), (1, false), (1, true)] {
            // Nobody masquerades yet; the outside's answers to pods need no way back to be sent.
            let to = SocketAddr::new(on_wire(1, v6), 9);
            while seen_by_udp(&self.udp(lan_node(node, v6), to)?)?.is_none() {
                if start.elapsed() > Duration::from_secs(10) {
                    return Err(LabError::Impossible(format!("no way from node {node} to {to}")));
                }
            }
        }
        Ok(())
    }
}

/// The source address that the outside sees of a datagram from such a socket; nothing where no answer comes.
///
/// # Errors
/// None but those of the socket itself.
pub fn seen_by_udp(socket: &UdpSocket) -> Result<Option<IpAddr>, LabError> {
    let mut told = [0; 16];
    // A send can report what an earlier one met.
    if socket.send(b"whose").or_else(|_| socket.send(b"whose")).is_err() {
        return Ok(None);
    }
    match socket.recv(&mut told) {
        Ok(16) => Ok(Some(address(told))),
        Ok(length) => Err(LabError::Impossible(format!("the outside told {length} bytes"))),
        Err(_) => Ok(None),
    }
}

fn address(told: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(told).to_canonical()
}

/// Connects a namespace to the wire.
fn plug(wire: &Namespace, namespace: &Namespace, port: &str, last: u8) -> Result<(), LabError> {
    wire.ip(&format!(
        "link add {port} type veth peer name {LAN} netns {}\nlink set {port} master br0 up\n",
        namespace.path()
    ))?;
    namespace.ip(&format!(
        "addr add {}/24 dev {LAN}\naddr add {}/64 dev {LAN} nodad\nlink set {LAN} up\n",
        on_wire(last, false),
        on_wire(last, true)
    ))
}

fn join(wire: &Namespace, node: &Namespace, pod: &Namespace, index: usize) -> Result<(), LabError> {
    for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
        node.sysctl(key, "1")?;
    }
    let last = u8::try_from(index).map_or(u8::MAX, |index| index.saturating_add(2));
    plug(wire, node, &format!("node{index}"), last)?;
    let other = 1 - index.min(1);
    node.ip(&format!(
        "link add pod0 type veth peer name eth0 netns {}\n\
         addr add 10.42.{index}.1/24 dev pod0\n\
         addr add fd00:10:42:{index}::1/64 dev pod0 nodad\n\
         link set pod0 up\n\
         route add default via {}\nroute add default via {}\n\
         route add 10.42.{other}.0/24 via {}\nroute add fd00:10:42:{other}::/64 via {}\n",
        pod.path(),
        on_wire(1, false),
        on_wire(1, true),
        lan_node(other, false),
        lan_node(other, true),
    ))?;
    pod.ip(&format!(
        "addr add {}/24 dev eth0\naddr add {}/64 dev eth0 nodad\nlink set eth0 up\n\
         route add default via 10.42.{index}.1\nroute add default via fd00:10:42:{index}::1\n",
        lan_pod(index, false),
        lan_pod(index, true),
    ))
}
