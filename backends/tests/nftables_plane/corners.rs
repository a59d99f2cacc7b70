//! Small rulesets by hand: what a plane says of them, and what it refuses to say.

use crate::support::Asked;
use egress_backends::nftables::plane::{Scope, plane, plane_within};
use egress_backends::nftables::{Hook, Packet, Ruleset, decode};
use egress_ir::{
    AddressSet, Block, BlockKind, Cluster, Destination, Flow, Origin, Plane, PodSelector, Port, Program, Vocabulary,
    Workload, WorkloadSet,
};

fn ruleset(body: &str) -> Ruleset {
    decode(format!("table inet egressc {{\n{body}\n}}\n").as_bytes()).unwrap()
}

/// A program about a cluster that says nothing.
fn silent() -> Program {
    let none = AddressSet::empty();
    let cluster = Cluster::new(Some("c".into()), none.clone(), none.clone(), none);
    Program { cluster, ..Program::default() }
}

fn hooked(rules: &str) -> String {
    format!("chain pre {{ type filter hook prerouting priority -90; policy accept;\n{rules}\n}}")
}

/// What passes of an IPv4 destination, from a source, by the only sender that has it.
fn passes(asked: &mut Asked<'_>, from: &str, to: &str, port: Port) -> bool {
    let workload = Workload::Address(from.parse().unwrap());
    let flow = Flow { workload, destination: Destination::unnamed(to.parse().unwrap()), port };
    let senders = asked.senders(&flow);
    assert_eq!(senders.len(), 1, "{flow}");
    asked.outcome(senders[0], &flow).passes()
}

#[test]
fn jumps_gotos_and_returns_under_a_port_part_the_walk() {
    let text = "
        chain a { tcp dport 80 return
            tcp dport 81 goto b
            tcp dport 82 drop
        }
        chain b { ip daddr 10.0.0.0/8 drop
        }
        chain m { tcp dport 80-90 jump a
            tcp dport 80 drop
            udp dport 53 goto b
            tcp dport 81 counter
        }
        chain pre { type filter hook prerouting priority 0; policy drop;
            goto m
        }
        chain late { type filter hook prerouting priority 1; policy accept;
            tcp dport 443 drop
        }
        chain first { type filter hook prerouting priority -1; policy accept;
            tcp dport 22 drop
            tcp dport 443 accept
        }";
    let rules = ruleset(&text.replace("policy drop;\n            goto m", "policy accept;\n            goto m"));
    let program = silent();
    let mut asked = Asked::new(plane(&rules, &program, None).unwrap());
    let mut tcp = |to: &str, port: u16| passes(&mut asked, "10.9.9.9", to, Port::tcp(port));
    assert!(!tcp("20.0.0.1", 80) && !tcp("20.0.0.1", 82) && !tcp("20.0.0.1", 22) && !tcp("20.0.0.1", 443));
    assert!(tcp("20.0.0.1", 81) && !tcp("10.0.0.1", 81) && tcp("20.0.0.1", 83) && tcp("10.0.0.1", 84));
    let mut asked = Asked::new(plane(&rules, &program, None).unwrap());
    assert!(!passes(&mut asked, "10.9.9.9", "10.0.0.1", Port::udp(53)));
    assert!(passes(&mut asked, "10.9.9.9", "20.0.0.1", Port::udp(53)));
    // The default of a base chain is for what falls off its end.
    let dropping = ruleset(text);
    let mut asked = Asked::new(plane(&dropping, &program, None).unwrap());
    assert!(!passes(&mut asked, "10.9.9.9", "20.0.0.1", Port::tcp(83)));
}

#[test]
fn what_rules_set_is_carried_along_each_way() {
    let rules = ruleset(&hooked(
        "tcp dport 80 ct mark set 5\nct mark 5 ct mark set ct mark & 0xfffffffe | 0x10 continue\nct mark 0x14 drop\n\
         tcp dport 81 meta priority set 1:2\nmeta priority 1:2 ip daddr 10.0.0.0/8 drop",
    ));
    let program = silent();
    let mut asked = Asked::new(plane(&rules, &program, None).unwrap());
    assert!(!passes(&mut asked, "1.2.3.4", "20.0.0.1", Port::tcp(80)));
    assert!(passes(&mut asked, "1.2.3.4", "20.0.0.1", Port::tcp(81)));
    assert!(!passes(&mut asked, "1.2.3.4", "10.0.0.1", Port::tcp(81)));
    assert!(passes(&mut asked, "1.2.3.4", "10.0.0.1", Port::tcp(82)));
}

#[test]
fn maps_are_looked_up_by_source_destination_and_port() {
    let text = "
        chain t { drop
        }
        map s { typeof ip saddr : verdict; flags interval; elements = { 10.0.0.0/8 : jump t, 11.0.0.1 : accept }; }
        map d { typeof ip daddr : verdict; flags interval; elements = { 20.0.0.0/8 : drop, 21.0.0.5-21.0.0.9 : goto t }; }
        map p { typeof tcp dport : verdict; flags interval; elements = { 80-90 : drop, 443 : accept }; }
        map k { typeof ct mark : verdict; elements = { 0x3 : drop }; }
        set o { typeof ip daddr; flags interval; elements = { 30.0.0.0/8 }; }";
    let rules = "ip saddr vmap @s\nip daddr vmap @d\ntcp dport vmap @p\nudp dport 7 ct mark set 0xf3\nct mark & 0xf vmap @k\nip daddr != @o tcp dport 22 drop";
    let ruleset = ruleset(&format!("{text}\n{}", hooked(rules)));
    let program = silent();
    let mut asked = Asked::new(plane(&ruleset, &program, None).unwrap());
    let mut ask = |from: &str, to: &str, port: Port| passes(&mut asked, from, to, port);
    assert!(!ask("10.1.1.1", "9.9.9.9", Port::tcp(443)) && ask("11.0.0.1", "20.0.0.1", Port::tcp(80)));
    assert!(!ask("12.0.0.1", "20.0.0.1", Port::tcp(443)) && !ask("12.0.0.1", "21.0.0.9", Port::tcp(443)));
    assert!(ask("12.0.0.1", "21.0.0.10", Port::tcp(443)) && !ask("12.0.0.1", "21.0.0.10", Port::tcp(90)));
    assert!(!ask("12.0.0.1", "9.9.9.9", Port::udp(7)) && ask("12.0.0.1", "9.9.9.9", Port::udp(8)));
    assert!(!ask("12.0.0.1", "9.9.9.9", Port::tcp(22)) && ask("12.0.0.1", "30.0.0.1", Port::tcp(22)));
}

#[test]
fn a_mask_makes_an_element_a_bucket() {
    let text = "
        map b { typeof ip daddr : verdict; flags interval; elements = { 10.1.0.0 : drop, 10.2.0.7 : drop,
            10.4.255.0-10.6.0.9 : drop, 255.255.0.0 : drop }; }
        map h { typeof ip daddr : verdict; elements = { 77.0.3.0 : drop, 77.1.4.0 : drop }; }
        map s { typeof ip6 saddr : verdict; elements = { fd00:: : drop }; }";
    let rules = "ip daddr & 255.255.0.0 vmap @b\nip daddr & 255.0.255.0 vmap @h\nip6 saddr & ffff:: vmap @s";
    let ruleset = ruleset(&format!("{text}\n{}", hooked(rules)));
    let program = silent();
    let mut asked = Asked::new(plane(&ruleset, &program, None).unwrap());
    let dropped = ["10.1.0.0", "10.1.255.255", "10.5.0.0", "10.5.9.9", "10.6.255.255", "255.255.7.7", "77.9.3.8"];
    let passing =
        ["10.0.255.255", "10.2.0.0", "10.2.0.7", "10.3.0.0", "10.4.255.0", "10.4.255.255", "10.7.0.0", "77.1.4.0"];
    for (to, expected) in dropped.map(|to| (to, false)).into_iter().chain(passing.map(|to| (to, true))) {
        assert_eq!(passes(&mut asked, "1.2.3.4", to, Port::tcp(80)), expected, "{to}");
        let packet = Packet::new(Hook::Prerouting, "1.2.3.4".parse().unwrap(), to.parse().unwrap(), Port::tcp(80));
        assert_eq!(ruleset.judge(&packet).passes, expected, "{to}");
    }
    assert!(!passes(&mut asked, "fd00:1::", "fd01::", Port::tcp(80)));
    assert!(passes(&mut asked, "fd01::", "fd00::", Port::tcp(80)));
}

#[test]
fn what_cannot_be_said_is_not_said() {
    let text = "map m { typeof ip saddr : verdict; flags interval; elements = { 10.0.0.1-10.0.9.0 : drop }; }\n"
        .to_owned()
        + &hooked("ip daddr 10.0.0.0/8 accept\nip saddr & 255.0.255.0 vmap @m");
    let rules = ruleset(&text);
    let program = silent();
    let plane = plane(&rules, &program, None).unwrap();
    let mut vocabulary = Vocabulary::new(&plane.hosts());
    let v4 = plane.senders().iter().position(|sender| sender.v4).unwrap();
    let error = plane.pieces(v4, false, &mut vocabulary).unwrap_err();
    assert_eq!(error.reason, "ranges behind such a mask are looked up in `m`");
    assert!(plane.pieces(v4, true, &mut vocabulary).is_err() && plane.pieces(99, true, &mut vocabulary).is_err());
    // The other family never meets the rule.
    let v6 = plane.senders().iter().position(|sender| sender.v6).unwrap();
    assert!(plane.pieces(v6, true, &mut vocabulary).is_ok());
}

#[test]
fn pods_without_an_inventory_are_not_known() {
    let mut program = silent();
    let workloads = program.intern_workloads(WorkloadSet::Pods(PodSelector::default()));
    let origin = program.origins.entries.push(Origin::at("shop", egress_ir::Id::from_index(0), 0, 0, 1));
    let block = Block { name: "shop".into(), kind: BlockKind::Policy, workloads, audit: false, rules: vec![], origin };
    program.blocks.push(block);
    let rules = ruleset(&hooked("drop"));
    let error = plane(&rules, &program, None).unwrap_err();
    assert!(error.reason.starts_with("`shop` chooses pods by labels"), "{error}");
    assert!(plane(&rules, &program, Some(&egress_ir::Inventory::default())).is_ok());
}

#[test]
fn a_lost_hook_lets_everything_pass() {
    let rules = ruleset("chain out { type filter hook output priority -90; policy drop;\n}");
    let program = silent();
    let mut asked = Asked::new(plane(&rules, &program, None).unwrap());
    let mut found = Vec::new();
    for sender in 0..asked.plane.senders().len() {
        let (hook, _) = asked.plane.place(sender).unwrap();
        let list = asked.pieces(sender)[0].list;
        found.push((hook, asked.vocabulary.list_at(list).default.passes()));
    }
    use Hook::{Output, Prerouting};
    assert_eq!(found, [(Prerouting, true), (Prerouting, true), (Output, false), (Output, false)]);
    let scope = Scope { hooks: [Output].into(), interfaces: vec![] };
    assert_eq!(plane_within(&rules, &program, None, &scope).unwrap().senders().len(), 2);
}

#[test]
fn interfaces_that_are_judged_alike_are_one_sender() {
    let rules = ruleset(&format!("chain j {{ drop\n}}\n{}", hooked("iifname \"veth*\" jump j\niifname cni0 jump j")));
    let program = silent();
    let at = |scope: &[&str], rules: &Ruleset| {
        let interfaces = scope.iter().map(|name| (*name).to_owned()).collect();
        let scope = Scope { hooks: [Hook::Prerouting].into(), interfaces };
        let mut asked = Asked::new(plane_within(rules, &program, None, &scope).unwrap());
        let mut defaults = Vec::new();
        for sender in 0..asked.plane.senders().len() {
            let list = asked.pieces(sender)[0].list;
            defaults.push(asked.vocabulary.list_at(list).default.passes());
        }
        defaults
    };
    assert_eq!(at(&[], &rules), [false, false]);
    assert_eq!(at(&["cali*"], &rules), [true, true]);
    assert_eq!(at(&["cni0", "cali7"], &rules), [true, true, false, false]);
    let passing_over = ruleset(&hooked("iifname != eth1 accept\ndrop"));
    assert_eq!(at(&[], &passing_over), [false, false]);
}

#[test]
fn only_what_really_passes_is_exempt() {
    let program = silent();
    let exemptions = |rules: &str| {
        let ruleset = ruleset(&hooked(rules));
        let exemptions = plane(&ruleset, &program, None).unwrap().exemptions();
        let shown = |e: &egress_ir::Exemption| {
            let prefixes: Vec<String> = e.addresses.prefixes().iter().map(ToString::to_string).collect();
            format!("{} on {}", prefixes.join(" "), e.ports)
        };
        exemptions.iter().map(shown).collect::<Vec<_>>()
    };
    let asking = "ip6 saddr fd00::/8 drop\nmeta nfproto ipv6 drop";
    let ours =
        "icmpv6 type { 133, 134, 135, 136 } ip6 daddr fe80::/10 accept\nicmpv6 type 133-136 ip6 daddr ff02::/16 accept";
    assert_eq!(exemptions(&format!("{ours}\n{asking}")), ["fe80::/10 ff02::/16 on icmpv6/133/0-136/255"]);
    assert_eq!(exemptions(asking), [""; 0]);
    assert_eq!(
        exemptions(&format!("icmpv6 type 135 ip6 daddr fe80::/16 accept\n{asking}")),
        ["fe80::/16 on icmpv6/135"]
    );
    assert_eq!(exemptions(&format!("icmpv6 type 135 accept\n{asking}")), ["fe80::/10 ff02::/16 on icmpv6/135"]);
    assert_eq!(exemptions(&format!("ip6 saddr fd00::1 drop\n{ours}")), [""; 0]);
    let later = "}\nchain later { type filter hook prerouting priority 5; policy accept;\nip6 daddr ff02::/16 drop";
    assert_eq!(exemptions(&format!("{ours}\n{asking}\n{later}")), ["fe80::/10 on icmpv6/133/0-136/255"]);
}
