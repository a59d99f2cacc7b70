//! Random edits: whatever is typed, the server has the text that the editor has, and says of it what a server would that
//! had never seen another.

use super::support::{Memory, Session, uri};
use egress_lsp::text::{Edited, Encoding};
use egress_testkit::seed::{Rng, cases, seed};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many edits there are unless `EGRESS_CASES` says otherwise.
const EDITS: u64 = 10_000;
/// After how many edits the server is held against a fresh one.
const COMPARED: u64 = 50;

/// What is typed: pieces of the language, pieces of nothing, and characters of every width.
const PIECES: [&str; 32] = [
    "policy p { for all }\n",
    "workloads w = pods(app=a) in namespace n\n",
    "allow ",
    "deny ",
    "w",
    "10.0.0.0/8",
    "d",
    ", ",
    "destinations d = 192.0.2.0/24, host a.example\n",
    "on 443/tcp ",
    "}",
    "{",
    "(",
    ")",
    "\"",
    "\\",
    "#",
    "## doc\n",
    "\n",
    "\r\n",
    "\r",
    " ",
    "ü",
    "漢字",
    "𝄞",
    "e\u{301}",
    "\u{feff}",
    "\0",
    "because \"ü𝄞\" ",
    "except ",
    "assert all cannot reach d\n",
    "guardrail g { for w deny d }\n",
];

/// The text as an editor keeps it: characters in lines, counted in UTF-16 by walking.
struct Model(Vec<char>);

impl Model {
    fn text(&self) -> String {
        self.0.iter().collect()
    }

    /// The position of a place between characters; it moves back out of a `\r\n`.
    fn position(&self, at: usize) -> (usize, Value) {
        let inside = at > 0 && self.0.get(at - 1) == Some(&'\r') && self.0.get(at) == Some(&'\n');
        let at = if inside { at - 1 } else { at };
        let (mut line, mut character) = (0, 0);
        for (place, c) in self.0[..at].iter().enumerate() {
            let ends = *c == '\n' || (*c == '\r' && self.0.get(place + 1) != Some(&'\n'));
            (line, character) = if ends { (line + 1, 0) } else { (line, character + c.len_utf16()) };
        }
        (at, json!({ "line": line, "character": character }))
    }

    /// One random change, applied here and returned for the server.
    fn change(&mut self, rng: &mut Rng) -> Value {
        let mut below = |most: usize| rng.below(most);
        let start = below(self.0.len() + 1);
        let longest = if below(50) == 0 { self.0.len() } else { 12 };
        let end = (start + below(longest + 1) * below(2)).min(self.0.len());
        let with: String = (0..below(3) + usize::from(start == end)).map(|_| PIECES[below(PIECES.len())]).collect();
        let ((start, first), (end, last)) = (self.position(start), self.position(end));
        self.0.splice(start..end, with.chars());
        json!({ "range": { "start": first, "end": last }, "text": with })
    }
}

/// What a server says of these documents at once: outlines, and what is wrong with texts and names.
fn said(session: &mut Session, texts: &BTreeMap<&str, String>) -> Vec<Value> {
    let mut said = Vec::new();
    for path in texts.keys() {
        let symbols = session.ask("textDocument/documentSymbol", json!({ "textDocument": { "uri": uri(path) } }));
        said.push(symbols.unwrap());
        // Findings of the checker come later, and those of an earlier text stay until there are newer ones.
        let at_once = |found: &&Value| {
            let code = found["code"].as_str().unwrap();
            code.starts_with("egress::syntax::") || code.starts_with("egress::name::")
        };
        said.extend(session.diagnostics.get(&uri(path)).into_iter().flatten().filter(at_once).cloned());
    }
    said
}

/// The same of a server that was started with them.
fn said_afresh(texts: &BTreeMap<&str, String>) -> Vec<Value> {
    let files: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let mut session = Session::start(&Memory::of(&files), json!({ "proofs": false }));
    let said = said(&mut session, texts);
    session.end();
    said
}

#[test]
fn after_any_edits_the_server_says_what_a_fresh_one_says() {
    let edits = cases(EDITS);
    let mut rng = Rng::new(seed(), 7);
    let mut models: BTreeMap<&str, Model> =
        ["/w/a.egress", "/w/b.egress"].into_iter().map(|path| (path, Model(Vec::new()))).collect();
    let mut session = Session::start(&Memory::default(), json!({ "proofs": false }));
    models.keys().for_each(|path| session.open(path, ""));
    let mut version = 1;
    for round in 0..edits / COMPARED {
        for _ in 0..COMPARED / 5 {
            let path = if rng.below(3) == 0 { "/w/b.egress" } else { "/w/a.egress" };
            let model = models.get_mut(path).unwrap();
            // Five changes in one notification, each in terms of what the one before it left.
            let mut edited = Edited::new(model.text(), Encoding::Utf16);
            let changes: Vec<Value> = (0..5).map(|_| model.change(&mut rng)).collect();
            changes.iter().for_each(|change| edited.apply(serde_json::from_value(change.clone()).unwrap()));
            assert_eq!(edited.into_text(), model.text(), "{changes:?}");
            version += 1;
            session.change(path, version, &json!(changes));
        }
        let texts: BTreeMap<&str, String> = models.iter().map(|(path, model)| (*path, model.text())).collect();
        assert_eq!(said(&mut session, &texts), said_afresh(&texts), "round {round}: {texts:#?}");
        for model in models.values_mut().filter(|model| model.0.len() > 3000) {
            model.0.clear();
        }
        for (path, _) in models.iter().filter(|(_, model)| model.0.is_empty()) {
            version += 1;
            session.replace(path, version, "");
        }
    }
    session.end();
}
