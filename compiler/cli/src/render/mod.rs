//! Findings as text: one module for each format.
//!
//! In: a [`Report`]. Out: text for standard output. Sources are attached to findings here and nowhere else. Never
//! decides what is a finding, and never writes anything.

mod github;
mod human;
mod json;
mod proofs;
mod sarif;

pub(crate) use json::{Tool, VERSION, to_text};

use crate::arguments::Format;
use crate::prove::Work;
use egress_answers::coverage::Covered;
use egress_answers::{Proof, counted};
use egress_compiler::{Diagnostic, Severity, Source};
use egress_ir::{Arena, SourceId};

/// What a command found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'r> {
    /// The verb, such as `check`.
    pub(crate) verb: &'static str,
    /// What was looked at, such as `3 files, 12 rules`; nothing where it was not understood.
    pub(crate) subject: &'r str,
    /// The files that labels point into.
    pub(crate) sources: &'r Arena<SourceId, Source>,
    /// The findings, sorted.
    pub(crate) findings: &'r [Diagnostic],
    /// The artifacts that were made.
    pub(crate) made: &'r [Made],
    /// What was to be proved, in order.
    pub(crate) proofs: &'r [Proof],
    /// What policies decide for whom, where that was asked.
    pub(crate) coverage: &'r [Covered],
    /// How much was proved; nothing where nothing was to be.
    pub(crate) work: Option<Work>,
}

/// An artifact that was made.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Made {
    /// What it is for.
    pub(crate) target: &'static str,
    /// Where it was written; nothing for standard output.
    pub(crate) file: Option<String>,
    /// Its length.
    pub(crate) bytes: usize,
    /// How it was checked, and what was not done, a few words each.
    pub(crate) checks: Vec<String>,
    /// Whether it does what the policy says.
    pub(crate) proof: Proof,
}

impl std::fmt::Display for Made {
    /// `egress.nft: nftables, 1234 bytes; checked …`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let file = self.file.as_deref().unwrap_or("standard output");
        write!(f, "{file}: {}, {} bytes; {}", self.target, self.bytes, self.checks.join("; "))
    }
}

/// How many findings there are of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Summary {
    /// Errors.
    pub(crate) errors: usize,
    /// Warnings.
    pub(crate) warnings: usize,
    /// Notes.
    pub(crate) notes: usize,
}

/// The report in one of the formats, with a final line break.
pub(crate) fn render(report: &Report<'_>, format: Format, coloured: bool) -> String {
    match format {
        Format::Human => human::render(report, coloured),
        Format::Json => json::render(report),
        Format::Sarif => sarif::render(report),
        Format::Github => github::render(report),
    }
}

impl Summary {
    /// Counts findings.
    pub(crate) fn of(findings: &[Diagnostic]) -> Self {
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        Self { errors: count(Severity::Error), warnings: count(Severity::Warning), notes: count(Severity::Note) }
    }
}

impl std::fmt::Display for Summary {
    /// `2 errors, 1 warning`, or `no findings`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [("error", self.errors), ("warning", self.warnings), ("note", self.notes)];
        let parts: Vec<String> = parts.into_iter().filter(|(_, n)| *n > 0).map(|(what, n)| counted(n, what)).collect();
        if parts.is_empty() { f.write_str("no findings") } else { f.write_str(&parts.join(", ")) }
    }
}
