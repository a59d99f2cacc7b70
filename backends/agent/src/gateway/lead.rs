//! Until when this node may hold gateways. In: options, and whether the node is fit. Out: a moment that moves on while all
//! is well.

#[cfg(feature = "kubernetes")]
pub(super) use with_lease::Leading;
#[cfg(not(feature = "kubernetes"))]
pub(super) use without_lease::Leading;

#[cfg(not(feature = "kubernetes"))]
mod without_lease {
    use crate::failure::Failure;
    use crate::gateway::health::Health;
    use crate::gateway::keep::LASTS;
    use crate::gateway::options::Gateway;
    use std::time::Instant;

    /// Who leads, where nobody else is asked.
    pub(in crate::gateway) struct Leading {
        always: bool,
    }

    impl Leading {
        pub(in crate::gateway) fn start(options: &Gateway, _health: &Health) -> Result<Self, Failure> {
            Ok(Self { always: options.wants_to_hold() })
        }

        pub(in crate::gateway) fn until(&self) -> Option<Instant> {
            self.always.then(|| Instant::now() + LASTS)
        }

        pub(in crate::gateway) fn holder(&self) -> Option<String> {
            None
        }

        pub(in crate::gateway) fn end(&mut self) {}
    }
}

#[cfg(feature = "kubernetes")]
mod with_lease {
    use crate::failure::Failure;
    use crate::gateway::health::Health;
    use crate::gateway::keep::LASTS;
    use crate::gateway::kubernetes::Server;
    use crate::gateway::lease::{Elector, Refused, Store, Times};
    use crate::gateway::options::Gateway;
    use crate::terminal;
    use jiff::Timestamp;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, PoisonError};
    use std::thread::{self, JoinHandle};
    use std::time::Instant;

    /// Who leads.
    pub(in crate::gateway) enum Leading {
        /// This node never does.
        Never,
        /// This node, because it was told so.
        Always,
        /// Whoever has the lease.
        Lease(Election),
    }

    /// What the thread that keeps the lease says, and what it is told.
    pub(in crate::gateway) struct Election {
        shared: Arc<Shared>,
        thread: Option<JoinHandle<()>>,
    }

    #[derive(Default)]
    struct Shared {
        until: Mutex<Option<Instant>>,
        holder: Mutex<Option<String>>,
        ends: AtomicBool,
    }

    impl Leading {
        pub(in crate::gateway) fn start(options: &Gateway, health: &Health) -> Result<Self, Failure> {
            let (Some(lease), Some(identity)) = (&options.lease, &options.identity) else {
                return Ok(if options.wants_to_hold() { Self::Always } else { Self::Never });
            };
            let Some((namespace, name)) = lease.split_once('/') else {
                return Err(Failure::new(format!("`{lease}` names no Lease")).help("write `NAMESPACE/NAME`"));
            };
            let times = Times { seconds: options.lease_seconds };
            let server = Server::new(options.kubeconfig.as_deref(), namespace, name, times.deadline() / 2)?;
            let (shared, health) = (Arc::<Shared>::default(), health.clone());
            let (elector, told) = (Elector::new(identity.clone(), times), Arc::clone(&shared));
            let thread = thread::spawn(move || keep(elector, server, times, &told, &health));
            Ok(Self::Lease(Election { shared, thread: Some(thread) }))
        }

        /// Until when this node may hold; nothing: it may not.
        pub(in crate::gateway) fn until(&self) -> Option<Instant> {
            match self {
                Self::Never => None,
                Self::Always => Some(Instant::now() + LASTS),
                Self::Lease(election) => *lock(&election.shared.until),
            }
        }

        /// Who holds the lease, where there is one.
        pub(in crate::gateway) fn holder(&self) -> Option<String> {
            match self {
                Self::Lease(election) => lock(&election.shared.holder).clone(),
                Self::Never | Self::Always => None,
            }
        }

        /// Gives the lease back.
        pub(in crate::gateway) fn end(&mut self) {
            if let Self::Lease(election) = self {
                election.shared.ends.store(true, Ordering::Relaxed);
                // A thread that panicked has nothing to give back that will not end by itself.
                let _ended = election.thread.take().map(JoinHandle::join);
            }
        }
    }

    fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews the lease, or waits for it, until it is told to end.
    fn keep<S: Store>(mut elector: Elector, mut store: S, times: Times, shared: &Shared, health: &Health) {
        let mut said = None;
        while !shared.ends.load(Ordering::Relaxed) {
            let begin = Instant::now();
            let day = Timestamp::now().to_string();
            // Who is not fit gives the lease back, and does not ask for it.
            let done = if health.is_good() {
                elector.step(&mut store, begin, &day)
            } else {
                elector.release(&mut store, &day)
            };
            *lock(&shared.until) = elector.held_until(Instant::now());
            *lock(&shared.holder) = elector.holder().map(str::to_owned);
            let failed = match done {
                Err(Refused::Failed(why)) => Some(format!("the lease cannot be asked for: {why}")),
                Ok(()) | Err(Refused::Conflict) => None,
            };
            if let Some(text) = failed.as_ref().filter(|text| said.as_ref() != Some(*text)) {
                terminal::note(text);
            }
            said = failed;
            let next = begin + times.retry();
            while Instant::now() < next && !shared.ends.load(Ordering::Relaxed) {
                thread::sleep(std::time::Duration::from_millis(20).min(times.retry()));
                *lock(&shared.until) = elector.held_until(Instant::now());
            }
        }
        *lock(&shared.until) = None;
        if let Err(Refused::Failed(why)) = elector.release(&mut store, &Timestamp::now().to_string()) {
            terminal::note(&format!("the lease is not given back, and ends by itself: {why}"));
        }
    }
}
