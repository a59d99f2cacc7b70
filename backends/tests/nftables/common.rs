//! What the nftables tests share: shapes of programs that the target can say, and flows as packets.

use egress_backends::nftables::judge::{Translated, Way};
use egress_backends::nftables::{Hook, Packet};
use egress_ir::{Flow, Inventory, Program, Verdict, Workload, protocol};
use egress_testkit::programs::{Presence, Shape, random_program};
use egress_testkit::seed::Rng;
use std::net::IpAddr;

/// How one case is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Pods and their addresses are known.
    pub(crate) has_inventory: bool,
    /// A cluster is declared.
    pub(crate) has_cluster: bool,
    /// Flows are accepted by a policy epoch once they were allowed.
    pub(crate) epoch: bool,
}

/// Every combination in turn.
pub(crate) fn settings(case: u64) -> Setting {
    Setting { has_inventory: !case.is_multiple_of(4), has_cluster: case % 8 < 6, epoch: case.is_multiple_of(3) }
}

/// A program that the target can say.
pub(crate) fn program_of(rng: &mut Rng, setting: Setting) -> Program {
    random_program(rng, &shape(setting))
}

/// The first address of a gateway in the family of another address.
pub(crate) fn address_of(program: &Program, gateway: egress_ir::GatewayId, like: IpAddr) -> IpAddr {
    let addresses = program.gateways.at(gateway).addresses.iter().map(|one| one.address);
    addresses.into_iter().find(|address| address.is_ipv4() == like.is_ipv4()).unwrap()
}

/// The source address with which a flow's packet must leave a node that has every gateway's address.
pub(crate) fn expected_source(program: &Program, verdict: &Verdict, packet: &Packet) -> IpAddr {
    match verdict {
        Verdict::Allowed(Some(gateway)) => address_of(program, *gateway, packet.destination),
        _ => packet.source,
    }
}

/// The way of a first packet out of a node that has every gateway's address.
pub(crate) fn way_out(program: &Program, packet: &Packet) -> Way {
    let local = program.gateways.values().flat_map(|gateway| gateway.addresses.iter().map(|one| one.address));
    let next_hop = if packet.source.is_ipv4() { "198.18.0.1" } else { "3fff::1" }.parse().unwrap();
    Way { next_hop, local: local.collect(), translated: Translated::NotYet, labels: 0, masquerade: None }
}

/// What the target can say, and nothing less.
fn shape(setting: Setting) -> Shape {
    Shape {
        cluster: if setting.has_cluster { Presence::Always } else { Presence::Never },
        hosts: false,
        dual_gateways: true,
        pods: setting.has_inventory,
        ..Shape::everything()
    }
}

/// The first packet of a flow; nothing for a pod without an address of the flow's family.
pub(crate) fn packet_of(flow: &Flow, inventory: &Inventory) -> Option<Packet> {
    let destination = flow.destination.address;
    let source = match &flow.workload {
        Workload::Address(address) => *address,
        Workload::Pod(identity) => {
            let pod = inventory.pods.iter().find(|pod| pod.identity == *identity)?;
            *pod.addresses.iter().find(|address| address.is_ipv4() == destination.is_ipv4())?
        }
    };
    Some(Packet::new(Hook::Prerouting, source, destination, flow.port))
}

/// Whether a packet is accepted as the machinery of the link, whatever the policy says.
pub(crate) fn is_neighbour_discovery(packet: &Packet) -> bool {
    let kind = packet.port.number() >> 8;
    packet.port.protocol() == protocol::ICMPV6 && (133..=136).contains(&kind)
}
