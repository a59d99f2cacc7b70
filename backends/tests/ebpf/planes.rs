//! Snapshots as planes: pieces, replay and meaning agree, and what is attached as somebody else is refused.

use crate::common::{identity, shape, with_addresses};
use egress_backends::ebpf::{Decoded, Options, SnapshotPlane, decode, emit, plane};
use egress_ir::address::{from_bits, to_bits};
use egress_ir::plane::ListId;
use egress_ir::{
    Flow, HostPattern, Inventory, Outcome, Piece, Plane, Program, Unclear, Verdict, Vocabulary, Workload, eval,
};
use egress_snapshot::meta::Attachment;
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::programs::{random_inventory, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use std::collections::{BTreeMap, BTreeSet};

fn decoded(program: &Program, inventory: Option<&Inventory>) -> Decoded {
    let artifact = emit(program, inventory, &Options::default()).unwrap_or_else(|errors| panic!("{errors:?}"));
    decode(&artifact.bytes).unwrap()
}

#[test]
fn pieces_and_replay_say_what_the_meaning_says() {
    let (seed, cases) = (seed(), cases(200));
    let (mut flows, mut addresses, mut gateways, mut named) = (0, 0, 0, 0);
    for case in 0..cases {
        let mut rng = Rng::new(seed ^ 0x9e9e, case);
        let program = with_addresses(random_program(&mut rng, &shape(case)));
        let inventory = random_inventory(&mut rng, &program);
        let known = (!case.is_multiple_of(3)).then_some(&inventory);
        let decoded = decoded(&program, known);
        let plane = plane(&decoded, &program, known).unwrap();
        let mut vocabulary = Vocabulary::new(&plane.hosts());
        let pieces = all_pieces(&plane, &mut vocabulary);
        for (number, sender) in plane.senders().iter().enumerate() {
            for _ in 0..8 {
                let mut flow = biased_flow(&mut rng, &program, Sources::Anyone);
                flow.workload = sender.workload.clone();
                if let Some(address) = sender.addresses.ranges().nth(rng.below(3)) {
                    flow.workload = Workload::Address(if rng.chance(50) { address.0 } else { address.1 });
                    addresses += 1;
                }
                let v6 = flow.destination.address.is_ipv6();
                if !flow.is_well_formed() || !sender.sends(v6) {
                    continue;
                }
                let expected = meant(&program, &flow);
                let mut unnamed = flow.clone();
                unnamed.destination.names.clear();
                named += u64::from(meant(&program, &unnamed) != expected);
                gateways += u64::from(matches!(expected, Outcome::Passes(Some(_))));
                let replayed = plane.replay(number, &flow).unwrap();
                assert_eq!(replayed, expected, "seed {seed} case {case}: {flow}");
                let list = at(&pieces[&(number, v6)], &flow);
                assert_eq!(
                    said((&vocabulary, &plane.hosts()), list, &flow),
                    expected,
                    "seed {seed} case {case}: {flow}"
                );
                flows += 1;
            }
        }
    }
    println!("{flows} flows, {addresses} of them of addresses, {gateways} through gateways, {named} decided by a name");
    assert!(named > cases / 4, "{named} by a name");
    assert!(flows as u64 >= cases * 10 && addresses as u64 > cases && gateways > cases);
}

/// What the meaning says of a flow.
fn meant(program: &Program, flow: &Flow) -> Outcome {
    match eval(program, flow).verdict {
        Verdict::Allowed(gateway) => Outcome::Passes(gateway),
        Verdict::Inside | Verdict::Ungoverned => Outcome::Passes(None),
        Verdict::Denied | Verdict::Conflict(_) => Outcome::Dropped,
    }
}

fn all_pieces(plane: &SnapshotPlane<'_>, vocabulary: &mut Vocabulary) -> BTreeMap<(usize, bool), Vec<Piece>> {
    let mut all = BTreeMap::new();
    for (number, sender) in plane.senders().iter().enumerate() {
        for v6 in [false, true].into_iter().filter(|v6| sender.sends(*v6)) {
            let pieces = plane.pieces(number, v6, vocabulary).unwrap();
            assert_eq!(pieces.first().unwrap().start, 0);
            assert_eq!(pieces.last().unwrap().end, egress_ir::address::last_bits(v6));
            for pair in pieces.windows(2) {
                assert_eq!(pair[0].end + 1, pair[1].start);
                assert_ne!(pair[0].list, pair[1].list, "neighbours that are alike are not joined");
            }
            all.insert((number, v6), pieces);
        }
    }
    all
}

fn at(pieces: &[Piece], flow: &Flow) -> ListId {
    let bits = to_bits(flow.destination.address);
    pieces[pieces.partition_point(|piece| piece.end < bits)].list
}

fn said((vocabulary, hosts): (&Vocabulary, &BTreeSet<HostPattern>), list: ListId, flow: &Flow) -> Outcome {
    let list = vocabulary.list_at(list);
    // The classes of names that the flow's names are of, by the place of a name that the same patterns match.
    let hosts: Vec<HostPattern> = hosts.iter().cloned().collect();
    let of = |name: &str| hosts.iter().map(|host| host.matches(name)).collect::<Vec<bool>>();
    let known: Vec<Vec<bool>> = vocabulary.names().iter().map(|name| of(name)).collect();
    let names: Vec<Vec<bool>> = flow.destination.names.iter().map(|name| of(name)).collect();
    let is_named = |set| {
        let classes = vocabulary.name_set_at(set).iter();
        classes.map(|class| &known[*class as usize]).any(|class| names.contains(class))
    };
    let matching = list
        .entries
        .iter()
        .find(|entry| vocabulary.ports_at(entry.ports).contains(flow.port) && entry.guard.name_sets().all(is_named));
    matching.map_or(list.default, |entry| entry.outcome)
}

/// Each program with its inventory, its snapshot, and some pod of it with an address.
fn some_snapshot() -> (Program, Inventory, Decoded) {
    for case in 0..500 {
        let mut rng = Rng::new(seed(), case);
        let program = with_addresses(random_program(&mut rng, &shape(0)));
        let inventory = random_inventory(&mut rng, &program);
        let decoded = decoded(&program, Some(&inventory));
        let rows: std::collections::BTreeSet<u32> = decoded.meta.pods.iter().map(|pod| pod.row).collect();
        if rows.len() >= 2 {
            return (program, inventory, decoded);
        }
    }
    panic!("no program has pods of two kinds");
}

#[test]
fn what_is_attached_as_somebody_else_is_refused() {
    let (program, inventory, mut decoded) = some_snapshot();
    let pods = decoded.meta.pods.clone();
    let other = pods.iter().find(|pod| pod.row != pods[0].row).unwrap();
    let attachment = |row: Option<u32>, identity| Attachment { point: "iface veth7".into(), identity, row };
    let right = attachment(Some(pods[0].row), Some(pods[0].identity.clone()));
    decoded.meta.attachments = vec![right, attachment(None, None)];
    assert!(plane(&decoded, &program, Some(&inventory)).is_ok());
    let wrong = [
        attachment(Some(other.row), Some(pods[0].identity.clone())),
        attachment(None, Some(pods[0].identity.clone())),
        attachment(Some(pods[0].row), None),
    ];
    for wrong in wrong {
        decoded.meta.attachments = vec![wrong];
        let Unclear { reason } = plane(&decoded, &program, Some(&inventory)).map(|_| ()).unwrap_err();
        assert!(reason.contains("`iface veth7`"), "{reason}");
    }
}

#[test]
fn a_pod_whose_address_leads_elsewhere_is_a_sender_of_its_own() {
    let (program, mut inventory, decoded) = some_snapshot();
    let before = plane(&decoded, &program, Some(&inventory)).unwrap().senders().len();
    let pods = decoded.meta.pods.clone();
    let place = |row: bool| {
        let wanted = |pod: &&egress_ir::RunningPod| {
            let known = pods.iter().find(|listed| listed.identity == identity(&pod.identity));
            !pod.host_network && known.is_some_and(|listed| (listed.row == pods[0].row) == row)
        };
        inventory.pods.iter().position(|pod| wanted(&pod)).unwrap()
    };
    let (one, other) = (place(true), place(false));
    let moved = inventory.pods[one].addresses.clone();
    inventory.pods[one].addresses = std::mem::replace(&mut inventory.pods[other].addresses, moved);
    let plane = plane(&decoded, &program, Some(&inventory)).unwrap();
    assert!(plane.senders().len() > before, "the two pods that changed places are no senders of their own");
    let (name, address) = (&inventory.pods[one].identity, inventory.pods[one].addresses[0]);
    let found = (0..plane.senders().len())
        .find(|number| {
            plane.senders()[*number].workload == Workload::Pod(name.clone())
                && plane.row(*number) == Some(decoded.tables.source(address))
        })
        .unwrap();
    assert_eq!(plane.senders()[found].v6, address.is_ipv6());
}

#[test]
fn unlisted_addresses_of_pods_are_no_senders_unless_they_pass() {
    let (program, inventory, mut decoded) = some_snapshot();
    let pods = program.cluster.pods.of_family(false);
    let free = pods.ranges().iter().flat_map(|(start, end)| (*start..=*end).take(4000));
    let free = free
        .map(|bits| from_bits(false, bits))
        .find(|address| decoded.meta.pods.iter().all(|pod| pod.address != *address));
    let free = free.unwrap();
    let sends = |decoded: &Decoded| {
        let plane = plane(decoded, &program, Some(&inventory)).unwrap();
        plane.senders().iter().any(|sender| sender.addresses.contains(free))
    };
    assert!(!sends(&decoded));
    decoded.meta.unknown = egress_snapshot::meta::Unknown::Pass;
    assert!(sends(&decoded));
}
