//! Names: what a client has learned lets it pass, and nobody else, and only for so long.
//!
//! The sets are filled here as the agent fills them, by elements with a timeout. Every probe is held against
//! `egress_ir::eval` of a flow with the names that were learned.

use crate::draft::{Draft, app, tcp};
use egress_backends::nftables::Options;
use egress_ir::{BlockId, Destination, Flow, HostPattern, Port, PortSet, Workload, WorkloadSet, eval};
use egress_snapshot::names::Names;
use egress_testkit::lab::{Candidate, FlowSpec, Lab, Probe, ProbeKind, Topology};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Two clients with an address of each family; only the first one's policy asks for names.
const CLIENTS: [[&str; 2]; 2] = [["10.42.0.7", "fd00:10:42::7"], ["10.42.0.8", "fd00:10:42::8"]];
/// What was learned: a client, a destination, a set without its family, and a name of its pattern.
const LEARNED: [(usize, &str, &str, &str); 5] = [
    (0, "20.0.0.1", "api.example.com", "api.example.com"),
    (0, "2001:db8:20::1", "one/example.net", "x.example.net"),
    // A guardrail denies this one whatever it is called.
    (0, "20.0.0.66", "any/example.org", "a.b.example.org"),
    (0, "20.0.0.3", "any/example.org", "a.example.org"),
    (1, "20.0.0.4", "api.example.com", "api.example.com"),
];

fn draft() -> Draft {
    let mut draft = Draft::in_cluster();
    draft.pod("shop", &CLIENTS[0]);
    draft.pod("other", &CLIENTS[1]);
    let shop = draft.policy("shop", app("shop"));
    allow(&mut draft, shop, &["api.example.com", "*.example.net"], tcp(443));
    allow(&mut draft, shop, &["**.example.org"], tcp(443).union(&tcp(8443)));
    draft.allow(shop, &["20.0.0.200/32"], tcp(443));
    let other = draft.policy("other", app("other"));
    allow(&mut draft, other, &["api.example.com"], tcp(8443));
    let never = draft.guardrail("never", WorkloadSet::All);
    draft.deny(never, &["20.0.0.64/26"], PortSet::any());
    draft
}

fn allow(draft: &mut Draft, block: BlockId, hosts: &[&str], ports: PortSet) {
    let hosts: BTreeSet<HostPattern> = hosts.iter().map(|host| host.parse().unwrap()).collect();
    draft.allow_hosts(block, hosts, ports);
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The commands that put what was learned into the sets.
fn elements(timeout: &str) -> String {
    let element = |(client, to, set, _): &(usize, &str, &str, &str)| {
        let v6 = address(to).is_ipv6();
        let family = if v6 { "host6" } else { "host4" };
        let from = CLIENTS[*client][usize::from(v6)];
        format!("add element inet egressc {family}/{set} {{ {from} . {to} timeout {timeout} }}\n")
    };
    LEARNED.iter().map(element).collect()
}

/// Probes from both clients to all that was learned and to strangers, with whether they must arrive.
fn expected(draft: &Draft, learned: bool) -> Vec<(Probe, bool)> {
    let strangers = ["20.0.0.9", "20.0.0.200", "2001:db8:20::9"];
    let destinations: Vec<&str> = LEARNED.iter().map(|one| one.1).chain(strangers).collect();
    let mut all = Vec::new();
    for (client, addresses) in CLIENTS.iter().enumerate() {
        for to in &destinations {
            for port in [443, 8443] {
                let known = LEARNED.iter().filter(|one| learned && one.0 == client && one.1 == *to);
                let names = known.map(|one| one.3.to_owned()).collect();
                let pod = draft.inventory.pods[client].identity.clone();
                let destination = Destination { address: address(to), names };
                let flow = Flow { workload: Workload::Pod(pod), destination, port: Port::tcp(port) };
                let from = address(addresses[usize::from(address(to).is_ipv6())]);
                let probe = Probe { from, to: address(to), kind: ProbeKind::Tcp(port) };
                all.push((probe, eval(&draft.program, &flow).verdict.passes()));
            }
        }
    }
    all
}

fn check(lab: &Lab, draft: &Draft, learned: bool, when: &str) -> usize {
    let all = expected(draft, learned);
    let probes: Vec<Probe> = all.iter().map(|(probe, _)| *probe).collect();
    for ((probe, passes), outcome) in all.iter().zip(lab.probe_all(&probes).unwrap()) {
        assert_eq!(outcome.arrived(), *passes, "{when}: {probe:?}");
    }
    all.iter().filter(|(_, passes)| *passes).count()
}

#[test]
fn what_was_learned_passes_for_its_client_and_its_time() {
    let Some(lab) = Lab::for_test("what_was_learned_passes_for_its_client_and_its_time", &Topology::default()).unwrap()
    else {
        return;
    };
    let draft = draft();
    let file = draft.file(&Options::default());
    let names = Names::from_text(&file).unwrap().unwrap();
    assert_eq!(names.hosts, ["**.example.org", "*.example.net", "api.example.com"]);
    assert_eq!(names.clients.len(), 2, "{names:?}");
    lab.node().nft(&file).unwrap();
    let few = check(&lab, &draft, false, "before anything is learned");
    lab.node().nft(&elements("1h")).unwrap();
    let more = check(&lab, &draft, true, "once names are learned");
    assert!(more >= few + 5, "{few} and {more} flows passed");
    lab.node().nft(&format!("{file}{}", elements("1h"))).unwrap();
    check(&lab, &draft, true, "after a reload that brings what was learned");
    lab.node().nft(&file).unwrap();
    check(&lab, &draft, false, "after a reload that brings nothing");
    lab.node().nft(&elements("1s")).unwrap();
    let probe = Probe { from: address(CLIENTS[0][0]), to: address("20.0.0.1"), kind: ProbeKind::Tcp(443) };
    let patience = Instant::now();
    while lab.probe(probe).unwrap().arrived() && patience.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(100));
    }
    check(&lab, &draft, false, "after the time of what was learned");
}

#[test]
fn reloads_with_what_was_learned_lose_nothing() {
    let Some(lab) = Lab::for_test("reloads_with_what_was_learned_lose_nothing", &Topology::default()).unwrap() else {
        return;
    };
    let mut draft = Draft::in_cluster();
    draft.pod("shop", &CLIENTS[0]);
    let shop = draft.policy("shop", app("shop"));
    allow(&mut draft, shop, &["api.example.com"], PortSet::protocol(egress_ir::protocol::UDP));
    let element =
        format!("add element inet egressc host4/api.example.com {{ {} . 20.0.0.1 timeout 1h }}\n", CLIENTS[0][0]);
    let file = draft.file(&Options::default()) + &element;
    lab.node().nft(&file).unwrap();
    let flow = |to: &str, port| FlowSpec { from: address(CLIENTS[0][0]), to: SocketAddr::new(address(to), port) };
    let report = lab
        .flood_while(&[flow("20.0.0.1", 1111), flow("20.0.0.2", 2222)], 20_000, || {
            for _ in 0..50 {
                lab.node().nft(&file).unwrap();
            }
        })
        .unwrap();
    println!("{report:?}");
    assert!(report.counts[0].sent > 1_000);
    assert_eq!((report.counts[0].sent, report.counts[1].received), (report.counts[0].received, 0), "{report:?}");
}

#[test]
fn what_a_name_costs_is_said() {
    let Some(lab) = Lab::for_test("what_a_name_costs_is_said", &Topology::default()).unwrap() else { return };
    let rules = |count: usize| {
        let mut draft = Draft::in_cluster();
        draft.pod("shop", &CLIENTS[0]);
        let shop = draft.policy("shop", app("shop"));
        draft.allow(shop, &["20.0.0.200/32"], tcp(443));
        let hosts: Vec<String> = (0..count).map(|number| format!("x{number:03}.example.com")).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        if let Some(last) = hosts.last() {
            allow(&mut draft, shop, &hosts, tcp(443));
            let set = format!("host4/{last} {{ {} . 20.0.0.1 timeout 1h }}", CLIENTS[0][0]);
            return draft.file(&Options::default()) + &format!("add element inet egressc {set}\n");
        }
        draft.allow(shop, &["20.0.0.1/32"], tcp(443));
        draft.file(&Options::default())
    };
    let texts = [0, 1, 10, 100].map(rules);
    let names = ["by address", "1 name", "10 names, the last", "100 names, the last"];
    let candidates: Vec<Candidate<'_>> =
        names.iter().zip(&texts).map(|(name, ruleset)| Candidate { name, ruleset }).collect();
    let probe = Probe { from: address(CLIENTS[0][0]), to: address("20.0.0.1"), kind: ProbeKind::Tcp(443) };
    let costs = lab.compare_costs(&candidates, &[probe], 8_000, 9).unwrap();
    costs.iter().for_each(|cost| println!("{}: {:.0} ns, {:.2}", cost.name, cost.nanos, cost.ratio));
    assert_eq!(costs.len(), 4);
}
