//! Who of several agents holds gateways: leader election by one Kubernetes Lease, as client-go does it.
//!
//! In: a [`Store`] that compares and swaps, and two clocks: one that only goes on, by which it is decided, and the time of
//! day, which is written for people and never believed. Out: until when this agent holds. A lease counts from the moment
//! at which it was *seen* to change, so that clocks of different nodes need not agree.

use std::time::{Duration, Instant};

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Who holds it; empty: nobody.
    pub(super) holder: String,
    /// For how many seconds after it was renewed.
    pub(super) seconds: u32,
    /// When the holder took it, and when it renewed it last, in RFC 3339.
    pub(super) acquired: String,
    pub(super) renewed: String,
    /// How often it went from one to another.
    pub(super) transitions: u32,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Somebody else changed it since it was read.
    Conflict,
    /// Anything else, in words.
    Failed(String),
}

/// Where the lease is kept.
pub(super) trait Store {
    /// What changes with every change of the record.
    type Version: Clone;

    /// The record; nothing where there is none.
    fn get(&mut self) -> Result<Option<(Record, Self::Version)>, Refused>;

    /// Makes it, if nobody else did.
    fn create(&mut self, record: &Record) -> Result<(), Refused>;

    /// Changes it, if nobody else did since this version.
    fn replace(&mut self, record: &Record, version: &Self::Version) -> Result<(), Refused>;
}

/// How long things last, in client-go's proportions: 15, 10 and 2 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) seconds: u32,
}

impl Times {
    /// How long a lease lasts for everybody else.
    pub(super) fn lasts(self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }

    /// How long the holder goes on without a renewal.
    pub(super) fn deadline(self) -> Duration {
        self.lasts() * 2 / 3
    }

    /// How long between two tries.
    pub(super) fn retry(self) -> Duration {
        self.lasts() * 2 / 15
    }
}

/// One who wants to hold.
#[derive(Debug)]
pub(super) struct Elector {
    identity: String,
    times: Times,
    observed: Option<(Record, Instant)>,
    renewed: Option<Instant>,
}

impl Elector {
    pub(super) fn new(identity: String, times: Times) -> Self {
        Self { identity, times, observed: None, renewed: None }
    }

    /// Until when this agent may hold; nobody else takes the lease before. Nothing: it does not hold.
    pub(super) fn held_until(&self, now: Instant) -> Option<Instant> {
        let renewed = self.renewed?;
        // It gives up some time before others may begin.
        (now < renewed + self.times.deadline()).then(|| renewed + self.times.lasts())
    }

    /// Who holds, as far as is known.
    pub(super) fn holder(&self) -> Option<&str> {
        self.observed.as_ref().map(|(record, _)| record.holder.as_str()).filter(|holder| !holder.is_empty())
    }

    /// Tries to take or renew the lease. `begin` is a moment before anything is asked.
    pub(super) fn step<S: Store>(&mut self, store: &mut S, begin: Instant, day: &str) -> Result<(), Refused> {
        let found = store.get()?;
        let Some((record, version)) = found else {
            let record = self.record(&Record::default(), day);
            store.create(&record)?;
            self.won(record, begin);
            return Ok(());
        };
        if self.observed.as_ref().is_none_or(|(known, _)| *known != record) {
            self.observed = Some((record.clone(), begin));
        }
        let seen = self.observed.as_ref().map_or(begin, |(_, seen)| *seen);
        let lasts = Duration::from_secs(record.seconds.into());
        if !record.holder.is_empty() && record.holder != self.identity {
            self.renewed = None;
            if begin < seen + lasts {
                return Ok(());
            }
        }
        let record = self.record(&record, day);
        store.replace(&record, &version)?;
        self.won(record, begin);
        Ok(())
    }

    /// Gives the lease back, so that others need not wait for its end.
    pub(super) fn release<S: Store>(&mut self, store: &mut S, day: &str) -> Result<(), Refused> {
        if self.renewed.take().is_none() {
            return Ok(());
        }
        match store.get()? {
            Some((record, version)) if record.holder == self.identity => {
                let free = Record { holder: String::new(), seconds: 1, renewed: day.to_owned(), ..record };
                store.replace(&free, &version)
            }
            _ => Ok(()),
        }
    }

    fn record(&self, before: &Record, day: &str) -> Record {
        let same = before.holder == self.identity;
        Record {
            holder: self.identity.clone(),
            seconds: self.times.seconds,
            acquired: if same { before.acquired.clone() } else { day.to_owned() },
            renewed: day.to_owned(),
            transitions: before.transitions + u32::from(!same && !before.acquired.is_empty()),
        }
    }

    fn won(&mut self, record: Record, begin: Instant) {
        self.observed = Some((record, begin));
        self.renewed = Some(begin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lease in memory.
    #[derive(Default)]
    struct Memory {
        kept: Option<(Record, u64)>,
        /// Answers nothing.
        down: bool,
    }

    impl Memory {
        fn up(&self) -> Result<(), Refused> {
            if self.down { Err(Refused::Failed("down".to_owned())) } else { Ok(()) }
        }
    }

    impl Store for Memory {
        type Version = u64;

        fn get(&mut self) -> Result<Option<(Record, u64)>, Refused> {
            self.up().map(|()| self.kept.clone())
        }

        fn create(&mut self, record: &Record) -> Result<(), Refused> {
            self.up()?;
            if self.kept.is_some() {
                return Err(Refused::Conflict);
            }
            self.kept = Some((record.clone(), 1));
            Ok(())
        }

        fn replace(&mut self, record: &Record, version: &u64) -> Result<(), Refused> {
            self.up()?;
            match &mut self.kept {
                Some((kept, known)) if known == version => {
                    (*kept, *known) = (record.clone(), *version + 1);
                    Ok(())
                }
                _ => Err(Refused::Conflict),
            }
        }
    }

    const TIMES: Times = Times { seconds: 15 };

    fn elector(name: &str) -> Elector {
        Elector::new(name.to_owned(), TIMES)
    }

    #[test]
    fn one_holds_until_it_has_not_renewed_for_the_whole_lease() {
        let (mut store, mut one, mut two) = (Memory::default(), elector("one"), elector("two"));
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        one.step(&mut store, start, "0").unwrap();
        assert_eq!(one.held_until(start), Some(start + TIMES.lasts()));
        for after in 1..=15 {
            // Seen first a second after it was taken: it counts from then.
            two.step(&mut store, start + second * after, "x").unwrap();
            assert_eq!(two.held_until(start + second * after), None, "{after}");
        }
        assert_eq!(one.held_until(start + second * 9), Some(start + TIMES.lasts()));
        assert_eq!(one.held_until(start + second * 10), None, "it gives up before others may begin");
        two.step(&mut store, start + second * 16, "16").unwrap();
        assert!(two.held_until(start + second * 16).is_some());
        assert_eq!((two.holder(), store.kept.as_ref().unwrap().0.transitions), (Some("two"), 1));
        one.step(&mut store, start + second * 17, "17").unwrap();
        assert_eq!((one.held_until(start + second * 17), one.holder()), (None, Some("two")));
    }

    #[test]
    fn a_lease_that_is_given_back_is_free_at_once() {
        let (mut store, mut one, mut two) = (Memory::default(), elector("one"), elector("two"));
        let start = Instant::now();
        one.step(&mut store, start, "0").unwrap();
        two.step(&mut store, start, "0").unwrap();
        one.release(&mut store, "1").unwrap();
        assert_eq!(one.held_until(start), None);
        two.step(&mut store, start, "1").unwrap();
        assert!(two.held_until(start).is_some());
        one.release(&mut store, "2").unwrap();
        assert_eq!(store.kept.unwrap().0.holder, "two", "what is not held is not given back");
    }

    /// Both have read the same version; only one write is taken.
    #[test]
    fn two_never_take_one_version() {
        struct Late(Memory, Option<Record>);
        impl Store for Late {
            type Version = u64;
            fn get(&mut self) -> Result<Option<(Record, u64)>, Refused> {
                let read = self.0.get()?;
                // Somebody else writes between reading and writing.
                if let (Some(other), Some((_, version))) = (self.1.take(), &read) {
                    self.0.replace(&other, version)?;
                }
                Ok(read)
            }
            fn create(&mut self, record: &Record) -> Result<(), Refused> {
                self.0.create(record)
            }
            fn replace(&mut self, record: &Record, version: &u64) -> Result<(), Refused> {
                self.0.replace(record, version)
            }
        }
        let other = Record { holder: "other".to_owned(), seconds: 15, ..Record::default() };
        let mut store = Late(Memory { kept: Some((Record::default(), 7)), down: false }, Some(other));
        let (mut one, start) = (elector("one"), Instant::now());
        assert_eq!(one.step(&mut store, start, "0"), Err(Refused::Conflict));
        assert_eq!(one.held_until(start), None);
    }

    #[test]
    fn without_a_store_the_holder_gives_up_in_time() {
        let (mut store, mut one, start) = (Memory::default(), elector("one"), Instant::now());
        one.step(&mut store, start, "0").unwrap();
        store.down = true;
        let later = start + TIMES.deadline();
        assert!(one.step(&mut store, later, "10").is_err());
        assert_eq!(one.held_until(later), None);
    }
}
