//! kube-vip's rules in the real kernel: which source address the outside sees.
//!
//! In: programs with gateways, emitted for kube-vip and, without their gateways, for nftables; Services that people might
//! write; a masquerade as a CNI has it. Out: the source addresses of probes, held against the policy, against what
//! `rules` says of a Service, and, where two translations have one priority, against what the linter says of it.

use crate::draft::{Draft, addresses, app, source, tcp, udp};
use egress_backends::kube_vip::rules::{Chain, MAX_EXPRESSIONS, SnatRule};
use egress_backends::kube_vip::{self, Settings, decode, lint, rules};
use egress_backends::nftables;
use egress_ir::{
    Action, Destination, Flow, Gateway, GatewayAddress, GatewayId, Inventory, Port, PortSet, Program, Rule, Verdict,
    Workload, eval, protocol,
};
use egress_testkit::lab::{Lab, NODE_V4, NODE_V6, Outcome, Place, Probe, ProbeKind, Range, Topology};
use std::net::IpAddr;

/// What a CNI does with everything that leaves the cluster.
const MASQUERADE: &str = "table inet cni {\n chain post {\n  type nat hook postrouting priority 100; policy accept;\n  \
                          oifname \"out0\" masquerade\n }\n}\n";

/// The pod that uses gateways, and another one.
const SOLO: [&str; 2] = ["10.42.1.7", "fd00:10:42::7"];
const OTHER: [&str; 2] = ["10.42.1.8", "fd00:10:42::8"];

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn lab(name: &str) -> Option<Lab> {
    let v4 = Range { network: address("10.42.1.0"), length: 24 };
    let v6 = Range { network: address("fd00:10:42::"), length: 112 };
    let topology = Topology { pods: vec![vec![v4, v6]] };
    Lab::for_test(name, &topology).unwrap()
}

/// A cluster with two pods and a gateway for one of them.
fn draft() -> (Draft, GatewayId) {
    let mut draft = Draft::in_cluster();
    let services = addresses(&["10.43.0.0/16", "fd00:10:43::/112"]);
    let cluster = &draft.program.cluster;
    draft.program.cluster =
        egress_ir::Cluster::new(cluster.name.clone(), cluster.pods.clone(), services, cluster.nodes.clone());
    draft.pod("solo", &SOLO);
    draft.pod("other", &OTHER);
    let block = draft.policy("ungated", source("10.250.0.0/24"));
    let origin = draft.program.blocks.at(block).origin;
    let managed = |text| GatewayAddress { address: address(text), managed: true };
    let addresses = vec![managed("203.0.113.10"), managed("2001:db8:ffff::10")];
    let gateway = Gateway { name: "eu".to_owned(), nodes: None, addresses, origin };
    let gateway = draft.program.gateways.push(gateway);
    (draft, gateway)
}

/// Makes the last rule one that leaves through the gateway.
fn via(draft: &mut Draft, gateway: GatewayId) {
    let last = draft.program.rules.ids().last().unwrap();
    let rule: &mut Rule = draft.program.rules.get_mut(last).unwrap();
    assert_eq!(rule.action, Action::Allow);
    rule.gateway = Some(gateway);
}

/// What is loaded: the filter, and kube-vip's rules for the Services that are emitted.
fn loaded(program: &Program, inventory: &Inventory) -> String {
    let services = kube_vip::emit(program, Some(inventory), &kube_vip::Options::default()).unwrap();
    let model = decode(&services.bytes).unwrap();
    let installed = rules(&model, inventory, &Settings::assumed(program));
    assert_eq!(installed.chains().count(), model.services.len(), "{installed:?}");
    let mut filter = program.clone();
    for id in filter.rules.ids().collect::<Vec<_>>() {
        filter.rules.get_mut(id).unwrap().gateway = None;
    }
    let filter = nftables::emit(&filter, Some(inventory), &nftables::Options::default()).unwrap();
    format!("{}{installed}", String::from_utf8(filter.bytes).unwrap())
}

/// The flow of a probe from a pod.
fn flow(inventory: &Inventory, probe: &Probe) -> Flow {
    let pod = inventory.pods.iter().find(|pod| pod.addresses.contains(&probe.from)).unwrap();
    let port = match probe.kind {
        ProbeKind::Tcp(number) => Port::tcp(number),
        ProbeKind::Udp(number) => Port::udp(number),
        ProbeKind::Icmp(kind, code) if probe.to.is_ipv4() => Port::icmp(protocol::ICMP, kind, code),
        ProbeKind::Icmp(kind, code) => Port::icmp(protocol::ICMPV6, kind, code),
        _ => panic!("{probe:?}"),
    };
    let workload = Workload::Pod(pod.identity.clone());
    Flow { workload, destination: Destination::unnamed(probe.to), port }
}

/// Every pod to every place on every port.
fn probes(places: &[&str]) -> Vec<Probe> {
    let mut probes = Vec::new();
    for from in SOLO.iter().chain(&OTHER).map(|text| address(text)) {
        for to in places.iter().map(|text| address(text)).filter(|to| to.is_ipv4() == from.is_ipv4()) {
            let echo = if to.is_ipv4() { ProbeKind::Icmp(8, 0) } else { ProbeKind::Icmp(128, 0) };
            for kind in [ProbeKind::Tcp(443), ProbeKind::Tcp(25), ProbeKind::Udp(53), ProbeKind::Udp(443), echo] {
                probes.push(Probe { from, to, kind });
            }
        }
    }
    probes
}

fn node(v6: bool) -> IpAddr {
    if v6 { NODE_V6 } else { NODE_V4 }
}

/// What arrives outside with this source.
fn seen(source: IpAddr) -> Outcome {
    Outcome::Arrived { at: Place::Outside, source: Some(source) }
}

const PLACES: [&str; 12] = [
    "198.51.100.1",
    "198.51.100.255",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.113.200",
    "10.20.1.5",
    "8.8.8.8",
    "2001:db8:1::1",
    "2001:db8:1:ffff:ffff:ffff:ffff:ffff",
    "2001:db8:2::1",
    "2001:db8:3::1",
    "2a00::1",
];

/// Three policies for the pod that uses the gateway, each of which takes another form of the lists.
fn policies() -> Vec<(&'static str, Draft)> {
    let ping = PortSet::icmp_type(protocol::ICMP, 8).union(&PortSet::icmp_type(protocol::ICMPV6, 128));
    let (mut ports, gateway) = draft();
    let shop = ports.policy("shop", app("solo"));
    ports.allow(shop, &["198.51.100.0/24", "2001:db8:1::/48"], tcp(443).union(&udp(53)));
    via(&mut ports, gateway);
    ports.allow(shop, &["198.51.100.0/24", "2001:db8:1::/48", "10.20.0.0/16"], tcp(25));
    let (mut networks, gateway) = draft();
    let shop = networks.policy("shop", app("solo"));
    networks.allow(
        shop,
        &["198.51.100.0/24", "8.8.8.8/32", "2001:db8:1::/48", "2001:db8:3::/48"],
        tcp(443).union(&ping),
    );
    via(&mut networks, gateway);
    networks.allow(shop, &["10.20.0.0/16", "2a00::/16"], PortSet::any());
    let (mut everything, gateway) = draft();
    let shop = everything.policy("shop", app("solo"));
    everything.allow(shop, &["0.0.0.0/0", "::/0"], PortSet::any());
    via(&mut everything, gateway);
    everything.deny(shop, &["10.0.0.0/8"], PortSet::any());
    let (mut holes, gateway) = draft();
    let shop = holes.policy("shop", app("solo"));
    holes.allow(shop, &["0.0.0.0/0", "::/0"], tcp(443));
    via(&mut holes, gateway);
    holes.allow(shop, &["0.0.0.0/0", "::/0"], udp(443));
    vec![("ports", ports), ("networks", networks), ("everything", everything), ("holes", holes)]
}

#[test]
fn the_outside_sees_the_address_that_the_policy_says() {
    let name = "the_outside_sees_the_address_that_the_policy_says";
    let (mut through, mut by_node, mut dropped) = (0, 0, 0);
    for (what, Draft { program, inventory, .. }) in policies() {
        let Some(lab) = lab(name) else { return };
        let file = loaded(&program, &inventory);
        lab.node().nft(MASQUERADE).unwrap();
        lab.node().nft(&file).unwrap_or_else(|error| panic!("{what}: {error}\n{file}"));
        let probes = probes(&PLACES);
        for (probe, outcome) in probes.iter().zip(lab.probe_all(&probes).unwrap()) {
            let flow = flow(&inventory, probe);
            let v6 = probe.to.is_ipv6();
            let expected = match eval(&program, &flow).verdict {
                Verdict::Allowed(Some(id)) => {
                    through += 1;
                    let addresses = &program.gateways.at(id).addresses;
                    seen(addresses.iter().find(|it| it.address.is_ipv6() == v6).unwrap().address)
                }
                Verdict::Allowed(None) | Verdict::Ungoverned => {
                    by_node += 1;
                    seen(node(v6))
                }
                Verdict::Inside | Verdict::Denied | Verdict::Conflict(_) => {
                    dropped += 1;
                    Outcome::NotArrived
                }
            };
            assert_eq!(outcome, expected, "{what}: {flow}\n{file}");
        }
    }
    println!("{through} probes through the gateway, {by_node} by the node, {dropped} dropped");
    assert!(through >= 40 && by_node >= 100 && dropped >= 20);
}

/// Services as people might write them, and what is wrong with most of them.
const WRITTEN: [(&str, &str); 9] = [
    ("plain", ""),
    ("one network", "kube-vip.io/egress-allowed-networks: 198.51.100.0/24"),
    ("two networks", "kube-vip.io/egress-allowed-networks: '198.51.100.0/24,8.8.8.8/32'"),
    ("comma at the end", "kube-vip.io/egress-allowed-networks: '198.51.100.0/24,'"),
    ("ports", "kube-vip.io/egress-destination-ports: 'tcp:443,udp:53,udp:443'"),
    ("one port is dropped", "kube-vip.io/egress-destination-ports: 'tcp:443,53,UDP:443'"),
    ("every port is dropped", "kube-vip.io/egress-destination-ports: '443,tcp:20-30'"),
    ("denied", "kube-vip.io/egress-denied-networks: '198.51.100.0/24,8.8.0.0/16'"),
    ("host bits", "kube-vip.io/egress-denied-networks: '198.51.100.77/24'"),
];

fn written(annotation: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: eu\n  namespace: shop\n  annotations:\n    \
         kube-vip.io/loadbalancerIPs: 203.0.113.10\n    kube-vip.io/egress: 'true'\n    kube-vip.io/egress-internal: 'true'\n    \
         {annotation}\nspec:\n  type: LoadBalancer\n  externalTrafficPolicy: Local\n  selector: {{app: solo}}\n  ports: [{{port: 9}}]\n"
    )
}

#[test]
fn written_services_do_what_their_rules_are_said_to_do() {
    let (Draft { program, inventory, .. }, _) = draft();
    let (mut rewritten, mut left) = (0, 0);
    for (what, annotation) in WRITTEN {
        let Some(lab) = lab("written_services_do_what_their_rules_are_said_to_do") else { return };
        let model = decode(written(annotation).as_bytes()).unwrap();
        let installed = rules(&model, &inventory, &Settings::assumed(&program));
        let chain: Vec<&Chain> = installed.chains().collect();
        assert_eq!(chain.len(), 1, "{what}: {installed:?}");
        lab.node().nft(MASQUERADE).unwrap();
        lab.node().nft(&installed.to_string()).unwrap_or_else(|error| panic!("{what}: {error}\n{installed}"));
        let probes: Vec<Probe> = probes(&PLACES[..7]);
        for (probe, outcome) in probes.iter().zip(lab.probe_all(&probes).unwrap()) {
            let port = flow(&inventory, probe).port;
            let to = chain[0].translate(probe.from, probe.to, port);
            *(if to.is_some() { &mut rewritten } else { &mut left }) += 1;
            assert_eq!(outcome, seen(to.unwrap_or(NODE_V4)), "{what}: {probe:?}\n{installed}");
        }
    }
    println!("{rewritten} probes rewritten, {left} left alone");
    assert!(rewritten >= 100 && left >= 100);
}

#[test]
fn of_two_translations_of_one_priority_the_one_registered_last_decides() {
    let (Draft { program, inventory, .. }, _) = draft();
    let text = written("");
    let installed = rules(&decode(text.as_bytes()).unwrap(), &inventory, &Settings::assumed(&program)).to_string();
    let probe = Probe { from: address(SOLO[0]), to: address("198.51.100.1"), kind: ProbeKind::Tcp(443) };
    for (first, last, expected) in
        [(MASQUERADE, installed.as_str(), address("203.0.113.10")), (installed.as_str(), MASQUERADE, NODE_V4)]
    {
        let name = "of_two_translations_of_one_priority_the_one_registered_last_decides";
        let Some(lab) = lab(name) else { return };
        lab.node().nft(first).unwrap();
        lab.node().nft(last).unwrap();
        assert_eq!(lab.probe_all(&[probe]).unwrap(), [seen(expected)], "{first}{last}");
    }
    let said = lint(&text, None).into_iter().find(|finding| finding.code == "KV013").unwrap();
    assert!(said.happens.contains("the one registered last first"), "{said:?}");
}

#[test]
fn the_kernel_takes_as_many_networks_as_are_counted() {
    let Some(lab) = lab("the_kernel_takes_as_many_networks_as_are_counted") else { return };
    // Without an allowed network, which `nft` says with one expression more than kube-vip does.
    let range = |number: u8| (IpAddr::from([192, 168, number, 1]), IpAddr::from([192, 168, number, 9]));
    let chain = |count: u8| {
        let rule = SnatRule {
            source: address(SOLO[0]),
            ports: Some((protocol::TCP, [25, 443].into())),
            except: (0..count).map(range).collect(),
            within: None,
            to: address("203.0.113.10"),
        };
        Chain { v6: false, table: "kube_vip_v4".to_owned(), name: "kube_vip_snat_x".to_owned(), rules: vec![rule] }
    };
    for (count, fits) in [(60, true), (61, false)] {
        let chain = chain(count);
        assert_eq!(chain.rules[0].expressions() <= MAX_EXPRESSIONS, fits);
        assert_eq!(lab.node().nft(&chain.to_string()).is_ok(), fits, "{count} networks\n{chain}");
        lab.node().nft("flush ruleset\n").unwrap();
    }
}
