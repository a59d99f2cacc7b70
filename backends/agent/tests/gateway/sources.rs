//! Which source address packets leave with, whoever holds the gateway, and when nobody does.

use crate::cluster::{A4, A6, Cluster, Node, PLAIN4, PLAIN6, VIA4, VIA6};
use crate::traffic::Traffic;
use std::time::{Duration, Instant};

#[test]
fn packets_leave_with_the_address_of_their_gateway_or_not_at_all() {
    let name = "packets_leave_with_the_address_of_their_gateway_or_not_at_all";
    let Some(cluster) = Cluster::for_test(name) else { return };
    let snapshot = cluster.snapshot(1);
    // Before the table is there and anybody routes, a governed packet is stopped, and others pass.
    let followers = cluster.govern();
    let traffic = Traffic::start(&cluster, Duration::from_millis(3));
    traffic.wait_for(PLAIN4, Instant::now());
    traffic.wait_for(PLAIN6, Instant::now());
    assert_eq!(traffic.seen().count(VIA4) + traffic.seen().count(VIA6), 0, "nobody holds the gateway");
    // Another node holds it.
    let (c, d) = (cluster.node("c"), cluster.node("d"));
    let hold = ["--snapshot", &snapshot, "--interface", "lan0", "--hold"];
    let holder = c.start(&hold);
    for to in [VIA4, VIA6] {
        traffic.wait_for(to, Instant::now());
    }
    let says = |words: &'static str| move |node: &Node| node.done("status", &[]).contains(words);
    c.wait_until("its status", says("fixed 192.0.2.200: held here"));
    cluster.node("a").wait_until("its status", says("fixed 192.0.2.200: elsewhere, routed there"));
    // Whatever a network plugin does meanwhile.
    for _ in 0..10 {
        cluster.node("a").masquerade().unwrap();
        cluster.node("b").masquerade().unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    traffic.seen().check(&cluster);
    // Told to end, it takes the addresses down itself.
    holder.stop();
    assert!(!c.has(A4) && !c.has(A6));
    traffic.wait_for_silence(VIA4, Duration::from_millis(300));
    traffic.wait_for_silence(VIA6, Duration::from_millis(300));
    // One of the pods' own nodes holds it: its pod's packets are rewritten where they are, the other's come there.
    let a = cluster.node("a");
    let held_by_a = a.start(&hold);
    a.wait_until("it brings the addresses up", |node| node.has(A4) && node.has(A6));
    for to in [VIA4, VIA6] {
        traffic.wait_for(to, Instant::now());
    }
    drop(held_by_a);
    // Killed, it leaves that to the kernel.
    a.wait_until("the kernel takes the addresses away", |node| !node.has(A4) && !node.has(A6));
    traffic.wait_for_silence(VIA4, Duration::from_millis(300));
    let holder = d.start(&hold);
    traffic.wait_for(VIA4, Instant::now());
    holder.stop();
    let dropped: serde_json::Value = serde_json::from_str(&a.done("status", &["--json"])).unwrap();
    assert!(dropped["gateways"]["gateways"][0]["dropped"].as_u64().unwrap() > 0, "{dropped}");
    let seen = traffic.end();
    seen.check(&cluster);
    let counts = [VIA4, VIA6, PLAIN4, PLAIN6].map(|to| seen.count(to));
    println!("packets through the gateway {} and {}, others {} and {}", counts[0], counts[1], counts[2], counts[3]);
    assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
    drop(followers);
}

/// A cgroup's hook comes too late: a pod that must leave through a gateway is refused there by name.
#[test]
fn points_that_are_too_late_are_refused_or_deny() {
    let Some(cluster) = Cluster::for_test("points_that_are_too_late_are_refused_or_deny") else { return };
    let (a, snapshot) = (cluster.node("a"), cluster.snapshot(1));
    let who = r#"{"interfaces": {"lan0": {"namespace": "shop"}}}"#;
    let identities = cluster.write("who.json", who);
    let refused = a.fails("load", &[&snapshot, "--uplink", "lan0", "--identities", &identities]);
    assert!(refused.contains("uplink lan0: by `pods#1`"), "{refused}");
    assert!(refused.contains("gateway `fixed`") && refused.contains("--iface"), "{refused}");
    // By address nobody knows before: packets are denied where it is too late, and counted.
    a.done("load", &[&snapshot, "--uplink", "lan0"]);
    let sends = |to: &str| {
        let socket = a.place.run(|| std::net::UdpSocket::bind("0.0.0.0:0").unwrap()).unwrap();
        let outside = cluster.outside.run(|| std::net::UdpSocket::bind((to, 4000)).unwrap()).unwrap();
        outside.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let _sent = socket.send_to(b"hello", (to, 4000));
        outside.recv_from(&mut [0; 64]).is_ok()
    };
    assert!(sends(PLAIN4) && !sends(VIA4));
    let status: serde_json::Value = serde_json::from_str(&a.done("status", &["--json"])).unwrap();
    assert_eq!(status["active"]["late"]["packets"], 1, "{status}");
    let table = a.place.nft_read(&["list", "table", "inet", "egressc_gateways"]).unwrap();
    assert!(table.contains(A4), "`load` brings the table");
    a.done("unload", &[]);
    assert!(a.place.nft_read(&["list", "table", "inet", "egressc_gateways"]).is_err(), "`unload` takes it away");
}
