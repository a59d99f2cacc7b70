//! Sets of names in a listing, and look-ups in them.

use super::json::{Read, Wrong, items, object, only, wrong};
use super::rules::field;
use super::sets::{HARMLESS, single};
use crate::nftables::decode::learned::{FOR_EVER, KEY, key, set_for};
use crate::nftables::model::Field;
use serde_json::{Map, Value};

/// Checks a set of names. What it holds is not asked for, but that everything in it is there for a time.
pub(super) fn set(map: &Map<String, Value>, v6: bool) -> Read<()> {
    let map = super::json::fields(map, &[&HARMLESS[..], &["type", "flags", "elem", "stmt"]].concat())?;
    let kind = map.get("type").unwrap_or(&Value::Null);
    if !is_type(kind, v6)? {
        return Err(wrong(kind, "a set of names holds pairs of a client and a destination"));
    }
    let flags = map.get("flags").unwrap_or(&Value::Null);
    if !matches!(items(flags), [flag] if flag == "timeout") {
        return Err(wrong(flags, "a set of names has the flag timeout and no other"));
    }
    for statement in map.get("stmt").map_or(&[][..], items) {
        let ("counter", _) = only(statement)? else {
            return Err(wrong(statement, "this is not understood in a set of names"));
        };
    }
    map.get("elem").map_or(&[][..], items).iter().try_for_each(|element| learned(element, v6))
}

/// Whether a type is that of a key: by the kernel's types, or by fields.
fn is_type(kind: &Value, v6: bool) -> Read<bool> {
    if let Value::Object(_) = kind {
        let ("typeof", expression) = only(kind)? else { return Err(wrong(kind, "this type is not understood")) };
        return Ok(pair(expression)? == key(v6));
    }
    let address = if v6 { "ipv6_addr" } else { "ipv4_addr" };
    Ok(matches!(kind.as_array().map(Vec::as_slice), Some([one, two]) if one == address && two == address))
}

/// Two fields one after the other.
fn pair(value: &Value) -> Read<[Field; 2]> {
    let ("concat", Value::Array(parts)) = only(value)? else { return Err(wrong(value, KEY)) };
    let [one, two] = parts.as_slice() else { return Err(wrong(value, KEY)) };
    Ok([field(one)?, field(two)?])
}

fn learned(element: &Value, v6: bool) -> Read<()> {
    let ("elem", body) = only(element)? else { return Err(wrong(element, FOR_EVER)) };
    let body = object(body, &["val", "timeout", "expires", "counter", "comment"])?;
    if body.get("timeout").and_then(Value::as_u64).is_none() {
        return Err(wrong(element, FOR_EVER));
    }
    let pair = body.get("val").and_then(|value| value.get("concat")).and_then(Value::as_array);
    let Some([client, destination]) = pair.map(Vec::as_slice) else {
        return Err(wrong(element, "a set of names holds pairs of single addresses"));
    };
    let [first, second] = key(v6);
    single(client, first)?;
    single(destination, second).map(|_| ())
}

/// The set in which a pair of fields is looked up.
pub(super) fn look_up(operator: &str, left: &Value, right: &Value) -> Read<String> {
    if operator != "==" {
        return Err(Wrong::new(operator, "a name that was not learned is not understood"));
    }
    let fields = pair(left)?;
    let name = right.as_str().and_then(|word| word.strip_prefix('@'));
    let name = name.ok_or_else(|| wrong(right, "pairs of fields are looked up in sets of names only"))?;
    set_for(name, fields).map_err(|reason| Wrong::new(name, reason))
}
