//! A small resolver's client, which sends what it is told to and reads addresses.

use crate::scene::POD;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// The types of records, A and AAAA.
const A: u8 = 1;
const AAAA: u8 = 28;

/// A query for the IPv4 addresses of a name.
pub(crate) fn query(id: u16, name: &str) -> Vec<u8> {
    query_for(id, name, A)
}

fn query_for(id: u16, name: &str, rtype: u8) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, rtype, 0, 1]);
    bytes
}

/// The answer to a query, from nobody who was asked: one address.
pub(crate) fn forged(query: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let mut bytes = query.to_vec();
    (bytes[2], bytes[3], bytes[7]) = (0x81, 0x80, 1);
    bytes.extend([0xc0, 12, 0, A, 0, 1, 0, 0, 0, 60, 0, 4]);
    bytes.extend(address.octets());
    bytes
}

/// The IPv4 addresses of an answer, and whether it is truncated. Names in answers of the servers here are compressed.
pub(crate) fn addresses(bytes: &[u8]) -> (Vec<Ipv4Addr>, bool) {
    let record = [0, 1, 0, 1];
    let found = bytes.windows(14).filter(|window| window[..4] == record && window[8..10] == [0, 4]);
    (found.map(|window| Ipv4Addr::new(window[10], window[11], window[12], window[13])).collect(), bytes[2] & 2 != 0)
}

/// Asks over UDP for IPv6 addresses; those of the answer.
pub(crate) fn udp_v6(socket: &UdpSocket, id: u16, name: &str) -> Vec<Ipv6Addr> {
    socket.send(&query_for(id, name, AAAA)).unwrap();
    let mut room = [0; 4096];
    let length = socket.recv(&mut room).unwrap();
    assert_eq!(room[..2], id.to_be_bytes());
    let found = room[..length].windows(26).filter(|window| window[..4] == [0, AAAA, 0, 1] && window[8..10] == [0, 16]);
    found.map(|window| Ipv6Addr::from(<[u8; 16]>::try_from(&window[10..]).unwrap())).collect()
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

/// A socket for [`udp`], from the address that the policy knows.
pub(crate) fn socket(server: SocketAddr) -> UdpSocket {
    socket_from(POD, server)
}

/// A socket for [`udp`], from an address of whoever asks.
pub(crate) fn socket_from(from: IpAddr, server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket
}

/// Asks over TCP.
pub(crate) fn tcp(server: SocketAddr, name: &str) -> Vec<Ipv4Addr> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(POD, 0).into()).unwrap();
    socket.connect_timeout(&server.into(), Duration::from_secs(2)).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let query = query(9, name);
    stream.write_all(&[&(query.len() as u16).to_be_bytes(), query.as_slice()].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes).unwrap();
    addresses(&bytes).0
}

/// Whether a datagram to an address is answered before the socket's patience ends; what comes from elsewhere is passed over.
pub(crate) fn is_answered(socket: &UdpSocket, to: Ipv4Addr) -> bool {
    let mut room = [0; 16];
    socket.send_to(b"question", (to, 7777)).unwrap();
    while let Ok((_, from)) = socket.recv_from(&mut room) {
        if from.ip() == to {
            return true;
        }
    }
    false
}
