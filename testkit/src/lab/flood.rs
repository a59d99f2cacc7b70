//! Steady UDP traffic of several flows while something else happens, counted exactly.
//!
//! In: flows, a rate, and a closure such as two hundred ruleset replacements. Out: how many
//! packets of each flow were sent and how many arrived. Arrivals are counted by rules in the
//! outside, before any queue that could overflow, so that a difference is a real loss.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Lab;
use super::error::{LabError, doing};

/// Packets of each flow between two looks at the clock.
const BURST: u32 = 4;
/// What a veth pair may still hold when the sender has stopped.
const SETTLE: Duration = Duration::from_millis(100);

/// One UDP flow; no two flows of a flood may share destination and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowSpec {
    /// A pod's or the node's address.
    pub from: IpAddr,
    /// Destination outside.
    pub to: SocketAddr,
}

/// What became of one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Packets given to the sender's kernel, whatever it made of them.
    pub sent: u64,
    /// Packets that reached the outside.
    pub received: u64,
}

/// The result of a flood.
#[derive(Debug, Clone, PartialEq)]
pub struct FloodReport<T> {
    /// What the closure gave.
    pub value: T,
    /// Per flow, in the order given.
    pub counts: Vec<Counts>,
    /// Packets per second over all flows, as really sent.
    pub rate: f64,
}

impl Lab {
    /// Sends `rate` packets a second, spread evenly over the flows, as long as `work` runs.
    /// Takes part of one processor: with the work beside it, two are needed for high rates.
    ///
    /// # Errors
    /// When a source belongs to nobody here, or counting or sending fails.
    pub fn flood_while<T: Send>(
        &self,
        flows: &[FlowSpec],
        rate: u32,
        work: impl FnOnce() -> T + Send,
    ) -> Result<FloodReport<T>, LabError> {
        self.flood_from(&self.flood_sockets(flows)?, rate, work)
    }

    /// As [`Lab::flood_while`], from sockets that the caller opened and connected, each as a flow of its own. No two may
    /// share destination and port.
    ///
    /// # Errors
    /// When a socket is not connected, or counting or sending fails.
    pub fn flood_from<T: Send>(
        &self,
        sockets: &[UdpSocket],
        rate: u32,
        work: impl FnOnce() -> T + Send,
    ) -> Result<FloodReport<T>, LabError> {
        let mut destinations = Vec::new();
        for socket in sockets {
            socket.set_nonblocking(true).map_err(doing("making a socket non-blocking"))?;
            destinations.push(socket.peer_addr().map_err(doing("asking for a flow's destination"))?);
        }
        self.network.outside.nft(&counting_rules(&destinations))?;
        let stop = AtomicBool::new(false);
        let (value, sent, seconds) = thread::scope(|scope| {
            let sender = scope.spawn(|| send_until(sockets, rate, &stop));
            let worker = scope.spawn(work);
            let value = worker.join();
            stop.store(true, Ordering::Relaxed);
            let (sent, elapsed) = sender.join().map_err(|_| panicked("the flood's sender"))??;
            let value = value.map_err(|_| panicked("the work beside a flood"))?;
            Ok::<_, LabError>((value, sent, elapsed.as_secs_f64()))
        })?;
        thread::sleep(SETTLE);
        let mut counts = Vec::new();
        for index in 0..sockets.len() {
            let name = format!("flow_{index}");
            let received = self.network.outside.nft_counter("inet lab_flood", &name)?;
            counts.push(Counts { sent, received });
        }
        self.network.outside.nft("delete table inet lab_flood\n")?;
        let flows = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
        let rate = sent as f64 * f64::from(flows) / seconds;
        Ok(FloodReport { value, counts, rate })
    }

    fn flood_sockets(&self, flows: &[FlowSpec]) -> Result<Vec<UdpSocket>, LabError> {
        let mut sockets = Vec::new();
        for FlowSpec { from, to } in flows {
            let socket = self
                .namespace(self.place_of(*from)?)?
                .run(|| {
                    let socket = UdpSocket::bind(SocketAddr::new(*from, 0))?;
                    socket.connect(to)?;
                    Ok(socket)
                })?
                .map_err(doing::<io::Error>("opening a flow of a flood"))?;
            sockets.push(socket);
        }
        Ok(sockets)
    }
}

/// Counts, then swallows, so that a flood costs the outside little and draws no answers.
fn counting_rules(destinations: &[SocketAddr]) -> String {
    let mut counters = String::new();
    let mut rules = String::new();
    for (index, to) in destinations.iter().enumerate() {
        let family = if to.is_ipv4() { "ip" } else { "ip6" };
        // Writing to a string cannot fail.
        let _ = writeln!(counters, "counter flow_{index} {{ }}");
        let _ = writeln!(rules, "{family} daddr {} udp dport {} counter name flow_{index} drop", to.ip(), to.port());
    }
    format!(
        "add table inet lab_flood\n\
         delete table inet lab_flood\n\
         table inet lab_flood {{\n{counters}\
         chain count {{ type filter hook prerouting priority -310; policy accept;\n{rules}}}\n}}\n"
    )
}

/// Sends rounds of one packet per flow at the wanted rate; packets per flow, and the time taken.
fn send_until(sockets: &[UdpSocket], rate: u32, stop: &AtomicBool) -> Result<(u64, Duration), LabError> {
    let start = Instant::now();
    let per_flow = f64::from(rate.max(1)) / f64::from(u32::try_from(sockets.len()).unwrap_or(1));
    let mut rounds = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            for socket in sockets {
                send_one(socket, rounds)?;
            }
            rounds += 1;
        }
        #[expect(clippy::cast_precision_loss, reason = "a pace needs no more than 52 bits")]
        let due = Duration::from_secs_f64(rounds as f64 / per_flow);
        while start.elapsed() < due && !stop.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    }
    Ok((rounds, start.elapsed()))
}

/// A packet that the sender's own output hook drops shows as "operation not permitted", and an
/// earlier reject as "connection refused": both are verdicts, and the packet counts as sent.
fn send_one(socket: &UdpSocket, number: u64) -> Result<(), LabError> {
    loop {
        match socket.send(&number.to_be_bytes()) {
            Ok(_) => return Ok(()),
            Err(error) => match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ConnectionRefused => {
                    return Ok(());
                }
                // A full queue has not taken the packet yet.
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => thread::yield_now(),
                _ => return Err(doing("sending a flood")(error)),
            },
        }
    }
}

fn panicked(who: &str) -> LabError {
    LabError::Impossible(format!("{who} panicked"))
}
