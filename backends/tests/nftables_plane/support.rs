//! Asks a plane about single flows.

use egress_backends::nftables::{Packet, Ruleset, RulesetPlane};
use egress_ir::plane::{Entry, NamesId};
use egress_ir::{Flow, Outcome, Piece, Plane, Vocabulary, Workload};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A plane with the pieces that were asked for.
pub(crate) struct Asked<'r> {
    pub(crate) plane: RulesetPlane<'r>,
    pub(crate) vocabulary: Vocabulary,
    pieces: BTreeMap<usize, Vec<Piece>>,
}

impl<'r> Asked<'r> {
    pub(crate) fn new(plane: RulesetPlane<'r>) -> Self {
        let vocabulary = Vocabulary::new(&plane.hosts());
        Self { plane, vocabulary, pieces: BTreeMap::new() }
    }

    /// The senders that send such a flow.
    pub(crate) fn senders(&self, flow: &Flow) -> Vec<usize> {
        let v6 = flow.destination.address.is_ipv6();
        let senders = self.plane.senders().iter().enumerate();
        let sends = senders.filter(|(_, sender)| match &flow.workload {
            Workload::Address(address) => sender.addresses.contains(*address),
            Workload::Pod(pod) => sender.pods.contains(pod),
        });
        sends.filter(|(_, sender)| if v6 { sender.v6 } else { sender.v4 }).map(|(number, _)| number).collect()
    }

    /// The pieces of a sender; checked to lie side by side and to cover the line.
    pub(crate) fn pieces(&mut self, sender: usize) -> &[Piece] {
        let v6 = self.plane.senders()[sender].v6;
        self.pieces.entry(sender).or_insert_with(|| {
            let pieces = self.plane.pieces(sender, v6, &mut self.vocabulary).unwrap();
            let mut next = Some(0);
            for piece in &pieces {
                assert!(Some(piece.start) == next && piece.start <= piece.end, "{pieces:?}");
                next = piece.end.checked_add(1);
            }
            let last = if v6 { u128::MAX } else { u32::MAX.into() };
            assert_eq!(pieces.last().map(|piece| piece.end), Some(last));
            pieces
        })
    }

    /// Whether the plane does not say what it does with flows of a sender.
    pub(crate) fn is_unclear(&mut self, sender: usize) -> bool {
        let v6 = self.plane.senders()[sender].v6;
        !self.pieces.contains_key(&sender) && self.plane.pieces(sender, v6, &mut self.vocabulary).is_err()
    }

    /// What the first entry says that matches at the flow's destination.
    pub(crate) fn outcome(&mut self, sender: usize, flow: &Flow) -> Outcome {
        let at = bits(flow.destination.address);
        let piece = *self.pieces(sender).iter().find(|piece| piece.start <= at && at <= piece.end).unwrap();
        let list = self.vocabulary.list_at(piece.list);
        let holds = |names: NamesId| self.holds(names, &flow.destination.names);
        let matches = |entry: &&Entry| {
            entry.guard.name_sets().all(holds) && self.vocabulary.ports_at(entry.ports).contains(flow.port)
        };
        let entry = list.entries.iter().find(matches);
        entry.map_or(list.default, |entry| entry.outcome)
    }

    /// Whether some name is of one of these classes: it matches what the class's own name matches of the plane's patterns.
    fn holds(&self, names: NamesId, of: &BTreeSet<String>) -> bool {
        let hosts = self.plane.hosts();
        let matched = |name: &str| hosts.iter().map(|host| host.matches(name)).collect::<Vec<bool>>();
        let classes = self.vocabulary.name_set_at(names).iter();
        let mut classes = classes.map(|class| matched(&self.vocabulary.names()[*class as usize]));
        classes.any(|class| of.iter().any(|name| matched(name) == class))
    }

    /// Whether the plane says that it leaves the flow alone.
    pub(crate) fn is_exempt(&self, flow: &Flow) -> bool {
        let holds = |exemption: &egress_ir::Exemption| {
            exemption.addresses.contains(flow.destination.address) && exemption.ports.contains(flow.port)
        };
        self.plane.exemptions().iter().any(holds)
    }

    /// What the judge says of the flow at the sender's hook, without a look at where it leaves.
    pub(crate) fn judged(&self, ruleset: &Ruleset, sender: usize, source: IpAddr, flow: &Flow) -> bool {
        let (hook, _) = self.plane.place(sender).unwrap();
        let packet = Packet::new(hook, source, flow.destination.address, flow.port);
        ruleset.judge(&Packet { names: flow.destination.names.clone(), ..packet }).passes
    }
}

pub(crate) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}
