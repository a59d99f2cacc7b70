//! Messages out of the parts of TCP connections, in order or not at all.
//!
//! In: segments of both directions. Out: whole messages. A part that is missing, or comes before its turn, ends the
//! connection for this program: what it still says is not learned, and counted once.

use super::frame::Segment;
use egress_agent::learning::message::LONGEST;
use egress_agent::learning::{Reason, Time};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The most connections at a time.
const MOST: usize = 1_024;
/// How long one may say nothing.
const IDLE: Time = 30_000;

/// The client's end and the resolver's.
type Ends = (SocketAddr, SocketAddr);

/// The connections of an interface.
#[derive(Debug, Default)]
pub(super) struct Streams(BTreeMap<Ends, Stream>);

#[derive(Debug)]
struct Stream {
    /// From the client, and from the resolver.
    sides: [Side; 2],
    last: Time,
}

/// One direction.
#[derive(Debug, Default)]
struct Side {
    /// The number of the byte that comes next, when it has begun.
    next: Option<u32>,
    /// What has come of a message that is not whole.
    rest: Vec<u8>,
}

impl Streams {
    /// Takes a segment; the messages that it makes whole.
    pub(super) fn take(
        &mut self,
        ends: Ends,
        leaves: bool,
        segment: &Segment<'_>,
        now: Time,
    ) -> Result<Vec<Vec<u8>>, Reason> {
        if segment.begins && !leaves {
            self.begin(ends, now)?;
        }
        // One that was given up, or began before anybody watched.
        let Some(stream) = self.0.get_mut(&ends) else { return Ok(Vec::new()) };
        stream.last = now;
        let [client, resolver] = &mut stream.sides;
        let taken = if leaves { resolver } else { client }.take(segment);
        if taken.is_err() || segment.ends {
            self.0.remove(&ends);
        }
        taken
    }

    fn begin(&mut self, ends: Ends, now: Time) -> Result<(), Reason> {
        if self.0.len() >= MOST {
            self.0.retain(|_, stream| stream.last.saturating_add(IDLE) > now);
        }
        if self.0.len() >= MOST && !self.0.contains_key(&ends) {
            return Err(Reason::TooManyConnections);
        }
        self.0.insert(ends, Stream { sides: Default::default(), last: now });
        Ok(())
    }
}

impl Side {
    fn take(&mut self, segment: &Segment<'_>) -> Result<Vec<Vec<u8>>, Reason> {
        if segment.begins {
            // Data beside the beginning (RFC 7413) is not looked at: the next part is then before its turn.
            self.next = Some(segment.sequence.wrapping_add(1));
            return Ok(Vec::new());
        }
        let next = self.next.ok_or(Reason::StreamLost)?;
        let ahead = segment.sequence.wrapping_sub(next).cast_signed();
        let end = segment.sequence.wrapping_add(segment.bytes.len() as u32);
        if end.wrapping_sub(next).cast_signed() <= 0 {
            // Sent again, or nothing but an acknowledgement.
            return Ok(Vec::new());
        }
        if ahead != 0 {
            return Err(Reason::StreamLost);
        }
        self.next = Some(end);
        self.rest.extend(segment.bytes);
        let mut messages = Vec::new();
        while let Some((length, more)) = self.rest.split_first_chunk::<2>() {
            let Some(message) = more.get(..usize::from(u16::from_be_bytes(*length))) else { break };
            let message = message.to_vec();
            self.rest.drain(..2 + message.len());
            messages.push(message);
        }
        // INVARIANT: what is left is shorter than one message with its length.
        debug_assert!(self.rest.len() < LONGEST + 2);
        Ok(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> Ends {
        ("10.0.0.5:4000".parse().unwrap(), "10.0.0.1:53".parse().unwrap())
    }

    fn part(sequence: u32, begins: bool, bytes: &[u8]) -> Segment<'_> {
        Segment { sequence, begins, ends: false, bytes }
    }

    #[test]
    fn messages_come_out_of_any_parts() {
        let whole = [0, 3, b'a', b'b', b'c', 0, 1, b'd'];
        for size in 1..=whole.len() {
            let mut streams = Streams::default();
            let mut found = Vec::new();
            let start = u32::MAX - 3;
            streams.take(ends(), false, &part(start, true, &[]), 0).unwrap();
            for (place, bytes) in (0..).zip(whole.chunks(size)) {
                let sequence = start.wrapping_add(1 + place * size as u32);
                // Each part comes twice.
                found.extend(streams.take(ends(), false, &part(sequence, false, bytes), 0).unwrap());
                found.extend(streams.take(ends(), false, &part(sequence, false, bytes), 0).unwrap());
            }
            assert_eq!(found, [b"abc".to_vec(), b"d".to_vec()]);
        }
    }

    #[test]
    fn a_gap_ends_it() {
        let mut streams = Streams::default();
        streams.take(ends(), false, &part(0, true, &[]), 0).unwrap();
        streams.take(ends(), true, &part(100, true, &[]), 0).unwrap();
        assert_eq!(streams.take(ends(), true, &part(102, false, &[0, 1]), 0), Err(Reason::StreamLost));
        assert_eq!(streams.take(ends(), true, &part(101, false, &[0, 1, 7]), 0), Ok(Vec::new()));
        // An answer whose beginning was not seen.
        let mut streams = Streams::default();
        streams.take(ends(), false, &part(0, true, &[]), 0).unwrap();
        assert_eq!(streams.take(ends(), true, &part(101, false, &[0, 1, 7]), 0), Err(Reason::StreamLost));
    }

    #[test]
    fn there_are_only_so_many() {
        let mut streams = Streams::default();
        let from = |port: u16| (SocketAddr::from(([10, 0, 0, 5], port)), ends().1);
        for port in 0..MOST as u16 {
            streams.take(from(port), false, &part(0, true, &[]), 0).unwrap();
        }
        assert_eq!(streams.take(from(9_999), false, &part(0, true, &[]), 0), Err(Reason::TooManyConnections));
        assert_eq!(streams.take(from(9_999), false, &part(0, true, &[]), IDLE), Ok(Vec::new()));
    }
}
