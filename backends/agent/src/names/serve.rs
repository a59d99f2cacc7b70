//! The program that learns, for as long as it runs: its threads, and its turns.
//!
//! In: options, signals, news of the kernel's sets. Out: what the kernel knows. A thread that fails ends the program, so
//! that whoever keeps it starts it anew.

use super::datagrams::Datagrams;
use super::options::{Names, Version};
use super::shared::{AnySink, Shared};
use super::{status, streams, watch};
use crate::failure::{Failure, Outcome};
use crate::gateway::net::Net;
use crate::state::{Purpose, State};
use crate::terminal;
use egress_agent::learning::ebpf::SharedSets;
use egress_agent::learning::nft::Reloads;
use egress_agent::learning::{Learner, Nftables, Programs};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Milliseconds between two turns at most.
const TICK: u16 = 500;
/// Between two looks at what ends soon.
const SWEEP: Duration = Duration::from_secs(1);

/// Runs until a signal ends it.
pub(super) fn run(options: &Names) -> Result<Outcome, Failure> {
    if options.learning.listen.is_empty() && options.learning.watch.is_empty() {
        return Err(Failure::new("nothing to learn from")
            .help("give `--listen ADDRESS` to forward queries, or `--watch IF…` to read answers that pass"));
    }
    let _lock = State::lock_for(&options.folders.state, Purpose::Names)?;
    // Before any thread begins, so that all of them leave signals to this one.
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    let fails = |error: nix::Error| Failure::new(format!("cannot wait for signals: {}", error.desc()));
    signals.thread_block().map_err(fails)?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(fails)?;
    Daemon::start(options)?.run(&signals)
}

fn kernel(error: &io::Error) -> Failure {
    Failure::new(format!("what the kernel knows of names cannot be reached: {error}"))
        .help("it needs the right to change nftables (CAP_NET_ADMIN), or maps of programs (CAP_BPF)")
}

struct Daemon<'o> {
    options: &'o Names,
    shared: Arc<Shared>,
    /// The sets of names of the kernel's programs.
    sets: SharedSets,
    /// News of nftables, where that is what enforces.
    reloads: Option<Reloads>,
    /// The kernel's sets came anew and were not filled yet.
    emptied: bool,
    net: Net,
    changed: Option<Version>,
    swept: Instant,
    failed: Receiver<Failure>,
}

impl<'o> Daemon<'o> {
    fn start(options: &'o Names) -> Result<Self, Failure> {
        let changed = options.version();
        let read = options.read()?;
        let sets = SharedSets::default();
        sets.set(read.sets);
        let (sink, reloads) = enforcer(options, &sets)?;
        let learner = Learner::new(read.policy, options.limits(), sink);
        let shared = Arc::new(Shared::new(learner, read.resolvers));
        let mut net = Net::open()?;
        {
            let mut learner = shared.learner();
            learner.set_own(net.addresses()?.into_keys().collect());
            learner.restore(shared.now()).map_err(|error| kernel(&error))?;
        }
        let (failures, failed) = channel();
        start_threads(options, &shared, &failures)?;
        terminal::note(&format!("learning names for {} patterns", shared.learner().policy().hosts().len()));
        Ok(Self { options, shared, sets, reloads, emptied: false, net, changed, swept: Instant::now(), failed })
    }

    fn run(mut self, signals: &SignalFd) -> Result<Outcome, Failure> {
        loop {
            let news = [Some(signals.as_fd()), self.reloads.as_ref().map(AsFd::as_fd)].into_iter().flatten();
            let mut interest: Vec<PollFd<'_>> = news.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
            match poll(&mut interest, PollTimeout::from(TICK)) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(error) => return Err(Failure::new(format!("cannot wait: {}", error.desc()))),
            }
            if let Ok(failure) = self.failed.try_recv() {
                return Err(failure);
            }
            self.emptied |= self.reloads.as_ref().is_some_and(Reloads::came);
            match signals.read_signal().map_err(|error| Failure::new(error.desc()))? {
                Some(signal) if signal.ssi_signo == Signal::SIGHUP as u32 => self.changed = None,
                Some(_) => {
                    status::remove(&self.options.folders.state);
                    return Ok(Outcome::Done);
                }
                None => {}
            }
            self.turn();
        }
    }

    /// What fails is said, and tried again in the next turn.
    fn turn(&mut self) {
        let (now, reloaded) = (self.shared.now(), self.emptied);
        // The new policy first: what it does not let a client use must not be put back.
        if (reloaded || self.changed.is_none() || self.swept.elapsed() >= SWEEP)
            && let Err(failure) = self.read_again()
        {
            self.shared.say(&failure.to_string());
        }
        if reloaded {
            let filled = self.shared.learner().refill(now);
            self.emptied = filled.is_err();
            if let Err(error) = filled {
                self.shared.say(&kernel(&error).to_string());
            }
        }
        if self.swept.elapsed() >= SWEEP {
            self.swept = Instant::now();
            match self.net.addresses() {
                Ok(own) => self.shared.learner().set_own(own.into_keys().collect()),
                Err(failure) => self.shared.say(&failure.to_string()),
            }
            let swept = self.shared.learner().sweep(self.shared.now());
            if let Err(error) = swept {
                self.shared.say(&kernel(&error).to_string());
            }
        }
    }

    /// The policy's file may be another one.
    fn read_again(&mut self) -> Result<(), Failure> {
        let changed = self.options.version();
        if changed.is_some() && changed == self.changed {
            return Ok(());
        }
        // What cannot be read is said once; the next version is tried again.
        self.changed = changed.or(Some(Version::File(SystemTime::UNIX_EPOCH)));
        let read = self.options.read()?;
        self.shared.set_resolvers(read.resolvers);
        self.sets.set(read.sets);
        let now = self.shared.now();
        self.shared.learner().change(read.policy, now).map_err(|error| kernel(&error))
    }
}

/// The kernel side: sets of nftables, which say when they come anew, or the map of the kernel's programs.
fn enforcer(options: &Names, sets: &SharedSets) -> Result<(AnySink, Option<Reloads>), Failure> {
    if options.policy.is_none() {
        return Ok((Box::new(Programs::new(options.learned()?, sets.clone())), None));
    }
    let sink = Nftables::open().map_err(|error| kernel(&error))?;
    Ok((Box::new(sink), Some(Reloads::listen().map_err(|error| kernel(&error))?)))
}

fn start_threads(options: &Names, shared: &Arc<Shared>, failures: &Sender<Failure>) -> Result<(), Failure> {
    let listen: Vec<SocketAddr> = options.learning.listen.iter().map(|at| at.0).collect();
    if !listen.is_empty() {
        let datagrams = Datagrams::open(Arc::clone(shared), &listen, options.learning.mark)?;
        start("forwarding queries", failures, move || datagrams.run())?;
        let guests = streams::guests();
        for listener in streams::open(&listen)? {
            let (shared, guests, mark) = (Arc::clone(shared), Arc::clone(&guests), options.learning.mark);
            start("forwarding connections", failures, move || streams::run(&shared, &listener, &guests, mark))?;
        }
    }
    if !options.learning.watch.is_empty() {
        let mut watch = watch::open(Arc::clone(shared), &options.learning.watch)?;
        start("watching answers", failures, move || watch.run())?;
    }
    let socket = status::open(&options.folders.state)?;
    let shared = Arc::clone(shared);
    start("telling what is known", failures, move || status::serve(&shared, &socket))
}

fn start(
    what: &'static str,
    failures: &Sender<Failure>,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), Failure> {
    let failures = failures.clone();
    let started = thread::Builder::new().name("names".to_owned()).spawn(move || {
        if let Err(error) = work() {
            // If the program ends already, nobody is left to tell.
            let _ending = failures.send(Failure::new(format!("{what} has failed: {error}")));
        }
    });
    started.map(drop).map_err(|error| Failure::new(format!("cannot begin {what}: {error}")))
}
