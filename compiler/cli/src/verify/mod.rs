//! `egressc verify`: proves what policies assert, what is found about them, and that an artifact does what they say.
//!
//! In: files, an inventory, an artifact or what the kernel holds. Out: findings, and what is proved; exit code 0 only if
//! everything is. All answers are about every flow; none is sampled.

mod artifact;

use crate::arguments::{FindingsArguments, UnitArguments, WorldArguments};
use crate::artifact::{Scope, Source};
use crate::compile::{HookName, Target};
use crate::diagnose::{self, Diagnosed};
use crate::exit::{Failure, Outcome};
use crate::progress;
use crate::prove::{ProofArguments, Session};
use crate::render;
use crate::terminal::{self, Colour};
use artifact::Given;
use egress_answers::coverage::{self, Covered};
use egress_answers::{Asserted, Proof, claims};
use egress_compiler::{Diagnostic, diagnostic};
use egress_verifier::assertions::Population;

/// The options of `verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 everything is proved, 1 something is refuted or found, 2 usage or input error, 3 \
                        something is unknown."
)]
pub(crate) struct Verify {
    #[command(flatten)]
    unit: UnitArguments,
    #[command(flatten)]
    world: WorldArguments,
    #[command(flatten)]
    findings: FindingsArguments,
    /// Speak about the pods of the inventory alone, not about all that there could be
    #[arg(long, requires = "inventory")]
    running: bool,
    /// Show what is decided for whom, by which rule, and which rules no assertion depends on
    #[arg(long)]
    coverage: bool,
    /// Prove that this artifact does what the policies say; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "live")]
    artifact: Option<String>,
    /// What the artifact is for [default: what its content or its name says]
    #[arg(long, value_enum, value_name = "TARGET", requires = "artifact")]
    target: Option<Target>,
    /// The Services by which kube-vip chooses the source addresses of what the artifact lets pass
    #[arg(long, value_name = "FILE")]
    routed_by: Option<String>,
    /// Prove that what nftables enforces on this machine now does what the policies say; with a file *.egb among the
    /// PATHs, made by `egress-agent dump`: what eBPF enforced where it was made
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    scope: ScopeArguments,
    #[command(flatten)]
    proof: ProofArguments,
}

/// Where nftables must judge.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options for nftables")]
struct ScopeArguments {
    /// Where packets must be judged [default: prerouting; on a host without a cluster, output too; and where the
    /// ruleset hooks]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "HOOK")]
    hooks: Vec<HookName>,
    /// Judge what arrives by this interface; a final * stands for any ending; may be given again [default: any]
    #[arg(long, value_name = "NAME")]
    interface: Vec<String>,
}

/// Verifies.
pub(crate) fn run(options: &Verify, colour: Colour) -> Result<Outcome, Failure> {
    options.validate_input()?;
    options.validate_router()?;
    let (unit, dump) = options.unit_and_dump()?;
    let given = options.given(dump.as_deref())?;
    options.validate_scope(given.as_ref())?;
    let router = options.routed_by.as_deref().map(artifact::router).transpose()?;
    let diagnosed = diagnose::run(&unit, &options.world)?;
    let mut page = Page { findings: diagnosed.compiled.diagnostics.clone(), ..Page::default() };
    let mut work = None;
    if let Some(program) = &diagnosed.compiled.program {
        let mut session = Session::open(&options.proof);
        let source = Source { program, inventory: diagnosed.inventory.as_ref(), router: router.as_ref() };
        options.prove(source, &diagnosed, given.as_ref(), &mut session, &mut page);
        let closed = session.close();
        work = Some(closed.work);
        page.findings.extend(closed.warnings);
        diagnostic::sort(&mut page.findings);
    }
    let report = render::Report {
        proofs: &page.proofs,
        coverage: &page.coverage,
        work,
        ..diagnosed.report("verify", &page.findings)
    };
    terminal::print(&render::render(&report, options.findings.format, colour.on_stdout()))?;
    Ok(diagnosed.outcome_of_proofs(&page.findings, options.findings.deny_warnings))
}

/// What there is to say.
#[derive(Debug, Default)]
struct Page {
    findings: Vec<Diagnostic>,
    proofs: Vec<Proof>,
    coverage: Vec<Covered>,
}

impl Page {
    fn add(&mut self, (findings, proofs): (Vec<Diagnostic>, Vec<Proof>)) {
        self.findings.extend(findings);
        self.proofs.extend(proofs);
    }
}

impl Verify {
    /// The paths of policies, and the dump that stands among them.
    fn unit_and_dump(&self) -> Result<(UnitArguments, Option<String>), Failure> {
        let is_dump = |path: &String| path.ends_with(".egb");
        let (dumps, paths): (Vec<String>, Vec<String>) = self.unit.paths.iter().cloned().partition(is_dump);
        let paths = if paths.is_empty() { vec![".".to_owned()] } else { paths };
        let unit = UnitArguments { paths, ..self.unit.clone() };
        match dumps.as_slice() {
            [] => Ok((unit, None)),
            [dump] if self.live => Ok((unit, Some(dump.clone()))),
            [dump, ..] if self.live => Err(Failure::new(format!("`{dump}` is not the only dump")).help("give one")),
            [dump, ..] => Err(Failure::new(format!("`{dump}` is a snapshot, not a policy"))
                .help("hold it against policies with `--artifact`, or with `--live` if it is a dump")),
        }
    }

    /// Refuses to read standard input twice.
    fn validate_input(&self) -> Result<(), Failure> {
        let stdin = self.unit.paths.iter().chain(&self.world.inventory).chain(&self.artifact).chain(&self.routed_by);
        if stdin.filter(|path| *path == "-").count() > 1 {
            return Err(Failure::new("standard input can be read once only").help("give `-` once"));
        }
        Ok(())
    }

    /// Refuses hooks and interfaces where nothing has any.
    fn validate_scope(&self, given: Option<&Given>) -> Result<(), Failure> {
        let scoped = !self.scope.hooks.is_empty() || !self.scope.interface.is_empty();
        if scoped && !given.is_some_and(Given::is_nftables) {
            return Err(Failure::new("`--hooks` and `--interface` are for nftables")
                .help("give `--live`, or an artifact with `--target nftables`"));
        }
        Ok(())
    }

    /// Refuses a router behind nothing.
    fn validate_router(&self) -> Result<(), Failure> {
        if self.routed_by.is_some() && self.artifact.is_none() && !self.live {
            return Err(Failure::new("`--routed-by` says what happens to flows that an artifact lets pass")
                .help("give the artifact that filters with `--artifact`, or `--live`"));
        }
        Ok(())
    }

    /// What is to be held against the policies.
    fn given(&self, dump: Option<&str>) -> Result<Option<Given>, Failure> {
        match (&self.artifact, self.target) {
            (Some(path), target) => Given::file(path, target).map(Some),
            (None, _) => match (self.live, dump) {
                (true, Some(dump)) => Given::dump(dump).map(Some),
                (true, None) => Given::live().map(Some),
                (false, _) => Ok(None),
            },
        }
    }

    fn prove(
        &self,
        source: Source<'_>,
        diagnosed: &Diagnosed,
        given: Option<&Given>,
        session: &mut Session,
        page: &mut Page,
    ) {
        let Source { program, inventory, .. } = source;
        let prover = &mut session.prover;
        let compiled = &diagnosed.compiled;
        page.add(progress::during("proving the findings", || claims::confirm(program, compiled, prover)));
        let population = match inventory {
            Some(inventory) if self.running => Population::Running(inventory),
            known => Population::Possible(known),
        };
        let asserted = Asserted { program, sources: &compiled.sources };
        if self.coverage {
            let found = progress::during("proving coverage", || coverage::coverage(&asserted, population, prover));
            page.coverage = found.covered;
            page.add((found.findings, found.proofs));
        } else if !program.assertions.is_empty() {
            page.add(progress::during("proving assertions", || asserted.prove(population, prover)));
        }
        if let Some(given) = given {
            let hooks = self.scope.hooks.iter().map(|hook| hook.into_backend()).collect();
            let scope = Scope { hooks, interfaces: self.scope.interface.clone() };
            page.add(progress::during("proving the artifact", || given.hold(source, &scope, prover)));
        }
    }
}
