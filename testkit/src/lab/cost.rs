//! What a ruleset costs per packet, compared within one run.
//!
//! In: named rulesets and probes. Out: nanoseconds a packet, and the ratio to the first ruleset.
//!
//! A packet sent into a veth pair is routed, filtered and delivered in the sender's own context,
//! so the sending thread's processor time is the whole way: sender, node, outside. Rulesets take
//! turns round by round on one processor and medians are taken; only the ratios carry over to
//! other machines.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::Lab;
use super::capture::Sender;
use super::error::{LabError, doing};
use super::packet::{self, Probe};

/// A ruleset to be measured: its name and the text that `nft` loads.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Appears in the result.
    pub name: &'a str,
    /// Loaded after `flush ruleset`; may be empty.
    pub ruleset: &'a str,
}

/// The cost of a packet under one ruleset.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// The candidate's name.
    pub name: String,
    /// Median over the rounds, nanoseconds of processor time per packet.
    pub nanos: f64,
    /// `nanos` in proportion to the first candidate's.
    pub ratio: f64,
}

impl Lab {
    /// Measures `packets` packets per candidate and round, taken in turn from `probes`, which
    /// must all come from one namespace. Replaces the node's whole ruleset.
    ///
    /// # Errors
    /// When there is nothing to send, a ruleset does not load, or sending fails.
    pub fn compare_costs(
        &self,
        candidates: &[Candidate<'_>],
        probes: &[Probe],
        packets: usize,
        rounds: usize,
    ) -> Result<Vec<Cost>, LabError> {
        let place = match probes.first() {
            Some(probe) if packets > 0 => self.place_of(probe.from)?,
            _ => return Err(LabError::Impossible("a cost needs packets".to_owned())),
        };
        let sender = Sender::new(self.namespace(place)?)?;
        let ready =
            (0..).zip(probes).filter_map(|(id, probe)| packet::build(probe, id, true).map(|bytes| (bytes, probe.to)));
        let ready: Vec<_> = ready.collect();
        let mut samples = vec![Vec::new(); candidates.len()];
        for _ in 0..rounds.max(1) {
            for (candidate, samples) in candidates.iter().zip(&mut samples) {
                self.node().nft(&format!("flush ruleset\n{}", candidate.ruleset))?;
                // In a thread of its own, for it is bound to one processor. The sockets decide where
                // packets start, so it does not matter which namespace the thread is in.
                samples.push(self.node().run(|| {
                    // Warms the caches and the tables of connection tracking.
                    send_in_turn(&sender, &ready, packets / 8)?;
                    send_in_turn(&sender, &ready, packets)
                })??);
            }
        }
        let medians: Vec<f64> = samples.into_iter().map(median).collect();
        let base = medians.first().copied().unwrap_or(1.0);
        let costs = candidates.iter().zip(medians).map(|(candidate, nanos)| Cost {
            name: candidate.name.to_owned(),
            nanos,
            ratio: nanos / base,
        });
        Ok(costs.collect())
    }
}

/// Sends `count` packets on one processor; nanoseconds of this thread per packet.
fn send_in_turn(sender: &Sender, packets: &[(Vec<u8>, std::net::IpAddr)], count: usize) -> Result<f64, LabError> {
    let mut last = CpuSet::new();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    last.set(processors - 1).map_err(doing("choosing a processor"))?;
    sched_setaffinity(Pid::from_raw(0), &last).map_err(doing("choosing a processor"))?;
    let start = thread_nanos()?;
    for (bytes, to) in packets.iter().cycle().take(count) {
        sender.send(bytes, *to)?;
    }
    let used = thread_nanos()? - start;
    #[expect(clippy::cast_precision_loss, reason = "counts and times stay below 2^52")]
    let per_packet = used as f64 / count.max(1) as f64;
    Ok(per_packet)
}

fn thread_nanos() -> Result<i64, LabError> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_err(doing("reading a clock"))?;
    Ok(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
