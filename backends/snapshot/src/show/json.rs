//! A snapshot as JSON: the meta part, with what the header and the tables say. Vectors are only counted.

use super::hex;
use crate::file::Snapshot;
use crate::layout::Layout;
use serde_json::{Map, Value, json};

/// The keys of the meta part without `vectors`, and `digest`, `signer`, `bytes`, `id_bits`, `counts`, `parts` and
/// `vector_count`.
#[must_use]
pub fn json(snapshot: &Snapshot) -> Value {
    let meta = serde_json::to_value(&snapshot.meta).unwrap_or_default();
    let mut object = match meta {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    object.remove("vectors");
    let layout = snapshot.tables.layout();
    let counts = counts(layout).map(|(name, count)| (name.replace(' ', "_"), json!(count)));
    let parts = snapshot.tables.parts().into_iter();
    let parts = parts.map(|part| json!({ "name": part.name, "bytes": part.bytes, "forms": part.forms }));
    let more = [
        ("digest", json!(format!("sha256:{}", hex(&snapshot.digest)))),
        ("signer", json!(snapshot.signer.map(|key| format!("ed25519:{}", hex(&key))))),
        ("bytes", json!(snapshot.tables.bytes().len())),
        ("id_bits", json!(id_bits(layout))),
        ("counts", Value::Object(counts.into_iter().collect())),
        ("parts", Value::Array(parts.collect())),
        ("vector_count", json!(snapshot.meta.vectors.len())),
    ];
    object.extend(more.map(|(key, value)| (key.to_owned(), value)));
    Value::Object(object)
}

pub(super) fn id_bits(layout: &Layout) -> u32 {
    if layout.wide == 1 { 32 } else { 16 }
}

pub(super) fn counts(layout: &Layout) -> [(&'static str, u32); 6] {
    [
        ("rows", layout.row_count),
        ("destination classes", layout.class_count),
        ("profiles", layout.profile_count),
        ("port classes", layout.port_class_count),
        ("outcomes", layout.outcome_count),
        ("low trees", layout.source_low_count.saturating_add(layout.destination_low_count)),
    ]
}
