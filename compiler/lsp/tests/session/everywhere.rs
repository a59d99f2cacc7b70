//! Every feature at every place of real texts, whole and cut off in the middle of a word: an answer, and ranges within the
//! text.

use super::support::{Memory, Session, uri};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Features that look at a place.
const AT: [&str; 7] = [
    "textDocument/hover",
    "textDocument/definition",
    "textDocument/references",
    "textDocument/documentHighlight",
    "textDocument/prepareRename",
    "textDocument/signatureHelp",
    "textDocument/completion",
];
/// Features that look at a document or a part of it.
const ON: [&str; 9] = [
    "textDocument/documentSymbol",
    "textDocument/foldingRange",
    "textDocument/documentLink",
    "textDocument/codeLens",
    "textDocument/semanticTokens/full",
    "textDocument/semanticTokens/range",
    "textDocument/inlayHint",
    "textDocument/formatting",
    "textDocument/rangeFormatting",
];
/// The largest text of which every place is looked at, in bytes.
const LARGEST: usize = 6000;
/// How many places of each text are looked at, at most.
const PLACES: usize = 60;

/// The policies of `testdata`, sorted.
fn policies(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(policies(&path));
        } else if path.extension().is_some_and(|extension| extension == "egress") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every range of an answer lies within the lines of the text.
fn check(answer: &Value, lines: usize, what: &str) {
    match answer {
        Value::Object(fields) => {
            if let Some(line) = fields.get("line") {
                assert!(line.as_u64().is_some_and(|line| line < lines as u64), "{what}: {answer} in {lines} lines");
            }
            // Places in other documents have other lines.
            let elsewhere = ["uri", "targetUri"].iter().any(|field| fields.contains_key(*field));
            fields.values().filter(|_| !elsewhere).for_each(|value| check(value, lines, what));
        }
        Value::Array(values) => values.iter().for_each(|value| check(value, lines, what)),
        _ => {}
    }
}

fn look(session: &mut Session, path: &str, text: &str) {
    let lines = text.split('\n').count();
    let document = json!({ "uri": uri(path) });
    let end = json!({ "line": lines, "character": 0 });
    let whole = json!({ "start": { "line": 0, "character": 0 }, "end": end });
    for method in ON {
        let answer = session.ask(method, json!({ "textDocument": document, "range": whole }));
        check(&answer.unwrap_or_else(|error| panic!("{method}: {error:?}\n{text}")), lines, method);
    }
    let step = text.len().div_ceil(PLACES).max(1);
    for at in (0..=text.len()).step_by(step).filter(|at| text.is_char_boundary(*at)) {
        let line = text[..at].matches('\n').count();
        let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
        let position = json!({ "line": line, "character": text[start..at].encode_utf16().count() });
        for method in AT {
            let context = json!({ "includeDeclaration": true, "triggerKind": 1 });
            let params = json!({ "textDocument": document, "position": position, "context": context });
            let answer = session.ask(method, params);
            check(&answer.unwrap_or_else(|error| panic!("{method}: {error:?} at {at}\n{text}")), lines, method);
        }
        let params = json!({ "textDocument": document, "positions": [position] });
        check(&session.ask("textDocument/selectionRange", params).unwrap(), lines, "selectionRange");
    }
}

#[test]
fn every_feature_answers_everywhere() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let mut looked_at = 0;
    let world = Memory::default();
    let mut session = Session::with(&world, json!({}), json!({}), &[]);
    for path in policies(&testdata) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if text.len() > LARGEST {
            continue;
        }
        let name = format!("untitled:{looked_at}");
        session.open(&name, &text);
        look(&mut session, &name, &text);
        let cut = (0..text.len() * 2 / 3).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        session.replace(&name, 2, &text[..cut]);
        look(&mut session, &name, &text[..cut]);
        session.tell("textDocument/didClose", json!({ "textDocument": { "uri": name } }));
        looked_at += 1;
    }
    assert!(looked_at > 50, "only {looked_at} policies were found");
    session.end();
}
