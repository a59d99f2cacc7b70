//! Origins: where each thing of a program was written, by whom, why, and until when.

use crate::arena::{Arena, OriginId, SourceId};
use std::fmt;

/// Origins and source files of a unit; travels beside the meaning and never changes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// The files, sorted by path, as the user named them.
    pub sources: Arena<SourceId, String>,
    /// One entry for each block, rule, gateway, assertion and declared set.
    pub entries: Arena<OriginId, Origin>,
}

/// Where something was written, and what people said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The stable name: of a declaration its own (`shop`), of a rule its block's and its number from 1 (`shop#2`).
    pub name: String,
    /// The file.
    pub source: SourceId,
    /// First byte of the text within the file.
    pub start: u32,
    /// The byte after the text.
    pub end: u32,
    /// The line of `start`, counted from 1.
    pub line: u32,
    /// `owner "…"` of the block.
    pub owner: Option<String>,
    /// `because "…"`.
    pub because: Option<String>,
    /// `ticket "…"`.
    pub ticket: Option<String>,
    /// `until YYYY-MM-DD`: the last day on which the rule holds.
    pub until: Option<Date>,
}

impl Origin {
    /// An origin that says only where something stands.
    #[must_use]
    pub fn at(name: impl Into<String>, source: SourceId, start: u32, end: u32, line: u32) -> Self {
        let name = name.into();
        Self { name, source, start, end, line, owner: None, because: None, ticket: None, until: None }
    }
}

/// A calendar day (ISO 8601).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date {
    /// The year, 0–9999.
    pub year: u16,
    /// The month, 1–12.
    pub month: u8,
    /// The day, 1–31.
    pub day: u8,
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}
