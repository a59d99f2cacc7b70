//! Random programs that Cilium can say, and the pods and flows to try them with.

use std::collections::BTreeSet;

use egress_backends::cilium::{Model, Options, decode, emit};
use egress_ir::{
    Action, AddressSet, DestinationSet, NamespaceSelector, Operator, PodSelector, PortSet, Prefix, Program,
    Requirement, Selector, WorkloadSet, protocol,
};
use egress_testkit::programs::{Presence, Shape, random_program};
use egress_testkit::seed::Rng;

/// What Cilium can say, as far as a shape can tell.
pub(crate) fn shape() -> Shape {
    Shape {
        cluster: Presence::Always,
        gateways: 0,
        addresses: false,
        icmp_type_zero: false,
        icmp_codes: false,
        whole_icmp: false,
        other_protocols: false,
        ..Shape::everything()
    }
}

/// A random program with a resolver and without names in denies.
pub(crate) fn program(rng: &mut Rng) -> Program {
    adapted(random_program(rng, &shape()))
}

/// A program with a resolver and without what Cilium cannot say in rules.
pub(crate) fn adapted(mut program: Program) -> Program {
    let one =
        |key: &str, value: &str| Requirement { key: key.to_owned(), operator: Operator::In([value.to_owned()].into()) };
    let dns = PodSelector {
        labels: Selector(vec![one("k8s-app", "kube-dns")]),
        namespace: NamespaceSelector::Named("kube-system".to_owned()),
        service_account: None,
    };
    program.cluster.dns = Some(program.intern_workloads(WorkloadSet::Pods(dns)));
    for id in program.rules.ids().collect::<Vec<_>>() {
        let rule = *program.rules.at(id);
        let set = program.destination_sets.at(rule.destinations);
        let hosts = if rule.action == Action::Deny { BTreeSet::new() } else { set.hosts.clone() };
        let addresses = without_mapped_borders(&set.addresses);
        let ports = sayable(program.port_sets.at(rule.ports), !hosts.is_empty());
        let destinations = program.intern_destinations(DestinationSet { addresses, hosts });
        let ports = program.intern_ports(ports);
        let changed = program.rules.get_mut(id).expect("a rule of the program");
        (changed.destinations, changed.ports) = (destinations, ports);
    }
    program
}

/// The set with all IPv4-mapped addresses or none: its borders among them are refused.
fn without_mapped_borders(set: &AddressSet) -> AddressSet {
    let mapped = AddressSet::from_prefixes([Prefix::containing("::ffff:0:0".parse().expect("an address"), 96)]);
    let beside = ["::fffe:ffff:ffff", "::1:0:0:0"].map(|text| text.parse().expect("an address"));
    if beside.into_iter().all(|address| set.contains(address)) { set.union(&mapped) } else { set.difference(&mapped) }
}

/// The set without port 0 by itself and, beside names, without ICMP types.
fn sayable(ports: &PortSet, with_names: bool) -> PortSet {
    if ports.is_any() {
        return ports.clone();
    }
    let kept = ports.per_protocol().filter_map(|(of, first, last)| {
        let icmp = matches!(of, protocol::ICMP | protocol::ICMPV6);
        let first = if first == 0 && last != u16::MAX && !icmp { 1 } else { first };
        (first <= last && !(icmp && with_names)).then(|| PortSet::numbers(of, first, last))
    });
    kept.fold(PortSet::empty(), |sum, part| sum.union(&part))
}

/// The options of a case: one in three is namespaced.
pub(crate) fn options(case: u64) -> Options {
    Options { namespaced: case.is_multiple_of(3), source_digest: "sha256:0123".to_owned(), ..Options::default() }
}

/// The decoded artifact of a program, or the codes of what cannot be said.
pub(crate) fn round_trip(program: &Program, options: &Options) -> Result<(Model, String), Vec<&'static str>> {
    let artifact =
        emit(program, None, options).map_err(|errors| errors.iter().map(|error| error.code).collect::<Vec<_>>())?;
    let text = String::from_utf8(artifact.bytes).expect("text");
    let model = decode(text.as_bytes()).unwrap_or_else(|error| panic!("our own output: {error}\n{text}"));
    Ok((model, text))
}
