//! The inventory: what runs in a cluster, from `kubectl get pods,namespaces,nodes,services -A -o json`.
//!
//! In: JSON documents: a `List`, a `PodList` and its like, or single objects, one after another. Out: an
//! [`Inventory`], sorted, or every error. It fails closed: a pod whose labels or addresses are in doubt refuses the
//! whole inventory, because its traffic would be judged by the wrong rules. Objects of other kinds are ignored. Never
//! reads files.

mod error;
mod merge;
mod object;

pub use error::InventoryError;

use egress_ir::Inventory;
use error::Subject;
use merge::Merge;
use object::Object;
use serde::Deserialize;
use serde_json::value::RawValue;

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
        let mut values = 0;
        for value in serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>() {
            values += 1;
            match value {
                Ok(value) => document(value, &mut merge),
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
    merge.finish()
}

/// What a document or an item is, before the rest of it is looked at.
#[derive(Deserialize)]
struct Head<'j> {
    kind: Option<String>,
    #[serde(borrow)]
    items: Option<&'j RawValue>,
}

/// Reads the head of an object; serde would take an array for one as well.
fn head(value: &RawValue) -> Result<Head<'_>, (String, String)> {
    match value.get().starts_with('{') {
        true => typed(value.get()),
        false => Err((String::new(), "it is not an object".to_owned())),
    }
}

fn document(value: &RawValue, merge: &mut Merge) {
    let head = match head(value) {
        Ok(head) => head,
        Err((path, reason)) => return merge.error(malformed(Subject::default(), path, reason)),
    };
    match (head.kind.as_deref(), head.items) {
        (None, _) => merge.error(malformed(Subject::default(), "kind".to_owned(), "it is missing".to_owned())),
        (Some(kind), Some(items)) if kind.ends_with("List") => list(kind, items, merge),
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
    // The items of a `PodList` need not say that they are pods.
    let implied = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
    for (n, item) in items.into_iter().enumerate() {
        let at = format!("items[{n}]");
        match head(item) {
            Err((path, reason)) => merge.error(malformed(Subject::default(), join(&at, &path), reason)),
            Ok(head) => match head.kind.as_deref().or(implied) {
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
        ("", path) => path.to_owned(),
        (at, "" | ".") => at.to_owned(),
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
