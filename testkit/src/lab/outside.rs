//! What the outside does: answers every TCP connection and UDP datagram with its own bytes,
//! whatever the address and port, and stays silent to probes.
//!
//! In: the outside's namespace. Out: a running echo service that ends with this value.

use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::error::{LabError, doing};
use super::namespace::Namespace;
use super::packet::SILENT_DSCP;

/// Where redirected traffic is served.
const PORT: u16 = 7;
/// How long a service may take to notice that it shall end.
const TICK: Duration = Duration::from_millis(20);

/// The running service.
#[derive(Debug)]
pub(super) struct Echo {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Echo {
    pub(super) fn start(outside: &Namespace) -> Result<Self, LabError> {
        outside.nft(&rules())?;
        // A v6 socket takes v4 too, as mapped addresses.
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT));
        let (tcp, udp) =
            outside
                .run(|| Ok((TcpListener::bind(any)?, UdpSocket::bind(any)?)))?
                .map_err(doing::<io::Error>("opening the echo service"))?;
        tcp.set_nonblocking(true).map_err(doing("opening the echo service"))?;
        udp.set_read_timeout(Some(TICK)).map_err(doing("opening the echo service"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (for_tcp, for_udp) = (Arc::clone(&stop), Arc::clone(&stop));
        let threads = vec![
            thread::spawn(move || accept_connections(&tcp, &for_tcp)),
            thread::spawn(move || return_datagrams(&udp, &for_udp)),
        ];
        Ok(Self { stop, threads })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A service that panicked has nothing left to end.
            let _ = thread.join();
        }
    }
}

fn rules() -> String {
    format!(
        "table inet lab {{\n\
           chain silent {{ type filter hook prerouting priority raw; policy accept;\n\
             ip dscp {SILENT_DSCP} drop\n\
             ip6 dscp {SILENT_DSCP} drop\n\
           }}\n\
           chain serve {{ type nat hook prerouting priority dstnat; policy accept;\n\
             meta l4proto {{ tcp, udp }} redirect to :{PORT}\n\
           }}\n\
         }}\n"
    )
}

fn accept_connections(listener: &TcpListener, stop: &Arc<AtomicBool>) {
    let mut served = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                let stop = Arc::clone(stop);
                served.push(thread::spawn(move || return_bytes(stream, &stop)));
            }
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
    for thread in served {
        let _ = thread.join();
    }
}

/// Serves one connection until either side ends it. A failing connection is the client's to
/// report, so errors only end the service of it.
fn return_bytes(mut stream: TcpStream, stop: &AtomicBool) {
    let ready = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(TICK)));
    let mut room = [0; 4096];
    while ready.is_ok() && !stop.load(Ordering::Relaxed) {
        match stream.read(&mut room) {
            Ok(0) => return,
            Ok(length) => {
                let Some(read) = room.get(..length) else { return };
                if stream.write_all(read).is_err() {
                    return;
                }
            }
            Err(error) if timed_out(&error) => {}
            Err(_) => return,
        }
    }
}

fn return_datagrams(socket: &UdpSocket, stop: &AtomicBool) {
    let mut room = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        // A timeout, or an ICMP error left by an earlier answer: neither ends the service.
        if let Ok((length, peer)) = socket.recv_from(&mut room)
            && let Some(read) = room.get(..length)
        {
            let _ = socket.send_to(read, peer);
        }
    }
}

fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
