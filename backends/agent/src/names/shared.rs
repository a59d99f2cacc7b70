//! What all threads of `names` share: the learner behind a lock, the clock, the log.

use super::log::Log;
use egress_agent::learning::message::{Query, answer};
use egress_agent::learning::{Learner, Reason, Sink, Time};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

/// Whichever kernel side it is.
pub(super) type AnySink = Box<dyn Sink + Send>;

/// Shared by all threads.
pub(super) struct Shared {
    learner: Mutex<Learner<AnySink>>,
    log: Mutex<Log>,
    resolvers: RwLock<Vec<SocketAddr>>,
    /// The resolver that is asked first: the one that answered last.
    preferred: AtomicUsize,
    start: Instant,
}

impl Shared {
    pub(super) fn new(learner: Learner<AnySink>, resolvers: Vec<SocketAddr>) -> Self {
        Self {
            learner: Mutex::new(learner),
            log: Mutex::default(),
            resolvers: RwLock::new(resolvers),
            preferred: AtomicUsize::new(0),
            start: Instant::now(),
        }
    }

    /// Milliseconds since this program began.
    pub(super) fn now(&self) -> Time {
        self.start.elapsed().as_millis() as Time
    }

    pub(super) fn learner(&self) -> MutexGuard<'_, Learner<AnySink>> {
        // A thread that panicked ends the program where it counts; its counts are still right.
        self.learner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, reason: Reason) {
        self.learner().counts().add(reason);
    }

    pub(super) fn say(&self, text: &str) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).say(text);
    }

    /// Learns from an answer that is one to this query. When this returns, the kernel knows what it teaches.
    pub(super) fn teach(&self, client: IpAddr, query: &Query, bytes: &[u8]) {
        let found = match answer(bytes, query) {
            Ok(found) => found,
            Err(reason) => return self.count(reason),
        };
        let taught = self.learner().teach(client, query, &found, self.now());
        let name = query.question.name.escape_debug();
        match taught {
            Ok(taught) => {
                for (address, reason) in taught.refused {
                    self.say(&format!("`{name}` has the address {address} for {client}: {}", reason.words()));
                }
            }
            Err(error) => self.say(&format!("`{name}` could not be learned for {client}: {error}")),
        }
    }

    pub(super) fn is_resolver(&self, address: SocketAddr) -> bool {
        self.resolvers.read().unwrap_or_else(PoisonError::into_inner).contains(&address)
    }

    pub(super) fn set_resolvers(&self, resolvers: Vec<SocketAddr>) {
        *self.resolvers.write().unwrap_or_else(PoisonError::into_inner) = resolvers;
    }

    /// The resolver to be asked now, and its place.
    pub(super) fn resolver(&self) -> Option<(usize, SocketAddr)> {
        let resolvers = self.resolvers.read().unwrap_or_else(PoisonError::into_inner);
        let place = self.preferred.load(Ordering::Relaxed).checked_rem(resolvers.len())?;
        Some((place, *resolvers.get(place)?))
    }

    /// A resolver does not answer: the next one is asked from now on.
    pub(super) fn give_up(&self, place: usize) {
        self.count(Reason::Unanswered);
        let next = place.wrapping_add(1);
        let _another_did = self.preferred.compare_exchange(place, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}
