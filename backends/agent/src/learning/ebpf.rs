//! What the kernel programs know of names, as a [`Sink`]: the map `learned` of all generations.
//!
//! In: elements by pattern. Out: facts by set of patterns, as the snapshot in force puts patterns together. A fact lasts as
//! long as the longest of its patterns does. The kernel program believes nothing that has ended, but does not remove it:
//! [`Sink::tidy`] does.

use super::{Answer, Present, Put, Sink};
use crate::kernel::{Fact, KernelError, Learned, Lease};
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The ids of the sets that have a pattern, by pattern.
pub type Sets = BTreeMap<String, Vec<u64>>;

/// Whoever has loaded another snapshot changes them.
#[derive(Clone, Debug, Default)]
pub struct SharedSets(Arc<RwLock<Sets>>);

impl SharedSets {
    /// Other sets are in force.
    pub fn set(&self, sets: Sets) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = sets;
    }

    fn of(&self, host: &str) -> Vec<u64> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(host).cloned().unwrap_or_default()
    }
}

/// Between two removals of what has ended.
const TIDY: Duration = Duration::from_secs(30);
/// So long a copy of the whole map may serve those who ask for patterns one by one.
const FRESH: Duration = Duration::from_secs(2);

/// The kernel's map.
#[derive(Debug)]
pub struct Programs {
    learned: Learned,
    sets: SharedSets,
    /// Until when each pattern keeps a fact; a fact that an earlier agent has left has the patterns that were asked for.
    claims: BTreeMap<Fact, BTreeMap<String, Duration>>,
    copied: Option<(Duration, Vec<(Fact, Lease)>)>,
    tidied: Duration,
}

impl Programs {
    /// The map, and the sets by which it is filled.
    #[must_use]
    pub fn new(learned: Learned, sets: SharedSets) -> Self {
        Self { learned, sets, claims: BTreeMap::new(), copied: None, tidied: Duration::ZERO }
    }

    fn tell(&mut self, put: &Put, now: Duration) -> io::Result<Answer> {
        let sets = self.sets.of(&put.host);
        if sets.is_empty() {
            return Ok(Answer::NoSet);
        }
        let until = now + Duration::from_millis(put.lasts);
        for set in sets {
            let fact = Fact { set, client: put.client, destination: put.to };
            let before = self.learned.lease(&fact).map_err(failed)?.unwrap_or_default();
            let claims = self.claims.entry(fact).or_default();
            claims.insert(put.host.clone(), until);
            let longest = claims.values().max().copied().unwrap_or(until);
            match self.learned.put(&fact, Lease { until: longest, used: before.used }) {
                Err(KernelError::Kernel { errno: Some(libc::E2BIG | libc::ENOSPC | libc::ENOMEM), .. }) => {
                    self.claims.remove(&fact);
                    return Ok(Answer::Full);
                }
                told => told.map_err(failed)?,
            }
        }
        Ok(Answer::Done)
    }

    /// A pattern keeps a fact no longer; others may.
    fn drop_claim(&mut self, fact: &Fact, host: &str, now: Duration) -> io::Result<()> {
        let claims = self.claims.entry(*fact).or_default();
        claims.remove(host);
        claims.retain(|_, until| *until > now);
        let Some(until) = claims.values().max().copied() else {
            self.claims.remove(fact);
            return self.learned.remove(fact).map_err(failed);
        };
        let before = self.learned.lease(fact).map_err(failed)?.unwrap_or_default();
        self.learned.put(fact, Lease { until, used: before.used }).map_err(failed)
    }

    fn all(&mut self, now: Duration) -> io::Result<&[(Fact, Lease)]> {
        if self.copied.as_ref().is_none_or(|(at, _)| *at + FRESH < now) {
            self.copied = Some((now, self.learned.all().map_err(failed)?));
        }
        Ok(self.copied.as_ref().map_or(&[], |(_, all)| all.as_slice()))
    }
}

impl Sink for Programs {
    fn put(&mut self, all: &[Put]) -> io::Result<Vec<Answer>> {
        let now = now()?;
        all.iter().map(|put| self.tell(put, now)).collect()
    }

    fn remove(&mut self, all: &[Put]) -> io::Result<()> {
        let now = now()?;
        for put in all {
            for set in self.sets.of(&put.host) {
                self.drop_claim(&Fact { set, client: put.client, destination: put.to }, &put.host, now)?;
            }
        }
        Ok(())
    }

    fn list(&mut self, host: &str, v6: bool, most: usize) -> io::Result<Vec<Present>> {
        let now = now()?;
        let sets = self.sets.of(host);
        let is_of = |fact: &Fact| sets.contains(&fact.set) && fact.client.is_ipv6() == v6;
        let all = self.all(now)?.iter().filter(|(fact, lease)| is_of(fact) && lease.until > now);
        let all: Vec<(Fact, Lease)> = all.take(most).copied().collect();
        for (fact, lease) in &all {
            self.claims.entry(*fact).or_default().insert(host.to_owned(), lease.until);
        }
        Ok(all.into_iter().map(|(fact, lease)| present(&fact, lease, now)).collect())
    }

    fn look(&mut self, host: &str, client: IpAddr, to: IpAddr) -> io::Result<Option<Present>> {
        let now = now()?;
        let mut found: Vec<Present> = Vec::new();
        for set in self.sets.of(host) {
            let fact = Fact { set, client, destination: to };
            let lease = self.learned.lease(&fact).map_err(failed)?.filter(|lease| lease.until > now);
            found.extend(lease.map(|lease| present(&fact, lease, now)));
        }
        Ok(found.into_iter().max_by_key(|present| present.packets))
    }

    /// The whole map is looked through, which takes a while: not more often than twice a minute.
    fn tidy(&mut self) -> io::Result<()> {
        let now = now()?;
        if self.tidied + TIDY > now {
            return Ok(());
        }
        self.tidied = now;
        self.copied = None;
        for (fact, _) in self.learned.all().map_err(failed)?.into_iter().filter(|(_, lease)| lease.until <= now) {
            self.learned.remove(&fact).map_err(failed)?;
            self.claims.remove(&fact);
        }
        Ok(())
    }
}

/// The kernel program does not count packets, but notes when it was asked last: a number that grows with packets too.
fn present(fact: &Fact, lease: Lease, now: Duration) -> Present {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Present {
        client: fact.client,
        to: fact.destination,
        remains: milliseconds(lease.until.saturating_sub(now)),
        packets: Some(milliseconds(lease.used)),
    }
}

/// The kernel programs' clock.
fn now() -> io::Result<Duration> {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
    let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
    Ok(Duration::new(seconds, u32::try_from(time.tv_nsec()).unwrap_or_default()))
}

fn failed(error: KernelError) -> io::Error {
    io::Error::other(error)
}
