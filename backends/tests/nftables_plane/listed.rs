//! What the kernel lists after it has loaded a file means what the file means. Skipped loudly where no network
//! namespaces can be made; with `EGRESS_REQUIRE_LAB=1` that is a failure.

use crate::common::{packet_of, program_of, settings};
use egress_backends::nftables::{Hook, Judge, Options, Packet, Ruleset, decode, decode_listing, emit, plane};
use egress_ir::plane::{List, Piece};
use egress_ir::{Destination, Flow, Inventory, Plane, Port, Program, Vocabulary, Workload};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::lab::{Lab, Topology};
use egress_testkit::programs::random_inventory;
use egress_testkit::seed::{Rng, cases, seed};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Loads a file into an empty kernel and reads back what it lists.
fn listed(lab: &Lab, file: &str) -> Ruleset {
    lab.node().nft("flush ruleset\n").unwrap();
    lab.node().nft(file).unwrap();
    let whole = lab.node().nft_read(&["-j", "list", "ruleset"]).unwrap();
    let own = lab.node().nft_read(&["-j", "list", "table", "inet", "egressc"]).unwrap();
    let listing = decode_listing(whole.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{file}"));
    let mut without_gateways = listing.clone();
    without_gateways.ruleset.gateways = None;
    assert_eq!(without_gateways, decode_listing(own.as_bytes()).unwrap());
    assert_eq!(listing.others, BTreeSet::new());
    listing.ruleset
}

/// A sender as text, and its pieces with their lists.
type Written = (String, Vec<(u128, u128, List)>);

/// The pieces of every sender.
fn pieces(ruleset: &Ruleset, program: &Program, inventory: Option<&Inventory>) -> Vec<Written> {
    let plane = plane::plane(ruleset, program, inventory).unwrap();
    let mut vocabulary = Vocabulary::new(&plane.hosts());
    let mut all = Vec::new();
    for (number, sender) in plane.senders().iter().enumerate() {
        let pieces = plane.pieces(number, sender.v6, &mut vocabulary).unwrap();
        let written = |piece: &Piece| (piece.start, piece.end, vocabulary.list_at(piece.list).clone());
        all.push((format!("{:?} {:?}", plane.place(number), sender), pieces.iter().map(written).collect()));
    }
    all
}

#[test]
fn listings_mean_what_was_loaded() {
    let Some(lab) = Lab::for_test("listings_mean_what_was_loaded", &Topology::default()).unwrap() else { return };
    let (seed, cases) = (seed(), cases(24));
    let (mut judged, mut compared) = (0, 0);
    for case in 0..cases {
        let mut rng = Rng::new(seed, 90_000 + case);
        let setting = settings(case);
        let program = program_of(&mut rng, setting);
        let inventory = random_inventory(&mut rng, &program);
        let known = setting.has_inventory.then_some(&inventory);
        let interfaces = if case % 3 == 0 { vec!["veth*".to_owned(), "cni0".to_owned()] } else { vec![] };
        let hooks = vec![Hook::Prerouting, Hook::Output];
        let epoch = setting.epoch.then_some(3);
        let options = Options { hooks, epoch, interfaces, ..Options::default() };
        let file = String::from_utf8(emit(&program, known, &options).unwrap().bytes).unwrap();
        let (loaded, listed) = (decode(file.as_bytes()).unwrap(), listed(&lab, &file));
        let (by_file, by_kernel) = (Judge::new(&loaded), Judge::new(&listed));
        let sources = known.map_or(Sources::Addresses, Sources::Inventory);
        for _ in 0..100 {
            let flow = biased_flow(&mut rng, &program, sources);
            let Some(mut packet) = packet_of(&flow, &inventory) else { continue };
            packet.hook = if rng.chance(70) { Hook::Prerouting } else { Hook::Output };
            packet.input = ["eth0", "veth7", "cni0"][rng.below(3)].to_owned();
            assert_eq!(by_file.judge(&packet), by_kernel.judge(&packet), "seed {seed} case {case}: {flow}\n{file}");
            judged += 1;
        }
        let (by_file, by_kernel) = (pieces(&loaded, &program, known), pieces(&listed, &program, known));
        assert_eq!(by_file, by_kernel, "seed {seed} case {case}\n{file}");
        compared += by_file.iter().map(|(_, pieces)| pieces.len()).sum::<usize>();
    }
    println!("{judged} packets and {compared} pieces of {cases} files judged alike");
    assert!(judged > 100 && compared > 100);
}

#[test]
fn the_recorded_files_are_listed_alike() {
    let Some(lab) = Lab::for_test("the_recorded_files_are_listed_alike", &Topology::default()).unwrap() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/nftables");
    let mut checked = 0;
    for name in ["cluster.snap", "host.snap"] {
        let snapshot = fs::read_to_string(folder.join(name)).unwrap();
        // The file begins after the header of the snapshot.
        let file = snapshot.splitn(3, "---\n").nth(2).unwrap();
        let (loaded, listed) = (decode(file.as_bytes()).unwrap(), listed(&lab, file));
        let program = Program::default();
        let by_file = pieces(&loaded, &program, None);
        assert_eq!(by_file, pieces(&listed, &program, None), "{name}");
        checked += by_file.iter().map(|(_, pieces)| pieces.len()).sum::<usize>();
    }
    assert!(checked > 4, "{checked}");
}

/// Everything that `decode` understands, as nft prints it.
const EVERYTHING: &str = "table inet egressc {
    counter c1 { comment \"why\"; }
    map m { typeof ip saddr : verdict; size 4; elements = { 10.0.0.1 : jump y, 10.0.0.2 : accept }; }
    map d { typeof ip daddr : verdict; flags interval; elements = { 10.0.0.0/8 : jump y, 11.0.0.1-11.0.0.7 : goto y,
        12.0.0.1 : drop, 13.0.0.0/8 : return, 14.0.0.1 : continue }; }
    map live { typeof meta nfproto : verdict; size 2; elements = { ipv4 : return, ipv6 : continue }; }
    map marks { typeof ct mark : verdict; elements = { 0x10 : drop }; }
    map ports { typeof tcp dport : verdict; flags interval; elements = { 80 : drop, 1024-2047 : accept }; }
    map b { typeof ip6 daddr : verdict; elements = { fd00:: : drop }; }
    set s { typeof ip6 saddr; flags interval; elements = { fd00::/8, 2001:db8::1-2001:db8::9, ff02::1 }; }
    set p { typeof tcp dport; flags interval; comment \"some\"; elements = { 80, 443-500 }; }
    chain y { }
    chain w {
        ip daddr 1.2.3.4 tcp dport 443 counter name c1 accept
        ip daddr 0.0.0.0/0 udp dport 1 drop
        ip6 daddr < 2001:db8:: sctp dport 2 drop
        ip daddr < 1.2.3.4 tcp dport < 9 drop
        ip6 daddr ::ffff:102:304 drop
        ip daddr 1.2.3.4-1.2.3.9 counter packets 5 bytes 10 drop
        ip daddr != 10.0.0.0/7 tcp dport 5-7 drop
        ip daddr != { 10.0.0.0/7, 1.2.3.4, 1.2.3.9-1.2.3.20 } tcp dport { 11, 13, 500-600 } drop
        tcp dport != 0-60000 drop
        meta l4proto { 5, 7-9, 47 } drop
        meta l4proto != { 6, 17, 1, 58, 132 } meta l4proto != 99-120 drop
        meta nfproto ipv4 udp dport 99 drop
        icmp type { 8, 9, 100 } icmp code { 0, 3, 77 } drop
        icmp type 3-5 drop
        icmpv6 type { 133, 134, 135, 136 } ip6 daddr fe80::/10 accept
        icmpv6 type 1 icmpv6 code 0-4 drop
        ip6 hoplimit 255 accept
        oifname \"lo\" accept
        iifname { \"veth*\", \"cni0\" } ct mark 77 accept
        iifname != \"eth0\" udp dport 1000 drop
        ct state new,untracked limit rate 10/second burst 20 packets log prefix \"egressc deny \" group 5 snaplen 96
        limit rate 10/minute log prefix \"aa\" level info
        ct state { new, established } udp dport 1001 drop
        ct state != { new, established } drop
        ct state != new drop
        ct direction reply ct state established,related accept
        ct mark & 0x00ff0000 == 0x00070000 accept
        ct mark { 0x100-0x1ff, 3 } accept
        udp dport 1002 ct mark set 5
        udp dport 1003 ct mark set ct mark & 0xff00ffff | 0x00070000
        udp dport 1004 ct mark set ct mark & 0xff00ffff
        udp dport 1005 ct mark set ct mark | 0x00000010
        ct mark & 0xff vmap @marks
        udp dport 1006 meta priority set e9e5:5c01
        meta priority e9e5:5c01 meta priority set 0:0 drop
        meta priority != { 0:0, 1:2 } drop
        fib daddr type { local, broadcast, multicast } udp dport 1007 drop
        ip6 saddr @s udp dport 1008 drop
        ip6 daddr != @s udp dport 1009 drop
        udp dport @p drop
        ip saddr & 255.255.255.0 vmap @m
        ip saddr vmap @m comment \"by pod\"
        ip6 daddr & ffff:: vmap @b
        ip daddr vmap @d
        tcp dport vmap @ports
        meta nfproto vmap @live
        udp dport 1010 drop
    }
    chain pre { type filter hook prerouting priority dstnat + 10; policy drop;
        jump w comment \"all\"
    }
    chain out { type filter hook output priority filter; policy accept;
        goto w
    }
}
";

#[test]
fn everything_that_is_understood_is_listed_alike() {
    let name = "everything_that_is_understood_is_listed_alike";
    let Some(lab) = Lab::for_test(name, &Topology::default()).unwrap() else { return };
    let (loaded, listed) = (decode(EVERYTHING.as_bytes()).unwrap(), listed(&lab, EVERYTHING));
    let (by_file, by_kernel) = (Judge::new(&loaded), Judge::new(&listed));
    assert_eq!(loaded.counters, listed.counters);
    assert_eq!(listed.chains["pre"], loaded.chains["pre"]);
    let mut rng = Rng::new(seed(), 0);
    let (mut passed, count) = (0, 20_000);
    for _ in 0..count {
        let packet = random_packet(&mut rng);
        let judgement = by_file.judge(&packet);
        assert_eq!(judgement, by_kernel.judge(&packet), "{packet:?}");
        passed += u32::from(judgement.passes);
    }
    assert!(passed > count / 20 && passed < count / 20 * 19, "{passed}");
    assert_eq!(pieces(&loaded, &Program::default(), None), pieces(&listed, &Program::default(), None));
}

fn random_packet(rng: &mut Rng) -> Packet {
    use egress_backends::nftables::State::{Established, Invalid, New, Related, Untracked};
    let v4 = ["1.2.3.4", "1.2.3.8", "1.2.3.20", "10.0.0.1", "10.0.0.2", "11.0.0.7", "12.0.0.1", "13.1.1.1", "99.0.0.1"];
    let v6 = ["fd00::1", "2001:db8::5", "ff02::1", "fe80::1", "2002::", "::ffff:1.2.3.4"];
    let addresses = if rng.chance(50) { &v4[..] } else { &v6[..] };
    let [source, destination] = [rng.pick(addresses), rng.pick(addresses)].map(|text| text.parse().unwrap());
    let number = [1, 2, 6, 8, 12, 80, 99, 443, 550, 1023, 1500, 60_001][rng.below(12)];
    let number = if rng.chance(60) { number } else { u16::try_from(rng.between(998, 1012)).unwrap() };
    let icmp = if addresses.len() == v4.len() { 1 } else { 58 };
    let port = match rng.below(6) {
        0 => Port::icmp(icmp, [1, 3, 8, 9, 100, 135][rng.below(6)], [0, 3, 4, 77][rng.below(4)]),
        1 => Port::new([5, 8, 47, 99, 121][rng.below(5)], 0),
        2 => Port::new(132, number),
        3 => Port::tcp(number),
        _ => Port::udp(number),
    };
    let hook = if rng.chance(60) { Hook::Prerouting } else { Hook::Output };
    let flow = Flow { workload: Workload::Address(source), destination: Destination::unnamed(destination), port };
    let mut packet = packet_of(&flow, &Inventory::default()).unwrap();
    packet.hook = hook;
    packet.input = if hook == Hook::Output { "" } else { rng.pick(&["eth0", "veth1", "cni0"]) }.to_owned();
    packet.output = if hook == Hook::Output { rng.pick(&["eth0", "lo"]) } else { "" }.to_owned();
    packet.state = [New, New, New, Established, Related, Invalid, Untracked][rng.below(7)];
    packet.is_reply = rng.chance(20);
    packet.mark = [0, 0, 0, 3, 0x10, 77, 0x150, 0x0007_0000][rng.below(8)];
    packet.hop_limit = if rng.chance(10) { 255 } else { 64 };
    packet.destination_is_local = rng.chance(10);
    packet
}

#[test]
fn other_tables_are_named_and_left_alone() {
    let Some(lab) = Lab::for_test("other_tables_are_named_and_left_alone", &Topology::default()).unwrap() else {
        return;
    };
    let file = "table inet egressc { chain pre { type filter hook prerouting priority -90; policy accept;\n drop\n }\n}\n\
        table ip filter { map m { type ipv4_addr . inet_service : verdict; }\n set s { type ipv4_addr; flags timeout; }\n\
        chain FORWARD { type filter hook forward priority 0; policy drop;\n tcp flags syn reject\n }\n chain x { }\n }\n\
        table inet egress { chain pre { type nat hook prerouting priority -100; policy accept;\n\
        tcp dport 80 redirect to :8080\n }\n }\n";
    lab.node().nft("flush ruleset\n").unwrap();
    lab.node().nft(file).unwrap();
    let listing = decode_listing(lab.node().nft_read(&["-j", "list", "ruleset"]).unwrap().as_bytes()).unwrap();
    let others: Vec<&str> = listing.others.iter().map(String::as_str).collect();
    assert_eq!(others, ["chain inet egress pre", "chain ip filter FORWARD"]);
    assert_eq!(listing.ruleset.chains.len(), 1);
    lab.node().nft("delete table inet egressc\n").unwrap();
    let error = decode_listing(lab.node().nft_read(&["-j", "list", "ruleset"]).unwrap().as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "the listing has no such table: `table inet egressc`");
}
