//! `egressc explain`: what happens to a flow and why, or what a finding's code means.
//!
//! In: a flow as people type it, and a unit; or a code. Out: the decision with its reasons, or the code's page. The
//! decision is the evaluator's own; nothing here decides.

mod json;
mod source;

use crate::arguments::{Format, UnitArguments, WorldArguments};
use crate::codes;
use crate::diagnose::{self, Diagnosed};
use crate::exit::{Failure, Outcome};
use crate::render;
use crate::terminal::{self, Colour};
use egress_answers::explain::{Explanation, Question, show};
use egress_ir::{Program, Verdict};

/// The options of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Instead of a flow, give a finding's code: egressc explain egress::rule::dead")]
pub(crate) struct Explain {
    #[command(flatten)]
    unit: UnitArguments,
    #[command(flatten)]
    world: WorldArguments,
    #[command(flatten)]
    from: source::From,
    /// Where the flow goes: ADDRESS:PORT/PROTOCOL, [V6ADDRESS]:PORT/PROTOCOL, or "ADDRESS icmp/TYPE"
    #[arg(long, value_name = "DESTINATION")]
    to: Option<String>,
    /// A DNS name by which the address was learned; may be given again
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: AnswerFormat,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum AnswerFormat {
    /// For people
    #[default]
    Human,
    /// One JSON object, see docs/json.md
    Json,
}

/// Explains.
pub(crate) fn run(options: &Explain, colour: Colour) -> Result<Outcome, Failure> {
    if let Some(code) = options.unit.paths.iter().find(|path| path.starts_with("egress::")) {
        return page(options, code);
    }
    let Some(to) = &options.to else {
        return Err(Failure::new("explain needs `--to`: where does the flow go?")
            .help("such as `--from shop/checkout --to 1.2.3.4:443/tcp`, or give a code such as `egress::rule::dead`"));
    };
    let question = Question::new(options.from.sender(), to, &options.name)?;
    let diagnosed = diagnose::run(&options.unit, &options.world)?;
    let Some(program) = &diagnosed.compiled.program else {
        return without_program(options, colour, &diagnosed);
    };
    let findings = &diagnosed.compiled.diagnostics;
    let explanation = question.answer(program, findings, diagnosed.inventory.as_ref())?;
    terminal::print(&answer(options, colour, program, &diagnosed, &explanation))?;
    let is_conflict = matches!(explanation.decision.verdict, Verdict::Conflict(_));
    Ok(if is_conflict { Outcome::Findings } else { Outcome::Holds })
}

fn page(options: &Explain, code: &str) -> Result<Outcome, Failure> {
    if options.unit.paths.len() > 1 || options.to.is_some() {
        return Err(Failure::new(format!("`{code}` is a code, and a code is explained alone")));
    }
    terminal::print(codes::page_or_suggestion(code)?)?;
    Ok(Outcome::Holds)
}

/// Nothing can be said about flows: the findings say why.
fn without_program(options: &Explain, colour: Colour, diagnosed: &Diagnosed) -> Result<Outcome, Failure> {
    let format = match options.format {
        AnswerFormat::Human => Format::Human,
        AnswerFormat::Json => Format::Json,
    };
    let findings = &diagnosed.compiled.diagnostics;
    terminal::print(&render::render(&diagnosed.report("explain", findings), format, colour.on_stdout()))?;
    Ok(diagnosed.outcome(findings, false))
}

fn answer(
    options: &Explain,
    colour: Colour,
    program: &Program,
    diagnosed: &Diagnosed,
    explanation: &Explanation,
) -> String {
    let sources = &diagnosed.compiled.sources;
    match options.format {
        AnswerFormat::Human => show(program, sources, explanation, colour.on_stdout()),
        AnswerFormat::Json => json::show(program, sources, explanation),
    }
}
