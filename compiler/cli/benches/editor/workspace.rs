//! A workspace on the disk: a generated policy in one file or in many, its inventory, and some assertions.

use crate::Outcome;
use crate::client::Client;
use egress_testkit::policies::{PolicyShape, generate, generate_inventory};
use serde_json::json;
use std::fmt::Write;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The folder with its files.
pub(crate) struct Workspace {
    folder: TempDir,
    /// Names and texts.
    pub(crate) files: Vec<(String, String)>,
}

impl Workspace {
    /// The policy of so many rules, its declarations dealt out evenly.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn split(rules: usize, files: usize) -> Outcome<Self> {
        let shape = PolicyShape::of(rules);
        let (policy, inventory) = (generate(1, &shape), generate_inventory(1, &shape));
        let parse = egress_lang::parse(&policy);
        let items = &parse.file.items;
        let share = items.len().div_ceil(files).max(1);
        let mut written: Vec<(String, String)> = Vec::new();
        for (number, items) in items.chunks(share).enumerate() {
            let mut text = String::new();
            for item in items {
                writeln!(text, "{}\n", item.span().text(&policy))?;
            }
            written.push((format!("part-{number:02}.egress"), text));
        }
        // One assertion that holds and one that does not, so that it can be seen when the prover is done.
        let asserted = "assert all cannot reach 169.254.169.254\nassert all can reach 169.254.169.254 on 80/tcp\n";
        if let Some((_, text)) = written.last_mut() {
            text.push_str(asserted);
        }
        let folder = TempDir::new()?;
        for (name, text) in written
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .chain([("inventory.json", inventory.as_str())])
        {
            std::fs::write(folder.path().join(name), text)?;
        }
        Ok(Self { folder, files: written })
    }

    /// The URI of a file.
    pub(crate) fn uri(&self, name: &str) -> String {
        format!("file://{}/{name}", self.folder.path().display()).trim_end_matches('/').to_owned()
    }

    /// The file with the most rules: where people type.
    pub(crate) fn busiest(&self) -> Outcome<&(String, String)> {
        let rules = |(_, text): &&(String, String)| text.matches("\n  allow ").count();
        self.files.iter().max_by_key(rules).ok_or_else(|| "no files".into())
    }

    /// Writes a rule twice, waits until that is found, takes it back, waits until the finding is gone. Returns both waits.
    /// Of `of` rules, spread over the file, it is the one of this number.
    ///
    /// # Errors
    /// The server does not answer.
    pub(crate) fn double_a_rule(&self, number: usize, of: usize, client: &mut Client) -> Outcome<[Duration; 2]> {
        let (name, text) = self.busiest()?;
        let rules: Vec<(usize, &str)> =
            text.lines().enumerate().filter(|(_, line)| line.starts_with("  allow ")).collect();
        let &(line, rule) = rules.get(rules.len() * number / of).ok_or("no rule")?;
        let uri = self.uri(name);
        if number == 0 {
            let document = json!({ "uri": uri, "languageId": "egress", "version": 0, "text": text });
            client.tell("textDocument/didOpen", json!({ "textDocument": document }))?;
            client.ask("textDocument/documentSymbol", json!({ "textDocument": { "uri": uri } }))?;
        }
        let position = |line: usize| json!({ "line": line, "character": 0 });
        let change = |client: &mut Client, (start, end): (usize, usize), with: &str| {
            let range = json!({ "start": position(start), "end": position(end) });
            let document = json!({ "uri": uri, "version": number + 1 });
            let changes = json!([{ "range": range, "text": with }]);
            client.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": changes }))
        };
        let redundant = |client: &Client| client.count("egress::rule::redundant");
        let before = redundant(client);
        let started = Instant::now();
        change(client, (line, line), &format!("{rule}\n"))?;
        client.until(|client| redundant(client) > before)?;
        let found = started.elapsed();
        let started = Instant::now();
        change(client, (line, line + 1), "")?;
        client.until(|client| redundant(client) == before)?;
        Ok([found, started.elapsed()])
    }
}
