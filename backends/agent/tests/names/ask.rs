//! A small resolver's client, which sends what it is told to and reads addresses.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// A query for the addresses of a name.
pub(crate) fn query(id: u16, name: &str) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}

/// The IPv4 addresses of an answer, and whether it is truncated. Names in answers of the servers here are compressed.
pub(crate) fn addresses(bytes: &[u8]) -> (Vec<Ipv4Addr>, bool) {
    let record = [0, 1, 0, 1];
    let found = bytes.windows(14).filter(|window| window[..4] == record && window[8..10] == [0, 4]);
    (found.map(|window| Ipv4Addr::new(window[10], window[11], window[12], window[13])).collect(), bytes[2] & 2 != 0)
}

/// Asks over UDP; nothing if no answer comes within two seconds.
pub(crate) fn udp(socket: &UdpSocket, id: u16, name: &str) -> Option<(Vec<Ipv4Addr>, bool)> {
    socket.send(&query(id, name)).unwrap();
    let mut room = [0; 4096];
    loop {
        let length = socket.recv(&mut room).ok()?;
        // What came too late for the question before.
        if room[..2] == id.to_be_bytes() {
            return Some(addresses(&room[..length]));
        }
    }
}

/// A socket for [`udp`].
pub(crate) fn socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket
}

/// Asks over TCP.
pub(crate) fn tcp(server: SocketAddr, name: &str) -> Vec<Ipv4Addr> {
    let mut stream = TcpStream::connect_timeout(&server, Duration::from_secs(2)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let query = query(9, name);
    stream.write_all(&[&(query.len() as u16).to_be_bytes(), query.as_slice()].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes).unwrap();
    addresses(&bytes).0
}
