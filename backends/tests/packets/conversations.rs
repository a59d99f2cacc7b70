//! What people run: connections, replies, echo requests, neighbour discovery, and a policy that changes under them.

use crate::draft::{Draft, app, source, tcp, udp};
use crate::log_listener::LogListener;
use crate::observed::counters;
use egress_backends::nftables::{Hook, Options, emit};
use egress_ir::{PortSet, protocol};
use egress_testkit::lab::{Lab, NODE_V4, NODE_V6, Place, Probe, ProbeKind, Range, Topology, still_talks};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

const WAIT: Duration = Duration::from_millis(400);

/// Two pods, one of which no policy speaks about.
fn open(name: &str) -> Option<Lab> {
    let range = |text: &str, length| Range { network: address(text), length };
    let web = vec![range("10.42.0.0", 24), range("fd00:10:42::", 64)];
    let free = vec![range("10.42.1.0", 24), range("fd00:10:42:1::", 64)];
    Lab::for_test(name, &Topology { pods: vec![web, free] }).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A pod of the policy, and where its policy lets it go on port 443 and with echo requests, in both families.
const WEB: [(&str, &str); 2] = [("10.42.0.2", "20.0.0.1:443"), ("fd00:10:42::2", "[2001:db8:20::1]:443")];

/// `web` may use TCP 443, UDP 53 and echo requests to two ranges outside.
fn web() -> Draft {
    let mut draft = Draft::in_cluster();
    draft.pod("web", &["10.42.0.2", "fd00:10:42::2"]);
    draft.pod("free", &["10.42.1.2", "fd00:10:42:1::2"]);
    let web = draft.policy("web", app("web"));
    let echo = PortSet::icmp_type(protocol::ICMP, 8).union(&PortSet::icmp_type(protocol::ICMPV6, 128));
    let ports = tcp(443).union(&udp(53)).union(&echo);
    draft.allow(web, &["20.0.0.0/24", "2001:db8:20::/64"], ports);
    draft
}

/// The same, but nothing is allowed any more.
fn tightened() -> Draft {
    let mut draft = web();
    let freeze = draft.guardrail("freeze", app("web"));
    draft.deny(freeze, &["20.0.0.0/24", "2001:db8:20::/64"], PortSet::any());
    draft
}

fn both_hooks() -> Vec<Hook> {
    vec![Hook::Prerouting, Hook::Output]
}

fn options(epoch: Option<u32>) -> Options {
    Options { epoch, ..Options::default() }
}

#[test]
fn what_is_allowed_talks_both_ways_and_the_rest_does_not() {
    let Some(lab) = open("what_is_allowed_talks_both_ways_and_the_rest_does_not") else { return };
    for epoch in [None, Some(1)] {
        lab.node().nft(&web().file(&options(epoch))).unwrap();
        for (from, to) in WEB {
            let (from, to) = (address(from), socket(to));
            let mut stream = lab.connect(from, to, WAIT).unwrap().unwrap();
            assert!(still_talks(&mut stream) && still_talks(&mut stream), "{from} {to}");
            let elsewhere = [
                SocketAddr::new(to.ip(), 444),
                socket(if to.is_ipv4() { "20.0.1.0:443" } else { "[2001:db8:21::]:443" }),
            ];
            for denied in elsewhere {
                let refused = lab.connect(from, denied, WAIT).unwrap().unwrap_err();
                assert_eq!(refused.kind(), std::io::ErrorKind::TimedOut, "{from} {denied}");
            }
            assert!(lab.ask(from, SocketAddr::new(to.ip(), 53), WAIT).unwrap());
            assert!(!lab.ask(from, SocketAddr::new(to.ip(), 54), WAIT).unwrap());
            assert!(lab.ping(from, to.ip()).unwrap());
            assert!(!lab.ping(from, elsewhere[1].ip()).unwrap());
        }
    }
}

#[test]
fn ungoverned_pods_the_node_and_the_cluster_are_left_alone() {
    let Some(lab) = open("ungoverned_pods_the_node_and_the_cluster_are_left_alone") else { return };
    lab.node().nft(&tightened().file(&options(None))).unwrap();
    let probe = |from: IpAddr, to: &str| Probe { from, to: address(to), kind: ProbeKind::Tcp(443) };
    let arriving = [
        // A pod that no policy names, and an address that no pod has.
        (probe(address("10.42.1.2"), "20.0.0.1"), Place::Outside),
        (probe(address("10.42.0.77"), "20.0.0.1"), Place::Outside),
        (probe(address("fd00:10:42:1::2"), "2001:db8:20::1"), Place::Outside),
        (probe(NODE_V4, "20.0.0.1"), Place::Outside),
        (probe(NODE_V6, "2001:db8:20::1"), Place::Outside),
        // To other pods, to services and to the node.
        (probe(address("10.42.0.2"), "10.42.1.2"), Place::Pod(1)),
        (probe(address("fd00:10:42::2"), "fd00:10:42:1::2"), Place::Pod(1)),
        (probe(address("10.42.0.2"), "10.43.0.1"), Place::Outside),
        (probe(address("10.42.0.2"), "192.0.2.1"), Place::Node),
        // From other pods and from the node.
        (probe(address("10.42.1.2"), "10.42.0.2"), Place::Pod(0)),
        (probe(NODE_V4, "10.42.0.2"), Place::Pod(0)),
    ];
    let probes: Vec<Probe> = arriving.iter().map(|(probe, _)| *probe).collect();
    for ((probe, place), outcome) in arriving.iter().zip(lab.probe_all(&probes).unwrap()) {
        assert!(
            matches!(outcome, egress_testkit::lab::Outcome::Arrived { at, .. } if at == *place),
            "{probe:?}: {outcome:?}"
        );
    }
    let denied =
        lab.probe_all(&[probe(address("10.42.0.2"), "20.0.0.1"), probe(address("fd00:10:42::2"), "2001:db8:20::1")]);
    assert!(denied.unwrap().iter().all(|outcome| !outcome.arrived()));
}

/// What a program of a pod does to whoever connects: answers with the bytes it was sent.
fn serve(listener: TcpListener) -> impl FnOnce() {
    move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut room = [0; 4];
        while stream.read_exact(&mut room).is_ok() && stream.write_all(&room).is_ok() {}
    }
}

#[test]
fn connections_from_outside_are_answered_whatever_the_policy() {
    let Some(lab) = open("connections_from_outside_are_answered_whatever_the_policy") else { return };
    for epoch in [None, Some(1)] {
        lab.node().nft(&tightened().file(&options(epoch))).unwrap();
        for own in ["10.42.0.2:8080", "[fd00:10:42::2]:8080"].map(socket) {
            let listener = lab.namespace(Place::Pod(0)).unwrap().run(|| TcpListener::bind(own)).unwrap().unwrap();
            let service = std::thread::spawn(serve(listener));
            let connect = || {
                let stream = TcpStream::connect_timeout(&own, Duration::from_secs(2))?;
                stream.set_read_timeout(Some(WAIT))?;
                Ok::<_, std::io::Error>(stream)
            };
            let mut stream = lab.outside().run(connect).unwrap().unwrap();
            assert!(still_talks(&mut stream) && still_talks(&mut stream), "{own} epoch {epoch:?}");
            drop(stream);
            service.join().unwrap();
        }
    }
}

#[test]
fn established_connections_survive_a_replacement_that_allows_them() {
    let Some(lab) = open("established_connections_survive_a_replacement_that_allows_them") else { return };
    for (before, after) in [(None, None), (Some(1), Some(1)), (Some(1), Some(2)), (None, Some(3)), (Some(3), None)] {
        lab.node().nft(&web().file(&options(before))).unwrap();
        let connect = |(from, to): (&str, &str)| lab.connect(address(from), socket(to), WAIT).unwrap().unwrap();
        let mut streams = WEB.map(connect);
        assert!(streams.iter_mut().all(still_talks));
        let mut wider = web();
        let more = wider.policy("more", app("web"));
        wider.allow(more, &["20.0.0.0/8"], tcp(8443));
        lab.node().nft(&wider.file(&options(after))).unwrap();
        assert!(streams.iter_mut().all(still_talks), "epoch {before:?} to {after:?}");
    }
}

#[test]
fn a_tightening_cuts_running_connections_at_once() {
    let Some(lab) = open("a_tightening_cuts_running_connections_at_once") else { return };
    for (before, after) in [(None, None), (Some(1), Some(2)), (Some(2), None)] {
        lab.node().nft(&web().file(&options(before))).unwrap();
        let connect = |(from, to): (&str, &str)| lab.connect(address(from), socket(to), WAIT).unwrap().unwrap();
        let mut streams = WEB.map(connect);
        assert!(streams.iter_mut().all(still_talks));
        lab.node().nft(&tightened().file(&options(after))).unwrap();
        for stream in &mut streams {
            assert!(!still_talks(stream), "epoch {before:?} to {after:?}");
        }
        let udp = lab.ask(address(WEB[0].0), socket("20.0.0.1:53"), WAIT).unwrap();
        assert!(!udp, "epoch {before:?} to {after:?}");
    }
}

#[test]
fn an_epoch_that_stays_spares_running_connections_only() {
    let Some(lab) = open("an_epoch_that_stays_spares_running_connections_only") else { return };
    lab.node().nft(&web().file(&options(Some(5)))).unwrap();
    let (from, to) = (address(WEB[0].0), socket(WEB[0].1));
    let mut stream = lab.connect(from, to, WAIT).unwrap().unwrap();
    lab.node().nft(&tightened().file(&options(Some(5)))).unwrap();
    assert!(still_talks(&mut stream));
    assert!(lab.connect(from, to, WAIT).unwrap().is_err());
}

#[test]
fn an_epoch_leaves_the_rest_of_the_mark_alone() {
    let Some(lab) = open("an_epoch_leaves_the_rest_of_the_mark_alone") else { return };
    let others = "table inet other {\n counter kept { }\n\
                  chain pre { type filter hook prerouting priority -140; policy accept;\n\
                  ct direction original ct mark 0 ct mark set 0x12000034\n }\n\
                  chain post { type filter hook postrouting priority 0; policy accept;\n\
                  ct mark 0x12070034 counter name kept\n }\n}\n";
    lab.node().nft(others).unwrap();
    lab.node().nft(&web().file(&options(Some(7)))).unwrap();
    let mut stream = lab.connect(address(WEB[0].0), socket(WEB[0].1), WAIT).unwrap().unwrap();
    assert!(still_talks(&mut stream));
    assert!(lab.node().nft_counter("inet other", "kept").unwrap() >= 4);
}

/// Sends a datagram of 4,000 bytes, which no link takes in one piece; how many bytes the answer has.
fn ask_at_length(lab: &Lab, from: &str, to: SocketAddr) -> Option<usize> {
    let ask = || {
        let socket = UdpSocket::bind(SocketAddr::new(address(from), 0))?;
        socket.set_read_timeout(Some(WAIT))?;
        socket.send_to(&[7; 4000], to)?;
        socket.recv(&mut [0; 4000])
    };
    lab.namespace(Place::Pod(0)).unwrap().run(ask).unwrap().ok()
}

#[test]
fn fragments_share_the_fate_of_their_datagram() {
    let Some(lab) = open("fragments_share_the_fate_of_their_datagram") else { return };
    lab.node().nft(&web().file(&options(None))).unwrap();
    for (from, to) in WEB {
        let to = socket(to).ip();
        // The outside gives back the first 2,048 bytes, which are again more than one fragment.
        assert_eq!(ask_at_length(&lab, from, SocketAddr::new(to, 53)), Some(2048), "{from}");
        assert_eq!(ask_at_length(&lab, from, SocketAddr::new(to, 54)), None, "{from}");
    }
    // The port is known of every fragment, so the rule counts whole datagrams.
    assert_eq!(counters(lab.node()).get("rule_web.1"), Some(&2));
}

#[test]
fn neighbours_are_found_again_under_default_deny() {
    let Some(lab) = open("neighbours_are_found_again_under_default_deny") else { return };
    // The policy governs everybody, the links' own addresses too.
    let mut draft = web();
    draft.policy("all", egress_ir::WorkloadSet::All);
    for interfaces in [Vec::new(), vec!["pod*".to_owned()], vec!["pod0".to_owned(), "out0".to_owned()]] {
        lab.node()
            .nft(&draft.file(&Options {
                interfaces,
                hooks: vec![egress_backends::nftables::Hook::Prerouting, egress_backends::nftables::Hook::Output],
                ..Options::default()
            }))
            .unwrap();
        for (from, to) in WEB {
            lab.forget_neighbours().unwrap();
            assert!(lab.ping(address(from), socket(to).ip()).unwrap(), "{from}");
            assert!(
                !lab.ping(address(from), address(if from.contains(':') { "2001:db8:21::1" } else { "20.0.1.1" }))
                    .unwrap()
            );
        }
    }
}

#[test]
fn counters_and_logs_tell_what_happened() {
    let Some(lab) = open("counters_and_logs_tell_what_happened") else { return };
    let mut draft = web();
    let guard = draft.guardrail("metadata", app("web"));
    draft.deny(guard, &["169.254.169.254/32"], PortSet::any());
    let logs = LogListener::new(lab.node(), 5);
    lab.node().nft(&draft.file(&options(None))).unwrap();
    let probes = |to: &str, port, count| {
        vec![Probe { from: address("10.42.0.2"), to: address(to), kind: ProbeKind::Tcp(port) }; count]
    };
    let sent = [probes("20.0.0.1", 443, 30), probes("20.0.0.1", 444, 70), probes("169.254.169.254", 80, 11)].concat();
    let arrived = lab.probe_all(&sent).unwrap().iter().filter(|outcome| outcome.arrived()).count();
    assert_eq!(arrived, 30);
    let counted = counters(lab.node());
    let of = |name: &str| counted.get(name).copied();
    assert_eq!((of("rule_web.1"), of("default_web"), of("rule_metadata.1")), (Some(30), Some(70), Some(11)));
    // A burst of 20 at once, then 10 a second; the rule that did not ask for a log has none.
    let prefixes = logs.prefixes();
    assert!((20..=40).contains(&prefixes.len()), "{} logs", prefixes.len());
    assert!(prefixes.iter().all(|prefix| prefix == "egressc deny web default "), "{prefixes:?}");
    // Counters go on over a replacement.
    lab.node().nft(&draft.file(&options(None))).unwrap();
    assert_eq!(counters(lab.node()).get("default_web"), Some(&70));
}

#[test]
fn a_host_without_kubernetes_is_governed_at_output() {
    let Some(lab) = open("a_host_without_kubernetes_is_governed_at_output") else { return };
    let mut draft = Draft::on_host();
    let host = draft
        .policy("host", egress_ir::WorkloadSet::Union(vec![source("192.0.2.1/32"), source("2001:db8:feed::1/128")]));
    draft.allow(host, &["20.0.0.0/24", "2001:db8:20::/64"], tcp(443).union(&udp(53)));
    let artifact = emit(&draft.program, None, &options(Some(1))).unwrap();
    lab.node().nft(&String::from_utf8(artifact.bytes).unwrap()).unwrap();
    for (from, to) in [(NODE_V4, "20.0.0.1:443"), (NODE_V6, "[2001:db8:20::1]:443")] {
        let to = socket(to);
        lab.forget_neighbours().unwrap();
        let mut stream = lab.connect(from, to, WAIT).unwrap().unwrap();
        assert!(still_talks(&mut stream));
        assert!(lab.connect(from, SocketAddr::new(to.ip(), 80), WAIT).unwrap().is_err());
        assert!(lab.ask(from, SocketAddr::new(to.ip(), 53), WAIT).unwrap());
        assert!(!lab.ask(from, SocketAddr::new(to.ip(), 54), WAIT).unwrap());
    }
    // What the host talks about with itself stays its own affair, and forwarded sources are not governed here.
    let own = lab.node().run(|| {
        let listener = TcpListener::bind("192.0.2.1:9000")?;
        TcpStream::connect_timeout(&listener.local_addr()?, WAIT)
    });
    assert!(own.unwrap().is_ok());
    assert!(
        lab.probe(Probe { from: address("10.42.0.2"), to: address("20.0.0.1"), kind: ProbeKind::Tcp(80) })
            .unwrap()
            .arrived()
    );
}

#[test]
fn a_hook_that_is_no_longer_asked_for_judges_nothing() {
    let Some(lab) = open("a_hook_that_is_no_longer_asked_for_judges_nothing") else { return };
    let mut draft = web();
    draft.policy("all", egress_ir::WorkloadSet::All);
    let probe = Probe { from: NODE_V4, to: address("20.0.0.1"), kind: ProbeKind::Udp(9) };
    for (hooks, arrives) in [(both_hooks(), false), (vec![Hook::Prerouting], true), (both_hooks(), false)] {
        lab.node().nft(&draft.file(&Options { hooks, ..Options::default() })).unwrap();
        assert_eq!(lab.probe(probe).unwrap().arrived(), arrives);
    }
}
