//! The nftables table that brings queries for resolvers inside the cluster to the agent's addresses, unseen by clients.
//!
//! In: resolvers, listening addresses. Out: text for `nft -f`. The kernel translates destinations in one place, before the
//! policy judges (`dstnat`, whatever priority a chain has): a client whose query to a resolver *outside* is translated
//! could ask where its policy does not let it. So only resolvers inside are redirected, to an address inside.

use super::options::{Names, Read};
use crate::failure::Failure;
use std::fmt::Write;
use std::net::SocketAddr;

/// The table's name.
const TABLE: &str = "egressc_names";

/// The text.
pub(super) fn text(options: &Names) -> Result<String, Failure> {
    let listen: Vec<SocketAddr> = options.learning.listen.iter().map(|at| at.0).collect();
    if listen.is_empty() {
        return Err(Failure::new("there is no address to bring queries to").help("give `--listen ADDRESS`"));
    }
    let read = options.read()?;
    table(&read, &listen, options.learning.mark)
}

fn table(read: &Read, listen: &[SocketAddr], mark: u32) -> Result<String, Failure> {
    let mut rules = String::new();
    for resolver in &read.resolvers {
        if !read.policy.inside().contains(resolver.ip()) {
            return Err(Failure::new(format!("the resolver `{}` is outside the cluster", resolver.ip())).help(
                "a redirected query is judged by where it goes then: let clients name the agent's address as their resolver",
            ));
        }
        let Some(to) = listen.iter().find(|at| at.is_ipv6() == resolver.is_ipv6()) else {
            return Err(Failure::new(format!("no `--listen` has the family of the resolver `{}`", resolver.ip())));
        };
        if !read.policy.inside().contains(to.ip()) {
            return Err(Failure::new(format!("`{}` is outside the cluster", to.ip())).help(
                "clients must reach it as they reach resolvers: listen at an address of the pods' or services' ranges",
            ));
        }
        let family = if to.is_ipv6() { "ip6" } else { "ip" };
        for transport in ["udp", "tcp"] {
            let (address, port) = (resolver.ip(), resolver.port());
            let _ = writeln!(rules, "    {family} daddr {address} {transport} dport {port} dnat {family} to {to}");
        }
    }
    // The agent's own queries leave by the output hook, and must reach the resolver.
    let own = if mark == 0 { String::new() } else { format!("    meta mark {mark:#x} accept\n") };
    let output = if mark == 0 {
        String::new()
    } else {
        format!("  chain output {{\n    type nat hook output priority dstnat - 10; policy accept;\n{own}{rules}  }}\n")
    };
    Ok(format!(
        "table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n  chain prerouting {{\n    \
         type nat hook prerouting priority dstnat - 10; policy accept;\n{rules}  }}\n{output}}}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_agent::learning::Policy;
    use egress_snapshot::names::Names;

    fn read(resolver: &str) -> Read {
        let names = Names { inside: vec!["10.0.0.0/8".to_owned()], ..Names::default() };
        Read {
            policy: Policy::new(&names, Vec::new()).unwrap(),
            resolvers: vec![resolver.parse().unwrap()],
            sets: Default::default(),
        }
    }

    #[test]
    fn only_resolvers_inside_are_redirected() {
        let at = |text: &str| [text.parse().unwrap()];
        let text = table(&read("10.96.0.10:53"), &at("10.42.0.1:5353"), 0).unwrap();
        assert!(text.contains("ip daddr 10.96.0.10 udp dport 53 dnat ip to 10.42.0.1:5353\n"), "{text}");
        assert!(!text.contains("hook output"));
        assert!(table(&read("10.96.0.10:53"), &at("10.42.0.1:53"), 7).unwrap().contains("hook output"));
        assert!(table(&read("9.9.9.9:53"), &at("10.42.0.1:53"), 0).is_err());
        assert!(table(&read("10.96.0.10:53"), &at("192.0.2.1:53"), 0).is_err());
        assert!(table(&read("10.96.0.10:53"), &at("[fd00::1]:53"), 0).is_err());
    }
}
