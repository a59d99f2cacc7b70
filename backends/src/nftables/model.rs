//! What an nftables file says, as a tree: the part of nft's language that `decode` understands.
//!
//! In: nothing; `decode` makes these values and `judge` reads them. They follow nft(8) and the kernel's `nf_tables`,
//! not our emitter, so that a file edited by hand is judged for what it says.

use egress_ir::HostPattern;
use std::collections::{BTreeMap, BTreeSet};

/// The content of `table inet egressc`, and beside it that of the table for gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The table's comment.
    pub comment: Option<String>,
    /// Chains by name.
    pub chains: BTreeMap<String, Chain>,
    /// Verdict maps by name.
    pub maps: BTreeMap<String, VerdictMap>,
    /// Sets by name.
    pub sets: BTreeMap<String, Set>,
    /// Sets of what clients learned by names, by their own names.
    pub names: BTreeMap<String, NameSet>,
    /// Counter objects by name, with their comments.
    pub counters: BTreeMap<String, Option<String>>,
    /// The content of `table inet egressc_gateways`, where there is one; never with another inside.
    pub gateways: Option<Box<Ruleset>>,
}

impl Ruleset {
    /// The tables: this one, and that for gateways.
    pub fn tables(&self) -> impl Iterator<Item = &Self> {
        [self].into_iter().chain(self.gateways.as_deref())
    }

    /// The base chains of a hook in both tables with the tables and their names, in the order in which they run: by
    /// priority, then by name.
    #[must_use]
    pub fn base_chains(&self, hook: Hook) -> Vec<(&Self, &str, Base, &Chain)> {
        let mut bases = Vec::new();
        for table in self.tables() {
            let named =
                table.chains.iter().filter_map(|(name, chain)| Some((table, name.as_str(), chain.base?, chain)));
            bases.extend(named.filter(|(_, _, base, _)| base.hook == hook));
        }
        bases.sort_by_key(|(_, name, base, _)| (base.runs_at(), base.priority, *name));
        bases
    }
}

/// A chain: rules in order, and where the kernel enters it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The hook of a base chain; nothing for a chain that is only jumped to.
    pub base: Option<Base>,
    /// The rules in the order in which they are judged.
    pub rules: Vec<Rule>,
}

/// Where a base chain hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// What the chain is for.
    pub kind: Kind,
    /// The hook.
    pub hook: Hook,
    /// The priority; lower runs first.
    pub priority: i32,
    /// Whether a packet that falls off the end is dropped.
    pub drops_by_default: bool,
}

/// The kernel's priority of the translation of source addresses.
pub const TRANSLATION: i32 = 100;

impl Base {
    /// When the chain runs among all of its hook: chains of type `nat` run where the kernel translates, whatever their
    /// own priorities, which order them among each other.
    #[must_use]
    pub fn runs_at(&self) -> i32 {
        if self.kind == Kind::Nat { TRANSLATION } else { self.priority }
    }
}

/// The type of a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Decides only.
    Filter,
    /// Has packets that it marks routed once more, at output.
    Route,
    /// Decides on the addresses of a connection, by its first packet.
    Nat,
}

/// A netfilter hook that egress passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// Packets that arrive at the host, before routing.
    Prerouting,
    /// Packets that the host itself sends.
    Output,
    /// Packets that leave the host, after routing.
    Postrouting,
}

/// One rule: statements from left to right; a match that fails ends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The statements.
    pub statements: Vec<Statement>,
    /// The comment.
    pub comment: Option<String>,
}

/// One statement of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Go on with this rule only if the packet matches.
    Match(Match),
    /// `ip saddr . ip daddr @SET`: go on with this rule only if the packet's source has learned its destination by a name
    /// of this set's pattern.
    Named(String),
    /// Look the field up; a hit ends the rule with the element's verdict, a miss ends the rule.
    VerdictMap {
        /// What is looked up.
        field: Field,
        /// The bits of it that count.
        mask: u128,
        /// The map's name.
        map: String,
    },
    /// Count the packet; with a name, in that counter object.
    Counter(Option<String>),
    /// Only logs and counters may follow: a verdict never depends on a rate.
    Limit,
    /// Log the packet.
    Log(Log),
    /// `ct mark set ct mark & AND | OR`.
    SetMark {
        /// The bits that are kept.
        and: u32,
        /// The bits that are set afterwards.
        or: u32,
    },
    /// `meta mark set meta mark & AND | OR`.
    SetPacketMark {
        /// The bits that are kept.
        and: u32,
        /// The bits that are set afterwards.
        or: u32,
    },
    /// `ct label set N`: sets a bit of the connection's label.
    SetLabel(u8),
    /// `snat ip to …`: the connection leaves from this address. Ends the chain, once and for all for the connection.
    Snat {
        /// Whether it is for IPv6.
        v6: bool,
        /// The address; nothing for the source that the packet has.
        to: Option<u128>,
    },
    /// `meta priority set`
    SetPriority(u32),
    /// End the rule with a verdict.
    Verdict(Verdict),
}

/// A log statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The prefix of each line.
    pub prefix: String,
    /// The nflog group; nothing for the kernel's own log.
    pub group: Option<u16>,
}

/// What a rule or an element decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Leave this base chain; later hooks still judge.
    Accept,
    /// The packet is gone.
    Drop,
    /// Back to the rule after the last jump, or to the policy of the base chain.
    Return,
    /// On with the next rule.
    Continue,
    /// Enter a chain and come back.
    Jump(String),
    /// Enter a chain and do not come back here.
    Goto(String),
}

/// A comparison of one field of the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// What is compared.
    pub field: Field,
    /// `!=`: holds when the field is there and has none of the values.
    pub negated: bool,
    /// With what.
    pub values: Values,
}

/// The right side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// Sorted, disjoint, inclusive ranges.
    Ranges(Vec<(u128, u128)>),
    /// Any of these bits, for `ct state`, `ct status` and `ct label`.
    Bits(u128),
    /// Interface names; a final `*` stands for any ending.
    Names(BTreeSet<String>),
    /// A named set.
    Set(String),
}

/// A field of the packet or of its connection. A field that a packet lacks matches nothing, negated or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// `ip saddr`
    SourceV4,
    /// `ip daddr`
    DestinationV4,
    /// `ip6 saddr`
    SourceV6,
    /// `ip6 daddr`
    DestinationV6,
    /// `ip6 hoplimit`
    HopLimit,
    /// `meta nfproto`: 2 for IPv4, 10 for IPv6.
    Family,
    /// `meta l4proto`
    Protocol,
    /// `tcp dport`, `udp dport`, `sctp dport`, by protocol number.
    Port(u8),
    /// `icmp type` (1), `icmpv6 type` (58), by protocol number.
    IcmpType(u8),
    /// `icmp code`, `icmpv6 code`, by protocol number.
    IcmpCode(u8),
    /// `ct state`, as bits.
    State,
    /// `ct direction`: 0 original, 1 reply.
    Direction,
    /// `ct mark & MASK`
    Mark(u32),
    /// `meta mark & MASK`
    PacketMark(u32),
    /// `ct status`, as bits.
    Status,
    /// `ct label`, as bits.
    Label,
    /// `fib daddr type`, as in `rtnetlink`.
    DestinationType,
    /// `fib saddr type`, likewise.
    SourceType,
    /// `rt ip nexthop`: the router that the packet is sent to, or its destination.
    NextHopV4,
    /// `rt ip6 nexthop`
    NextHopV6,
    /// `meta priority`, as one number.
    Priority,
    /// `iifname`
    Input,
    /// `oifname`
    Output,
}

/// A map from a field to verdicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictMap {
    /// The field it is typed for.
    pub field: Field,
    /// `flags interval`: elements may be prefixes and ranges.
    pub interval: bool,
    /// Sorted and disjoint.
    pub elements: Vec<Element>,
}

/// One element of a verdict map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The first key.
    pub start: u128,
    /// The last key.
    pub end: u128,
    /// What a hit decides.
    pub verdict: Verdict,
}

/// A named set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// The field it is typed for.
    pub field: Field,
    /// `flags interval`: elements may be prefixes and ranges.
    pub interval: bool,
    /// Sorted and disjoint.
    pub elements: Vec<(u128, u128)>,
}

/// A set of pairs of a client and a destination that the client learned by a name of a pattern. Who learned what is no
/// part of a ruleset: elements come and go while it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameSet {
    /// The pattern, which the set's own name says.
    pub host: HostPattern,
    /// Whether it holds pairs of IPv6 addresses.
    pub v6: bool,
}
