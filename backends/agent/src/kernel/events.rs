//! The ring of records: what was denied, or what a rule wants recorded.

use super::shared::EVENT_BYTES;
use super::{KernelError, pins};
use aya::maps::{MapData, RingBuf};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since the machine was started, asleep or not counted (`CLOCK_MONOTONIC`).
    pub time: u64,
    /// The generation that judged, which says what `outcome` means.
    pub generation: u64,
    /// How many records of the same slot, class and outcome were left out since the last one.
    pub left_out: u64,
    /// The attach point.
    pub slot: u32,
    /// Who sent; nothing for what is malformed.
    pub row: Option<u32>,
    /// The destination's class; nothing for what is malformed.
    pub class: Option<u32>,
    /// The outcome; nothing for what is malformed.
    pub outcome: Option<u32>,
    /// The interface that the packet was on its way to, or came from at tc.
    pub interface: u32,
    /// Bytes from the IP header on.
    pub length: u32,
    /// The destination port, or `type << 8 | code` of ICMP; 0 for others and later fragments.
    pub number: u16,
    /// The source port; 0 where there is none.
    pub source_number: u16,
    /// The IP protocol.
    pub protocol: u8,
    /// Whether it was a fragment that is not the first.
    pub fragment: bool,
    /// Whether it passed; else it was denied.
    pub passed: bool,
    /// Whether it was denied because it must leave through a gateway, and it was too late to say so.
    pub late: bool,
    /// The source; nothing for what is malformed.
    pub source: Option<IpAddr>,
    /// The destination; nothing for what is malformed.
    pub destination: Option<IpAddr>,
    /// The process, where the hook knows it: only at connect and sendmsg.
    pub pid: Option<u32>,
    /// Its command, likewise.
    pub command: Option<String>,
}

const V6: u8 = 1;
const FRAGMENT: u8 = 2;
const PASSED: u8 = 4;
const MALFORMED: u8 = 16;
const LATE: u8 = 32;

/// The reading end of the ring. Its descriptor becomes readable when there is a record.
pub struct Events {
    ring: RingBuf<MapData>,
}

impl Events {
    pub(super) fn open(path: &Path) -> Result<Self, KernelError> {
        Ok(Self { ring: pins::typed(path)? })
    }

    /// The next record; nothing when there is none now.
    pub fn take(&mut self) -> Option<Event> {
        // What has another size was written by another version; it is not a record of ours.
        while let Some(item) = self.ring.next() {
            if let Some(event) = Event::read(&item) {
                return Some(event);
            }
        }
        None
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

/// Reads numbers of the machine's order one after the other.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_ne_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_ne_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_ne_bytes)
    }
}

impl Event {
    /// Reads the kernel's structure `event`; the order here is the order there.
    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; EVENT_BYTES] = bytes.try_into().ok()?;
        let mut from = Reader(bytes);
        let (time, generation, left_out) = (from.u64()?, from.u64()?, from.u64()?);
        let (slot, row, class, outcome) = (from.u32()?, from.u32()?, from.u32()?, from.u32()?);
        let (interface, length, pid) = (from.u32()?, from.u32()?, from.u32()?);
        let (number, source_number) = (from.u16()?, from.u16()?);
        let ([protocol], [flags]) = (from.bytes()?, from.bytes()?);
        let _zero = from.u16()?;
        let (source, destination, command) = (from.bytes::<16>()?, from.bytes::<16>()?, from.bytes::<16>()?);
        let sound = flags & MALFORMED == 0;
        let text: Vec<u8> = command.iter().copied().take_while(|byte| *byte != 0).collect();
        Some(Self {
            time,
            generation,
            left_out,
            slot,
            row: sound.then_some(row),
            class: sound.then_some(class),
            outcome: sound.then_some(outcome),
            interface,
            length,
            number,
            source_number,
            protocol,
            fragment: flags & FRAGMENT != 0,
            passed: flags & PASSED != 0,
            late: flags & LATE != 0,
            source: sound.then(|| address(source, flags)),
            destination: sound.then(|| address(destination, flags)),
            pid: (pid != 0).then_some(pid),
            command: (!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned()),
        })
    }
}

/// An IPv4 address stands in the first four bytes.
fn address(bytes: [u8; 16], flags: u8) -> IpAddr {
    if flags & V6 != 0 {
        return IpAddr::V6(Ipv6Addr::from(bytes));
    }
    let [a, b, c, d, ..] = bytes;
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}
