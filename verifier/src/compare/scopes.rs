//! Which ports are compared where: those that a packet of the family can have, without those that are exempt.
//!
//! In: what planes say nothing of. Out: a cut of the addresses, with the ports that are compared on each piece.

use egress_ir::address::last_bits;
use egress_ir::plane::PortsId;
use egress_ir::{Exemption, PortSet, RangeSet, Vocabulary};
use std::collections::BTreeSet;

/// The addresses of a family: where each piece begins and the ports that are compared there, from the first address on.
pub(super) fn scopes(exemptions: &[Exemption], v6: bool, vocabulary: &mut Vocabulary) -> Vec<(u128, PortsId)> {
    let exempt: Vec<(RangeSet<u128>, &PortSet)> =
        exemptions.iter().map(|exempt| (exempt.addresses.of_family(v6), &exempt.ports)).collect();
    let borders = exempt.iter().flat_map(|(addresses, _)| addresses.ranges());
    let borders = borders.flat_map(|&(first, last)| [Some(first), last.checked_add(1)]).flatten();
    let starts: BTreeSet<u128> = borders.chain([0]).filter(|start| *start <= last_bits(v6)).collect();
    let scope = |start: u128| {
        let here = exempt.iter().filter(|(addresses, _)| addresses.contains(start));
        let ports = here.fold(PortSet::possible(v6).clone(), |ports, (_, exempt)| ports.difference(exempt));
        (start, vocabulary.ports(&ports))
    };
    starts.into_iter().map(scope).collect()
}
