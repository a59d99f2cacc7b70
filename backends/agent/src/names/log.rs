//! Lines on standard error that a client cannot make too many of.

use crate::terminal;
use std::time::{Duration, Instant};

/// The most lines of a second.
const MOST: u32 = 5;

/// Says things, some of them.
#[derive(Debug, Default)]
pub(super) struct Log {
    since: Option<Instant>,
    said: u32,
    unsaid: u64,
}

impl Log {
    /// Says it, unless too much was said in this second.
    pub(super) fn say(&mut self, text: &str) {
        if self.since.is_none_or(|since| since.elapsed() >= Duration::from_secs(1)) {
            if self.unsaid > 0 {
                terminal::note(&format!("{} more like these are not said", self.unsaid));
            }
            (self.since, self.said, self.unsaid) = (Some(Instant::now()), 0, 0);
        }
        if self.said < MOST {
            self.said += 1;
            terminal::note(text);
        } else {
            self.unsaid += 1;
        }
    }
}
