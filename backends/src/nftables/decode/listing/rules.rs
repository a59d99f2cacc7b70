//! Rules of a listing.

use super::json::{Read, Wrong, items, object, only, text, wrong};
use super::sets::{range, single, verdict};
use crate::nftables::decode::{rule, values};
use crate::nftables::model::{Field, Log, Match, Rule, Statement, Values};
use serde_json::Value;
use std::collections::BTreeSet;

/// A rule.
pub(super) fn rule(expressions: &Value, comment: Option<String>) -> Read<Rule> {
    let mut read = Rule { statements: Vec::new(), comment };
    let expressions = expressions.as_array().ok_or_else(|| wrong(expressions, "expected a list of statements"))?;
    for expression in expressions {
        let next = statement(expression)?;
        rule::fits_after(&read.statements, &next).map_err(|reason| wrong(expression, reason))?;
        read.statements.push(next);
    }
    Ok(read)
}

/// A field of the packet: `{"payload": {"protocol": "ip", "field": "daddr"}}`, `{"meta": {"key": "l4proto"}}`.
pub(super) fn field(value: &Value) -> Read<Field> {
    let (group, part) = match only(value)? {
        ("payload", body) => {
            let body = object(body, &["protocol", "field"])?;
            (text(body, "protocol")?, text(body, "field")?)
        }
        (group @ ("meta" | "ct"), body) => (group, text(object(body, &["key"])?, "key")?),
        ("fib", body) => {
            let body = object(body, &["result", "flags"])?;
            let flags = items(body.get("flags").unwrap_or(&Value::Null));
            return match (flags, text(body, "result")?) {
                ([flag], "type") if flag == "daddr" => Ok(Field::DestinationType),
                ([flag], "type") if flag == "saddr" => Ok(Field::SourceType),
                _ => Err(wrong(value, "this field is not understood")),
            };
        }
        ("rt", body) => {
            let body = object(body, &["key", "family"])?;
            return match (text(body, "key")?, text(body, "family")?) {
                ("nexthop", "ip") => Ok(Field::NextHopV4),
                ("nexthop", "ip6") => Ok(Field::NextHopV6),
                _ => Err(wrong(value, "this field is not understood")),
            };
        }
        _ => return Err(wrong(value, "this field is not understood")),
    };
    rule::field_of(group, part).ok_or_else(|| wrong(value, "this field is not understood"))
}

fn statement(value: &Value) -> Read<Statement> {
    match only(value)? {
        ("match", body) => matching(body),
        ("vmap", body) => look_up(body),
        ("counter", body) => counter(body),
        ("limit", body) => {
            let keys = ["rate", "burst", "per", "rate_unit", "burst_unit", "inv"];
            match object(body, &keys)?.get("inv") {
                None | Some(Value::Bool(false)) => Ok(Statement::Limit),
                Some(_) => Err(wrong(value, "a limit that holds above a rate is not understood")),
            }
        }
        ("log", body) => log(body),
        ("mangle", body) => mangle(body),
        ("snat", body) => snat(body),
        ("accept" | "drop" | "return" | "continue" | "jump" | "goto", _) => verdict(value).map(Statement::Verdict),
        (kind, _) => Err(Wrong::new(kind, "this statement is not understood")),
    }
}

fn matching(body: &Value) -> Read<Statement> {
    let body = object(body, &["op", "left", "right"])?;
    let (left, right) = (body.get("left").unwrap_or(&Value::Null), body.get("right").unwrap_or(&Value::Null));
    if left.get("concat").is_some() {
        return super::names::look_up(text(body, "op")?, left, right).map(Statement::Named);
    }
    let field = match masked(left)? {
        (field, None) => field,
        (Field::Mark(_), Some(mask)) => Field::Mark(mask_of_mark(mask)?),
        (Field::PacketMark(_), Some(mask)) => Field::PacketMark(mask_of_mark(mask)?),
        _ => return Err(wrong(left, "a mask is understood in front of vmap only")),
    };
    let operator = text(body, "op")?;
    let negated = operator == "!=";
    let values = match (operator, field) {
        ("==" | "!=", Field::State) => bits(right, false)?,
        ("in", Field::State) => bits(right, true)?,
        ("in", Field::Status | Field::Label) => status(right, field)?,
        ("==" | "!=", Field::Status | Field::Label) => {
            return Err(Wrong::new(operator, "this comparison is not understood"));
        }
        ("==" | "!=", _) => values(right, field)?,
        ("<" | "<=" | ">" | ">=", _) => compared(operator, right, field)?,
        _ => return Err(Wrong::new(operator, "this comparison is not understood")),
    };
    Ok(Statement::Match(Match { field, negated, values }))
}

/// `FIELD` or `{"&": [FIELD, MASK]}`.
fn masked(value: &Value) -> Read<(Field, Option<&Value>)> {
    match value.get("&") {
        None => Ok((field(value)?, None)),
        Some(Value::Array(parts)) => match parts.as_slice() {
            [left, mask] => Ok((field(left)?, Some(mask))),
            _ => Err(wrong(value, "expected a field and a mask")),
        },
        Some(_) => Err(wrong(value, "expected a field and a mask")),
    }
}

fn mask_of_mark(mask: &Value) -> Read<u32> {
    number(mask).ok_or_else(|| wrong(mask, "this is no mask"))
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// The right side of `==` and `!=`.
fn values(right: &Value, field: Field) -> Read<Values> {
    if let Some(name) = right.as_str().and_then(|word| word.strip_prefix('@')) {
        return Ok(Values::Set(name.to_owned()));
    }
    let listed = right.get("set").and_then(Value::as_array);
    let listed = listed.map_or(std::slice::from_ref(right), Vec::as_slice);
    if let Field::Input | Field::Output = field {
        let name = |value: &Value| match value.as_str() {
            Some(name) if values::is_interface(name) => Ok(name.to_owned()),
            _ => Err(wrong(value, "this is no interface name")),
        };
        return Ok(Values::Names(listed.iter().map(name).collect::<Read<BTreeSet<_>>>()?));
    }
    let mut ranges = listed.iter().map(|value| range(value, field)).collect::<Read<Vec<_>>>()?;
    values::sort_disjoint(&mut ranges).map_err(|reason| wrong(right, reason))?;
    Ok(Values::Ranges(ranges))
}

/// States: a packet has exactly one, so that being equal to one, being in a set and having a bit in common are the same.
fn bits(right: &Value, common: bool) -> Read<Values> {
    let listed = match (right.get("set"), right) {
        (Some(Value::Array(states)), _) if !common => states.as_slice(),
        (None, Value::Array(states)) if common => states.as_slice(),
        (None, Value::String(_)) => std::slice::from_ref(right),
        _ => return Err(wrong(right, "several states at once are never a packet's; write them in braces")),
    };
    let mut bits = 0;
    for state in listed {
        bits |= state.as_str().and_then(values::state).ok_or_else(|| wrong(state, "this is no connection state"))?;
    }
    Ok(Values::Bits(bits))
}

/// Any of these has happened to the connection, or is a bit of its label.
fn status(right: &Value, field: Field) -> Read<Values> {
    let mut bits = 0;
    for one in items(right) {
        let bit = match field {
            Field::Label => number(one).and_then(|number| values::label(&number.to_string())),
            _ => one.as_str().and_then(values::status),
        };
        bits |= bit.ok_or_else(|| wrong(one, "this is no status or label of a connection"))?;
    }
    Ok(Values::Bits(bits))
}

fn compared(operator: &str, right: &Value, field: Field) -> Read<Values> {
    let border = single(right, field)?;
    let range = match operator {
        "<" => border.checked_sub(1).map(|last| (0, last)),
        "<=" => Some((0, border)),
        ">" => border.checked_add(1).map(|first| (first, u128::MAX)),
        _ => Some((border, u128::MAX)),
    };
    Ok(Values::Ranges(vec![range.ok_or_else(|| wrong(right, "no value is beyond this"))?]))
}

fn look_up(body: &Value) -> Read<Statement> {
    let body = object(body, &["key", "data"])?;
    let data = body.get("data").unwrap_or(&Value::Null);
    let name = data.as_str().and_then(|data| data.strip_prefix('@'));
    let name = name.ok_or_else(|| wrong(data, "only maps with a name are understood"))?;
    let (field, mask) = masked(body.get("key").unwrap_or(&Value::Null))?;
    let mask = match (field, mask) {
        (Field::Mark(_) | Field::PacketMark(_), None) => u32::MAX.into(),
        (Field::Mark(_) | Field::PacketMark(_), Some(mask)) => mask_of_mark(mask)?.into(),
        (_, None) => u128::MAX,
        (_, Some(mask)) => single(mask, field)?,
    };
    Ok(Statement::VerdictMap { field, mask, map: name.to_owned() })
}

/// `"name"`, or what an own counter has counted.
fn counter(body: &Value) -> Read<Statement> {
    match body {
        Value::String(name) => Ok(Statement::Counter(Some(name.clone()))),
        Value::Null => Ok(Statement::Counter(None)),
        _ => object(body, &["packets", "bytes"]).map(|_| Statement::Counter(None)),
    }
}

fn log(body: &Value) -> Read<Statement> {
    if body.is_null() {
        return Ok(Statement::Log(Log::default()));
    }
    let body = object(body, &["prefix", "group", "snaplen", "queue-threshold", "level", "flags"])?;
    let prefix = body.get("prefix").and_then(Value::as_str).unwrap_or_default().to_owned();
    let group = match body.get("group") {
        None => None,
        Some(group) => {
            let number = number(group).and_then(|number| u16::try_from(number).ok());
            Some(number.ok_or_else(|| wrong(group, "this is no group"))?)
        }
    };
    Ok(Statement::Log(Log { prefix, group }))
}

/// `ct mark set …`, `meta priority set …`.
fn mangle(body: &Value) -> Read<Statement> {
    let body = object(body, &["key", "value"])?;
    let (key, value) = (body.get("key").unwrap_or(&Value::Null), body.get("value").unwrap_or(&Value::Null));
    match field(key)? {
        Field::Priority => {
            let priority = u32::try_from(single(value, Field::Priority)?);
            priority.map(Statement::SetPriority).map_err(|_| wrong(value, "this is no priority"))
        }
        Field::Label => {
            let number = number(value).and_then(|number| u8::try_from(number).ok()).filter(|number| *number < 128);
            number.map(Statement::SetLabel).ok_or_else(|| wrong(value, "a label has 128 bits"))
        }
        of @ (Field::Mark(_) | Field::PacketMark(_)) => {
            let (and, or) = new_mark(value, of).ok_or_else(|| wrong(value, "this mark is not understood"))?;
            // As in text: the bits that are set win.
            let and = and & !or;
            Ok(if let Field::Mark(_) = of {
                Statement::SetMark { and, or }
            } else {
                Statement::SetPacketMark { and, or }
            })
        }
        _ => Err(wrong(key, "this is not understood as something to set")),
    }
}

/// `{"family": "ip", "addr": A}`, where A may be `ip saddr`.
fn snat(body: &Value) -> Read<Statement> {
    let body = object(body, &["family", "addr"])?;
    let (v6, own) = match text(body, "family")? {
        "ip" => (false, Field::SourceV4),
        "ip6" => (true, Field::SourceV6),
        other => return Err(Wrong::new(other, "expected ip or ip6")),
    };
    match body.get("addr").unwrap_or(&Value::Null) {
        address @ Value::String(_) => Ok(Statement::Snat { v6, to: Some(single(address, own)?) }),
        source => match field(source)? {
            found if found == own => Ok(Statement::Snat { v6, to: None }),
            _ => Err(wrong(source, "only the packet's own source is understood here")),
        },
    }
}

/// `N`, `ct mark`, `ct mark & A`, `ct mark | O`, `ct mark & A | O`, or the same of `meta mark`: the bits that are kept and
/// those that are set.
fn new_mark(value: &Value, of: Field) -> Option<(u32, u32)> {
    if let Some(number) = number(value) {
        return Some((0, number));
    }
    let is_mark = |value: &Value| field(value).is_ok_and(|field| field == of);
    let pair = |key: &str, value: &'_ Value| -> Option<(Value, u32)> {
        let (found, Value::Array(parts)) = only(value).ok()? else { return None };
        match parts.as_slice() {
            [left, right] if found == key => Some((left.clone(), number(right)?)),
            _ => None,
        }
    };
    let (kept, or) = pair("|", value).unwrap_or_else(|| (value.clone(), 0));
    let (mark, and) = pair("&", &kept).unwrap_or((kept, u32::MAX));
    is_mark(&mark).then_some((and, or))
}
