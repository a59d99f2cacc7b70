//! With which source address packets leave, for all ways that they can take at once.
//!
//! In: the chains at postrouting of a [`Ruleset`], a sender's address, what is known of the packet's mark. Out: which
//! gateway the flow leaves through, if any. A packet is followed through the chains with everything open that the node
//! decides: whoever its next hop is, whatever became of the source address of its connection before (it is the first
//! packet, or a later one of a connection that was left alone or translated to any address), whether another table
//! masquerades it, and which addresses the node has. Each question about these parts what is open.
//!
//! A gateway is named only where a packet leaves from its address while the node has it, or untouched with that address
//! as next hop, and in no other way at all. What is assumed is that such a next hop is the gateway's holder, and that
//! routes lead there or out: routes are no part of a ruleset.

use super::super::model::{Base, Chain, Hook, Kind, Rule, Ruleset, Statement, TRANSLATION};
use super::follow::Follow;
use super::regions::PacketMark;
use super::walk::unclear;
use egress_ir::address::{last_bits, to_bits};
use egress_ir::{GatewayId, Outcome, Program, RangeSet, Unclear};

/// The chains of a ruleset at postrouting, and the gateways whose addresses they may give out.
#[derive(Debug)]
pub(super) struct Leaving<'r> {
    bases: Vec<(&'r Ruleset, Base, &'r Chain)>,
    gateways: Vec<Gateway>,
}

/// An address of a declared gateway.
#[derive(Clone, Copy, Debug)]
struct Gateway {
    v6: bool,
    address: u128,
    id: GatewayId,
    /// Whether other nodes than the holder send to it.
    is_elsewhere: bool,
}

/// A packet that may be on its way, and all ways that are still open to it.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) kind: Connection,
    /// Its next hop is one of these.
    pub(super) next_hop: RangeSet<u128>,
    pub(super) source: Source,
    /// Whether its source address is another one than it came with, as `ct status snat` says.
    pub(super) is_translated: bool,
    /// Whether its connection's source address is decided.
    pub(super) is_decided: bool,
    /// Whether other tables could decide about its source address before these chains did.
    pub(super) is_exposed: bool,
    /// The bits of its connection's label that these chains can have set.
    pub(super) labels: u128,
    /// Whether its source address is one of the node's, once that was asked.
    pub(super) is_local: Option<bool>,
}

/// Which packet of its connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// The first.
    First,
    /// A later one of a connection whose source address was left alone.
    Untouched,
    /// The same of one that was left alone because it was on its way to a gateway's holder.
    Handed,
    /// A later one of a connection with the same address whose port was changed, which is rare.
    Port,
    /// A later one of a connection that got an address before.
    Translated,
}

/// A source address.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// The sender's own.
    Own(u128),
    /// One that these chains gave.
    Given(u128),
    /// One of these, whoever gave it.
    Foreign(RangeSet<u128>),
}

impl<'r> Leaving<'r> {
    pub(super) fn new(ruleset: &'r Ruleset, program: &Program) -> Self {
        let bases = ruleset.base_chains(Hook::Postrouting);
        let bases = bases.into_iter().map(|(table, _, base, chain)| (table, base, chain)).collect();
        let addresses = program.gateways.iter().flat_map(|(id, gateway)| {
            gateway.addresses.iter().map(move |one| Gateway {
                v6: one.address.is_ipv6(),
                address: to_bits(one.address),
                id,
                is_elsewhere: gateway.nodes.is_some(),
            })
        });
        Self { bases, gateways: addresses.collect() }
    }

    /// What becomes of packets that have passed with such a mark.
    pub(super) fn outcome(&self, v6: bool, source: u128, mark: PacketMark) -> Result<Outcome, Unclear> {
        if self.bases.is_empty() {
            return Ok(Outcome::Passes(None));
        }
        let packets = self.leave(v6, source, mark)?;
        let line = RangeSet::range(0, last_bits(v6));
        let found = Found { packets: &packets, source, line };
        match found.given().as_slice() {
            [] if packets.is_empty() => Ok(Outcome::Dropped),
            [] => found.by_its_node(&self.given_out(v6)),
            [address] => match self.gateways_at(v6, *address).as_slice() {
                [] => Ok(Outcome::Misrouted),
                [gateway] => found.through(gateway),
                _ => Err(unclear("two gateways of the program have the address that packets leave with")),
            },
            _ => Err(unclear("packets of one connection leave with several addresses")),
        }
    }

    /// The addresses that the rules give out.
    fn given_out(&self, v6: bool) -> RangeSet<u128> {
        let tables = self.bases.iter().map(|(table, ..)| *table);
        let rules = tables.flat_map(|table| table.chains.values()).flat_map(|chain| &chain.rules);
        let given = rules.flat_map(|rule| &rule.statements).filter_map(|statement| match statement {
            Statement::Snat { v6: of, to: Some(to) } if *of == v6 => Some((*to, *to)),
            _ => None,
        });
        RangeSet::from_ranges(given)
    }

    /// What every rule sets in the label of connections that it hands to a gateway's holder; nothing where none does.
    fn handed(&self) -> Option<u128> {
        let tables = self.bases.iter().map(|(table, ..)| *table);
        let rules = tables.flat_map(|table| table.chains.values()).flat_map(|chain| &chain.rules);
        let handing =
            rules.filter(|rule| rule.statements.iter().any(|one| matches!(one, Statement::Snat { to: None, .. })));
        let labels = |rule: &Rule| {
            rule.statements.iter().fold(0, |labels, statement| match statement {
                Statement::SetLabel(bit) => labels | 1_u128.checked_shl((*bit).into()).unwrap_or(0),
                _ => labels,
            })
        };
        handing.map(labels).reduce(|all, labels| all & labels)
    }

    /// The gateways that have an address.
    fn gateways_at(&self, v6: bool, address: u128) -> Vec<Gateway> {
        let mut found: Vec<Gateway> =
            self.gateways.iter().copied().filter(|one| one.v6 == v6 && one.address == address).collect();
        found.dedup_by_key(|gateway| gateway.id);
        found
    }

    /// All packets that leave.
    fn leave(&self, v6: bool, source: u128, mark: PacketMark) -> Result<Vec<Packet>, Unclear> {
        let line = RangeSet::range(0, last_bits(v6));
        let follow = Follow { v6, mark };
        let mut packets = starts(source, &line, self.handed());
        let is_early = |base: &Base| base.runs_at() < TRANSLATION;
        let is_first = |base: &Base| base.kind == Kind::Nat && base.priority < TRANSLATION;
        if self.bases.iter().any(|(_, base, _)| base.kind != Kind::Nat && base.runs_at() == TRANSLATION) {
            return Err(unclear("a chain runs at the very priority of translation, so before or after it"));
        }
        // Filters before translation see the source that a packet came with.
        for (table, base, chain) in self.bases.iter().filter(|(_, base, _)| is_early(base)) {
            packets = follow.untranslated(table, base, chain, packets, source)?;
        }
        for (table, base, chain) in self.bases.iter().filter(|(_, base, _)| is_first(base)) {
            packets = follow.base(table, base, chain, packets)?;
        }
        packets = packets.into_iter().flat_map(|packet| masqueraded(packet, &line)).collect();
        for (table, base, chain) in self.bases.iter().filter(|(_, base, _)| !is_early(base) && !is_first(base)) {
            packets = follow.base(table, base, chain, packets)?;
        }
        Ok(packets)
    }
}

/// The packets of a sender as they come to postrouting.
fn starts(source: u128, line: &RangeSet<u128>, handed: Option<u128>) -> Vec<Packet> {
    let packet = |kind, source: Source, is_translated| Packet {
        kind,
        next_hop: line.clone(),
        source,
        is_translated,
        is_decided: kind != Connection::First,
        is_exposed: false,
        labels: 0,
        is_local: None,
    };
    let mut all = vec![
        packet(Connection::First, Source::Own(source), false),
        packet(Connection::Untouched, Source::Own(source), false),
        packet(Connection::Port, Source::Own(source), true),
        packet(Connection::Translated, Source::Foreign(line.clone()), true),
    ];
    if let Some(labels) = handed {
        all.push(Packet { labels, ..packet(Connection::Handed, Source::Own(source), false) });
        all.push(Packet { labels, ..packet(Connection::Handed, Source::Own(source), true) });
    }
    all
}

/// A packet that nothing has decided about as it is, and as any other table may have translated it.
fn masqueraded(packet: Packet, line: &RangeSet<u128>) -> Vec<Packet> {
    if packet.is_decided {
        return vec![packet];
    }
    let source = Source::Foreign(line.clone());
    let other = Packet { source, is_translated: true, is_decided: true, is_local: None, ..packet.clone() };
    vec![Packet { is_exposed: true, ..packet }, other]
}

/// The packets that leave.
struct Found<'p> {
    packets: &'p [Packet],
    source: u128,
    line: RangeSet<u128>,
}

impl Found<'_> {
    /// The addresses that first packets are given.
    fn given(&self) -> Vec<u128> {
        let first = self.packets.iter().filter(|packet| packet.kind == Connection::First);
        let mut given: Vec<u128> = first
            .filter_map(|packet| if let Source::Given(address) = packet.source { Some(address) } else { None })
            .collect();
        given.sort_unstable();
        given.dedup();
        given
    }

    /// Flows that leave as nobody here has decided: every first packet and every later one must, and none with an
    /// address that is another flow's.
    fn by_its_node(&self, given_out: &RangeSet<u128>) -> Result<Outcome, Unclear> {
        let keeps =
            |packet: &Packet| matches!(&packet.source, Source::Foreign(set) if !set.intersection(given_out).is_empty());
        if self.packets.iter().any(keeps) {
            return Err(unclear("a connection that left through a gateway keeps its address when it may not"));
        }
        if self.packets.iter().any(|packet| packet.kind == Connection::Handed) {
            return Err(unclear("a connection that left to a gateway's holder goes on when it may not"));
        }
        let others = self.line.difference(given_out);
        let own = |kind| self.all_leave(kind, |source| matches!(source, Source::Own(_)).then(|| self.line.clone()));
        let foreign = |kind| {
            let of = |source: &Source| if let Source::Foreign(set) = source { Some(set.clone()) } else { None };
            self.covers(kind, of, &others)
        };
        let all = own(Connection::First) && own(Connection::Untouched) && foreign(Connection::Translated);
        if all && foreign(Connection::First) {
            Ok(Outcome::Passes(None))
        } else {
            Err(unclear("a packet that no gateway is meant for leaves only by some ways"))
        }
    }

    /// Whether packets of a kind leave by all next hops, whatever addresses the node has.
    fn all_leave(&self, kind: Connection, of: impl Fn(&Source) -> Option<RangeSet<u128>>) -> bool {
        [true, false].into_iter().all(|local| {
            let fit = self.packets.iter().filter(|packet| {
                packet.kind == kind && packet.is_local.is_none_or(|is| is == local) && of(&packet.source).is_some()
            });
            let hops = fit.fold(RangeSet::empty(), |all, packet| all.union(&packet.next_hop));
            self.line.is_subset(&hops)
        })
    }

    /// Whether packets of a kind leave with each of these addresses, without a question about the way.
    fn covers(
        &self,
        kind: Connection,
        of: impl Fn(&Source) -> Option<RangeSet<u128>>,
        wanted: &RangeSet<u128>,
    ) -> bool {
        let free = self
            .packets
            .iter()
            .filter(|packet| packet.kind == kind && packet.is_local.is_none() && self.line.is_subset(&packet.next_hop));
        let sources = free.filter_map(|packet| of(&packet.source));
        wanted.is_subset(&sources.fold(RangeSet::empty(), |all, set| all.union(&set)))
    }

    /// Flows through a gateway: nothing leaves but from its address or to its holder, and both do.
    fn through(&self, gateway: &Gateway) -> Result<Outcome, Unclear> {
        let address = RangeSet::range(gateway.address, gateway.address);
        let from_it = |packet: &Packet| {
            packet.is_local == Some(true)
                && match &packet.source {
                    Source::Own(own) | Source::Given(own) => *own == gateway.address,
                    Source::Foreign(set) => *set == address,
                }
        };
        let to_it = |packet: &Packet| {
            let is_own = packet.source == Source::Own(self.source) && !packet.is_translated;
            gateway.is_elsewhere && is_own && packet.next_hop.is_subset(&address)
        };
        if !self.packets.iter().all(|packet| from_it(packet) || to_it(packet)) {
            return Err(unclear("a packet for a gateway can leave with another address than the gateway's"));
        }
        // What another table may translate first leaves only where there is none.
        if self.packets.iter().any(|packet| packet.kind == Connection::First && packet.is_exposed) {
            return Err(unclear("another table can give connections its own address before the gateway's is given"));
        }
        let beyond = self.line.difference(&address);
        let here = |kind| self.hops(kind, from_it, &beyond);
        let leaves_to_it = |packet: &Packet| to_it(packet) && packet.is_local != Some(true);
        let away = |kind| !gateway.is_elsewhere || self.hops(kind, leaves_to_it, &address);
        let all = here(Connection::First) && here(Connection::Translated);
        if all && away(Connection::First) && away(Connection::Handed) {
            Ok(Outcome::Passes(Some(gateway.id)))
        } else {
            Err(unclear("packets for a gateway leave only by some of the ways that lead through it"))
        }
    }

    /// Whether such packets of a kind leave by each of these next hops.
    fn hops(&self, kind: Connection, fits: impl Fn(&Packet) -> bool, wanted: &RangeSet<u128>) -> bool {
        let fit = self.packets.iter().filter(|packet| packet.kind == kind && fits(packet));
        wanted.is_subset(&fit.fold(RangeSet::empty(), |all, packet| all.union(&packet.next_hop)))
    }
}
