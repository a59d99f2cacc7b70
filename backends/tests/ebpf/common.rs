//! What the tests of snapshots share: shapes of programs that the target can say, and who is who in a snapshot.

use egress_backends::ebpf::{Options, emit};
use egress_ir::{Decision, Flow, GatewayAddress, GatewayId, HostPattern, Inventory, Pod, Program, Verdict, Workload};
use egress_snapshot::{Snapshot, file, meta};
use egress_testkit::programs::{Presence, Shape};
use std::collections::BTreeSet;

/// What the target can say, and nothing less; every fourth program is of a host without a cluster, and half of them have
/// names.
pub(crate) fn shape(case: u64) -> Shape {
    let cluster = if case % 4 == 3 { Presence::Never } else { Presence::Always };
    Shape { cluster, hosts: case % 2 == 1, host_denies: false, ..Shape::everything() }
}

/// Gives every gateway an address of both families, so that no flow is refused.
pub(crate) fn with_addresses(mut program: Program) -> Program {
    let ids: Vec<GatewayId> = program.gateways.ids().collect();
    for (id, last) in ids.into_iter().zip(1..) {
        let gateway = program.gateways.get_mut(id).unwrap();
        if !gateway.addresses.iter().any(|one| one.address.is_ipv6()) {
            let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, last).into();
            gateway.addresses.push(GatewayAddress { address, managed: false });
        }
    }
    program
}

/// The snapshot of a program, read back.
pub(crate) fn snapshot(program: &Program, inventory: Option<&Inventory>, options: &Options) -> Snapshot {
    let artifact = emit(program, inventory, options).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(artifact.file_name, "egress.egb");
    file::read(&artifact.bytes).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn identity(pod: &Pod) -> meta::Identity {
    meta::Identity {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        namespace_labels: pod.namespace_labels.clone(),
        labels: pod.labels.clone(),
        service_account: pod.service_account.clone(),
    }
}

/// The row of a workload: a pod's by its identity, an address's by the tree of sources.
pub(crate) fn row(snapshot: &Snapshot, workload: &Workload) -> u32 {
    match workload {
        Workload::Pod(pod) => {
            let row = snapshot.meta.row_of(&identity(pod));
            row.unwrap_or_else(|| panic!("{workload} is in no combination"))
        }
        Workload::Address(address) => snapshot.tables.source(*address),
    }
}

/// The outcome of a flow in the tables.
pub(crate) fn outcome<'s>(snapshot: &'s Snapshot, flow: &Flow, fragment: bool) -> &'s meta::Outcome {
    let row = row(snapshot, &flow.workload);
    let (protocol, number) = (flow.port.protocol(), flow.port.number());
    let of = (row, flow.destination.address, protocol, number, fragment);
    let id = snapshot.tables.decide_named(of, |set| is_of(snapshot, set, &flow.destination.names));
    &snapshot.meta.outcomes[id as usize]
}

/// Whether some name is of the set that the tables know by an id.
fn is_of(snapshot: &Snapshot, id: u64, names: &BTreeSet<String>) -> bool {
    let sets = 0..u32::try_from(snapshot.meta.name_sets.len()).unwrap();
    let set = sets.into_iter().find(|set| snapshot.meta.id_of(*set) == Some(id)).unwrap();
    let hosts = snapshot.meta.hosts_of(set).unwrap().into_iter();
    let hosts: Vec<HostPattern> = hosts.map(|host| host.parse().unwrap()).collect();
    names.iter().any(|name| hosts.iter().any(|host| host.matches(name)))
}

/// A verdict as a snapshot has it.
pub(crate) fn verdict(program: &Program, snapshot: &Snapshot, verdict: &Verdict) -> meta::Verdict {
    match verdict {
        Verdict::Inside => meta::Verdict::Inside,
        Verdict::Ungoverned => meta::Verdict::Ungoverned,
        Verdict::Allowed(None) => meta::Verdict::Allowed,
        Verdict::Denied => meta::Verdict::Denied,
        Verdict::Allowed(Some(gateway)) => {
            let name = &program.gateways.at(*gateway).name;
            let found = snapshot.meta.gateways.iter().find(|known| known.name == *name);
            meta::Verdict::Via(found.unwrap_or_else(|| panic!("the snapshot does not know `{name}`")).number)
        }
        Verdict::Conflict(_) => meta::Verdict::Conflict,
    }
}

/// Asserts that a snapshot says of a flow exactly what the meaning says: verdict, audit and log, and rules where no rule is
/// about names: those are told apart only as far as they do different things.
pub(crate) fn assert_same(
    program: &Program,
    found: &meta::Outcome,
    snapshot: &Snapshot,
    decision: &Decision,
    at: &str,
) {
    let said_of = |of: &Verdict| verdict(program, snapshot, of);
    assert_eq!(found.verdict, said_of(&decision.verdict), "{at}");
    let mut names: Vec<&str> = decision.rules.iter().map(|rule| program.rule_name(*rule)).collect();
    let mut said: Vec<&str> =
        found.rules.iter().map(|rule| snapshot.meta.rules[*rule as usize].name.as_str()).collect();
    names.sort_unstable();
    said.sort_unstable();
    match snapshot.meta.names {
        None => assert_eq!(names, said, "{at}"),
        Some(_) => assert!(names.is_empty() == said.is_empty(), "{at}: {names:?} {said:?}"),
    }
    // Conflicts between other gateways are still conflicts.
    let audit = decision.audit.as_ref().map(said_of).filter(|audit| *audit != found.verdict);
    assert_eq!(found.audit, audit, "{at}");
    assert_eq!(found.log, decision.log, "{at}");
    assert!(!found.fragment, "{at}");
}
