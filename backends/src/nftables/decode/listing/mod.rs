//! Reads what the kernel holds: the JSON that `nft -j list ruleset` and `nft -j list table inet egressc` print.
//!
//! In: bytes. Out: a [`Listing`] with the same [`Ruleset`] that a file for `nft -f` would give. Follows
//! libnftables-json(5) and what nft 1.0.6 prints. Everything in our table must be understood to the last key; what
//! is not is refused by name. Other tables are left alone, and named where they hook packets.

mod json;
mod names;
mod rules;
mod sets;

use super::{DecodeError, GATEWAYS, TABLE, check, commands, learned};
use crate::nftables::model::{Base, Chain, Ruleset};
use json::{Read, Wrong, fields, only, shown, text, wrong};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What a listing says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Our tables.
    pub ruleset: Ruleset,
    /// Base chains and flowtables of other tables, such as `chain ip filter FORWARD`. A chain can drop what ours lets
    /// pass, change addresses, or set a mark that ours asks for; a flowtable can lead packets past ours.
    pub others: BTreeSet<String>,
}

/// Reads a listing of the kernel's tables, or of ours alone.
///
/// # Errors
/// JSON that is damaged or no listing, a listing without `table inet egressc`, and everything in that table and the one
/// for gateways that is not understood or could not be loaded.
pub fn decode_listing(bytes: &[u8]) -> Result<Listing, DecodeError> {
    let whole: Value = serde_json::from_slice(bytes).map_err(|error| {
        let line = u32::try_from(error.line()).unwrap_or(u32::MAX);
        DecodeError::new(line, format!("column {}", error.column()), "this is no JSON, or not all of it")
    })?;
    let mut reader = Reader { egressc: None, gateways: None, others: BTreeSet::new() };
    for object in objects(&whole).map_err(|wrong| wrong.about("listing"))? {
        reader.object(object)?;
    }
    let Reader { egressc, gateways, others } = reader;
    let Some(mut ruleset) = egressc else {
        return Err(DecodeError::new(0, format!("table inet {TABLE}"), "the listing has no such table"));
    };
    ruleset.gateways = gateways.map(Box::new);
    check::finish(&mut ruleset)?;
    Ok(Listing { ruleset, others })
}

/// The objects of a listing.
fn objects(whole: &Value) -> Read<&[Value]> {
    let ("nftables", Value::Array(objects)) = only(whole)? else {
        return Err(wrong(whole, "this is no listing of nft"));
    };
    Ok(objects)
}

struct Reader {
    egressc: Option<Ruleset>,
    gateways: Option<Ruleset>,
    others: BTreeSet<String>,
}

impl Reader {
    fn object(&mut self, object: &Value) -> Result<(), DecodeError> {
        let (kind, body) = only(object).map_err(|wrong| wrong.about("listing"))?;
        if kind == "metainfo" {
            return metainfo(body).map_err(|wrong| wrong.about("metainfo"));
        }
        let place = named(kind, body);
        let read = match body {
            Value::Object(map) if is_in(TABLE, kind, map) => ours(&mut self.egressc, kind, map),
            Value::Object(map) if is_in(GATEWAYS, kind, map) => ours(&mut self.gateways, kind, map),
            Value::Object(map) => self.foreign(kind, map),
            _ => Err(wrong(body, "this is no object of a listing")),
        };
        read.map_err(|wrong| wrong.about(&place))
    }

    /// Remembers what meets packets.
    fn foreign(&mut self, kind: &str, map: &Map<String, Value>) -> Read<()> {
        if kind == "flowtable" || (kind == "chain" && map.contains_key("hook")) {
            let named = [text(map, "family")?, text(map, "table")?, text(map, "name")?];
            self.others.insert(format!("{kind} {}", named.join(" ")));
        }
        Ok(())
    }
}

/// Adds an object to one of our tables.
fn ours(table: &mut Option<Ruleset>, kind: &str, map: &Map<String, Value>) -> Read<()> {
    if kind == "table" {
        let map = fields(map, &["family", "name", "handle", "comment"])?;
        table.get_or_insert_default().comment = map.get("comment").and_then(Value::as_str).map(str::to_owned);
        return Ok(());
    }
    let table = table.as_mut().ok_or_else(|| Wrong::new("table", "the table comes before what is in it"))?;
    match kind {
        "chain" => chain(table, map),
        "rule" => rule(table, map),
        "map" => {
            let (name, map) = sets::verdict_map(map)?;
            once(table.maps.insert(name, map))
        }
        "set" => {
            let name = text(map, "name")?;
            if let Some(set) = learned::named(name).map_err(|reason| Wrong::new(name, reason))? {
                names::set(map, set.v6)?;
                return once(table.names.insert(name.to_owned(), set));
            }
            let (name, set) = sets::set(map)?;
            once(table.sets.insert(name, set))
        }
        "counter" => {
            let map = fields(map, &["family", "table", "name", "handle", "comment", "packets", "bytes"])?;
            let comment = map.get("comment").and_then(Value::as_str).map(str::to_owned);
            once(table.counters.insert(text(map, "name")?.to_owned(), comment))
        }
        _ => Err(Wrong::new(kind, "this kind of object is not understood")),
    }
}

fn chain(table: &mut Ruleset, map: &Map<String, Value>) -> Read<()> {
    let keys = ["family", "table", "name", "handle", "comment", "type", "hook", "prio", "policy"];
    let map = fields(map, &keys)?;
    let base = if map.contains_key("hook") { Some(base(map)?) } else { None };
    if base.is_none() && ["type", "prio", "policy"].iter().any(|key| map.contains_key(*key)) {
        return Err(Wrong::new("hook", "a base chain has a hook"));
    }
    let chain = Chain { base, rules: Vec::new() };
    once(table.chains.insert(text(map, "name")?.to_owned(), chain))
}

fn rule(table: &mut Ruleset, map: &Map<String, Value>) -> Read<()> {
    let map = fields(map, &["family", "table", "chain", "handle", "comment", "expr"])?;
    let name = text(map, "chain")?;
    let comment = map.get("comment").and_then(Value::as_str).map(str::to_owned);
    let rule = rules::rule(map.get("expr").unwrap_or(&Value::Null), comment)?;
    let chain = table.chains.get_mut(name);
    chain.ok_or_else(|| Wrong::new(name, "the chain is not there"))?.rules.push(rule);
    Ok(())
}

/// Nothing may have been there before.
fn once<T>(before: Option<T>) -> Read<()> {
    if before.is_none() { Ok(()) } else { Err(Wrong::new("name", "this is listed twice")) }
}

fn metainfo(body: &Value) -> Read<()> {
    match body.get("json_schema_version") {
        Some(version) if version.as_u64() != Some(1) => Err(wrong(version, "only version 1 of listings is understood")),
        _ => Ok(()),
    }
}

/// Whether an object is a table of this name, or in it.
fn is_in(name: &str, kind: &str, map: &Map<String, Value>) -> bool {
    let table = if kind == "table" { "name" } else { "table" };
    let is = |key: &str, value: &str| map.get(key).and_then(Value::as_str) == Some(value);
    is("family", "inet") && is(table, name)
}

/// What users call an object: `rule 14 of chain pre`, `map pods4`.
fn named(kind: &str, body: &Value) -> String {
    let part = |key: &str| body.get(key).map(shown).unwrap_or_default();
    match kind {
        "rule" => format!("rule {} of chain {}", part("handle"), part("chain")),
        _ => format!("{kind} {}", part("name")),
    }
}

fn base(map: &Map<String, Value>) -> Read<Base> {
    let (kind, hook) = (text(map, "type")?, text(map, "hook")?);
    let (kind, hook) = commands::hooked(kind, hook).map_err(|(word, reason)| Wrong::new(word, reason))?;
    let drops_by_default = match text(map, "policy")? {
        "accept" => false,
        "drop" => true,
        other => return Err(Wrong::new(other, "this policy is not understood")),
    };
    let priority = map.get("prio").unwrap_or(&Value::Null);
    let number = priority.as_i64().and_then(|number| i32::try_from(number).ok());
    let priority = number.ok_or_else(|| wrong(priority, "this is no priority"))?;
    Ok(Base { kind, hook, priority, drops_by_default })
}
