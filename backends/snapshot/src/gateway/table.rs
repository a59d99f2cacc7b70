//! The table that sees to source addresses, `table inet egressc_gateways`, as text for `nft -f`.
//!
//! In: gateways and the mask of the packet mark. Out: one transaction that loads the first time and over any earlier
//! one, without a packet falling between. Whoever judges flows sets marks; this table rewrites what is marked, and lets
//! nothing leave with a wrong address, whatever routing, other tables and old connections make of it. Never runs `nft`.
//!
//! A packet that is marked for a gateway leaves in one of two ways: from the gateway's address, which is this node's, or
//! untouched towards whoever holds that address (its next hop). Nothing else passes the guard, so that a node which
//! loses the address stops at once, without anybody noticing first.

use super::{Gateway, GatewayError};
use std::fmt::Write as _;
use std::net::IpAddr;

/// The name of the table, in the family `inet`.
pub const TABLE: &str = "egressc_gateways";

/// The priority of the translation: before 100, where others masquerade. The first chain that decides wins.
const TRANSLATE: i32 = 95;
/// The priority of the guard: after 100, where all translation happens.
const GUARD: i32 = 250;
/// The bit of a connection's label that says that it was handed to a gateway's holder with the sender's own address. The
/// kernel keeps 128 such bits, and next to nobody uses them.
const HANDED: u8 = 95;
/// The priority at which packets from other nodes are marked: after connection tracking, before they are judged.
const ARRIVAL: i32 = -95;

/// The name of the interface on which a node that holds a gateway gets packets from other nodes.
#[must_use]
pub fn interface(number: u32) -> String {
    format!("egw{number}")
}

/// The table of these gateways.
///
/// # Errors
/// A number that the mask has no room for or that two gateways have, a mask that is not one run of bits, and an address
/// that two gateways have.
pub fn table(gateways: &[Gateway], mask: u32) -> Result<String, GatewayError> {
    super::check(gateways, mask)?;
    let marked: Vec<(&Gateway, u32)> = gateways.iter().filter_map(|one| Some((one, one.mark(mask)?))).collect();
    let mut text = format!("add table inet {TABLE}\nflush table inet {TABLE}\n\ntable inet {TABLE} {{\n");
    for (gateway, _) in &marked {
        push(&mut text, format_args!("\tcounter {} {{ }}\n", counter(gateway)));
    }
    text.push_str("\tcounter dropped { }\n");
    arrival(&mut text, &marked, mask);
    translate(&mut text, &marked, mask);
    guard(&mut text, &marked, mask);
    unmarked(&mut text, gateways);
    text.push_str("}\n");
    Ok(text)
}

/// What other nodes send here for a gateway.
fn arrival(text: &mut String, marked: &[(&Gateway, u32)], mask: u32) {
    push(
        text,
        format_args!("\tchain arrival {{\n\t\ttype filter hook prerouting priority {ARRIVAL}; policy accept;\n"),
    );
    // Programs that judge before connection tracking mark answers too. These go back the way they came.
    push(text, format_args!("\t\tct direction reply meta mark set meta mark & {:#010x}\n", !mask));
    for (gateway, mark) in marked.iter().filter(|(gateway, _)| gateway.nodes.is_some()) {
        let name = interface(gateway.number);
        push(
            text,
            // Answers come in by the same interface.
            format_args!(
                "\t\tiifname \"{name}\" ct direction original meta mark set meta mark & {:#010x} | {mark:#010x}\n",
                !mask
            ),
        );
    }
    text.push_str("\t}\n");
}

/// The first packet of a connection decides for all.
fn translate(text: &mut String, marked: &[(&Gateway, u32)], mask: u32) {
    push(
        text,
        format_args!("\tchain translate {{\n\t\ttype nat hook postrouting priority {TRANSLATE}; policy accept;\n"),
    );
    dispatch(text, marked, mask, "translate");
    text.push_str("\t}\n");
    for (gateway, _) in marked {
        push(text, format_args!("\tchain translate_{} {{\n", gateway.number));
        for (protocol, address) in families(gateway) {
            if gateway.nodes.is_some() {
                // That the source stays is a decision too: no later chain changes it.
                push(
                    text,
                    format_args!(
                        "\t\trt {protocol} nexthop {address} ct label set {HANDED} snat {protocol} to {protocol} saddr\n"
                    ),
                );
            }
            let family = if protocol == "ip" { 4 } else { 6 };
            push(text, format_args!("\t\tmeta nfproto ipv{family} snat {protocol} to {address}\n"));
        }
        text.push_str("\t}\n");
    }
}

/// What may leave.
fn guard(text: &mut String, marked: &[(&Gateway, u32)], mask: u32) {
    push(
        text,
        format_args!(
            "\tchain guard {{\n\t\ttype filter hook postrouting priority {GUARD}; policy accept;\n\
             \t\tct direction reply accept\n\t\tmeta mark & {mask:#010x} == 0x00000000 goto unmarked\n"
        ),
    );
    dispatch(text, marked, mask, "guard");
    text.push_str("\t\tcounter name dropped drop\n\t}\n");
    for (gateway, _) in marked {
        let counter = counter(gateway);
        push(text, format_args!("\tchain guard_{} {{\n", gateway.number));
        for (protocol, address) in families(gateway) {
            push(text, format_args!("\t\t{protocol} saddr {address} fib saddr type local accept\n"));
        }
        if gateway.nodes.is_some() {
            // A connection that began with another address goes nowhere.
            push(text, format_args!("\t\tct status snat counter name {counter} drop\n"));
            for (protocol, address) in families(gateway) {
                push(text, format_args!("\t\trt {protocol} nexthop {address} accept\n"));
            }
        }
        push(text, format_args!("\t\tcounter name {counter} drop\n\t}}\n"));
    }
}

/// Connections that were handed to a gateway's holder, or got a gateway's address, and may not leave so any more. Errors about them keep it: they are of the
/// network's making, and hosts need them.
fn unmarked(text: &mut String, gateways: &[Gateway]) {
    text.push_str("\tchain unmarked {\n\t\tmeta l4proto { 1, 58 } ct state related accept\n");
    if gateways.iter().any(|gateway| gateway.nodes.is_some()) {
        push(text, format_args!("\t\tct label {HANDED} counter name dropped drop\n"));
    }
    for (protocol, v6) in [("ip", false), ("ip6", true)] {
        let addresses: Vec<String> =
            gateways.iter().filter_map(|one| one.address(v6)).map(|one| written(one.address)).collect();
        if !addresses.is_empty() {
            push(
                text,
                format_args!(
                    "\t\tct status snat {protocol} saddr {{ {} }} counter name dropped drop\n",
                    addresses.join(", ")
                ),
            );
        }
    }
    text.push_str("\t}\n");
}

/// One rule for each gateway: there are few, and a map would be empty to some packets during a reload.
fn dispatch(text: &mut String, marked: &[(&Gateway, u32)], mask: u32, chain: &str) {
    for (gateway, mark) in marked {
        push(text, format_args!("\t\tmeta mark & {mask:#010x} == {mark:#010x} goto {chain}_{}\n", gateway.number));
    }
}

/// The families for which the gateway has an address, as nft calls them.
fn families(gateway: &Gateway) -> impl Iterator<Item = (&'static str, String)> {
    let of = |(protocol, v6)| Some((protocol, written(gateway.address(v6)?.address)));
    [("ip", false), ("ip6", true)].into_iter().filter_map(of)
}

/// An address, never with a dotted IPv4 part at its end, which nft 1.0.6 misreads.
fn written(address: IpAddr) -> String {
    let usual = address.to_string();
    match address {
        IpAddr::V6(address) if usual.contains('.') => address.segments().map(|group| format!("{group:x}")).join(":"),
        _ => usual,
    }
}

/// The counter of what a gateway's guard stops. Letters, digits and `-` of the name stand for themselves, any other
/// byte is `_` and two hex digits.
#[must_use]
pub fn counter(gateway: &Gateway) -> String {
    let mut name = String::from("dropped_");
    for byte in gateway.name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => name.push(char::from(byte)),
            _ => push(&mut name, format_args!("_{byte:02x}")),
        }
    }
    name
}

/// Appends formatted text; writing to a string cannot fail.
fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let written = text.write_fmt(arguments);
    debug_assert!(written.is_ok());
}
