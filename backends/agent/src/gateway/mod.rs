//! `egress-agent gateway`: keeps this node as its gateways demand, and holds some of them.
//!
//! In: which gateways there are, and who may hold them. Out: the table that sees to source addresses, rules and routes to
//! whoever holds a gateway, and on the node that does an interface with its address. The address has a lifetime in the
//! kernel: when this program ends, however it ends, the address goes, and nothing leaves with it any more.
//!
//! Never: deciding which packets leave through a gateway. That is the policy's matter, and stands in their marks.

mod announce;
mod health;
mod keep;
mod keepalived;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod lead;
#[cfg(feature = "kubernetes")]
mod lease;
pub(crate) mod net;
mod options;
mod record;
pub(crate) mod source;
pub(crate) mod table;
mod turn;

pub(crate) use keep::ways;
pub(crate) use options::Gateway;
pub(crate) use record::{Record, read as recorded};
pub(crate) use turn::Turn;

use crate::failure::{Failure, Outcome};
use crate::terminal;
use egress_snapshot::gateway;
use health::Health;
use keep::{Keeper, LASTS, managed};
use lead::Leading;
use net::Changes;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use options::Print;
use source::{Gateways, Source};
use std::os::fd::AsFd;
use std::time::Instant;

/// Milliseconds after which everything is looked at again, whatever happens.
const TICK: u16 = 250;

/// Runs it.
pub(crate) fn run(options: &Gateway) -> Result<Outcome, Failure> {
    let source = options.source();
    let gateways = options.read()?;
    options.check(&gateways)?;
    match options.print {
        Some(Print::Table) => {
            let text = gateway::table(&gateways.all, gateways.mask);
            terminal::print(text.map_err(|error| Failure::new(error.to_string()))?.as_bytes())?;
            return Ok(Outcome::Done);
        }
        Some(Print::Keepalived) => {
            let over = options.interface.as_deref().unwrap_or_default();
            terminal::print(keepalived::text(&gateways, over, options.priority)?.as_bytes())?;
            return Ok(Outcome::Done);
        }
        None => {}
    }
    if options.remove {
        Keeper::new(None)?.forget(&gateways)?;
        table::remove()?;
        record::remove(options)?;
        terminal::print(b"the table of gateways and its routing rules are removed\n")?;
        return Ok(Outcome::Done);
    }
    load_table(&source, &gateways)?;
    if options.once {
        let present = Keeper::new(options.interface.clone())?.keep(&gateways, |_| None)?;
        record::write(options, &gateways, &present, None)?;
        return Ok(Outcome::Done);
    }
    Daemon::start(options, source, gateways)?.run()
}

/// An nftables file brings the table along.
fn load_table(source: &Source, gateways: &Gateways) -> Result<(), Failure> {
    match source {
        Source::Artifact(_) => Ok(()),
        _ if gateways.all.is_empty() => Ok(()),
        _ => table::load(&gateways.all, gateways.mask),
    }
}

/// What goes on for as long as the program runs.
struct Daemon<'o> {
    options: &'o Gateway,
    source: Source,
    version: Option<u64>,
    gateways: Gateways,
    keeper: Keeper,
    health: Health,
    leading: Leading,
    changes: Changes,
    signals: SignalFd,
    /// What was complained about last, so that it is said once.
    complaint: Option<String>,
}

impl<'o> Daemon<'o> {
    fn start(options: &'o Gateway, source: Source, gateways: Gateways) -> Result<Self, Failure> {
        // Before any thread begins, so that all of them leave signals to this one.
        let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
        let fails = |error: nix::Error| Failure::new(format!("cannot wait for signals: {}", error.desc()));
        signals.thread_block().map_err(fails)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&signals, flags).map_err(fails)?;
        let health = Health::watch(options.check.as_deref());
        Ok(Self {
            options,
            version: source.version(),
            source,
            gateways,
            keeper: Keeper::new(options.interface.clone())?,
            leading: Leading::start(options, &health)?,
            health,
            changes: Changes::listen()?,
            signals,
            complaint: None,
        })
    }

    fn run(mut self) -> Result<Outcome, Failure> {
        loop {
            let done = self.turn();
            self.complain(done.err());
            self.wait()?;
            match self.signals.read_signal().map_err(|error| Failure::new(error.desc()))? {
                Some(signal) if signal.ssi_signo == Signal::SIGHUP as u32 => self.version = Some(u64::MAX),
                Some(_) => return self.end(),
                None => {}
            }
        }
    }

    /// Once through everything.
    fn turn(&mut self) -> Result<(), Failure> {
        let version = self.source.version();
        if version.is_some() && version != self.version || self.version == Some(u64::MAX) {
            self.read_again()?;
            self.version = version;
        }
        self.health.set_carrier(self.keeper.has_carrier());
        let (good, leads_until) = (self.health.is_good(), self.leading.until());
        let present = self.keeper.keep(&self.gateways, |gateway| {
            if !good || managed(gateway).next().is_none() {
                return None;
            }
            // Without nodes of its own, every node is its gateway.
            match gateway.nodes {
                None => Some(Instant::now() + LASTS),
                Some(_) => leads_until.filter(|_| self.options.holds(&gateway.name)),
            }
        })?;
        record::write(self.options, &self.gateways, &present, self.leading.holder())
    }

    /// Gateways that are no more are taken down before the others are looked at.
    fn read_again(&mut self) -> Result<(), Failure> {
        let gateways = self.options.read()?;
        if gateways != self.gateways {
            self.options.check(&gateways)?;
            self.keeper.withdraw_all(&self.gateways)?;
            self.keeper.forget(&self.gateways)?;
            load_table(&self.source, &gateways)?;
            self.gateways = gateways;
        }
        Ok(())
    }

    fn wait(&self) -> Result<(), Failure> {
        let interest = [self.changes.as_fd(), self.signals.as_fd()];
        let mut interest = interest.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut interest, PollTimeout::from(TICK)) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(Failure::new(format!("cannot wait: {}", error.desc()))),
        }
        self.changes.drain();
        Ok(())
    }

    /// Addresses go first, then the lease, so that whoever takes it finds them free.
    fn end(mut self) -> Result<Outcome, Failure> {
        self.keeper.withdraw_all(&self.gateways)?;
        self.leading.end();
        let present = self.keeper.keep(&self.gateways, |_| None)?;
        record::write(self.options, &self.gateways, &present, None)?;
        Ok(Outcome::Done)
    }

    fn complain(&mut self, failure: Option<Failure>) {
        let text = failure.map(|failure| failure.to_string());
        if let Some(text) = text.as_ref().filter(|text| self.complaint.as_ref() != Some(*text)) {
            terminal::note(text);
        }
        self.complaint = text;
    }
}
