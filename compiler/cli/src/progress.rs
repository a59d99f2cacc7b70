//! Progress: says on standard error what takes longer than a second.

use crate::terminal;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// How long work stays silent.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs `work`; if it takes longer than a second, says `what` is being done, once.
pub(crate) fn during<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (done, waiting) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                terminal::complain(&format!("egressc: {what} …\n"));
            }
        });
        let result = work();
        drop(done);
        result
    })
}
