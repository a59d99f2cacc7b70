//! The forwarder for UDP: one thread, one socket towards clients for each address, and a fresh one for each query.
//!
//! In: datagrams. Out: the resolvers' answers, unchanged but for the number of the message, each when the kernel knows what
//! it teaches. A query goes out from a random port with a random number of its own; an answer that does not fit is not
//! passed on, and the query waits for the right one.

use super::fellow::Fellows;
use super::shared::Shared;
use crate::failure::Failure;
use egress_agent::learning::Reason;
use egress_agent::learning::message::{LONGEST, Query, answers, query};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a resolver has to answer. Clients ask again after about as long.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most queries that wait for an answer.
const MOST: usize = 4_096;
/// The most of them that one client has.
const MOST_OF_CLIENT: usize = 512;
/// Descriptors that are left for everything else.
const SPARE: u64 = 512;
/// What is read of one socket before others have their turn.
const TURN: usize = 64;

/// The thread's work.
pub(super) struct Datagrams {
    shared: Arc<Shared>,
    epoll: Epoll,
    listeners: Vec<UdpSocket>,
    waiting: BTreeMap<u64, Waiting>,
    /// In the order in which patience ends; those that were answered are passed over.
    order: VecDeque<(Instant, u64)>,
    fellows: Fellows,
    next: u64,
    most: usize,
    random: File,
    mark: u32,
}

/// A query that was passed on.
struct Waiting {
    client: SocketAddr,
    listener: usize,
    /// The number that the client gave it.
    id: u16,
    /// With the number that it went out with.
    query: Query,
    resolver: usize,
    socket: UdpSocket,
}

impl Datagrams {
    pub(super) fn open(shared: Arc<Shared>, listen: &[SocketAddr], mark: u32) -> Result<Self, Failure> {
        let fails = |error: io::Error| Failure::new(format!("cannot forward queries: {error}"));
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|error| fails(error.into()))?;
        let mut listeners = Vec::new();
        for (place, address) in (0..).zip(listen) {
            let help = "the address must be one of this node's, and its port free";
            let socket = UdpSocket::bind(address)
                .map_err(|error| Failure::new(format!("cannot listen at `{address}`: {error}")).help(help))?;
            socket.set_nonblocking(true).map_err(fails)?;
            // Bursts of queries wait here while the kernel is told what answers teach.
            setsockopt(&socket, sockopt::RcvBufForce, &(4 << 20)).map_err(|error| fails(error.into()))?;
            epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, place)).map_err(|error| fails(error.into()))?;
            listeners.push(socket);
        }
        Ok(Self {
            shared,
            epoll,
            next: listeners.len() as u64,
            listeners,
            waiting: BTreeMap::new(),
            order: VecDeque::new(),
            fellows: Fellows::new(MOST_OF_CLIENT),
            most: room_for_descriptors(),
            random: File::open("/dev/urandom").map_err(fails)?,
            mark,
        })
    }

    /// Forwards for as long as nothing of its own fails.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); 256];
        let mut room = vec![0; LONGEST];
        loop {
            let timeout =
                self.order.front().map_or(PATIENCE, |(ends, _)| ends.saturating_duration_since(Instant::now()));
            let timeout = EpollTimeout::try_from(timeout + Duration::from_millis(1)).unwrap_or(EpollTimeout::NONE);
            let count = match self.epoll.wait(&mut events, timeout) {
                Err(nix::Error::EINTR) => 0,
                waited => waited?,
            };
            for event in events.iter().take(count) {
                let token = event.data();
                match usize::try_from(token).ok().filter(|place| *place < self.listeners.len()) {
                    Some(listener) => self.take_queries(listener, &mut room)?,
                    None => self.take_answer(token, &mut room),
                }
            }
            self.lose_patience();
        }
    }

    fn take_queries(&mut self, listener: usize, room: &mut [u8]) -> io::Result<()> {
        for _ in 0..TURN {
            let Some(socket) = self.listeners.get(listener) else { return Ok(()) };
            match socket.recv_from(room) {
                Ok((length, client)) => {
                    let bytes = room.get_mut(..length).unwrap_or_default();
                    if let Err(reason) = self.ask(listener, client, bytes)? {
                        self.shared.count(reason);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // What an earlier answer met on its way to a client that is gone.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Passes a query on. The outer error is one of this program's own.
    fn ask(&mut self, listener: usize, client: SocketAddr, bytes: &mut [u8]) -> io::Result<Result<(), Reason>> {
        let mut query = match query(bytes) {
            Ok(query) => query,
            Err(reason) => return Ok(Err(reason)),
        };
        if self.waiting.len() >= self.most {
            return Ok(Err(Reason::TooManyQueries));
        }
        let Some((resolver, address)) = self.shared.resolver() else { return Ok(Err(Reason::NoResolver)) };
        let mut number = [0; 2];
        self.random.read_exact(&mut number)?;
        if let Some(head) = bytes.first_chunk_mut::<2>() {
            *head = number;
        }
        let id = std::mem::replace(&mut query.id, u16::from_be_bytes(number));
        let sent = upstream(address, self.mark).and_then(|socket| socket.send(bytes).map(|_| socket));
        let Ok(socket) = sent else {
            self.shared.give_up(resolver);
            return Ok(Ok(()));
        };
        if !self.fellows.enter(client.ip()) {
            return Ok(Err(Reason::TooManyQueries));
        }
        let token = self.next;
        self.next = self.next.wrapping_add(1).max(self.listeners.len() as u64);
        self.epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
        self.order.push_back((Instant::now() + PATIENCE, token));
        self.waiting.insert(token, Waiting { client, listener, id, query, resolver, socket });
        self.shared.count(Reason::Queries);
        Ok(Ok(()))
    }

    fn take_answer(&mut self, token: u64, room: &mut [u8]) {
        let Some(waiting) = self.waiting.get(&token) else { return };
        match waiting.socket.recv(room) {
            Ok(length) => {
                let bytes = room.get_mut(..length).unwrap_or_default();
                if let Err(reason) = answers(bytes, &waiting.query) {
                    return self.shared.count(reason);
                }
                let Some(waiting) = self.end(token) else { return };
                self.answer(&waiting, bytes);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // Nobody is there.
            Err(_) => {
                if let Some(waiting) = self.end(token) {
                    self.shared.give_up(waiting.resolver);
                }
            }
        }
    }

    /// The kernel first, the client then.
    fn answer(&self, waiting: &Waiting, bytes: &mut [u8]) {
        self.shared.teach(waiting.client.ip(), &waiting.query, bytes);
        if let Some(head) = bytes.first_chunk_mut::<2>() {
            *head = waiting.id.to_be_bytes();
        }
        if let Some(listener) = self.listeners.get(waiting.listener) {
            // A client that is gone, or does not read, asks again.
            let _unsure = listener.send_to(bytes, waiting.client);
        }
    }

    fn lose_patience(&mut self) {
        let now = Instant::now();
        while let Some((_, token)) = self.order.front().copied().filter(|(ends, _)| *ends <= now) {
            self.order.pop_front();
            if let Some(waiting) = self.end(token) {
                self.shared.give_up(waiting.resolver);
            }
        }
    }

    /// The socket is closed with what is returned, and leaves the others by that.
    fn end(&mut self, token: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&token)?;
        self.fellows.leave(waiting.client.ip());
        Some(waiting)
    }
}

/// A socket that hears a resolver and nobody else. The kernel draws its port at random.
fn upstream(resolver: SocketAddr, mark: u32) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(resolver), Type::DGRAM, Some(Protocol::UDP))?;
    if mark != 0 {
        socket.set_mark(mark)?;
    }
    socket.set_nonblocking(true)?;
    let any: IpAddr = if resolver.is_ipv6() { [0_u8; 16].into() } else { [0_u8; 4].into() };
    // Bound before it is connected, so that the port is drawn as ports of listeners are: at random among all.
    socket.bind(&SocketAddr::new(any, 0).into())?;
    socket.connect(&resolver.into())?;
    Ok(socket.into())
}

/// How many queries can wait with the descriptors that this process may have; as many as it may are taken.
fn room_for_descriptors() -> usize {
    let wanted = MOST as u64 + SPARE;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return SPARE as usize };
    let raised = soft.max(wanted.min(hard));
    let have = if setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok() { raised } else { soft };
    usize::try_from(have.saturating_sub(SPARE)).unwrap_or(MOST).clamp(16, MOST)
}
