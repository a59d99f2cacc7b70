//! How many packets reach the outside, by destination: those that the policy of the table of hooks allows, and denies.

use crate::scene::Scene;
use std::net::IpAddr;

/// The policy of the table of hooks. The deny is spelled out, so that its packets have a counter of their own.
pub(crate) const POLICY: &str = "policy all {\n  for all\n  allow 20.0.0.0/24, 2001:db8:20::/64\n  \
                                 deny 20.0.1.0/24, 2001:db8:21::/64\n}\n";

/// Packets that arrived outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrivals {
    pub(crate) allowed: u64,
    pub(crate) denied: u64,
}

/// Counts from now on, before fragments are put together and before anything else.
pub(crate) fn count(scene: &Scene) {
    let rules = "table inet arrivals {\n counter allowed { }\n counter denied { }\n\
                 chain pre { type filter hook prerouting priority -450; policy accept;\n\
                 ip daddr 20.0.0.0/24 counter name allowed\n ip6 daddr 2001:db8:20::/64 counter name allowed\n\
                 ip daddr 20.0.1.0/24 counter name denied\n ip6 daddr 2001:db8:21::/64 counter name denied\n }\n}\n";
    scene.lab.outside().nft(rules).unwrap();
}

pub(crate) fn arrivals(scene: &Scene) -> Arrivals {
    let listed = scene.lab.outside().nft_read(&["list", "counters", "table", "inet", "arrivals"]).unwrap();
    let mut words = listed.split_whitespace();
    let mut of = |name: &str| {
        assert!(words.any(|word| word == name) && words.any(|word| word == "packets"), "{listed}");
        words.next().unwrap().parse().unwrap()
    };
    Arrivals { allowed: of("allowed"), denied: of("denied") }
}

/// An address that the policy allows or denies.
pub(crate) fn destination(v6: bool, allowed: bool) -> IpAddr {
    let text = match (v6, allowed) {
        (false, true) => "20.0.0.9",
        (false, false) => "20.0.1.9",
        (true, true) => "2001:db8:20::9",
        (true, false) => "2001:db8:21::9",
    };
    text.parse().unwrap()
}
