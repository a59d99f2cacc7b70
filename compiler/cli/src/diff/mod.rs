//! `egressc diff`: exactly the flows that two versions of a policy decide differently.
//!
//! In: two units, from folders, files or revisions of git. Out: what is opened, closed and sent another way, as blocks
//! with the rules responsible; exit code 0 only if it is proved that nothing is.

mod git;
mod human;
mod json;
mod markdown;
mod side;

use crate::arguments::Format;
use crate::clock;
use crate::diagnose::{self, Known};
use crate::exit::{Failure, Outcome};
use crate::progress;
use crate::prove::{ProofArguments, Session, Work};
use crate::render;
use crate::terminal::{self, Colour};
use egress_answers::blocks::{People, Told, Way, Words};
use egress_answers::rules::Rules;
use egress_answers::{counted, fault};
use egress_compiler::Diagnostic;
use egress_ir::{Date, Flow, Program, RuleId, Speaking, Verdict};
use egress_verifier::diff::responsible;
use egress_verifier::{Answer, Block, Comparison, Direction};
use side::Side;

/// The options of `diff`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "OLD and NEW are folders, files, `-`, or revisions of git: git:REV is the working folder as it was \
                        in REV, git:REV:PATH is PATH there, from the top of the repository, or from here if it starts \
                        with `./`.\n\nExit codes: 0 no flow is decided differently, or with --only-tightens none newly \
                        leaves, and that is proved; 1 some are; 2 usage or input error; 3 unknown."
)]
pub(crate) struct Diff {
    /// The policies as they were
    old: String,
    /// The policies as they are
    #[arg(default_value = ".")]
    new: String,
    /// End with exit code 0 if it is proved that nothing newly leaves
    #[arg(long)]
    only_tightens: bool,
    /// What runs in the cluster: JSON of `kubectl get pods,namespaces,nodes,services -A -o json`; may be given again
    #[arg(long, value_name = "FILE")]
    inventory: Vec<String>,
    /// The day on which rules must not have expired [default: today in UTC]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = clock::parse)]
    as_of: Option<Date>,
    /// The folder that lists may not leave, in both versions [default: the folder of each]
    #[arg(long, value_name = "FOLDER")]
    root: Option<String>,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: DiffFormat,
    #[command(flatten)]
    proof: ProofArguments,
}

/// The form of a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum DiffFormat {
    /// For people
    #[default]
    Human,
    /// One JSON object, see docs/json.md
    Json,
    /// A table for a pull request
    Markdown,
}

/// Compares.
pub(crate) fn run(options: &Diff, colour: Colour) -> Result<Outcome, Failure> {
    if [&options.old, &options.new].into_iter().chain(&options.inventory).filter(|path| *path == "-").count() > 1 {
        return Err(Failure::new("standard input can be read once only").help("give `-` once"));
    }
    let Known { inventory, faults, .. } = diagnose::known(&options.inventory)?;
    if !faults.is_empty() {
        return options.without_answer("the inventory", &Side::default(), &faults, colour);
    }
    let as_of = options.as_of.unwrap_or_else(clock::today);
    let read = |what| Side::read(what, options.root.as_deref(), as_of);
    let (old, new) = (read(&options.old)?, read(&options.new)?);
    let (Some(before), Some(after)) = (&old.program, &new.program) else {
        let side = if old.program.is_none() { &old } else { &new };
        return options.without_answer(&format!("`{}`", side.label), side, &side.findings, colour);
    };
    let mut session = Session::open(&options.proof);
    let compared =
        progress::during("comparing", || egress_verifier::diff(before, after, inventory.as_ref(), &mut session.prover));
    let closed = session.close();
    let diff = match compared.map_err(fault::unclear) {
        Ok(diff) => diff,
        Err(Ok(reason)) => {
            let unknown = fault::unknown("it is not known what the change does", reason);
            options.without_answer("the change", &Side::default(), &[unknown], colour)?;
            return Ok(Outcome::Unknown);
        }
        Err(Err(defect)) => {
            options.without_answer("the change", &Side::default(), &[*defect], colour)?;
            return Ok(Outcome::Findings);
        }
    };
    complain(&closed.warnings);
    let words = Words {
        people: People::new(&diff.senders, &[after, before]),
        programs: vec![after, before],
        gateway: Box::new(|id| diff.gateways.get(&id).map(|gateway| gateway.name.clone()).unwrap_or_default()),
    };
    let mut page = Page::new([(&old, before), (&new, after)], &diff.comparison, &words);
    page.only_tightens = options.only_tightens;
    page.work = closed.work;
    terminal::print(&match options.format {
        DiffFormat::Human => human::show(&page, colour.on_stdout()),
        DiffFormat::Json => json::show(&page),
        DiffFormat::Markdown => markdown::show(&page),
    })?;
    Ok(page.outcome())
}

impl Diff {
    /// There is nothing to compare: findings say why.
    fn without_answer(
        &self,
        about: &str,
        side: &Side,
        findings: &[Diagnostic],
        colour: Colour,
    ) -> Result<Outcome, Failure> {
        let report = render::Report {
            verb: "diff",
            subject: about,
            sources: &side.sources,
            findings,
            made: &[],
            proofs: &[],
            coverage: &[],
            work: None,
        };
        match self.format {
            DiffFormat::Json => terminal::print(&render::render(&report, Format::Json, false))?,
            DiffFormat::Human | DiffFormat::Markdown => {
                terminal::complain(&render::render(&report, Format::Human, colour.on_stderr()));
            }
        }
        Ok(Outcome::Unusable)
    }
}

/// Says on standard error what is no part of the answer.
fn complain(warnings: &[Diagnostic]) {
    for warning in warnings {
        terminal::complain(&format!("egressc: warning: {}\n", warning.message));
    }
}

/// A difference with everything that is said about it.
struct Page<'p> {
    /// Before and after.
    sides: [Version<'p>; 2],
    /// What changed, the widest first.
    changes: Vec<Change<'p>>,
    /// Why nothing is known of the rest, if so.
    unknown: Option<String>,
    only_tightens: bool,
    comparison: &'p Comparison,
    work: Work,
}

/// One of two versions.
struct Version<'p> {
    side: &'p Side,
    rules: Rules<'p>,
}

/// A block that changed.
struct Change<'p> {
    direction: Direction,
    told: Told<'p>,
    /// Why it is decided as it is, before and after.
    reasons: [Reason; 2],
}

/// Why a flow is decided as it is.
struct Reason {
    rules: Vec<RuleId>,
    /// What to say where no rule decides.
    otherwise: &'static str,
}

impl<'p> Page<'p> {
    fn new(
        [(old, before), (new, after)]: [(&'p Side, &'p Program); 2],
        comparison: &'p Comparison,
        words: &Words<'_>,
    ) -> Self {
        let blocks = match &comparison.answer {
            Answer::Refuted(blocks) => blocks.as_slice(),
            Answer::Proved | Answer::Unknown(_) => &[],
        };
        let unknown = match &comparison.rest {
            Answer::Unknown(reason) => Some(reason.clone()),
            _ => None,
        };
        let change = |block: &'p Block| Change {
            direction: Direction::of(block),
            told: words.tell(block),
            reasons: [before, after].map(|program| Reason::of(program, block)),
        };
        let version = |side: &'p Side, program| Version { side, rules: Rules::new(program, &side.sources) };
        let mut changes: Vec<Change<'p>> = blocks.iter().map(change).collect();
        // What opens comes first; the order within stays: the widest first.
        changes.sort_by_key(|change| change.direction);
        let sides = [version(old, before), version(new, after)];
        Self { sides, changes, unknown, only_tightens: false, comparison, work: Work::default() }
    }

    fn outcome(&self) -> Outcome {
        let counts = |change: &Change<'_>| !self.only_tightens || change.direction == Direction::Opened;
        if self.changes.iter().any(counts) {
            Outcome::Findings
        } else if self.unknown.is_some() {
            Outcome::Unknown
        } else {
            Outcome::Holds
        }
    }

    fn of(&self, direction: Direction) -> impl Iterator<Item = &Change<'p>> {
        self.changes.iter().filter(move |change| change.direction == direction)
    }

    /// `2 opened, 1 closed`, or that nothing changed.
    fn summary(&self) -> String {
        let counts = [Direction::Opened, Direction::Closed, Direction::Rerouted].map(|direction| {
            let count = self.of(direction).count();
            (count > 0).then(|| format!("{count} {}", word(direction)))
        });
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        match (counts.is_empty(), &self.unknown) {
            (true, None) => "no flow is decided differently".to_owned(),
            (true, Some(_)) => "unknown".to_owned(),
            (false, _) => counts.join(", "),
        }
    }

    /// What is proved, in one sentence; or why nothing is.
    fn proved(&self) -> String {
        let extent = self.comparison.extent;
        let over = format!(
            "every flow of {}, {}, {}",
            counted(extent.senders, "kind of sender").replace("kind of senders", "kinds of senders"),
            counted(extent.pieces, "piece").replace("pieces", "pieces of addresses"),
            self.work
        );
        match &self.unknown {
            Some(reason) if self.changes.is_empty() => format!("unknown: {reason}"),
            Some(reason) => format!("it is not known whether everything else is decided as before: {reason}"),
            None if self.changes.is_empty() => format!("proved for {over}"),
            None => format!("everything else is decided as before: proved for {over}"),
        }
    }

    /// What `--only-tightens` asked.
    fn tightens(&self) -> Option<&'static str> {
        self.only_tightens.then(|| match self.outcome() {
            Outcome::Holds => "it only tightens: it is proved that nothing newly leaves",
            Outcome::Unknown => "it is not known whether anything newly leaves",
            Outcome::Findings | Outcome::Unusable => "it does not only tighten: something newly leaves",
        })
    }
}

impl Reason {
    fn of(program: &Program, block: &Block) -> Self {
        Self { rules: responsible(program, block), otherwise: otherwise(program, &block.witness) }
    }
}

/// Why a flow is decided as it is where no rule decides.
fn otherwise(program: &Program, flow: &Flow) -> &'static str {
    match Speaking::about(program, &flow.workload).decide(flow, |_| true).verdict {
        Verdict::Inside => "the destination is inside the cluster",
        Verdict::Ungoverned => "no policy governs it",
        Verdict::Allowed(_) => "allowed",
        Verdict::Conflict(_) => "rules send it through different gateways, so that it is stopped",
        Verdict::Denied => "no rule allows it",
    }
}

/// What a direction is called.
fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Opened => "opened",
        Direction::Closed => "closed",
        Direction::Rerouted => "re-routed",
    }
}

/// What happens to a flow that leaves, in the words of a change.
fn way(way: &Way) -> String {
    match way {
        Way::Passes(None) => "leaves by its node".to_owned(),
        Way::Passes(Some(gateway)) => format!("leaves through gateway {gateway}"),
        Way::Denied | Way::Misrouted => way.to_string(),
    }
}
