//! What is known, and until when.
//!
//! In: elements with the time at which they end. Out: which of them the kernel has to be told, which end soon, and which had
//! to be forgotten for want of room: those that end first, of the client that asks if it has more than its share.

use super::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A client may use an address by a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// The pattern, by its place.
    pub host: u32,
    /// Who may.
    pub client: IpAddr,
    /// Where to.
    pub to: IpAddr,
}

/// What is known of an element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// When the kernel forgets it.
    pub ends: Time,
    /// When an answer said it last.
    pub heard: Time,
    /// The names by which it was learned, the latest last, at most a few; none after a restart.
    pub names: Vec<String>,
    /// How often it was learned.
    pub times: u64,
    /// How many packets had passed when it was looked at last.
    pub packets: u64,
    /// How often it was kept longer because packets passed.
    pub extended: u64,
}

/// How long things are known, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The least TTL that counts, in milliseconds.
    pub least: Time,
    /// The greatest.
    pub greatest: Time,
    /// What is added to every TTL.
    pub grace: Time,
    /// How long after its last answer an address in use is kept at most.
    pub in_use: Time,
    /// The most elements.
    pub most: usize,
}

/// The most names that are kept of an element, for people to read.
const MOST_NAMES: usize = 4;
/// A client has at most one part in so many of all elements, when there is no more room.
const SHARES: usize = 4;

/// All that is known.
#[derive(Debug)]
pub struct Memory {
    limits: Limits,
    known: BTreeMap<Element, Known>,
    by_end: BTreeSet<(Time, Element)>,
    by_client: BTreeMap<IpAddr, BTreeSet<(Time, Element)>>,
}

impl Memory {
    /// Nothing is known.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, known: BTreeMap::new(), by_end: BTreeSet::new(), by_client: BTreeMap::new() }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// When what an answer says with a TTL in seconds ends.
    #[must_use]
    pub fn end_of(&self, ttl: u32, now: Time) -> Time {
        let ttl = (Time::from(ttl) * 1000).max(self.limits.least).min(self.limits.greatest);
        now.saturating_add(ttl).saturating_add(self.limits.grace)
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What is known of an element.
    #[must_use]
    pub fn get(&self, element: &Element) -> Option<&Known> {
        self.known.get(element)
    }

    /// All of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&Element, &Known)> {
        self.known.iter()
    }

    /// Those that end before a time, the first to end first.
    pub fn ending(&self, before: Time) -> impl Iterator<Item = Element> + '_ {
        self.by_end.iter().take_while(move |(ends, _)| *ends < before).map(|(_, element)| *element)
    }

    /// An element is known until a time. What had to be forgotten for it.
    pub fn learn(&mut self, element: Element, name: Option<&str>, ends: Time, now: Time) -> Option<Element> {
        let mut known = self.forget(&element).unwrap_or_default();
        let forgotten = self.make_room(element.client);
        known.times = known.times.saturating_add(1);
        (known.ends, known.heard, known.packets) = (known.ends.max(ends), now, 0);
        if let Some(name) = name {
            known.names.retain(|one| one != name);
            known.names.push(name.to_owned());
            let more = known.names.len().saturating_sub(MOST_NAMES);
            known.names.drain(..more);
        }
        self.insert(element, known);
        forgotten
    }

    /// An element lives longer because packets pass; it was not heard of anew.
    pub fn extend(&mut self, element: &Element, ends: Time) {
        if let Some(mut known) = self.forget(element) {
            (known.ends, known.packets, known.extended) = (known.ends.max(ends), 0, known.extended.saturating_add(1));
            self.insert(*element, known);
        }
    }

    /// How many packets an element had let pass when it was looked at.
    pub fn set_packets(&mut self, element: &Element, packets: u64) {
        if let Some(known) = self.known.get_mut(element) {
            known.packets = packets;
        }
    }

    /// Forgets an element.
    pub fn forget(&mut self, element: &Element) -> Option<Known> {
        let known = self.known.remove(element)?;
        self.by_end.remove(&(known.ends, *element));
        if let Some(mine) = self.by_client.get_mut(&element.client) {
            mine.remove(&(known.ends, *element));
            if mine.is_empty() {
                self.by_client.remove(&element.client);
            }
        }
        Some(known)
    }

    fn insert(&mut self, element: Element, known: Known) {
        self.by_end.insert((known.ends, element));
        self.by_client.entry(element.client).or_default().insert((known.ends, element));
        self.known.insert(element, known);
    }

    fn make_room(&mut self, client: IpAddr) -> Option<Element> {
        if self.known.len() < self.limits.most {
            return None;
        }
        let mine = self.by_client.get(&client).filter(|mine| mine.len() >= self.limits.most / SHARES);
        let (_, first) = *mine.unwrap_or(&self.by_end).first()?;
        self.forget(&first);
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(most: usize) -> Memory {
        Memory::new(Limits { least: 5_000, greatest: 60_000, grace: 10_000, in_use: 100_000, most })
    }

    fn element(client: u8, to: u32) -> Element {
        Element { host: 0, client: [10, 0, 0, client].into(), to: std::net::Ipv4Addr::from_bits(to).into() }
    }

    #[test]
    fn a_ttl_is_held_within_its_bounds() {
        let memory = memory(9);
        assert_eq!(
            [0, 5, 20, 60, 90_000, u32::MAX].map(|ttl| memory.end_of(ttl, 1_000)),
            [16_000, 16_000, 31_000, 71_000, 71_000, 71_000]
        );
    }

    #[test]
    fn a_shorter_answer_takes_nothing_away() {
        let mut memory = memory(9);
        memory.learn(element(1, 1), Some("a"), 900, 0);
        memory.learn(element(1, 1), Some("b"), 500, 1);
        let known = memory.get(&element(1, 1)).unwrap();
        assert_eq!((known.ends, known.times, known.names.join(" ")), (900, 2, "a b".to_owned()));
        for at in 0..9 {
            memory.learn(element(1, 1), Some(&format!("n{at}")), 500, 1);
        }
        assert_eq!(memory.get(&element(1, 1)).unwrap().names, ["n5", "n6", "n7", "n8"]);
    }

    #[test]
    fn who_has_most_forgets_first() {
        let mut memory = memory(8);
        for at in 0..3 {
            memory.learn(element(1, at), None, Time::from(at), 0);
        }
        for at in 0..5 {
            memory.learn(element(2, at), None, Time::from(100 + at), 0);
        }
        // The second client has more than a quarter: its own first one goes, though others end before.
        assert_eq!(memory.learn(element(2, 9), None, 200, 0), Some(element(2, 0)));
        // A third one, which has nothing, takes the place of what ends first.
        assert_eq!(memory.learn(element(3, 9), None, 200, 0), Some(element(1, 0)));
        assert_eq!(memory.len(), 8);
        assert_eq!(memory.ending(102).collect::<Vec<_>>(), [element(1, 1), element(1, 2), element(2, 1)]);
    }

    /// Random changes: the three views agree, and the bound holds.
    #[test]
    fn the_views_agree() {
        let (mut memory, mut state) = (memory(50), 1_u64);
        for step in 0..20_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let one = element((state >> 33) as u8 % 5, (state >> 40) as u32 % 30);
            match (state >> 60) % 4 {
                0 => drop(memory.forget(&one)),
                1 => memory.extend(&one, step + 7),
                _ => drop(memory.learn(one, None, step + (state >> 50) % 99, step)),
            }
            assert!(memory.len() <= 50);
            assert_eq!(memory.by_end.len(), memory.known.len());
        }
        let of_clients: usize = memory.by_client.values().map(BTreeSet::len).sum();
        assert_eq!(of_clients, memory.known.len());
        assert!(memory.iter().all(|(element, known)| memory.by_end.contains(&(known.ends, *element))));
    }
}
