//! The JSON that providers publish, told apart by its structure and read by their own field names:
//!
//! | publisher | structure | fields |
//! | --- | --- | --- |
//! | AWS `ip-ranges.json` | `prefixes[].ip_prefix`, `ipv6_prefixes[].ipv6_prefix` | `region`, `service`, `network_border_group` |
//! | Google `cloud.json`, `goog.json` | `prefixes[].ipv4Prefix` or `.ipv6Prefix` | `service`, `scope`, where given |
//! | Azure service tags | `values[].properties.addressPrefixes[]` | `name`, `id`, `region`, `platform`, `systemService`, … |
//! | GitHub `meta` | `hooks[]`, `git[]`, …: arrays of prefixes at the top | `key`: the array's name |
//!
//! Every plain value beside a prefix can be filtered by, so a field that a publisher adds needs no change here.

use super::content::{Content, EntryPlace, Faults, Problem};
use egress_lang::value::address_or_range;
use serde_json::{Map, Value};
use std::ops::Range;

/// Fields that hold the prefix itself.
const PREFIX_FIELDS: [&str; 4] = ["ip_prefix", "ipv6_prefix", "ipv4Prefix", "ipv6Prefix"];

/// Reads every entry; the wrong ones are all noted.
pub(super) fn read(bytes: &[u8], content: &mut Content, faults: &mut Faults) -> Result<(), Problem> {
    let json: Value = serde_json::from_slice(bytes).map_err(|error| Problem::Json { reason: error.to_string() })?;
    let Value::Object(top) = json else { return Err(Problem::Form) };
    let prefixes: Vec<_> = ["prefixes", "ipv6_prefixes"].into_iter().filter_map(|key| array(&top, key)).collect();
    if prefixes.iter().any(|(_, entries)| entries.first().is_none_or(Value::is_object)) {
        prefixes.into_iter().for_each(|(key, entries)| prefix_objects(key, entries, content, faults));
        return Ok(());
    }
    if let Some((_, tags)) = array(&top, "values").filter(|(_, tags)| tags.first().is_none_or(Value::is_object)) {
        tags.iter().enumerate().for_each(|(n, tag)| service_tag(n, tag, content, faults));
        return Ok(());
    }
    let keyed: Vec<_> = top.keys().filter_map(|key| array(&top, key)).filter(|(_, all)| holds_prefixes(all)).collect();
    if keyed.is_empty() {
        return Err(Problem::Form);
    }
    for (key, entries) in keyed {
        let fields = content.describe([("key", key.to_owned())]);
        strings(key, entries, &fields, content, faults);
    }
    Ok(())
}

fn array<'v>(object: &'v Map<String, Value>, key: &str) -> Option<(&'v str, &'v Vec<Value>)> {
    let (key, value) = object.get_key_value(key)?;
    value.as_array().map(|entries| (key.as_str(), entries))
}

/// Whether an array at the top is one of prefixes, rather than of keys or names.
fn holds_prefixes(entries: &[Value]) -> bool {
    entries.iter().filter_map(Value::as_str).any(|text| address_or_range(text).is_ok())
}

/// AWS and Google: an object for each prefix.
fn prefix_objects(key: &str, entries: &[Value], content: &mut Content, faults: &mut Faults) {
    for (n, entry) in entries.iter().enumerate() {
        let Some(object) = entry.as_object() else {
            faults.push(|| path(format!("{key}[{n}]")), "it is not an object", None);
            continue;
        };
        let fields = content.describe(plain_fields(object));
        let mut found = false;
        for field in PREFIX_FIELDS {
            if let Some(value) = object.get(field) {
                found = true;
                one(|| path(format!("{key}[{n}].{field}")), value, &fields, content, faults);
            }
        }
        if !found {
            faults.push(|| path(format!("{key}[{n}]")), "it has no prefix", None);
        }
    }
}

/// Azure: an object for each service and region, with many prefixes.
fn service_tag(n: usize, tag: &Value, content: &mut Content, faults: &mut Faults) {
    let properties = tag.get("properties").and_then(Value::as_object);
    let Some((tag, properties)) = tag.as_object().zip(properties) else {
        faults.push(|| path(format!("values[{n}].properties")), "it is not an object", None);
        return;
    };
    let Some((_, prefixes)) = array(properties, "addressPrefixes") else {
        faults.push(|| path(format!("values[{n}].properties.addressPrefixes")), "it is not an array", None);
        return;
    };
    let fields: Vec<(&str, String)> = plain_fields(tag).into_iter().chain(plain_fields(properties)).collect();
    let fields = content.describe(fields);
    strings(&format!("values[{n}].properties.addressPrefixes"), prefixes, &fields, content, faults);
}

/// The fields that have a plain value, or an array of them.
fn plain_fields(object: &Map<String, Value>) -> Vec<(&str, String)> {
    let usable = object.iter().filter(|(key, _)| !PREFIX_FIELDS.contains(&key.as_str()) && *key != "addressPrefixes");
    let values = |value: &Value| match value {
        Value::Array(values) => values.iter().filter_map(plain_text).collect(),
        value => plain_text(value).into_iter().collect::<Vec<_>>(),
    };
    usable.flat_map(|(key, value)| values(value).into_iter().map(move |value| (key.as_str(), value))).collect()
}

fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn path(text: String) -> EntryPlace {
    EntryPlace::Path(text)
}

fn strings(at: &str, entries: &[Value], fields: &Range<usize>, content: &mut Content, faults: &mut Faults) {
    for (n, entry) in entries.iter().enumerate() {
        one(|| path(format!("{at}[{n}]")), entry, fields, content, faults);
    }
}

fn one(
    place: impl FnOnce() -> EntryPlace,
    value: &Value,
    fields: &Range<usize>,
    content: &mut Content,
    faults: &mut Faults,
) {
    let Some(text) = value.as_str() else {
        faults.push(place, "it is not a string", None);
        return;
    };
    match address_or_range(text) {
        Ok(value) => content.push(value, fields.clone()),
        Err(fault) => faults.fault(place, &fault),
    }
}
