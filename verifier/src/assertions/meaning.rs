//! What an assertion says of one flow: slow and obvious, and the judge of every counterexample.
//!
//! In: an assertion and a flow. Out: whether it speaks about the flow, and what it wants to happen. Never looks at
//! rules.

use egress_ir::{AddressSet, Assertion, Claim, Flow, GatewayId, Outcome, Prefix, Program, Verdict};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

/// What must happen to every flow that an assertion speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Demand {
    /// It is stopped.
    Dropped,
    /// It passes.
    Passes,
    /// It leaves through this gateway, or is stopped.
    Through(GatewayId),
}

impl Demand {
    /// What a claim demands. An ungoverned flow passes, so it counts like an allowed one that leaves by its own node.
    #[must_use]
    pub fn of(claim: Claim) -> Self {
        match claim {
            Claim::CannotReach | Claim::OnlyCanReach | Claim::CanReachOnly => Self::Dropped,
            Claim::CanReach => Self::Passes,
            Claim::OnlyVia(gateway) => Self::Through(gateway),
        }
    }

    /// Whether this outcome is as demanded.
    #[must_use]
    pub fn accepts(self, outcome: Outcome) -> bool {
        match self {
            Self::Dropped => outcome == Outcome::Dropped,
            Self::Passes => outcome.passes(),
            Self::Through(gateway) => outcome == Outcome::Dropped || outcome == Outcome::Passes(Some(gateway)),
        }
    }

    /// The outcome that is wanted most.
    #[must_use]
    pub fn wanted(self) -> Outcome {
        match self {
            Self::Dropped => Outcome::Dropped,
            Self::Passes => Outcome::Passes(None),
            Self::Through(gateway) => Outcome::Passes(Some(gateway)),
        }
    }
}

/// Whether the assertion speaks about the flow: one of its sets, to the outside of the cluster.
///
/// `can reach` with a host speaks about the public addresses alone: which ones the name resolves to is not known, but a
/// policy that stops private ones does not cut it off.
#[must_use]
pub fn speaks_about(program: &Program, assertion: &Assertion, flow: &Flow) -> bool {
    let address = flow.destination.address;
    let destinations = program.destination_sets.at(assertion.destinations);
    let by_address = destinations.addresses.contains(address);
    let by_name = destinations.hosts.iter().any(|host| flow.destination.names.iter().any(|name| host.matches(name)));
    let sender = program.workload_sets.at(assertion.workloads).contains(&flow.workload);
    let on = program.port_sets.at(assertion.ports).contains(flow.port);
    let reaches = (by_address || by_name) && on;
    let outside = !program.cluster.contains(address) && flow.is_well_formed();
    outside
        && match assertion.claim {
            Claim::CannotReach | Claim::OnlyVia(_) => sender && reaches,
            Claim::CanReach => sender && on && (by_address || by_name && !not_public().contains(address)),
            Claim::OnlyCanReach => !sender && reaches,
            Claim::CanReachOnly => sender && !reaches,
        }
}

/// What the evaluator's verdict means for the packet.
#[must_use]
pub fn outcome(verdict: &Verdict) -> Outcome {
    match verdict {
        Verdict::Inside | Verdict::Ungoverned => Outcome::Passes(None),
        Verdict::Allowed(gateway) => Outcome::Passes(*gateway),
        Verdict::Conflict(_) | Verdict::Denied => Outcome::Dropped,
    }
}

/// Addresses that no name of the outside should resolve to: what the language calls private, and those that are never
/// one host of another network (RFC 6890: this network, loopback, mapped, multicast, reserved). Ranges for examples in
/// documents count as public.
#[must_use]
pub fn not_public() -> &'static AddressSet {
    static SET: OnceLock<AddressSet> = OnceLock::new();
    SET.get_or_init(|| {
        let v4 = |first, length| Prefix::containing(Ipv4Addr::new(first, 0, 0, 0).into(), length);
        let v6 = |address: Ipv6Addr, length| Prefix::containing(address.into(), length);
        AddressSet::private().union(&AddressSet::from_prefixes([
            v4(0, 8),
            v4(127, 8),
            v4(224, 3),
            v6(Ipv6Addr::UNSPECIFIED, 127),
            v6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
            v6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
        ]))
    })
}
