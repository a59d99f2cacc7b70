//! Stopping: a flag that one thread raises so that others give up what nobody waits for any more.
//!
//! In: nothing. Out: [`Stop`], of which everybody has a clone, and [`Cancelled`], which is what work ends with after the
//! flag was raised. It is never lowered: whoever wants to go on makes a new one. Cancelled work has no answer.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long an interruption that came too early for its work waits before it comes again.
const AGAIN: Duration = Duration::from_millis(2);

/// A flag that ends work; clones are one flag.
///
/// ```
/// let stop = egress_ir::Stop::default();
/// assert_eq!(stop.clone().check(), Ok(()));
/// stop.raise();
/// assert_eq!(stop.check(), Err(egress_ir::Cancelled));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    raised: AtomicBool,
    /// Rung when the flag is raised, and when somebody who waits for that need not any more.
    bell: Condvar,
    held: Mutex<()>,
}

/// Work ended because nobody waits for it: neither an answer nor a reason for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was stopped before there was an answer")
    }
}

impl std::error::Error for Cancelled {}

impl Stop {
    /// Ends all work that looks at this flag.
    pub fn raise(&self) {
        self.0.raised.store(true, Ordering::Release);
        self.ring();
    }

    /// Whether the work has been ended.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
    }

    /// Goes on, or does not.
    ///
    /// # Errors
    /// [`Cancelled`] after the flag was raised.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_raised() { Err(Cancelled) } else { Ok(()) }
    }

    /// Does work that does not look at the flag itself, and calls `interrupt` from another thread once that is raised:
    /// again and again until the work ends, as the first call may come before there is anything to interrupt.
    pub fn during<T>(&self, interrupt: impl Fn() + Send, work: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| self.watch(&done, interrupt));
            let end = Ending { stop: self, done: &done };
            let result = work();
            drop(end);
            result
        })
    }

    fn watch(&self, done: &AtomicBool, interrupt: impl Fn()) {
        let is_done = || done.load(Ordering::Acquire);
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        while !is_done() {
            if self.is_raised() {
                interrupt();
                held = self.0.bell.wait_timeout(held, AGAIN).unwrap_or_else(PoisonError::into_inner).0;
            } else {
                held = self.0.bell.wait(held).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Wakes all who watch. They look at what they wait for with the lock held, so that none misses it.
    fn ring(&self) {
        drop(self.0.held.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.bell.notify_all();
    }
}

/// Ends a watch, even if the work panics.
struct Ending<'w> {
    stop: &'w Stop,
    done: &'w AtomicBool,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
        self.stop.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_flag_raised_before_or_during_work_interrupts_it() {
        for before in [true, false] {
            let stop = Stop::default();
            let (interrupted, waits) = mpsc::channel();
            if before {
                stop.raise();
            }
            let said = stop.during(
                move || {
                    let _gone = interrupted.send(());
                },
                || {
                    stop.raise();
                    waits.recv()
                },
            );
            assert_eq!(said, Ok(()));
        }
    }

    #[test]
    fn work_that_nobody_stops_is_not_interrupted() {
        let called = AtomicBool::new(false);
        let stop = Stop::default();
        assert_eq!(stop.during(|| called.store(true, Ordering::Release), || 7), 7);
        assert_eq!((called.load(Ordering::Acquire), stop.check()), (false, Ok(())));
    }
}
