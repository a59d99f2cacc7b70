//! Judges a packet by a decoded ruleset, as the kernel would.
//!
//! In: a [`Ruleset`] and a [`Packet`]. Out: a [`Judgement`], and by [`Judge::leave`] the source address with which it
//! leaves. Follows `nft_do_chain`: base chains of a hook by priority, rules in order, jump and goto with return to the
//! last jump, `accept` for this base chain only.

mod leaving;

pub use leaving::{Translated, Way};

use super::model::{Base, Chain, Element, Field, Hook, Log, Match, Rule, Ruleset, Set, Statement, Values, Verdict};
use egress_ir::{Port, protocol};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A packet and what the kernel knows about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where it is judged.
    pub hook: Hook,
    /// The interface it came in by; empty at output.
    pub input: String,
    /// The interface it leaves by; empty at prerouting, where it is not known yet.
    pub output: String,
    /// Its source address.
    pub source: IpAddr,
    /// Its destination address, after any DNAT.
    pub destination: IpAddr,
    /// The names by which its source learned the destination, in normal form.
    pub names: BTreeSet<String>,
    /// Whether the destination is an address of the host itself.
    pub destination_is_local: bool,
    /// Protocol and destination port, or ICMP type and code.
    pub port: Port,
    /// The IPv6 hop limit.
    pub hop_limit: u8,
    /// The connection's state.
    pub state: State,
    /// Whether it runs against the connection's first packet.
    pub is_reply: bool,
    /// The connection's mark.
    pub mark: u32,
    /// The packet's own mark when it comes.
    pub packet_mark: u32,
}

/// The state of a packet's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Belongs to no valid connection.
    Invalid,
    /// Belongs to a connection that was seen in both directions.
    Established,
    /// Starts a connection that another one announced, or an ICMP error about one.
    Related,
    /// Starts a connection.
    New,
    /// Exempt from tracking.
    Untracked,
}

impl State {
    fn bit(self) -> u128 {
        match self {
            Self::Invalid => 1,
            Self::Established => 2,
            Self::Related => 4,
            Self::New => 8,
            Self::Untracked => 64,
        }
    }
}

impl Packet {
    /// The first packet of a new connection, forwarded by way of interface `eth0` or sent by the host through it.
    #[must_use]
    pub fn new(hook: Hook, source: IpAddr, destination: IpAddr, port: Port) -> Self {
        let interface = |at: Hook| if at == hook { "eth0".to_owned() } else { String::new() };
        Self {
            hook,
            input: interface(Hook::Prerouting),
            output: interface(Hook::Output),
            source,
            destination,
            names: BTreeSet::new(),
            destination_is_local: false,
            port,
            hop_limit: 64,
            state: State::New,
            is_reply: false,
            mark: 0,
            packet_mark: 0,
        }
    }
}

/// What a ruleset does with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether the packet goes on.
    pub passes: bool,
    /// The counter objects that counted it, in order.
    pub counters: Vec<String>,
    /// The logs that are due; in the kernel they are limited in rate.
    pub logs: Vec<Log>,
    /// The connection's mark afterwards.
    pub mark: u32,
    /// The packet's own mark afterwards.
    pub packet_mark: u32,
}

impl Ruleset {
    /// Judges one packet. For many of them, [`Judge`] is quicker.
    #[must_use]
    pub fn judge(&self, packet: &Packet) -> Judgement {
        Judge::new(self).judge(packet)
    }
}

/// Judges packets by one ruleset, whose base chains are found once.
#[derive(Clone, Debug)]
pub struct Judge<'r> {
    /// Base chains with the tables that they are in.
    bases: Vec<(&'r Ruleset, Base, &'r Chain)>,
}

impl<'r> Judge<'r> {
    /// Finds the base chains.
    #[must_use]
    pub fn new(ruleset: &'r Ruleset) -> Self {
        let hooks = [Hook::Prerouting, Hook::Output, Hook::Postrouting].into_iter();
        let all = hooks.flat_map(|hook| ruleset.base_chains(hook));
        Self { bases: all.map(|(table, _, base, chain)| (table, base, chain)).collect() }
    }

    /// Judges one packet.
    #[must_use]
    pub fn judge(&self, packet: &Packet) -> Judgement {
        let mut run = Run::new(packet);
        for (table, base, chain) in self.bases.iter().filter(|(_, base, _)| base.hook == packet.hook) {
            run.ruleset = Some(table);
            run.judgement.passes = run.base_chain(chain).unwrap_or(!base.drops_by_default);
            if !run.judgement.passes {
                break;
            }
        }
        run.judgement
    }
}

impl Judgement {
    fn passing(packet: &Packet) -> Self {
        let (mark, packet_mark) = (packet.mark, packet.packet_mark);
        Self { passes: true, counters: Vec::new(), logs: Vec::new(), mark, packet_mark }
    }
}

/// A packet on its way.
struct Run<'r> {
    /// The table of the present base chain.
    ruleset: Option<&'r Ruleset>,
    packet: &'r Packet,
    judgement: Judgement,
    /// What `meta priority` holds; 0 when the packet comes.
    priority: u32,
    /// Its source address now.
    source: IpAddr,
    /// Where it is going, once that is known.
    way: Option<&'r Way>,
    /// Whether its connection's source address is decided.
    decided: bool,
    /// The bits of its connection's label.
    labels: u128,
}

impl<'r> Run<'r> {
    fn new(packet: &'r Packet) -> Self {
        let judgement = Judgement::passing(packet);
        Self {
            ruleset: None,
            packet,
            judgement,
            priority: 0,
            source: packet.source,
            way: None,
            decided: false,
            labels: 0,
        }
    }

    /// Whether the chain accepts; nothing when the packet falls off its end.
    fn base_chain(&mut self, chain: &'r Chain) -> Option<bool> {
        let mut stack: Vec<std::slice::Iter<'r, Rule>> = Vec::new();
        let mut rules = chain.rules.iter();
        loop {
            let Some(rule) = rules.next() else {
                rules = stack.pop()?;
                continue;
            };
            match self.rule(rule) {
                Verdict::Accept => return Some(true),
                Verdict::Drop => return Some(false),
                Verdict::Continue => {}
                Verdict::Return => rules = stack.pop()?,
                Verdict::Jump(name) => stack.push(std::mem::replace(&mut rules, self.enter(&name))),
                Verdict::Goto(name) => rules = self.enter(&name),
            }
        }
    }

    /// INVARIANT: `decode` checked that every chain named by a verdict exists and that none leads back to itself.
    fn enter(&self, name: &str) -> std::slice::Iter<'r, Rule> {
        let chain = self.ruleset.and_then(|ruleset| ruleset.chains.get(name));
        chain.map_or([].iter(), |chain| chain.rules.iter())
    }

    fn rule(&mut self, rule: &Rule) -> Verdict {
        for statement in &rule.statements {
            match statement {
                Statement::Match(matching) if self.matches(matching) => {}
                Statement::Named(set) if self.is_named(set) => {}
                Statement::Match(_) | Statement::Named(_) => return Verdict::Continue,
                Statement::VerdictMap { field, mask, map } => return self.look_up(*field, *mask, map),
                Statement::Counter(name) => self.judgement.counters.extend(name.clone()),
                Statement::Limit => {}
                Statement::Log(log) => self.judgement.logs.push(log.clone()),
                // Reading the old mark of a packet without a connection ends the rule.
                Statement::SetMark { and, .. } if *and != 0 && !self.tracked() => return Verdict::Continue,
                Statement::SetMark { and, or } if self.tracked() => {
                    self.judgement.mark = self.judgement.mark & and | or
                }
                Statement::SetMark { .. } => {}
                Statement::SetPacketMark { and, or } => {
                    self.judgement.packet_mark = self.judgement.packet_mark & and | or;
                }
                Statement::SetLabel(bit) if self.tracked() => {
                    self.labels |= 1_u128.checked_shl((*bit).into()).unwrap_or(0)
                }
                Statement::SetLabel(_) => {}
                Statement::Snat { v6, to } => {
                    self.translate(*v6, *to);
                    return Verdict::Accept;
                }
                Statement::SetPriority(priority) => self.priority = *priority,
                Statement::Verdict(verdict) => return verdict.clone(),
            }
        }
        Verdict::Continue
    }

    fn look_up(&self, field: Field, mask: u128, map: &str) -> Verdict {
        let elements = self.ruleset.and_then(|ruleset| ruleset.maps.get(map)).map_or(&[][..], |map| &map.elements);
        let found = self.field(field).and_then(|value| find(elements, value & mask));
        found.map_or(Verdict::Continue, |element| element.verdict.clone())
    }

    fn matches(&self, matching: &Match) -> bool {
        let held = match &matching.values {
            Values::Ranges(ranges) => self.field(matching.field).map(|value| is_in(ranges, value)),
            Values::Bits(bits) => self.field(matching.field).map(|value| value & bits != 0),
            Values::Set(name) => {
                self.field(matching.field).map(|value| self.set(name).is_some_and(|set| is_in(&set.elements, value)))
            }
            Values::Names(names) => self.interface(matching.field).map(|interface| {
                names.iter().any(|name| match name.strip_suffix('*') {
                    Some(start) => interface.starts_with(start),
                    None => interface == name,
                })
            }),
        };
        held.is_some_and(|held| held != matching.negated)
    }

    /// Whether the packet's source has learned its destination by a name of the set's pattern. What a set holds is kept by
    /// the source that packets come with.
    fn is_named(&self, set: &str) -> bool {
        let set = self.ruleset.and_then(|ruleset| ruleset.names.get(set));
        let packet = self.packet;
        set.is_some_and(|set| {
            set.v6 == packet.destination.is_ipv6()
                && self.source == packet.source
                && packet.names.iter().any(|name| set.host.matches(name))
        })
    }

    fn set(&self, name: &str) -> Option<&'r Set> {
        self.ruleset.and_then(|ruleset| ruleset.sets.get(name))
    }

    fn interface(&self, field: Field) -> Option<&str> {
        match field {
            Field::Input => Some(&self.packet.input),
            Field::Output => Some(&self.packet.output),
            _ => None,
        }
    }

    /// The number in a field; nothing when the packet has no such field.
    fn field(&self, field: Field) -> Option<u128> {
        let packet = self.packet;
        let of = |protocol: u8| packet.port.protocol() == protocol;
        let icmp_family = |protocol: u8| (protocol == protocol::ICMP) == packet.destination.is_ipv4();
        match field {
            Field::SourceV4 => v4(self.source),
            Field::DestinationV4 => v4(packet.destination),
            Field::SourceV6 => v6(self.source),
            Field::DestinationV6 => v6(packet.destination),
            Field::HopLimit => packet.destination.is_ipv6().then_some(packet.hop_limit.into()),
            Field::Family => Some(if packet.destination.is_ipv4() { 2 } else { 10 }),
            Field::Protocol => Some(packet.port.protocol().into()),
            Field::Port(protocol) => of(protocol).then(|| packet.port.number().into()),
            Field::IcmpType(p) => (of(p) && icmp_family(p)).then(|| u128::from(packet.port.number() >> 8)),
            Field::IcmpCode(p) => (of(p) && icmp_family(p)).then(|| u128::from(packet.port.number() & 0xff)),
            Field::State => Some(packet.state.bit()),
            // An untracked or invalid packet has no connection, so no direction and no mark.
            Field::Direction => self.tracked().then_some(packet.is_reply.into()),
            Field::Mark(mask) => self.tracked().then_some((self.judgement.mark & mask).into()),
            Field::PacketMark(mask) => Some((self.judgement.packet_mark & mask).into()),
            Field::Status => self.tracked().then(|| self.status()),
            Field::Label => self.tracked().then_some(self.labels),
            Field::NextHopV4 => v4(self.way?.next_hop),
            Field::NextHopV6 => v6(self.way?.next_hop),
            Field::SourceType => Some(if self.way.is_some_and(|way| way.local.contains(&self.source)) { 2 } else { 1 }),
            Field::DestinationType => Some(destination_type(packet)),
            Field::Priority => Some(self.priority.into()),
            Field::Input | Field::Output => None,
        }
    }

    fn tracked(&self) -> bool {
        !matches!(self.packet.state, State::Untracked | State::Invalid)
    }
}

/// As `rtnetlink` numbers route types: unicast, local, broadcast, multicast.
fn destination_type(packet: &Packet) -> u128 {
    match packet.destination {
        _ if packet.destination_is_local => 2,
        IpAddr::V4(address) if address.is_broadcast() => 3,
        address if address.is_multicast() => 5,
        _ => 1,
    }
}

fn v4(address: IpAddr) -> Option<u128> {
    match address {
        IpAddr::V4(address) => Some(address.to_bits().into()),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: IpAddr) -> Option<u128> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address.to_bits()),
    }
}

fn is_in(ranges: &[(u128, u128)], value: u128) -> bool {
    let after = ranges.partition_point(|range| range.0 <= value);
    after.checked_sub(1).and_then(|index| ranges.get(index)).is_some_and(|range| value <= range.1)
}

fn find(elements: &[Element], value: u128) -> Option<&Element> {
    let after = elements.partition_point(|element| element.start <= value);
    after.checked_sub(1).and_then(|index| elements.get(index)).filter(|element| value <= element.end)
}
