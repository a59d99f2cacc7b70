//! Code actions: changes of the text that mend what is found, and assertions that are missing.
//!
//! In: a span of a document, and the findings of its unit at their places now. Out: changes with honest titles, each with
//! the finding that it mends. A module a kind of change, and none of them changes anything itself: where it is not known
//! that a change says no more than its title, there is none.

mod cut;
mod declare;
mod delete;
mod deny;
mod govern;
mod narrow;
mod remedy;
mod require;
mod text;
mod tree;

use crate::features::diagnostics::shown;
use crate::view::{Uris, View};
use egress_compiler::{Diagnostic, Place};
use egress_lang::span::Span;
use gen_lsp_types::{CodeAction, CodeActionKind};

/// The kinds of action that there are.
pub const KINDS: [&str; 3] = [QUICK_FIX, REFACTOR, FIX_ALL];

const QUICK_FIX: &str = "quickfix";
const REFACTOR: &str = "refactor";
const FIX_ALL: &str = "source.fixAll";

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The text that is selected.
    pub span: Span,
    /// The kinds of action that it wants; nothing is what belongs to the selected text, whatever its kind.
    pub only: Option<&'a [CodeActionKind]>,
    /// What is wrong with the unit, at its places now.
    pub findings: &'a [Diagnostic],
    /// The documents that the client has open.
    pub uris: &'a Uris,
    /// Whether it was shown related information.
    pub related: bool,
}

/// A change before it is in the protocol's terms.
struct Draft {
    title: String,
    changes: Vec<(Place, String)>,
    preferred: bool,
}

impl Draft {
    fn new(title: String, changes: Vec<(Place, String)>) -> Self {
        Self { title, changes, preferred: false }
    }

    /// A change of one text.
    fn one(title: String, place: Place, text: String) -> Self {
        Self::new(title, vec![(place, text)])
    }
}

/// The actions for a span of a document: those that mend come in the order of the findings, then those that add. What
/// concerns the whole document comes only where it is asked for.
#[must_use]
pub fn actions(view: &View<'_>, asked: &Asked<'_>) -> Vec<CodeAction> {
    let mut actions: Vec<CodeAction> = Vec::new();
    if asked.wants(QUICK_FIX) {
        for finding in asked.findings.iter().filter(|finding| touches(view, finding, asked.span)) {
            let mended = mending(view, finding).into_iter().map(|draft| mend(view, asked, finding, draft));
            for action in mended {
                let is_new = actions.iter().all(|other| (&other.title, &other.edit) != (&action.title, &action.edit));
                actions.extend(is_new.then_some(action));
            }
        }
    }
    if asked.wants(REFACTOR) {
        actions.extend(require::missing(view, asked.span).map(|draft| action(view, REFACTOR, draft)));
    }
    if asked.only.is_some() && asked.wants(FIX_ALL) {
        actions.extend(text::all(view, asked.findings).map(|draft| action(view, FIX_ALL, draft)));
    }
    actions
}

impl Asked<'_> {
    /// Whether a kind is asked for, itself or by one above it.
    fn wants(&self, kind: &str) -> bool {
        let above = |wanted: &CodeActionKind| {
            let wanted = String::from(wanted.clone());
            let rest = kind.strip_prefix(wanted.as_str());
            rest.is_some_and(|rest| wanted.is_empty() || rest.is_empty() || rest.starts_with('.'))
        };
        self.only.is_none_or(|only| only.iter().any(above))
    }
}

/// Whether a finding is shown at the span. One about no file is taken to be at the start of each.
fn touches(view: &View<'_>, finding: &Diagnostic, span: Span) -> bool {
    let Some(label) = finding.primary_label() else { return span.start == 0 };
    label.source == view.id && meets(label.span, span)
}

/// Whether two spans overlap or touch.
fn meets(one: Span, other: Span) -> bool {
    one.start <= other.end && other.start <= one.end
}

/// What mends a finding, the likeliest first.
fn mending(view: &View<'_>, finding: &Diagnostic) -> Vec<Draft> {
    let mut drafts = text::fixes(view, finding);
    drafts.extend(match finding.code {
        "egress::rule::dead" | "egress::rule::redundant" | "egress::rule::expired" => delete::rule(view, finding),
        "egress::name::unused" => delete::declaration(view, finding),
        "egress::name::unknown" => declare::stub(view, finding),
        "egress::rule::overridden" => narrow::narrowed(view, finding),
        "egress::rule::rebinding" => deny::private(view, finding),
        "egress::coverage::ungoverned" => Some(govern::lockdown(view)),
        "egress::assert::failed" => remedy::without(view, finding),
        "egress::assert::vacuous" => delete::assertion(view, finding),
        _ => None,
    });
    drafts
}

fn mend(view: &View<'_>, asked: &Asked<'_>, finding: &Diagnostic, draft: Draft) -> CodeAction {
    let shown = shown(view.unit, asked.uris, asked.related, finding).diagnostic;
    let is_preferred = draft.preferred.then_some(true);
    CodeAction { diagnostics: Some(vec![shown]), is_preferred, ..action(view, QUICK_FIX, draft) }
}

fn action(view: &View<'_>, kind: &'static str, draft: Draft) -> CodeAction {
    let kind = Some(CodeActionKind::from(kind.to_owned()));
    CodeAction { title: draft.title, kind, edit: Some(view.edit(draft.changes)), ..CodeAction::default() }
}
