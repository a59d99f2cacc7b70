//! A configuration for keepalived that moves gateways between nodes by VRRP (RFC 9568), on interfaces of the names that the
//! table of gateways knows. The agent then only follows the addresses.
//!
//! In: gateways with addresses to manage. Out: the text, or which gateway it cannot be: VRRP speaks of one family, and the
//! address of the other one would be where packets that come for it are not known as the gateway's.

use super::source::Gateways;
use crate::failure::Failure;
use egress_snapshot::gateway::{Gateway, interface};
use std::fmt::Write;

/// The file for one node. Those with a higher priority hold first; nobody is pushed aside.
pub(super) fn text(gateways: &Gateways, over: &str, priority: u8) -> Result<String, Failure> {
    let mut out = String::from(
        "# Made by `egress-agent gateway --print keepalived`. On every node an agent without `--hold` runs with `--vrrp` beside it.\n\
         global_defs {\n    vrrp_garp_master_repeat 3\n    vrrp_garp_master_delay 1\n}\n",
    );
    for gateway in &gateways.all {
        instance(&mut out, gateway, (over, priority))?;
    }
    Ok(out)
}

fn instance(out: &mut String, gateway: &Gateway, (over, priority): (&str, u8)) -> Result<(), Failure> {
    let managed = |v6: bool| gateway.address(v6).filter(|one| one.managed).map(|one| one.address);
    let address = match (managed(false), managed(true)) {
        (None, None) => return Ok(()),
        (Some(address), None) | (None, Some(address)) => address,
        (Some(_), Some(_)) => {
            let message = format!("gateway `{}` has addresses of both families, and VRRP moves one", gateway.name);
            return Err(Failure::new(message).help("name one gateway for each family, or agree by `--lease`"));
        }
    };
    let Gateway { name, number, .. } = gateway;
    let Some(router) = u8::try_from(*number).ok().filter(|number| *number > 0) else {
        return Err(Failure::new(format!(
            "gateway `{name}` has the number {number}, and VRRP knows routers up to 255"
        ))
        .help("let rules share gateways, or use a lease"));
    };
    let link = interface(*number);
    let length = if address.is_ipv6() { 128 } else { 32 };
    let native = if address.is_ipv6() { "    native_ipv6\n" } else { "" };
    let _ = write!(
        out,
        "\n# {name}\nvrrp_instance {link} {{\n    state BACKUP\n    nopreempt\n    version 3\n    interface {over}\n    \
         use_vmac {link}\n    virtual_router_id {router}\n    priority {priority}\n    advert_int 0.5\n\
         {native}    virtual_ipaddress {{\n        {address}/{length}\n    }}\n}}\n"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_snapshot::gateway::Address;

    #[test]
    fn each_managed_gateway_is_an_instance() {
        let address = |text: &str, managed| Address { address: text.parse().unwrap(), managed };
        let gateway = |number, addresses: &[Address]| Gateway {
            name: format!("g{number}"),
            number,
            nodes: Some("zone=a".to_owned()),
            addresses: addresses.to_vec(),
        };
        let four = gateway(1, &[address("203.0.113.10", true)]);
        let by_hand = gateway(2, &[address("203.0.113.11", false)]);
        let six = gateway(3, &[address("2001:db8::12", true)]);
        let of = |all: Vec<Gateway>| Gateways { all, mask: egress_snapshot::gateway::MASK, ..Gateways::default() };
        let text = text(&of(vec![four.clone(), by_hand, six]), "eth0", 120).unwrap();
        assert_eq!(text.matches("vrrp_instance").count(), 2);
        for expected in [
            "use_vmac egw1\n",
            "virtual_router_id 1\n    priority 120\n",
            "    virtual_ipaddress {\n        203.0.113.10/32\n    }\n}\n",
            "    native_ipv6\n    virtual_ipaddress {\n        2001:db8::12/128\n    }\n}\n",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        let refused = |one: Gateway| super::text(&of(vec![one]), "eth0", 120).unwrap_err().to_string();
        assert!(refused(Gateway { number: 256, ..four }).contains("up to 255"));
        let both = gateway(1, &[address("203.0.113.10", true), address("2001:db8::10", true)]);
        assert!(refused(both).contains("both families"));
    }
}
