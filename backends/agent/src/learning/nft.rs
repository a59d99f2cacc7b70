//! The sink for nftables: elements of the sets of `table inet egressc`, over netlink (`nft` would take tens of ms).
//!
//! In: patterns and pairs of addresses. Out: elements with timeouts, each call one transaction or, if there is much, a few.
//! What was there before is replaced within the transaction (kernels before 6.12 do not change a timeout in place); its
//! counter begins anew.

use super::netlink::{Attributes, Message, Writer, messages};
use super::{Answer, Present, Put, Sink};
use egress_snapshot::names::set_name;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

/// The table of policies.
pub const TABLE: &str = "egressc";

// `linux/netfilter/nfnetlink.h` and `nf_tables.h`.
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_SET: u16 = SUBSYSTEM << 8 | 9;
const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
const GET_ELEMENT: u16 = SUBSYSTEM << 8 | 13;
const DELETE_ELEMENT: u16 = SUBSYSTEM << 8 | 14;
const FAMILY_INET: u8 = 1;
const GROUP: u32 = 7;
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const LIST_ONE: u16 = 1;
const KEY: u16 = 1;
const TIMEOUT: u16 = 4;
const EXPIRATION: u16 = 5;
const EXPRESSION: u16 = 7;
const VALUE: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const COUNTER_PACKETS: u16 = 2;
// `linux/netlink.h`.
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const CREATE: u16 = 0x400;
const DUMP: u16 = 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// The most operations of a transaction; the kernel copies all of them at once.
const MOST: usize = 500;

/// A connection to the kernel.
#[derive(Debug)]
pub struct Nftables {
    socket: Socket,
    sequence: u32,
}

/// News of sets that came or changed, as something to wait for.
#[derive(Debug)]
pub struct Reloads(Socket);

/// One operation.
#[derive(Clone, Copy)]
struct Step<'p> {
    put: &'p Put,
    /// Which of the puts.
    place: usize,
    delete: bool,
}

impl Nftables {
    /// Connects.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: connect()?, sequence: 0 })
    }

    /// One transaction; what fails for a reason that one step has is done without that step.
    fn transact(&mut self, steps: &[Step<'_>], answers: &mut [Answer]) -> io::Result<()> {
        let mut steps = steps.to_vec();
        while !steps.is_empty() {
            let failed = self.try_transact(&steps)?;
            if failed.is_empty() {
                return Ok(());
            }
            for (place, error) in &failed {
                let Some(step) = steps.get(*place) else { continue };
                let answer = match Errno::from_raw(*error) {
                    Errno::ENOENT if step.delete => continue,
                    Errno::ENOENT => Answer::NoSet,
                    Errno::ENFILE | Errno::ENOSPC => Answer::Full,
                    other => return Err(other.into()),
                };
                if let Some(room) = answers.get_mut(step.place) {
                    *room = answer;
                }
            }
            let mut place = 0;
            steps.retain(|_| {
                place += 1;
                !failed.contains_key(&(place - 1))
            });
        }
        Ok(())
    }

    /// Which steps failed, and how; if any did, nothing was done.
    fn try_transact(&mut self, steps: &[Step<'_>]) -> io::Result<BTreeMap<usize, i32>> {
        let first = self.sequence.wrapping_add(2);
        let last = first.wrapping_add(steps.len() as u32).wrapping_sub(1);
        let mut writer = Writer::default();
        writer.message((BATCH_BEGIN, REQUEST, first.wrapping_sub(1)), (0, SUBSYSTEM), |_| {});
        for (sequence, step) in (first..).zip(steps) {
            let kind = if step.delete { DELETE_ELEMENT } else { NEW_ELEMENT };
            let flags = REQUEST | if step.delete { 0 } else { CREATE } | if sequence == last { ACK } else { 0 };
            writer.message((kind, flags, sequence), (FAMILY_INET, 0), |writer| step.write(writer));
        }
        writer.message((BATCH_END, REQUEST, last.wrapping_add(1)), (0, SUBSYSTEM), |_| {});
        self.sequence = last.wrapping_add(1);
        self.socket.send(writer.bytes(), 0)?;
        let mut failed = BTreeMap::new();
        loop {
            let (bytes, _) = self.socket.recv_from_full()?;
            for message in messages(&bytes).filter(|message| message.kind == ERROR) {
                let place = message.sequence.wrapping_sub(first) as usize;
                match message.error() {
                    // That of an earlier call, or the transaction's own, which bears the number of its beginning.
                    _ if place >= steps.len() && message.sequence != first.wrapping_sub(1) => {}
                    Some(0) => {}
                    Some(error) if place < steps.len() => drop(failed.insert(place, error)),
                    Some(error) => return Err(io::Error::from_raw_os_error(error)),
                    None => return Err(io::ErrorKind::InvalidData.into()),
                }
                if message.sequence == last {
                    return Ok(failed);
                }
            }
        }
    }

    /// Asks for elements: all of a set, or one.
    fn get(&mut self, host: &str, v6: bool, one: Option<(IpAddr, IpAddr)>, most: usize) -> io::Result<Vec<Present>> {
        let Some(set) = set_name(host, v6) else { return Ok(Vec::new()) };
        // A dump that is not read to its end would be in the way of the next question: it has a socket of its own.
        let mut own = None;
        let socket = if one.is_none() { own.insert(connect()?) } else { &self.socket };
        self.sequence = self.sequence.wrapping_add(1);
        let flags = REQUEST | if one.is_some() { ACK } else { DUMP };
        let mut writer = Writer::default();
        writer.message((GET_ELEMENT, flags, self.sequence), (FAMILY_INET, 0), |writer| {
            writer.text(LIST_TABLE, TABLE);
            writer.text(LIST_SET, &set);
            if let Some((client, to)) = one {
                writer.nested(LIST_ELEMENTS, |writer| {
                    writer.nested(LIST_ONE, |writer| write_key(writer, client, to));
                });
            }
        });
        socket.send(writer.bytes(), 0)?;
        let mut found = Vec::new();
        while found.len() < most {
            let (bytes, _) = socket.recv_from_full()?;
            for message in messages(&bytes).filter(|message| message.sequence == self.sequence) {
                match (message.kind, message.error()) {
                    (NEW_ELEMENT, _) => found.extend(elements(&message, v6)),
                    (DONE, _) | (ERROR, Some(0)) => return Ok(found),
                    (ERROR, Some(error)) if Errno::from_raw(error) == Errno::ENOENT => return Ok(found),
                    (ERROR, Some(error)) => return Err(io::Error::from_raw_os_error(error)),
                    _ => {}
                }
            }
        }
        found.truncate(most);
        Ok(found)
    }
}

fn connect() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

impl Sink for Nftables {
    fn put(&mut self, all: &[Put]) -> io::Result<Vec<Answer>> {
        let mut answers = vec![Answer::Done; all.len()];
        let steps: Vec<Step<'_>> = (0..)
            .zip(all)
            .flat_map(|(place, put)| {
                let step = |delete| Step { put, place, delete };
                [put.again.then(|| step(true)), Some(step(false))]
            })
            .flatten()
            .collect();
        let mut rest = steps.as_slice();
        while !rest.is_empty() {
            // An element's removal and its return are in one transaction.
            let many = rest.len().min(MOST);
            let ends_inside = rest.get(many - 1).is_some_and(|step| step.delete);
            let (now, later) = rest.split_at(many - usize::from(ends_inside));
            self.transact(now, &mut answers)?;
            rest = later;
        }
        Ok(answers)
    }

    fn remove(&mut self, all: &[Put]) -> io::Result<()> {
        let steps: Vec<Step<'_>> = (0..).zip(all).map(|(place, put)| Step { put, place, delete: true }).collect();
        let mut nobody_asks = vec![Answer::Done; all.len()];
        steps.chunks(MOST).try_for_each(|steps| self.transact(steps, &mut nobody_asks))
    }

    fn list(&mut self, host: &str, v6: bool, most: usize) -> io::Result<Vec<Present>> {
        if most == 0 { Ok(Vec::new()) } else { self.get(host, v6, None, most) }
    }

    fn look(&mut self, host: &str, client: IpAddr, to: IpAddr) -> io::Result<Option<Present>> {
        // As many as can come: the acknowledgement behind it is read too.
        Ok(self.get(host, to.is_ipv6(), Some((client, to)), 2)?.into_iter().next())
    }
}

impl Step<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.text(LIST_TABLE, TABLE);
        // The policy takes no pattern that has no name of a set.
        writer.text(LIST_SET, &set_name(&self.put.host, self.put.to.is_ipv6()).unwrap_or_default());
        writer.nested(LIST_ELEMENTS, |writer| {
            writer.nested(LIST_ONE, |writer| {
                write_key(writer, self.put.client, self.put.to);
                if !self.delete {
                    writer.attribute(TIMEOUT, &self.put.lasts.to_be_bytes());
                    writer.attribute(EXPIRATION, &self.put.lasts.to_be_bytes());
                }
            });
        });
    }
}

/// Both addresses one behind the other; each fills whole registers of four bytes.
fn write_key(writer: &mut Writer, client: IpAddr, to: IpAddr) {
    let bytes = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    writer.nested(KEY, |writer| writer.attribute(VALUE, &[bytes(client), bytes(to)].concat()));
}

/// The elements of a message; one whose key is no pair of addresses, or that never ends, is none of ours.
fn elements(message: &Message<'_>, v6: bool) -> Vec<Present> {
    let list = message.attributes().within(LIST_ELEMENTS);
    list.into_iter().flatten().filter_map(|(_, value)| element(Attributes::of(value), v6)).collect()
}

fn element(attributes: Attributes<'_>, v6: bool) -> Option<Present> {
    let key = attributes.within(KEY)?.get(VALUE)?;
    let (client, to) = if v6 {
        let (client, rest) = key.split_first_chunk::<16>()?;
        (IpAddr::from(*client), IpAddr::from(*rest.first_chunk::<16>()?))
    } else {
        let (client, rest) = key.split_first_chunk::<4>()?;
        (IpAddr::from(*client), IpAddr::from(*rest.first_chunk::<4>()?))
    };
    let packets = attributes.within(EXPRESSION).and_then(|counter| counter.within(EXPRESSION_DATA));
    Some(Present {
        client,
        to,
        remains: attributes.number(EXPIRATION)?,
        packets: packets.and_then(|counter| counter.number(COUNTER_PACKETS)),
    })
}

impl Reloads {
    /// Listens from now on.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn listen() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.add_membership(GROUP)?;
        socket.set_non_blocking(true)?;
        Ok(Self(socket))
    }

    /// Whether sets of the policy's table came anew since this was asked last.
    #[must_use]
    pub fn came(&self) -> bool {
        let mut came = false;
        loop {
            match self.0.recv_from_full() {
                Ok((bytes, _)) => {
                    came |= messages(&bytes)
                        .any(|one| one.kind == NEW_SET && one.attributes().text(LIST_TABLE) == Some(TABLE));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return came,
                // More happened than was kept for this socket: it may have been that.
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => came = true,
                Err(_) => return came,
            }
        }
    }
}

impl AsFd for Reloads {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
