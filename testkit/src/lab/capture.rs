//! Sockets that send whole packets and that see what arrives.
//!
//! In: a namespace. Out: sent packets, and the probes that arrived with the addresses they bore.
//! In pods and in the outside a packet socket looks at the wire, before any rule there. In the
//! node, where the rules under test are, raw IP sockets see only what the rules let through.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::error::{LabError, doing};
use super::namespace::Namespace;
use super::packet::{addresses, identify};

/// `ETH_P_IP` and `ETH_P_IPV6`: bound to a protocol, a packet socket sees only what comes in.
const WIRE_PROTOCOLS: [u16; 2] = [0x0800, 0x86dd];
/// `IPPROTO_RAW`: the sender writes the IP header itself.
const HEADER_INCLUDED: i32 = 255;
/// Enough for a burst of tens of thousands of small packets.
const BUFFER_BYTES: usize = 64 << 20;

/// A probe as it was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) id: u64,
    /// Absent where the socket does not show the header (v6 at the node).
    pub(super) addresses: Option<(IpAddr, IpAddr)>,
}

/// Everything that arrives in one namespace.
#[derive(Debug)]
pub(super) struct Capture {
    sockets: Vec<Socket>,
}

impl Capture {
    /// Looks at the wire: in pods and in the outside.
    pub(super) fn on_the_wire(namespace: &Namespace) -> Result<Self, LabError> {
        Self::open(namespace, || {
            WIRE_PROTOCOLS
                .iter()
                .map(|protocol| {
                    let network_order = i32::from(protocol.to_be());
                    Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(network_order)))
                })
                .collect()
        })
    }

    /// Looks behind the rules, at what is delivered: in the node, for these IP protocols.
    pub(super) fn delivered(namespace: &Namespace, protocols: &BTreeSet<u8>) -> Result<Self, LabError> {
        Self::open(namespace, || {
            let mut sockets = Vec::new();
            for protocol in protocols {
                for domain in [Domain::IPV4, Domain::IPV6] {
                    let protocol = Some(Protocol::from(i32::from(*protocol)));
                    sockets.push(Socket::new(domain, Type::RAW, protocol)?);
                }
            }
            Ok(sockets)
        })
    }

    fn open(namespace: &Namespace, make: impl FnOnce() -> io::Result<Vec<Socket>> + Send) -> Result<Self, LabError> {
        let sockets = namespace.run(make)?.map_err(doing("opening a capturing socket"))?;
        for socket in &sockets {
            socket.set_nonblocking(true).map_err(doing("making a socket non-blocking"))?;
            enlarge(socket)?;
        }
        Ok(Self { sockets })
    }

    /// Takes all probes that have arrived by now; other packets are passed over.
    pub(super) fn drain(&self) -> Result<Vec<Seen>, LabError> {
        let mut seen = Vec::new();
        let mut room = [0_u8; 512];
        for mut socket in &self.sockets {
            loop {
                match socket.read(&mut room) {
                    Ok(length) => seen.extend(room.get(..length).and_then(recognise)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(doing("capturing packets")(error)),
                }
            }
        }
        Ok(seen)
    }
}

fn recognise(bytes: &[u8]) -> Option<Seen> {
    let id = identify(bytes)?;
    Some(Seen { id, addresses: addresses(bytes) })
}

/// A sender of whole packets, one socket per family.
#[derive(Debug)]
pub(super) struct Sender {
    v4: Socket,
    v6: Socket,
}

impl Sender {
    pub(super) fn new(namespace: &Namespace) -> Result<Self, LabError> {
        let raw = |domain| Socket::new(domain, Type::RAW, Some(Protocol::from(HEADER_INCLUDED)));
        let (v4, v6) = namespace
            .run(|| Ok((raw(Domain::IPV4)?, raw(Domain::IPV6)?)))?
            .map_err(doing::<io::Error>("opening a raw socket"))?;
        Ok(Self { v4, v6 })
    }

    /// Sends one packet. An output hook that drops it makes `send` fail with "operation not
    /// permitted", which is a verdict and no error here.
    pub(super) fn send(&self, packet: &[u8], to: IpAddr) -> Result<(), LabError> {
        let socket = if to.is_ipv4() { &self.v4 } else { &self.v6 };
        match socket.send_to(packet, &SocketAddr::new(to, 0).into()) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            sent => sent.map(drop).map_err(doing("sending a probe")),
        }
    }
}

/// Enlarges the receive buffer beyond the system's limit; without it bursts may be cut, which
/// the privilege that a lab has anyway avoids.
fn enlarge(socket: &Socket) -> Result<(), LabError> {
    setsockopt(socket, sockopt::RcvBufForce, &BUFFER_BYTES).map_err(doing("enlarging a buffer"))
}
