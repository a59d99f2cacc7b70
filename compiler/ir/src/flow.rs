//! Flows: what a decision is about.

use crate::address::Family;
use crate::port::{Port, protocol};
use crate::workload::Workload;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// One workload that sends to one destination on one port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow {
    /// Who sends.
    pub workload: Workload,
    /// To where.
    pub destination: Destination,
    /// Protocol and port.
    pub port: Port,
}

/// Where a flow goes: address and names are independent of each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// The address on the wire, after any translation inside the cluster.
    pub address: IpAddr,
    /// The DNS names by which the workload learned the address, in normal form; possibly none.
    pub names: BTreeSet<String>,
}

impl Destination {
    /// A destination that was not learned by any name.
    #[must_use]
    pub fn unnamed(address: IpAddr) -> Self {
        Self { address, names: BTreeSet::new() }
    }
}

impl Flow {
    /// Whether such a packet can exist: ICMP goes to IPv4 and ICMPv6 to IPv6 destinations only, a workload that is an
    /// address sends within its family, and protocols without ports have number 0. All forms are compared on these.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let family = Family::of(self.destination.address);
        let source_fits = match &self.workload {
            Workload::Pod(_) => true,
            Workload::Address(address) => Family::of(*address) == family,
        };
        source_fits
            && match self.port.protocol() {
                protocol::ICMP => family == Family::V4,
                protocol::ICMPV6 => family == Family::V6,
                protocol::TCP | protocol::UDP | protocol::SCTP => true,
                _ => self.port.number() == 0,
            }
    }
}

impl fmt::Display for Flow {
    /// As a person would type it: `shop/checkout → 169.254.169.254:80/tcp as api.stripe.com`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.destination.address;
        write!(f, "{} → ", self.workload)?;
        match (protocol::WITH_PORTS.contains(&self.port.protocol()), address) {
            (true, IpAddr::V4(_)) => write!(f, "{address}:{}", self.port)?,
            (true, IpAddr::V6(_)) => write!(f, "[{address}]:{}", self.port)?,
            (false, _) => write!(f, "{address} {}", self.port)?,
        }
        let names: Vec<&str> = self.destination.names.iter().map(String::as_str).collect();
        if names.is_empty() { Ok(()) } else { write!(f, " as {}", names.join(", ")) }
    }
}
