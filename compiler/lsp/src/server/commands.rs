//! Commands: explain a flow, show coverage, preview what a target gets.
//!
//! In: the arguments of `workspace/executeCommand`. Out: a title, a language and a text. They are about the text as it is,
//! saved or not, and are worked out on threads of their own, because proofs take time.

use super::Server;
use super::dispatch::{Answer, read};
use crate::unit::Meaning;
use crate::uri;
use crate::world::{Compile, Preview, World};
use egress_answers::explain::{From, Question, show};
use egress_answers::{Asserted, coverage};
use egress_compiler::Severity;
use egress_ir::{Inventory, Program};
use egress_verifier::Prover;
use egress_verifier::assertions::Population;
use gen_lsp_types::Uri;
use lsp_server::{ErrorCode, RequestId};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The commands' names.
pub(super) const NAMES: [&str; 3] = ["egress.server.explain", "egress.server.coverage", "egress.server.compile"];

#[derive(Deserialize)]
struct Params {
    command: String,
    #[serde(default)]
    arguments: Vec<Value>,
}

/// What a command is about; each command needs some of it.
#[derive(Deserialize)]
struct Argument {
    uri: Uri,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    name: Vec<String>,
    #[serde(default)]
    target: String,
}

/// Everything that a command looks at.
struct Job {
    meaning: Arc<Meaning>,
    inventory: Option<Arc<Inventory>>,
    argument: Argument,
    world: Arc<dyn World>,
}

/// Executes a command and answers, now or later.
pub(super) fn execute(server: &mut Server, id: RequestId, params: Value) {
    match prepare(server, &params) {
        Ok(Ready::Now(job, work)) => start(server, id, *job, work),
        Ok(Ready::Later) => server.held.push((id, params)),
        Err((code, why)) => server.fail(id, code, why),
    }
}

/// Works on a thread of its own.
fn start(server: &mut Server, id: RequestId, job: Job, work: Work) {
    server.pending.insert(id.clone());
    let (answers, answered) = (server.answers.0.clone(), id.clone());
    let started = std::thread::Builder::new().name("command".into()).spawn(move || {
        let result = work(&job).map(|it| json!({ "title": it.title, "language": it.language, "text": it.text }));
        // Nobody listens once the session ends.
        let _gone = answers.send(Answer { id: answered, result });
    });
    if let Err(error) = started {
        server.pending.remove(&id);
        server.fail(id, ErrorCode::InternalError, error.to_string());
    }
}

type Work = fn(&Job) -> Result<Preview, String>;

/// Whether a command can be worked on.
enum Ready {
    /// It can.
    Now(Box<Job>, Work),
    /// It is not known yet what the latest text means.
    Later,
}

fn prepare(server: &Server, params: &Value) -> Result<Ready, (ErrorCode, String)> {
    let Params { command, arguments } = read(params.clone())?;
    let work: Work = match command.as_str() {
        "egress.server.explain" => explain,
        "egress.server.coverage" => covered,
        "egress.server.compile" => compile,
        _ => return Err((ErrorCode::InvalidParams, format!("there is no command `{command}`"))),
    };
    let argument: Argument = read(arguments.into_iter().next().unwrap_or_default())?;
    let path = uri::path(&argument.uri);
    let known =
        server.state.unit_of(&path).filter(|(_, known)| known.unit().is_some_and(|unit| unit.find(&path).is_some()));
    let Some((_, known)) = known else {
        return Err((ErrorCode::InvalidParams, format!("`{}` is no document of this session", argument.uri.0)));
    };
    if known.meaningless == Some(known.edit) {
        return Err((ErrorCode::RequestFailed, LEFT_OPEN.to_owned()));
    }
    let Some(unit) = known.unit() else { return Ok(Ready::Later) };
    let Some(meaning) = known.meaning.clone().filter(|meaning| meaning.is_of(unit)) else { return Ok(Ready::Later) };
    let job = Job { meaning, inventory: unit.inventory.clone(), argument, world: server.state.world.clone() };
    Ok(Ready::Now(Box::new(job), work))
}

const LEFT_OPEN: &str = "errors leave open what the policies mean: mend them first";

impl Job {
    fn program(&self) -> Result<&Program, String> {
        self.meaning.compiled.program.as_ref().ok_or_else(|| LEFT_OPEN.to_owned())
    }
}

fn explain(job: &Job) -> Result<Preview, String> {
    let (program, compiled, asked) = (job.program()?, &job.meaning.compiled, &job.argument);
    let from = From { from: Some(asked.from.clone()), ..From::default() };
    let question = Question::new(from, &asked.to, &asked.name);
    let answer = question.and_then(|it| it.answer(program, &compiled.diagnostics, job.inventory.as_deref()));
    let explanation = answer.map_err(|refused| match refused.help {
        Some(help) => format!("{}; {help}", refused.message),
        None => refused.message,
    })?;
    let title = format!("{} → {}", asked.from, asked.to);
    Ok(Preview { title, language: "plaintext", text: show(program, &compiled.sources, &explanation, false) })
}

fn covered(job: &Job) -> Result<Preview, String> {
    let program = job.program()?;
    let asserted = Asserted { program, sources: &job.meaning.compiled.sources };
    let found = coverage::coverage(&asserted, Population::Possible(job.inventory.as_deref()), &mut Prover::default());
    let text = coverage::lines(&found.covered);
    Ok(Preview { title: "coverage".to_owned(), language: "plaintext", text })
}

fn compile(job: &Job) -> Result<Preview, String> {
    job.program()?;
    let error = job.meaning.compiled.diagnostics.iter().find(|finding| finding.severity == Severity::Error);
    if let Some(error) = error {
        return Err(format!("mend the errors first: {}", error.message));
    }
    job.world.compile(&Compile {
        compiled: &job.meaning.compiled,
        inventory: job.inventory.as_deref(),
        target: &job.argument.target,
    })
}
