//! Queries that were seen and not yet answered: what makes an answer one that was asked for.
//!
//! In: queries and answers with the addresses of both ends. Out: whether an answer is to be believed. Bounded, and a client
//! cannot fill it alone.

use super::message::{Query, answers};
use super::{Reason, Time};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// How long an answer is waited for.
const LASTS: Time = 10_000;
/// The most queries that wait.
const MOST: usize = 65_536;
/// The most of them that one client has.
const MOST_OF_CLIENT: usize = 4_096;

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Transport {
    Udp,
    Tcp,
}

/// Who asked whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// The client's address and port.
    pub client: SocketAddr,
    /// The resolver's.
    pub resolver: SocketAddr,
    /// By which transport.
    pub transport: Transport,
}

/// The queries that wait.
#[derive(Debug, Default)]
pub struct Pending {
    waiting: BTreeMap<(Asked, u16), (Query, Time)>,
    /// In the order in which they end. One that was answered, or asked again, is still here until its time.
    order: VecDeque<(Time, Asked, u16)>,
    of_client: BTreeMap<IpAddr, usize>,
}

impl Pending {
    /// A query was seen.
    ///
    /// # Errors
    /// There is no room for it; its answer will not be believed.
    pub fn ask(&mut self, asked: Asked, query: Query, now: Time) -> Result<(), Reason> {
        self.forget(now);
        let mine = self.of_client.get(&asked.client.ip()).copied().unwrap_or(0);
        if self.order.len() >= MOST || mine >= MOST_OF_CLIENT {
            return Err(Reason::TooManyQueries);
        }
        let (id, ends) = (query.id, now.saturating_add(LASTS));
        self.waiting.insert((asked, id), (query, ends));
        self.order.push_back((ends, asked, id));
        *self.of_client.entry(asked.client.ip()).or_default() += 1;
        Ok(())
    }

    /// An answer was seen: the query that it answers. Each is answered once; an answer that is wrong leaves it waiting.
    ///
    /// # Errors
    /// Nobody waits for it.
    pub fn answer(&mut self, asked: Asked, bytes: &[u8], now: Time) -> Result<Query, Reason> {
        self.forget(now);
        let id = bytes.first_chunk::<2>().map(|id| u16::from_be_bytes(*id)).ok_or(Reason::NotAMessage)?;
        let (query, _) = self.waiting.get(&(asked, id)).ok_or(Reason::NotAsked)?;
        answers(bytes, query)?;
        let (query, _) = self.waiting.remove(&(asked, id)).ok_or(Reason::NotAsked)?;
        Ok(query)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn forget(&mut self, now: Time) {
        while let Some((ends, asked, id)) = self.order.front().copied().filter(|(ends, ..)| *ends <= now) {
            self.order.pop_front();
            // Another one of the same number may have come since.
            if self.waiting.get(&(asked, id)).is_some_and(|(_, other)| *other <= ends) {
                self.waiting.remove(&(asked, id));
            }
            let client = asked.client.ip();
            let left = self.of_client.get(&client).map_or(0, |count| count.saturating_sub(1));
            if left == 0 {
                self.of_client.remove(&client);
            } else {
                self.of_client.insert(client, left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::message::query;

    fn asked(client: u16, resolver: &str) -> Asked {
        Asked {
            client: SocketAddr::from(([10, 0, 0, 5], client)),
            resolver: resolver.parse().unwrap(),
            transport: Transport::Udp,
        }
    }

    /// The query for `x.test` with a number, and its answer.
    fn messages(id: u16, name: u8) -> (Query, Vec<u8>) {
        let mut bytes = id.to_be_bytes().to_vec();
        bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, name, 4]);
        bytes.extend(b"test\0\0\x01\0\x01");
        let query = query(&bytes).unwrap();
        bytes[2] = 0x81;
        (query, bytes)
    }

    #[test]
    fn an_answer_is_believed_once_and_from_where_it_was_asked_for() {
        let mut pending = Pending::default();
        let (query, answer) = messages(77, b'a');
        let here = asked(4000, "10.0.0.1:53");
        pending.ask(here, query.clone(), 0).unwrap();
        for wrong in [asked(4001, "10.0.0.1:53"), asked(4000, "10.0.0.2:53"), asked(4000, "10.0.0.1:54")] {
            assert_eq!(pending.answer(wrong, &answer, 1), Err(Reason::NotAsked));
        }
        assert_eq!(pending.answer(Asked { transport: Transport::Tcp, ..here }, &answer, 1), Err(Reason::NotAsked));
        assert_eq!(pending.answer(here, &messages(78, b'a').1, 1), Err(Reason::NotAsked));
        assert_eq!(pending.answer(here, &messages(77, b'b').1, 1), Err(Reason::OtherQuestion));
        assert_eq!(pending.answer(here, &answer, 1), Ok(query));
        assert_eq!(pending.answer(here, &answer, 1), Err(Reason::NotAsked));
    }

    #[test]
    fn an_answer_that_comes_too_late_is_not_believed() {
        let mut pending = Pending::default();
        let here = asked(4000, "10.0.0.1:53");
        pending.ask(here, messages(1, b'a').0, 0).unwrap();
        pending.ask(here, messages(1, b'a').0, 5_000).unwrap();
        assert!(pending.answer(here, &messages(1, b'a').1, LASTS + 1).is_ok());
        pending.ask(here, messages(1, b'a').0, 20_000).unwrap();
        assert_eq!(pending.answer(here, &messages(1, b'a').1, 20_000 + LASTS), Err(Reason::NotAsked));
        assert!(pending.is_empty() && pending.of_client.is_empty());
    }

    #[test]
    fn one_client_cannot_fill_it() {
        let mut pending = Pending::default();
        for at in 0..MOST_OF_CLIENT {
            pending.ask(asked(at as u16, "10.0.0.1:53"), messages(1, b'a').0, 0).unwrap();
        }
        let more = pending.ask(asked(9_999, "10.0.0.1:53"), messages(1, b'a').0, 0);
        assert_eq!(more, Err(Reason::TooManyQueries));
        let other = Asked { client: SocketAddr::from(([10, 0, 0, 6], 1)), ..asked(1, "10.0.0.1:53") };
        pending.ask(other, messages(1, b'a').0, 0).unwrap();
        assert_eq!(pending.ask(asked(9_999, "10.0.0.1:53"), messages(1, b'a').0, LASTS), Ok(()));
    }
}
