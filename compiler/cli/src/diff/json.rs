//! A difference as one JSON object, in the stable form that `docs/json.md` describes.
//!
//! In: a page. Out: the object, with keys in a fixed order.

use super::{Change, Page, word};
use crate::render::{Tool, VERSION, to_text};
use egress_verifier::Direction;
use serde_json::{Value, json};

/// The page as text.
pub(super) fn show(page: &Page<'_>) -> String {
    let [old, new] = &page.sides;
    let count = |direction| page.of(direction).count();
    let tightens = match (count(Direction::Opened), &page.unknown) {
        (0, None) => json!(true),
        (0, Some(_)) => Value::Null,
        _ => json!(false),
    };
    let extent = page.comparison.extent;
    to_text(&json!({
        "version": VERSION,
        "tool": Tool::default(),
        "verb": "diff",
        "before": old.side.label,
        "after": new.side.label,
        "answer": match (page.changes.is_empty(), &page.unknown) {
            (true, None) => "equal",
            (false, _) => "different",
            (true, Some(_)) => "unknown",
        },
        "reason": page.unknown,
        "only_tightens": tightens,
        "summary": {
            "opened": count(Direction::Opened),
            "closed": count(Direction::Closed),
            "rerouted": count(Direction::Rerouted),
        },
        "changes": page.changes.iter().map(|one| change(page, one)).collect::<Vec<_>>(),
        "doubts": page.sides.iter().filter_map(|version| version.side.doubt()).collect::<Vec<_>>(),
        "extent": { "senders": extent.senders, "pieces": extent.pieces, "pairs": extent.pairs },
        "work": page.work,
    }))
}

fn change(page: &Page<'_>, change: &Change<'_>) -> Value {
    let mut object = change.told.json("before", "after");
    let rules = |side: usize| {
        let (version, reason) = (page.sides.get(side)?, change.reasons.get(side)?);
        Some(reason.rules.iter().map(|rule| version.rules.json(*rule)).collect::<Vec<_>>())
    };
    if let Some(object) = object.as_object_mut() {
        object.insert("direction".into(), json!(word(change.direction).replace('-', "")));
        object.insert("rules".into(), json!({ "before": rules(0), "after": rules(1) }));
    }
    object
}
