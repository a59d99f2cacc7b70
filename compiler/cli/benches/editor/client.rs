//! A client of the built command, over its standard input and output.

use crate::Outcome;
use crate::workspace::Workspace;
use lsp_server::{Message, Notification, Request, RequestId};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::BufReader;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The client with its server.
pub(crate) struct Client {
    server: Child,
    input: ChildStdin,
    messages: Receiver<Message>,
    started: Instant,
    asked: i32,
    /// How many diagnostics of each code each document has.
    pub(crate) codes: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Client {
    /// Starts the server in a workspace.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(workspace: &Workspace) -> Outcome<Self> {
        let started = Instant::now();
        let mut server = Command::new(env!("CARGO_BIN_EXE_egressc"))
            .arg("lsp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = server.stdin.take().ok_or("no input")?;
        let mut output = BufReader::new(server.stdout.take().ok_or("no output")?);
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            while let Ok(Some(message)) = Message::read(&mut output) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut client = Self { server, input, messages, started, asked: 0, codes: BTreeMap::new() };
        let folder = json!({ "uri": workspace.uri(""), "name": "bench" });
        let options = json!({ "inventory": ["inventory.json"] });
        client.ask(
            "initialize",
            json!({ "processId": null, "rootUri": null, "capabilities": {}, "workspaceFolders": [folder],
                    "initializationOptions": options }),
        )?;
        client.tell("initialized", json!({}))?;
        Ok(client)
    }

    /// Waits for the first diagnostics, of which every workspace here has some; how long that took from the start.
    ///
    /// # Errors
    /// The server says nothing.
    pub(crate) fn wait_for_first_diagnostics(&mut self) -> Outcome<Duration> {
        self.until(|client| !client.codes.is_empty())?;
        Ok(self.started.elapsed())
    }

    /// Waits until the prover is done for the first time, which it shows by the assertion that fails.
    ///
    /// # Errors
    /// The server says nothing.
    pub(crate) fn wait_for_findings(&mut self) -> Outcome<()> {
        self.until(|client| client.count("egress::assert::failed") == 1)
    }

    /// How many diagnostics there are of a code.
    pub(crate) fn count(&self, code: &str) -> usize {
        self.codes.values().filter_map(|codes| codes.get(code)).sum()
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// The server is gone.
    pub(crate) fn tell(&mut self, method: &str, params: Value) -> Outcome<()> {
        Ok(Message::from(Notification { method: method.to_owned(), params }).write(&mut self.input)?)
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// The server is gone, or refuses.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Outcome<Value> {
        self.asked += 1;
        let id = RequestId::from(self.asked);
        Message::from(Request { id: id.clone(), method: method.to_owned(), params }).write(&mut self.input)?;
        loop {
            if let Some(response) = self.take()?
                && response.id == id
            {
                return response.response_result.map_err(|error| format!("{method}: {}", error.message).into());
            }
        }
    }

    /// Waits until the condition holds.
    ///
    /// # Errors
    /// The server says nothing.
    pub(crate) fn until(&mut self, holds: impl Fn(&Self) -> bool) -> Outcome<()> {
        while !holds(self) {
            self.take()?;
        }
        Ok(())
    }

    fn take(&mut self) -> Outcome<Option<lsp_server::Response>> {
        match self.messages.recv_timeout(PATIENCE)? {
            Message::Response(response) => return Ok(Some(response)),
            Message::Notification(it) if it.method == "textDocument/publishDiagnostics" => {
                let uri = it.params.get("uri").and_then(Value::as_str).ok_or("diagnostics of nothing")?;
                let mut codes = BTreeMap::new();
                for found in it.params.get("diagnostics").and_then(Value::as_array).into_iter().flatten() {
                    let code = found.get("code").and_then(Value::as_str).unwrap_or_default();
                    *codes.entry(code.to_owned()).or_default() += 1;
                }
                self.codes.insert(uri.to_owned(), codes);
            }
            Message::Notification(_) | Message::Request(_) => {}
        }
        Ok(None)
    }

    /// The most memory that the server had resident, in MiB.
    ///
    /// # Errors
    /// The kernel does not say.
    pub(crate) fn peak(&self) -> Outcome<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kibibytes / 1024.0)
    }

    /// Ends the session.
    ///
    /// # Errors
    /// The server does not end as it should.
    pub(crate) fn end(mut self) -> Outcome<()> {
        self.ask("shutdown", Value::Null)?;
        self.tell("exit", Value::Null)?;
        let status = self.server.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the server ended with {status}").into()) }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ended = self.server.kill();
        let _reaped = self.server.wait();
    }
}
