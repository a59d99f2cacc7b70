//! Tree to Program: names, lists, inventory, lowering, findings.
//!
//! In: the bytes of a unit's files, a reader of list files, a date. Out: the program they mean and everything that is
//! wrong with them. Never touches the disk, the clock, the network or the terminal; never renders a diagnostic.

pub mod check;
pub mod coverage;
pub mod diagnostic;
mod example;
pub mod expiry;
pub mod files;
pub mod gateways;
pub mod inventory;
pub mod list;
pub mod lower;
pub mod names;
pub mod source;
mod unit;

pub use diagnostic::{Diagnostic, Fix, Label, Severity};
pub use files::{Files, MemoryFiles, ReadError};
pub use source::{Parsed, Place, Source, SourceText};

use check::{Checked, GaveUp, Memory};
use egress_ir::{Arena, Cancelled, Claims, Date, Inventory, Program, SourceId};
use egress_lang::span::Span;
use std::sync::Arc;
use unit::Unit;

/// A unit: the files given to one command.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Input {
    /// The files, in any order.
    pub sources: Vec<SourceText>,
    /// The unit's root folder as the user named it (`.` for the working folder): no list outside of it is read.
    /// The paths of the sources start from the same place, so that `policies/shop.egress` lies in `policies`.
    pub root: String,
}

/// What to hold the unit against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// The day on which rules must not have expired; without it, dates are not looked at.
    pub as_of: Option<Date>,
    /// What runs in the cluster; without it, findings are about all possible workloads.
    pub inventory: Option<&'a Inventory>,
    /// Makes `egress::coverage::ungoverned` an error.
    pub strict: bool,
}

/// What a unit means, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// The meaning. Absent when an error leaves it open what is meant; present beside errors about what *is* meant
    /// (an expired rule), so look at [`Compiled::has_errors`] before compiling it to anything.
    pub program: Option<Program>,
    /// Everything found, in the order of [`diagnostic::sort`].
    pub diagnostics: Vec<Diagnostic>,
    /// What the findings about rules say, to be proved; empty where there is no program, or the checker gave up.
    pub claims: Vec<Claims>,
    /// Whether the checker gave up before it had an answer about every rule: what it would have found is unknown.
    pub unfinished: bool,
    /// The files, sorted by path; the same ids as in `program.origins.sources`.
    pub sources: Arena<SourceId, Source>,
    /// The list files that were read, sorted by path.
    pub lists: Vec<ListDigest>,
    /// What each list term selects.
    pub selections: list::Selections,
    /// The declared names, sorted by place.
    pub declarations: Vec<Declaration>,
}

impl Compiled {
    /// Whether some diagnostic is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// What was read of a list file, as evidence keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListDigest {
    /// The path relative to the unit's root folder.
    pub path: String,
    /// SHA-256 (FIPS 180-4) of the file's bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// The number of entries in the file, before any filter.
    pub entries: usize,
}

/// A declared name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Declaration {
    /// What it names.
    pub kind: Kind,
    /// The name.
    pub name: String,
    /// The name where it is declared.
    pub place: Place,
    /// The whole declaration.
    pub span: Span,
    /// The `##` comment above it.
    pub doc: Option<String>,
    /// Where it is used, sorted.
    pub references: Vec<Place>,
}

/// What a name can stand for. Each kind has its own names, save that policies and guardrails share theirs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// `cluster`
    Cluster,
    /// `workloads`
    Workloads,
    /// `destinations`
    Destinations,
    /// `ports`
    Ports,
    /// `gateway`
    Gateway,
    /// `policy` or `guardrail`
    Block,
    /// `control`
    Control,
}

/// What the files of a unit say before anything gets a meaning.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// The declared names, sorted by place.
    pub declarations: Vec<Declaration>,
    /// What is wrong with texts and names, in the order of [`diagnostic::sort`].
    pub diagnostics: Vec<Diagnostic>,
}

/// Resolves the names of a unit, and nothing more: what an editor can say at once. The files are sorted by path; the
/// place of each is its id.
#[must_use]
pub fn resolve(files: &[Arc<Parsed>]) -> Named {
    let unit = Unit { files };
    let mut diagnostics: Vec<Diagnostic> = unit.errors().map(Diagnostic::from).collect();
    let (names, misnamed) = names::resolve(unit, diagnostics.is_empty());
    diagnostics.extend(misnamed.into_iter().map(Diagnostic::from));
    diagnostic::sort(&mut diagnostics);
    Named { declarations: names.declarations(), diagnostics }
}

/// Compiles a unit: every phase goes on after errors, so that one run reports all of them.
#[must_use]
pub fn compile(input: Input, files: &dyn Files, options: &Options<'_>) -> Compiled {
    let parsed = source::parse_all(input.sources);
    let mut compiled = understand(&parsed, &input.root, files, options);
    compiled.check(options);
    compiled
}

/// Compiles a unit as far as its rules get a meaning, but does not check them against each other: [`Compiled::check`]
/// does. The files are sorted by path; `root` is as in [`Input`].
#[must_use]
pub fn understand(parsed: &[Arc<Parsed>], root: &str, files: &dyn Files, options: &Options<'_>) -> Compiled {
    let (unit, sources) = (Unit { files: parsed }, source::arena(parsed));
    let mut diagnostics: Vec<Diagnostic> = unit.errors().map(Diagnostic::from).collect();
    let understood = diagnostics.is_empty();
    let (names, misnamed) = names::resolve(unit, understood);
    let (lists, unlisted) = list::load(unit, &sources, root, files);
    let lowered = lower::lower(unit, &sources, &names, &lists);
    let ended = options.as_of.map(|day| expiry::check(unit, day)).unwrap_or_default();

    let unnamed = misnamed.iter().any(|error| error.severity() == Severity::Error);
    let whole = understood && lowered.whole && !unnamed && unlisted.is_empty();
    let program = whole.then_some(lowered.program);
    let uncovered = program.as_ref().map(|program| coverage::check(unit, &names, program, options.inventory));
    let misplaced = program.as_ref().map(|program| gateways::check(unit, program, options.inventory));

    diagnostics.extend(misnamed.into_iter().map(Diagnostic::from));
    diagnostics.extend(unlisted.into_iter().map(Diagnostic::from));
    diagnostics.extend(lowered.errors.into_iter().map(Diagnostic::from));
    diagnostics.extend(misplaced.into_iter().flatten().map(Diagnostic::from));
    diagnostics.extend(ended.into_iter().map(Diagnostic::from));
    diagnostics.extend(uncovered.iter().flatten().map(|error| error.diagnostic(options.strict)));
    diagnostic::sort(&mut diagnostics);

    let declarations = names.declarations();
    let (claims, unfinished) = (Vec::new(), false);
    let list::Lists { selected: selections, digests: lists } = lists;
    Compiled { program, diagnostics, claims, unfinished, lists, selections, declarations, sources }
}

impl Compiled {
    /// Checks the rules of a program that [`understand`] made: adds findings and claims.
    pub fn check(&mut self, options: &Options<'_>) {
        // A flag that nobody else has is never raised.
        let _never = self.recheck(options, &check::Limits::default(), &mut Memory::default());
    }

    /// The same, with what earlier checks learned.
    ///
    /// # Errors
    /// [`Cancelled`] after the flag of the limits was raised: nothing is added, and rules may be wrong in any way.
    pub fn recheck(
        &mut self,
        options: &Options<'_>,
        limits: &check::Limits,
        memory: &mut Memory,
    ) -> Result<(), Cancelled> {
        let Some(program) = &self.program else { return Ok(()) };
        let (answer, unfinished) = match check::recheck(program, options.inventory, limits, memory) {
            Ok(answer) => (answer, false),
            Err(GaveUp::TooManyClasses(limit)) => {
                (Checked { diagnostics: vec![limit.into()], claims: Vec::new() }, true)
            }
            Err(GaveUp::Cancelled(cancelled)) => {
                self.unfinished = true;
                return Err(cancelled);
            }
        };
        self.unfinished = unfinished;
        self.claims = answer.claims;
        self.diagnostics.extend(answer.diagnostics);
        diagnostic::sort(&mut self.diagnostics);
        Ok(())
    }
}
