//! What can be wrong with lists.

use super::content::{BadEntry, EntryPlace, FilterFault, Problem};
use crate::diagnostic::{Diagnostic, Label};
use crate::files::ReadError;
use crate::source::Place;
use egress_ir::SourceId;
use egress_lang::ast;
use egress_lang::suggest::closest;

/// How many places of wrong entries are named beyond those shown with their fault.
const MOST_PLACES: usize = 100;

/// How many values of a field are named in a help.
const MOST_VALUES: usize = 12;

/// A list that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ListError {
    /// The path leaves the unit's root folder, or names no file.
    #[error("the list `{text}` lies outside of the unit's root folder")]
    Outside {
        /// The path as written.
        text: String,
        /// The path.
        place: Place,
    },
    /// The file cannot be read.
    #[error("the list `{path}` cannot be read: {reason}")]
    Unreadable {
        /// The path within the root folder.
        path: String,
        /// Why.
        reason: ReadError,
        /// Every use.
        places: Vec<Place>,
    },
    /// The file is no list, or has wrong entries.
    #[error("the list `{path}` cannot be used: {problem}")]
    Content {
        /// The path within the root folder.
        path: String,
        /// Why.
        problem: Problem,
        /// Every use.
        places: Vec<Place>,
    },
    /// A filter on a field that no entry has.
    #[error("the entries of `{path}` have no field `{key}`")]
    Field {
        /// The path within the root folder.
        path: String,
        /// The field as written.
        key: String,
        /// The fields there are.
        known: Vec<String>,
        /// The field.
        place: Place,
    },
    /// A filter on a value that no entry has.
    #[error("no entry of `{path}` has `{key}={value}`")]
    Value {
        /// The path within the root folder.
        path: String,
        /// The field.
        key: String,
        /// The value as written.
        value: String,
        /// The values there are.
        known: Vec<String>,
        /// The value.
        place: Place,
    },
    /// Filters that are each met, but never together.
    #[error("no entry of `{path}` meets all of these filters")]
    Nothing {
        /// The path within the root folder.
        path: String,
        /// The list.
        place: Place,
    },
}

impl ListError {
    /// The error for a list term whose filters select nothing.
    pub(super) fn filter(path: &str, fault: FilterFault, source: SourceId, list: &ast::List) -> Self {
        let path = path.to_owned();
        let whole = Place::new(source, list.path.span);
        let of = |key: &str, value: Option<&str>| {
            let found =
                list.filters.iter().find(|f| f.key.node == key && value.is_none_or(|value| f.value.node == value));
            found.map_or(whole, |f| Place::new(source, if value.is_some() { f.value.span } else { f.key.span }))
        };
        match fault {
            FilterFault::Key { key, known } => Self::Field { place: of(&key, None), path, key, known },
            FilterFault::Value { key, value, known } => {
                Self::Value { place: of(&key, Some(&value)), path, key, value, known }
            }
            FilterFault::Together => Self::Nothing { path, place: whole },
        }
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Outside { .. } => "egress::list::outside",
            Self::Unreadable { .. } => "egress::list::unreadable",
            Self::Content { problem, .. } => match problem {
                Problem::Empty => "egress::list::empty",
                Problem::Entries { .. } => "egress::list::entry",
                Problem::Json { .. } | Problem::Form | Problem::Utf16 => "egress::list::format",
            },
            Self::Field { .. } | Self::Value { .. } | Self::Nothing { .. } => "egress::list::filter",
        }
    }

    fn help(&self) -> String {
        match self {
            Self::Outside { .. } => {
                "keep lists inside the root folder, and name them relative to the file: `list \"lists/…\"`".to_owned()
            }
            Self::Unreadable { reason: ReadError::NotFound, .. } => {
                "the path is relative to the file that names it".to_owned()
            }
            Self::Unreadable { .. } => "lists are plain files inside the root folder".to_owned(),
            Self::Content { problem, .. } => content_help(problem).to_owned(),
            Self::Field { known, .. } if known.is_empty() => "leave the filter out: this list has no fields".to_owned(),
            Self::Field { key, known, .. } => suggestion(key, known, "fields"),
            Self::Value { value, known, .. } => suggestion(value, known, "values"),
            Self::Nothing { .. } => {
                "an entry must meet all filters of one list; for either of two, write two lists joined by `,`"
                    .to_owned()
            }
        }
    }

    fn places(&self) -> &[Place] {
        match self {
            Self::Unreadable { places, .. } | Self::Content { places, .. } => places,
            Self::Outside { place, .. }
            | Self::Field { place, .. }
            | Self::Value { place, .. }
            | Self::Nothing { place, .. } => std::slice::from_ref(place),
        }
    }

    fn notes(&self) -> Vec<String> {
        match self {
            Self::Content { problem: Problem::Entries { first, others, .. }, .. } => entry_notes(first, others),
            _ => Vec::new(),
        }
    }
}

const fn content_help(problem: &Problem) -> &'static str {
    match problem {
        Problem::Empty => "a list without addresses is refused: a rule over it would do nothing",
        Problem::Entries { .. } => "mend or remove these entries: a list is used whole or not at all",
        Problem::Json { .. } | Problem::Form => {
            "lists are plain text with an address, prefix or range a line, or the JSON of AWS (`ip-ranges.json`), \
             GitHub (`meta`), Google (`goog.json`, `cloud.json`) or Azure (service tags)"
        }
        Problem::Utf16 => "save the list as UTF-8",
    }
}

fn entry_notes(first: &[BadEntry], others: &[EntryPlace]) -> Vec<String> {
    let shown = first.iter().map(|entry| match &entry.help {
        Some(help) => format!("{}: {}; {help}", entry.place, entry.message),
        None => format!("{}: {}", entry.place, entry.message),
    });
    let mut notes: Vec<String> = shown.collect();
    if !others.is_empty() {
        notes.push(format!("also wrong: {}", some_of(&together(others), MOST_PLACES)));
    }
    notes
}

/// Places in words, lines that follow each other taken together.
fn together(places: &[EntryPlace]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut run: Option<(usize, usize)> = None;
    for place in places {
        match (place, run) {
            (EntryPlace::Line(line), Some((start, end))) if *line == end + 1 => run = Some((start, *line)),
            (EntryPlace::Line(line), _) => {
                words.extend(run.map(lines));
                run = Some((*line, *line));
            }
            (EntryPlace::Path(path), _) => words.push(path.clone()),
        }
    }
    words.extend(run.map(lines));
    words
}

fn lines((start, end): (usize, usize)) -> String {
    if start == end { format!("line {start}") } else { format!("lines {start}–{end}") }
}

fn some_of(all: &[String], most: usize) -> String {
    let named = all.get(..most).unwrap_or(all).join(", ");
    let rest = all.len().saturating_sub(most);
    if rest == 0 { named } else { format!("{named} and {rest} more") }
}

fn suggestion(written: &str, known: &[String], what: &str) -> String {
    let same = known.iter().find(|known| known.eq_ignore_ascii_case(written)).map(String::as_str);
    let near = || {
        let lower: Vec<String> = known.iter().map(|known| known.to_lowercase()).collect();
        let found = closest(written, lower.iter().map(String::as_str))?;
        lower.iter().position(|known| known == found).and_then(|at| known.get(at)).map(String::as_str)
    };
    if let Some(meant) = same.or_else(near) {
        return format!("did you mean `{meant}`?");
    }
    let quoted: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
    format!("its {what} are {}", some_of(&quoted, MOST_VALUES))
}

impl From<ListError> for Diagnostic {
    fn from(error: ListError) -> Self {
        let label = |(n, place): (usize, &Place)| match n {
            0 => Label::primary(*place, ""),
            _ => Label::context(*place, "also used here"),
        };
        let labels: Vec<Label> = error.places().iter().enumerate().map(label).collect();
        let mut diagnostic = Self::error(error.code(), error.to_string()).labels(labels).help(error.help());
        diagnostic.notes = error.notes();
        diagnostic
    }
}
