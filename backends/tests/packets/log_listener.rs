//! A listener on an nflog group, as ulogd is one.
//!
//! In: a namespace and the group. Out: the prefixes of the logs that the kernel sends there. The messages are those
//! of `linux/netfilter/nfnetlink_log.h`.

use egress_testkit::lab::Namespace;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{ErrorKind, Read as _};
use std::time::Duration;

const AF_NETLINK: i32 = 16;
const NETLINK_NETFILTER: i32 = 12;
/// The subsystem `ULOG`, message `CONFIG`; the message `PACKET` is 0.
const CONFIG: u16 = 0x0401;
const PACKET: u16 = 0x0400;
/// The attribute that holds a log's prefix.
const PREFIX: u16 = 10;

/// A bound listener; it ends with this value.
#[derive(Debug)]
pub(crate) struct LogListener(Socket);

impl LogListener {
    /// Listens to a group in a namespace.
    pub(crate) fn new(namespace: &Namespace, group: u16) -> Self {
        let open = || Socket::new(Domain::from(AF_NETLINK), Type::RAW, Some(Protocol::from(NETLINK_NETFILTER)));
        let socket = namespace.run(open).unwrap().unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let listener = Self(socket);
        // Bind to the group; copy 96 bytes of each packet; send each log at once.
        for attribute in
            [&[5, 0, 1, 0, 1, 0, 0, 0][..], &[10, 0, 2, 0, 0, 0, 0, 96, 2, 0, 0, 0], &[8, 0, 5, 0, 0, 0, 0, 1]]
        {
            listener.configure(group, attribute);
        }
        listener
    }

    /// Sends one request and reads the kernel's acknowledgement.
    fn configure(&self, group: u16, attribute: &[u8]) {
        let mut message = u32::try_from(20 + attribute.len()).unwrap().to_ne_bytes().to_vec();
        message.extend(CONFIG.to_ne_bytes());
        // A request that wants an acknowledgement.
        message.extend(5_u16.to_ne_bytes());
        message.extend([0; 8]);
        message.extend([0, 0]);
        message.extend(group.to_be_bytes());
        message.extend(attribute);
        self.0.send(&message).unwrap();
        let mut room = [0_u8; 4096];
        let length = (&self.0).read(&mut room).unwrap();
        let error = i32::from_ne_bytes(*room[..length].get(16..).unwrap().first_chunk().unwrap());
        assert_eq!(error, 0, "the kernel refuses to send logs");
    }

    /// The prefixes of all logs until none comes for a while.
    pub(crate) fn prefixes(&self) -> Vec<String> {
        let mut prefixes = Vec::new();
        let mut room = vec![0_u8; 1 << 16];
        loop {
            match (&self.0).read(&mut room) {
                Ok(length) => prefixes.extend(messages(&room[..length]).filter_map(prefix)),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return prefixes,
                Err(error) => panic!("reading logs: {error}"),
            }
        }
    }
}

/// The messages of a datagram, header and all.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).unwrap();
        let (message, rest) = bytes.split_at_checked(length.max(16))?;
        bytes = rest.get(length.next_multiple_of(4) - length..).unwrap_or_default();
        Some(message)
    })
}

/// The prefix of a log message.
fn prefix(message: &[u8]) -> Option<String> {
    let kind = u16::from_ne_bytes(*message.get(4..)?.first_chunk()?);
    // The header is followed by family, version and group.
    let mut attributes = message.get(20..).filter(|_| kind == PACKET)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let kind = u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?);
        if kind == PREFIX {
            let text = attributes.get(4..length)?;
            return Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned());
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}
