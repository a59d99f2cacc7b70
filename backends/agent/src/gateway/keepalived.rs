//! A configuration for keepalived that moves gateways between nodes by VRRP (RFC 9568), on interfaces of the names that the
//! table of gateways knows. The agent then only follows the addresses.
//!
//! In: gateways with addresses to manage. Out: the text. One instance for each gateway: VRRP speaks of one family, and the
//! address of the other one goes along.

use super::source::Gateways;
use crate::failure::Failure;
use egress_snapshot::gateway::{Gateway, interface};
use std::fmt::Write;
use std::net::IpAddr;

/// The file for one node. Those with a higher priority hold first; nobody is pushed aside.
pub(super) fn text(gateways: &Gateways, over: &str, priority: u8) -> Result<String, Failure> {
    let mut out = String::from(
        "# Made by `egress-agent gateway --print keepalived`. On every node an agent without `--hold` runs beside it.\n\
         global_defs {\n    vrrp_garp_master_repeat 3\n    vrrp_garp_master_delay 1\n}\n",
    );
    for gateway in &gateways.all {
        instance(&mut out, gateway, (over, priority))?;
    }
    Ok(out)
}

fn instance(out: &mut String, gateway: &Gateway, (over, priority): (&str, u8)) -> Result<(), Failure> {
    let managed = |v6: bool| gateway.address(v6).filter(|one| one.managed).map(|one| one.address);
    let addresses: Vec<IpAddr> = [managed(false), managed(true)].into_iter().flatten().collect();
    let Some((first, others)) = addresses.split_first() else { return Ok(()) };
    let Gateway { name, number, .. } = gateway;
    let Some(router) = u8::try_from(*number).ok().filter(|number| *number > 0) else {
        return Err(Failure::new(format!(
            "gateway `{name}` has the number {number}, and VRRP knows routers up to 255"
        ))
        .help("let rules share gateways, or use a lease"));
    };
    let link = interface(*number);
    let lines = |addresses: &[IpAddr]| -> String {
        let line =
            |address: &IpAddr| format!("        {address}/{} dev {link}\n", if address.is_ipv6() { 128 } else { 32 });
        addresses.iter().map(line).collect()
    };
    let native = if first.is_ipv6() { "    native_ipv6\n" } else { "" };
    let along = match others {
        [] => String::new(),
        others => format!("    virtual_ipaddress_excluded {{\n{}    }}\n", lines(others)),
    };
    let _ = write!(
        out,
        "\n# {name}\nvrrp_instance {link} {{\n    state BACKUP\n    nopreempt\n    version 3\n    interface {over}\n    \
         use_vmac {link}\n    vmac_xmit_base\n    virtual_router_id {router}\n    priority {priority}\n    advert_int 0.5\n\
         {native}    virtual_ipaddress {{\n{}    }}\n{along}}}\n",
        lines(&[*first]),
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
        let both = gateway(1, &[address("203.0.113.10", true), address("2001:db8::10", true)]);
        let by_hand = gateway(2, &[address("203.0.113.11", false)]);
        let six = gateway(3, &[address("2001:db8::12", true)]);
        let gateways = Gateways { all: vec![both.clone(), by_hand, six], mask: egress_snapshot::gateway::MASK };
        let text = text(&gateways, "eth0", 120).unwrap();
        assert_eq!(text.matches("vrrp_instance").count(), 2);
        for expected in [
            "use_vmac egw1\n",
            "virtual_router_id 1\n    priority 120\n",
            "    virtual_ipaddress {\n        203.0.113.10/32 dev egw1\n    }\n",
            "    virtual_ipaddress_excluded {\n        2001:db8::10/128 dev egw1\n    }\n}\n",
            "    native_ipv6\n    virtual_ipaddress {\n        2001:db8::12/128 dev egw3\n    }\n}\n",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        let many = Gateways { all: vec![Gateway { number: 256, ..both }], mask: egress_snapshot::gateway::MASK };
        assert!(super::text(&many, "eth0", 120).is_err());
    }
}
