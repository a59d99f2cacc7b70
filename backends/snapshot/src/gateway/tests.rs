//! Tests of gateways: marks, what is refused, and the line of nftables files. The table itself is tried by the kernel in
//! `backends/tests/packets/`.

use super::*;

fn gateway(name: &str, number: u32, addresses: &[&str]) -> Gateway {
    let addresses = addresses.iter().map(|one| Address { address: one.parse().unwrap(), managed: false }).collect();
    Gateway { name: name.to_owned(), number, nodes: None, addresses }
}

#[test]
fn the_line_of_a_file_says_the_same_again() {
    let mut held = gateway("eu-fixed", 1, &["203.0.113.10", "2001:db8::10"]);
    held.nodes = Some("zone in (a, b),!spare".to_owned());
    let said = Gateways { mask: MASK, gateways: vec![held, gateway("us", 2, &["203.0.113.11"])] };
    let line = said.line().unwrap();
    assert_eq!(line.lines().count(), 1);
    let file = format!("#!/usr/sbin/nft -f\n# by egressc\n{line}\n\nadd table inet egressc\n");
    assert_eq!(Gateways::of_file(&file), Ok(Some(said)));
    assert_eq!(Gateways::of_file("add table inet egressc\n"), Ok(None));
}

#[test]
fn damaged_lines_are_refused() {
    let line = Gateways { mask: MASK, gateways: vec![gateway("eu", 1, &["203.0.113.10"])] }.line().unwrap();
    let twice = Gateways::of_file(&format!("{line}\n{line}\n")).unwrap_err();
    assert_eq!(twice.to_string(), "the line `# gateways:` is damaged: there are two of them");
    assert!(matches!(Gateways::of_file(line.trim_end_matches('}')), Err(GatewayError::Line(_))));
    assert!(matches!(Gateways::of_file(&line.replace("mask", "mesk")), Err(GatewayError::Line(_))));
    let without_room = line.replace("\"number\":1", "\"number\":256");
    assert!(matches!(Gateways::of_file(&without_room), Err(GatewayError::Number { number: 256, .. })));
}

#[test]
fn what_cannot_be_told_apart_has_no_table() {
    let (eu, us) = (gateway("eu", 1, &["203.0.113.10"]), gateway("us", 2, &["203.0.113.11", "2001:db8::11"]));
    let refused = |gateways: &[Gateway], mask| table(gateways, mask).unwrap_err().to_string();
    assert_eq!(refused(&[], 0x00ff_00ff), "the mask `0x00ff00ff` of the packet mark is not one run of bits");
    assert_eq!(refused(&[], 0), "the mask `0x00000000` of the packet mark is not one run of bits");
    assert_eq!(
        refused(&[eu.clone(), us.clone()], 1 << 31),
        "the mask `0x80000000` of the packet mark has no room for the number 2 of gateway `us`"
    );
    assert_eq!(refused(&[eu.clone(), gateway("us", 1, &[])], MASK), "gateways `eu` and `us` have one number");
    let mut same = us;
    same.addresses.insert(0, Address { address: "203.0.113.10".parse().unwrap(), managed: true });
    assert_eq!(refused(&[eu, same], MASK), "gateways `eu` and `us` both have the address `203.0.113.10`");
    assert!(matches!(table(&[gateway(&"é".repeat(60), 1, &[])], MASK), Err(GatewayError::Name(_))));
}

#[test]
fn a_gateway_that_every_node_holds_is_never_sent_to() {
    let here = gateway("eu", 3, &["203.0.113.10"]);
    let mut elsewhere = here.clone();
    elsewhere.nodes = Some("zone=a".to_owned());
    let (here, elsewhere) = (table(&[here], MASK).unwrap(), table(&[elsewhere], MASK).unwrap());
    for only_elsewhere in ["iifname \"egw3\"", "rt ip nexthop", "snat ip to ip saddr"] {
        assert!(elsewhere.contains(only_elsewhere) && !here.contains(only_elsewhere), "{only_elsewhere}");
    }
    assert!(here.contains("meta mark & 0x00ff0000 == 0x00030000 goto guard_3"));
}
