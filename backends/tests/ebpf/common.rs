//! What the tests of snapshots share: shapes of programs that the target can say, and who is who in a snapshot.

use egress_backends::ebpf::{Options, emit};
use egress_ir::{Decision, Flow, Inventory, Pod, Program, Verdict, Workload};
use egress_snapshot::{Snapshot, file, meta};
use egress_testkit::programs::{Presence, Shape};

/// What the target can say, and nothing less; every fourth program is of a host without a cluster.
pub(crate) fn shape(case: u64) -> Shape {
    let cluster = if case % 4 == 3 { Presence::Never } else { Presence::Always };
    Shape { cluster, hosts: false, gateways: 0, ..Shape::everything() }
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
    let id = snapshot.tables.decide(row, flow.destination.address, protocol, number, fragment);
    &snapshot.meta.outcomes[id as usize]
}

pub(crate) fn verdict(verdict: &Verdict) -> meta::Verdict {
    match verdict {
        Verdict::Inside => meta::Verdict::Inside,
        Verdict::Ungoverned => meta::Verdict::Ungoverned,
        Verdict::Allowed(None) => meta::Verdict::Allowed,
        Verdict::Denied => meta::Verdict::Denied,
        Verdict::Allowed(Some(_)) | Verdict::Conflict(_) => panic!("the target refuses gateways"),
    }
}

/// Asserts that a snapshot says of a flow exactly what the meaning says: verdict, rules, audit and log.
pub(crate) fn assert_same(
    program: &Program,
    found: &meta::Outcome,
    snapshot: &Snapshot,
    decision: &Decision,
    at: &str,
) {
    assert_eq!(found.verdict, verdict(&decision.verdict), "{at}");
    let mut names: Vec<&str> = decision.rules.iter().map(|rule| program.rule_name(*rule)).collect();
    let mut said: Vec<&str> =
        found.rules.iter().map(|rule| snapshot.meta.rules[*rule as usize].name.as_str()).collect();
    names.sort_unstable();
    said.sort_unstable();
    assert_eq!(names, said, "{at}");
    assert_eq!(found.audit, decision.audit.as_ref().map(verdict), "{at}");
    assert_eq!(found.log, decision.log, "{at}");
    assert!(!found.fragment, "{at}");
}
