//! Typing sessions: what people do to a text, key by key.
//!
//! In: the files of `testdata/typing`, a step a line: `at 50%` goes to the end of the first rule after that share of the
//! text (of the last rule, if there is none after it), `type "…"` types character by character, `erase N` takes back N characters one by one, `paste "…"` inserts at
//! once. Out: how long a client waits after each edit until the server has names and syntax of it.

use crate::Outcome;
use crate::client::Client;
use crate::workspace::Workspace;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// One session.
pub(crate) struct Session(Vec<Step>);

enum Step {
    At(usize),
    Type(String),
    Erase(usize),
    Paste(String),
}

/// All sessions, sorted by name.
///
/// # Errors
/// A file cannot be read, or has a line that is no step.
pub(crate) fn recorded() -> Outcome<Vec<Session>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/typing");
    let mut paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Outcome<Vec<_>>>()?;
    paths.sort();
    paths.iter().map(|path| Session::read(&std::fs::read_to_string(path)?)).collect()
}

impl Session {
    fn read(text: &str) -> Outcome<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(step).collect::<Outcome<_>>().map(Self)
    }

    /// How many edits it makes.
    pub(crate) fn keys(&self) -> usize {
        let keys = |step: &Step| match step {
            Step::At(_) => 0,
            Step::Type(text) => text.chars().count(),
            Step::Erase(count) => *count,
            Step::Paste(_) => 1,
        };
        self.0.iter().map(keys).sum()
    }

    /// Plays it in the busiest file of a workspace; the wait after each edit.
    ///
    /// # Errors
    /// The server does not answer.
    pub(crate) fn play(&self, workspace: &Workspace, client: &mut Client) -> Outcome<Vec<Duration>> {
        let (name, text) = workspace.busiest()?;
        let mut typist = Typist { uri: workspace.uri(name), text: text.clone(), at: 0, version: 0, waits: Vec::new() };
        let document = json!({ "uri": typist.uri, "languageId": "egress", "version": 0, "text": text });
        client.tell("textDocument/didOpen", json!({ "textDocument": document }))?;
        typist.wait(client)?;
        typist.waits.clear();
        for step in &self.0 {
            typist.take(step, client)?;
        }
        client.tell("textDocument/didClose", json!({ "textDocument": { "uri": typist.uri } }))?;
        Ok(typist.waits)
    }
}

fn step(line: &str) -> Outcome<Step> {
    let (verb, rest) = line.split_once(' ').ok_or_else(|| format!("`{line}` is no step"))?;
    Ok(match verb {
        "at" => Step::At(rest.trim_end_matches('%').parse()?),
        "type" => Step::Type(serde_json::from_str(rest)?),
        "erase" => Step::Erase(rest.parse()?),
        "paste" => Step::Paste(serde_json::from_str(rest)?),
        _ => return Err(format!("`{line}` is no step").into()),
    })
}

/// Somebody who types.
struct Typist {
    uri: String,
    text: String,
    at: usize,
    version: usize,
    waits: Vec<Duration>,
}

impl Typist {
    fn take(&mut self, step: &Step, client: &mut Client) -> Outcome<()> {
        match step {
            Step::At(share) => {
                let from = self.text.len() * share / 100;
                const RULE: &str = "\n  allow ";
                let after = self.text.get(from..).and_then(|rest| rest.find(RULE)).map(|at| from + at);
                let line = 1 + after.or_else(|| self.text.rfind(RULE)).ok_or("no rule there")?;
                let end = self.text.get(line..).and_then(|rest| rest.find('\n')).ok_or("no end")?;
                self.at = line + end;
                Ok(())
            }
            Step::Type(text) => text.chars().try_for_each(|key| self.replace(0, &key.to_string(), client)),
            Step::Erase(count) => (0..*count).try_for_each(|_| self.replace(1, "", client)),
            Step::Paste(text) => self.replace(0, text, client),
        }
    }

    /// Replaces so many bytes before the cursor, all ASCII, and waits.
    fn replace(&mut self, erased: usize, with: &str, client: &mut Client) -> Outcome<()> {
        let start = self.at - erased;
        let range = json!({ "start": self.position(start), "end": self.position(self.at) });
        self.text.replace_range(start..self.at, with);
        self.at = start + with.len();
        self.version += 1;
        let document = json!({ "uri": self.uri, "version": self.version });
        let changes = json!([{ "range": range, "text": with }]);
        let started = Instant::now();
        client.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": changes }))?;
        self.wait(client)?;
        self.waits.push(started.elapsed());
        Ok(())
    }

    /// Asks something that needs the names of the latest text.
    fn wait(&mut self, client: &mut Client) -> Outcome<()> {
        let params = json!({ "textDocument": { "uri": self.uri }, "position": self.position(self.at) });
        client.ask("textDocument/definition", params)?;
        Ok(())
    }

    fn position(&self, at: usize) -> serde_json::Value {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        json!({ "line": line, "character": at - start })
    }
}
