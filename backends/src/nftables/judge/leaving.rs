//! With which source address a packet leaves.
//!
//! In: a packet with the mark that judging gave it, and the [`Way`] it takes. Out: the address, or nothing where it is
//! dropped. Translation happens where the kernel does it: all chains of type `nat` at one place, the first one that
//! decides wins, and a connection that is decided meets none of them again.

use super::super::model::{Base, Hook, Kind, TRANSLATION};
use super::{Judge, Packet, Run};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Where a packet goes once it is routed, and what the node knows then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The router that gets it, or its destination on the link.
    pub next_hop: IpAddr,
    /// Addresses of the node itself.
    pub local: BTreeSet<IpAddr>,
    /// What became of its connection's source address so far.
    pub translated: Translated,
    /// The bits of its connection's label.
    pub labels: u128,
    /// The address that some other table gives connections at the usual priority; nothing where none does.
    pub masquerade: Option<IpAddr>,
}

/// What was decided about a connection's source address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translated {
    /// Nothing: this is its first packet.
    NotYet,
    /// That it stays.
    Unchanged,
    /// That it is this one.
    To(IpAddr),
}

impl Judge<'_> {
    /// The source address with which a packet leaves that has passed with this mark; nothing where it does not.
    #[must_use]
    pub fn leave(&self, packet: &Packet, packet_mark: u32, way: &Way) -> Option<IpAddr> {
        let mut run = Run::new(packet);
        run.judgement.packet_mark = packet_mark;
        run.way = Some(way);
        run.labels = way.labels;
        run.decided = way.translated != Translated::NotYet;
        let leaving = || self.bases.iter().filter(|(_, base, _)| base.hook == Hook::Postrouting);
        let is_early = |base: &Base| base.kind != Kind::Nat && base.runs_at() < TRANSLATION;
        let passes = run.through(leaving().filter(|(_, base, _)| is_early(base)))
            && run.through(leaving().filter(|(_, base, _)| base.kind == Kind::Nat && base.priority < TRANSLATION));
        if !passes {
            return None;
        }
        match (way.translated, way.masquerade) {
            (Translated::To(address), _) => run.source = address,
            (Translated::NotYet, Some(address)) if !run.decided => {
                run.source = address;
                run.decided = true;
            }
            _ => {}
        }
        let passes = run
            .through(leaving().filter(|(_, base, _)| base.kind == Kind::Nat && base.priority >= TRANSLATION))
            && run.through(leaving().filter(|(_, base, _)| base.kind != Kind::Nat && !is_early(base)));
        passes.then_some(run.source)
    }
}

impl<'r> Run<'r> {
    /// Whether every one of these base chains lets the packet go on.
    fn through<'c>(&mut self, bases: impl Iterator<Item = &'c (&'r super::Ruleset, Base, &'r super::Chain)>) -> bool
    where
        'r: 'c,
    {
        for (table, base, chain) in bases {
            if base.kind == Kind::Nat && self.decided {
                continue;
            }
            self.ruleset = Some(table);
            if !self.base_chain(chain).unwrap_or(!base.drops_by_default) {
                return false;
            }
        }
        true
    }

    /// Decides the source address; nothing happens to packets of the other family.
    pub(super) fn translate(&mut self, v6: bool, to: Option<u128>) {
        if self.source.is_ipv6() == v6 {
            self.decided = true;
            self.source = to.map_or(self.source, |bits| egress_ir::address::from_bits(v6, bits));
        }
    }

    /// The bits of `ct status` that are known here: whether the source address is another one.
    pub(super) fn status(&self) -> u128 {
        let bound = match self.way.map(|way| way.translated) {
            Some(Translated::To(address)) => address != self.packet.source,
            _ => false,
        };
        if bound || self.source != self.packet.source { 16 } else { 0 }
    }
}
