//! The command line: its verbs, and the options that verbs share.
//!
//! In: the process's arguments, by way of clap. Out: plain structs. Never acts on them.

use crate::clock;
use crate::terminal::Colour;
use clap::{Args, Parser, Subcommand, ValueEnum};
use egress_ir::Date;

/// Compiles and checks egress policy: who may leave the cluster, to where, on which ports, from which address.
#[derive(Debug, Parser)]
#[command(name = "egressc", version, max_term_width = 100, propagate_version = true)]
#[command(after_help = "Exit codes: 0 holds or done, 1 findings, 2 usage or input error, 3 unknown.")]
pub(crate) struct Arguments {
    /// When to colour output; `NO_COLOR` is honoured
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: Colour,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Report everything that is wrong with policies
    Check(crate::check::Check),
    /// Say what happens to a flow and why, or what a finding's code means
    Explain(crate::explain::Explain),
    /// Compile policies to what a target enforces
    Compile(crate::compile::Compile),
    /// Prove what policies assert, what is found about them, and that an artifact does what they say
    Verify(crate::verify::Verify),
    /// Say exactly which flows two versions of a policy decide differently
    Diff(crate::diff::Diff),
    /// Find mistakes in manifests that people wrote for a target
    Lint(crate::lint::Lint),
    /// Serve an editor over standard input and output: the language server
    Lsp(crate::lsp::Lsp),
    /// Say what a snapshot of the target ebpf holds
    Snapshot(crate::snapshot::Snapshot),
    /// Write policies in the one style
    Fmt(crate::fmt::Fmt),
    /// Print a script that completes commands in a shell
    Completions(crate::completions::Completions),
    /// Print a manual page
    Man(crate::man::Man),
}

/// Which files make up the unit.
#[derive(Clone, Debug, Args)]
pub(crate) struct UnitArguments {
    /// Policy files, or folders that are searched for *.egress; - is standard input
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) paths: Vec<String>,
    #[command(flatten)]
    pub(crate) root: RootArgument,
}

/// Where lists may be read.
#[derive(Clone, Debug, Args)]
pub(crate) struct RootArgument {
    /// The folder that lists may not leave [default: the folder that holds all PATHs]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) root: Option<String>,
}

/// What the unit is held against.
#[derive(Clone, Debug, Args)]
pub(crate) struct WorldArguments {
    /// What runs in the cluster: JSON of `kubectl get pods,namespaces,nodes,services -A -o json`; may be given again
    #[arg(long, value_name = "FILE")]
    pub(crate) inventory: Vec<String>,
    /// The day on which rules must not have expired [default: today in UTC]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = clock::parse)]
    pub(crate) as_of: Option<Date>,
    /// Make workloads that no policy governs an error
    #[arg(long)]
    pub(crate) strict: bool,
}

/// How findings are shown.
#[derive(Clone, Debug, Args)]
pub(crate) struct FindingsArguments {
    /// The form of the findings
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// End with exit code 1 for warnings too
    #[arg(long)]
    pub(crate) deny_warnings: bool,
}

/// The form of findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Human,
    /// One JSON object, see docs/json.md
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// Annotations of GitHub Actions
    Github,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
