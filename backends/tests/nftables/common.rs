//! What the nftables tests share: shapes of programs that the target can say, and flows as packets.

use egress_backends::nftables::{Hook, Options, Packet, emit};
use egress_backends::{Artifact, EmitError};
use egress_ir::{Action, DestinationSet, Flow, Inventory, Program, Workload, protocol};
use egress_testkit::programs::{Presence, Shape, random_program};
use egress_testkit::seed::Rng;

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
    let mut program = random_program(rng, &shape(setting));
    without_denied_names(&mut program);
    program
}

/// Takes the names from denies, which the target refuses.
fn without_denied_names(program: &mut Program) {
    let ids: Vec<_> = program.rules.iter().filter(|(_, rule)| rule.action == Action::Deny).map(|(id, _)| id).collect();
    for id in ids {
        let named = program.destination_sets.at(program.rules.at(id).destinations);
        let unnamed = DestinationSet { addresses: named.addresses.clone(), ..DestinationSet::default() };
        let destinations = program.intern_destinations(unnamed);
        program.rules.get_mut(id).unwrap().destinations = destinations;
    }
}

/// The file for a program; nothing where three names together would decide, which the target refuses.
pub(crate) fn emitted(program: &Program, known: Option<&Inventory>, options: &Options) -> Option<Artifact> {
    match emit(program, known, options) {
        Ok(artifact) => Some(artifact),
        Err(errors) => {
            let intricate = |error: &EmitError| error.message.contains("together");
            assert!(errors.iter().all(intricate), "{errors:?}");
            None
        }
    }
}

/// What the target can say, and nothing less.
fn shape(setting: Setting) -> Shape {
    Shape {
        cluster: if setting.has_cluster { Presence::Always } else { Presence::Never },
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
    let names = flow.destination.names.clone();
    Some(Packet { names, ..Packet::new(Hook::Prerouting, source, destination, flow.port) })
}

/// Whether a packet is accepted as the machinery of the link, whatever the policy says.
pub(crate) fn is_neighbour_discovery(packet: &Packet) -> bool {
    let kind = packet.port.number() >> 8;
    packet.port.protocol() == protocol::ICMPV6 && (133..=136).contains(&kind)
}
