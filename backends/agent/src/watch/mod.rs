//! `egress-agent watch`: what is denied or recorded, as it happens. Changes nothing but that records are taken.
//!
//! The kernel limits records for each sender and destination class, and says in the next one how many it left out; when
//! its ring is full, it counts what was lost. Both are printed.

mod hubble;
mod human;
mod meaning;

use crate::arguments::Folders;
use crate::failure::{Failure, Outcome};
use crate::generations;
use crate::state::{Lock, Purpose, State};
use crate::terminal;
use egress_agent::kernel::{Event, Events, Kernel};
use meaning::Meanings;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The options of `watch`.
#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// Print a line of JSON for each record: `flow` as Hubble has it, and `egressc`
    #[arg(long)]
    json: bool,

    /// End after this many records
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// End after this many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,

    #[command(flatten)]
    folders: Folders,
}

/// How often it looks for what was lost, and whether its time is over, in milliseconds.
const TICK: u16 = 200;

/// Prints records until it is ended.
pub(crate) fn run(options: &Watch) -> Result<Outcome, Failure> {
    let state = State::at(&options.folders.state);
    let kernel = generations::look(&options.folders.bpffs)?;
    let _lock = Lock::take(state.folder(), Purpose::Watch)?;
    let mut events = kernel.events()?;
    let mut meanings = Meanings::new(&kernel, &state)?;
    let mut lost = kernel.lost()?;
    let end = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut left = options.count;
    while left != Some(0) && end.is_none_or(|end| Instant::now() < end) {
        if let Some(event) = events.take() {
            meanings.learn(&event)?;
            if !terminal::print(line(options, &meanings, &event)?.as_bytes())? {
                return Ok(Outcome::Done);
            }
            left = left.map(|left| left - 1);
            continue;
        }
        lost = report_lost(options, &kernel, lost)?;
        wait(&events)?;
    }
    report_lost(options, &kernel, lost)?;
    Ok(Outcome::Done)
}

fn line(options: &Watch, meanings: &Meanings<'_>, event: &Event) -> Result<String, Failure> {
    let time = meaning::wall_time(event.time)?;
    if !options.json {
        return Ok(human::line(&time, event, &meanings.of(event)));
    }
    Ok(format!("{}\n", hubble::json(&time, event, &meanings.of(event))))
}

/// Says how many records were lost since the last time. Out: how many were lost in all.
fn report_lost(options: &Watch, kernel: &Kernel, before: u64) -> Result<u64, Failure> {
    let now = kernel.lost()?;
    if let more @ 1.. = now.saturating_sub(before) {
        let text = match options.json {
            true => format!("{}\n", hubble::lost(more)),
            false => format!("{more} records were lost: they came faster than they were read\n"),
        };
        terminal::print(text.as_bytes())?;
    }
    Ok(now)
}

/// Waits for a record, or a tick.
fn wait(events: &Events) -> Result<(), Failure> {
    let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::from(TICK)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(Failure::new(format!("the records cannot be waited for: {}", error.desc()))),
    }
}
