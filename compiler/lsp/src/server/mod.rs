//! The server: messages in, answers and diagnostics out.
//!
//! One thread answers requests and resolves names, another proves (`prover`), two read and write (`transport`). Edits only
//! change texts; names are resolved once no message waits, so that a burst of keystrokes is one edit. Requests see the text
//! as it is when their turn comes.

mod capabilities;
mod commands;
mod dispatch;
mod prover;
mod publish;
mod settings;
mod state;
mod transport;
mod watch;

pub use transport::{Threads, connect};

use crate::world::World;
use crossbeam_channel::{Receiver, Sender, select, tick};
use dispatch::Answer;
use lsp_server::{Connection, ErrorCode, Message, Notification, ProtocolError, Request, RequestId, Response};
use prover::{Job, Report, Worker};
use serde::Serialize;
use serde_json::{Value, json};
use settings::{Client, Settings};
use state::State;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How often the disk is looked at for a client that does not tell of changes.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As the protocol has it: shutdown, then exit.
    Orderly,
    /// The client went away.
    Abrupt,
}

/// Serves one client until it goes.
///
/// # Errors
/// The prover's thread cannot be started.
pub fn serve(connection: Connection, world: Arc<dyn World>) -> std::io::Result<Ending> {
    let Ok((id, params)) = connection.initialize_start() else { return Ok(Ending::Abrupt) };
    let client = Client::of(params.get("capabilities").unwrap_or(&Value::Null));
    let result = json!({
        "capabilities": capabilities::of(client),
        "serverInfo": { "name": "egressc", "version": env!("CARGO_PKG_VERSION") },
    });
    match connection.initialize_finish(id, result) {
        Ok(()) => {}
        Err(ProtocolError { .. }) => return Ok(Ending::Abrupt),
    }
    let worker = Worker::start()?;
    let (settings, wrong) = match Settings::read(params.get("initializationOptions").cloned().unwrap_or_default()) {
        Ok(settings) => (settings, None),
        Err(wrong) => (Settings::default(), Some(wrong)),
    };
    let state = State::new(world, client, settings, folders(&params));
    let mut server = Server::new(connection.sender, state, worker);
    if let Some(wrong) = wrong {
        server.complain(&wrong);
    }
    server.ask_configuration();
    server.watch();
    let ending = server.run(&connection.receiver);
    server.finish();
    Ok(ending)
}

/// The workspace folders of the initialize request.
fn folders(params: &Value) -> BTreeSet<String> {
    let uri = |value: &Value| crate::uri::file_path(&value.as_str()?.into());
    match params.get("workspaceFolders").and_then(Value::as_array) {
        Some(folders) => folders.iter().filter_map(|folder| uri(folder.get("uri")?)).collect(),
        None => params.get("rootUri").and_then(uri).into_iter().collect(),
    }
}

/// A session.
struct Server {
    sender: Sender<Message>,
    state: State,
    worker: Option<Worker>,
    /// Messages that were received and wait for their turn.
    waiting: VecDeque<Message>,
    /// Answers that are being worked out on threads of their own.
    answers: (Sender<Answer>, Receiver<Answer>),
    /// Requests whose answers those are, unless they were cancelled.
    pending: BTreeSet<RequestId>,
    /// Commands that wait until it is known what the latest text means.
    held: Vec<(RequestId, Value)>,
    /// Counts the requests to the client.
    asked: i32,
    /// The number of the request for the configuration that was made last.
    configuration: Option<RequestId>,
    /// The patterns that the client watches.
    watched: BTreeSet<String>,
    is_shut_down: bool,
}

impl Server {
    fn new(sender: Sender<Message>, state: State, worker: Worker) -> Self {
        Self {
            sender,
            state,
            worker: Some(worker),
            waiting: VecDeque::new(),
            answers: crossbeam_channel::unbounded(),
            pending: BTreeSet::new(),
            held: Vec::new(),
            asked: 0,
            configuration: None,
            watched: BTreeSet::new(),
            is_shut_down: false,
        }
    }

    /// Takes messages, reports and answers as they come, until the client goes.
    fn run(&mut self, messages: &Receiver<Message>) -> Ending {
        let reports = self.worker.as_ref().map_or_else(crossbeam_channel::never, |worker| worker.reports.clone());
        let answers = self.answers.1.clone();
        let clock = if self.state.client.watches { crossbeam_channel::never() } else { tick(LOOK_AGAIN) };
        self.refresh();
        loop {
            select! {
                recv(messages) -> message => match message {
                    Ok(message) => self.queue(message),
                    Err(_) => return Ending::Abrupt,
                },
                recv(reports) -> report => if let Ok(report) = report { self.take_report(report) },
                recv(answers) -> answer => if let Ok(answer) = answer { self.take_answer(answer) },
                recv(clock) -> _ => self.state.glance(),
            }
            self.gather(messages);
            while let Some(message) = self.waiting.pop_front() {
                match message {
                    Message::Request(request) => self.request(request),
                    Message::Response(response) => self.response(response),
                    Message::Notification(notification) if notification.method == "exit" => {
                        return if self.is_shut_down { Ending::Orderly } else { Ending::Abrupt };
                    }
                    Message::Notification(notification) => self.notification(notification),
                }
                self.gather(messages);
            }
            self.refresh();
        }
    }

    /// Takes in all messages that are there.
    fn gather(&mut self, messages: &Receiver<Message>) {
        messages.try_iter().for_each(|message| self.queue(message));
    }

    /// Puts a message in its turn; what is cancelled gives up its own.
    fn queue(&mut self, message: Message) {
        match message {
            Message::Notification(cancel) if cancel.method == "$/cancelRequest" => self.cancel(&cancel.params),
            message => self.waiting.push_back(message),
        }
    }

    /// Ends a request without an answer, if it has none yet.
    fn cancel(&mut self, params: &Value) {
        let id = params.get("id").cloned().and_then(|id| serde_json::from_value::<RequestId>(id).ok());
        let Some(id) = id else { return };
        let before = self.waiting.len();
        self.waiting.retain(|message| !matches!(message, Message::Request(request) if request.id == id));
        let held = self.held.len();
        self.held.retain(|(waiting, _)| *waiting != id);
        if before != self.waiting.len() || held != self.held.len() || self.pending.remove(&id) {
            self.fail(id, ErrorCode::RequestCanceled, "cancelled".to_owned());
        }
    }

    fn request(&mut self, request: Request) {
        if self.is_shut_down {
            return self.fail(request.id, ErrorCode::InvalidRequest, "the server is shut down".to_owned());
        }
        if request.method == "shutdown" {
            self.is_shut_down = true;
            return self.reply(request.id, Value::Null);
        }
        self.refresh();
        dispatch::answer(self, request);
    }

    fn response(&mut self, response: Response) {
        if self.configuration.as_ref() == Some(&response.id) {
            self.configuration = None;
            if let Ok(value) = response.response_result {
                let section = value.as_array().and_then(|sections| sections.first()).cloned().unwrap_or_default();
                self.set(section);
            }
        }
    }

    /// Takes over other settings.
    fn set(&mut self, settings: Value) {
        match Settings::read(settings) {
            Ok(settings) => {
                // Which commands lenses name is the client's nature, and no setting of the user.
                let client_commands = settings.client_commands || self.state.settings.client_commands;
                let settings = Settings { client_commands, ..settings };
                if settings != self.state.settings {
                    self.state.settings = settings;
                    let told = self.state.reload();
                    self.take_back(told);
                }
            }
            Err(wrong) => self.complain(&wrong),
        }
    }

    /// Asks the client for its configuration, if it has one.
    fn ask_configuration(&mut self) {
        if self.state.client.configuration {
            let id = self.ask("workspace/configuration", json!({ "items": [{ "section": "egress" }] }));
            self.configuration = Some(id);
        }
    }

    /// Brings changed units up to date: names at once, the rest on the prover's thread.
    fn refresh(&mut self) {
        let (gone, told) = self.state.arrange();
        self.take_back(told);
        if let Some(worker) = &self.worker {
            gone.into_iter().for_each(|key| worker.forget(key));
        }
        for key in self.state.refresh() {
            self.publish(&key);
            let Some(known) = self.state.units.get(&key) else { continue };
            let (Some(unit), Some(worker)) = (known.unit(), &self.worker) else { continue };
            let world = &self.state.world;
            worker.order(Job {
                edit: known.edit,
                unit: unit.clone(),
                lists: world.lists(&key),
                as_of: self.state.settings.day().ok().flatten().unwrap_or_else(|| world.today()),
                strict: self.state.settings.strict,
                proofs: self.state.settings.proofs,
                stop: known.stop.clone(),
                key,
            });
        }
    }

    /// Takes over what the prover's thread found out, unless the unit has changed since.
    fn take_report(&mut self, report: Report) {
        let Some(known) = self.state.units.get_mut(&report.key) else { return };
        if known.edit != report.edit {
            return;
        }
        if let Some(layer) = known.layers.get_mut(report.stage as usize) {
            *layer = Some((report.unit, report.findings));
        }
        if report.is_meaningless {
            known.meaningless = Some(report.edit);
        }
        let is_news = report.meaning.is_some();
        if let Some(meaning) = report.meaning {
            known.meaning = Some(meaning);
        }
        self.publish(&report.key);
        if is_news {
            self.ask_to_refresh();
        }
        self.watch_lists(&report.key);
        for (id, params) in std::mem::take(&mut self.held) {
            commands::execute(self, id, params);
        }
    }

    /// Has the client ask again for what depends on meaning.
    fn ask_to_refresh(&mut self) {
        if self.state.client.refreshes_hints {
            self.ask("workspace/inlayHint/refresh", Value::Null);
        }
        if self.state.client.refreshes_lenses {
            self.ask("workspace/codeLens/refresh", Value::Null);
        }
    }

    fn take_answer(&mut self, answer: Answer) {
        if self.pending.remove(&answer.id) {
            match answer.result {
                Ok(value) => {
                    // A client without commands of its own has no place for the text.
                    if !self.state.settings.client_commands {
                        self.tell("window/showMessage", json!({ "type": 3, "message": value.get("text") }));
                    }
                    self.reply(answer.id, value);
                }
                Err(why) => self.fail(answer.id, ErrorCode::RequestFailed, why),
            }
        }
    }

    fn reply(&self, id: RequestId, result: impl Serialize) {
        match serde_json::to_value(result) {
            Ok(value) => self.send(Response { id, response_result: Ok(value) }.into()),
            Err(error) => self.fail(id, ErrorCode::InternalError, error.to_string()),
        }
    }

    fn fail(&self, id: RequestId, code: ErrorCode, why: String) {
        self.send(Response::new_err(id, code as i32, why).into());
    }

    fn tell(&self, method: &str, params: Value) {
        self.send(Notification { method: method.to_owned(), params }.into());
    }

    /// Asks the client for something; the answer comes as a response.
    fn ask(&mut self, method: &str, params: Value) -> RequestId {
        self.asked = self.asked.wrapping_add(1);
        let id = RequestId::from(self.asked);
        self.send(Request { id: id.clone(), method: method.to_owned(), params }.into());
        id
    }

    /// Shows a message to the user.
    fn complain(&self, text: &str) {
        self.tell("window/showMessage", json!({ "type": 2, "message": text }));
    }

    fn send(&self, message: Message) {
        // Once the writer is gone the client is, and the reader ends the session.
        let _gone = self.sender.send(message);
    }

    /// Ends the prover's thread.
    fn finish(mut self) {
        self.state.units.values().for_each(|known| known.stop.raise());
        if let Some(worker) = self.worker.take() {
            worker.finish();
        }
    }
}
