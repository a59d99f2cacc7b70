//! Destinations as people type them: `1.2.3.4:443/tcp`, `[2001:db8::1]:443/tcp`, `1.2.3.4 icmp/8`.
//!
//! In: the text of `--to` and `--name`. Out: an address and a port, or a name in its normal form. Never resolves a
//! name: names and addresses are independent, and whoever controls a name chooses its address.

use super::Refused;
use egress_ir::{Port, protocol};
use egress_lang::value::{self, Wildcard};
use std::net::IpAddr;

/// What `--to` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct To {
    /// The address.
    pub(super) address: IpAddr,
    /// Protocol and port.
    pub(super) port: Port,
    /// What was not said and so taken for granted.
    pub(super) assumption: Option<String>,
}

const FORMS: &str = "write `1.2.3.4:443/tcp`, `[2001:db8::1]:443/tcp`, `1.2.3.4 icmp/8` or `1.2.3.4 protocol/47`";

/// Reads `--to`.
///
/// # Errors
/// It is not of a known form.
pub(super) fn parse(text: &str) -> Result<To, Refused> {
    let wrong = |why: String| Refused::new(why).help(FORMS);
    let (address, port) = split(text.trim()).ok_or_else(|| wrong(format!("`{text}` names no port")))?;
    let address: IpAddr = address.parse().map_err(|_| not_an_address(address))?;
    let assumes_tcp = port.parse::<u16>().is_ok();
    let written = if assumes_tcp { format!("{port}/tcp") } else { port.to_owned() };
    let port = parse_port(&written).ok_or_else(|| wrong(format!("`{port}` is not one port of a known protocol")))?;
    Ok(To { address, port, assumption: assumes_tcp.then(|| "no protocol was given: TCP".to_owned()) })
}

/// Reads `--name`: lower case, A-labels, no final dot.
///
/// # Errors
/// It is no DNS name.
pub(super) fn name(text: &str) -> Result<String, Refused> {
    let pattern = value::host(text)
        .map_err(|fault| Refused::new(format!("`--name`: {fault}")).help(value::Fault::help(&fault)))?;
    match pattern.wildcard {
        Wildcard::None => Ok(pattern.name),
        Wildcard::One | Wildcard::Many => {
            Err(Refused::new(format!("`{text}` is a pattern")).help("give one name that a workload looks up"))
        }
    }
}

/// Address and port, as they were typed.
fn split(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let port = rest.strip_prefix(':').or_else(|| rest.strip_prefix(' '))?;
        return Some((address, port.trim()));
    }
    if let Some((address, port)) = text.split_once(char::is_whitespace) {
        return Some((address, port.trim()));
    }
    // An IPv6 address without brackets holds more than one colon, and so has no port.
    text.split_once(':').filter(|(_, port)| !port.contains(':'))
}

fn not_an_address(text: &str) -> Refused {
    let refused = Refused::new(format!("`{text}` is not an address"));
    match value::host(text) {
        Ok(_) => refused.help(format!("give the address that traffic goes to, and the name as `--name {text}`")),
        Err(_) => refused.help(FORMS),
    }
}

/// `443/tcp`, `icmp/8`, `icmp/3/4`, `protocol/47`.
fn parse_port(text: &str) -> Option<Port> {
    let parts: Vec<&str> = text.split('/').collect();
    match *parts.as_slice() {
        [number, "tcp"] => Some(Port::tcp(number.parse().ok()?)),
        [number, "udp"] => Some(Port::udp(number.parse().ok()?)),
        [number, "sctp"] => Some(Port::new(protocol::SCTP, number.parse().ok()?)),
        ["icmp", ref kind @ ..] => icmp(protocol::ICMP, kind),
        ["icmpv6", ref kind @ ..] => icmp(protocol::ICMPV6, kind),
        ["protocol", number] => {
            let number = number.parse().ok()?;
            let has_numbers = [protocol::ICMP, protocol::ICMPV6].contains(&number);
            (!has_numbers && !protocol::WITH_PORTS.contains(&number)).then(|| Port::new(number, 0))
        }
        _ => None,
    }
}

fn icmp(version: u8, kind: &[&str]) -> Option<Port> {
    match *kind {
        [kind] => Some(Port::icmp(version, kind.parse().ok()?, 0)),
        [kind, code] => Some(Port::icmp(version, kind.parse().ok()?, code.parse().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_read_back_as_flows_print_them() {
        for text in
            ["1.2.3.4:443/tcp", "[2001:db8::1]:53/udp", "1.2.3.4 icmp/8", "::1 icmpv6/1/4", "1.2.3.4 protocol/47"]
        {
            let to = parse(text).unwrap();
            let flow = egress_ir::Flow {
                workload: egress_ir::Workload::Address(to.address),
                destination: egress_ir::Destination::unnamed(to.address),
                port: to.port,
            };
            assert!(flow.to_string().ends_with(&format!("→ {text}")), "{flow}");
            assert_eq!(to.assumption, None);
        }
        assert_eq!(parse("1.2.3.4:443").unwrap().port, Port::tcp(443));
        assert!(parse("1.2.3.4:443").unwrap().assumption.is_some());
    }

    #[test]
    fn anything_else_is_refused() {
        let wrong = [
            "",
            "1.2.3.4",
            "1.2.3.4:",
            "1.2.3.4:65536/tcp",
            "1.2.3.4:443/xyz",
            "2001:db8::1",
            "[::1]443/tcp",
            "[::1",
            "1.2.3:80/tcp",
            "api.stripe.com:443/tcp",
            "1.2.3.4 icmp",
            "1.2.3.4 icmp/256",
            "1.2.3.4 protocol/6",
        ];
        for text in wrong {
            assert!(parse(text).is_err(), "{text}");
        }
        let said = format!("{:?}", parse("api.stripe.com:443/tcp").unwrap_err());
        assert!(said.contains("--name api.stripe.com"), "{said}");
    }

    #[test]
    fn names_are_brought_into_their_normal_form() {
        assert_eq!(name("API.Stripe.com.").as_deref().ok(), Some("api.stripe.com"));
        assert!(name("*.stripe.com").is_err());
        assert!(name("a b").is_err());
    }
}
