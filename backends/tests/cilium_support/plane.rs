//! What the pieces of a plane say about one flow.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use egress_backends::cilium::Model;
use egress_backends::cilium::labels::{Label, pod_identity};
use egress_backends::cilium::model::Subject;
use egress_backends::cilium::plane::{ModelPlane, plane};
use egress_ir::plane::{Guard, ListId};
use egress_ir::{Flow, HostPattern, Inventory, Outcome, Piece, Plane, Pod, Program, Unclear, Vocabulary, Workload};

/// A plane with its pieces, which are asked for once for each sender and family.
pub(crate) struct Pieces<'m> {
    model: &'m Model,
    program: &'m Program,
    pub(crate) plane: ModelPlane<'m>,
    hosts: Vec<HostPattern>,
    pub(crate) vocabulary: Vocabulary,
    /// Sender by what can be asked of it.
    senders: BTreeMap<Vec<bool>, usize>,
    known: BTreeMap<(usize, bool), Result<Vec<Piece>, Unclear>>,
}

impl<'m> Pieces<'m> {
    pub(crate) fn new(model: &'m Model, program: &'m Program, inventory: Option<&Inventory>) -> Result<Self, Unclear> {
        let plane = plane(model, program, inventory)?;
        let all = program.destination_sets.values().flat_map(|set| set.hosts.iter().cloned());
        let hosts: BTreeSet<HostPattern> = plane.hosts().into_iter().chain(all).collect();
        let vocabulary = Vocabulary::new(&hosts);
        let hosts = hosts.into_iter().collect();
        let mut pieces =
            Self { model, program, plane, hosts, vocabulary, senders: BTreeMap::new(), known: BTreeMap::new() };
        for (place, sender) in pieces.plane.senders().to_vec().iter().enumerate() {
            let Workload::Pod(pod) = &sender.workload else { panic!("a sender that is no pod") };
            let asked = pieces.asked(pod);
            assert_eq!(pieces.senders.insert(asked, place), None, "two senders are alike");
        }
        Ok(pieces)
    }

    /// Everything that source and artifact can ask about a pod, by their own ways to ask it.
    fn asked(&self, pod: &Pod) -> Vec<bool> {
        let workload = Workload::Pod(pod.clone());
        let program = self.program;
        let blocks = program.blocks.values().map(|block| program.workloads_of(block).contains(&workload));
        let identity: Vec<Label> =
            pod_identity("default", &pod.namespace, &pod.namespace_labels, &pod.labels, &pod.service_account);
        let specs = self.model.policies.iter().flat_map(|policy| &policy.specs);
        let specs = specs.filter(|spec| !(spec.allows.is_empty() && spec.denies.is_empty()));
        let specs = specs.filter_map(|spec| match &spec.subject {
            Subject::Pods(selector) => Some(selector.matches(&identity)),
            Subject::Nodes => None,
        });
        let gateways = self.model.gateways.iter().map(|policy| policy.selects(&identity));
        blocks.chain(specs).chain(gateways).collect()
    }

    /// The sender of a pod: there must be one.
    pub(crate) fn sender(&self, pod: &Pod) -> usize {
        let asked = self.asked(pod);
        *self.senders.get(&asked).unwrap_or_else(|| panic!("no sender is like {pod:?}"))
    }

    /// What the pieces say.
    pub(crate) fn decide(&mut self, flow: &Flow) -> Result<Outcome, Unclear> {
        let Workload::Pod(pod) = &flow.workload else { panic!("a flow of an address") };
        let (sender, v6) = (self.sender(pod), flow.destination.address.is_ipv6());
        let pieces = self.pieces(sender, v6)?;
        let at = match flow.destination.address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let piece = pieces[pieces.partition_point(|piece| piece.end < at)];
        assert!(piece.start <= at && at <= piece.end, "{flow}");
        Ok(self.first(piece.list, flow))
    }

    /// The pieces of one sender; they cover the line once.
    pub(crate) fn pieces(&mut self, sender: usize, v6: bool) -> Result<Vec<Piece>, Unclear> {
        if let Some(known) = self.known.get(&(sender, v6)) {
            return known.clone();
        }
        let pieces = self.plane.pieces(sender, v6, &mut self.vocabulary);
        if let Ok(pieces) = &pieces {
            let last = if v6 { u128::MAX } else { u128::from(u32::MAX) };
            assert_eq!((pieces[0].start, pieces[pieces.len() - 1].end), (0, last));
            assert!(pieces.windows(2).all(|two| two[0].end + 1 == two[1].start), "a gap or an overlap");
        }
        self.known.insert((sender, v6), pieces.clone());
        pieces
    }

    fn first(&self, list: ListId, flow: &Flow) -> Outcome {
        let list = self.vocabulary.list_at(list);
        let names = &flow.destination.names;
        let matched = |name: &str| self.hosts.iter().map(|host| host.matches(name)).collect::<Vec<bool>>();
        let classes = self.vocabulary.names().iter().map(|name| matched(name)).collect::<Vec<_>>();
        let of_name = |name: &String| classes.iter().position(|class| *class == matched(name));
        let own: BTreeSet<usize> = names.iter().filter_map(of_name).collect();
        let has = |set| self.vocabulary.name_set_at(set).iter().any(|&class| own.contains(&(class as usize)));
        let guarded = |guard: Guard| match guard {
            Guard::Always => true,
            Guard::Named(set) => has(set),
            Guard::Both(one, other) => has(one) && has(other),
        };
        let matching = list
            .entries
            .iter()
            .find(|entry| guarded(entry.guard) && self.vocabulary.ports_at(entry.ports).contains(flow.port));
        matching.map_or(list.default, |entry| entry.outcome)
    }
}
