//! Chains as text for `nft -f`: the same tests in the same order as kube-vip sends them over netlink.

use super::{Chain, PRIORITY, Rules, SnatRule};
use egress_ir::protocol;
use std::fmt;
use std::net::IpAddr;

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chains().try_for_each(|chain| chain.fmt(f))
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.v6 { "ip6" } else { "ip" };
        writeln!(f, "table {family} {} {{\n\tchain {} {{", self.table, self.name)?;
        writeln!(f, "\t\ttype nat hook postrouting priority {PRIORITY}; policy accept;")?;
        for rule in &self.rules {
            writeln!(f, "\t\t{rule}")?;
        }
        writeln!(f, "\t}}\n}}")
    }
}

impl fmt::Display for SnatRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.to.is_ipv6() { "ip6" } else { "ip" };
        write!(f, "{family} saddr {{ {} }}", self.source)?;
        if let Some((protocol, numbers)) = &self.ports {
            let numbers = numbers.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
            write!(f, " meta l4proto {} th dport {{ {numbers} }}", protocol_name(*protocol))?;
        }
        for range in &self.except {
            write!(f, " {family} daddr != {}", shown(range))?;
        }
        if let Some(range) = &self.within {
            write!(f, " {family} daddr {}", shown(range))?;
        }
        write!(f, " snat to {}", self.to)
    }
}

/// `a-b`, or `a` where both ends are the same, which `nft` wants so.
fn shown((first, last): &(IpAddr, IpAddr)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn protocol_name(number: u8) -> &'static str {
    match number {
        protocol::TCP => "tcp",
        protocol::UDP => "udp",
        // INVARIANT: ports are of these three protocols only.
        _ => "sctp",
    }
}
