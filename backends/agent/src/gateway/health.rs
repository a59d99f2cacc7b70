//! Whether this node can carry a gateway: its interface has a carrier, and the user's own check succeeds.
//!
//! In: what is known of the interface, and perhaps a command. Out: yes or no, at any time without waiting.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long between two checks, and how long one may take.
const EVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);

/// What is watched.
#[derive(Clone, Debug)]
pub(super) struct Health {
    /// Whether the interface has a carrier; whoever looks at the network says so.
    carrier: Arc<AtomicBool>,
    /// What the command said last; before it has said anything, this node is not fit.
    checked: Arc<AtomicBool>,
}

impl Health {
    /// Begins to watch.
    pub(super) fn watch(check: Option<&str>) -> Self {
        let health = Self { carrier: Arc::default(), checked: Arc::new(AtomicBool::new(check.is_none())) };
        if let Some(command) = check.map(str::to_owned) {
            let checked = Arc::clone(&health.checked);
            thread::spawn(move || {
                loop {
                    checked.store(succeeds(&command), Ordering::Relaxed);
                    thread::sleep(EVERY);
                }
            });
        }
        health
    }

    /// Whether the node is fit now.
    pub(super) fn is_good(&self) -> bool {
        self.checked.load(Ordering::Relaxed) && self.carrier.load(Ordering::Relaxed)
    }

    /// Says whether the interface has a carrier.
    pub(super) fn set_carrier(&self, has: bool) {
        self.carrier.store(has, Ordering::Relaxed);
    }
}

fn succeeds(command: &str) -> bool {
    let child = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let Ok(mut child) = child else { return false };
    let begin = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if begin.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(20)),
            // One that hangs is one that fails.
            Ok(None) | Err(_) => {
                let _ended = child.kill().and_then(|()| child.wait());
                return false;
            }
        }
    }
}
