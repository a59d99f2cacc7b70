//! Sets, maps and values of a listing.

use super::json::{Read, Wrong, fields, items, object, only, text, wrong};
use crate::nftables::decode::values;
use crate::nftables::model::{Element, Field, Set, Verdict, VerdictMap};
use egress_ir::protocol;
use serde_json::{Map, Value};

/// Properties that say nothing about which packets an object holds.
pub(super) const HARMLESS: [&str; 8] = ["family", "table", "name", "handle", "comment", "size", "policy", "auto-merge"];

/// A map of verdicts with its name.
pub(super) fn verdict_map(map: &Map<String, Value>) -> Read<(String, VerdictMap)> {
    let map = fields(map, &[&HARMLESS[..], &["type", "flags", "elem", "map"]].concat())?;
    if text(map, "map")? != "verdict" {
        return Err(Wrong::new(text(map, "map")?, "only maps of verdicts are understood"));
    }
    let (field, interval) = (field_of_type(map)?, is_interval(map)?);
    let mut elements = Vec::new();
    for pair in map.get("elem").map_or(&[][..], items) {
        let Some([key, verdict]) = pair.as_array().map(Vec::as_slice) else {
            return Err(wrong(pair, "expected a key and a verdict"));
        };
        let (start, end) = range(key, field)?;
        elements.push(Element { start, end, verdict: self::verdict(verdict)? });
    }
    Ok((text(map, "name")?.to_owned(), VerdictMap { field, interval, elements }))
}

/// A set with its name.
pub(super) fn set(map: &Map<String, Value>) -> Read<(String, Set)> {
    let map = fields(map, &[&HARMLESS[..], &["type", "flags", "elem"]].concat())?;
    let (field, interval) = (field_of_type(map)?, is_interval(map)?);
    let elements = map.get("elem").map_or(&[][..], items).iter().map(|key| range(key, field));
    let elements = elements.collect::<Read<Vec<_>>>()?;
    Ok((text(map, "name")?.to_owned(), Set { field, interval, elements }))
}

/// A verdict: `{"accept": null}`, `{"jump": {"target": "c"}}`.
pub(super) fn verdict(value: &Value) -> Read<Verdict> {
    let target = |body: &Value| text(object(body, &["target"])?, "target").map(str::to_owned);
    match only(value)? {
        ("accept", Value::Null) => Ok(Verdict::Accept),
        ("drop", Value::Null) => Ok(Verdict::Drop),
        ("return", Value::Null) => Ok(Verdict::Return),
        ("continue", Value::Null) => Ok(Verdict::Continue),
        ("jump", body) => Ok(Verdict::Jump(target(body)?)),
        ("goto", body) => Ok(Verdict::Goto(target(body)?)),
        _ => Err(wrong(value, "this is no verdict that is understood")),
    }
}

/// A value, a prefix, a range, or an element around one of them.
pub(super) fn range(value: &Value, field: Field) -> Read<(u128, u128)> {
    let body = match value {
        Value::String(_) | Value::Number(_) => return word(value, field),
        _ => only(value)?,
    };
    match body {
        ("range", Value::Array(ends)) => {
            let [start, end] = ends.as_slice() else { return Err(wrong(value, "expected two ends")) };
            let (start, end) = (single(start, field)?, single(end, field)?);
            if start <= end { Ok((start, end)) } else { Err(wrong(value, "the range is reversed")) }
        }
        ("prefix", body) => {
            let body = object(body, &["addr", "len"])?;
            let length = body.get("len").and_then(Value::as_u64).ok_or_else(|| wrong(value, "expected a length"))?;
            let address = body.get("addr").unwrap_or(&Value::Null);
            match field {
                Field::Mark(_) | Field::PacketMark(_) => number_prefix(single(address, field)?, length),
                _ => values::range_of(&format!("{}/{length}", text(body, "addr")?), field).ok(),
            }
            .ok_or_else(|| wrong(value, "this is no prefix of the field"))
        }
        // With a time the ruleset would mean something else tomorrow.
        ("elem", body) => range(object(body, &["val", "comment"])?.get("val").unwrap_or(&Value::Null), field),
        _ => Err(wrong(value, "this value is not understood")),
    }
}

/// A value that is no range.
pub(super) fn single(value: &Value, field: Field) -> Read<u128> {
    match word(value, field)? {
        (start, end) if start == end => Ok(start),
        _ => Err(wrong(value, "expected one value")),
    }
}

fn word(value: &Value, field: Field) -> Read<(u128, u128)> {
    let word = match value {
        Value::String(word) => word.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(wrong(value, "expected a value")),
    };
    values::range_of(&word, field).map_err(|reason| wrong(value, reason))
}

/// A prefix of 32 bits.
fn number_prefix(start: u128, length: u64) -> Option<(u128, u128)> {
    let free = 32_u64.checked_sub(length)?;
    let low = (1_u128 << free) - 1;
    (start & low == 0).then_some((start, start | low))
}

/// A field of the object's type; nft compares types, not fields.
fn field_of_type(map: &Map<String, Value>) -> Read<Field> {
    let value = map.get("type").unwrap_or(&Value::Null);
    if let Value::Object(_) = value {
        let ("typeof", expression) = only(value)? else { return Err(wrong(value, "this type is not understood")) };
        return super::rules::field(expression);
    }
    Ok(match value.as_str().unwrap_or_default() {
        "ipv4_addr" => Field::DestinationV4,
        "ipv6_addr" => Field::DestinationV6,
        "inet_service" => Field::Port(protocol::TCP),
        "inet_proto" => Field::Protocol,
        "nf_proto" => Field::Family,
        "icmp_type" => Field::IcmpType(protocol::ICMP),
        "icmpv6_type" => Field::IcmpType(protocol::ICMPV6),
        "icmp_code" => Field::IcmpCode(protocol::ICMP),
        "icmpv6_code" => Field::IcmpCode(protocol::ICMPV6),
        "mark" => Field::Mark(u32::MAX),
        "ct_dir" => Field::Direction,
        "fib_addrtype" => Field::DestinationType,
        "classid" => Field::Priority,
        _ => return Err(wrong(value, "this type is not understood")),
    })
}

fn is_interval(map: &Map<String, Value>) -> Read<bool> {
    let mut interval = false;
    for flag in map.get("flags").map_or(&[][..], items) {
        match flag.as_str() {
            Some("interval") => interval = true,
            Some("constant") => {}
            _ => return Err(wrong(flag, "this flag is not understood")),
        }
    }
    Ok(interval)
}
