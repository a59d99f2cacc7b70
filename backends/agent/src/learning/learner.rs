//! All of learning together: an answer becomes elements that the kernel knows when [`Learner::teach`] returns.
//!
//! In: answers, the time, the kernel's own view. Out: what was taught, counts by reason. It never says that something is
//! known before the kernel has acknowledged it.

use super::message::{Found, Query};
use super::policy::prefix;
use super::{Answer, Counts, Element, Limits, Memory, Policy, Put, Reason, Sink, Time};
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

/// Answers that would move an element's end by less than this do not trouble the kernel.
const SLACK: Time = 500;
/// The most elements that one look after those that end soon asks the kernel about.
const MOST_LOOKS: usize = 2_000;

/// What an answer taught.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taught {
    /// How many elements the kernel now has by it, old and new.
    pub known: usize,
    /// Addresses that the name may not have, and why.
    pub refused: Vec<(IpAddr, Reason)>,
}

/// What learns.
#[derive(Debug)]
pub struct Learner<S> {
    policy: Policy,
    memory: Memory,
    sink: S,
    counts: Counts,
    own: BTreeSet<IpAddr>,
    /// Whether the kernel may have elements that are not in memory: an earlier agent left more than there is room for.
    strangers: bool,
}

impl<S: Sink> Learner<S> {
    /// One that knows nothing yet.
    pub fn new(policy: Policy, limits: Limits, sink: S) -> Self {
        let (memory, counts, own) = (Memory::new(limits), Counts::default(), BTreeSet::new());
        Self { policy, memory, sink, counts, own, strangers: false }
    }

    /// What was counted.
    pub fn counts(&mut self) -> &mut Counts {
        &mut self.counts
    }

    /// What is known.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What may be learned.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The addresses that this node has now.
    pub fn set_own(&mut self, own: BTreeSet<IpAddr>) {
        self.own = own;
    }

    /// A client was answered. When this returns, the kernel knows whatever the answer teaches.
    ///
    /// # Errors
    /// The kernel could not be told; nothing new is known.
    pub fn teach(&mut self, client: IpAddr, query: &Query, found: &[Found], now: Time) -> io::Result<Taught> {
        self.counts.add(Reason::Answers);
        let mut taught = Taught::default();
        let Some(clients) = self.clients(client) else {
            self.counts.add(Reason::UnknownClient);
            return Ok(taught);
        };
        let name = query.question.name.as_str();
        let hosts = self.policy.patterns(name);
        let mut elements = BTreeSet::new();
        let mut matched = false;
        for one in found {
            let pairs = clients.iter().flat_map(|client| hosts.iter().map(move |host| (*client, *host)));
            let usable: Vec<_> = pairs.filter(|(client, host)| self.policy.may_use(*client, *host)).collect();
            matched |= !usable.is_empty();
            if usable.is_empty() {
                continue;
            }
            if let Err(reason) = self.policy.may_have(name, one.address, &self.own) {
                self.counts.add(reason);
                taught.refused.push((one.address, reason));
                continue;
            }
            let ends = self.memory.end_of(one.ttl, now);
            let of_family = usable.into_iter().filter(|(client, _)| client.is_ipv6() == one.address.is_ipv6());
            elements.extend(of_family.map(|(client, host)| (Element { host, client, to: one.address }, ends)));
        }
        if !matched {
            self.counts.add(Reason::NoPattern);
        }
        taught.known = self.know(&elements.into_iter().collect::<Vec<_>>(), name, now)?;
        Ok(taught)
    }

    /// Whose addresses learn what a client is told. What is asked on the host, the host's own addresses learn.
    fn clients(&self, client: IpAddr) -> Option<BTreeSet<IpAddr>> {
        let client = client.to_canonical();
        if !client.is_loopback() && !self.own.contains(&client) {
            return self.policy.together(client);
        }
        let all = self.own.iter().filter_map(|own| self.policy.together(*own)).flatten();
        let all: BTreeSet<IpAddr> = all.chain(self.policy.together(client).into_iter().flatten()).collect();
        (!all.is_empty()).then_some(all)
    }

    /// Tells the kernel what it does not know long enough, and then remembers it.
    fn know(&mut self, elements: &[(Element, Time)], name: &str, now: Time) -> io::Result<usize> {
        let lasts = |element: &Element| self.memory.get(element).map(|known| known.ends).filter(|ends| *ends > now);
        let fresh = |(element, ends): &&(Element, Time)| lasts(element).is_none_or(|old| old + SLACK < *ends);
        let (news, rest): (Vec<_>, Vec<_>) = elements.iter().partition(fresh);
        for (element, _) in &rest {
            let ends = self.memory.get(element).map_or(now, |known| known.ends);
            let packets = self.memory.get(element).map_or(0, |known| known.packets);
            self.memory.learn(*element, Some(name), ends, now);
            self.memory.set_packets(element, packets);
            self.counts.add(Reason::Renewed);
        }
        let puts: Vec<Put> = news.iter().filter_map(|(element, ends)| self.put(element, *ends, now)).collect();
        let answers = self.tell(&puts)?;
        let mut known = rest.len();
        let mut forgotten = Vec::new();
        for ((element, ends), answer) in news.iter().zip(answers) {
            match answer {
                Answer::Done => {
                    let is_new = self.memory.get(element).is_none();
                    forgotten.extend(self.memory.learn(*element, Some(name), *ends, now));
                    self.counts.add(if is_new { Reason::Learned } else { Reason::Renewed });
                    known += 1;
                }
                other => self.unknown(element, other),
            }
        }
        // What gave way to one element of an answer may be another one of it, and known again.
        forgotten.retain(|element| self.memory.get(element).is_none());
        self.evict(&forgotten)?;
        Ok(known)
    }

    fn put(&self, element: &Element, ends: Time, now: Time) -> Option<Put> {
        let known = self.memory.get(element);
        // An answer with a shorter time takes nothing from what an earlier one said.
        let ends = known.map_or(ends, |known| known.ends.max(ends));
        Some(Put {
            host: self.policy.host(element.host)?.to_owned(),
            client: element.client,
            to: element.to,
            lasts: ends.saturating_sub(now).max(1),
            again: known.is_some() || self.strangers,
        })
    }

    fn tell(&mut self, puts: &[Put]) -> io::Result<Vec<Answer>> {
        let told = self.sink.put(puts);
        if told.is_err() {
            self.counts.add(Reason::KernelRefused);
        }
        told
    }

    fn unknown(&mut self, element: &Element, answer: Answer) {
        self.memory.forget(element);
        self.counts.add(if answer == Answer::Full { Reason::Full } else { Reason::NoSet });
    }

    fn evict(&mut self, forgotten: &[Element]) -> io::Result<()> {
        self.counts.add_many(Reason::Evicted, forgotten.len() as u64);
        let puts: Vec<Put> = forgotten.iter().filter_map(|element| self.put(element, 0, 0)).collect();
        self.sink.remove(&puts)
    }

    /// Keeps what is in use, and forgets what has ended. Wants to be called about once a second.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub fn sweep(&mut self, now: Time) -> io::Result<()> {
        self.sink.tidy()?;
        let ended: Vec<Element> = self.memory.ending(now).collect();
        for element in &ended {
            self.memory.forget(element);
        }
        self.counts.add_many(Reason::Expired, ended.len() as u64);
        let Limits { grace, in_use, .. } = self.memory.limits();
        let lead = (grace / 2).clamp(2_000, 15_000);
        let soon: Vec<Element> = self.memory.ending(now + lead).take(MOST_LOOKS).collect();
        for element in soon {
            let Some(known) = self.memory.get(&element) else { continue };
            let (before, ends) = (known.packets, (known.heard.saturating_add(in_use)).min(now + 2 * lead + grace));
            let Some(host) = self.policy.host(element.host).map(str::to_owned) else { continue };
            // The kernel's own view: what it does not have any more, was taken away by somebody.
            let present = self.sink.look(&host, element.client, element.to)?;
            let moved = present.and_then(|present| present.packets).is_some_and(|packets| packets > before);
            if !moved || ends <= known.ends {
                continue;
            }
            let put = self.put(&element, ends, now);
            if let Some(Answer::Done) = self.tell(put.as_slice())?.first() {
                self.memory.extend(&element, ends);
                self.counts.add(Reason::Extended);
            }
        }
        Ok(())
    }

    /// The kernel's sets came anew: puts back all that is known.
    ///
    /// # Errors
    /// The kernel could not be told.
    pub fn refill(&mut self, now: Time) -> io::Result<()> {
        self.put_back(self.strangers, now)
    }

    /// Tells all that is known; `again` says whether the kernel may have some of it already, with another time.
    fn put_back(&mut self, again: bool, now: Time) -> io::Result<()> {
        let all: Vec<Element> = self.memory.iter().filter(|(_, known)| known.ends > now).map(|(one, _)| *one).collect();
        let puts: Vec<Put> =
            all.iter().filter_map(|element| self.put(element, 0, now)).map(|put| Put { again, ..put }).collect();
        let answers = self.tell(&puts)?;
        for (element, answer) in all.iter().zip(answers) {
            match answer {
                Answer::Done => {
                    self.memory.set_packets(element, 0);
                    self.counts.add(Reason::Refilled);
                }
                other => self.unknown(element, other),
            }
        }
        Ok(())
    }

    /// Remembers what the kernel has, from an agent that is no more; what the policy does not allow any more is taken away.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub fn restore(&mut self, now: Time) -> io::Result<()> {
        let mut gone = Vec::new();
        for (place, host) in (0..).zip(self.policy.hosts().to_vec()) {
            for v6 in [false, true] {
                let room = self.memory.limits().most.saturating_sub(self.memory.len());
                // One more than there is room for says that there are more; those end by themselves.
                let found = self.sink.list(&host, v6, room.saturating_add(1))?;
                self.strangers |= found.len() > room;
                for present in found.into_iter().take(room) {
                    let element = Element { host: place, client: present.client, to: present.to };
                    if !self.is_still_allowed(place, &element, &[]) {
                        gone.push(element);
                        continue;
                    }
                    self.memory.learn(element, None, now.saturating_add(present.remains), now);
                    self.memory.set_packets(&element, present.packets.unwrap_or(0));
                    self.counts.add(Reason::Restored);
                }
            }
        }
        let puts: Vec<Put> = gone.iter().filter_map(|element| self.put(element, 0, 0)).collect();
        self.sink.remove(&puts)
    }

    /// Whether the policy, which may be another than when this was learned, lets the kernel have it by a pattern.
    fn is_still_allowed(&self, place: u32, element: &Element, names: &[String]) -> bool {
        let may_have = |name: &String| {
            self.policy.patterns(name).contains(&place) && self.policy.may_have(name, element.to, &self.own).is_ok()
        };
        let is_somewhere_else = match names {
            [] => self.policy.some_name_may_have(place, element.to, &self.own),
            names => names.iter().any(may_have),
        };
        is_somewhere_else && self.policy.may_use(element.client, place)
    }

    /// Another policy is in force: what it still has of patterns and clients stays known.
    ///
    /// # Errors
    /// The kernel could not be told.
    pub fn change(&mut self, policy: Policy, now: Time) -> io::Result<()> {
        let old = std::mem::replace(&mut self.policy, policy);
        let mut memory = Memory::new(self.memory.limits());
        let all = std::mem::replace(&mut self.memory, Memory::new(memory.limits()));
        let (mut gone, mut forgotten) = (Vec::new(), Vec::new());
        for (element, known) in all.iter() {
            let Some(host) = old.host(element.host) else { continue };
            // By its names it may have patterns now that it had not before.
            let mut places: BTreeSet<u32> = known.names.iter().flat_map(|name| self.policy.patterns(name)).collect();
            places.extend((0..).zip(self.policy.hosts()).find(|(_, other)| *other == host).map(|(place, _)| place));
            places.retain(|place| self.is_still_allowed(*place, element, &known.names));
            if !places.iter().any(|place| self.policy.host(*place) == Some(host)) {
                gone.push(Put { host: host.to_owned(), client: element.client, to: element.to, lasts: 1, again: true });
            }
            for host in places {
                let element = Element { host, ..*element };
                for name in known.names.iter().map(Some).chain(known.names.is_empty().then_some(None)) {
                    forgotten.extend(memory.learn(element, name.map(String::as_str), known.ends, known.heard));
                }
            }
        }
        self.memory = memory;
        forgotten.retain(|element| self.memory.get(element).is_none());
        self.sink.remove(&gone)?;
        self.evict(&forgotten)?;
        // What another pattern knew for longer may be there with a shorter time.
        self.put_back(true, now)
    }
}

/// Reads `PATTERN` or `PATTERN=PREFIX`.
impl std::str::FromStr for super::RebindOk {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pattern, range) = text.split_once('=').map_or((text, None), |(pattern, range)| (pattern, Some(range)));
        let pattern = pattern.parse().map_err(|error: egress_ir::NotAPattern| error.to_string())?;
        let prefix = range.map(prefix).transpose().map_err(|error| error.to_string())?;
        Ok(Self { pattern, prefix })
    }
}

#[cfg(test)]
mod tests;
