//! DNS messages (RFC 1035) as far as learning needs them: one question, and the addresses that answer it.
//!
//! In: a message as it was on the wire, without the length that TCP puts before it. Out: a [`Query`], or the [`Found`]
//! addresses. Anything may be on the wire: nothing here panics, loops or takes more than the message has.

use super::Reason;
use domain::base::iana::{Class, Opcode, Rcode};
use domain::base::name::ParsedName;
use domain::base::{Message, Rtype};
use domain::rdata::{A, Aaaa, Cname};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The most bytes of a message: what its length before it can say.
pub const LONGEST: usize = 65_535;
/// The most aliases from the name that was asked for to addresses. Resolvers follow some ten or a dozen.
const LONGEST_CHAIN: usize = 16;
/// The most records of an answer section that are looked at; a message of 64 KiB has room for some 4,000 addresses.
const MOST_RECORDS: usize = 4_096;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// The name in lower case, without the final dot; backslashes before what is no printable letter.
    pub name: String,
    /// The type of records, as a number: 1 for A, 28 for AAAA.
    pub rtype: u16,
    /// The class, as a number: 1 is the Internet.
    pub class: u16,
}

/// A query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Its number.
    pub id: u16,
    /// What it asks.
    pub question: Question,
}

/// An address that answers a question, and for how many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The address.
    pub address: IpAddr,
    /// The least of the TTLs of the address and of the aliases that lead to it.
    pub ttl: u32,
}

/// Reads a query.
///
/// # Errors
/// It is none, or has not exactly one question.
pub fn query(bytes: &[u8]) -> Result<Query, Reason> {
    let message = Message::from_octets(bytes).map_err(|_| Reason::NotAMessage)?;
    let header = message.header();
    if header.qr() || header.opcode() != Opcode::QUERY {
        return Err(Reason::NotAMessage);
    }
    Ok(Query { id: header.id(), question: question(&message)? })
}

/// Reads the answer to a query: the addresses of the name that was asked for, by way of aliases in the answer section.
///
/// The name is the one that was asked for; what an alias leads to is vouched for by nobody but whoever answers.
///
/// # Errors
/// It is no answer to this query, or teaches no address.
pub fn answer(bytes: &[u8], query: &Query) -> Result<Vec<Found>, Reason> {
    let message = Message::from_octets(bytes).map_err(|_| Reason::NotAMessage)?;
    let header = message.header();
    if !header.qr() || header.opcode() != Opcode::QUERY {
        return Err(Reason::NotAnAnswer);
    }
    if header.id() != query.id {
        return Err(Reason::OtherId);
    }
    if question(&message)? != query.question {
        return Err(Reason::OtherQuestion);
    }
    if header.rcode() != Rcode::NOERROR {
        return Err(Reason::Failed);
    }
    if header.tc() {
        return Err(Reason::Truncated);
    }
    if query.question.class != Class::IN.to_int() {
        return Err(Reason::NoAddress);
    }
    let records = Records::read(&message)?;
    records.follow(&query.question)
}

/// Whether a message is an answer to a query, whatever it says: this is what may be passed on.
///
/// # Errors
/// Why it is not.
pub fn answers(bytes: &[u8], query: &Query) -> Result<(), Reason> {
    match answer(bytes, query) {
        Err(Reason::NoQuestion) if is_bare_error(bytes, query) => Ok(()),
        Err(wrong @ (Reason::NotAMessage | Reason::NotAnAnswer | Reason::NoQuestion)) => Err(wrong),
        Err(wrong @ (Reason::OtherId | Reason::OtherQuestion)) => Err(wrong),
        _ => Ok(()),
    }
}

/// Some servers say an error without the question.
fn is_bare_error(bytes: &[u8], query: &Query) -> bool {
    Message::from_octets(bytes).is_ok_and(|message| {
        let header = message.header();
        message.header_counts().qdcount() == 0 && header.id() == query.id && header.rcode() != Rcode::NOERROR
    })
}

fn question(message: &Message<&[u8]>) -> Result<Question, Reason> {
    let question = message.sole_question().map_err(|_| Reason::NoQuestion)?;
    Ok(Question { name: normal(question.qname()), rtype: question.qtype().to_int(), class: question.qclass().to_int() })
}

/// A name in the normal form of patterns.
fn normal(name: &impl std::fmt::Display) -> String {
    let mut text = name.to_string();
    text.make_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

/// The records of an answer section that matter, by their owners.
#[derive(Default)]
struct Records {
    aliases: BTreeMap<String, (String, u32)>,
    addresses: BTreeMap<String, Vec<Found>>,
}

impl Records {
    /// A section that is broken off teaches nothing at all.
    fn read(message: &Message<&[u8]>) -> Result<Self, Reason> {
        let mut records = Self::default();
        let section = message.answer().map_err(|_| Reason::NotAMessage)?;
        for record in section.take(MOST_RECORDS) {
            let record = record.map_err(|_| Reason::NotAMessage)?;
            if record.class() != Class::IN {
                continue;
            }
            let (owner, ttl) = (normal(&record.owner()), seconds(record.ttl().as_secs()));
            match record.rtype() {
                Rtype::CNAME => {
                    let read = record.to_record::<Cname<ParsedName<&[u8]>>>().map_err(|_| Reason::NotAMessage)?;
                    let target = read.map(|read| normal(read.data().cname()));
                    // Two aliases of one name are against RFC 2181, 10.1: the first counts.
                    target.map(|target| records.aliases.entry(owner).or_insert((target, ttl)));
                }
                Rtype::A => {
                    let read = record.to_record::<A>().map_err(|_| Reason::NotAMessage)?;
                    records.add(owner, read.map(|read| read.data().addr().into()), ttl);
                }
                Rtype::AAAA => {
                    let read = record.to_record::<Aaaa>().map_err(|_| Reason::NotAMessage)?;
                    records.add(owner, read.map(|read| read.data().addr().into()), ttl);
                }
                _ => {}
            }
        }
        Ok(records)
    }

    fn add(&mut self, owner: String, address: Option<IpAddr>, ttl: u32) {
        let found = address.map(|address| Found { address, ttl });
        self.addresses.entry(owner).or_default().extend(found);
    }

    /// From the name that was asked for along the aliases to addresses of the type that was asked for.
    fn follow(&self, question: &Question) -> Result<Vec<Found>, Reason> {
        let v6 = match Rtype::from_int(question.rtype) {
            Rtype::A => false,
            Rtype::AAAA => true,
            _ => return Err(Reason::NoAddress),
        };
        let (mut name, mut least) = (&question.name, u32::MAX);
        for _ in 0..=LONGEST_CHAIN {
            if let Some((target, ttl)) = self.aliases.get(name) {
                (name, least) = (target, least.min(*ttl));
                continue;
            }
            let all = self.addresses.get(name).into_iter().flatten();
            let of_family = all.filter(|found| found.address.is_ipv6() == v6);
            let mut found: Vec<Found> = of_family.map(|one| Found { ttl: one.ttl.min(least), ..*one }).collect();
            found.sort_unstable();
            // Of an address that stands there twice, the shorter time counts.
            found.dedup_by_key(|found| found.address);
            return if found.is_empty() { Err(Reason::NoAddress) } else { Ok(found) };
        }
        Err(Reason::ChainTooLong)
    }
}

/// A TTL whose first bit is set counts as 0 (RFC 2181, 8).
fn seconds(ttl: u32) -> u32 {
    if ttl > i32::MAX.cast_unsigned() { 0 } else { ttl }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message by hand: id, flags, the question's name and type, and records of an owner, a type, a TTL and data.
    fn message(id: u16, flags: u16, asked: (&str, u16), records: &[(&str, u16, u32, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [id, flags, 1, records.len() as u16, 0, 0] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(wire(asked.0));
        bytes.extend([asked.1.to_be_bytes(), 1_u16.to_be_bytes()].concat());
        for (owner, rtype, ttl, data) in records {
            bytes.extend(wire(owner));
            bytes.extend([rtype.to_be_bytes(), 1_u16.to_be_bytes()].concat());
            bytes.extend(ttl.to_be_bytes());
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend(data);
        }
        bytes
    }

    fn wire(name: &str) -> Vec<u8> {
        let labels = name.split('.').filter(|label| !label.is_empty());
        let mut bytes: Vec<u8> = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
        bytes.push(0);
        bytes
    }

    fn asked(name: &str) -> Query {
        query(&message(7, 0x0100, (name, 1), &[])).unwrap()
    }

    fn addresses(found: Result<Vec<Found>, Reason>) -> Result<Vec<(String, u32)>, Reason> {
        found.map(|all| all.iter().map(|one| (one.address.to_string(), one.ttl)).collect())
    }

    #[test]
    fn a_query_is_read_in_lower_case() {
        let query = asked("API.Example.com");
        assert_eq!((query.id, query.question.name.as_str(), query.question.rtype), (7, "api.example.com", 1));
        assert_eq!(super::query(&message(7, 0x8100, ("a.example", 1), &[])), Err(Reason::NotAMessage));
        assert_eq!(super::query(&[0; 12]), Err(Reason::NoQuestion));
        assert_eq!(super::query(&[0; 5]), Err(Reason::NotAMessage));
    }

    #[test]
    fn a_chain_is_followed_and_its_least_ttl_counts() {
        let records = [
            ("cdn.example.net", 1, 300, vec![198, 18, 0, 1]),
            ("API.example.com", 5, 30, wire("edge.example.net")),
            ("edge.example.net", 5, 60, wire("cdn.EXAMPLE.net")),
            ("other.example", 1, 300, vec![198, 18, 0, 9]),
            ("cdn.example.net", 28, 300, vec![0x20; 16]),
        ];
        let bytes = message(7, 0x8180, ("api.example.COM", 1), &records);
        assert_eq!(addresses(answer(&bytes, &asked("api.example.com"))), Ok(vec![("198.18.0.1".to_owned(), 30)]));
    }

    #[test]
    fn a_loop_ends() {
        let records = [("a.example", 5, 1, wire("b.example")), ("b.example", 5, 1, wire("a.example"))];
        let bytes = message(7, 0x8180, ("a.example", 1), &records);
        assert_eq!(answer(&bytes, &asked("a.example")), Err(Reason::ChainTooLong));
        let long: Vec<String> = (0..20).map(|at| format!("n{at}.example")).collect();
        let links = long.windows(2).map(|pair| (pair[0].as_str(), 5, 9, wire(&pair[1])));
        let mut records: Vec<_> = links.collect();
        records.push(("n19.example", 1, 9, vec![198, 18, 0, 1]));
        let bytes = message(7, 0x8180, ("n0.example", 1), &records);
        assert_eq!(answer(&bytes, &asked("n0.example")), Err(Reason::ChainTooLong));
        let bytes = message(7, 0x8180, ("n4.example", 1), &records);
        assert_eq!(addresses(answer(&bytes, &asked("n4.example"))), Ok(vec![("198.18.0.1".to_owned(), 9)]));
    }

    #[test]
    fn what_does_not_answer_the_query_is_refused() {
        let good = [("a.example", 1, 5, vec![198, 18, 0, 1])];
        let asked = asked("a.example");
        let refused = |id, flags, name: (&str, u16)| answer(&message(id, flags, name, &good), &asked).unwrap_err();
        assert_eq!(refused(8, 0x8180, ("a.example", 1)), Reason::OtherId);
        assert_eq!(refused(7, 0x0180, ("a.example", 1)), Reason::NotAnAnswer);
        assert_eq!(refused(7, 0x8180, ("b.example", 1)), Reason::OtherQuestion);
        assert_eq!(refused(7, 0x8180, ("a.example", 28)), Reason::OtherQuestion);
        assert_eq!(refused(7, 0x8183, ("a.example", 1)), Reason::Failed);
        assert_eq!(refused(7, 0x8380, ("a.example", 1)), Reason::Truncated);
        // An answer beside the question: nothing leads to it.
        let beside = message(7, 0x8180, ("a.example", 1), &[("b.example", 1, 5, vec![198, 18, 0, 1])]);
        assert_eq!(answer(&beside, &asked), Err(Reason::NoAddress));
    }

    #[test]
    fn a_negative_ttl_is_none() {
        let bytes = message(7, 0x8180, ("a.example", 1), &[("a.example", 1, 0x8000_0000, vec![198, 18, 0, 1])]);
        assert_eq!(addresses(answer(&bytes, &asked("a.example"))), Ok(vec![("198.18.0.1".to_owned(), 0)]));
    }

    /// Every message that is cut off, or has one byte changed, is read or refused, and never more than was asked for.
    #[test]
    fn junk_is_survived() {
        let records = [
            ("a.example", 5, 30, wire("b.example")),
            ("b.example", 1, 300, vec![198, 18, 0, 1]),
            ("b.example", 1, 300, vec![198, 18, 0, 2]),
        ];
        let (whole, asked) = (message(7, 0x8180, ("a.example", 1), &records), asked("a.example"));
        for length in 0..whole.len() {
            assert!(answer(&whole[..length], &asked).is_err(), "{length}");
            let _survived = query(&whole[..length]);
        }
        for place in 0..whole.len() {
            for byte in 0..=255 {
                let mut bytes = whole.clone();
                bytes[place] = byte;
                assert!(answer(&bytes, &asked).map_or(0, |found| found.len()) <= 2);
                let _survived = (query(&bytes), answers(&bytes, &asked));
            }
        }
    }
}
