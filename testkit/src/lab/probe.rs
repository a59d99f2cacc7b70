//! Batches of probes: thousands of packets sent at once, each looked for by its number.
//!
//! In: probes. Out, in the same order, whether each arrived, where, and with which source.
//! A probe is one packet and is never sent twice: "not arrived" means that this packet did not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::Lab;
use super::capture::{Capture, Seen, Sender};
use super::error::LabError;
use super::packet::{self, Probe, ProbeKind};

/// How long nothing may arrive before the rest counts as lost. Veth pairs deliver within
/// microseconds; this allows for a machine under load.
const QUIET: Duration = Duration::from_millis(150);
/// Packets sent between two looks at the captures, and before the first pause.
const BURST: usize = 64;

/// A namespace of the lab, as a sender or as a place of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The pod of this number.
    Pod(usize),
    /// The node itself.
    Node,
    /// Beyond the node.
    Outside,
}

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It came through.
    Arrived {
        /// Where it was seen.
        at: Place,
        /// Its source address there (a gateway may have rewritten it); absent for v6 at the
        /// node, whose sockets do not show it.
        source: Option<IpAddr>,
    },
    /// It was not seen anywhere.
    NotArrived,
}

impl Outcome {
    /// Whether the probe came through.
    #[must_use]
    pub fn arrived(self) -> bool {
        matches!(self, Self::Arrived { .. })
    }
}

impl Lab {
    /// Sends one probe; see [`Lab::probe_all`].
    ///
    /// # Errors
    /// As [`Lab::probe_all`].
    pub fn probe(&self, probe: Probe) -> Result<Outcome, LabError> {
        let outcomes = self.probe_all(&[probe])?;
        Ok(outcomes.first().copied().unwrap_or(Outcome::NotArrived))
    }

    /// Sends all probes and says of each whether it arrived. The outside swallows them, so that
    /// none draws an answer. Connection tracking in the node keeps an entry for each allowed
    /// flow for some seconds; batches beyond 100,000 may fill its table.
    ///
    /// # Errors
    /// When a probe's addresses are of two families or its source belongs to nobody here, and
    /// when a socket fails.
    pub fn probe_all(&self, probes: &[Probe]) -> Result<Vec<Outcome>, LabError> {
        let protocols: BTreeSet<u8> = probes.iter().map(|probe| probe.kind.protocol(probe.to.is_ipv6())).collect();
        let mut captures = vec![
            (Place::Outside, Capture::on_the_wire(&self.network.outside)?),
            (Place::Node, Capture::delivered(&self.network.node, &protocols)?),
        ];
        for (index, (pod, _)) in self.network.pods.iter().enumerate() {
            captures.push((Place::Pod(index), Capture::on_the_wire(pod)?));
        }
        let first = self.take_numbers(probes.len());
        let mut hunt = Hunt { captures, first, outcomes: vec![Outcome::NotArrived; probes.len()] };
        self.send_all(probes, first, true, &mut hunt)?;
        hunt.wait_until_quiet(QUIET)?;
        Ok(hunt.outcomes)
    }

    /// Sends an ICMP or ICMPv6 echo request that the other side's kernel answers, and says
    /// whether the answer came back.
    ///
    /// # Errors
    /// As [`Lab::probe_all`].
    pub fn ping(&self, from: IpAddr, to: IpAddr) -> Result<bool, LabError> {
        self.ping_within(from, to, QUIET)
    }

    pub(super) fn ping_within(&self, from: IpAddr, to: IpAddr, patience: Duration) -> Result<bool, LabError> {
        let kind = if to.is_ipv4() { ProbeKind::Icmp(8, 0) } else { ProbeKind::Icmp(128, 0) };
        let home = self.place_of(from)?;
        let capture = match home {
            Place::Node => {
                let protocol = kind.protocol(to.is_ipv6());
                Capture::delivered(&self.network.node, &BTreeSet::from([protocol]))?
            }
            Place::Pod(_) | Place::Outside => Capture::on_the_wire(self.namespace(home)?)?,
        };
        let first = self.take_numbers(1);
        let mut hunt = Hunt { captures: vec![(home, capture)], first, outcomes: vec![Outcome::NotArrived] };
        self.send_all(&[Probe { from, to, kind }], first, false, &mut hunt)?;
        hunt.wait_until_quiet(patience)?;
        Ok(hunt.outcomes.iter().all(|outcome| outcome.arrived()))
    }

    fn send_all(&self, probes: &[Probe], first: u64, silent: bool, hunt: &mut Hunt) -> Result<(), LabError> {
        let mut senders: BTreeMap<Place, Sender> = BTreeMap::new();
        for (id, (index, probe)) in (first..).zip(probes.iter().enumerate()) {
            let place = self.place_of(probe.from)?;
            let sender = match senders.entry(place) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Sender::new(self.namespace(place)?)?),
            };
            let bytes = packet::build(probe, id, silent).ok_or_else(|| mixed_families(probe))?;
            sender.send(&bytes, probe.to)?;
            if index % BURST == BURST - 1 {
                // While a neighbour is being resolved the kernel queues only some packets.
                if index < BURST {
                    thread::sleep(Duration::from_millis(5));
                }
                hunt.look()?;
            }
        }
        Ok(())
    }
}

/// The captures of a batch, and what they have shown so far.
struct Hunt {
    captures: Vec<(Place, Capture)>,
    first: u64,
    outcomes: Vec<Outcome>,
}

impl Hunt {
    /// Takes what has arrived by now; how many probes were new.
    fn look(&mut self) -> Result<usize, LabError> {
        let mut fresh = 0;
        for (at, capture) in &self.captures {
            for Seen { id, addresses } in capture.drain()? {
                let index = id.checked_sub(self.first).and_then(|index| index.try_into().ok());
                let slot = index.and_then(|index: usize| self.outcomes.get_mut(index));
                if let Some(outcome) = slot.filter(|outcome| !outcome.arrived()) {
                    let source = addresses.map(|(source, _)| source);
                    *outcome = Outcome::Arrived { at: *at, source };
                    fresh += 1;
                }
            }
        }
        Ok(fresh)
    }

    fn wait_until_quiet(&mut self, patience: Duration) -> Result<(), LabError> {
        let mut last = Instant::now();
        loop {
            if self.look()? > 0 {
                last = Instant::now();
            }
            if last.elapsed() > patience || self.outcomes.iter().all(|outcome| outcome.arrived()) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

fn mixed_families(probe: &Probe) -> LabError {
    LabError::Impossible(format!("a probe from {} to {} mixes two address families", probe.from, probe.to))
}
