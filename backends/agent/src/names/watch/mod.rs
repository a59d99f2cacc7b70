//! Reading the answers that pass: nothing is held, so an answer may reach its client before the kernel knows it.
//!
//! In: packets of DNS on some interfaces, each with its direction. Out: lessons. A query is one that came *in* from a
//! workload's interface, an answer one that goes *out* through the same interface. What a workload sends itself is never an
//! answer to it, even if the node sends it back: whoever is seen to be sent something in a resolver's name through an interface
//! learns nothing through it for a while.

mod distrust;
mod frame;
mod streams;

use super::options::PORT;
use super::shared::Shared;
use crate::failure::Failure;
use distrust::Distrust;
use egress_agent::learning::message::{Query, query};
use egress_agent::learning::{Asked, Pending, Reason, Transport};
use frame::{Content, Frame};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{LinkAddr, recvfrom, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use streams::Streams;

/// Everything that passes, in both directions (`ETH_P_ALL`).
const ALL: u16 = 0x0003;
/// `PACKET_OUTGOING`: the packet leaves this node.
const OUTGOING: u8 = 4;
const BUFFER_BYTES: usize = 8 << 20;

/// The thread's work.
pub(super) struct Watch {
    shared: Arc<Shared>,
    socket: Socket,
    interfaces: Vec<usize>,
    /// By interface: an answer goes where its query came from.
    pending: BTreeMap<usize, Pending>,
    streams: BTreeMap<usize, Streams>,
    distrust: Distrust,
}

/// Opens a socket that sees DNS on these interfaces.
pub(super) fn open(shared: Arc<Shared>, names: &[String]) -> Result<Watch, Failure> {
    let index = |name: &String| {
        let index = if_nametoindex(name.as_str());
        index.map(|index| index as usize).map_err(|_| Failure::new(format!("there is no interface `{name}`")))
    };
    let interfaces = names.iter().map(index).collect::<Result<Vec<usize>, Failure>>()?;
    let fails = |error: io::Error| Failure::new(format!("cannot watch packets: {error}"));
    // What comes before the filter is there is looked at as everything else.
    let socket =
        Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(i32::from(ALL.to_be())))).map_err(fails)?;
    socket.attach_filter(&frame::filter(PORT)).map_err(fails)?;
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).map_err(|error| fails(error.into()))?;
    Ok(Watch {
        shared,
        socket,
        interfaces,
        pending: BTreeMap::new(),
        streams: BTreeMap::new(),
        distrust: Distrust::default(),
    })
}

impl Watch {
    /// Watches for as long as nothing of its own fails.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let mut room = vec![0; 1 << 16];
        loop {
            let (length, from) = match recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut room) {
                Err(nix::Error::EINTR | nix::Error::ENETDOWN) => continue,
                // More came than there was room for.
                Err(nix::Error::ENOBUFS) => {
                    self.shared.count(Reason::PacketsLost);
                    continue;
                }
                received => received?,
            };
            let Some(from) = from.filter(|from| self.interfaces.contains(&from.ifindex())) else { continue };
            match frame::read(room.get(..length).unwrap_or_default()) {
                Ok(Some(frame)) => self.take(from.ifindex(), from.pkttype() == OUTGOING, &frame),
                // Not whole, or what was left on the socket from before the filter was there.
                Ok(None) => {}
                Err(reason) => self.shared.count(reason),
            }
        }
    }

    fn take(&mut self, interface: usize, leaves: bool, frame: &Frame<'_>) {
        if !leaves && frame.from.port() == PORT && self.shared.is_resolver(frame.from) {
            self.distrust.add(interface, frame.to.ip(), self.shared.now());
            return self.shared.count(Reason::Forged);
        }
        // Towards a workload only answers count, from it only queries.
        let (client, resolver) = if leaves { (frame.to, frame.from) } else { (frame.from, frame.to) };
        if resolver.port() != PORT {
            return;
        }
        if !self.shared.is_resolver(resolver) {
            return self.shared.count(Reason::NoResolver);
        }
        match &frame.content {
            Content::Datagram(bytes) => {
                let asked = Asked { client, resolver, transport: Transport::Udp };
                self.message(interface, leaves, asked, bytes);
            }
            Content::Segment(segment) => {
                let now = self.shared.now();
                let streams = self.streams.entry(interface).or_default();
                match streams.take((client, resolver), leaves, segment, now) {
                    Ok(messages) => {
                        let asked = Asked { client, resolver, transport: Transport::Tcp };
                        for bytes in messages {
                            self.message(interface, leaves, asked, &bytes);
                        }
                    }
                    Err(reason) => self.shared.count(reason),
                }
            }
        }
    }

    fn message(&mut self, interface: usize, leaves: bool, asked: Asked, bytes: &[u8]) {
        let now = self.shared.now();
        let pending = self.pending.entry(interface).or_default();
        if leaves {
            if self.distrust.holds(interface, asked.client.ip(), now) {
                return self.shared.count(Reason::Forged);
            }
            match pending.answer(asked, bytes, now) {
                Ok(query) => self.shared.teach(asked.client.ip(), &query, bytes),
                Err(reason) => self.shared.count(reason),
            }
            return;
        }
        match query(bytes).and_then(|query: Query| pending.ask(asked, query, now)) {
            Ok(()) => self.shared.count(Reason::Queries),
            Err(reason) => self.shared.count(reason),
        }
    }
}
