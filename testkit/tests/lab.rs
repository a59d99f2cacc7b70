//! The lab held against rulesets so small that what must happen is plain.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use egress_testkit::lab::{
    Candidate, FlowSpec, Lab, LabError, NODE_V4, NODE_V6, Outcome, Place, Probe, ProbeKind, Range, Topology,
    still_talks,
};

const WAIT: Duration = Duration::from_millis(500);

fn open(name: &str) -> Option<Lab> {
    Lab::for_test(name, &Topology::default()).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn probe(from: &str, to: &str, kind: ProbeKind) -> Probe {
    Probe { from: address(from), to: address(to), kind }
}

/// A chain before routing that sees what the pod sends and accepts neighbour discovery.
fn prerouting(rules: &str) -> String {
    format!(
        "table inet t {{\n chain pre {{ type filter hook prerouting priority -90; policy accept;\n\
         iifname != \"pod0\" accept\n\
         icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept\n{rules}\n }}\n}}\n"
    )
}

const KINDS: [ProbeKind; 5] =
    [ProbeKind::Tcp(443), ProbeKind::Udp(53), ProbeKind::Sctp(9), ProbeKind::Icmp(8, 0), ProbeKind::Other(47)];

#[test]
fn without_rules_every_kind_arrives_over_both_families() {
    let Some(lab) = open("without_rules_every_kind_arrives_over_both_families") else { return };
    let mut probes = Vec::new();
    for kind in KINDS {
        probes.push(probe("10.200.3.4", "203.0.113.77", kind));
        probes.push(probe("fd00:10:0:9::4", "2001:db8:1::77", kind));
    }
    for (probe, outcome) in probes.iter().zip(lab.probe_all(&probes).unwrap()) {
        let expected = Outcome::Arrived { at: Place::Outside, source: Some(probe.from) };
        assert_eq!(outcome, expected, "{probe:?}");
    }
}

#[test]
fn what_a_rule_drops_does_not_arrive_and_its_neighbours_do() {
    let Some(lab) = open("what_a_rule_drops_does_not_arrive_and_its_neighbours_do") else { return };
    lab.node()
        .nft(&prerouting(
            "ip daddr 20.0.0.0/24 tcp dport 1000-2000 drop\n\
             ip6 daddr 2001:db8:5::/48 udp dport 53 drop\n\
             icmp type echo-request ip daddr 20.0.0.9 drop\n\
             sctp dport 9 drop",
        ))
        .unwrap();
    let cases = [
        ("10.0.0.2", "20.0.0.0", ProbeKind::Tcp(1000), false),
        ("10.0.0.2", "20.0.0.255", ProbeKind::Tcp(2000), false),
        ("10.0.0.2", "20.0.0.255", ProbeKind::Tcp(2001), true),
        ("10.0.0.2", "20.0.0.255", ProbeKind::Tcp(999), true),
        ("10.0.0.2", "20.0.1.0", ProbeKind::Tcp(1000), true),
        ("10.0.0.2", "19.255.255.255", ProbeKind::Tcp(1000), true),
        ("10.0.0.2", "20.0.0.0", ProbeKind::Udp(1000), true),
        ("10.0.0.2", "20.0.0.9", ProbeKind::Icmp(8, 0), false),
        ("10.0.0.2", "20.0.0.9", ProbeKind::Icmp(13, 0), true),
        ("fd00:10::2", "2001:db8:5::1", ProbeKind::Udp(53), false),
        ("fd00:10::2", "2001:db8:6::1", ProbeKind::Udp(53), true),
        ("fd00:10::2", "2001:db8:5::1", ProbeKind::Sctp(9), false),
    ];
    let probes: Vec<Probe> = cases.iter().map(|(from, to, kind, _)| probe(from, to, *kind)).collect();
    let outcomes = lab.probe_all(&probes).unwrap();
    for (case, outcome) in cases.iter().zip(outcomes) {
        assert_eq!(outcome.arrived(), case.3, "{case:?}");
    }
}

#[test]
fn ten_thousand_probes_are_told_apart() {
    let Some(lab) = open("ten_thousand_probes_are_told_apart") else { return };
    lab.node().nft(&prerouting("ip daddr & 0.0.0.1 == 0.0.0.1 drop")).unwrap();
    let probes: Vec<Probe> = (0_u16..10_000)
        .map(|number| {
            let [high, low] = number.to_be_bytes();
            Probe {
                from: IpAddr::from([10, 7, high, low]),
                to: IpAddr::from([50, 0, high, low]),
                kind: ProbeKind::Udp(53),
            }
        })
        .collect();
    let outcomes = lab.probe_all(&probes).unwrap();
    assert_eq!(outcomes.len(), 10_000);
    for (probe, outcome) in probes.iter().zip(outcomes) {
        let IpAddr::V4(to) = probe.to else { unreachable!() };
        assert_eq!(outcome.arrived(), to.to_bits() % 2 == 0, "{probe:?}");
    }
}

#[test]
fn the_node_and_other_pods_are_places_of_arrival() {
    let range = |text: &str, length| Range { network: address(text), length };
    let topology =
        Topology { pods: vec![vec![range("10.1.0.0", 16)], vec![range("10.2.0.0", 16), range("fd00:2::", 64)]] };
    let name = "the_node_and_other_pods_are_places_of_arrival";
    let Some(lab) = Lab::for_test(name, &topology).unwrap() else { return };
    let node = NODE_V4.to_string();
    let outcomes = lab
        .probe_all(&[
            probe("10.1.0.1", "10.2.0.9", ProbeKind::Tcp(80)),
            probe("10.2.0.1", &node, ProbeKind::Udp(53)),
            probe("fd00:2::1", &NODE_V6.to_string(), ProbeKind::Tcp(80)),
            probe(&node, "20.0.0.1", ProbeKind::Tcp(80)),
        ])
        .unwrap();
    let place = |outcome: &Outcome| match outcome {
        Outcome::Arrived { at, .. } => Some(*at),
        Outcome::NotArrived => None,
    };
    let places: Vec<Option<Place>> = outcomes.iter().map(place).collect();
    let expected = [Place::Pod(1), Place::Node, Place::Node, Place::Outside].map(Some);
    assert_eq!(places, expected);
    let stranger = probe("11.0.0.1", "20.0.0.1", ProbeKind::Tcp(80));
    assert!(matches!(lab.probe(stranger), Err(LabError::Impossible(_))));
}

#[test]
fn host_mode_probes_pass_the_output_hook() {
    let Some(lab) = open("host_mode_probes_pass_the_output_hook") else { return };
    lab.node()
        .nft(
            "table inet t { chain out { type filter hook output priority -90; policy accept;\n\
             tcp dport 80 drop\n }\n }\n",
        )
        .unwrap();
    for (from, to) in [(NODE_V4, "20.0.0.1"), (NODE_V6, "2001:db8:9::1")] {
        for (port, arrives) in [(80, false), (81, true)] {
            let probe = Probe { from, to: address(to), kind: ProbeKind::Tcp(port) };
            assert_eq!(lab.probe(probe).unwrap().arrived(), arrives, "{probe:?}");
        }
    }
}

#[test]
fn neighbours_are_found_again_and_echo_requests_answered() {
    let Some(lab) = open("neighbours_are_found_again_and_echo_requests_answered") else { return };
    lab.node().nft(&prerouting("ip daddr 20.0.0.2 drop\nip6 daddr 2001:db8:9::2 drop")).unwrap();
    for (from, to, answered) in [
        ("10.0.0.2", "20.0.0.1", true),
        ("10.0.0.2", "20.0.0.2", false),
        ("fd00:10::2", "2001:db8:9::1", true),
        ("fd00:10::2", "2001:db8:9::2", false),
    ] {
        lab.forget_neighbours().unwrap();
        assert_eq!(lab.ping(address(from), address(to)).unwrap(), answered, "{from} {to}");
    }
    assert!(lab.ping(NODE_V4, address("20.0.0.2")).unwrap());
}

#[test]
fn a_ruleset_that_forgets_neighbour_discovery_shows() {
    let Some(lab) = open("a_ruleset_that_forgets_neighbour_discovery_shows") else { return };
    lab.node()
        .nft(
            "table inet t { chain pre { type filter hook prerouting priority -90; policy accept;\n\
             meta l4proto ipv6-icmp iifname \"pod0\" drop\n }\n }\n",
        )
        .unwrap();
    lab.forget_neighbours().unwrap();
    let lost = probe("fd00:10::2", "2001:db8:9::1", ProbeKind::Udp(53));
    assert!(!lab.probe(lost).unwrap().arrived());
}

#[test]
fn conversations_cross_and_a_new_rule_cuts_them() {
    let Some(lab) = open("conversations_cross_and_a_new_rule_cuts_them") else { return };
    for (from, to) in [("10.0.0.2", "20.0.0.1:443"), ("fd00:10::2", "[2001:db8:9::1]:443")] {
        let mut stream = lab.connect(address(from), socket(to), WAIT).unwrap().unwrap();
        assert!(still_talks(&mut stream));
        assert!(lab.ask(address(from), socket(to), WAIT).unwrap());
        lab.node().nft(&prerouting("meta l4proto { tcp, udp } drop")).unwrap();
        assert!(!still_talks(&mut stream));
        assert!(!lab.ask(address(from), socket(to), WAIT).unwrap());
        let refused = lab.connect(address(from), socket(to), WAIT).unwrap();
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        lab.node().nft("delete table inet t\n").unwrap();
    }
}

#[test]
fn a_flood_counts_each_flow_exactly() {
    let Some(lab) = open("a_flood_counts_each_flow_exactly") else { return };
    lab.node()
        .nft(&prerouting("counter name seen\nudp dport 2222 drop").replace("{\n chain", "{\n counter seen { }\n chain"))
        .unwrap();
    let flow = |from: &str, to: &str| FlowSpec { from: address(from), to: socket(to) };
    let flows = [
        flow("10.0.0.2", "20.0.0.1:1111"),
        flow("10.0.0.2", "20.0.0.1:2222"),
        flow("fd00:10::2", "[2001:db8:9::1]:1111"),
    ];
    let work = || std::thread::sleep(Duration::from_secs(1));
    let report = lab.flood_while(&flows, 30_000, work).unwrap();
    let [allowed, denied, v6] = report.counts[..] else { panic!("three flows") };
    assert!(report.rate > 20_000.0, "{report:?}");
    assert!(allowed.sent > 5_000);
    assert_eq!((allowed.received, v6.received), (allowed.sent, v6.sent));
    assert_eq!(denied.received, 0);
    let seen = lab.node().nft_counter("inet t", "seen").unwrap();
    assert!(seen >= allowed.sent * 3, "the node saw {seen} packets of {}", allowed.sent * 3);
}

#[test]
fn a_flood_shows_even_a_short_gap() {
    let Some(lab) = open("a_flood_shows_even_a_short_gap") else { return };
    let flows = [FlowSpec { from: address("10.0.0.2"), to: socket("20.0.0.1:1111") }];
    let work = || {
        lab.node().nft(&prerouting("udp dport 1111 drop")).unwrap();
        lab.node().nft("delete table inet t\n").unwrap();
        std::thread::sleep(Duration::from_millis(100));
    };
    let report = lab.flood_while(&flows, 20_000, work).unwrap();
    let [count] = report.counts[..] else { panic!("one flow") };
    assert!(0 < count.received && count.received < count.sent, "{count:?}");
}

#[test]
fn costs_tell_a_long_list_from_no_rules() {
    let Some(lab) = open("costs_tell_a_long_list_from_no_rules") else { return };
    let list: String =
        (0..2_000).map(|number| format!("ip daddr 60.{}.{}.1 drop\n", number / 256, number % 256)).collect();
    let (list, none) = (prerouting(&list), String::new());
    let candidates = [Candidate { name: "none", ruleset: &none }, Candidate { name: "list", ruleset: &list }];
    let probes = [probe("10.0.0.2", "20.0.0.1", ProbeKind::Udp(53))];
    let costs = lab.compare_costs(&candidates, &probes, 2_000, 3).unwrap();
    assert_eq!(costs[1].name, "list");
    assert!(costs[1].ratio > 2.0, "{costs:?}");
}

/// Namespaces that some process still holds, by inode.
fn is_held(inode: u64) -> bool {
    let mine = fs::read_dir("/proc/self/fd").unwrap();
    let mut links = mine.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.any(|link| link.to_string_lossy() == format!("net:[{inode}]"))
}

#[test]
fn nothing_is_left_behind_even_after_a_panic() {
    let Some(lab) = open("nothing_is_left_behind_even_after_a_panic") else { return };
    let inode = fs::metadata(lab.node().path()).unwrap().ino();
    assert!(is_held(inode));
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _lab = lab;
        panic!("on purpose");
    }));
    assert!(unwound.is_err());
    assert!(!is_held(inode));
    assert!(!fs::read_to_string("/proc/net/dev").unwrap().contains("pod0"));
}

#[test]
fn a_bad_ruleset_reports_what_nft_said() {
    let Some(lab) = open("a_bad_ruleset_reports_what_nft_said") else { return };
    let error = lab.node().nft("table inet t { nonsense }\n").unwrap_err();
    assert!(error.to_string().contains("syntax error"), "{error}");
    assert!(lab.node().nft_check("table inet t { }\n").is_ok());
}
