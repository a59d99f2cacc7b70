//! Gateways: the outside tells from which address it sees every flow.
//!
//! Two nodes load the same file. What their nodes need besides is set here as the file's header says. Beside our tables
//! a network plugin masquerades what leaves, as most do, and comes before or after us. Everything is held against
//! `egress_ir::eval`: through a gateway means from its address, otherwise from the node's.

use crate::draft::{Draft, app, source};
use egress_backends::nftables::{Hook, Options};
use egress_ir::{Destination, Flow, Operator, Pod, Port, PortSet, Requirement, Selector, Verdict, Workload, eval};
use egress_snapshot::gateway::{Gateways, interface, route_table};
use egress_testkit::lab::{LAN, Lan, lan_node, lan_pod, on_wire, seen_by_udp};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// What a network plugin does to everything that leaves the node.
const PLUGIN: &str = "add table inet plugin\ndelete table inet plugin\ntable inet plugin {\n\
    chain post { type nat hook postrouting priority 100; policy accept;\n oifname \"lan\" masquerade\n }\n}\n";
/// The outside's networks: through `eu`, through `us`, through `here`, and by the node; the last one is denied.
const NETWORKS: [u8; 5] = [0, 1, 2, 3, 4];
/// Last parts of the gateways' addresses.
const EU: u8 = 10;
const US: u8 = 11;
const HERE: u8 = 12;

/// Which gateway each of the outside's networks is reached through.
type Plan = [Option<u8>; 4];

const PLAN: Plan = [Some(EU), Some(US), Some(HERE), None];

/// Two pods, which may reach the first four networks, as the plan says.
fn draft(plan: &Plan) -> Draft {
    let mut draft = Draft::in_cluster();
    for node in [0, 1] {
        let addresses = [false, true].map(|v6| lan_pod(node, v6).to_string());
        draft.pod("shop", &[&addresses[0], &addresses[1]]);
    }
    let gateway =
        |draft: &mut Draft, name, zone, last| draft.gateway(name, zone, &[on_wire(last, false), on_wire(last, true)]);
    let eu = gateway(&mut draft, "eu-fixed", Some(zone("eu")), EU);
    let us = gateway(&mut draft, "us fixed", Some(zone("us")), US);
    let here = gateway(&mut draft, "here", None, HERE);
    let shop = draft.policy("shop", app("shop"));
    let nodes = draft.policy(
        "nodes",
        egress_ir::WorkloadSet::Union([2, 3].map(|last| source(&format!("192.0.2.{last}/32"))).to_vec()),
    );
    for (network, gateway) in (0_u8..).zip(plan) {
        let id = gateway.map(|last| [eu, us, here][usize::from(last - EU)]);
        let to = [network_v4(network), network_v6(network)];
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        draft.allow_via(shop, &to, PortSet::any(), id);
        draft.allow_via(nodes, &to[..1], PortSet::any(), id);
    }
    draft
}

fn zone(name: &str) -> Selector {
    let values = BTreeSet::from([name.to_owned()]);
    Selector(vec![Requirement { key: "zone".to_owned(), operator: Operator::In(values) }])
}

fn network_v4(network: u8) -> String {
    format!("20.0.{network}.0/24")
}

fn network_v6(network: u8) -> String {
    format!("2001:db8:20:{network}::/64")
}

/// A destination outside.
fn outside(network: u8, v6: bool, port: u16) -> SocketAddr {
    let host = if v6 { format!("2001:db8:20:{network}::9") } else { format!("20.0.{network}.9") };
    SocketAddr::new(host.parse().unwrap(), port)
}

fn options() -> Options {
    Options { hooks: vec![Hook::Prerouting, Hook::Output], ..Options::default() }
}

/// The source address that the outside must see of a flow of somebody on a node; nothing where it is denied.
fn expected(draft: &Draft, node: usize, from: IpAddr, to: SocketAddr, tcp: bool) -> Option<IpAddr> {
    let of_pod = draft.inventory.pods.iter().find(|pod| pod.addresses.contains(&from));
    let workload = of_pod.map_or(Workload::Address(from), |pod| Workload::Pod(Pod { ..pod.identity.clone() }));
    let port = if tcp { Port::tcp(to.port()) } else { Port::udp(to.port()) };
    let flow = Flow { workload, destination: Destination::unnamed(to.ip()), port };
    match eval(&draft.program, &flow).verdict {
        Verdict::Allowed(Some(gateway)) => {
            let addresses = draft.program.gateways.at(gateway).addresses.iter().map(|one| one.address);
            addresses.into_iter().find(|address| address.is_ipv6() == to.is_ipv6())
        }
        verdict if verdict.passes() => Some(lan_node(node, to.is_ipv6())),
        _ => None,
    }
}

/// Lets a node send what is marked for a gateway to whoever holds it, as the header of the file says; or no longer.
fn steer(lan: &Lan, node: usize, file: &str, name: &str, is_away: bool) {
    let all = Gateways::of_file(file).unwrap().unwrap();
    let Some(gateway) = all.gateways.iter().find(|gateway| gateway.name == name) else { return };
    let (mark, table) = (gateway.mark(all.mask).unwrap(), route_table(gateway.number));
    for v6 in [false, true] {
        let address = gateway.address(v6).unwrap().address;
        let family = if v6 { "-6" } else { "-4" };
        let rule = format!("fwmark {mark:#x}/{:#x} lookup {table}", all.mask);
        let batch = if is_away {
            format!(
                "rule add {rule}\nroute replace default via {address} dev {LAN} onlink table {table}\n\
                 route replace unreachable default metric 4278198272 table {table}\n"
            )
        } else {
            format!("rule del {rule}\n")
        };
        let output = lan.node(node).unwrap().command("ip", &[family, "-batch", "-"], &batch).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Node 1 holds `eu-fixed`, node 0 holds `us fixed`, and both hold `here`, though an address can be of one only: 1 has
/// it.
fn bring_up(lan: &Lan, file: &str) {
    let pair = |last| [on_wire(last, false), on_wire(last, true)];
    lan.hold(1, &interface(1), &pair(EU)).unwrap();
    lan.hold(0, &interface(3), &pair(US)).unwrap();
    lan.hold(1, "here0", &pair(HERE)).unwrap();
    steer(lan, 0, file, "eu-fixed", true);
    steer(lan, 1, file, "us fixed", true);
}

fn load(lan: &Lan, file: &str) {
    for node in [0, 1] {
        lan.node(node).unwrap().nft(file).unwrap();
    }
}

fn plugin(lan: &Lan) {
    for node in [0, 1] {
        lan.node(node).unwrap().nft(PLUGIN).unwrap();
    }
}

/// Asks the outside about new flows of everybody to everywhere; how many passed and how many did not.
fn check_all(lan: &Lan, draft: &Draft, port: u16, at: &str) -> (u32, u32) {
    let (mut passed, mut stopped) = (0, 0);
    for (node, v6) in [(0, false), (0, true), (1, false), (1, true)] {
        let mut senders = vec![lan_pod(node, v6)];
        senders.extend((!v6).then(|| lan_node(node, v6)));
        for (from, network) in senders.iter().flat_map(|from| NETWORKS.map(|network| (*from, network))) {
            let to = outside(network, v6, port);
            for tcp in [false, true] {
                let mut expected = expected(draft, node, from, to, tcp);
                // Nobody but node 1 has the address of `here`.
                if expected == Some(on_wire(HERE, v6)) && node != 1 {
                    expected = None;
                }
                let seen = if tcp {
                    lan.seen_by_tcp(from, to).unwrap()
                } else {
                    seen_by_udp(&lan.udp(from, to).unwrap()).unwrap()
                };
                assert_eq!(seen, expected, "{at}: node {node}, from {from} to {to}, tcp {tcp}");
                if seen.is_some() { passed += 1 } else { stopped += 1 }
            }
        }
    }
    (passed, stopped)
}

#[test]
fn flows_leave_with_the_address_of_their_gateway() {
    let Some(lan) = Lan::for_test("flows_leave_with_the_address_of_their_gateway").unwrap() else { return };
    let draft = draft(&PLAN);
    let file = draft.file(&options());
    plugin(&lan);
    load(&lan, &file);
    bring_up(&lan, &file);
    let first = check_all(&lan, &draft, 1000, "the plugin came first");
    // An established flow of each gateway, while the plugin comes again and again.
    let flows: Vec<(UdpSocket, IpAddr)> = [false, true]
        .into_iter()
        .flat_map(|v6| [(0, EU), (1, US)].map(|(network, last)| (v6, network, last)))
        .map(|(v6, network, last)| (lan.udp(lan_pod(0, v6), outside(network, v6, 2000)).unwrap(), on_wire(last, v6)))
        .collect();
    for _ in 0..5 {
        plugin(&lan);
        for (socket, gateway) in &flows {
            assert_eq!(seen_by_udp(socket).unwrap(), Some(*gateway));
        }
    }
    let second = check_all(&lan, &draft, 3000, "the plugin came after us");
    println!("{first:?} and {second:?} flows passed and were stopped");
    assert_eq!(first, second);
    assert!(first.0 > 20 && first.1 > 5);
}

/// Counts what the outside gets in the first networks by the source that it bears.
fn count(lan: &Lan, allowed: &[(u8, u8)]) {
    let mut rules = String::new();
    for (network, last) in allowed {
        for (family, v6) in [("ip", false), ("ip6", true)] {
            let to = if v6 { network_v6(*network) } else { network_v4(*network) };
            rules += &format!("{family} daddr {to} {family} saddr {} counter name right accept\n", on_wire(*last, v6));
            rules += &format!("{family} daddr {to} counter name wrong\n");
        }
    }
    lan.outside()
        .nft(&format!(
            "add table inet seen\ndelete table inet seen\ntable inet seen {{\ncounter right {{ }}\ncounter wrong {{ }}\n\
             chain count {{ type filter hook prerouting priority -310; policy accept;\n{rules}}}\n}}\n"
        ))
        .unwrap();
}

fn counted(lan: &Lan) -> (u64, u64) {
    let of = |name| lan.outside().nft_counter("inet seen", name).unwrap();
    (of("right"), of("wrong"))
}

/// Datagrams of old and new flows in both families, as many as asked for.
fn send(lan: &Lan, flows: &[UdpSocket], network: u8, rounds: u16) {
    for round in 0..rounds {
        for socket in flows {
            // What a node does not know where to send comes back as an error, which is an answer too.
            let _ = socket.send(b"whose");
        }
        if round.is_multiple_of(50) {
            for v6 in [false, true] {
                let fresh = lan.udp(lan_pod(0, v6), outside(network, v6, 5000 + round)).unwrap();
                let _ = fresh.send(b"whose");
            }
        }
    }
}

#[test]
fn without_the_address_nothing_leaves() {
    let Some(lan) = Lan::for_test("without_the_address_nothing_leaves").unwrap() else { return };
    let draft = draft(&PLAN);
    let file = draft.file(&options());
    plugin(&lan);
    load(&lan, &file);
    count(&lan, &[(0, EU), (1, US), (2, HERE)]);
    let flows = |network| [false, true].map(|v6| lan.udp(lan_pod(0, v6), outside(network, v6, 4000)).unwrap());
    // Before anybody holds anything.
    for network in 0..3 {
        send(&lan, &flows(network), network, 100);
    }
    assert_eq!(counted(&lan), (0, 0));
    bring_up(&lan, &file);
    let (away, near) = (flows(0), flows(1));
    for (network, flows) in [(0, &away), (1, &near)] {
        for socket in flows {
            let v6 = socket.local_addr().unwrap().is_ipv6();
            let last = if network == 0 { EU } else { US };
            assert_eq!(seen_by_udp(socket).unwrap(), Some(on_wire(last, v6)));
        }
    }
    let (mut before, mut sent) = (counted(&lan).0, 0_u64);
    let take = |node: usize, name: String, last: u8| {
        for (address, length) in [(on_wire(last, false), 32), (on_wire(last, true), 128)] {
            lan.node(node).unwrap().ip(&format!("addr del {address}/{length} dev {name}\n")).unwrap();
        }
    };
    // The holder loses the addresses while packets still come to its interface; then that goes too.
    take(1, interface(1), EU);
    take(0, interface(3), US);
    for step in ["addresses gone", "interfaces gone", "routes gone"] {
        for (network, flows) in [(0, &away), (1, &near)] {
            send(&lan, flows, network, 300);
            sent += 600;
        }
        assert_eq!(counted(&lan), (before, 0), "{step}");
        match step {
            "addresses gone" => {
                lan.node(1).unwrap().ip(&format!("link del {}\n", interface(1))).unwrap();
                lan.node(0).unwrap().ip(&format!("link del {}\n", interface(3))).unwrap();
            }
            "interfaces gone" => steer(&lan, 0, &file, "eu-fixed", false),
            _ => {}
        }
    }
    // It comes back on the other node.
    lan.hold(0, &interface(1), &[on_wire(EU, false), on_wire(EU, true)]).unwrap();
    for v6 in [false, true] {
        let fresh = lan.udp(lan_pod(0, v6), outside(0, v6, 4001)).unwrap();
        assert_eq!(seen_by_udp(&fresh).unwrap(), Some(on_wire(EU, v6)));
        before += 1;
    }
    assert_eq!(counted(&lan), (before, 0));
    println!("{sent} packets without the address; none left");
}

#[test]
fn a_flow_that_moves_never_shows_a_wrong_source() {
    let Some(lan) = Lan::for_test("a_flow_that_moves_never_shows_a_wrong_source").unwrap() else { return };
    let plans: [Plan; 4] = [
        [Some(EU), Some(US), None, None],
        [Some(US), Some(EU), Some(EU), None],
        [None, None, Some(US), Some(EU)],
        [Some(US), None, Some(EU), Some(EU)],
    ];
    let drafts = plans.map(|plan| draft(&plan));
    plugin(&lan);
    let files: Vec<String> = drafts.iter().map(|draft| draft.file(&options())).collect();
    load(&lan, &files[0]);
    let pair = |last| [on_wire(last, false), on_wire(last, true)];
    // Here the two are numbers 1 and 2 in every generation, because no rule names the third.
    lan.hold(1, &interface(1), &pair(EU)).unwrap();
    lan.hold(0, &interface(2), &pair(US)).unwrap();
    steer(&lan, 0, &files[0], "eu-fixed", true);
    steer(&lan, 1, &files[0], "us fixed", true);
    let mut old: Vec<(usize, SocketAddr, UdpSocket)> = Vec::new();
    let (mut moved, mut kept) = (0, 0);
    for turn in 0..8_usize {
        let draft = &drafts[turn % 4];
        load(&lan, &files[turn % 4]);
        for (node, to, socket) in &old {
            let seen = seen_by_udp(socket).unwrap();
            let right = expected(draft, *node, socket.local_addr().unwrap().ip(), *to, false);
            assert!(seen.is_none() || seen == right, "turn {turn}: {to} sees {seen:?} instead of {right:?}");
            if seen.is_some() { kept += 1 } else { moved += 1 }
        }
        for (node, network, v6) in [0, 1].into_iter().flat_map(|node| (0..4).map(move |n| (node, n, n % 2 == 1))) {
            let to = outside(network, v6, 6000 + u16::try_from(turn).unwrap());
            let socket = lan.udp(lan_pod(node, v6), to).unwrap();
            let right = expected(draft, node, lan_pod(node, v6), to, false);
            assert_eq!(seen_by_udp(&socket).unwrap(), right, "turn {turn}: new flow to {to} on node {node}");
            if old.len() < 12 {
                old.push((node, to, socket));
            }
        }
    }
    println!("{kept} old flows went on with the right source, {moved} were stopped");
    assert!(kept > 10 && moved > 10);
}
