//! kube-vip over a filter is proved to route as the policy says, and changed Services are refuted by a flow.
//!
//! In: seeded programs whose gateways one pod uses, the Services that are emitted for them, and an nftables file of the
//! same program without its gateways as the filter. Out: nothing, where every flow is proved to be decided and routed as
//! the program says, and every change of a Service is refused, unclear, refuted by a flow that the evaluators decide
//! differently, or proved and then no flow differs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking, as tests do"
)]

use egress_backends::kube_vip::{self, Options, decode, plane_over};
use egress_backends::{cilium, ebpf, nftables};
use egress_ir::{
    DestinationSet, Flow, Gateway, GatewayAddress, Id, Inventory, Labels, NamespaceSelector, Node, Operator, Outcome,
    Plane, Pod, PodSelector, PortSet, Prefix, Program, Requirement, RunningPod, Selector, Unclear, Verdict, Workload,
    WorkloadSet, eval,
};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::programs::{Presence, Shape, random_inventory, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use egress_verifier::{Answer, Block, Fault, Prover, against_source};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A program that kube-vip can route, with what it becomes.
struct Case {
    name: String,
    program: Program,
    inventory: Inventory,
    filter: nftables::Ruleset,
    services: String,
}

/// The pods that gateways are for.
fn solo(number: usize) -> WorkloadSet {
    let value = BTreeSet::from([format!("solo-{number}")]);
    let labels = Selector(vec![Requirement { key: "app".to_owned(), operator: Operator::In(value) }]);
    WorkloadSet::Pods(PodSelector { labels, namespace: NamespaceSelector::Any, service_account: None })
}

/// A random program in which each rule with a gateway is for one pod, and that pod runs.
fn unit(case: u64, shape: impl Fn(Shape) -> Shape) -> (Program, Inventory) {
    let mut rng = Rng::new(seed() ^ 0x4b56, case);
    let shape = shape(Shape {
        blocks: 1..=4,
        rules: 1..=4,
        cluster: Presence::Always,
        hosts: false,
        gateways: 2,
        fine_gateways: case.is_multiple_of(2),
        ..Shape::everything()
    });
    let mut program = random_program(&mut rng, &shape);
    let mut inventory = random_inventory(&mut rng, &program);
    for (number, id) in program.gateways.ids().collect::<Vec<_>>().into_iter().enumerate() {
        let last = u8::try_from(number).unwrap();
        let address = |address: IpAddr| GatewayAddress { address, managed: true };
        let v4 = |place: u8| address(Ipv4Addr::new(203, 0, 113, 10 * place + last).into());
        let v6 = |place: u16| address(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, place, 0, 0, 0, last.into()).into());
        let addresses = vec![v4(1), v6(1), v4(2), v6(2)];
        let gateway: &mut Gateway = program.gateways.get_mut(id).unwrap();
        (gateway.nodes, gateway.addresses) = (None, addresses);
    }
    for id in program.blocks.ids().collect::<Vec<_>>() {
        let routes = program.blocks.at(id).rules.iter().any(|&rule| program.rules.at(rule).gateway.is_some());
        if routes {
            let set = program.intern_workloads(solo(rng.below(2)));
            program.blocks.get_mut(id).unwrap().workloads = set;
        }
    }
    if case % 3 == 1 {
        ports_decide(&mut rng, &mut program);
    }
    let node = Node { name: "worker".to_owned(), labels: Labels::new(), addresses: vec![[192, 168, 10, 250].into()] };
    inventory.nodes.push(node);
    (0..2).for_each(|number| inventory.pods.push(solo_pod(&program, number)));
    (program, inventory)
}

/// Makes rules with gateways speak about ports of one network, so that Services need lists of ports.
fn ports_decide(rng: &mut Rng, program: &mut Program) {
    let networks = [prefix([198, 51, 100, 0], 24), prefix([192, 0, 2, 128], 25), prefix([8, 8, 8, 8], 32)];
    for id in program.rules.ids().collect::<Vec<_>>() {
        let Some(gateway) = program.rules.at(id).gateway else { continue };
        let network = networks[gateway.index() % networks.len()];
        let ports = [PortSet::numbers(6, 443, 443), PortSet::numbers(6, 80, 81), PortSet::numbers(17, 53, 53)];
        let ports = ports[rng.below(2)].union(&ports[rng.below(3)]);
        let destinations = program.intern_destinations(DestinationSet::of_prefixes([network]));
        let ports = program.intern_ports(ports);
        let rule = program.rules.get_mut(id).unwrap();
        (rule.destinations, rule.ports) = (destinations, ports);
    }
}

fn prefix(address: [u8; 4], length: u8) -> Prefix {
    Prefix::containing(address.into(), length)
}

/// Its addresses are the last but some of the cluster's ranges, which random pods do not have.
fn solo_pod(program: &Program, number: usize) -> RunningPod {
    let labels = Labels::from([("app".to_owned(), format!("solo-{number}"))]);
    let identity = Pod { namespace: "solo".to_owned(), name: Some(format!("solo-{number}")), labels, ..Pod::default() };
    let place = u128::try_from(number).unwrap() + 2;
    let last = |v6: bool| {
        let (_, last) = *program.cluster.pods.of_family(v6).ranges().last()?;
        Some(egress_ir::address::from_bits(v6, last - place))
    };
    let addresses = [last(false), last(true)].into_iter().flatten().collect();
    RunningPod { identity, addresses, node: Some("worker".to_owned()), host_network: false }
}

/// What becomes of a program; an error where kube-vip or nftables cannot say it.
fn compiled(case: u64) -> Result<Case, String> {
    let (program, inventory) = unit(case, |shape| shape);
    let services = kube_vip::emit(&program, Some(&inventory), &Options::default());
    let services = services.map_err(|errors| errors[0].to_string())?;
    let filter = nftables::emit(&program.without_gateways(), Some(&inventory), &nftables::Options::default());
    let filter = nftables::decode(&filter.map_err(|errors| errors[0].to_string())?.bytes).unwrap();
    let services = String::from_utf8(services.bytes).unwrap();
    Ok(Case { name: format!("seed {} case {case}", seed()), program, inventory, filter, services })
}

impl Case {
    fn plane(&self, services: &str) -> Result<Option<kube_vip::RoutedPlane<nftables::RulesetPlane<'_>>>, Unclear> {
        let Ok(model) = decode(services.as_bytes()) else { return Ok(None) };
        let filter = nftables::plane::plane(&self.filter, &self.program, Some(&self.inventory)).unwrap();
        plane_over(&model, filter, &self.program, &self.inventory).map(Some)
    }

    /// Where the plane differs from the program.
    fn blocks(&self, plane: &dyn Plane) -> Result<Vec<Block>, Unclear> {
        let found = match against_source(&self.program, plane, &mut Prover::default()) {
            Ok(found) => found,
            Err(Fault::Unclear(unclear)) => return Err(unclear),
            Err(fault) => panic!("{}: {fault}", self.name),
        };
        match found.answer {
            Answer::Proved => Ok(Vec::new()),
            Answer::Refuted(blocks) => Ok(blocks),
            Answer::Unknown(reason) => panic!("{}: {reason}", self.name),
        }
    }

    /// Flows at the borders of the program, most of them from pods that use gateways.
    fn flows(&self, count: u64, salt: u64) -> Vec<Flow> {
        let mut rng = Rng::new(seed() ^ salt, 77);
        let mut flows: Vec<Flow> = Vec::new();
        for _ in 0..count {
            let mut flow = biased_flow(&mut rng, &self.program, Sources::Inventory(&self.inventory));
            let pod = &self.inventory.pods[self.inventory.pods.len() - 1 - rng.below(2)];
            let v6 = flow.destination.address.is_ipv6();
            if rng.chance(75) && pod.addresses.iter().any(|address| address.is_ipv6() == v6) {
                flow.workload = Workload::Pod(pod.identity.clone());
            }
            flows.push(flow);
        }
        flows
    }
}

fn meant(program: &Program, flow: &Flow) -> Outcome {
    match eval(program, flow).verdict {
        Verdict::Inside | Verdict::Ungoverned => Outcome::Passes(None),
        Verdict::Allowed(gateway) => Outcome::Passes(gateway),
        Verdict::Conflict(_) | Verdict::Denied => Outcome::Dropped,
    }
}

/// The places of the senders of a flow.
fn senders(plane: &dyn Plane, flow: &Flow) -> Vec<usize> {
    let sends = |sender: &egress_ir::Sender| match &flow.workload {
        Workload::Address(address) => sender.addresses.contains(*address),
        Workload::Pod(pod) => sender.pods.contains(pod),
    };
    let v6 = flow.destination.address.is_ipv6();
    let all = plane.senders().iter().enumerate();
    all.filter(|(_, sender)| sender.sends(v6) && sends(sender)).map(|(number, _)| number).collect()
}

/// Neighbour discovery, which the filter lets pass whatever the policy says.
fn is_exempt(plane: &dyn Plane, flow: &Flow) -> bool {
    let (address, port) = (flow.destination.address, flow.port);
    plane.exemptions().iter().any(|exemption| exemption.addresses.contains(address) && exemption.ports.contains(port))
}

/// A conflict of two gateways is an error of the program, which no compile lets through.
fn is_conflict(program: &Program, flow: &Flow) -> bool {
    matches!(eval(program, flow).verdict, Verdict::Conflict(_))
}

#[test]
fn services_over_a_filter_route_as_the_program_says() {
    let (mut proved, mut services, mut with_ports, mut flows, mut routed, mut conflicts) = (0, 0, 0, 0, 0, 0);
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    let count = cases(160);
    for case in 0..count {
        let case = match compiled(case) {
            Ok(case) => case,
            Err(why) => {
                let kind = why.rsplit(": ").next().unwrap_or_default().split(' ').take(4).collect::<Vec<_>>().join(" ");
                *refused.entry(kind).or_default() += 1;
                continue;
            }
        };
        let number = decode(case.services.as_bytes()).unwrap().services.len();
        let plane = case.plane(&case.services).unwrap_or_else(|why| panic!("{}: {why}\n{}", case.name, case.services));
        let plane = plane.unwrap();
        let blocks = case.blocks(&plane).unwrap_or_else(|why| panic!("{}: {why}\n{}", case.name, case.services));
        if blocks.iter().any(|block| is_conflict(&case.program, &block.witness)) {
            conflicts += 1;
            continue;
        }
        assert!(blocks.is_empty(), "{}: {blocks:?}\n{}", case.name, case.services);
        proved += 1;
        services += number;
        with_ports += case.services.matches("egress-destination-ports").count();
        for flow in case.flows(60, 0x71) {
            for sender in senders(&plane, &flow) {
                let outcome = plane.replay(sender, &flow).unwrap();
                let exempt = is_exempt(&plane, &flow);
                let meant = meant(&case.program, &flow);
                assert!(exempt || outcome == meant, "{}: {flow}: {outcome:?}\n{}", case.name, case.services);
                flows += 1;
                routed += usize::from(matches!(outcome, Outcome::Passes(Some(_))));
            }
        }
    }
    println!(
        "{proved} of {count} proved with {services} Services, {with_ports} of them with ports, {conflicts} have conflicts; {flows} flows, {routed} of them through gateways; refused: {refused:?}"
    );
    if count >= 160 {
        assert!(proved > 60 && services > 40 && with_ports > 10 && routed > 200, "too little was checked");
    }
}

/// Proves the Services of a program over a filter; the number of Services, or nothing where somebody cannot say it.
fn proved_over<P: Plane>(program: &Program, inventory: &Inventory, filter: P, context: &str) -> Option<usize> {
    let services = kube_vip::emit(program, Some(inventory), &Options::default()).ok()?;
    let model = decode(&services.bytes).unwrap();
    let plane = plane_over(&model, filter, program, inventory).unwrap_or_else(|why| panic!("{context}: {why}"));
    let found = match against_source(program, &plane, &mut Prover::default()) {
        Ok(found) => found,
        Err(Fault::Unclear(_)) => return None,
        Err(fault) => panic!("{context}: {fault}"),
    };
    match found.answer {
        Answer::Proved => Some(model.services.len()),
        Answer::Refuted(blocks) => {
            let text = String::from_utf8_lossy(&services.bytes);
            assert!(blocks.iter().any(|block| is_conflict(program, &block.witness)), "{context}: {blocks:?}\n{text}");
            None
        }
        Answer::Unknown(reason) => panic!("{context}: {reason}"),
    }
}

#[test]
fn filters_that_know_pods_and_names_are_routed_too() {
    let (mut over_tables, mut over_labels, mut named) = (0, 0, 0);
    let count = cases(60);
    for case in 0..count {
        let context = format!("seed {} case {case}", seed());
        let (program, inventory) = unit(case, |shape| shape);
        let filter = program.without_gateways();
        if let Ok(snapshot) = ebpf::emit(&filter, Some(&inventory), &ebpf::Options::default()) {
            let decoded = ebpf::decode(&snapshot.bytes).unwrap();
            let plane = ebpf::plane(&decoded, &program, Some(&inventory)).unwrap();
            over_tables += proved_over(&program, &inventory, plane, &context).unwrap_or(0);
        }
        let (program, inventory) = unit(case, of_cilium);
        if let Ok(objects) = cilium::emit(&program.without_gateways(), None, &cilium::Options::default()) {
            let model = cilium::decode(&objects.bytes).unwrap();
            let plane = cilium::plane::plane(&model, &program, Some(&inventory)).unwrap();
            let services = proved_over(&program, &inventory, plane, &context).unwrap_or(0);
            over_labels += services;
            let by_name = |rule: &egress_ir::Rule| {
                rule.gateway.is_some() && !program.destination_sets.at(rule.destinations).hosts.is_empty()
            };
            named += if program.rules.values().any(by_name) { services } else { 0 };
        }
    }
    println!("{over_tables} Services proved over eBPF, {over_labels} over Cilium, {named} in programs with names");
    if count >= 60 {
        assert!(over_tables > 20 && over_labels > 10 && named > 3, "too little was proved");
    }
}

/// What Cilium can say.
fn of_cilium(shape: Shape) -> Shape {
    Shape {
        blocks: 1..=2,
        rules: 1..=2,
        hosts: true,
        addresses: false,
        audit: false,
        icmp_type_zero: false,
        icmp_codes: false,
        whole_icmp: false,
        other_protocols: false,
        empty_sets: false,
        ..shape
    }
}

/// Everything that a tired editor might do to a Service.
fn mutants(services: &str) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    let lines: Vec<&str> = services.lines().collect();
    let mut change = |kind, at: usize, line: Option<String>| {
        let changed = lines.iter().enumerate().filter_map(|(number, old)| match (number == at, &line) {
            (false, _) => Some((*old).to_owned()),
            (true, line) => line.clone(),
        });
        let text = changed.collect::<Vec<_>>().join("\n") + "\n";
        if text != services {
            all.push((kind, text));
        }
    };
    for (at, line) in lines.iter().enumerate() {
        let is = |key: &str| line.trim_start().starts_with(&format!("kube-vip.io/{key}:"));
        let is_list = is("egress-allowed-networks") || is("egress-denied-networks") || is("egress-destination-ports");
        if is("loadbalancerIPs") {
            change("other address", at, Some(line.replace("203.0.113.1", "203.0.113.9").replace("ffff:1", "ffff:9")));
            change("second address", at, Some(line.replace("203.0.113.1", "203.0.113.2").replace("ffff:1", "ffff:2")));
        }
        if line.trim_start().starts_with("kube-vip.io/") {
            change("annotation removed", at, None);
        }
        if is_list {
            change("blank", at, Some(line.replacen(',', ", ", 1)));
            change("comma", at, line.strip_suffix('"').map(|line| format!("{line},\"")));
            change("entry removed", at, Some(without_first(line)));
            change("longer", at, Some(line.replacen('/', "/1", 1)));
            change("bare", at, Some(without_length(line)));
            change("other port", at, Some(line.replacen("tcp:", "tcp:1", 1)));
            change("upper case", at, Some(line.replacen("tcp:", "TCP:", 1)));
            change("other family", at, Some(line.replacen('"', "\"2001:db8::/32,", 1)));
            change("no protocol", at, Some(line.replacen("tcp:", "", 1).replacen("udp:", "", 1)));
        }
        if is("egress") || is("egress-internal") || is("egress-ipv6") || is("egress-no-internal-traffic") {
            change("capital", at, Some(line.replace("\"true\"", "\"True\"")));
            change("false", at, Some(line.replace("\"true\"", "\"false\"")));
        }
        change(
            "cluster policy",
            at,
            Some(line.replace("externalTrafficPolicy: Local", "externalTrafficPolicy: Cluster")),
        );
        change("other pod", at, Some(line.replace("app: solo-0", "app: solo-9")));
        change("other namespace", at, Some(line.replace("namespace: solo", "namespace: shop")));
    }
    all
}

fn without_first(line: &str) -> String {
    match (line.find('"'), line.find(',')) {
        (Some(quote), Some(comma)) if quote < comma => format!("{}{}", &line[..=quote], &line[comma + 1..]),
        _ => line.to_owned(),
    }
}

fn without_length(line: &str) -> String {
    line.find('/').filter(|_| !line.contains("tcp")).map_or_else(
        || line.to_owned(),
        |_| {
            let at = line.rfind('/').unwrap();
            let rest = line[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{}{rest}", &line[..at])
        },
    )
}

#[test]
fn every_mutant_of_a_service_is_refuted_or_unclear_or_means_the_same() {
    let mut fates: BTreeMap<&'static str, [usize; 4]> = BTreeMap::new();
    let count = cases(40);
    for number in 0..count {
        let Ok(case) = compiled(number) else { continue };
        let flows = case.flows(120, 0x99);
        if flows.iter().any(|flow| is_conflict(&case.program, flow)) {
            continue;
        }
        for (kind, text) in mutants(&case.services) {
            let fate = fates.entry(kind).or_default();
            fate[hold(&case, &text, &flows)] += 1;
        }
    }
    let sum = fates.values().fold([0; 4], |sum, fate| std::array::from_fn(|place| sum[place] + fate[place]));
    println!("refused, unclear, refuted, proved: {fates:?}; {sum:?}");
    if count >= 40 {
        assert!(sum[1] > 20 && sum[2] > 60 && sum[3] > 20 && fates.len() >= 17, "{sum:?}");
    }
}

/// Which fate a mutant meets: refused, unclear, refuted, proved.
fn hold(case: &Case, text: &str, flows: &[Flow]) -> usize {
    let plane = match case.plane(text) {
        Ok(Some(plane)) => plane,
        Ok(None) => return 0,
        Err(_) => return 1,
    };
    let Ok(blocks) = case.blocks(&plane) else { return 1 };
    for block in blocks.iter().filter(|block| !is_conflict(&case.program, &block.witness)) {
        // The verifier has replayed the witness; here it is held against the meaning once more.
        let found = plane.replay(block.senders[0], &block.witness).unwrap();
        assert_ne!(found, meant(&case.program, &block.witness), "{}: {}\n{text}", case.name, block.witness);
    }
    let differs = |flow: &&Flow| {
        let found = senders(&plane, flow).into_iter().map(|sender| plane.replay(sender, flow).unwrap());
        !is_exempt(&plane, flow) && found.into_iter().any(|outcome| outcome != meant(&case.program, flow))
    };
    if let Some(flow) = flows.iter().find(differs) {
        assert!(!blocks.is_empty(), "{}: proved, but {flow} is routed otherwise\n{text}", case.name);
    }
    if blocks.is_empty() { 3 } else { 2 }
}
