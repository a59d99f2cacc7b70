//! An outside that tells everybody from which address it sees them.
//!
//! In: the outside's namespace. Out: a running service that ends with this value. It answers every TCP connection and
//! UDP datagram, whatever the address and port, with the 16 bytes of the peer's address, as IPv6.

use super::error::{LabError, doing};
use super::namespace::Namespace;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Where redirected traffic is served.
const PORT: u16 = 7;
/// How long the service may take to notice that it shall end.
const TICK: Duration = Duration::from_millis(20);

/// The running service.
#[derive(Debug)]
pub(super) struct Teller {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Teller {
    pub(super) fn start(outside: &Namespace) -> Result<Self, LabError> {
        outside.nft(&format!(
            "table inet lab {{\n chain serve {{ type nat hook prerouting priority dstnat; policy accept;\n\
             meta l4proto {{ tcp, udp }} redirect to :{PORT}\n }}\n}}\n"
        ))?;
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT));
        let opened = outside.run(|| Ok((TcpListener::bind(any)?, UdpSocket::bind(any)?)))?;
        let (tcp, udp) = opened.map_err(doing::<io::Error>("opening the outside's service"))?;
        tcp.set_nonblocking(true).map_err(doing("opening the outside's service"))?;
        udp.set_read_timeout(Some(TICK)).map_err(doing("opening the outside's service"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (for_tcp, for_udp) = (Arc::clone(&stop), Arc::clone(&stop));
        let threads = vec![
            thread::spawn(move || tell_callers(&tcp, &for_tcp)),
            thread::spawn(move || tell_askers(&udp, &for_udp)),
        ];
        Ok(Self { stop, threads })
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A service that panicked has nothing left to end.
            let _ = thread.join();
        }
    }
}

/// A peer that is gone has nothing to be told.
fn tell_callers(listener: &TcpListener, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((mut stream, peer)) => {
                let _ = stream.set_nonblocking(false).and_then(|()| stream.write_all(&told(peer)));
            }
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn tell_askers(socket: &UdpSocket, stop: &AtomicBool) {
    let mut room = [0; 64];
    while !stop.load(Ordering::Relaxed) {
        // A timeout, or an ICMP error left by an earlier answer: neither ends the service.
        if let Ok((_, peer)) = socket.recv_from(&mut room) {
            let _ = socket.send_to(&told(peer), peer);
        }
    }
}

fn told(peer: SocketAddr) -> [u8; 16] {
    match peer.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
