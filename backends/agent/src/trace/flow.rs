//! Flows as people type them. In: text. Out: who sends, where to, and the row of the sender in a generation.

use crate::failure::Failure;
use crate::generations::Loaded;
use crate::points::{self, Name};
use crate::state::State;
use egress_agent::kernel::Endpoint;
use egress_agent::packet::nobody;
use egress_snapshot::Tables;
use egress_snapshot::show;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) from: String,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) number: u16,
}

/// Who sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    pub(super) row: u32,
    pub(super) text: String,
    /// Unspecified where nobody said it; it never matters then.
    pub(super) source: IpAddr,
}

const FORMS: &str = "write `FROM to 1.2.3.4:443/tcp`, `FROM to [2001:db8::1]:443/tcp`, `FROM to 1.2.3.4 icmp/8` or \
    `FROM to 1.2.3.4 protocol/47`";

/// Reads a flow.
pub(super) fn parse(text: &str) -> Result<Asked, Failure> {
    let wrong = |why: String| Failure::new(why).help(FORMS);
    let (from, to) = text.rsplit_once(" to ").ok_or_else(|| wrong(format!("`{text}` is no flow")))?;
    let (address, port) = split(to.trim()).ok_or_else(|| wrong(format!("`{}` names no port", to.trim())))?;
    let destination = address.parse().map_err(|_| wrong(format!("`{address}` is not an address")))?;
    let (protocol, number) =
        self::port(port).ok_or_else(|| wrong(format!("`{port}` is not one port of a protocol")))?;
    Ok(Asked { from: from.trim().to_owned(), destination, protocol, number })
}

/// Address and port, as they were typed.
fn split(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        return Some((address, rest.strip_prefix([':', ' '])?.trim()));
    }
    if let Some((address, port)) = text.split_once(char::is_whitespace) {
        return Some((address, port.trim()));
    }
    // An IPv6 address without brackets holds more than one colon, and so has no port.
    text.split_once(':').filter(|(_, port)| !port.contains(':'))
}

/// Protocol and number: `443/tcp`, `icmp/8`, `icmpv6/1/4`, `protocol/47`.
fn port(text: &str) -> Option<(u8, u16)> {
    let kind = |kind: &str, code: &str| Some(u16::from_be_bytes([kind.parse().ok()?, code.parse().ok()?]));
    match *text.split('/').collect::<Vec<&str>>().as_slice() {
        [number, "tcp"] => Some((6, number.parse().ok()?)),
        [number, "udp"] => Some((17, number.parse().ok()?)),
        [number, "sctp"] => Some((132, number.parse().ok()?)),
        ["icmp", of] => Some((1, kind(of, "0")?)),
        ["icmp", of, code] => Some((1, kind(of, code)?)),
        ["icmpv6", of] => Some((58, kind(of, "0")?)),
        ["icmpv6", of, code] => Some((58, kind(of, code)?)),
        ["protocol", number] => {
            let number: u8 = number.parse().ok()?;
            (![1, 6, 17, 58, 132].contains(&number)).then_some((number, 0))
        }
        _ => None,
    }
}

/// The row of who is asked about, in a generation.
pub(super) fn sender(asked: &Asked, active: &Loaded, state: &State) -> Result<Sender, Failure> {
    let from = asked.from.as_str();
    let source = nobody(asked.destination);
    if let Some(row) = from.strip_prefix("row ") {
        let count = active.generation.layout().row_count;
        let row = row.trim().parse::<u32>().ok().filter(|row| *row < count);
        let row = row.ok_or_else(|| {
            Failure::new(format!("`{from}` does not exist")).help(format!("rows are 0 to {}", count - 1))
        })?;
        return Ok(Sender { row, text: "asked by number".to_owned(), source });
    }
    if let Ok(address) = from.parse::<IpAddr>() {
        return by_address(address, asked, active);
    }
    if let Some(sender) = attached(from, active, state, source)? {
        return Ok(sender);
    }
    pod(from, active, source)?.ok_or_else(|| {
        Failure::new(format!("`{from}` is no attach point, address or listed pod"))
            .help("`egress-agent status` lists attach points; pods are `namespace/name`; or write `row N`")
    })
}

fn by_address(address: IpAddr, asked: &Asked, active: &Loaded) -> Result<Sender, Failure> {
    if address.is_ipv4() != asked.destination.is_ipv4() {
        let (from, to) = (address, asked.destination);
        return Err(Failure::new(format!("no packet goes from `{from}` to `{to}`: they are of different families")));
    }
    let tables = tables(active)?;
    let text = pod_at(address, active).unwrap_or_else(|| "by source address".to_owned());
    Ok(Sender { row: tables.source(address), text, source: address })
}

fn tables(active: &Loaded) -> Result<Tables, Failure> {
    let tables = Tables::new(active.generation.tables()?);
    tables.map_err(|error| Failure::found(format!("what the kernel has is not sound: {error}")))
}

/// The row of every address of a family, if they have one in common.
fn whoever(active: &Loaded, v6: bool) -> Result<Option<u32>, Failure> {
    let tables = tables(active)?;
    let rows: BTreeSet<u32> = match v6 {
        false => tables.sources_v4().into_iter().map(|(_, _, row)| row).collect(),
        true => tables.sources_v6().into_iter().map(|(_, _, row)| row).collect(),
    };
    Ok(rows.first().copied().filter(|_| rows.len() == 1))
}

fn pod_at(address: IpAddr, active: &Loaded) -> Option<String> {
    let pods = &active.snapshot.as_ref()?.meta.pods;
    pods.iter().find(|pod| pod.address == address).map(|pod| show::identity(&pod.identity))
}

fn attached(from: &str, active: &Loaded, state: &State, source: IpAddr) -> Result<Option<Sender>, Failure> {
    let names = match from.starts_with('/') {
        true => vec![Name::Cgroup(points::cgroup(Path::new(from))?)],
        false => vec![Name::Iface(from.to_owned()), Name::Uplink(from.to_owned())],
    };
    let points = state.attachments()?.points;
    let Some(point) = points.iter().find(|point| names.contains(&point.point)) else { return Ok(None) };
    let row = match active.generation.endpoint(point.slot)? {
        Endpoint::Row(row) => row,
        Endpoint::Unknown => active.generation.layout().default_row,
        Endpoint::ByAddress => whoever(active, source.is_ipv6())?.ok_or_else(|| {
            Failure::new(format!("`{}` is judged by source address, and addresses differ", point.point.text()))
                .help("give the source address instead")
        })?,
    };
    Ok(Some(Sender { row, text: point.who.text(), source }))
}

fn pod(from: &str, active: &Loaded, source: IpAddr) -> Result<Option<Sender>, Failure> {
    let Some((namespace, name)) = from.split_once('/') else { return Ok(None) };
    let pods = &active.known()?.meta.pods;
    let mut own =
        pods.iter().filter(|pod| pod.identity.namespace == namespace && pod.identity.name.as_deref() == Some(name));
    let Some(any) = own.clone().next() else { return Ok(None) };
    let found = own.find(|pod| pod.address.is_ipv4() == source.is_ipv4());
    let source = found.map_or(source, |pod| pod.address);
    Ok(Some(Sender { row: found.unwrap_or(any).row, text: show::identity(&any.identity), source }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_read() {
        let read = |text: &str| {
            let asked = parse(text).unwrap();
            (asked.from, asked.destination.to_string(), asked.protocol, asked.number)
        };
        let is = |from: &str, to: &str, protocol, number| (from.to_owned(), to.to_owned(), protocol, number);
        assert_eq!(read("shop/till to 1.2.3.4:443/tcp"), is("shop/till", "1.2.3.4", 6, 443));
        assert_eq!(read("/sys/x to y to [::1]:53/udp"), is("/sys/x to y", "::1", 17, 53));
        assert_eq!(read("row 1 to 1.2.3.4 icmp/8"), is("row 1", "1.2.3.4", 1, 0x0800));
        assert_eq!(read("row 1 to ::1 icmpv6/1/4"), is("row 1", "::1", 58, 0x0104));
        assert_eq!(read("10.0.0.1 to 1.2.3.4 protocol/47"), is("10.0.0.1", "1.2.3.4", 47, 0));
        assert_eq!(read("a to 1.2.3.4:9/sctp"), is("a", "1.2.3.4", 132, 9));
    }

    #[test]
    fn anything_else_is_refused() {
        let wrong = [
            "",
            "a",
            "a to",
            "a to b",
            "a to 1.2.3.4",
            "a to 1.2.3.4:443",
            "a to 1.2.3.4:65536/tcp",
            "a to [::1",
            "a to ::1",
            "a to b:1/tcp",
            "a to 1.2.3.4 icmp",
            "a to 1.2.3.4 icmp/256",
            "a to 1.2.3.4 protocol/6",
        ];
        for text in wrong {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
