//! Diagnostics: what is reported to people, as plain data.
//!
//! In: the structured errors of every phase, each of which converts itself with `From`. Out: one shape with a stable
//! code, a severity, spans, help and a witness, in one deterministic order. Never renders: colours, JSON and SARIF
//! belong to the command line.

use crate::source::Place;
use egress_ir::{Flow, SourceId};
use egress_lang::span::Span;

/// One thing to report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// The stable code, such as `egress::rule::dead`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: lower case, no final period, the user's text in back-ticks.
    pub message: String,
    /// The places it speaks about, the primary one first; none for findings about no file (an inventory).
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
    /// Further facts, a line each.
    pub notes: Vec<String>,
    /// A concrete flow that shows the finding.
    pub witness: Option<Flow>,
    /// Changes of the text that would mend it, the likeliest first.
    pub fixes: Vec<Fix>,
}

/// A change of the text that mends a finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fix {
    /// What it does, as `write \`10.0.0.0/8\``.
    pub title: String,
    /// The text to replace.
    pub place: Place,
    /// What to write there.
    pub text: String,
}

/// How bad a diagnostic is; ordered, the worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Must be mended: nothing may be compiled.
    Error,
    /// Probably not meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// A span with a few words about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// The file.
    pub source: SourceId,
    /// The text within it.
    pub span: Span,
    /// A few words; may be empty.
    pub text: String,
    /// Whether this is the text to blame rather than context.
    pub primary: bool,
}

impl Label {
    /// The text to blame.
    #[must_use]
    pub fn primary(place: Place, text: impl Into<String>) -> Self {
        Self { source: place.source, span: place.span, text: text.into(), primary: true }
    }

    /// Text that explains the one to blame.
    #[must_use]
    pub fn context(place: Place, text: impl Into<String>) -> Self {
        Self { primary: false, ..Self::primary(place, text) }
    }
}

impl Diagnostic {
    /// A diagnostic with nothing but its message.
    #[must_use]
    pub fn new(code: &'static str, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            message: message.into(),
            labels: Vec::new(),
            help: None,
            notes: Vec::new(),
            witness: None,
            fixes: Vec::new(),
        }
    }

    /// An error.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, message)
    }

    /// A warning.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, message)
    }

    /// A note.
    #[must_use]
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Note, message)
    }

    /// With one more label.
    #[must_use]
    pub fn label(mut self, label: Label) -> Self {
        self.labels.push(label);
        self
    }

    /// With more labels.
    #[must_use]
    pub fn labels(mut self, labels: impl IntoIterator<Item = Label>) -> Self {
        self.labels.extend(labels);
        self
    }

    /// With a help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With one more line of fact.
    #[must_use]
    pub fn fact(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// With a flow that shows the finding.
    #[must_use]
    pub fn witness(mut self, flow: Flow) -> Self {
        self.witness = Some(flow);
        self
    }

    /// With a change that mends it.
    #[must_use]
    pub fn fix(mut self, place: Place, text: impl Into<String>) -> Self {
        let text = text.into();
        self.fixes.push(Fix { title: format!("write `{text}`"), place, text });
        self
    }

    /// The label to blame: the first primary one, or else the first.
    #[must_use]
    pub fn primary_label(&self) -> Option<&Label> {
        self.labels.iter().find(|label| label.primary).or_else(|| self.labels.first())
    }
}

/// Orders diagnostics by file, place, code and message; those about no file come last. Equal ones are kept once.
pub fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| key(a).cmp(&key(b)));
    diagnostics.dedup();
}

type Key<'d> = (bool, Option<(SourceId, Span)>, &'static str, &'d str);

fn key(diagnostic: &Diagnostic) -> Key<'_> {
    let place = diagnostic.primary_label().map(|label| (label.source, label.span));
    (place.is_none(), place, diagnostic.code, &diagnostic.message)
}
