//! What a random program may contain.

use std::ops::RangeInclusive;

/// Whether a part of a program is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// In every program.
    Always,
    /// In some programs.
    Sometimes,
    /// In none.
    Never,
}

/// Switches for what a target cannot express; start from [`Shape::everything`] and take away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many policies and guardrails.
    pub blocks: RangeInclusive<u64>,
    /// How many rules each of them holds; a guardrail always holds one at least.
    pub rules: RangeInclusive<u64>,
    /// Whether the program declares a cluster; without one nothing is inside.
    pub cluster: Presence,
    /// IPv6 ranges, in the cluster and in destinations.
    pub v6: bool,
    /// Guardrails, which forbid without governing.
    pub guardrails: bool,
    /// Blocks in audit mode.
    pub audit: bool,
    /// Rules that ask for a log record.
    pub log: bool,
    /// Host patterns in destinations.
    pub hosts: bool,
    /// Denies of host names, which some targets cannot say.
    pub host_denies: bool,
    /// How many gateways at most. With 1 no conflict is possible; with 0 no rule has a `via`.
    pub gateways: u8,
    /// Gateways with an address of each family that the program has; otherwise some have one of IPv4 only.
    pub dual_gateways: bool,
    /// `via` on rules of any kind; otherwise only on rules for every port of addresses without names.
    pub fine_gateways: bool,
    /// Workload sets of pods, by labels, namespace and service account.
    pub pods: bool,
    /// Workload sets of addresses.
    pub addresses: bool,
    /// The workload set of everybody.
    pub all: bool,
    /// Workload sets that are a difference.
    pub excepts: bool,
    /// ICMP and ICMPv6 types; otherwise only the whole protocols.
    pub icmp_types: bool,
    /// ICMP type 0 (echo reply) by itself.
    pub icmp_type_zero: bool,
    /// Single codes of ICMP types, which the language cannot say but a program can.
    pub icmp_codes: bool,
    /// The whole of ICMP and ICMPv6 as one.
    pub whole_icmp: bool,
    /// IP protocols besides TCP, UDP, SCTP, ICMP and ICMPv6 by themselves, which the language cannot say.
    pub other_protocols: bool,
    /// Destination, port and workload sets without members.
    pub empty_sets: bool,
}

impl Shape {
    /// Everything that a program can hold.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            blocks: 1..=8,
            rules: 0..=6,
            cluster: Presence::Sometimes,
            v6: true,
            guardrails: true,
            audit: true,
            log: true,
            hosts: true,
            host_denies: true,
            gateways: 3,
            dual_gateways: false,
            fine_gateways: true,
            pods: true,
            addresses: true,
            all: true,
            excepts: true,
            icmp_types: true,
            icmp_type_zero: true,
            icmp_codes: true,
            whole_icmp: true,
            other_protocols: true,
            empty_sets: true,
        }
    }

    /// Everything that the language can say in a unit without errors (dead rules and conflicts apart).
    #[must_use]
    pub fn language() -> Self {
        Self { icmp_codes: false, other_protocols: false, empty_sets: false, ..Self::everything() }
    }
}
