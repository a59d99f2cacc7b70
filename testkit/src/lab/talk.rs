//! Real conversations: TCP connections that may live long, and UDP questions with answers.
//!
//! In: two ends. Out: standard library sockets whose packets cross the lab. The outside answers
//! with the bytes it was sent.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use super::Lab;
use super::error::{LabError, doing};

impl Lab {
    /// Opens a TCP connection; the inner error says why there is none (timed out where packets
    /// are dropped, refused where they are rejected). Both timeouts of the stream are `timeout`.
    ///
    /// # Errors
    /// The outer error: when `from` belongs to nobody here.
    pub fn connect(&self, from: IpAddr, to: SocketAddr, timeout: Duration) -> Result<io::Result<TcpStream>, LabError> {
        self.namespace(self.place_of(from)?)?.run(|| {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
            socket.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
            socket.connect_timeout(&SockAddr::from(to), timeout)?;
            let stream = TcpStream::from(socket);
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(timeout))?;
            stream.set_write_timeout(Some(timeout))?;
            Ok(stream)
        })
    }

    /// Sends a UDP datagram and says whether its answer came back within `timeout`.
    ///
    /// # Errors
    /// When `from` belongs to nobody here, or a socket cannot be opened.
    pub fn ask(&self, from: IpAddr, to: SocketAddr, timeout: Duration) -> Result<bool, LabError> {
        let socket = self
            .namespace(self.place_of(from)?)?
            .run(|| {
                let socket = UdpSocket::bind(SocketAddr::new(from, 0))?;
                socket.set_read_timeout(Some(timeout))?;
                socket.connect(to)?;
                Ok(socket)
            })?
            .map_err(doing::<io::Error>("opening a UDP socket"))?;
        let mut room = [0; 16];
        Ok(socket.send(b"question").is_ok()
            && socket.recv(&mut room).is_ok_and(|length| room.get(..length) == Some(b"question")))
    }
}

/// Sends a few bytes over a connection from [`Lab::connect`] and waits for their return; false
/// when they do not come within the stream's timeout or the connection is broken.
pub fn still_talks(stream: &mut TcpStream) -> bool {
    let mut room = [0; 4];
    stream.write_all(b"ping").is_ok() && stream.read_exact(&mut room).is_ok() && &room == b"ping"
}
