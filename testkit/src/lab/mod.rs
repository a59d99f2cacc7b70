//! A network in a box: pods, a node and the outside as network namespaces with real packets.
//!
//! In: a [`Topology`] and the ruleset that a test loads into [`Lab::node`]. Out: what probes,
//! connections and floods experienced. Traffic never leaves the lab's own namespaces. They have
//! no names and end with the [`Lab`] or, whatever happens to the process, with it; so nothing can
//! be left behind and runs side by side do not meet.
//!
//! ```text
//! pod 0 (AnyIP: its ranges) ── pod0 ┐
//! pod 1 …                   ── pod1 ┤ node (forwards; the rules under test) ── out0 ── outside (AnyIP: everything)
//! ```
//!
//! ```no_run
//! use egress_testkit::lab::{Lab, Probe, ProbeKind, Topology};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let Some(lab) = Lab::for_test("https_only", &Topology::default())? else { return Ok(()) };
//! lab.node().nft(
//!     "table inet t {
//!        chain pre { type filter hook prerouting priority -90; policy accept;
//!          iifname pod0 meta l4proto tcp tcp dport != 443 drop
//!        }
//!      }",
//! )?;
//! let (from, to) = ("10.0.0.2".parse()?, "20.0.0.1".parse()?);
//! let outcomes = lab.probe_all(&[
//!     Probe { from, to, kind: ProbeKind::Tcp(443) },
//!     Probe { from, to, kind: ProbeKind::Tcp(80) },
//! ])?;
//! assert!(outcomes[0].arrived() && !outcomes[1].arrived());
//! # Ok(())
//! # }
//! ```

mod capture;
mod cgroup;
mod cost;
mod error;
mod flood;
mod homes;
mod lan;
mod namespace;
mod obstacle;
mod outside;
mod packet;
mod probe;
mod talk;
mod teller;
mod topology;

use std::env;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

pub use cgroup::Cgroup;
pub use cost::{Candidate, Cost};
pub use error::LabError;
pub use flood::{Counts, FloodReport, FlowSpec};
pub use homes::{Homes, SILENT, probe_of, protocol_name};
pub use lan::{LAN, Lan, lan_node, lan_pod, on_wire, seen_by_udp};
pub use namespace::Namespace;
pub use obstacle::obstacle;
pub use packet::{Probe, ProbeKind};
pub use probe::{Outcome, Place};
pub use talk::still_talks;
pub use topology::{NODE_V4, NODE_V6, OUTSIDE_LINK, Range, Topology, pod_link};

use outside::Echo;
use topology::{Network, OUTSIDE};

/// Set to `1`, a machine that cannot hold a lab fails its tests instead of skipping them.
const REQUIRE: &str = "EGRESS_REQUIRE_LAB";

/// What the test of this name runs in. Where this machine cannot hold it, says on standard error that the test is
/// skipped and why, and gives `None`. With `EGRESS_REQUIRE_LAB=1` that is an error.
///
/// # Errors
/// Those of what is given, [`LabError::Unavailable`] only with `EGRESS_REQUIRE_LAB=1`.
pub fn or_skip<T>(name: &str, built: Result<T, LabError>) -> Result<Option<T>, LabError> {
    match built {
        Err(LabError::Unavailable(why)) if env::var_os(REQUIRE).is_none_or(|set| set != "1") => {
            // Written past the test harness, which would keep it back from a passing test.
            let _ = writeln!(io::stderr(), "SKIPPED {name}: {why}");
            Ok(None)
        }
        built => built.map(Some),
    }
}

/// The running network. Dropping it ends everything in it.
#[derive(Debug)]
pub struct Lab {
    // The service ends before the namespaces it runs in: fields are dropped in this order.
    _echo: Echo,
    network: Network,
    next_number: AtomicU64,
}

impl Lab {
    /// Builds the network with no rules in it.
    ///
    /// # Errors
    /// [`LabError::Unavailable`] where this machine cannot hold a lab; others when a step fails.
    pub fn new(topology: &Topology) -> Result<Self, LabError> {
        check_machine()?;
        let network = Network::build(topology)?;
        let echo = Echo::start(&network.outside)?;
        let lab = Self { _echo: echo, network, next_number: AtomicU64::new(1) };
        lab.wait_until_up()?;
        Ok(lab)
    }

    /// Builds the network for the test of this name, or says on standard error that the test is
    /// skipped and why, and gives `None`. With `EGRESS_REQUIRE_LAB=1` that is an error.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn for_test(name: &str, topology: &Topology) -> Result<Option<Self>, LabError> {
        or_skip(name, Self::new(topology))
    }

    /// The node, where the rules under test belong.
    #[must_use]
    pub fn node(&self) -> &Namespace {
        &self.network.node
    }

    /// The outside.
    #[must_use]
    pub fn outside(&self) -> &Namespace {
        &self.network.outside
    }

    /// The namespace of a place.
    ///
    /// # Errors
    /// When there is no pod of that number.
    pub fn namespace(&self, place: Place) -> Result<&Namespace, LabError> {
        match place {
            Place::Node => Ok(&self.network.node),
            Place::Outside => Ok(&self.network.outside),
            Place::Pod(index) => match self.network.pods.get(index) {
                Some((pod, _)) => Ok(pod),
                None => Err(LabError::Impossible(format!("there is no pod number {index}"))),
            },
        }
    }

    /// Makes the node and the pods forget all neighbours, so that ARP and neighbour discovery
    /// must work anew.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn forget_neighbours(&self) -> Result<(), LabError> {
        let all = self.network.pods.iter().map(|(pod, _)| pod);
        for namespace in all.chain([&self.network.node]) {
            namespace.ip("neigh flush all\n")?;
        }
        Ok(())
    }

    /// Waits until every pod range and the node can talk to the outside: IPv6 takes up to a
    /// second before it uses a new link.
    fn wait_until_up(&self) -> Result<(), LabError> {
        let ranges = self.network.pods.iter().flat_map(|(_, ranges)| ranges);
        let start = Instant::now();
        for from in ranges.map(Range::first_host).chain([NODE_V4, NODE_V6]) {
            let [v4, v6] = OUTSIDE;
            let to = if from.is_ipv4() { v4 } else { v6 };
            while !self.ping_within(from, to, Duration::from_millis(20))? {
                if start.elapsed() > Duration::from_secs(10) {
                    return Err(LabError::Impossible(format!("no way from {from} to {to}")));
                }
            }
        }
        Ok(())
    }

    /// Who sends with this source address.
    fn place_of(&self, address: IpAddr) -> Result<Place, LabError> {
        if address == NODE_V4 || address == NODE_V6 {
            return Ok(Place::Node);
        }
        let holder =
            self.network.pods.iter().position(|(_, ranges)| ranges.iter().any(|range| range.contains(address)));
        holder.map(Place::Pod).ok_or_else(|| LabError::Impossible(format!("nobody in the lab holds {address}")))
    }

    /// Reserves numbers for `count` probes; the first of them.
    fn take_numbers(&self, count: usize) -> u64 {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.next_number.fetch_add(count, Ordering::Relaxed)
    }
}

fn check_machine() -> Result<(), LabError> {
    if !geteuid().is_root() {
        return Err(LabError::Unavailable("it needs root for network namespaces".to_owned()));
    }
    for (tool, version, package) in [("ip", "-V", "iproute2"), ("nft", "--version", "nftables")] {
        let mut command = Command::new(tool);
        command.arg(version).stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().is_err() {
            return Err(LabError::Unavailable(format!("`{tool}` is missing (package {package})")));
        }
    }
    Namespace::new("trial")
        .map(drop)
        .map_err(|error| LabError::Unavailable(format!("this machine makes no network namespaces: {error}")))
}
