//! Applies the changes that the server proposes, as a client does: by lines and UTF-16 units, counted by walking.

use super::uri;
use serde_json::Value;

/// The byte offset of a position, which must be one that the text has.
fn offset(text: &str, position: &Value) -> usize {
    let (line, character) = (position["line"].as_u64().unwrap(), position["character"].as_u64().unwrap());
    let mut start = 0;
    for _ in 0..line {
        let rest = &text[start..];
        let end = rest.find(['\n', '\r']).expect("the text has no such line");
        start += end + if rest[end..].starts_with("\r\n") { 2 } else { 1 };
    }
    let (mut at, mut units) = (start, 0);
    let mut characters = text[start..].chars();
    while units < character {
        let c = characters.next().filter(|c| !['\n', '\r'].contains(c));
        let c = c.expect("the line has no such character");
        (at, units) = (at + c.len_utf8(), units + c.len_utf16() as u64);
    }
    assert_eq!(units, character, "inside a character of line {line} of {text:?}");
    at
}

/// A document's text after an edit of the workspace. Changes must be of what is there, and may not overlap.
pub(crate) fn applied(edit: &Value, path: &str, text: &str) -> String {
    let documents = edit["documentChanges"].as_array().unwrap().iter();
    let changes =
        documents.filter(|it| it["textDocument"]["uri"] == uri(path)).flat_map(|it| it["edits"].as_array().unwrap());
    let placed = |change: &Value| {
        let (start, end) = (offset(text, &change["range"]["start"]), offset(text, &change["range"]["end"]));
        assert!(start <= end, "{change}");
        (start, end, change["newText"].as_str().unwrap().to_owned())
    };
    let mut changes: Vec<(usize, usize, String)> = changes.map(placed).collect();
    changes.sort();
    assert!(changes.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{changes:?} overlap");
    let mut text = text.to_owned();
    changes.iter().rev().for_each(|(start, end, with)| text.replace_range(*start..*end, with));
    text
}
