//! The inventory: what runs in a cluster, from `kubectl get pods,namespaces,nodes,services -A -o json`.
//!
//! In: JSON documents: a `List`, a `PodList` and its like, or single objects, one after another. Out: an
//! [`Inventory`], sorted, or every error. It fails closed: a pod whose labels or addresses are in doubt refuses the
//! whole inventory, because its traffic would be judged by the wrong rules. Objects of other kinds are ignored. Never
//! reads files.

mod error;
mod merge;
mod object;
mod strict;

pub use error::InventoryError;

use egress_ir::Inventory;
use error::Subject;
use merge::Merge;
use object::{AnyObject, Object};
use serde::Deserialize;
use serde_json::value::RawValue;
use strict::Strict;

/// Reads one document.
///
/// # Errors
/// Every object that cannot be trusted, in the order of the document.
pub fn read(bytes: &[u8]) -> Result<Inventory, Vec<InventoryError>> {
    read_all([bytes])
}

/// Reads documents that together describe one cluster, as taken with several commands.
///
/// # Errors
/// Every object that cannot be trusted.
pub fn read_all<'b>(documents: impl IntoIterator<Item = &'b [u8]>) -> Result<Inventory, Vec<InventoryError>> {
    let mut merge = Merge::default();
    for bytes in documents {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match at_once(bytes) {
            Some(objects) => objects.into_iter().for_each(|(at, object)| merge.add(object, &format!("items[{at}]"))),
            None => one_by_one(bytes, &mut merge),
        }
    }
    merge.finish()
}

/// The objects of a single list, with their places, if nothing about any of them is unusual.
fn at_once(bytes: &[u8]) -> Option<Vec<(usize, Object)>> {
    let Strict(list) = serde_json::from_slice::<Strict<List>>(bytes).ok()?;
    let implied = implied(&list.kind)?;
    let mut objects = Vec::with_capacity(list.items.len());
    for (at, Strict(item)) in list.items.into_iter().enumerate() {
        objects.extend(item.object(implied).ok()?.map(|object| (at, object)));
    }
    Some(objects)
}

#[derive(Deserialize)]
struct List {
    kind: String,
    items: Vec<Strict<AnyObject>>,
}

/// The kind of the items of a list, which need not say it themselves: those of a `PodList` are pods. Nothing at all for
/// what is no list.
fn implied(kind: &str) -> Option<Option<&str>> {
    kind.strip_suffix("List").map(|kind| Some(kind).filter(|kind| !kind.is_empty()))
}

/// Reads documents part by part, so that each error has its place, and what is odd in objects of other kinds does not
/// matter.
fn one_by_one(bytes: &[u8], merge: &mut Merge) {
    let mut values = 0;
    for value in serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>() {
        values += 1;
        match value {
            Ok(value) => document(value, merge),
            // What follows a broken value cannot be told apart from it.
            Err(error) => {
                merge.error(InventoryError::Json { reason: error.to_string() });
                break;
            }
        }
    }
    if values == 0 {
        merge.error(InventoryError::Json { reason: "the document is empty".to_owned() });
    }
}

/// What a document or an item is, before the rest of it is looked at.
#[derive(Deserialize)]
struct Head<'j> {
    kind: Option<String>,
    #[serde(borrow)]
    items: Option<&'j RawValue>,
}

fn document(value: &RawValue, merge: &mut Merge) {
    let Strict(head) = match typed::<Strict<Head<'_>>>(value.get()) {
        Ok(head) => head,
        Err((path, reason)) => return merge.error(malformed(Subject::default(), join("", &path), reason)),
    };
    match (head.kind.as_deref(), head.items) {
        (None, _) => merge.error(malformed(Subject::default(), "kind".to_owned(), "it is missing".to_owned())),
        (Some(kind), Some(items)) if implied(kind).is_some() => list(kind, items, merge),
        (Some(kind), None) if kind == "List" => {
            merge.error(malformed(Subject::of_kind(kind), "items".to_owned(), "it is missing".to_owned()));
        }
        (Some(kind), _) => object(kind, value, String::new(), merge),
    }
}

fn list(kind: &str, items: &RawValue, merge: &mut Merge) {
    let items: Vec<&RawValue> = match typed(items.get()) {
        Ok(items) => items,
        Err((_, reason)) => return merge.error(malformed(Subject::of_kind(kind), "items".to_owned(), reason)),
    };
    let implied = implied(kind).flatten();
    for (n, item) in items.into_iter().enumerate() {
        let at = format!("items[{n}]");
        match typed::<Strict<Head<'_>>>(item.get()) {
            Err((path, reason)) => merge.error(malformed(Subject::default(), join(&at, &path), reason)),
            Ok(Strict(head)) => match head.kind.as_deref().or(implied) {
                Some(kind) => object(kind, item, at, merge),
                None => {
                    merge.error(malformed(Subject::default(), join(&at, "kind"), "it is missing".to_owned()));
                }
            },
        }
    }
}

fn object(kind: &str, value: &RawValue, at: String, merge: &mut Merge) {
    match Object::read(kind, value.get()) {
        Ok(Some(object)) => merge.add(object, &at),
        Ok(None) => {}
        Err((subject, path, reason)) => merge.error(malformed(subject, join(&at, &path), reason)),
    }
}

fn malformed(subject: Subject, path: String, reason: String) -> InventoryError {
    InventoryError::Malformed { subject, path, reason }
}

fn join(at: &str, path: &str) -> String {
    match (at, path) {
        (at, "" | ".") => at.to_owned(),
        ("", path) => path.to_owned(),
        (at, path) => format!("{at}.{path}"),
    }
}

/// Reads a value of a type; the error is the JSON path of the part that does not fit, and why.
fn typed<'j, T: Deserialize<'j>>(json: &'j str) -> Result<T, (String, String)> {
    if let Ok(value) = serde_json::from_str(json) {
        return Ok(value);
    }
    // The path costs time, so it is only followed for values that do not fit.
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json)).map_err(|error| {
        let path = error.path().to_string();
        (path, error::reason(&error.into_inner()))
    })
}
