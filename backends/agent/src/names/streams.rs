//! The forwarder for TCP: a thread for each connection of a client, a connection to the resolver for each query.
//!
//! In: messages with their lengths before them. Out: the resolvers' answers, unchanged, each when the kernel knows what it
//! teaches. Bounded by connections, and by the time that a connection may say nothing.

use super::fellow::Fellows;
use super::shared::Shared;
use crate::failure::Failure;
use egress_agent::learning::Reason;
use egress_agent::learning::message::{answers, query};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a resolver has to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client may say nothing (RFC 7766, 6.2.3: a few seconds).
const IDLE: Duration = Duration::from_secs(10);
/// The most connections, and the most of one client.
const MOST: usize = 256;
const MOST_OF_CLIENT: usize = 16;
/// The most queries of one connection.
const MOST_QUERIES: usize = 1_000;

/// Takes connections at these addresses.
pub(super) fn open(listen: &[SocketAddr]) -> Result<Vec<TcpListener>, Failure> {
    let bind = |address: &SocketAddr| {
        TcpListener::bind(address).map_err(|error| {
            Failure::new(format!("cannot listen at `{address}`: {error}"))
                .help("the address must be one of this node's, and its port free")
        })
    };
    listen.iter().map(bind).collect()
}

/// The connections that there are, of all listeners together.
pub(super) type Guests = Arc<Mutex<Fellows>>;

pub(super) fn guests() -> Guests {
    Arc::new(Mutex::new(Fellows::new(MOST_OF_CLIENT)))
}

fn locked(guests: &Guests) -> MutexGuard<'_, Fellows> {
    guests.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves one listener for as long as nothing of its own fails.
pub(super) fn run(shared: &Arc<Shared>, listener: &TcpListener, guests: &Guests, mark: u32) -> io::Result<()> {
    loop {
        let (stream, client) = match listener.accept() {
            Ok(accepted) => accepted,
            // No descriptor is left, or the client is gone already: others may come.
            Err(_) => {
                thread::sleep(Duration::from_millis(10));
                continue;
            }
        };
        let fits = {
            let mut guests = locked(guests);
            guests.all() < MOST && guests.enter(client.ip())
        };
        if !fits {
            shared.count(Reason::TooManyConnections);
            continue;
        }
        let (own, theirs) = (Arc::clone(shared), Arc::clone(guests));
        let started = thread::Builder::new().name("names tcp".to_owned()).stack_size(256 << 10).spawn(move || {
            // A connection that breaks is the client's matter.
            let _ended = serve(&own, stream, client.ip(), mark);
            locked(&theirs).leave(client.ip());
        });
        if started.is_err() {
            locked(guests).leave(client.ip());
            shared.count(Reason::TooManyConnections);
        }
    }
}

fn serve(shared: &Shared, mut stream: TcpStream, client: IpAddr, mark: u32) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    for _ in 0..MOST_QUERIES {
        let asked = read(&mut stream)?;
        let query = match query(&asked) {
            Ok(query) => query,
            Err(reason) => {
                shared.count(reason);
                return Ok(());
            }
        };
        shared.count(Reason::Queries);
        let Some((place, resolver)) = shared.resolver() else {
            shared.count(Reason::NoResolver);
            return Ok(());
        };
        let Ok(said) = ask(resolver, &asked, mark) else {
            shared.give_up(place);
            return Ok(());
        };
        if let Err(reason) = answers(&said, &query) {
            shared.count(reason);
            return Ok(());
        }
        shared.teach(client, &query, &said);
        write(&mut stream, &said)?;
    }
    Ok(())
}

fn ask(resolver: SocketAddr, bytes: &[u8], mark: u32) -> io::Result<Vec<u8>> {
    let socket = Socket::new(Domain::for_address(resolver), Type::STREAM, Some(Protocol::TCP))?;
    if mark != 0 {
        socket.set_mark(mark)?;
    }
    socket.connect_timeout(&resolver.into(), PATIENCE)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write(&mut stream, bytes)?;
    read(&mut stream)
}

fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The length and the message together, which some clients need (RFC 7766, 8).
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let length = u16::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat())
}
