//! Tries single packets on the ways that they can take out of the node, by [`Judge`].
//!
//! In: a judge, a packet that has passed, its mark. Out: through which gateway it leaves. Shares nothing with `leaving`,
//! which follows all ways at once: here each way is one that could be seen on a node.

use super::super::judge::{Judge, Packet, Translated, Way};
use super::super::model::{Hook, Ruleset, Statement};
use super::walk::unclear;
use egress_ir::address::from_bits;
use egress_ir::{GatewayId, Outcome, Program, Unclear};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The addresses that tell ways apart.
#[derive(Debug)]
pub(super) struct Replays {
    /// Whether the ruleset has a say in how packets leave.
    sees: bool,
    /// Whether it hands connections to other nodes.
    hands: bool,
    /// The gateways by address, and whether other nodes send to them.
    gateways: BTreeMap<IpAddr, BTreeSet<(GatewayId, bool)>>,
    /// Addresses that nobody has.
    strangers: [IpAddr; 2],
}

impl Replays {
    pub(super) fn new(ruleset: &Ruleset, program: &Program) -> Self {
        let mut gateways: BTreeMap<IpAddr, BTreeSet<(GatewayId, bool)>> = BTreeMap::new();
        for (id, gateway) in program.gateways.iter() {
            for one in &gateway.addresses {
                gateways.entry(one.address).or_default().insert((id, gateway.nodes.is_some()));
            }
        }
        let stranger = |v6: bool| {
            let documentation: u128 = if v6 { 0x3fff << 112 } else { 0xc612_0000 };
            let count = u128::try_from(gateways.len()).unwrap_or(u128::MAX);
            let free = (1..=count.saturating_add(1)).map(|number| from_bits(v6, documentation | number));
            free.into_iter().find(|address| !gateways.contains_key(address)).unwrap_or(from_bits(v6, documentation))
        };
        let strangers = [stranger(false), stranger(true)];
        let rules = ruleset.tables().flat_map(|table| table.chains.values()).flat_map(|chain| &chain.rules);
        let mut statements = rules.flat_map(|rule| &rule.statements);
        let hands = statements.any(|statement| matches!(statement, Statement::Snat { to: None, .. }));
        Self { hands, sees: !ruleset.base_chains(Hook::Postrouting).is_empty(), gateways, strangers }
    }

    /// What becomes of a packet that has passed with this mark.
    pub(super) fn outcome(&self, judge: &Judge<'_>, packet: &Packet, mark: u32) -> Result<Outcome, Unclear> {
        if !self.sees {
            return Ok(Outcome::Passes(None));
        }
        let trial = Trial { replays: self, judge, packet, mark };
        let everywhere: BTreeSet<IpAddr> = self.gateways.keys().copied().collect();
        match trial.leave(trial.stranger(), &everywhere, Translated::NotYet) {
            None => trial.is_dropped(),
            // A gateway's own address may send too.
            Some(source) if source == packet.source && trial.leaves_anyway() => trial.by_its_node(),
            Some(source) => match self.gateways.get(&source).map(|ids| ids.iter().copied().collect::<Vec<_>>()) {
                None => Ok(Outcome::Misrouted),
                Some(ids) => match ids.as_slice() {
                    [(id, is_elsewhere)] => trial.through(*id, *is_elsewhere, source),
                    _ => Err(unclear("two gateways of the program have the address that packets leave with")),
                },
            },
        }
    }
}

/// One packet on several ways.
struct Trial<'t> {
    replays: &'t Replays,
    judge: &'t Judge<'t>,
    packet: &'t Packet,
    mark: u32,
}

impl Trial<'_> {
    fn stranger(&self) -> IpAddr {
        let [v4, v6] = self.replays.strangers;
        if self.packet.destination.is_ipv6() { v6 } else { v4 }
    }

    fn leave(&self, next_hop: IpAddr, local: &BTreeSet<IpAddr>, translated: Translated) -> Option<IpAddr> {
        let way = Way { next_hop, local: local.clone(), translated, labels: 0, masquerade: None };
        self.judge.leave(self.packet, self.mark, &way)
    }

    /// The gateways' addresses of the packet's family.
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let v6 = self.packet.destination.is_ipv6();
        self.replays.gateways.keys().copied().filter(move |address| address.is_ipv6() == v6)
    }

    /// Whether it leaves though the node has no gateway's address.
    fn leaves_anyway(&self) -> bool {
        self.leave(self.stranger(), &BTreeSet::new(), Translated::NotYet).is_some()
    }

    fn is_dropped(&self) -> Result<Outcome, Unclear> {
        let nobody = BTreeSet::new();
        let mut away = self.addresses().map(|next| self.leave(next, &nobody, Translated::NotYet));
        if away.any(|left| left.is_some()) {
            return Err(unclear("a packet leaves only by some ways"));
        }
        Ok(Outcome::Dropped)
    }

    fn by_its_node(&self) -> Result<Outcome, Unclear> {
        let nobody = BTreeSet::new();
        let masquerade = Some(self.stranger());
        let way =
            Way { next_hop: self.stranger(), local: nobody, translated: Translated::NotYet, labels: 0, masquerade };
        let handed = Way { translated: Translated::Unchanged, labels: u128::MAX, masquerade: None, ..way.clone() };
        if self.replays.hands && self.judge.leave(self.packet, self.mark, &handed).is_some() {
            return Err(unclear("a connection that left to a gateway's holder goes on when it may not"));
        }
        match self.judge.leave(self.packet, self.mark, &way) {
            left if left == masquerade => Ok(Outcome::Passes(None)),
            _ => Err(unclear("a packet that no gateway is meant for leaves only by some ways")),
        }
    }

    fn through(&self, id: GatewayId, is_elsewhere: bool, address: IpAddr) -> Result<Outcome, Unclear> {
        let nobody = BTreeSet::new();
        let own = Some(self.packet.source);
        let here = BTreeSet::from([address]);
        let from_others = self.leave(self.stranger(), &here, Translated::To(self.stranger()));
        let without_it = self.leave(self.stranger(), &nobody, Translated::NotYet);
        if without_it.is_some() || from_others.is_some() {
            return Err(unclear("a packet for a gateway can leave with another address than the gateway's"));
        }
        let masquerade = Some(self.stranger());
        let among_others =
            Way { next_hop: self.stranger(), local: here, translated: Translated::NotYet, labels: 0, masquerade };
        if self.judge.leave(self.packet, self.mark, &among_others) != Some(address) {
            return Err(unclear("another table can give connections its own address before the gateway's is given"));
        }
        if is_elsewhere && self.leave(address, &nobody, Translated::NotYet) != own {
            return Err(unclear("packets for a gateway leave only by some of the ways that lead through it"));
        }
        Ok(Outcome::Passes(Some(id)))
    }
}
