//! What a record means: who sent, which rules decided, and when. In: records. Out: what the state folder knows of them.

use crate::failure::Failure;
use crate::generations;
use crate::state::{Recorded, State};
use crate::who::Who;
use egress_agent::kernel::{Event, Kernel, Place};
use egress_snapshot::Meta;
use egress_snapshot::meta::{Identity, Outcome, Rule};
use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything that is known of the generations in the kernel, and of who is where.
pub(super) struct Meanings<'a> {
    kernel: &'a Kernel,
    state: &'a State,
    metas: BTreeMap<u64, Meta>,
    points: Vec<Recorded>,
}

/// The meaning of one record.
#[derive(Debug, Default)]
pub(super) struct Meaning<'a> {
    pub(super) outcome: Option<&'a Outcome>,
    pub(super) rules: Vec<&'a Rule>,
    /// The pod, where anybody knows it.
    pub(super) sender: Option<&'a Identity>,
    /// The attach point.
    pub(super) point: Option<String>,
}

impl<'a> Meanings<'a> {
    pub(super) fn new(kernel: &'a Kernel, state: &'a State) -> Result<Self, Failure> {
        let mut meanings = Self { kernel, state, metas: BTreeMap::new(), points: Vec::new() };
        meanings.read()?;
        Ok(meanings)
    }

    /// Reads the state again where a record speaks of what is not known.
    pub(super) fn learn(&mut self, event: &Event) -> Result<(), Failure> {
        let known =
            self.metas.contains_key(&event.generation) && self.points.iter().any(|point| point.slot == event.slot);
        if known { Ok(()) } else { self.read() }
    }

    /// Generations that have gone from the kernel stay known: records of them may still come.
    fn read(&mut self) -> Result<(), Failure> {
        for place in Place::BOTH {
            let loaded = generations::at(self.kernel, self.state, place)?;
            if let Some(snapshot) = loaded.and_then(|loaded| loaded.snapshot) {
                self.metas.insert(snapshot.meta.generation, snapshot.meta);
            }
        }
        self.points = self.state.attachments()?.points;
        Ok(())
    }

    /// What a record means, as far as that is known.
    pub(super) fn of(&self, event: &Event) -> Meaning<'_> {
        let meta = self.metas.get(&event.generation);
        let outcome = meta.zip(event.outcome).and_then(|(meta, id)| meta.outcomes.get(id as usize));
        let rules = meta.zip(outcome).map(|(meta, outcome)| crate::words::rules(meta, outcome).collect());
        let point = self.points.iter().find(|point| point.slot == event.slot);
        let sender = match point.map(|point| &point.who) {
            Some(Who::Pod(identity)) => Some(identity),
            Some(Who::Address) => meta.and_then(|meta| {
                let own = meta.pods.iter().find(|pod| Some(pod.address) == event.source);
                own.map(|pod| &pod.identity)
            }),
            Some(Who::Unknown) | None => None,
        };
        Meaning { outcome, rules: rules.unwrap_or_default(), sender, point: point.map(|point| point.point.text()) }
    }
}

/// The time of day of a moment of the kernel's monotonic clock.
pub(super) fn wall_time(monotonic: u64) -> Result<Timestamp, Failure> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    let now = now.map_err(|error| Failure::new(format!("the clock cannot be read: {}", error.desc())))?;
    let ago = now.saturating_sub(Duration::from_nanos(monotonic));
    let time = Timestamp::now().checked_sub(ago);
    time.map_err(|error| Failure::new(format!("the time of a record cannot be said: {error}")))
}
