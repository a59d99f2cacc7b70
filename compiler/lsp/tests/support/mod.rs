//! A client in the process: sends what editors send, and waits for what they would see.

#![expect(dead_code, reason = "each test file uses its own part")]

pub(crate) mod apply;

use egress_compiler::{Files, MemoryFiles};
use egress_ir::Date;
use egress_lsp::{Compile, Ending, Preview, World, serve};
use lsp_server::{Connection, Message, Notification, Request, RequestId, Response};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long anything may take before a test gives up: far longer than it ever does.
const PATIENCE: Duration = Duration::from_secs(60);

/// Files in memory; whoever changes one tells the server, as editors do.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// Nothing is compiled while somebody holds this.
    pub(crate) gate: Arc<Mutex<()>>,
}

impl Memory {
    /// These files.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let memory = Self::default();
        files.iter().for_each(|(path, text)| memory.write(path, text));
        memory
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        self.files.lock().unwrap().insert(path.to_owned(), text.as_bytes().to_vec());
    }

    /// Removes a file.
    pub(crate) fn remove(&self, path: &str) {
        self.files.lock().unwrap().remove(path);
    }
}

impl World for Memory {
    fn today(&self) -> Date {
        Date { year: 2027, month: 1, day: 1 }
    }

    fn policies(&self, folder: &str, deep: bool) -> Result<Vec<String>, String> {
        let inside = |path: &&String| {
            let rest = path.strip_prefix(&format!("{folder}/"));
            rest.is_some_and(|rest| rest.ends_with(".egress") && (deep || !rest.contains('/')))
        };
        Ok(self.files.lock().unwrap().keys().filter(inside).cloned().collect())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.files.lock().unwrap().get(path).cloned().ok_or_else(|| "there is no such file".to_owned())
    }

    fn stamp(&self, path: &str) -> Option<(u64, u128)> {
        let files = self.files.lock().unwrap();
        let bytes = files.get(path)?;
        let sum = bytes.iter().fold(7, |sum: u128, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
        Some((bytes.len() as u64, sum))
    }

    fn lists(&self, root: &str) -> Arc<dyn Files + Send + Sync> {
        let below = |(path, bytes): (&String, &Vec<u8>)| {
            path.strip_prefix(&format!("{root}/")).map(|path| (path.to_owned(), bytes.clone()))
        };
        Arc::new(MemoryFiles(self.files.lock().unwrap().iter().filter_map(below).collect()))
    }

    fn compile(&self, request: &Compile<'_>) -> Result<Preview, String> {
        let _held = self.gate.lock().unwrap();
        let rules = request.compiled.program.as_ref().map_or(0, |program| program.rules.len());
        Ok(Preview { title: request.target.to_owned(), language: "plaintext", text: format!("{rules} rules") })
    }

    fn page(&self, _: &str) -> Option<&'static str> {
        None
    }
}

/// A session with the server.
pub(crate) struct Session {
    connection: Connection,
    server: Option<JoinHandle<Ending>>,
    asked: i32,
    answers: HashMap<RequestId, Response>,
    /// What was published last, by URI.
    pub(crate) diagnostics: BTreeMap<String, Vec<Value>>,
    /// Everything else that the server said of itself.
    pub(crate) told: Vec<Notification>,
    /// What the server asked the client for.
    pub(crate) wanted: Vec<Request>,
    /// What the server said that it can.
    pub(crate) capabilities: Value,
}

impl Session {
    /// Starts with these files in the workspace folder `/w`.
    pub(crate) fn start(world: &Memory, options: Value) -> Self {
        Self::with(world, json!({}), options, &["/w"])
    }

    /// Starts with capabilities, options and folders.
    pub(crate) fn with(world: &Memory, mut capabilities: Value, options: Value, folders: &[&str]) -> Self {
        if capabilities.pointer("/workspace/workspaceEdit").is_none() {
            capabilities["workspace"]["workspaceEdit"] = json!({ "documentChanges": true });
        }
        let (ours, theirs) = Connection::memory();
        let world: Arc<dyn World> = Arc::new(world.clone());
        let server = std::thread::spawn(move || serve(theirs, world).unwrap());
        let mut session = Self {
            connection: ours,
            server: Some(server),
            asked: 0,
            answers: HashMap::new(),
            diagnostics: BTreeMap::new(),
            told: Vec::new(),
            wanted: Vec::new(),
            capabilities: Value::Null,
        };
        let folders: Vec<Value> =
            folders.iter().map(|path| json!({ "uri": format!("file://{path}"), "name": path })).collect();
        let params = json!({
            "processId": null, "rootUri": null, "capabilities": capabilities,
            "initializationOptions": options, "workspaceFolders": folders,
        });
        session.capabilities = session.ask("initialize", params).unwrap()["capabilities"].clone();
        session.tell("initialized", json!({}));
        session
    }

    /// Sends a notification.
    pub(crate) fn tell(&self, method: &str, params: Value) {
        self.connection.sender.send(Notification { method: method.to_owned(), params }.into()).unwrap();
    }

    /// Sends a request without waiting.
    pub(crate) fn send(&mut self, method: &str, params: Value) -> RequestId {
        self.asked += 1;
        let id = RequestId::from(self.asked);
        self.connection.sender.send(Request { id: id.clone(), method: method.to_owned(), params }.into()).unwrap();
        id
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Result<Value, (i32, String)> {
        let id = self.send(method, params);
        self.answer(&id)
    }

    /// Waits for an answer.
    pub(crate) fn answer(&mut self, id: &RequestId) -> Result<Value, (i32, String)> {
        loop {
            if let Some(response) = self.answers.remove(id) {
                return response.response_result.map_err(|error| (error.code, error.message));
            }
            self.take();
        }
    }

    /// Takes one message.
    fn take(&mut self) {
        match self.connection.receiver.recv_timeout(PATIENCE).expect("the server says nothing") {
            Message::Response(response) => {
                let again = self.answers.insert(response.id.clone(), response);
                assert!(again.is_none(), "answered twice: {again:?}");
            }
            Message::Request(request) => self.wanted.push(request),
            Message::Notification(it) if it.method == "textDocument/publishDiagnostics" => {
                let uri = it.params["uri"].as_str().unwrap().to_owned();
                self.diagnostics.insert(uri, it.params["diagnostics"].as_array().unwrap().clone());
            }
            Message::Notification(notification) => self.told.push(notification),
        }
    }

    /// Answers a request of the server.
    pub(crate) fn reply(&self, id: RequestId, result: Value) {
        self.connection.sender.send(lsp_server::Response { id, response_result: Ok(result) }.into()).unwrap();
    }

    /// Waits until the condition holds.
    pub(crate) fn until(&mut self, mut holds: impl FnMut(&Self) -> bool) {
        while !holds(self) {
            self.take();
        }
    }

    /// Waits until a document has exactly these codes, sorted.
    pub(crate) fn until_codes(&mut self, path: &str, wanted: &[&str]) {
        while self.codes(path) != wanted {
            self.take();
        }
    }

    /// The codes of a document's diagnostics, sorted.
    pub(crate) fn codes(&self, path: &str) -> Vec<String> {
        let diagnostics = self.diagnostics.get(&uri(path)).into_iter().flatten();
        let mut codes: Vec<String> = diagnostics.filter_map(|it| it["code"].as_str()).map(str::to_owned).collect();
        codes.sort();
        codes
    }

    /// Opens a document.
    pub(crate) fn open(&self, path: &str, text: &str) {
        let document = json!({ "uri": uri(path), "languageId": "egress", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
    }

    /// Replaces a document's text.
    pub(crate) fn replace(&self, path: &str, version: i32, text: &str) {
        self.change(path, version, &json!([{ "text": text }]));
    }

    /// Changes a document.
    pub(crate) fn change(&self, path: &str, version: i32, changes: &Value) {
        let document = json!({ "uri": uri(path), "version": version });
        self.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": changes }));
    }

    /// Asks about a place, which is where `needle` stands in `text`, `inside` bytes on.
    pub(crate) fn ask_at(
        &mut self,
        method: &str,
        path: &str,
        (text, needle, inside): (&str, &str, usize),
        more: Value,
    ) -> Value {
        let at = text.find(needle).unwrap() + inside;
        let line = text[..at].matches('\n').count();
        let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
        let position = json!({ "line": line, "character": text[start..at].encode_utf16().count() });
        let mut params = json!({ "textDocument": { "uri": uri(path) }, "position": position });
        params.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        self.ask(method, params).unwrap()
    }

    /// Ends the session as the protocol has it.
    pub(crate) fn end(mut self) {
        assert_eq!(self.ask("shutdown", Value::Null), Ok(Value::Null));
        self.tell("exit", Value::Null);
        assert_eq!(self.server.take().unwrap().join().unwrap(), Ending::Orderly);
    }
}

/// The URI of a path.
pub(crate) fn uri(path: &str) -> String {
    if path.starts_with('/') { format!("file://{path}") } else { path.to_owned() }
}
